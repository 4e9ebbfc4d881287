/* For the tests of the parser: a tree as one line that hides nothing. Calls are prefix, so that
 * precedence shows: `1 + 2 * 3` is "(plus 1 (mul 2 3))". */
#pragma once

#include "policy/arena.h"
#include "policy/parser.h"
#include "policy/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static inline void tree_term(struct text *to, const struct rego_term *t);
static inline void tree_body(struct text *to, const struct rego_body *b);

static inline void tree_terms(struct text *to, struct rego_term *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text_add_char(to, ' ');
        tree_term(to, items[i]);
    }
}

static inline void tree_expr(struct text *to, const struct rego_expr *e)
{
    static const char *const names[] = {"test", "assign", "unify", "some", "some-in", "every"};

    text_addf(to, "(%s%s", e->negated ? "not-" : "", names[e->kind]);
    const struct rego_term *const parts[] = {e->term, e->left,  e->right,
                                             e->key,  e->value, e->domain};
    for (size_t i = 0; i < LEN(parts); i++) {
        if (!parts[i]) continue;
        text_add_char(to, ' ');
        tree_term(to, parts[i]);
    }
    tree_terms(to, e->vars.items, e->vars.count);
    if (e->body) tree_body(to, e->body);
    for (size_t i = 0; i < e->with_count; i++) {
        text_add_string(to, " with");
        tree_terms(to, (struct rego_term *const[]){e->with[i].target, e->with[i].value}, 2);
    }
    text_add_char(to, ')');
}

static inline void tree_body(struct text *to, const struct rego_body *b)
{
    text_add_string(to, " {");
    for (size_t i = 0; i < b->count; i++) tree_expr(to, b->exprs[i]);
    text_add_char(to, '}');
}

static inline void tree_group(struct text *to, const char *name, struct rego_term *const *items,
                              size_t count)
{
    text_addf(to, "(%s", name);
    tree_terms(to, items, count);
    text_add_char(to, ')');
}

static inline void tree_parts(struct text *to, const struct rego_parts *parts)
{
    text_add_string(to, "(template");
    for (size_t i = 0; i < parts->count; i++) {
        const struct rego_part *part = &parts->items[i];
        text_add_char(to, ' ');
        if (part->expr)
            tree_expr(to, part->expr);
        else
            text_addf(to, "'%.*s'", (int) part->text.len, part->text.at);
    }
    text_add_char(to, ')');
}

static inline void tree_object(struct text *to, const struct rego_object *o)
{
    text_add_string(to, "(object");
    for (size_t i = 0; i < o->count; i++)
        tree_terms(to, (struct rego_term *const[]){o->pairs[i].key, o->pairs[i].value}, 2);
    text_add_char(to, ')');
}

static inline void tree_comp(struct text *to, const struct rego_term *t)
{
    text_addf(to, "(%s", rego_term_kind_name(t->kind));
    if (t->comp->key) tree_terms(to, &t->comp->key, 1);
    tree_terms(to, &t->comp->value, 1);
    tree_body(to, t->comp->body);
    text_add_char(to, ')');
}

static inline void tree_term(struct text *to, const struct rego_term *t)
{
    switch (t->kind) {
    case REGO_TERM_NULL: text_add_string(to, "null"); break;
    case REGO_TERM_BOOL: text_add_string(to, t->boolean ? "true" : "false"); break;
    case REGO_TERM_NUMBER: text_add(to, t->text.at, t->text.len); break;
    case REGO_TERM_STRING: text_addf(to, "'%.*s'", (int) t->text.len, t->text.at); break;
    case REGO_TERM_VAR: text_add(to, t->var.name.at, t->var.name.len); break;
    case REGO_TERM_TEMPLATE: tree_parts(to, &t->parts); break;
    case REGO_TERM_REF:
        text_add_string(to, "(ref ");
        tree_term(to, t->ref.head);
        tree_terms(to, t->ref.path, t->ref.count);
        text_add_char(to, ')');
        break;
    case REGO_TERM_ARRAY: tree_group(to, "array", t->list.items, t->list.count); break;
    case REGO_TERM_SET: tree_group(to, "set", t->list.items, t->list.count); break;
    case REGO_TERM_OBJECT: tree_object(to, &t->object); break;
    case REGO_TERM_CALL: tree_group(to, t->call->name.at, t->call->args, t->call->count); break;
    default: tree_comp(to, t);
    }
}

