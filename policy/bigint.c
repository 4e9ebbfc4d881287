#include "policy/bigint.h"

#include <string.h>

static bool make(struct arena *a, size_t limbs, struct big *ret)
{
    *ret = (struct big) { 0 };
    if (limbs > BIG_LIMBS_MAX) return false;
    ret->limbs = arena_alloc_array(a, limbs ? limbs : 1, sizeof *ret->limbs);
    ret->count = limbs;
    return ret->limbs != NULL;
}

static bool trim(struct big *x)
{
    while (x->count && x->limbs[x->count - 1] == 0) x->count--;
    if (!x->count) x->negative = false;
    return true;
}

static uint64_t limb(const struct big *x, size_t i)
{
    return i < x->count ? x->limbs[i] : 0;
}

bool big_from_i64(struct arena *a, int64_t i, struct big *ret)
{
    uint64_t magnitude = i < 0 ? 0 - (uint64_t) i : (uint64_t) i;

    if (!make(a, 2, ret)) return false;
    ret->limbs[0] = (uint32_t) magnitude;
    ret->limbs[1] = (uint32_t) (magnitude >> 32);
    ret->negative = i < 0;
    return trim(ret);
}

/* x = x * factor + addend, in place; x has room for one limb more. */
static void multiply_add(struct big *x, uint32_t factor, uint32_t addend)
{
    uint64_t carry = addend;

    for (size_t i = 0; i < x->count; i++) {
        carry += (uint64_t) x->limbs[i] * factor;
        x->limbs[i] = (uint32_t) carry;
        carry >>= 32;
    }
    if (carry) x->limbs[x->count++] = (uint32_t) carry;
}

bool big_from_digits(struct arena *a, const char *digits, size_t len, struct big *ret)
{
    if (!make(a, len / 9 + 1, ret)) return false; /* 10^9 < 2^32 */
    ret->count = 0;
    for (size_t i = 0; i < len;) {
        uint32_t part = 0, scale = 1;

        for (; i < len && scale < 1000000000; i++, scale *= 10)
            part = part * 10 + (uint32_t) (digits[i] - '0');
        multiply_add(ret, scale, part);
    }
    return trim(ret);
}

/* Divides in place, returns the remainder. Inline: by a constant it multiplies. */
static inline uint32_t divide_small(struct big *x, uint32_t divisor)
{
    uint64_t rest = 0;

    for (size_t i = x->count; i--;) {
        rest = rest << 32 | x->limbs[i];
        x->limbs[i] = (uint32_t) (rest / divisor);
        rest %= divisor;
    }
    trim(x);
    return (uint32_t) rest;
}

const char *big_text(struct arena *a, const struct big *x, size_t *ret_len)
{
    size_t size = x->count * 10 + 3; /* 2^32 < 10^10 */
    char *buf = arena_alloc(a, size);
    struct big rest;

    if (!buf || !make(a, x->count, &rest)) return NULL;
    char *at = buf + size - 1;
    if (x->count) memcpy(rest.limbs, x->limbs, x->count * sizeof *x->limbs);
    do {
        uint32_t part = divide_small(&rest, 1000000000);

        for (int i = 0; i < 9 && (part || rest.count); i++, part /= 10)
            *--at = (char) ('0' + part % 10);
    } while (rest.count);
    if (*at == '\0') *--at = '0';
    if (x->negative) *--at = '-';
    *ret_len = (size_t) (buf + size - 1 - at);
    return at;
}

bool big_to_i64(const struct big *x, int64_t *ret)
{
    uint64_t magnitude = limb(x, 1) << 32 | limb(x, 0);

    if (x->count > 2 || magnitude > (uint64_t) INT64_MAX + x->negative) return false;
    *ret = x->negative ? (int64_t) (0 - magnitude) : (int64_t) magnitude;
    return true;
}

size_t big_bits(const struct big *x)
{
    if (!x->count) return 0;
    return x->count * 32 - (size_t) __builtin_clz(x->limbs[x->count - 1]);
}

int big_compare_magnitude(const struct big *x, const struct big *y)
{
    if (x->count != y->count) return x->count < y->count ? -1 : 1;
    for (size_t i = x->count; i--;)
        if (x->limbs[i] != y->limbs[i]) return x->limbs[i] < y->limbs[i] ? -1 : 1;
    return 0;
}

