#include "broker/base/toml_lex.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCALAR_TEXT 512 /* characters of one number; a float of IEEE 754 needs fewer */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- dates -------------------------------------------------------------------------------- */

static bool two_digits(const char *s, unsigned max, unsigned *ret)
{
    if (!is_digit(s[0]) || !is_digit(s[1])) return false;
    *ret = (unsigned) ((s[0] - '0') * 10 + (s[1] - '0'));
    return *ret <= max;
}

static bool is_day(const char *s)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned century = 0, rest = 0, month = 0, day = 0;
    bool shape = two_digits(s, 99, &century) && two_digits(s + 2, 99, &rest) && s[4] == '-' &&
                 two_digits(s + 5, 12, &month) && s[7] == '-' && two_digits(s + 8, 31, &day);
    if (!shape || month == 0 || day == 0) return false;
    unsigned year = century * 100 + rest;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

/* hh:mm:ss with a fraction; the length that was read, 0 when it is no time. */
static size_t time_length(const char *s, size_t len)
{
    unsigned part = 0;
    if (len < 8 || !two_digits(s, 23, &part) || s[2] != ':' || !two_digits(s + 3, 59, &part) ||
        s[5] != ':' || !two_digits(s + 6, 60, &part)) /* 60: RFC 3339 5.6, a leap second */
        return 0;
    if (len == 8 || s[8] != '.') return 8;
    size_t i = 9;
    while (i < len && is_digit(s[i])) i++;
    return i > 9 ? i : 0;
}

static bool is_offset(const char *s, size_t len)
{
    unsigned part = 0;
    if (len == 1) return s[0] == 'Z' || s[0] == 'z';
    return len == 6 && (s[0] == '+' || s[0] == '-') && two_digits(s + 1, 23, &part) &&
           s[3] == ':' && two_digits(s + 4, 59, &part);
}

bool toml_is_date(const char *text, size_t len)
{
    if (time_length(text, len) == len && len > 0) return true;
    if (len < 10 || !is_day(text)) return false;
    if (len == 10) return true;
    if (!strchr("Tt ", text[10])) return false;
    size_t clock = time_length(text + 11, len - 11);
    size_t end = 11 + clock;
    return clock > 0 && (end == len || is_offset(text + end, len - end));
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* digit(_digit)*, as one run; the position after it, or `i` when there is none. */
static size_t digit_run(const char *s, size_t i, int base)
{
    size_t end = i;
    while (toml_digit(s[i]) < base) {
        end = ++i;
        if (s[i] == '_') i++;
    }
    return end;
}

/* Underscores are for human eyes, a leading plus and a minus before zero JSON does not want. */
static void without_underscores(const char *s, char out[SCALAR_TEXT])
{
    size_t n = 0;
    if (*s == '+') s++;
    for (; *s; s++)
        if (*s != '_') out[n++] = *s;
    out[n] = 0;
}

static bool is_float(const char *s)
{
    size_t i = s[0] == '+' || s[0] == '-' ? 1 : 0;
    size_t whole = digit_run(s, i, 10), end = whole;
    if (whole == i || (s[i] == '0' && whole > i + 1)) return false;
    if (s[end] == '.') {
        size_t fraction = digit_run(s, end + 1, 10);
        if (fraction == end + 1) return false;
        end = fraction;
    }
    if (s[end] == 'e' || s[end] == 'E') {
        size_t first = end + 1 + (s[end + 1] == '+' || s[end + 1] == '-' ? 1 : 0);
        size_t exponent = digit_run(s, first, 10);
        if (exponent == first) return false;
        end = exponent;
    }
    return s[end] == 0;
}

static int base_of(const char *s)
{
    static const struct { char prefix[3]; int base; } bases[] = {{"0x", 16}, {"0o", 8}, {"0b", 2}};
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
        if (strncmp(s, bases[i].prefix, 2) == 0) return bases[i].base;
    return 10;
}

/* An integer as TOML writes it, in the signed 64-bit range. *ret_form says whether it is one. */
static bool integer(const char *s, int64_t *ret, bool *ret_form)
{
    int base = base_of(s);
    size_t i = base != 10 ? 2 : s[0] == '+' || s[0] == '-' ? 1 : 0;
    size_t end = digit_run(s, i, base);
    *ret_form = end > i && s[end] == 0 && !(base == 10 && s[i] == '0' && end > i + 1);
    if (!*ret_form) return false;
    char plain[SCALAR_TEXT];
    without_underscores(s, plain);
    errno = 0;
    *ret = strtoll(base != 10 ? plain + 2 : plain, NULL, base);
    return errno == 0;
}

static bool scalar_char(int c)
{
    return c > 0 && (is_digit((char) c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     strchr("_+-.:", c));
}

/* All that can belong to the scalar. A date may go on with a time after one space. */
static size_t scalar_length(struct toml_cursor c)
{
    size_t start = c.pos;
    while (scalar_char(toml_peek(&c))) c.pos++;
    bool day = c.pos - start == 10 && is_day((const char *) c.text.data + start);
    if (!day || toml_peek(&c) != ' ') return c.pos - start;
    struct toml_cursor time = {c.text, c.pos + 1};
    if (toml_peek(&time) < '0' || toml_peek(&time) > '9') return c.pos - start;
    while (scalar_char(toml_peek(&time))) time.pos++;
    return time.pos - start;
}

static err_t number(const struct toml_cursor *c, const char *text, struct buf *ret)
{
    int64_t whole = 0;
    bool form = false;
    if (integer(text, &whole, &form)) {
        buf_addf(ret, "%lld", (long long) whole);
        return buf_ok(ret);
    }
    if (form) TOML_FAIL(c, c->pos, "integer `%s` does not fit 64 bits", text);
    const char *bare = text + strspn(text, "+-");
    if (strcmp(bare, "inf") == 0 || strcmp(bare, "nan") == 0)
        TOML_FAIL(c, c->pos, "`%s` is not accepted, since JSON has no such number", text);
    if (!is_float(text))
        TOML_FAIL(c, c->pos, "`%s` is no value; a text needs quotes", text);
    char plain[SCALAR_TEXT];
    without_underscores(text, plain);
    if (isinf(strtod(plain, NULL))) TOML_FAIL(c, c->pos, "float `%s` is out of range", text);
    buf_add_str(ret, plain);
    return buf_ok(ret);
}

err_t toml_scalar(struct toml_cursor *c, struct buf *ret, bool *ret_json)
{
    size_t len = scalar_length(*c);
    if (len == 0) TOML_FAIL(c, c->pos, "expected a value");
    if (len >= SCALAR_TEXT) TOML_FAIL(c, c->pos, "number longer than %d characters", SCALAR_TEXT);
    char text[SCALAR_TEXT];
    memcpy(text, c->text.data + c->pos, len);
    text[len] = 0;
    bool date = toml_is_date(text, len);
    bool truth = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
    if (date || truth) buf_add_str(ret, text);
    else TRY(number(c, text, ret));
    c->pos += len;
    *ret_json = !date;
    return buf_ok(ret);
}
