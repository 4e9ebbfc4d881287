/* The tree of everything below `data` that modules define: packages, rules, functions; and the names
 * that a module sees without saying `data`: the rules of its package and its imports. */
#pragma once

#include "policy/compile_context.h"

#define RULE_PATH_MAX 200 /* parts of a rule's path below data */

/* One rule of the source on its way into a group. */
struct tree_rule {
    struct rego_rule *ast;
    uint32_t unit;
    struct tree_rule *next;        /* of the same group, in the order of the text */
};

/* What the tree keeps per node and per group beside the checked form. */
struct tree_node {
    struct checked_node node;      /* first: a checked_node of the tree is a tree_node */
    struct checked_group group;    /* node.group points here when there are rules */
    struct tree_rule *rules, *last;
    bool exported;                 /* first name of a rule of the package at the parent */
    uint32_t package_unit;         /* 1 + the first module whose package this is; 0: none */
};

struct rule_tree {
    struct tree_node *root;
    struct checked_node **nodes;   /* all, a parent before its children */
    size_t node_count;
};

/* Builds the tree of all modules, sets each unit's package, and reports conflicts between kinds,
 * arities, defaults, and between rules and packages. NULL when memory is short. */
struct rule_tree *rule_tree_build(struct compile *c);

/* A global name: where it leads. */
struct global {
    enum checked_root root;            /* INPUT or DATA */
    const struct value *const *path;
    size_t count;
};

/* What `name` means in the unit when no variable has it: rule of the package or import. */
bool rule_tree_global(struct compile *c, uint32_t unit, struct rego_text name, struct global *ret);

/* Follows constant keys from the root as far as nodes go; returns the last node, *ret_depth how far. */
const struct checked_node *rule_tree_find(const struct compile *c, const struct value *const *path,
                                          size_t count, size_t *ret_depth);

/* "data.a.b", with brackets for what is no identifier. */
const char *rule_tree_path_name(struct compile *c, const struct value *const *path, size_t count);

/* The value of a scalar term; NULL for every other one. */
const struct value *term_scalar(struct compile *c, const struct rego_term *t);

/* The names that a module imports; says so when one comes twice, or hides input or data. Before any name is
 * looked up. */
void rule_tree_take_imports(struct compile *c, uint32_t unit);
