/* Operators on numbers, rounding, ranges, bits. */
#include "policy/builtin.h"
#include "policy/value.h"

/* A fraction's binary form costs in any case, more the further its point lies from its digits. */
bool builtin_spend_numbers(struct builtin_call *call, struct num x, struct num y)
{
    if (!x.len && !y.len) return true;
    return builtin_spend(call, 60 + (uint64_t) x.len * y.len / 1000 + (x.len + y.len) / 4 + num_zeros(x) / 3
                                   + num_zeros(y) / 3);
}

/* Its text costs the square of its length. */
bool builtin_spend_result(struct builtin_call *call, struct num n)
{
    return !n.len || builtin_spend(call, (uint64_t) n.len * n.len / 2500);
}

static const struct value *answer(struct builtin_call *call, enum num_status status, struct num n)
{
    if (status != NUM_OK) return builtin_number_problem(call, status);
    return builtin_spend_result(call, n) ? value_num(call->arena, n) : NULL;
}

static const struct value *binary(struct builtin_call *call, const struct value *const *args, num_binary *op)
{
    struct num x = args[0]->number, y = args[1]->number, n = num_of(0);

    if (!builtin_spend_numbers(call, x, y)) return NULL;
    enum num_status status = op(call->arena, x, y, &n);
    return answer(call, status, n);
}

static const struct value *unary(struct builtin_call *call, const struct value *const *args, num_unary *op)
{
    struct num x = args[0]->number, n = num_of(0);

    if (!builtin_spend_numbers(call, x, x)) return NULL;
    enum num_status status = op(call->arena, x, &n);
    return answer(call, status, n);
}

#define BINARY(name, op)                                                                       \
    const struct value *name(struct builtin_call *call, const struct value *const *args)       \
    {                                                                                          \
        return binary(call, args, op);                                                         \
    }
#define UNARY(name, op)                                                                        \
    const struct value *name(struct builtin_call *call, const struct value *const *args)       \
    {                                                                                          \
        return unary(call, args, op);                                                          \
    }

BINARY(builtin_plus, num_add)
BINARY(builtin_mul, num_mul)
BINARY(builtin_div, num_div)
BINARY(builtin_rem, num_rem)
UNARY(builtin_abs, num_abs)
UNARY(builtin_ceil, num_ceil)
UNARY(builtin_floor, num_floor)
UNARY(builtin_round, num_round)
BINARY(builtin_bits_and, num_and)
BINARY(builtin_bits_or, num_or)
BINARY(builtin_bits_xor, num_xor)
UNARY(builtin_bits_negate, num_not)

/* Of numbers or of sets; OPA names the kind that the other operand suggests. */
const struct value *builtin_minus(struct builtin_call *call, const struct value *const *args)
{
    const struct value *x = args[0], *y = args[1];

    if (x->kind == VALUE_NUMBER && y->kind == VALUE_NUMBER) return binary(call, args, num_sub);
    if (x->kind != VALUE_NUMBER && x->kind != VALUE_SET)
        return builtin_fail_type(call, 1, "one of {number, set}", x);
    if (x->kind != y->kind) return builtin_fail_type(call, 2, x->kind == VALUE_SET ? "set" : "number", y);
    if (!builtin_spend(call, (uint64_t) x->count + y->count)) return NULL;
    return set_minus(call->arena, x, y);
}

static const struct value *shift(struct builtin_call *call, const struct value *const *args, num_binary *op)
{
    if (num_sign(args[1]->number) < 0)
        return builtin_fail_operand(call, 2, "must be an unsigned integer number but got a negative integer");
    return binary(call, args, op);
}

const struct value *builtin_bits_lsh(struct builtin_call *call, const struct value *const *args)
{
    return shift(call, args, num_shift_left);
}

const struct value *builtin_bits_rsh(struct builtin_call *call, const struct value *const *args)
{
    return shift(call, args, num_shift_right);
}

/* ---- comparison: any two values, in the canonical order ---- */

static bool charge_compare(struct builtin_call *call, const struct value *const *args)
{
    uint32_t x = args[0]->count, y = args[1]->count;

    return builtin_spend(call, x < y ? x / 16 : y / 16);
}

#define COMPARISON(name, condition)                                                            \
    const struct value *name(struct builtin_call *call, const struct value *const *args)       \
    {                                                                                          \
        if (!charge_compare(call, args)) return NULL;                                          \
        return value_bool(condition);                                                          \
    }

COMPARISON(builtin_equal, value_equal(args[0], args[1]))
COMPARISON(builtin_neq, !value_equal(args[0], args[1]))
COMPARISON(builtin_lt, value_compare(args[0], args[1]) < 0)
COMPARISON(builtin_lte, value_compare(args[0], args[1]) <= 0)
COMPARISON(builtin_gt, value_compare(args[0], args[1]) > 0)
COMPARISON(builtin_gte, value_compare(args[0], args[1]) >= 0)

/* ---- ranges ---- */

/* from, from + step, ... as far as `to`, which is included; downwards when it is the smaller. */
static const struct value *range(struct builtin_call *call, struct num from, struct num to, struct num step)
{
    struct value_builder b;
    int direction = num_compare(from, to);
    num_binary *move = direction > 0 ? num_sub : num_add;

    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (struct num at = from; num_compare(at, to) * (direction ? direction : 1) >= 0;) {
        const struct value *member = value_num(call->arena, at);

        if (!builtin_spend(call, 1) || !builtin_spend_numbers(call, at, step)) return NULL;
        if (!member || !value_builder_add(&b, member)) return builtin_halt(call);
        enum num_status status = move(call->arena, at, step, &at);
        if (status != NUM_OK) return answer(call, status, at);
        if (!direction) break;
    }
    return builtin_builder_end(call, &b);
}

const struct value *builtin_numbers_range(struct builtin_call *call, const struct value *const *args)
{
    return range(call, args[0]->number, args[1]->number, num_of(1));
}

const struct value *builtin_numbers_range_step(struct builtin_call *call, const struct value *const *args)
{
    if (num_sign(args[2]->number) <= 0) return builtin_fail(call, "step must be a positive integer");
    return range(call, args[0]->number, args[1]->number, args[2]->number);
}
