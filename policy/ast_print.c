#include "policy/ast_print.h"

#include <string.h>


/* Recursion follows the tree, whose depth the parser has bounded. */
struct printer {
    struct text *to;
    unsigned indent;
};

static void print_expr(struct printer *p, const struct rego_expr *e);
static void print_inline(struct printer *p, const struct rego_body *b);
static void print_term(struct printer *p, const struct rego_term *t);

static void put(struct printer *p, const char *s)
{
    text_add_string(p->to, s);
}

static void put_text(struct printer *p, struct rego_text t)
{
    text_add(p->to, t.at, t.len);
}

static void newline(struct printer *p)
{
    text_add_char(p->to, '\n');
    for (unsigned i = 0; i < p->indent; i++) text_add_char(p->to, '\t');
}

/* ---- strings --------------------------------------------------------------------------------- */

/* brace: '{' is written \{, as in template strings. */
static void put_escaped(struct printer *p, struct rego_text s, bool brace)
{
    static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";

    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        const char *row = c ? strchr(from, c) : NULL;
        if (row)
            text_addf(p->to, "\\%c", into[row - from]);
        else if ((unsigned char) c < 0x20)
            text_addf(p->to, "\\u%04x", (unsigned) c);
        else
            text_addf(p->to, "%s%c", brace && c == '{' ? "\\" : "", c);
    }
}

static void put_string(struct printer *p, struct rego_text s)
{
    text_add_char(p->to, '"');
    put_escaped(p, s, false);
    text_add_char(p->to, '"');
}

static void print_template(struct printer *p, const struct rego_parts *parts)
{
    put(p, "$\"");
    for (size_t i = 0; i < parts->count; i++) {
        put_escaped(p, parts->items[i].text, true);
        if (!parts->items[i].expr) continue;
        put(p, "{");
        print_expr(p, parts->items[i].expr);
        put(p, "}");
    }
    put(p, "\"");
}

/* ---- terms ----------------------------------------------------------------------------------- */

static void print_list(struct printer *p, struct rego_term *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i) put(p, ", ");
        print_term(p, items[i]);
    }
}

static void print_path(struct printer *p, struct rego_term *const *path, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (path[i]->kind == REGO_TERM_STRING && path[i]->dotted) {
            put(p, ".");
            put_text(p, path[i]->text);
            continue;
        }
        put(p, "[");
        print_term(p, path[i]);
        put(p, "]");
    }
}

static void print_object(struct printer *p, const struct rego_object *o)
{
    put(p, "{");
    for (size_t i = 0; i < o->count; i++) {
        if (i) put(p, ", ");
        print_term(p, o->pairs[i].key);
        put(p, ": ");
        print_term(p, o->pairs[i].value);
    }
    put(p, "}");
}

static void print_set(struct printer *p, const struct rego_list *list)
{
    put(p, list->count ? "{" : "set(");
    print_list(p, list->items, list->count);
    put(p, list->count ? "}" : ")");
}

static void print_comprehension(struct printer *p, const struct rego_term *t)
{
    put(p, t->kind == REGO_TERM_ARRAY_COMP ? "[" : "{");
    if (t->comp->key) {
        print_term(p, t->comp->key);
        put(p, ": ");
    }
    print_term(p, t->comp->value);
    put(p, " | ");
    print_inline(p, t->comp->body);
    put(p, t->kind == REGO_TERM_ARRAY_COMP ? "]" : "}");
}

static void print_call(struct printer *p, const struct rego_call *c)
{
    if (c->op == REGO_OP_NONE) {
        print_term(p, c->function);
        put(p, "(");
        print_list(p, c->args, c->count);
        put(p, ")");
        return;
    }
    if (c->op == REGO_OP_NEGATE) {
        put(p, "-");
        print_term(p, c->args[0]);
        return;
    }
    print_list(p, c->args, c->count - 1); /* two before `in` when there is a key */
    text_addf(p->to, " %s ", rego_op_sign(c->op));
    print_term(p, c->args[c->count - 1]);
}

