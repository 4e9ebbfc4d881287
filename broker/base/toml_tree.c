#include "broker/base/toml_tree.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <search.h>
#include <string.h>

static int compare(const void *left, const void *right)
{
    const struct toml_node *a = left, *b = right;
    if (a->parent != b->parent) return (uintptr_t) a->parent < (uintptr_t) b->parent ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void keep(void *node)
{
    (void) node; /* nodes belong to the arena */
}

err_t toml_tree_init(struct toml_tree *t)
{
    *t = (struct toml_tree){0};
    t->root = bump_alloc(&t->arena, sizeof(*t->root));
    if (!t->root) FAIL(ERR_INTERNAL, "out of memory for a TOML document");
    t->root->origin = TOML_BY_HEADER;
    return ERR_OK;
}

void toml_tree_done(struct toml_tree *t)
{
    tdestroy(t->index, keep);
    bump_free(&t->arena);
    *t = (struct toml_tree){0};
}

struct toml_node *toml_tree_find(const struct toml_tree *t, const struct toml_node *parent,
                                 const char *name)
{
    const struct toml_node wanted = {.parent = parent, .name = name};
    struct toml_node *const *found = tfind(&wanted, &t->index, compare);
    return found ? *found : NULL;
}

err_t toml_tree_add(struct toml_tree *t, struct toml_node *parent, const char *name,
                    enum toml_kind kind, enum toml_origin origin, struct toml_node **ret)
{
    if (parent->depth >= TOML_MAX_DEPTH)
        FAIL(ERR_TOOLARGE, "nested deeper than %u levels", TOML_MAX_DEPTH);
    if (t->values >= TOML_MAX_VALUES) FAIL(ERR_TOOLARGE, "more than %u values", TOML_MAX_VALUES);
    struct toml_node *node = bump_alloc(&t->arena, sizeof(*node));
    if (!node) FAIL(ERR_INTERNAL, "out of memory for a TOML value");
    *node = (struct toml_node){.kind = kind, .origin = origin, .depth = parent->depth + 1,
                               .parent = parent, .name = name};
    if (name && !tsearch(node, &t->index, compare))
        FAIL(ERR_INTERNAL, "out of memory for a TOML key");
    if (parent->last) parent->last->next = node;
    else parent->first = node;
    parent->last = node;
    t->values++;
    *ret = node;
    return ERR_OK;
}

/* Depth is bounded by toml_tree_add. */
static void print(struct json_out *o, const struct toml_node *node)
{
    switch (node->kind) {
    case TOML_STRING: json_put_span(o, node->text); return;
    case TOML_LITERAL: json_put_raw(o, node->text); return;
    case TOML_TABLE: json_begin_object(o); break;
    case TOML_ARRAY: json_begin_array(o); break;
    }
    for (const struct toml_node *child = node->first; child; child = child->next) {
        if (child->name) json_key(o, child->name);
        print(o, child);
    }
    if (node->kind == TOML_TABLE) json_end_object(o);
    else json_end_array(o);
}

err_t toml_tree_print(const struct toml_tree *t, struct buf *ret)
{
    struct json_out out = JSON_OUT(ret);
    print(&out, t->root);
    return buf_ok(ret);
}
