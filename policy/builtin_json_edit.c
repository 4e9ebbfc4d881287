/* json.filter and json.remove: an object cut down by paths. */
#include "policy/builtin_path.h"

#include <stdio.h>

static const struct value *segment(struct arena *a, const char *s, size_t len)
{
    struct text t;

    text_init(&t, a);
    for (size_t i = 0; i < len; i++) { /* RFC 6901, 3: ~1 is /, ~0 is ~ */
        bool escape = s[i] == '~' && i + 1 < len && (s[i + 1] == '0' || s[i + 1] == '1');

        text_add_char(&t, !escape ? s[i] : s[i + 1] == '0' ? '~' : '/');
        i += escape;
    }
    return value_from_text(&t);
}

const struct value *builtin_path(struct builtin_call *call, const struct value *path)
{
    struct value_builder b;

    if (path->kind == VALUE_ARRAY) return path;
    if (path->kind != VALUE_STRING)
        return builtin_fail_operand(call, 2,
                                    "must be one of {set, array} containing string paths or array of path "
                                    "segments but got %s", value_kind_name(path->kind));
    if (path->count == 0) return &VALUE_EMPTY_ARRAY;
    const char *at = path->string, *end = at + path->count;
    while (at < end && *at == '/') at++;
    value_builder_init(&b, call->arena, VALUE_ARRAY);
    for (;;) {
        const char *slash = memchr(at, '/', (size_t) (end - at));
        const struct value *s = segment(call->arena, at, (size_t) ((slash ? slash : end) - at));

        if (!s || !value_builder_add(&b, s)) return builtin_halt(call);
        if (!slash) break;
        at = slash + 1;
    }
    return builtin_builder_end(call, &b);
}

/* Adds the path from segment i on to a tree of objects whose leaves are null. A leaf wins over
 * whatever lies beneath it. The depth of what comes out bounds the recursion. */
static const struct value *plant(struct builtin_call *call, const struct value *tree, const struct value *path,
                                 uint32_t i)
{
    if (i == path->count || tree->kind == VALUE_NULL) return value_null();
    if (!builtin_spend(call, 1 + tree->count / 8)) return NULL;
    const struct value *child = object_get(tree, path->items[i]);
    child = plant(call, child ? child : &VALUE_EMPTY_OBJECT, path, i + 1);
    return child ? object_with(call->arena, tree, path->items[i], child) : NULL;
}

static const struct value *tree_of(struct builtin_call *call, const struct value *paths)
{
    const struct value *tree = &VALUE_EMPTY_OBJECT;

    for (uint32_t i = 0; tree && i < paths->count; i++) {
        const struct value *path = builtin_path(call, paths->items[i]);

        if (!path) return NULL;
        if (path->count >= VALUE_DEPTH_MAX)
            return builtin_limit(call, "path of more than %d segments", VALUE_DEPTH_MAX - 1);
        if (path->count) tree = plant(call, tree, path, 0);
    }
    return tree;
}

/* What the tree says about a member; an array's index is a string there. */
static const struct value *branch(const struct value *tree, const struct value *v, uint32_t i)
{
    char index[16];

    if (v->kind == VALUE_OBJECT) return object_get(tree, v->pairs[i].key);
    if (v->kind == VALUE_SET) return object_get(tree, v->items[i]);
    snprintf(index, sizeof index, "%u", i);
    return object_get_z(tree, index);
}

typedef const struct value *cut_fn(struct builtin_call *call, const struct value *v, const struct value *tree);

static bool keep(struct value_builder *b, const struct value *v, uint32_t i, const struct value *member)
{
    if (v->kind == VALUE_OBJECT) return value_builder_put(b, v->pairs[i].key, member);
    return value_builder_add(b, member);
}

/* v with each member replaced by what `cut` makes of it; NULL from `cut` drops it. */
static const struct value *each_member(struct builtin_call *call, const struct value *v,
                                       const struct value *tree, cut_fn *cut)
{
    struct value_builder b;

    if (!builtin_spend(call, 1 + v->count)) return NULL;
    value_builder_init(&b, call->arena, v->kind);
    for (uint32_t i = 0; i < v->count; i++) {
        const struct value *member = v->kind == VALUE_OBJECT ? v->pairs[i].value : v->items[i];
        const struct value *left = cut(call, member, branch(tree, v, i));

        if (left && !keep(&b, v, i, left)) return NULL;
        if (call->problem != BUILTIN_FINE) return NULL;
    }
    return builtin_builder_end(call, &b);
}

/* Only what the tree names. */
static const struct value *filtered(struct builtin_call *call, const struct value *v, const struct value *tree)
{
    if (!tree) return NULL;
    if (tree->kind == VALUE_NULL || v->kind < VALUE_ARRAY) return v;
    return each_member(call, v, tree, filtered);
}

/* Everything but what the tree names. */
static const struct value *stripped(struct builtin_call *call, const struct value *v, const struct value *tree)
{
    if (!tree) return v;
    if (tree->kind == VALUE_NULL) return NULL;
    return v->kind < VALUE_ARRAY ? v : each_member(call, v, tree, stripped);
}

const struct value *builtin_json_filter(struct builtin_call *call, const struct value *const *args)
{
    const struct value *tree = tree_of(call, args[1]);

    return tree ? filtered(call, args[0], tree) : NULL;
}

const struct value *builtin_json_remove(struct builtin_call *call, const struct value *const *args)
{
    const struct value *tree = tree_of(call, args[1]);

    return tree ? stripped(call, args[0], tree) : NULL;
}
