#include "policy/compile.h"

#include <stdio.h>

#include "policy/check.h"
#include "policy/compile_context.h"
#include "policy/lower.h"
#include "policy/parser.h"
#include "policy/rule_tree.h"

/* ---- what the steps share --------------------------------------------------------------------- */

bool compile_spend(struct compile *c, uint64_t steps)
{
    if (steps <= c->steps_left) {
        c->steps_left -= steps;
        return !arena_failed(c->arena);
    }
    c->steps_left = 0;
    if (!c->gave_up)
        rego_error_add(c->errors, REGO_COMPILE_ERROR, NULL, NULL,
                       "the modules take more work to check than is allowed");
    c->gave_up = true;
    return false;
}

static const struct rego_source *source_of(const struct compile *c, uint32_t unit)
{
    return unit < c->unit_count ? &c->units[unit].source : NULL;
}

struct rego_error *compile_error(struct compile *c, const char *code, uint32_t unit,
                                 const struct rego_span *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct rego_error *e = rego_error_addv(c->errors, code, source_of(c, unit), at, format, args);
    va_end(args);
    return e;
}

struct rego_error *compile_error_at(struct compile *c, const char *code, struct checked_place place,
                                    const char *format, ...)
{
    struct rego_span at = { .line = place.line, .column = place.column, .offset = place.offset };
    va_list args;
    va_start(args, format);
    struct rego_error *e = rego_error_addv(c->errors, code, source_of(c, place.module), &at, format,
                                           args);
    va_end(args);
    return e;
}

void pointers_push(struct compile *c, struct pointers *p, void *pointer)
{
    void **at = arena_grow(c->arena, p->at, p->count, &p->cap, sizeof *at);
    if (!at) return;
    p->at = at;
    p->at[p->count++] = pointer;
}

/* ---- the steps -------------------------------------------------------------------------------- */

static size_t error_count(const struct compile *c)
{
    return c->errors->count + c->errors->more;
}

static bool parse_modules(struct compile *c, const struct rego_module *modules)
{
    size_t before = error_count(c);
    for (size_t i = 0; i < c->module_count; i++) {
        const struct rego_module *m = &modules[i];
        struct compile_unit *u = &c->units[i];
        u->source = (struct rego_source) { m->name ? m->name : "", m->text, m->len };
        u->ast = rego_parse_module(c->arena, u->source.name, m->text, m->len, c->errors);
        if (u->ast) u->source = u->ast->source;
    }
    return error_count(c) == before;
}

static bool parse_queries(struct compile *c)
{
    size_t before = error_count(c);
    for (size_t i = 0; i < c->options->query_count; i++) {
        const char *text = c->options->queries[i];
        struct compile_unit *u = &c->units[c->module_count + i];
        char name[32];
        int len = snprintf(name, sizeof name, "query %zu", i + 1);
        u->source = (struct rego_source) {
            arena_copy(c->arena, name, (size_t) len), arena_copy(c->arena, text, strlen(text)), strlen(text),
        };
        if (!u->source.name || !u->source.text) return false;
        u->query = rego_parse_query(c->arena, u->source.text, u->source.len, c->errors);
    }
    return error_count(c) == before;
}

static bool lower_all(struct compile *c, struct checked_query *queries)
{
    size_t before = error_count(c);
    for (uint32_t i = 0; i < c->module_count; i++) rule_tree_take_imports(c, i);
    c->tree = rule_tree_build(c);
    if (!c->tree) return false;
    lower_rules(c);
    lower_queries(c, queries);
    return error_count(c) == before && !arena_failed(c->arena);
}

static bool check_all(struct compile *c, struct checked_query *queries, struct checked_program *p)
{
    size_t before = error_count(c);
    p->group_count = check_recursion(c, &p->groups);
    check_safety(c, queries);
    return error_count(c) == before && !arena_failed(c->arena);
}

static bool module_names(struct compile *c, struct checked_program *p)
{
    const char **names = arena_alloc_array(c->arena, c->unit_count, sizeof *names);
    struct rego_source *sources = arena_alloc_array(c->arena, c->unit_count, sizeof *sources);
    if (!names || !sources) return false;
    for (size_t i = 0; i < c->unit_count; i++) {
        sources[i] = c->units[i].source;
        names[i] = sources[i].name;
    }
    p->module_names = names;
    p->sources = sources;
    p->module_count = c->unit_count;
    return true;
}

static bool compile_into(struct compile *c, const struct rego_module *modules,
                         struct checked_program *p)
{
    c->unit_count = c->module_count + c->options->query_count;
    c->units = arena_alloc_array(c->arena, c->unit_count, sizeof *c->units);
    struct checked_query *queries = arena_alloc_array(c->arena, c->options->query_count,
                                                      sizeof *queries);
    if (!c->units || !queries) return false;
    bool parsed = parse_modules(c, modules); /* queries too, so that all syntax is told at once */
    if (!parse_queries(c) || !parsed) return false;
    if (!lower_all(c, queries) || !check_all(c, queries, p)) return false;
    p->root = &c->tree->root->node;
    p->nodes = c->tree->nodes;
    p->node_count = c->tree->node_count;
    p->queries = queries;
    p->query_count = c->options->query_count;
    return module_names(c, p);
}

const struct checked_program *compile_modules(struct arena *a, const struct rego_module *modules,
                                              size_t count, const struct compile_options *options,
                                              struct rego_errors *errors)
{
    static const struct compile_options NONE = { 0 };
    struct checked_program *p = arena_alloc(a, sizeof *p);
    struct compile c = {
        .arena = a, .errors = errors, .options = options ? options : &NONE, .module_count = count,
        .steps_left = COMPILE_STEPS_MAX,
    };
    size_t before = error_count(&c);
    if (p && compile_into(&c, modules, p)) return p;
    if (error_count(&c) == before)
        rego_error_add(errors, REGO_COMPILE_ERROR, NULL, NULL,
                       "the modules take more memory to compile than is allowed");
    rego_errors_sort(errors);
    return NULL;
}
