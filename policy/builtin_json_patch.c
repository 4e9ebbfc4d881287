/* json.patch (RFC 6902), also on sets, where a member is its own key. Whatever cannot be applied
 * leaves the whole call undefined, without an error; an explanation tells which operation it was. */
#include "policy/builtin_path.h"

enum patch_op { PATCH_ADD, PATCH_REMOVE, PATCH_REPLACE, PATCH_MOVE, PATCH_COPY, PATCH_TEST, PATCH_OPS };

/* What an operation needs besides "op" and "path". */
static const struct patch_kind {
    const char *name;
    bool from, value;
} patch_kinds[PATCH_OPS] = {
    [PATCH_ADD] = { "add", false, true },         [PATCH_REMOVE] = { "remove", false, false },
    [PATCH_REPLACE] = { "replace", false, true }, [PATCH_MOVE] = { "move", true, false },
    [PATCH_COPY] = { "copy", true, false },       [PATCH_TEST] = { "test", false, true },
};

struct patch {
    enum patch_op op;
    const struct value *path, *from, *value;
};

/* An array's position: a number, or its digits without leading zeros; "-" is behind the end. */
static bool position(const struct value *array, const struct value *key, size_t *ret)
{
    int64_t i = 0;

    if (string_is(key, "-")) return *ret = array->count, true;
    if (key->kind == VALUE_NUMBER) {
        if (!num_to_i64(key->number, &i)) return false;
    } else {
        if (key->kind != VALUE_STRING || key->count == 0 || key->count > 9) return false;
        if (key->count > 1 && key->string[0] == '0') return false;
        for (uint32_t k = 0; k < key->count; k++) {
            if (key->string[k] < '0' || key->string[k] > '9') return false;
            i = i * 10 + (key->string[k] - '0');
        }
    }
    if (i < 0 || i > array->count) return false;
    *ret = (size_t) i;
    return true;
}

static const struct value *child_of(const struct value *v, const struct value *key)
{
    size_t at;

    if (v->kind != VALUE_ARRAY) return value_get(v, key);
    return position(v, key, &at) ? array_at(v, at) : NULL;
}

/* The array with `removed` members taken out at `at` and, unless NULL, one put in. */
static const struct value *splice(struct arena *a, const struct value *array, size_t at, size_t removed,
                                  const struct value *member)
{
    struct value_builder b;

    value_builder_init(&b, a, VALUE_ARRAY);
    for (size_t i = 0; i < at; i++) value_builder_add(&b, array->items[i]);
    if (member) value_builder_add(&b, member);
    for (size_t i = at + removed; i < array->count; i++) value_builder_add(&b, array->items[i]);
    return value_builder_end(&b, NULL);
}

static const struct value *just(struct arena *a, const struct value *member)
{
    struct value_builder b;

    value_builder_init(&b, a, VALUE_SET);
    value_builder_add(&b, member);
    return value_builder_end(&b, NULL);
}

/* v with the member at `key` replaced by `member`. */
static const struct value *with_child(struct arena *a, const struct value *v, const struct value *key,
                                      const struct value *member)
{
    size_t at;

    if (v->kind == VALUE_OBJECT) return object_with(a, v, key, member);
    if (v->kind == VALUE_ARRAY) return position(v, key, &at) ? splice(a, v, at, 1, member) : NULL;
    const struct value *added = just(a, member), *old = just(a, key);
    return added && old ? set_union(a, set_minus(a, v, old), added) : NULL;
}

static const struct value *insert(struct arena *a, const struct value *v, const struct value *key,
                                  const struct value *member)
{
    size_t at;

    if (v->kind == VALUE_OBJECT) return object_with(a, v, key, member);
    if (v->kind == VALUE_ARRAY) return position(v, key, &at) ? splice(a, v, at, 0, member) : NULL;
    if (v->kind != VALUE_SET || !value_equal(key, member)) return NULL;
    const struct value *added = just(a, member);
    return added ? set_union(a, v, added) : NULL;
}

static const struct value *erase(struct arena *a, const struct value *v, const struct value *key)
{
    size_t at;

    if (!child_of(v, key)) return NULL;
    if (v->kind == VALUE_OBJECT) return object_without(a, v, key);
    if (v->kind == VALUE_ARRAY) return position(v, key, &at) ? splice(a, v, at, 1, NULL) : NULL;
    const struct value *old = just(a, key);
    return old ? set_minus(a, v, old) : NULL;
}

