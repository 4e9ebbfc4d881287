/* Binary floating point with a mantissa of 64 bits, for num_arith.c only: how OPA calculates where
 * a fraction is involved. Every operation rounds its exact result once, to nearest even. */
#pragma once

#include "policy/bigint.h"
#include "policy/decimal.h"

struct bigfloat {
    bool negative;
    uint64_t mantissa; /* top bit set; 0 for zero */
    int32_t exponent;  /* value = mantissa * 2^exponent */
};

/* False: no memory, or the exponent is beyond NUM_EXPONENT_MAX. */
bool bigfloat_of(struct arena *a, struct num n, struct bigfloat *ret);
/* The shortest decimal that reads back the same: without an exponent when it is an integer,
 * otherwise as Go's %g writes it. */
bool bigfloat_to_num(struct arena *a, const struct bigfloat *x, struct num *ret);

bool bigfloat_add(struct arena *a, const struct bigfloat *x, const struct bigfloat *y, struct bigfloat *ret);
bool bigfloat_mul(struct arena *a, const struct bigfloat *x, const struct bigfloat *y, struct bigfloat *ret);
/* y is not zero. */
bool bigfloat_div(struct arena *a, const struct bigfloat *x, const struct bigfloat *y, struct bigfloat *ret);
