/* Modules: package, imports, rules, and going on after an error; queries and single terms. */
#include "policy/parser_internal.h"

/* ---- package and imports --------------------------------------------------------------------- */

/* A name followed by constant strings. Any word may stand behind a dot. */
static struct rego_term *parse_path(struct parser *p)
{
    if (p->t.kind != REGO_NAME || p->t.symbol) return parser_unexpected(p, "expected identifier");
    struct rego_term *t = parse_var(p);
    if (t) t = parse_ref(p, t, false);
    if (!t || t->kind == REGO_TERM_VAR) return t;
    if (t->kind != REGO_TERM_REF || t->ref.head->kind != REGO_TERM_VAR)
        return parser_fail_at(p, t->at, "unexpected %s: expected a path",
                              rego_term_kind_name(t->kind));
    for (size_t i = 0; i < t->ref.count; i++)
        if (t->ref.path[i]->kind != REGO_TERM_STRING)
            return parser_fail_at(p, t->ref.path[i]->at, "unexpected %s in path: expected a string",
                                  rego_term_kind_name(t->ref.path[i]->kind));
    return t;
}

static bool parse_package(struct parser *p, struct rego_module_ast *m)
{
    struct rego_list names = {0};
    size_t cap = 0;

    m->package_at = parser_here(p);
    if (parser_at_end(p)) return parser_fail(p, "empty module");
    if (!parser_take(p, REGO_PACKAGE)) return parser_fail(p, "package expected");
    struct rego_term *t = parse_path(p);
    if (!t) return false;
    struct rego_term *head = t->kind == REGO_TERM_REF ? t->ref.head : t;
    struct rego_term *name = parser_term(p, REGO_TERM_STRING, head->at);
    if (!name) return false;
    name->text = head->var.name;
    if (!parser_append(p, &names, &cap, name)) return false;
    for (size_t i = 0; t != head && i < t->ref.count; i++)
        if (!parser_append(p, &names, &cap, t->ref.path[i])) return false;
    m->package = names.items;
    m->package_count = names.count;
    m->package_at = parser_since(p, m->package_at);
    return true;
}

/* True when the import is one of those that only switch on what version 1 has anyway. */
static bool is_language_import(const struct rego_term *path)
{
    const struct rego_term *root = path->kind == REGO_TERM_REF ? path->ref.head : path;

    return rego_term_is_var(root, "rego") || rego_term_is_var(root, "future");
}

static bool check_language_import(struct parser *p, const struct rego_import *i)
{
    const struct rego_term *t = i->path;
    size_t count = t->kind == REGO_TERM_REF ? t->ref.count : 0;

    if (i->alias.len)
        return parser_fail_at(p, i->at, "`future` and `rego` imports cannot be aliased");
    if (rego_term_is_var(count ? t->ref.head : t, "rego")) {
        if (count == 1 && rego_text_is(t->ref.path[0]->text, "v1")) return true;
        return parser_fail_at(p, i->at, "invalid import, must be `rego.v1`");
    }
    if (count == 0 || count > 2 || !rego_text_is(t->ref.path[0]->text, "keywords"))
        return parser_fail_at(p, i->at, "invalid import, must be `future.keywords`");
    if (count == 1) return true;
    enum rego_symbol s = rego_keyword(t->ref.path[1]->text.at, t->ref.path[1]->text.len);
    if (s == REGO_IN || s == REGO_IF || s == REGO_CONTAINS || s == REGO_EVERY) return true;
    return parser_fail_at(p, t->ref.path[1]->at,
                          "unexpected keyword, must be one of [contains every if in]");
}

static bool check_import(struct parser *p, struct rego_import *i)
{
    const struct rego_term *t = i->path;
    const struct rego_term *root = t->kind == REGO_TERM_REF ? t->ref.head : t;

    if (is_language_import(t)) {
        i->no_op = true;
        return check_language_import(p, i);
    }
    if (!rego_term_is_var(root, "data") && !rego_term_is_var(root, "input"))
        return parser_fail_at(p, t->at, "unexpected import path, must begin with one of: "
                              "{data, future, input, rego}, got: %.60s", root->var.name.at);
    if (i->alias.len || t->kind == REGO_TERM_VAR) return true;
    struct rego_text last = t->ref.path[t->ref.count - 1]->text;
    if (!rego_keyword(last.at, last.len)) return true;
    parser_fail_at(p, t->at, "unexpected import path, must not end with a keyword, got: %.60s",
                   last.at);
    parser_hint(p, "import a different path or use an alias");
    return false;
}

