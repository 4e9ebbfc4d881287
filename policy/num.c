#include "policy/num.h"

#include "policy/bigint.h"
#include "policy/decimal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPONENT_DIGITS_MAX = 9 }; /* of a literal: more could not be compared in int64 arithmetic */

const char *num_status_text(enum num_status s)
{
    static const char *const texts[] = {
        [NUM_OK] = "",
        [NUM_DIVIDE_BY_ZERO] = "divide by zero",
        [NUM_MODULO_BY_ZERO] = "modulo by zero",
        [NUM_MODULO_FRACTION] = "modulo on floating-point number",
        [NUM_NOT_INTEGER] = "must be integer number but got floating-point number",
        [NUM_TOO_LARGE] = "number too large",
        [NUM_NO_MEMORY] = "out of memory",
    };
    return texts[s];
}

/* ---- text in and out ---- */

static size_t skip_digits(const char *text, size_t len, size_t at)
{
    while (at < len && text[at] >= '0' && text[at] <= '9') at++;
    return at;
}

/* RFC 8259, 6. *ret_integer: neither fraction nor exponent. */
static bool is_json_number(const char *text, size_t len, bool *ret_integer)
{
    size_t at = len && text[0] == '-', start = at;

    at = skip_digits(text, len, at);
    if (at == start || (text[start] == '0' && at > start + 1)) return false;
    *ret_integer = at == len;
    if (at < len && text[at] == '.') {
        start = ++at;
        at = skip_digits(text, len, at);
        if (at == start) return false;
    }
    if (at < len && (text[at] == 'e' || text[at] == 'E')) {
        if (++at < len && (text[at] == '+' || text[at] == '-')) at++;
        start = at;
        at = skip_digits(text, len, at);
        if (at == start || at - start > EXPONENT_DIGITS_MAX) return false;
    }
    return at == len;
}

static bool parse_i64(const char *text, size_t len, int64_t *ret)
{
    bool negative = text[0] == '-';
    int64_t value = 0;

    for (size_t i = negative; i < len; i++) {
        int digit = text[i] - '0';

        if (__builtin_mul_overflow(value, 10, &value)
            || __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    *ret = value;
    return true;
}

bool num_parse(struct arena *a, const char *text, size_t len, struct num *ret)
{
    bool integer;

    if (len == 0 || len > NUM_TEXT_MAX || !is_json_number(text, len, &integer)) return false;
    *ret = num_of(0);
    if (integer && parse_i64(text, len, &ret->i)) return true;
    ret->text = arena_copy(a, text, len);
    ret->len = (uint32_t) len;
    return ret->text != NULL;
}

bool num_parse_loose(struct arena *a, const char *text, size_t len, struct num *ret)
{
    size_t sign = len && (text[0] == '+' || text[0] == '-'), at = sign;

    if (len > NUM_TEXT_MAX) return false;
    size_t digits = skip_digits(text, len, at);
    bool bare_point = digits == at;
    while (at + 1 < digits && text[at] == '0') at++; /* JSON has no leading zeros */
    size_t fraction = digits < len && text[digits] == '.' ? skip_digits(text, len, digits + 1) : digits;
    if (bare_point && fraction <= digits + 1) return false;
    if (fraction < len && text[fraction] == '.') return false; /* "1..2": dropping one point made it a number */
    size_t kept = fraction == digits + 1 ? digits : fraction; /* "5." */
    char *plain = arena_alloc(a, len + 3), *out = plain;
    if (!plain) return false;
    if (sign && text[0] == '-') *out++ = '-';
    if (bare_point) *out++ = '0';
    memcpy(out, text + at, kept - at);
    out += kept - at;
    memcpy(out, text + fraction, len - fraction);
    out += len - fraction;
    return num_parse(a, plain, (size_t) (out - plain), ret);
}

bool num_from_double(struct arena *a, double d, struct num *ret)
{
    char buf[40];

    if (d != d || d - d != 0) return false; /* NaN, infinite */
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, d);
        if (strtod(buf, NULL) == d) break;
    }
    return num_parse(a, buf, strlen(buf), ret);
}

