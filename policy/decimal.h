/* A number's decimal digits, looked at where they stand: what num.c compares and converts by. */
#pragma once

#include "policy/num.h"

struct decimal {
    bool negative;      /* never for zero */
    const char *digits; /* from the first digit that is not 0 to the last; a '.' may stand between */
    const char *end;
    size_t count;       /* of digits; 0 for zero */
    int64_t point;      /* value = 0.DIGITS * 10^point */
};

/* buf keeps the text of an int; the decimal points into it or into the number's own text. */
struct decimal decimal_of(struct num n, char buf[NUM_BUF]);

/* Copies the digits without the point; out has room for count. */
void decimal_digits(const struct decimal *d, char *out);

static inline bool decimal_is_integer(const struct decimal *d)
{
    return d->point >= 0 && (uint64_t) d->point >= d->count;
}
