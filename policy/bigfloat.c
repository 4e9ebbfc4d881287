#include "policy/bigfloat.h"

#include "policy/text.h"

#include <string.h>

enum { MANTISSA_BITS = 64, DIGITS_MAX = 22 /* 64 bits need 21 at most to read back the same */ };

/* Rounds n * 2^exponent to nearest even; `more`: something below n's last bit was cut off. */
static bool round_big(struct arena *a, const struct big *n, int64_t exponent, bool more, struct bigfloat *ret)
{
    size_t bits = big_bits(n);
    struct big top = *n;

    *ret = (struct bigfloat) { 0 };
    if (!bits) return true;
    if (bits < MANTISSA_BITS && !big_shift_left(a, n, MANTISSA_BITS - bits, &top)) return false;
    bool half = false, lost = false;
    if (bits > MANTISSA_BITS) {
        size_t below = bits - MANTISSA_BITS - 1;

        half = n->limbs[below / 32] >> (below % 32) & 1;
        struct big cut;
        if (!big_shift_right(a, n, below, &cut, &lost)
            || !big_shift_right(a, n, bits - MANTISSA_BITS, &top, NULL))
            return false;
    }
    uint64_t mantissa = (uint64_t) top.limbs[1] << 32 | top.limbs[0];
    exponent += (int64_t) bits - MANTISSA_BITS;
    if (half && (lost || more || (mantissa & 1)) && ++mantissa == 0) {
        mantissa = 1ull << 63;
        exponent++;
    }
    *ret = (struct bigfloat) { n->negative, mantissa, (int32_t) exponent };
    return true;
}

/* numerator / denominator, rounded once. */
static bool round_quotient(struct arena *a, const struct big *numerator, const struct big *denominator,
                           int64_t exponent, struct bigfloat *ret)
{
    size_t have = big_bits(numerator), want = big_bits(denominator) + MANTISSA_BITS + 2;
    size_t shift = have < want ? want - have : 0;
    struct big shifted, quotient, rest;

    return big_shift_left(a, numerator, shift, &shifted)
           && big_divide(a, &shifted, denominator, &quotient, &rest)
           && round_big(a, &quotient, exponent - (int64_t) shift, rest.count > 0, ret);
}

/* 0.DIGITS * 10^point */
static bool from_digits(struct arena *a, const char *digits, size_t count, int64_t point, bool negative,
                        struct bigfloat *ret)
{
    int64_t exponent = point - (int64_t) count;
    struct big n, power;

    *ret = (struct bigfloat) { 0 };
    if (!count) return true;
    if (exponent > NUM_EXPONENT_MAX || exponent < -NUM_EXPONENT_MAX) return false;
    if (!big_from_digits(a, digits, count, &n)
        || !big_power10(a, (size_t) (exponent < 0 ? -exponent : exponent), &power))
        return false;
    if (exponent < 0 ? !round_quotient(a, &n, &power, 0, ret)
                     : !big_mul(a, &n, &power, &n) || !round_big(a, &n, 0, false, ret))
        return false;
    ret->negative = negative;
    return true;
}

bool bigfloat_of(struct arena *a, struct num n, struct bigfloat *ret)
{
    char buf[NUM_BUF];
    struct decimal d = decimal_of(n, buf);
    char *digits = arena_alloc(a, d.count);

    if (!digits) return false;
    decimal_digits(&d, digits);
    return from_digits(a, digits, d.count, d.point, d.negative, ret);
}

static bool to_big(struct arena *a, const struct bigfloat *x, int64_t shift, struct big *ret)
{
    struct big m;

    if (!big_from_i64(a, (int64_t) (x->mantissa >> 1), &m) || !big_shift_left(a, &m, 1, &m)) return false;
    if (m.count) m.limbs[0] |= (uint32_t) (x->mantissa & 1);
    m.negative = x->negative && m.count;
    return big_shift_left(a, &m, (size_t) shift, ret);
}

bool bigfloat_add(struct arena *a, const struct bigfloat *x, const struct bigfloat *y, struct bigfloat *ret)
{
    enum { FAR = 3 * MANTISSA_BITS };
    const struct bigfloat *high = x->exponent >= y->exponent ? x : y, *low = high == x ? y : x;
    struct big left, right, sum;

    if (!x->mantissa || !y->mantissa) return *ret = x->mantissa ? *x : *y, true;
    /* Further apart than any rounding reaches, and never a tie: the larger stands as it is. */
    if ((int64_t) high->exponent - low->exponent > FAR) return *ret = *high, true;
    return to_big(a, high, (int64_t) high->exponent - low->exponent, &left) && to_big(a, low, 0, &right)
           && big_add(a, &left, &right, &sum) && round_big(a, &sum, low->exponent, false, ret);
}