static inline void tree_rule(struct text *to, const struct rego_rule *r)
{
    static const char *const names[] = {"value", "contains", "function"};

    text_addf(to, "(%s%s", r->is_default ? "default-" : "", names[r->kind]);
    tree_terms(to, r->path, r->path_count);
    if (r->kind == REGO_RULE_FUNCTION) {
        text_add_char(to, ' ');
        tree_group(to, "args", r->args, r->arg_count);
    }
    text_add_string(to, r->key || !r->value_generated ? (r->assigned ? " :=" : " =") : "");
    if (r->key) tree_terms(to, &r->key, 1);
    if (r->value && !r->value_generated) tree_terms(to, &r->value, 1);
    if (!r->body_generated) tree_body(to, r->body);
    if (r->otherwise) {
        text_add_string(to, " else ");
        tree_rule(to, r->otherwise);
    }
    text_add_char(to, ')');
}

/* "" when there is no error. */
static inline const char *first_error(const struct rego_errors *errors, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (errors->count) rego_error_print(&errors->items[0], buffer, size);
    return buffer;
}

/* The only expression of a query, when it is a term. */
static inline struct rego_term *tree_parse_term(struct arena *a, const char *source, size_t len,
                                                struct rego_errors *errors)
{
    const struct rego_body *b = rego_parse_query(a, source, len, errors);
    return b && b->count == 1 && b->exprs[0]->kind == REGO_EXPR_TERM ? b->exprs[0]->term : NULL;
}

struct tree_row { const char *text, *tree; };

/* Each text is a term, and must give the tree, or an error that is "! ..." in the table. */
static inline const char *tree_of_term(struct arena *a, const char *source)
{
    struct rego_errors errors = {0};
    char message[500];
    struct text to;

    text_init(&to, a);
    const struct rego_term *t = tree_parse_term(a, source, strlen(source), &errors);
    if (t)
        tree_term(&to, t);
    else
        text_addf(&to, "! %s", first_error(&errors, message, sizeof message));
    return text_end(&to);
}

static inline const char *tree_of_query(struct arena *a, const char *source)
{
    struct rego_errors errors = {0};
    char message[500];
    struct text to;

    text_init(&to, a);
    const struct rego_body *b = rego_parse_query(a, source, strlen(source), &errors);
    for (size_t i = 0; b && i < b->count; i++) tree_expr(&to, b->exprs[i]);
    if (!b) text_addf(&to, "! %s", first_error(&errors, message, sizeof message));
    return text_end(&to);
}

/* `package p` and a newline go in front, so rules begin at line 2. */
static inline const char *tree_of_rules(struct arena *a, const char *source)
{
    struct rego_errors errors = {0};
    char message[500];
    struct text module, to;

    text_init(&module, a);
    text_addf(&module, "package p\n%s", source);
    text_init(&to, a);
    const char *text = text_end(&module);
    const struct rego_module_ast *m = rego_parse_module(a, "m", text, strlen(text), &errors);
    for (size_t i = 0; m && i < m->rule_count; i++) tree_rule(&to, m->rules[i]);
    if (!m) text_addf(&to, "! %s", first_error(&errors, message, sizeof message));
    return text_end(&to);
}

static inline void check_rows(const struct tree_row *rows, size_t count,
                              const char *(*tree_of)(struct arena *, const char *))
{
    for (size_t i = 0; i < count; i++) {
        struct arena *a = arena_new(1 << 20);
        assert_non_null(a);
        const char *got = tree_of(a, rows[i].text);
        if (strcmp(got, rows[i].tree) != 0)
            fail_msg("`%s`\n  gave     %s\n  expected %s", rows[i].text, got, rows[i].tree);
        arena_free(a);
    }
}
