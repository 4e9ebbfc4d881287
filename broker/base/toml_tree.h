/* The tree that a TOML document becomes before it is printed as JSON. Inside base/toml*.c only. */
#pragma once

#include "broker/base/bump.h"

enum toml_kind {
    TOML_TABLE,
    TOML_ARRAY,
    TOML_STRING,
    TOML_LITERAL, /* number or boolean: `text` is JSON as it is */
};

/* Who made a table or array decides who may still add to it (TOML 1.0.0 "Table", "Keys"). */
enum toml_origin {
    TOML_BY_PATH,   /* a table named on the way of a [header]: a later header may define it */
    TOML_BY_HEADER, /* [header] or an element of [[header]]: defined, never twice */
    TOML_BY_DOTS,   /* table of a dotted key: open to dotted keys and to headers beneath it */
    TOML_BY_VALUE,  /* written as a value: closed */
};

struct toml_node {
    enum toml_kind kind;
    enum toml_origin origin;
    unsigned depth; /* root is 0 */
    const struct toml_node *parent;
    const char *name; /* NULL in arrays */
    struct span text; /* of TOML_STRING and TOML_LITERAL */
    struct toml_node *first, *last, *next;
};

struct toml_tree {
    struct bump arena;
    struct toml_node *root;
    void *index; /* balanced tree over (parent, name): a table's size cannot slow a look-up down */
    size_t values;
};

err_t toml_tree_init(struct toml_tree *t);
void toml_tree_done(struct toml_tree *t); /* harmless after a failed init */

/* The member of that name, or NULL. */
struct toml_node *toml_tree_find(const struct toml_tree *t, const struct toml_node *parent,
                                 const char *name);

/* A new last child. name (of the tree's arena) is NULL in arrays; in tables the caller has looked
 * that it is free. ERR_TOOLARGE over TOML_MAX_DEPTH or TOML_MAX_VALUES. */
err_t toml_tree_add(struct toml_tree *t, struct toml_node *parent, const char *name,
                    enum toml_kind kind, enum toml_origin origin, struct toml_node **ret);

/* Appends the tree as one JSON object. */
err_t toml_tree_print(const struct toml_tree *t, struct buf *ret);