static bool add_magnitude(struct arena *a, const struct big *x, const struct big *y, struct big *ret)
{
    size_t count = (x->count > y->count ? x->count : y->count) + 1;
    struct big sum;
    uint64_t carry = 0;

    if (!make(a, count, &sum)) return false;
    for (size_t i = 0; i < count; i++, carry >>= 32) {
        carry += limb(x, i) + limb(y, i);
        sum.limbs[i] = (uint32_t) carry;
    }
    *ret = sum;
    return trim(ret);
}

/* |x| >= |y| */
static bool sub_magnitude(struct arena *a, const struct big *x, const struct big *y, struct big *ret)
{
    struct big difference;
    uint64_t borrow = 0;

    if (!make(a, x->count, &difference)) return false;
    for (size_t i = 0; i < x->count; i++) {
        uint64_t d = limb(x, i) - limb(y, i) - borrow;

        difference.limbs[i] = (uint32_t) d;
        borrow = d >> 63;
    }
    *ret = difference;
    return trim(ret);
}

static bool add_signed(struct arena *a, const struct big *x, const struct big *y, bool y_negative,
                       struct big *ret)
{
    bool negative = x->negative, ok = false;

    if (negative == y_negative) {
        ok = add_magnitude(a, x, y, ret);
    } else if (big_compare_magnitude(x, y) >= 0) {
        ok = sub_magnitude(a, x, y, ret);
    } else {
        negative = y_negative;
        ok = sub_magnitude(a, y, x, ret);
    }
    if (ok) ret->negative = negative && ret->count;
    return ok;
}

bool big_add(struct arena *a, const struct big *x, const struct big *y, struct big *ret)
{
    return add_signed(a, x, y, y->negative, ret);
}

bool big_sub(struct arena *a, const struct big *x, const struct big *y, struct big *ret)
{
    return add_signed(a, x, y, !y->negative, ret);
}

bool big_mul(struct arena *a, const struct big *x, const struct big *y, struct big *ret)
{
    struct big product;

    if (!make(a, x->count + y->count, &product)) return false;
    for (size_t i = 0; i < x->count; i++) {
        uint64_t carry = 0;

        for (size_t j = 0; j < y->count; j++, carry >>= 32) {
            carry += (uint64_t) x->limbs[i] * y->limbs[j] + product.limbs[i + j];
            product.limbs[i + j] = (uint32_t) carry;
        }
        product.limbs[i + y->count] = (uint32_t) carry;
    }
    product.negative = x->negative != y->negative;
    *ret = product;
    return trim(ret);
}

bool big_power10(struct arena *a, size_t exponent, struct big *ret)
{
    struct big base, power;

    if (!big_from_i64(a, 10, &base) || !big_from_i64(a, 1, &power)) return false;
    for (; exponent; exponent >>= 1) {
        if ((exponent & 1) && !big_mul(a, &power, &base, &power)) return false;
        if (exponent > 1 && !big_mul(a, &base, &base, &base)) return false;
    }
    *ret = power;
    return true;
}

bool big_shift_left(struct arena *a, const struct big *x, size_t bits, struct big *ret)
{
    size_t whole = bits / 32, part = bits % 32;
    struct big shifted;

    if (whole > BIG_LIMBS_MAX || !make(a, x->count + whole + 1, &shifted)) return false;
    for (size_t i = 0; i <= x->count; i++) {
        uint64_t pair = limb(x, i) << 32 | (i ? limb(x, i - 1) : 0);

        shifted.limbs[i + whole] = (uint32_t) (pair >> (32 - part));
    }
    shifted.negative = x->negative;
    *ret = shifted;
    return trim(ret);
}

bool big_shift_right(struct arena *a, const struct big *x, size_t bits, struct big *ret, bool *ret_lost)
{
    size_t whole = bits / 32, part = bits % 32;
    bool lost = false;
    struct big shifted;

    if (!make(a, whole < x->count ? x->count - whole : 0, &shifted)) return false;
    for (size_t i = 0; i < whole && i < x->count; i++) lost = lost || x->limbs[i];
    if (part && whole < x->count) lost = lost || x->limbs[whole] << (32 - part);
    for (size_t i = 0; i < shifted.count; i++) {
        uint64_t pair = limb(x, i + whole + 1) << 32 | limb(x, i + whole);

        shifted.limbs[i] = (uint32_t) (pair >> part);
    }
    shifted.negative = x->negative;
    *ret = shifted;
    if (ret_lost) *ret_lost = lost;
    return trim(ret);
}

/* One digit of Knuth's algorithm D: how often `y` goes into the top of `x` at limb j; y's top limb
 * has its top bit set, so the guess is at most two too high. Subtracts as it goes. */