bool bigfloat_mul(struct arena *a, const struct bigfloat *x, const struct bigfloat *y, struct bigfloat *ret)
{
    struct big left, right, product;

    return to_big(a, x, 0, &left) && to_big(a, y, 0, &right) && big_mul(a, &left, &right, &product)
           && round_big(a, &product, (int64_t) x->exponent + y->exponent, false, ret);
}

bool bigfloat_div(struct arena *a, const struct bigfloat *x, const struct bigfloat *y, struct bigfloat *ret)
{
    struct big left, right;

    return to_big(a, x, 0, &left) && to_big(a, y, 0, &right)
           && round_quotient(a, &left, &right, (int64_t) x->exponent - y->exponent, ret);
}

/* ---- to decimal ---- */

/* The magnitude as digits: 0.DIGITS * 10^*ret_point, exact to at least DIGITS_MAX + 1 digits. */
static const char *exact_digits(struct arena *a, const struct bigfloat *x, size_t *ret_len, int64_t *ret_point)
{
    struct bigfloat positive = { false, x->mantissa, x->exponent };
    struct big n, power, rest;
    int64_t scale = 0; /* digits behind the point that the integer below carries */

    if (x->exponent >= 0) {
        if (!to_big(a, &positive, x->exponent, &n)) return NULL;
    } else {
        /* The first digit stands about (exponent + 64) * log10(2) after the point. */
        int64_t leading = ((int64_t) x->exponent + MANTISSA_BITS) * 30103 / 100000;
        scale = DIGITS_MAX + 2 - leading;
        if (scale < 0) scale = 0;
        if (scale > 2 * NUM_EXPONENT_MAX || !big_power10(a, (size_t) scale, &power)
            || !to_big(a, &positive, 0, &n) || !big_mul(a, &n, &power, &n)
            || !big_shift_right(a, &n, (size_t) -(int64_t) x->exponent, &rest, NULL))
            return NULL;
        n = rest;
    }
    const char *text = big_text(a, &n, ret_len);
    *ret_point = (int64_t) *ret_len - scale;
    return text;
}

/* The first n digits, rounded half up; digits has room for n. Returns by how much the point moves. */
static int64_t round_digits(const char *exact, size_t len, size_t n, char *digits)
{
    size_t have = n < len ? n : len;

    memset(digits, '0', n);
    memcpy(digits, exact, have);
    if (n >= len || exact[n] < '5') return 0;
    for (size_t i = n; i--;) {
        if (digits[i]++ != '9') return 0;
        digits[i] = '0';
    }
    memmove(digits + 1, digits, n - 1);
    digits[0] = '1';
    return 1;
}

static bool same(const struct bigfloat *x, const struct bigfloat *y)
{
    return x->mantissa == y->mantissa && x->exponent == y->exponent;
}

/* As Go's math/big prints 'g' with the fewest digits: with an exponent below -4 and from 6. */
static void write_general(struct text *t, const char *digits, size_t count, int64_t point)
{
    int64_t exponent = point - 1;

    if (exponent < -4 || exponent >= 6) {
        text_add_char(t, digits[0]);
        if (count > 1) text_add_char(t, '.');
        text_add(t, digits + 1, count - 1);
        text_addf(t, "e%c%02lld", exponent < 0 ? '-' : '+', (long long) (exponent < 0 ? -exponent : exponent));
        return;
    }
    if (point <= 0) text_add_string(t, "0.");
    for (int64_t i = point; i < 0; i++) text_add_char(t, '0');
    for (size_t i = 0; i < count; i++) {
        if (i && (int64_t) i == point) text_add_char(t, '.');
        text_add_char(t, digits[i]);
    }
}

static void write_integer(struct text *t, const char *digits, size_t count, int64_t point)
{
    text_add(t, digits, count);
    for (int64_t i = (int64_t) count; i < point; i++) text_add_char(t, '0');
}

bool bigfloat_to_num(struct arena *a, const struct bigfloat *x, struct num *ret)
{
    char digits[DIGITS_MAX] = { 0 };
    struct text t;
    size_t len = 0, count = 0;
    int64_t exact_point = 0, point = 0;
    const char *exact = x->mantissa ? exact_digits(a, x, &len, &exact_point) : "";

    if (!x->mantissa) return *ret = num_of(0), true;
    if (!exact) return false;
    for (bool found = false; !found && count < DIGITS_MAX;) {
        struct bigfloat back;

        count++;
        point = exact_point + round_digits(exact, len, count, digits);
        if (!from_digits(a, digits, count, point, x->negative, &back)) return false;
        found = same(&back, x);
    }
    while (count > 1 && digits[count - 1] == '0') count--;
    text_init(&t, a);
    if (x->negative) text_add_char(&t, '-');
    ((int64_t) count <= point ? write_integer : write_general)(&t, digits, count, point);
    return text_end(&t) && num_parse(a, t.data, t.len, ret);
}