static void print_bare_term(struct printer *p, const struct rego_term *t)
{
    switch (t->kind) {
    case REGO_TERM_NULL: put(p, "null"); break;
    case REGO_TERM_BOOL: put(p, t->boolean ? "true" : "false"); break;
    case REGO_TERM_NUMBER: put_text(p, t->text); break;
    case REGO_TERM_STRING: put_string(p, t->text); break;
    case REGO_TERM_TEMPLATE: print_template(p, &t->parts); break;
    case REGO_TERM_VAR: put_text(p, t->var.name); break;
    case REGO_TERM_REF:
        print_term(p, t->ref.head);
        print_path(p, t->ref.path, t->ref.count);
        break;
    case REGO_TERM_ARRAY:
        put(p, "[");
        print_list(p, t->list.items, t->list.count);
        put(p, "]");
        break;
    case REGO_TERM_SET: print_set(p, &t->list); break;
    case REGO_TERM_OBJECT: print_object(p, &t->object); break;
    case REGO_TERM_ARRAY_COMP:
    case REGO_TERM_SET_COMP:
    case REGO_TERM_OBJECT_COMP: print_comprehension(p, t); break;
    case REGO_TERM_CALL: print_call(p, t->call); break;
    }
}

static void print_term(struct printer *p, const struct rego_term *t)
{
    if (t->parenthesised) put(p, "(");
    print_bare_term(p, t);
    if (t->parenthesised) put(p, ")");
}

/* ---- expressions ----------------------------------------------------------------------------- */

/* The part with which the term's text begins. */
static const struct rego_term *leftmost(const struct rego_term *t)
{
    while (!t->parenthesised) {
        if (t->kind == REGO_TERM_REF) t = t->ref.head;
        else if (t->kind == REGO_TERM_CALL && t->call->op != REGO_OP_NONE && t->call->op != REGO_OP_NEGATE)
            t = t->call->args[0];
        else break;
    }
    return t;
}

/* A line that begins with a minus would go on with the expression above. */
static bool begins_with_minus(const struct rego_expr *e)
{
    const struct rego_term *t = e->kind == REGO_EXPR_TERM ? e->term : e->left;
    if (e->negated || !t) return false;
    t = leftmost(t);
    if (t->parenthesised) return false;
    if (t->kind == REGO_TERM_NUMBER) return t->text.at[0] == '-';
    return t->kind == REGO_TERM_CALL && t->call->op == REGO_OP_NEGATE;
}

static void print_lines(struct printer *p, const struct rego_body *b)
{
    put(p, "{");
    p->indent++;
    for (size_t i = 0; i < b->count; i++) {
        if (i > 0 && begins_with_minus(b->exprs[i])) put(p, ";");
        newline(p);
        print_expr(p, b->exprs[i]);
    }
    p->indent--;
    newline(p);
    put(p, "}");
}

static void print_in(struct printer *p, const struct rego_expr *e)
{
    if (e->key) {
        print_term(p, e->key);
        put(p, ", ");
    }
    print_term(p, e->value);
    put(p, " in ");
    print_term(p, e->domain);
}

static void print_bare_expr(struct printer *p, const struct rego_expr *e)
{
    switch (e->kind) {
    case REGO_EXPR_TERM: print_term(p, e->term); break;
    case REGO_EXPR_ASSIGN:
    case REGO_EXPR_UNIFY:
        print_term(p, e->left);
        put(p, e->kind == REGO_EXPR_ASSIGN ? " := " : " = ");
        print_term(p, e->right);
        break;
    case REGO_EXPR_SOME:
        put(p, "some ");
        print_list(p, e->vars.items, e->vars.count);
        break;
    case REGO_EXPR_SOME_IN:
        put(p, "some ");
        print_in(p, e);
        break;
    case REGO_EXPR_EVERY:
        put(p, "every ");
        print_in(p, e);
        put(p, " ");
        print_lines(p, e->body);
        break;
    }
}