static bool parse_import(struct parser *p, struct rego_import *i)
{
    i->at = parser_here(p);
    parser_advance(p);
    i->path = parse_path(p);
    if (!i->path) return false;
    if (parser_take(p, REGO_AS)) {
        if (p->t.kind != REGO_NAME) return parser_unexpected(p, "expected identifier");
        if (p->t.symbol)
            return parser_fail(p, "unexpected import alias, must not be a keyword, got: %s",
                               rego_token_name(&p->t));
        struct rego_term *alias = parse_var(p);
        if (!alias) return false;
        i->alias = alias->var.name;
    }
    i->at = parser_since(p, i->at);
    return check_import(p, i);
}

/* ---- statements ------------------------------------------------------------------------------ */

static bool add_import(struct parser *p, struct rego_module_ast *m, size_t *cap)
{
    struct rego_import import = {0};

    if (!parse_import(p, &import)) return false;
    struct rego_import *grown =
        arena_grow(p->arena, m->imports, m->import_count, cap, sizeof import);
    if (!grown) return parser_full(p);
    m->imports = grown;
    m->imports[m->import_count++] = import;
    return true;
}

static bool add_rule(struct parser *p, struct rego_module_ast *m, size_t *cap, struct rego_rule *rule)
{
    struct rego_rule **grown =
        arena_grow(p->arena, m->rules, m->rule_count, cap, sizeof(struct rego_rule *));
    if (!grown) return parser_full(p);
    m->rules = grown;
    m->rules[m->rule_count++] = rule;
    for (; rule; rule = rule->otherwise) rule->module = m;
    return true;
}

static bool add_rules(struct parser *p, struct rego_module_ast *m, size_t *cap)
{
    struct rego_rule *rule = parse_rule(p);

    while (rule && add_rule(p, m, cap, rule)) {
        if (!parser_at_chained(p, rule)) return true;
        rule = parse_chained(p, rule);
    }
    return false;
}

/* To the next line that begins at its first column with a word, where a statement may begin. */
static void recover(struct parser *p, uint32_t statement)
{
    p->depth = 0;
    while (!parser_at_end(p)) {
        bool word = p->t.kind == REGO_NAME && !parser_at(p, REGO_ELSE);
        if (word && p->t.column == 1 && parser_here(p).offset > statement) return;
        p->lexer.at = p->t.text;
        while (p->lexer.at < p->lexer.end && *p->lexer.at != '\n') p->lexer.at++;
        p->lexer.line = p->t.line;
        parser_advance(p);
    }
}

static void parse_statements(struct parser *p, struct rego_module_ast *m)
{
    size_t import_cap = 0, rule_cap = 0;

    while (!parser_at_end(p)) {
        uint32_t start = parser_here(p).offset;
        bool import = parser_at(p, REGO_IMPORT);
        if (import ? add_import(p, m, &import_cap) : add_rules(p, m, &rule_cap)) continue;
        bool stop = p->hopeless || arena_failed(p->arena);
        parser_report(p);
        if (stop || p->errors->count == REGO_ERRORS_MAX) return;
        recover(p, start);
    }
}

struct rego_module_ast *rego_parse_module(struct arena *a, const char *name, const char *text,
                                          size_t len, struct rego_errors *errors)
{
    struct parser p;
    size_t before = errors->count + errors->more;
    struct rego_module_ast *m = arena_alloc(a, sizeof *m);

    if (parser_init(&p, a, name, text, len, errors) && m) {
        m->source = p.source;
        if (parse_package(&p, m)) parse_statements(&p, m);
    }
    parser_report(&p);
    if (!m || errors->count + errors->more > before) return NULL;
    m->comments = p.comments;
    m->comment_count = p.comment_count;
    return m;
}

struct rego_body *rego_parse_query(struct arena *a, const char *text, size_t len,
                                   struct rego_errors *errors)
{
    struct parser p;
    struct rego_body *body = NULL;

    if (parser_init(&p, a, "", text, len, errors)) body = parse_body(&p, REGO_SYMBOL_NONE);
    bool failed = p.failed || arena_failed(a);
    parser_report(&p);
    return failed ? NULL : body;
}

