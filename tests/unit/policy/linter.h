/* For tests of the linter's parts: one that is set up as for a policy without rules. */
#pragma once

#include "policy/linter.h"
#include "tests/unit/policy/lints.h"

static inline struct cell *linter_document(struct linter *l, enum cell_root root, const char *schema)
{
    const struct value *v = lints_json(l->arena, schema);
    struct cell *c = cell_new(l, schema_kinds(v));
    const struct value **schemas = arena_alloc(l->arena, sizeof *schemas);
    assert_non_null(schemas);
    schemas[0] = v;
    c->root = root;
    c->schemas = schemas;
    c->schema_count = !schema_is_any(v);
    return c;
}

static inline struct linter *linter_new(const char *claims)
{
    struct linter *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->arena = arena_new(1 << 22);
    assert_non_null(l->arena);
    l->steps_left = LINT_STEPS_MAX;
    l->nothing = (struct cell) { .kinds = KIND_ANY, .optional = true };
    l->profile = &LINT_RESOURCE_POLICY;
    l->input = linter_document(l, CELL_INPUT, claims);
    l->data = linter_document(l, CELL_DATA, LINTS_DATA);
    return l;
}

static inline void linter_free(struct linter *l)
{
    arena_free(l->arena);
    free(l);
}

/* A member of input by keys with dots between; `_` ranges. */
static inline struct cell *linter_way(struct linter *l, const char *keys)
{
    struct cell *c = l->input;
    while (*keys) {
        size_t len = strcspn(keys, ".");
        struct cell *var = len == 1 && *keys == '_' ? cell_new(l, KIND_ANY) : NULL;
        c = cell_member(l, c, var ? NULL : value_string(l->arena, keys, len), var, var);
        keys += len + (keys[len] == '.');
    }
    return c;
}
