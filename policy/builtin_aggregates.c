#include "policy/builtin.h"
#include "policy/value.h"

const struct value *builtin_count(struct builtin_call *call, const struct value *const *args)
{
    const struct value *v = args[0];

    if (v->kind != VALUE_STRING) return value_int(call->arena, v->count);
    if (!builtin_spend(call, v->count / 16)) return NULL;
    return value_int(call->arena, (int64_t) utf8_count(v->string, v->count));
}

static const struct value *fold(struct builtin_call *call, const struct value *v, num_binary *op, struct num n)
{
    for (uint32_t i = 0; i < v->count; i++) {
        const struct value *item = v->items[i];
        const char *kind = value_kind_name(v->kind);

        if (item->kind != VALUE_NUMBER)
            return builtin_fail_operand(call, 1, "must be %s of numbers but got %s containing %s", kind, kind,
                                        value_kind_name(item->kind));
        if (!builtin_spend(call, 1) || !builtin_spend_numbers(call, n, item->number)) return NULL;
        enum num_status status = op(call->arena, n, item->number, &n);
        if (status != NUM_OK) return builtin_number_problem(call, status);
        if (!builtin_spend_result(call, n)) return NULL;
    }
    return value_num(call->arena, n);
}

const struct value *builtin_sum(struct builtin_call *call, const struct value *const *args)
{
    return fold(call, args[0], num_add, num_of(0));
}

const struct value *builtin_product(struct builtin_call *call, const struct value *const *args)
{
    return fold(call, args[0], num_mul, num_of(1));
}

/* The member furthest in the direction; nothing, without an error, of nothing. */
static const struct value *extreme(struct builtin_call *call, const struct value *v, int direction)
{
    const struct value *best = v->count ? v->items[0] : NULL;

    if (!builtin_spend(call, v->count)) return NULL;
    for (uint32_t i = 1; i < v->count; i++)
        if (value_compare(v->items[i], best) * direction > 0) best = v->items[i];
    return best;
}

const struct value *builtin_max(struct builtin_call *call, const struct value *const *args)
{
    return extreme(call, args[0], 1);
}

const struct value *builtin_min(struct builtin_call *call, const struct value *const *args)
{
    return extreme(call, args[0], -1);
}

const struct value *builtin_sort(struct builtin_call *call, const struct value *const *args)
{
    const struct value *v = args[0];
    const struct value **items = arena_alloc_array(call->arena, v->count, sizeof *items);

    if (!builtin_spend(call, 8 * (uint64_t) v->count)) return NULL;
    if (!items) return builtin_halt(call);
    for (uint32_t i = 0; i < v->count; i++) items[i] = v->items[i];
    if (!value_sort(call->arena, items, v->count)) return builtin_halt(call);
    return value_array(call->arena, items, v->count);
}
