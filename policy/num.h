/* Rego's numbers: exact. An integer that fits int64_t is held as such; everything else (wider
 * integers, fractions, exponents) is its own decimal text, as JSON writes it, so that a claim
 * above 2^63 or "1.10" passes through unchanged. Comparison is by value and exact: 1 == 1.0.
 * Arithmetic: integers exactly, at any width; where a fraction is involved, in binary floating
 * point with a 64 bit mantissa, printed as the shortest decimal that reads back the same (as OPA).
 * Values only: a struct num may be copied; its text lives in the arena it was made in. */
#pragma once

#include "policy/arena.h"

enum {
    NUM_TEXT_MAX = 8192,     /* bytes of a literal */
    NUM_EXPONENT_MAX = 5000, /* decimal exponent of a number one can calculate with */
    NUM_BITS_MAX = 20000,     /* of an integer result; holds 10^NUM_EXPONENT_MAX */
};

struct num {
    uint32_t len; /* of `text`; 0: it is the integer `i` */
    union {
        int64_t i;
        const char *text; /* NUL behind */
    };
};

enum num_status {
    NUM_OK,
    NUM_DIVIDE_BY_ZERO,
    NUM_MODULO_BY_ZERO,
    NUM_MODULO_FRACTION, /* % wants integers */
    NUM_NOT_INTEGER,     /* bits.* wants integers */
    NUM_TOO_LARGE,       /* a limit above; also a shift by a negative or giant count */
    NUM_NO_MEMORY,
};

/* OPA's sentence for the status ("divide by zero"); "" for NUM_OK. */
const char *num_status_text(enum num_status s);

static inline struct num num_of(int64_t i)
{
    return (struct num) { .i = i };
}

/* JSON's grammar, nothing before or behind; false otherwise, when too long, or without memory. */
bool num_parse(struct arena *a, const char *text, size_t len, struct num *ret);
/* More than JSON allows, as Go's strconv.ParseFloat: a sign +, leading zeros, ".5", "5.". */
bool num_parse_loose(struct arena *a, const char *text, size_t len, struct num *ret);
/* Shortest text that reads back the same; false for NaN and infinity, and without memory. */
bool num_from_double(struct arena *a, double d, struct num *ret);

/* True when it is held as an int64: what OPA calls an int. 1.0 and 2^63 are not. */
static inline bool num_is_int(struct num n)
{
    return n.len == 0;
}

/* By value: 1.0 gives 1, 1.5 and 2^63 give false. */
bool num_to_i64(struct num n, int64_t *ret);
bool num_is_integer(struct num n); /* by value, of any width; 1.0 and 1e3 are */
double num_to_double(struct num n); /* nearest; infinite beyond the range */
uint32_t num_zeros(struct num n);   /* those that an exponent stands for, before or behind the digits; at most 2^20 */
int num_sign(struct num n);         /* -1, 0, 1 */

int num_compare_slow(struct num a, struct num b);
static inline int num_compare(struct num a, struct num b)
{
    if (a.len || b.len) return num_compare_slow(a, b);
    return (a.i > b.i) - (a.i < b.i);
}
uint64_t num_hash(struct num n); /* equal numbers hash the same, whatever their text */

/* The text: NUL-terminated in buf when it is an integer, else its own (not NUL-terminated). */
enum { NUM_BUF = 24 };
const char *num_text(struct num n, char buf[NUM_BUF], size_t *ret_len);

/* The magnitude of the integer part in base 2, 8 or 16 (1, 3 or 4 bits a digit), lower case; NULL without
 * memory or beyond the limits. */
char *num_digits(struct arena *a, struct num x, unsigned bits, size_t *ret_len);

typedef enum num_status num_binary(struct arena *a, struct num x, struct num y, struct num *ret);
num_binary num_add, num_sub, num_mul, num_div, num_rem;
num_binary num_and, num_or, num_xor, num_shift_left, num_shift_right; /* two's complement, any width */

typedef enum num_status num_unary(struct arena *a, struct num x, struct num *ret);
num_unary num_neg, num_abs, num_ceil, num_floor, num_round, num_not;