const char *num_text(struct num n, char buf[NUM_BUF], size_t *ret_len)
{
    if (n.len) return *ret_len = n.len, n.text;
    char *at = buf + NUM_BUF - 1;
    uint64_t magnitude = n.i < 0 ? 0 - (uint64_t) n.i : (uint64_t) n.i;

    *at = '\0';
    do *--at = (char) ('0' + magnitude % 10);
    while (magnitude /= 10);
    if (n.i < 0) *--at = '-';
    *ret_len = (size_t) (buf + NUM_BUF - 1 - at);
    return at;
}

/* ---- by value ---- */

int num_sign(struct num n)
{
    char buf[NUM_BUF];

    if (!n.len) return (n.i > 0) - (n.i < 0);
    struct decimal d = decimal_of(n, buf);
    return d.count == 0 ? 0 : d.negative ? -1 : 1;
}

uint32_t num_zeros(struct num n)
{
    char buf[NUM_BUF];
    const int64_t most = 1 << 20;

    if (!n.len) return 0;
    struct decimal d = decimal_of(n, buf);
    int64_t zeros = d.point < 0 ? -d.point : d.point > (int64_t) d.count ? d.point - (int64_t) d.count : 0;
    return (uint32_t) (zeros < most ? zeros : most);
}

/* The integer's magnitude; false when it has a fraction or exceeds 64 bits. */
static bool to_magnitude(const struct decimal *d, uint64_t *ret)
{
    uint64_t value = 0;

    if (!decimal_is_integer(d) || d->point > 20) return false;
    for (const char *p = d->digits; p < d->end; p++)
        if (*p != '.' && (__builtin_mul_overflow(value, 10u, &value)
                          || __builtin_add_overflow(value, (uint64_t) (*p - '0'), &value)))
            return false;
    for (int64_t i = (int64_t) d->count; i < d->point; i++)
        if (__builtin_mul_overflow(value, 10u, &value)) return false;
    *ret = value;
    return true;
}

bool num_to_i64(struct num n, int64_t *ret)
{
    char buf[NUM_BUF];
    uint64_t magnitude;

    if (!n.len) return *ret = n.i, true;
    struct decimal d = decimal_of(n, buf);
    if (!to_magnitude(&d, &magnitude) || magnitude > (uint64_t) INT64_MAX + d.negative) return false;
    *ret = d.negative ? (int64_t) (0 - magnitude) : (int64_t) magnitude;
    return true;
}

bool num_is_integer(struct num n)
{
    char buf[NUM_BUF];

    if (!n.len) return true;
    struct decimal d = decimal_of(n, buf);
    return decimal_is_integer(&d);
}

double num_to_double(struct num n)
{
    return n.len ? strtod(n.text, NULL) : (double) n.i;
}

static int compare_digits(const struct decimal *x, const struct decimal *y)
{
    const char *p = x->digits, *q = y->digits;

    for (;; p++, q++) {
        if (p < x->end && *p == '.') p++;
        if (q < y->end && *q == '.') q++;
        if (p == x->end || q == y->end) return (p < x->end) - (q < y->end);
        if (*p != *q) return *p < *q ? -1 : 1;
    }
}

int num_compare_slow(struct num a, struct num b)
{
    char buf_a[NUM_BUF], buf_b[NUM_BUF];
    struct decimal x = decimal_of(a, buf_a), y = decimal_of(b, buf_b);
    int sign_x = x.count == 0 ? 0 : x.negative ? -1 : 1, sign_y = y.count == 0 ? 0 : y.negative ? -1 : 1;

    if (sign_x != sign_y) return sign_x < sign_y ? -1 : 1;
    if (x.point != y.point) return x.point < y.point ? -sign_x : sign_x;
    return sign_x * compare_digits(&x, &y);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

uint64_t num_hash(struct num n)
{
    char buf[NUM_BUF];
    int64_t i;

    if (num_to_i64(n, &i)) return mix(2, (uint64_t) i);
    struct decimal d = decimal_of(n, buf);
    uint64_t h = mix(3 + d.negative, (uint64_t) d.point);
    for (const char *p = d.digits; p < d.end; p++)
        if (*p != '.') h = mix(h, (uint64_t) *p);
    return h;
}
