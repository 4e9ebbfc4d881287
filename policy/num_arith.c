#include "policy/num.h"

#include "policy/bigfloat.h"
#include "policy/bigint.h"
#include "policy/decimal.h"

#include <string.h>

/* Why an operation on big numbers failed: they tell memory and size apart by the arena. */
static enum num_status failure(const struct arena *a)
{
    return arena_failed(a) ? NUM_NO_MEMORY : NUM_TOO_LARGE;
}

static enum num_status from_big(struct arena *a, const struct big *x, struct num *ret)
{
    int64_t i;
    size_t len = 0;

    if (big_to_i64(x, &i)) return *ret = num_of(i), NUM_OK;
    if (big_bits(x) > NUM_BITS_MAX) return NUM_TOO_LARGE;
    const char *text = big_text(a, x, &len);
    if (!text) return NUM_NO_MEMORY;
    *ret = (struct num) { .len = (uint32_t) len, .text = text };
    return NUM_OK;
}

/* The integer part of 0.DIGITS * 10^point, cut towards zero; *ret_cut is the first digit cut off,
 * -1 when there is nothing but zeros behind the point. */
static bool integer_part(struct arena *a, struct num n, struct big *ret, int *ret_cut)
{
    char buf[NUM_BUF];
    struct decimal d = decimal_of(n, buf);
    char *digits = NULL;
    struct big power;

    *ret_cut = -1;
    if (!n.len) return big_from_i64(a, n.i, ret);
    if (d.point > NUM_EXPONENT_MAX || !(digits = arena_alloc(a, d.count + 1))) return false;
    decimal_digits(&d, digits);
    size_t whole = d.point <= 0 ? 0 : (uint64_t) d.point < d.count ? (size_t) d.point : d.count;
    if (whole < d.count) *ret_cut = d.point < 0 ? 0 : digits[whole] - '0';
    if (!big_from_digits(a, digits, whole, ret)) return false;
    ret->negative = d.negative && ret->count;
    if (d.point <= (int64_t) whole) return true;
    return big_power10(a, (size_t) d.point - whole, &power) && big_mul(a, ret, &power, ret);
}

typedef bool big_op(struct arena *a, const struct big *x, const struct big *y, struct big *ret);
typedef bool float_op(struct arena *a, const struct bigfloat *x, const struct bigfloat *y,
                      struct bigfloat *ret);

static enum num_status exact(struct arena *a, struct num x, struct num y, big_op *op, struct num *ret)
{
    struct big left, right, result;
    int cut;

    if (!integer_part(a, x, &left, &cut) || !integer_part(a, y, &right, &cut)
        || !op(a, &left, &right, &result))
        return failure(a);
    return from_big(a, &result, ret);
}

static enum num_status floating(struct arena *a, struct num x, struct num y, float_op *op, struct num *ret)
{
    struct bigfloat left, right, result;

    if (!bigfloat_of(a, x, &left) || !bigfloat_of(a, y, &right) || !op(a, &left, &right, &result)
        || !bigfloat_to_num(a, &result, ret))
        return failure(a);
    return NUM_OK;
}

static enum num_status calculate(struct arena *a, struct num x, struct num y, big_op *on_integers,
                                 float_op *on_fractions, struct num *ret)
{
    if (num_is_integer(x) && num_is_integer(y)) return exact(a, x, y, on_integers, ret);
    return floating(a, x, y, on_fractions, ret);
}

static bool bigfloat_sub(struct arena *a, const struct bigfloat *x, const struct bigfloat *y,
                         struct bigfloat *ret)
{
    struct bigfloat minus = { !y->negative, y->mantissa, y->exponent };

    return bigfloat_add(a, x, &minus, ret);
}

enum num_status num_add(struct arena *a, struct num x, struct num y, struct num *ret)
{
    int64_t sum;

    if (!x.len && !y.len && !__builtin_add_overflow(x.i, y.i, &sum)) return *ret = num_of(sum), NUM_OK;
    return calculate(a, x, y, big_add, bigfloat_add, ret);
}

enum num_status num_sub(struct arena *a, struct num x, struct num y, struct num *ret)
{
    int64_t difference;