static uint32_t quotient_digit(struct big *x, const struct big *y, size_t j)
{
    size_t n = y->count;
    uint64_t top = (uint64_t) x->limbs[j + n] << 32 | x->limbs[j + n - 1];
    uint64_t guess = top / y->limbs[n - 1], rest = top % y->limbs[n - 1];

    while (guess >> 32 || guess * y->limbs[n - 2] > (rest << 32 | x->limbs[j + n - 2])) {
        guess--;
        rest += y->limbs[n - 1];
        if (rest >> 32) break;
    }
    uint64_t borrow = 0, carry = 0;
    for (size_t i = 0; i < n; i++, carry >>= 32) {
        carry += guess * y->limbs[i];
        uint64_t d = (uint64_t) x->limbs[i + j] - (uint32_t) carry - borrow;
        x->limbs[i + j] = (uint32_t) d;
        borrow = d >> 63;
    }
    uint64_t d = (uint64_t) x->limbs[j + n] - carry - borrow;
    x->limbs[j + n] = (uint32_t) d;
    if (d >> 63 == 0) return (uint32_t) guess;
    carry = 0; /* once too often: add it back */
    for (size_t i = 0; i < n; i++, carry >>= 32) {
        carry += (uint64_t) x->limbs[i + j] + y->limbs[i];
        x->limbs[i + j] = (uint32_t) carry;
    }
    x->limbs[j + n] += (uint32_t) carry;
    return (uint32_t) guess - 1;
}

/* |x| >= |y|, y of two limbs or more. */
static bool divide_long(struct arena *a, const struct big *x, const struct big *y, struct big *quotient,
                        struct big *rest)
{
    size_t shift = (size_t) __builtin_clz(y->limbs[y->count - 1]);
    struct big divisor, dividend, shifted;

    if (!big_shift_left(a, y, shift, &divisor) || !big_shift_left(a, x, shift, &shifted)
        || !make(a, x->count + 1, &dividend) || !make(a, x->count - y->count + 1, quotient))
        return false;
    memcpy(dividend.limbs, shifted.limbs, shifted.count * sizeof *shifted.limbs);
    for (size_t j = quotient->count; j--;)
        quotient->limbs[j] = quotient_digit(&dividend, &divisor, j);
    trim(&dividend);
    return big_shift_right(a, &dividend, shift, rest, NULL);
}

bool big_divide(struct arena *a, const struct big *x, const struct big *y, struct big *ret_quotient,
                struct big *ret_remainder)
{
    struct big quotient, rest;
    bool negative = x->negative != y->negative, rest_negative = x->negative;

    if (big_compare_magnitude(x, y) < 0) {
        rest = *x;
        if (!make(a, 0, &quotient)) return false;
    } else if (y->count == 1) {
        if (!make(a, x->count, &quotient) || !make(a, 1, &rest)) return false;
        memcpy(quotient.limbs, x->limbs, x->count * sizeof *x->limbs);
        rest.limbs[0] = divide_small(&quotient, y->limbs[0]);
    } else if (!divide_long(a, x, y, &quotient, &rest)) {
        return false;
    }
    quotient.negative = negative;
    rest.negative = rest_negative;
    *ret_quotient = quotient;
    *ret_remainder = rest;
    return trim(ret_quotient) && trim(ret_remainder);
}

/* Two's complement of x in `count` limbs, or back: negation is its own inverse. */
static void negate_limbs(uint32_t *limbs, size_t count)
{
    uint64_t carry = 1;

    for (size_t i = 0; i < count; i++, carry >>= 32) {
        carry += (uint32_t) ~limbs[i];
        limbs[i] = (uint32_t) carry;
    }
}

static bool complement(struct arena *a, const struct big *x, size_t count, struct big *ret)
{
    if (!make(a, count, ret)) return false;
    if (x->count) memcpy(ret->limbs, x->limbs, x->count * sizeof *x->limbs);
    if (x->negative) negate_limbs(ret->limbs, count);
    return true;
}

bool big_bitwise(struct arena *a, char op, const struct big *x, const struct big *y, struct big *ret)
{
    size_t count = (x->count > y->count ? x->count : y->count) + 1;
    struct big left, right;

    if (!complement(a, x, count, &left) || !complement(a, y, count, &right)) return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t l = left.limbs[i], r = right.limbs[i];

        left.limbs[i] = op == '&' ? l & r : op == '|' ? l | r : l ^ r;
    }
    left.negative = left.limbs[count - 1] >> 31;
    if (left.negative) negate_limbs(left.limbs, count);
    *ret = left;
    return trim(ret);
}
