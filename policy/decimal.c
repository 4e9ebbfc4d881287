#include "policy/decimal.h"
#include "policy/text.h"

/* num_parse has checked the grammar and capped the exponent. */
static int64_t exponent_of(const char *at, const char *end)
{
    bool negative = at < end && *at == '-';
    int64_t value = 0;

    if (at < end && !is_digit(*at)) at++;
    for (; at < end; at++) value = value * 10 + (*at - '0');
    return negative ? -value : value;
}

struct decimal decimal_of(struct num n, char buf[NUM_BUF])
{
    size_t len;
    const char *at = num_text(n, buf, &len), *end = at + len, *mantissa_end = at;
    struct decimal d = { .negative = *at == '-' };
    bool fraction = false;

    for (at += d.negative; mantissa_end < end && *mantissa_end != 'e' && *mantissa_end != 'E';)
        mantissa_end++;
    for (const char *p = at; p < mantissa_end; p++) {
        if (*p == '.') {
            fraction = true;
        } else if (*p != '0' || d.digits) {
            if (!d.digits) d.digits = p;
            d.point += !fraction;
        } else {
            d.point -= fraction;
        }
    }
    if (!d.digits) return (struct decimal) { .digits = end, .end = end };
    for (d.end = mantissa_end; d.end[-1] == '0' || d.end[-1] == '.';) d.end--;
    for (const char *p = d.digits; p < d.end; p++) d.count += *p != '.';
    if (mantissa_end < end) d.point += exponent_of(mantissa_end + 1, end);
    return d;
}

void decimal_digits(const struct decimal *d, char *out)
{
    for (const char *p = d->digits; p < d->end; p++)
        if (*p != '.') *out++ = *p;
}