    if (!x.len && !y.len && !__builtin_sub_overflow(x.i, y.i, &difference))
        return *ret = num_of(difference), NUM_OK;
    return calculate(a, x, y, big_sub, bigfloat_sub, ret);
}

enum num_status num_mul(struct arena *a, struct num x, struct num y, struct num *ret)
{
    int64_t product;

    if (!x.len && !y.len && !__builtin_mul_overflow(x.i, y.i, &product))
        return *ret = num_of(product), NUM_OK;
    return calculate(a, x, y, big_mul, bigfloat_mul, ret);
}

static enum num_status divide_integers(struct arena *a, struct num x, struct num y, bool want_rest,
                                       struct num *ret, bool *ret_exact)
{
    struct big left, right, quotient, rest;
    int cut;

    if (!integer_part(a, x, &left, &cut) || !integer_part(a, y, &right, &cut)
        || !big_divide(a, &left, &right, &quotient, &rest))
        return failure(a);
    *ret_exact = rest.count == 0;
    return from_big(a, want_rest ? &rest : &quotient, ret);
}

enum num_status num_div(struct arena *a, struct num x, struct num y, struct num *ret)
{
    bool divides = false;

    if (num_sign(y) == 0) return NUM_DIVIDE_BY_ZERO;
    if (!x.len && !y.len && y.i != -1) { /* INT64_MIN / -1 overflows */
        if (x.i % y.i == 0) return *ret = num_of(x.i / y.i), NUM_OK;
    } else if (num_is_integer(x) && num_is_integer(y)) {
        enum num_status s = divide_integers(a, x, y, false, ret, &divides);

        if (s != NUM_OK || divides) return s;
    }
    return floating(a, x, y, bigfloat_div, ret);
}

enum num_status num_rem(struct arena *a, struct num x, struct num y, struct num *ret)
{
    bool divides;

    if (!num_is_integer(x) || !num_is_integer(y)) return NUM_MODULO_FRACTION;
    if (num_sign(y) == 0) return NUM_MODULO_BY_ZERO;
    if (!x.len && !y.len) return *ret = num_of(y.i == -1 ? 0 : x.i % y.i), NUM_OK;
    return divide_integers(a, x, y, true, ret, &divides);
}

/* ---- one operand ---- */

enum num_status num_neg(struct arena *a, struct num x, struct num *ret)
{
    return num_sub(a, num_of(0), x, ret);
}

enum num_status num_abs(struct arena *a, struct num x, struct num *ret)
{
    if (num_sign(x) < 0) return num_neg(a, x, ret);
    *ret = x;
    return NUM_OK;
}

/* Integer part, then one step `away` from zero (in the number's own direction) or not. */
static enum num_status to_integer(struct arena *a, struct num x, bool (*away)(int sign, int cut),
                                  struct num *ret)
{
    struct big whole, one;
    int cut, sign = num_sign(x);

    if (!x.len) return *ret = x, NUM_OK;
    if (!integer_part(a, x, &whole, &cut)) return failure(a);
    if (cut >= 0 && away(sign, cut)
        && (!big_from_i64(a, sign, &one) || !big_add(a, &whole, &one, &whole)))
        return failure(a);
    return from_big(a, &whole, ret);
}

static bool upwards(int sign, int cut)
{
    (void) cut;
    return sign > 0;
}

static bool downwards(int sign, int cut)
{
    (void) cut;
    return sign < 0;
}

static bool half_away_from_zero(int sign, int cut)
{
    (void) sign;
    return cut >= 5;
}

enum num_status num_ceil(struct arena *a, struct num x, struct num *ret)
{
    return to_integer(a, x, upwards, ret);
}

enum num_status num_floor(struct arena *a, struct num x, struct num *ret)
{
    return to_integer(a, x, downwards, ret);
}

enum num_status num_round(struct arena *a, struct num x, struct num *ret)
{
    return to_integer(a, x, half_away_from_zero, ret);
}

/* ---- bits ---- */

static bool big_and(struct arena *a, const struct big *x, const struct big *y, struct big *ret)
{
    return big_bitwise(a, '&', x, y, ret);
}

