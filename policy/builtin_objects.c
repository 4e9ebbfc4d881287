#include "policy/builtin.h"
#include "policy/value.h"

/* A key that is an array is a path. */
const struct value *builtin_object_get(struct builtin_call *call, const struct value *const *args)
{
    const struct value *found = args[0], *key = args[1];

    if (key->kind != VALUE_ARRAY) {
        found = object_get(found, key);
    } else {
        for (uint32_t i = 0; found && i < key->count; i++) found = value_get(found, key->items[i]);
    }
    return found ? found : args[2];
}

const struct value *builtin_object_keys(struct builtin_call *call, const struct value *const *args)
{
    struct value_builder b;

    value_builder_init(&b, call->arena, VALUE_SET);
    for (uint32_t i = 0; i < args[0]->count; i++)
        if (!value_builder_add(&b, args[0]->pairs[i].key)) return builtin_halt(call);
    return builtin_builder_end(call, &b);
}

/* The keys given as an object's keys, a set or an array: as something to look into. */
static const struct value *as_lookup(struct builtin_call *call, const struct value *keys)
{
    struct value_builder b;

    if (keys->kind != VALUE_ARRAY) return keys;
    value_builder_init(&b, call->arena, VALUE_SET);
    for (uint32_t i = 0; i < keys->count; i++)
        if (!value_builder_add(&b, keys->items[i])) return builtin_halt(call);
    return builtin_builder_end(call, &b);
}

static const struct value *select_keys(struct builtin_call *call, const struct value *const *args, bool listed)
{
    const struct value *object = args[0], *keys = as_lookup(call, args[1]);
    struct value_builder b;
    size_t at;

    if (!keys || !builtin_spend(call, object->count)) return NULL;
    value_builder_init(&b, call->arena, VALUE_OBJECT);
    for (uint32_t i = 0; i < object->count; i++) {
        const struct value_pair *p = &object->pairs[i];

        if (value_find(keys, p->key, &at) == listed && !value_builder_put(&b, p->key, p->value)) return NULL;
    }
    return builtin_builder_end(call, &b);
}

const struct value *builtin_object_filter(struct builtin_call *call, const struct value *const *args)
{
    return select_keys(call, args, true);
}

const struct value *builtin_object_remove(struct builtin_call *call, const struct value *const *args)
{
    return select_keys(call, args, false);
}

/* ---- union ---- */

const struct value *builtin_object_union(struct builtin_call *call, const struct value *const *args)
{
    if (!builtin_spend(call, (uint64_t) args[0]->count + args[1]->count)) return NULL;
    return object_merge(call->arena, args[0], args[1]);
}

const struct value *builtin_object_union_n(struct builtin_call *call, const struct value *const *args)
{
    const struct value *merged = &VALUE_EMPTY_OBJECT;

    for (uint32_t i = 0; merged && i < args[0]->count; i++) {
        const struct value *item = args[0]->items[i];

        if (item->kind != VALUE_OBJECT)
            return builtin_fail_operand(call, 1, "must be array of objects but got array containing %s",
                                        value_kind_name(item->kind));
        if (!builtin_spend(call, 1 + (uint64_t) merged->count + item->count)) return NULL;
        merged = object_merge(call->arena, merged, item);
    }
    return merged;
}

/* ---- subset ---- */

static bool is_subset(struct builtin_call *call, const struct value *super, const struct value *sub);

static bool spend_comparing(struct builtin_call *call, const struct value *v)
{
    return builtin_spend(call, 1 + value_weight(v) / 16);
}

/* The members of an object may be subsets themselves, if both are of one kind. */
static bool object_is_subset(struct builtin_call *call, const struct value *super, const struct value *sub)
{
    for (uint32_t i = 0; i < sub->count; i++) {
        const struct value *inner = sub->pairs[i].value, *found = object_get(super, sub->pairs[i].key);

        if (!spend_comparing(call, inner) || !found) return false;
        if (value_equal(found, inner)) continue;
        if (found->kind != inner->kind || inner->kind < VALUE_ARRAY) return false;
        if (!is_subset(call, found, inner)) return false;
    }
    return true;
}

static bool set_is_subset(struct builtin_call *call, const struct value *super, const struct value *sub)
{
    for (uint32_t i = 0; i < sub->count; i++)
        if (!spend_comparing(call, sub->items[i]) || !set_has(super, sub->items[i])) return false;
    return true;
}

/* One array within the other, in one piece. */
static bool array_is_subset(struct builtin_call *call, const struct value *super, const struct value *sub)
{
    for (uint32_t start = 0; start + (uint64_t) sub->count <= super->count; start++) {
        uint32_t same = 0;

        while (same < sub->count && spend_comparing(call, sub->items[same]) &&
               value_equal(super->items[start + same], sub->items[same])) same++;
        if (call->problem != BUILTIN_FINE) return false;
        if (same == sub->count) return true;
    }
    return false;
}

static bool array_has_all(struct builtin_call *call, const struct value *super, const struct value *sub)
{
    const struct value *members = as_lookup(call, super);

    return members && set_is_subset(call, members, sub);
}

static bool is_subset(struct builtin_call *call, const struct value *super, const struct value *sub)
{
    if (super->kind == VALUE_OBJECT) return object_is_subset(call, super, sub);
    if (super->kind == VALUE_SET) return set_is_subset(call, super, sub);
    return sub->kind == VALUE_SET ? array_has_all(call, super, sub) : array_is_subset(call, super, sub);
}

const struct value *builtin_object_subset(struct builtin_call *call, const struct value *const *args)
{
    const struct value *super = args[0], *sub = args[1];
    bool comparable = super->kind == sub->kind ? super->kind >= VALUE_ARRAY
                                               : super->kind == VALUE_ARRAY && sub->kind == VALUE_SET;

    if (!comparable) {
        builtin_fail(call, "both arguments object.subset must be of the same type or array and set");
        call->problem = BUILTIN_TYPE_ERROR;
        return NULL;
    }
    return value_bool(is_subset(call, super, sub));
}
