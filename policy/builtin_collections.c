/* Arrays, sets, membership. */
#include "policy/builtin.h"
#include "policy/value.h"

/* ---- membership: `x in c` and `k, v in c` ---- */

const struct value *builtin_member_2(struct builtin_call *call, const struct value *const *args)
{
    const struct value *wanted = args[0], *v = args[1];

    if (v->kind == VALUE_SET) return value_bool(set_has(v, wanted));
    if (v->kind != VALUE_ARRAY && v->kind != VALUE_OBJECT) return value_bool(false);
    if (!builtin_spend(call, v->count)) return NULL;
    for (uint32_t i = 0; i < v->count; i++)
        if (value_equal(v->kind == VALUE_ARRAY ? v->items[i] : v->pairs[i].value, wanted)) return value_bool(true);
    return value_bool(false);
}

const struct value *builtin_member_3(struct builtin_call *call, const struct value *const *args)
{
    const struct value *found = value_get(args[2], args[0]);

    return value_bool(found && value_equal(found, args[1]));
}

/* ---- arrays ---- */

static bool add_all(struct builtin_call *call, struct value_builder *b, const struct value *v)
{
    if (!builtin_spend(call, v->count)) return false;
    for (uint32_t i = 0; i < v->count; i++)
        if (!value_builder_add(b, v->items[i])) return false;
    return true;
}

const struct value *builtin_array_concat(struct builtin_call *call, const struct value *const *args)
{
    struct value_builder b;

    value_builder_init(&b, call->arena, VALUE_ARRAY);
    if (!add_all(call, &b, args[0]) || !add_all(call, &b, args[1])) return NULL;
    return builtin_builder_end(call, &b);
}

/* The index, put into 0..limit; an integer beyond 64 bits has only its sign. */
static uint32_t clamp(const struct value *index, uint32_t limit)
{
    int64_t i;

    if (num_sign(index->number) < 0) return 0;
    return num_to_i64(index->number, &i) && i < limit ? (uint32_t) i : limit;
}

const struct value *builtin_array_slice(struct builtin_call *call, const struct value *const *args)
{
    const struct value *v = args[0];
    uint32_t stop = clamp(args[2], v->count), start = clamp(args[1], stop);
    struct value_builder b;

    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (uint32_t i = start; i < stop; i++)
        if (!value_builder_add(&b, v->items[i])) return builtin_halt(call);
    return builtin_builder_end(call, &b);
}

const struct value *builtin_array_reverse(struct builtin_call *call, const struct value *const *args)
{
    struct value_builder b;

    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (uint32_t i = args[0]->count; i--;)
        if (!value_builder_add(&b, args[0]->items[i])) return builtin_halt(call);
    return builtin_builder_end(call, &b);
}

/* One level: what the inner arrays hold stays as it is. */
const struct value *builtin_array_flatten(struct builtin_call *call, const struct value *const *args)
{
    struct value_builder b;

    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (uint32_t i = 0; i < args[0]->count; i++) {
        const struct value *item = args[0]->items[i];

        if (item->kind == VALUE_ARRAY ? !add_all(call, &b, item) : !value_builder_add(&b, item)) return NULL;
    }
    return builtin_builder_end(call, &b);
}

/* ---- sets ---- */

const struct value *builtin_and(struct builtin_call *call, const struct value *const *args)
{
    if (!builtin_spend(call, (uint64_t) args[0]->count + args[1]->count)) return NULL;
    return set_intersection(call->arena, args[0], args[1]);
}

const struct value *builtin_or(struct builtin_call *call, const struct value *const *args)
{
    if (!builtin_spend(call, (uint64_t) args[0]->count + args[1]->count)) return NULL;
    return set_union(call->arena, args[0], args[1]);
}

/* Every member must be a set. */
static bool are_sets(struct builtin_call *call, const struct value *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        if (v->items[i]->kind == VALUE_SET) continue;
        builtin_fail_operand(call, 1, "must be set of sets but got set containing %s",
                             value_kind_name(v->items[i]->kind));
        return false;
    }
    return true;
}

const struct value *builtin_intersection(struct builtin_call *call, const struct value *const *args)
{
    const struct value *sets = args[0], *rest = sets->count ? sets->items[0] : &VALUE_EMPTY_SET;

    if (!are_sets(call, sets)) return NULL;
    for (uint32_t i = 1; rest && i < sets->count; i++) {
        if (!builtin_spend(call, (uint64_t) rest->count + sets->items[i]->count)) return NULL;
        rest = set_intersection(call->arena, rest, sets->items[i]);
    }
    return rest;
}

const struct value *builtin_union(struct builtin_call *call, const struct value *const *args)
{
    struct value_builder b;

    value_builder_init(&b, call->arena, VALUE_SET);
    if (!are_sets(call, args[0])) return NULL;
    for (uint32_t i = 0; i < args[0]->count; i++)
        if (!add_all(call, &b, args[0]->items[i])) return NULL;
    return builtin_builder_end(call, &b);
}