static bool big_or(struct arena *a, const struct big *x, const struct big *y, struct big *ret)
{
    return big_bitwise(a, '|', x, y, ret);
}

static bool big_xor(struct arena *a, const struct big *x, const struct big *y, struct big *ret)
{
    return big_bitwise(a, '^', x, y, ret);
}

static enum num_status bitwise(struct arena *a, struct num x, struct num y, big_op *op, struct num *ret)
{
    if (!num_is_integer(x) || !num_is_integer(y)) return NUM_NOT_INTEGER;
    return exact(a, x, y, op, ret);
}

enum num_status num_and(struct arena *a, struct num x, struct num y, struct num *ret)
{
    if (!x.len && !y.len) return *ret = num_of(x.i & y.i), NUM_OK;
    return bitwise(a, x, y, big_and, ret);
}

enum num_status num_or(struct arena *a, struct num x, struct num y, struct num *ret)
{
    if (!x.len && !y.len) return *ret = num_of(x.i | y.i), NUM_OK;
    return bitwise(a, x, y, big_or, ret);
}

enum num_status num_xor(struct arena *a, struct num x, struct num y, struct num *ret)
{
    if (!x.len && !y.len) return *ret = num_of(x.i ^ y.i), NUM_OK;
    return bitwise(a, x, y, big_xor, ret);
}

enum num_status num_not(struct arena *a, struct num x, struct num *ret)
{
    if (!num_is_integer(x)) return NUM_NOT_INTEGER;
    return num_sub(a, num_of(-1), x, ret);
}

/* The shift count; bits beyond NUM_BITS_MAX cannot be there. */
static enum num_status shift_operands(struct arena *a, struct num x, struct num y, struct big *ret,
                                      int64_t *ret_bits)
{
    int cut;

    if (!num_is_integer(x) || !num_is_integer(y)) return NUM_NOT_INTEGER;
    if (num_sign(y) < 0) return NUM_TOO_LARGE;
    if (!num_to_i64(y, ret_bits)) *ret_bits = INT64_MAX;
    return integer_part(a, x, ret, &cut) ? NUM_OK : failure(a);
}

enum num_status num_shift_left(struct arena *a, struct num x, struct num y, struct num *ret)
{
    struct big value;
    int64_t bits = 0;
    enum num_status s = shift_operands(a, x, y, &value, &bits);

    if (s != NUM_OK) return s;
    if (!value.count) return *ret = num_of(0), NUM_OK;
    if (bits > NUM_BITS_MAX) return NUM_TOO_LARGE;
    if (!big_shift_left(a, &value, (size_t) bits, &value)) return failure(a);
    return from_big(a, &value, ret);
}

/* Arithmetic: rounds down, so that -1 stays -1. */
enum num_status num_shift_right(struct arena *a, struct num x, struct num y, struct num *ret)
{
    struct big value, one;
    int64_t bits = 0;
    bool lost = false;
    enum num_status s = shift_operands(a, x, y, &value, &bits);

    if (s != NUM_OK) return s;
    bool negative = value.negative;
    if (bits > NUM_BITS_MAX + 32) bits = NUM_BITS_MAX + 32;
    if (!big_shift_right(a, &value, (size_t) bits, &value, &lost)) return failure(a);
    if (negative && lost && (!big_from_i64(a, 1, &one) || !big_sub(a, &value, &one, &value)))
        return failure(a);
    return from_big(a, &value, ret);
}

/* ---- digits ---- */

char *num_digits(struct arena *a, struct num x, unsigned bits, size_t *ret_len)
{
    struct big whole;
    int cut;

    if (!integer_part(a, x, &whole, &cut)) return NULL;
    size_t width = big_bits(&whole), count = width ? (width + bits - 1) / bits : 1;
    char *digits = arena_alloc(a, count + 1);
    if (!digits) return NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = 0;

        for (unsigned b = 0; b < bits; b++) {
            size_t at = i * bits + b;
            if (at < width && whole.limbs[at / 32] >> at % 32 & 1) digit |= 1u << b;
        }
        digits[count - 1 - i] = "0123456789abcdef"[digit];
    }
    *ret_len = count;
    return digits;
}
