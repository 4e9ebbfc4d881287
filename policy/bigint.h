/* Integers of any size, for num.c only: sign and magnitude in 32 bit limbs, least first, no zero
 * limb on top, zero has none and is not negative. Results live in the arena; operands are not
 * changed and may be shared with results. False: the arena is exhausted or the result would
 * exceed BIG_LIMBS_MAX. */
#pragma once

#include "policy/arena.h"

enum { BIG_LIMBS_MAX = 2048 };

struct big {
    bool negative;
    size_t count;
    uint32_t *limbs;
};

bool big_from_i64(struct arena *a, int64_t i, struct big *ret);
bool big_from_digits(struct arena *a, const char *digits, size_t len, struct big *ret);

/* The decimal text with a minus sign when negative, NUL-terminated; NULL without memory. */
const char *big_text(struct arena *a, const struct big *x, size_t *ret_len);
bool big_to_i64(const struct big *x, int64_t *ret); /* false when it does not fit */

size_t big_bits(const struct big *x); /* of the magnitude; 0 for zero */
int big_compare_magnitude(const struct big *x, const struct big *y);

bool big_add(struct arena *a, const struct big *x, const struct big *y, struct big *ret);
bool big_sub(struct arena *a, const struct big *x, const struct big *y, struct big *ret);
bool big_mul(struct arena *a, const struct big *x, const struct big *y, struct big *ret);
bool big_power10(struct arena *a, size_t exponent, struct big *ret);

/* Truncated towards zero, the remainder has x's sign; y is not zero. */
bool big_divide(struct arena *a, const struct big *x, const struct big *y, struct big *ret_quotient,
                struct big *ret_remainder);

/* Of the magnitude; the sign stays. The bits shifted out are lost, *ret_lost tells whether any was 1. */
bool big_shift_left(struct arena *a, const struct big *x, size_t bits, struct big *ret);
bool big_shift_right(struct arena *a, const struct big *x, size_t bits, struct big *ret, bool *ret_lost);

/* Bitwise on two's complement of unlimited width, as Go's big.Int; op is '&', '|' or '^'. */
bool big_bitwise(struct arena *a, char op, const struct big *x, const struct big *y, struct big *ret);
