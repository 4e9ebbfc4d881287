/* What the steps of one compilation share. Internal to compile_*.c, scope.c, rule_tree.c, lower*.c
 * and check*.c. */
#pragma once

#include "policy/arena.h"
#include "policy/ast.h"
#include "policy/builtin.h"
#include "policy/checked.h"
#include "policy/compile.h"
#include "policy/name_table.h"
#include "policy/value.h"

/* Work of one compilation: names looked at, expressions tried, edges followed. A policy of the largest
 * size takes a tenth of it; what needs more was made to. */
#define COMPILE_STEPS_MAX 20000000u

/* One module, or one query with only `source` set. */
struct compile_unit {
    struct rego_source source;
    const struct rego_module_ast *ast;         /* NULL for a query */
    const struct checked_node *package;        /* NULL for a query */
    struct rego_body *query;
    struct name_table imports;                 /* of positions in the AST's imports, by name */
};

struct compile {
    struct arena *arena;
    struct rego_errors *errors;
    const struct compile_options *options;
    struct compile_unit *units;                /* modules, then queries */
    size_t unit_count, module_count;
    struct rule_tree *tree;
    uint64_t steps_left;
    bool gave_up;                              /* the steps are spent; said once */
};

/* False when the compilation is to end: no steps or no memory. */
bool compile_spend(struct compile *c, uint64_t steps);

/* An error at a place of a unit. Returns it for a hint; may be NULL. */
struct rego_error *compile_error(struct compile *c, const char *code, uint32_t unit,
                                 const struct rego_span *at, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
struct rego_error *compile_error_at(struct compile *c, const char *code, struct checked_place place,
                                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A growing list of pointers in the arena. Pushing may fail: arena_failed tells at the end. */
struct pointers {
    void **at;
    size_t count, cap;
};
void pointers_push(struct compile *c, struct pointers *p, void *pointer);