/* What happens to the place that a path ends at. */
enum change { CHANGE_INSERT, CHANGE_ERASE, CHANGE_REPLACE };

static const struct value *change(struct builtin_call *call, const struct value *v, const struct value *key,
                                  enum change what, const struct value *member)
{
    if (what == CHANGE_INSERT) return insert(call->arena, v, key, member);
    v = erase(call->arena, v, key);
    return v && what == CHANGE_REPLACE ? insert(call->arena, v, key, member) : v;
}

/* The value with the place at the path changed. A replacement is one way down, not two: on the second
 * one a set's member would no longer be the key that it was. Goes as deep as the value does. */
static const struct value *edit(struct builtin_call *call, const struct value *v, const struct value *path,
                                uint32_t i, enum change what, const struct value *member)
{
    if (!builtin_spend(call, 1 + v->count)) return NULL;
    if (i == path->count) return member;
    const struct value *key = path->items[i];
    if (i + 1 == path->count) return change(call, v, key, what, member);
    const struct value *child = child_of(v, key);
    child = child ? edit(call, child, path, i + 1, what, member) : NULL;
    return child ? with_child(call->arena, v, key, child) : NULL;
}

static const struct value *look(const struct value *v, const struct value *path)
{
    for (uint32_t i = 0; v && i < path->count; i++) v = child_of(v, path->items[i]);
    return v;
}

/* NULL, or what is wrong with the operation. */
static const char *read_patch(struct builtin_call *call, const struct value *v, struct patch *ret)
{
    unsigned i = 0;

    if (v->kind != VALUE_OBJECT) return "it is no object";
    const struct value *op = object_get_z(v, "op"), *path = object_get_z(v, "path");
    const struct value *from = object_get_z(v, "from");
    while (i < PATCH_OPS && !string_is(op, patch_kinds[i].name)) i++;
    if (i == PATCH_OPS) return "its \"op\" is none of add, remove, replace, move, copy and test";
    if (!path) return "it has no \"path\"";
    *ret = (struct patch) { .op = (enum patch_op) i, .path = builtin_path(call, path) };
    if (!ret->path) return "its \"path\" is neither a string nor an array";
    if (patch_kinds[i].value && !(ret->value = object_get_z(v, "value"))) return "it has no \"value\"";
    if (!patch_kinds[i].from) return NULL;
    if (!from) return "it has no \"from\"";
    return (ret->from = builtin_path(call, from)) ? NULL : "its \"from\" is neither a string nor an array";
}

/* The value after the operation; or NULL, with what hinders it. A removed root leaves nothing to patch
 * further, or to answer. */
static const struct value *apply(struct builtin_call *call, const struct value *v, const struct patch *p,
                                 const char **ret_why)
{
    const struct value *found = look(v, p->from ? p->from : p->path);

    *ret_why = p->from ? "there is nothing at its \"from\"" : "there is nothing at its \"path\"";
    if (p->op != PATCH_ADD && !found) return NULL;
    *ret_why = "its \"path\" leads nowhere";
    switch (p->op) {
    case PATCH_ADD: return edit(call, v, p->path, 0, CHANGE_INSERT, p->value);
    case PATCH_COPY: return edit(call, v, p->path, 0, CHANGE_INSERT, found);
    case PATCH_TEST: *ret_why = "the value at its \"path\" is another"; return value_equal(found, p->value) ? v : NULL;
    case PATCH_REMOVE: *ret_why = "it removes all there is"; return edit(call, v, p->path, 0, CHANGE_ERASE, NULL);
    case PATCH_REPLACE: return edit(call, v, p->path, 0, CHANGE_REPLACE, p->value);
    default:
        v = p->from->count ? edit(call, v, p->from, 0, CHANGE_ERASE, NULL) : v;
        return v ? edit(call, v, p->path, 0, CHANGE_INSERT, found) : NULL;
    }
}

const struct value *builtin_json_patch(struct builtin_call *call, const struct value *const *args)
{
    const struct value *v = args[0];

    for (uint32_t i = 0; i < args[1]->count; i++) {
        const struct value *item = args[1]->items[i];
        struct patch p = { 0 };
        const char *why = read_patch(call, item, &p);

        v = why ? NULL : apply(call, v, &p, &why);
        if (v) continue;
        /* Only a spent budget is reported; a bad path is no error here. */
        if (call->problem == BUILTIN_HALT) return NULL;
        call->problem = BUILTIN_FINE;
        return builtin_nothing(call, "operation %u: %s", i + 1, why);
    }
    return v;
}
