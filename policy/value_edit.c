/* New values from old ones: the old stay as they are, members are shared. */
#include "policy/value.h"

static struct value_pair *pairs_for(struct arena *a, size_t count)
{
    return arena_alloc_array(a, count, sizeof(struct value_pair));
}

static void move_pairs(struct value_pair *to, const struct value_pair *from, size_t count)
{
    if (count) memcpy(to, from, count * sizeof *to);
}

const struct value *object_with(struct arena *a, const struct value *object, const struct value *key,
                                const struct value *value)
{
    size_t at;
    bool there = value_find(object, key, &at);
    struct value_pair *pairs = pairs_for(a, object->count + 1u);

    if (!pairs) return NULL;
    move_pairs(pairs, object->pairs, at);
    pairs[at] = (struct value_pair) { key, value };
    if (at + there < object->count)
        move_pairs(pairs + at + 1, object->pairs + at + there, object->count - at - there);
    return value_object(a, pairs, object->count + 1u - there, NULL);
}

const struct value *object_without(struct arena *a, const struct value *object, const struct value *key)
{
    size_t at;

    if (!value_find(object, key, &at)) return object;
    struct value_pair *pairs = pairs_for(a, object->count);

    if (!pairs) return NULL;
    move_pairs(pairs, object->pairs, at);
    move_pairs(pairs + at, object->pairs + at + 1, object->count - at - 1);
    return value_object(a, pairs, object->count - 1u, NULL);
}

const struct value *object_merge(struct arena *a, const struct value *left, const struct value *right)
{
    size_t l = 0, r = 0, count = 0;
    struct value_pair *pairs = pairs_for(a, (size_t) left->count + right->count);

    if (!pairs) return NULL;
    while (l < left->count || r < right->count) {
        int order = l == left->count    ? 1
                    : r == right->count ? -1
                                        : value_compare(left->pairs[l].key, right->pairs[r].key);

        if (order < 0) {
            pairs[count++] = left->pairs[l++];
            continue;
        }
        struct value_pair pair = right->pairs[r++];
        if (order == 0) {
            const struct value *other = left->pairs[l++].value;

            if (value_is(other, VALUE_OBJECT) && value_is(pair.value, VALUE_OBJECT))
                pair.value = object_merge(a, other, pair.value);
            if (!pair.value) return NULL;
        }
        pairs[count++] = pair;
    }
    return value_object(a, pairs, count, NULL);
}

/* Walks two sets side by side and keeps what is only left, in both, only right. */
static const struct value *combine(struct arena *a, const struct value *x, const struct value *y,
                                   bool only_x, bool both, bool only_y)
{
    size_t i = 0, j = 0, count = 0;
    const struct value **items = arena_alloc_array(a, (size_t) x->count + y->count, sizeof *items);

    if (!items) return NULL;
    while (i < x->count || j < y->count) {
        int order = i == x->count ? 1 : j == y->count ? -1 : value_compare(x->items[i], y->items[j]);
        const struct value *item = order <= 0 ? x->items[i] : y->items[j];

        if (order < 0 ? only_x : order == 0 ? both : only_y) items[count++] = item;
        i += order <= 0;
        j += order >= 0;
    }
    return value_set(a, items, count);
}

const struct value *set_union(struct arena *a, const struct value *x, const struct value *y)
{
    return combine(a, x, y, true, true, true);
}

const struct value *set_intersection(struct arena *a, const struct value *x, const struct value *y)
{
    return combine(a, x, y, false, true, false);
}

const struct value *set_minus(struct arena *a, const struct value *x, const struct value *y)
{
    return combine(a, x, y, true, false, false);
}

static const struct value *copy_number(struct arena *a, struct num n)
{
    if (n.len && !(n.text = arena_copy(a, n.text, n.len))) return NULL;
    return value_num(a, n);
}

/* Order and depth are those of the original: nothing is sorted again. */
static const struct value *copy_composite(struct arena *a, const struct value *v)
{
    size_t width = v->kind == VALUE_OBJECT ? 2 : 1;
    const struct value **members = arena_alloc_array(a, v->count * width, sizeof *members);
    const struct value *const *from = v->kind == VALUE_OBJECT ? &v->pairs->key : v->items;
    struct value *copy = arena_alloc(a, sizeof *copy);

    if (!members || !copy) return NULL;
    _Static_assert(sizeof(struct value_pair) == 2 * sizeof(struct value *), "a pair is two pointers");
    for (size_t i = 0; i < v->count * width; i++)
        if (!(members[i] = value_copy(a, from[i]))) return NULL;
    *copy = *v;
    if (v->kind == VALUE_OBJECT)
        copy->pairs = (const struct value_pair *) (const void *) members;
    else
        copy->items = members;
    return copy;
}

/* The members' array, the composite itself, its members. */
static size_t composite_bytes(const struct value *v)
{
    size_t width = v->kind == VALUE_OBJECT ? 2 : 1, bytes = v->count * width * sizeof *v->items + sizeof *v;
    const struct value *const *from = v->kind == VALUE_OBJECT ? &v->pairs->key : v->items;

    for (size_t i = 0; i < v->count * width; i++) bytes += value_copy_bytes(from[i]);
    return bytes;
}

size_t value_copy_bytes(const struct value *v)
{
    if (v->kind == VALUE_NUMBER) {
        if (v->number.len) return arena_whole(v->number.len + 1) + sizeof *v;
        return value_num_ready(v->number) ? 0 : sizeof *v;
    }
    if (v->kind < VALUE_STRING || v->count == 0) return 0; /* there already */
    if (v->kind == VALUE_STRING) return arena_whole(v->count + 1) + sizeof *v;
    return composite_bytes(v);
}

const struct value *value_copy(struct arena *a, const struct value *v)
{
    switch (v->kind) {
    case VALUE_NULL: return value_null();
    case VALUE_BOOL: return value_bool(v->boolean);
    case VALUE_NUMBER: return copy_number(a, v->number);
    case VALUE_STRING: return value_string(a, v->string, v->count);
    case VALUE_ARRAY:
        if (v->count == 0) return &VALUE_EMPTY_ARRAY;
        break;
    case VALUE_OBJECT:
        if (v->count == 0) return &VALUE_EMPTY_OBJECT;
        break;
    default:
        if (v->count == 0) return &VALUE_EMPTY_SET;
        break;
    }
    return copy_composite(a, v);
}