static void print_expr(struct printer *p, const struct rego_expr *e)
{
    if (e->negated) put(p, "not ");
    print_bare_expr(p, e);
    for (size_t i = 0; i < e->with_count; i++) {
        put(p, " with ");
        print_term(p, e->with[i].target);
        put(p, " as ");
        print_term(p, e->with[i].value);
    }
}

static void print_inline(struct printer *p, const struct rego_body *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (i) put(p, "; ");
        print_expr(p, b->exprs[i]);
    }
}

/* ---- rules and modules ----------------------------------------------------------------------- */

/* `if {x}` would be a body with x in it, so an expression that begins with '{' needs its own. */
static bool begins_with_brace(const struct rego_term *t)
{
    t = leftmost(t);
    bool set = t->kind == REGO_TERM_SET && t->list.count > 0;
    return !t->parenthesised && (set || t->kind == REGO_TERM_OBJECT || t->kind == REGO_TERM_SET_COMP ||
                                 t->kind == REGO_TERM_OBJECT_COMP);
}

static bool fits_one_line(const struct rego_body *b)
{
    const struct rego_expr *e = b->exprs[0];

    if (b->count != 1 || e->kind == REGO_EXPR_EVERY) return false;
    const struct rego_term *first = e->kind == REGO_EXPR_TERM ? e->term : e->left;
    return e->negated || !first || !begins_with_brace(first);
}

static void print_rule_body(struct printer *p, const struct rego_rule *r)
{
    if (r->body_generated) return;
    put(p, " if ");
    if (fits_one_line(r->body))
        print_inline(p, r->body);
    else
        print_lines(p, r->body);
}

static void print_value(struct printer *p, const struct rego_rule *r)
{
    if (!r->value || r->value_generated) return;
    put(p, r->assigned ? " := " : " = ");
    print_term(p, r->value);
}

static void print_rule(struct printer *p, const struct rego_rule *r)
{
    if (r->is_default) put(p, "default ");
    put_text(p, r->path[0]->text);
    print_path(p, r->path + 1, r->path_count - 1);
    if (r->kind == REGO_RULE_FUNCTION) {
        put(p, "(");
        print_list(p, r->args, r->arg_count);
        put(p, ")");
    }
    if (r->key) {
        put(p, " contains ");
        print_term(p, r->key);
    }
    print_value(p, r);
    print_rule_body(p, r);
    for (r = r->otherwise; r; r = r->otherwise) {
        put(p, " else");
        print_value(p, r);
        print_rule_body(p, r);
    }
}

static void print_import(struct printer *p, const struct rego_import *i)
{
    put(p, "import ");
    print_term(p, i->path);
    if (i->alias.len) put(p, " as ");
    put_text(p, i->alias);
    put(p, "\n");
}

static void print_package(struct printer *p, const struct rego_module_ast *m)
{
    put(p, "package ");
    put_text(p, m->package[0]->text);
    print_path(p, m->package + 1, m->package_count - 1);
    put(p, "\n");
}

void rego_print_module(struct text *to, const struct rego_module_ast *m)
{
    struct printer p = {.to = to};

    print_package(&p, m);
    if (m->import_count) put(&p, "\n");
    for (size_t i = 0; i < m->import_count; i++) print_import(&p, &m->imports[i]);
    for (size_t i = 0; i < m->rule_count; i++) {
        put(&p, "\n");
        print_rule(&p, m->rules[i]);
        put(&p, "\n");
    }
}

void rego_print_body(struct text *to, const struct rego_body *b)
{
    print_inline(&(struct printer){.to = to}, b);
}

void rego_print_expr(struct text *to, const struct rego_expr *e)
{
    print_expr(&(struct printer){.to = to}, e);
}

void rego_print_term(struct text *to, const struct rego_term *t)
{
    print_term(&(struct printer){.to = to}, t);
}
