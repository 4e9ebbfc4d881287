#include "policy/format.h"

#include "policy/arena.h"
#include "policy/ast_print.h"
#include "policy/errors.h"
#include "policy/format_tokens.h"
#include "policy/parser.h"

#include <string.h>

enum { OPEN_MAX = 4096 };

struct printer {
    struct text *to;
    unsigned line;           /* of the text that is written, from 0 */
    unsigned open[OPEN_MAX]; /* the line in which each bracket was opened */
    size_t depth;
    const struct format_token *before; /* the token before, comments included */
    const struct format_token *word;   /* the token before, comments left out */
    enum rego_symbol statement;        /* PACKAGE, IMPORT or what else the statement begins with */
    bool last_unary;
};

static bool is_open(const struct format_token *t)
{
    return t && (t->symbol == REGO_LPAREN || t->symbol == REGO_LBRACKET || t->symbol == REGO_LBRACE);
}

static bool is_close(const struct format_token *t)
{
    return t && (t->symbol == REGO_RPAREN || t->symbol == REGO_RBRACKET || t->symbol == REGO_RBRACE);
}

static bool is_infix(const struct format_token *t)
{
    return t && !t->unary && t->symbol >= REGO_ASSIGN && t->symbol <= REGO_BAR;
}

/* ---- lines ------------------------------------------------------------------------------------------- */

/* Brackets opened in one line indent once. A closing one at the start of a line stands where the
 * line of its opening one stood. */
static unsigned indentation(const struct printer *p, const struct format_token *t)
{
    size_t depth = p->depth;
    unsigned levels = 0;
    if (is_close(t) && depth) {
        unsigned line = p->open[depth - 1];
        while (depth && p->open[depth - 1] == line) depth--;
    }
    for (size_t i = 0; i < depth; i++) levels += i == 0 || p->open[i] != p->open[i - 1];
    const struct format_token *w = p->word;
    bool goes_on = w && (is_infix(w) || w->symbol == REGO_IF || w->symbol == REGO_IN || w->symbol == REGO_WITH ||
                         w->symbol == REGO_AS || w->symbol == REGO_CONTAINS || w->symbol == REGO_NOT);
    bool continues = is_infix(t) || t->symbol == REGO_WITH || t->symbol == REGO_AS || t->symbol == REGO_IN;
    return levels + (w && t->kind != FORMAT_COMMENT && !is_close(t) && (goes_on || continues));
}

static void newline(struct printer *p, const struct format_token *t, bool blank)
{
    text_add_string(p->to, blank ? "\n\n" : "\n");
    p->line += 1 + blank;
    if (t->kind == FORMAT_END) return;
    for (unsigned i = indentation(p, t); i; i--) text_add_char(p->to, '\t');
}

static bool at_top(const struct printer *p) { return p->depth == 0; }

/* Whether the author's or the house's rules want a new line before the token. */
static bool wants_newline(const struct printer *p, const struct format_token *t)
{
    const struct format_token *before = p->before;
    if (before->kind == FORMAT_COMMENT) return true;
    if (t->kind == FORMAT_COMMENT) return t->lines_before > 0;
    if (before->opens_block || t->closes_block || before->separates_block) return true;
    if (t->symbol == REGO_ELSE && before->closes_block) return false;
    return t->lines_before > 0;
}

/* Package, imports and rules stand apart. */
static bool ends_preamble(const struct printer *p, const struct format_token *t)
{
    return at_top(p) && t->lines_before > 0 && (p->statement == REGO_PACKAGE ||
                                                 (p->statement == REGO_IMPORT && t->symbol != REGO_IMPORT));
}

static bool wants_blank(const struct printer *p, const struct format_token *t)
{
    const struct format_token *before = p->before;
    bool author = t->lines_before > 1 && !is_open(before) && !is_close(t) && t->symbol != REGO_ELSE;
    bool after_block = at_top(p) && before->closes_block && t->symbol != REGO_ELSE;
    return author || after_block || ends_preamble(p, t);
}

/* ---- spaces ------------------------------------------------------------------------------------------- */

static bool wants_space(const struct printer *p, const struct format_token *t)
{
    const struct format_token *before = p->before;
    if (t->kind == FORMAT_COMMENT) return true;
    if (p->last_unary || before->symbol == REGO_DOT || t->symbol == REGO_DOT) return false;
    if (t->symbol == REGO_COMMA || t->symbol == REGO_COLON || t->symbol == REGO_SEMICOLON) return false;
    if (is_open(before) && !before->opens_block) return false;
    if (is_close(t) && !t->closes_block) return false;
    /* p[x] and f(x): the author had none either, or it would be something else. */
    if (t->symbol == REGO_LBRACKET || t->symbol == REGO_LPAREN)
        return t->spaced || is_infix(before) || before->symbol == REGO_COLON || before->symbol == REGO_COMMA ||
               before->symbol == REGO_SEMICOLON;
    return true;
}

/* ---- one token ------------------------------------------------------------------------------------------- */

static void put_separation(struct printer *p, const struct format_token *t)
{
    if (!p->before) {
        p->statement = t->symbol;
        return;
    }
    if (wants_newline(p, t)) {
        newline(p, t, wants_blank(p, t));
        if (at_top(p)) p->statement = t->symbol;
    } else if (wants_space(p, t)) {
        text_add_char(p->to, ' ');
    }
}

static bool put(struct printer *p, const struct format_token *t)
{
    if (!t->separates_block) {
        put_separation(p, t);
        text_add(p->to, t->text, t->len);
        for (size_t i = 0; i < t->len; i++) p->line += t->text[i] == '\n';
    }
    if (is_open(t)) {
        if (p->depth == OPEN_MAX) return false;
        p->open[p->depth++] = p->line;
    }
    if (is_close(t) && p->depth) p->depth--;
    p->last_unary = t->unary;
    p->before = t;
    if (t->kind != FORMAT_COMMENT) p->word = t->separates_block ? NULL : t;
    return true;
}

static bool put_all(struct text *to, const struct format_tokens *tokens, struct arena *a)
{
    struct printer *p = arena_alloc(a, sizeof *p);
    if (!p) return false;
    p->to = to;
    for (size_t i = 0; i + 1 < tokens->count; i++) {
        const struct format_token *t = &tokens->items[i];
        /* A comment behind a ';' that goes stays in its line. */
        if (t->kind == FORMAT_COMMENT && p->before && p->before->separates_block && !t->lines_before) {
            text_add_char(to, ' ');
            text_add(to, t->text, t->len);
            p->before = t;
            continue;
        }
        if (!put(p, t)) return false;
    }
    if (p->before) text_add_char(to, '\n');
    return !to->failed;
}

/* ---- whole texts -------------------------------------------------------------------------------------------- */

static const char *tree_text(struct arena *a, const char *text, size_t len, struct rego_errors *errors, size_t *ret_len)
{
    struct text t;
    const struct rego_module_ast *m = rego_parse_module(a, "", text, len, errors);
    if (!m) return NULL;
    text_init(&t, a);
    rego_print_module(&t, m);
    *ret_len = t.len;
    return text_end(&t);
}

/* A layout that changed the meaning would be worse than none. */
static bool same_tree(struct arena *a, const struct rego_module *module, const char *text, size_t len)
{
    struct rego_errors errors = { 0 };
    size_t old_len = 0, new_len = 0;
    const char *old = tree_text(a, module->text, module->len, &errors, &old_len);
    const char *new = tree_text(a, text, len, &errors, &new_len);
    return old && new && old_len == new_len && memcmp(old, new, old_len) == 0;
}

bool rego_format(struct text *to, const struct rego_module *module, struct rego_errors *ret_errors)
{
    *ret_errors = (struct rego_errors) { 0 };
    struct arena *a = to->arena;
    struct format_tokens tokens;
    const struct rego_module_ast *m = rego_parse_module(a, module->name, module->text, module->len, ret_errors);
    if (!m) return false;
    size_t begin = to->len;
    bool done = format_tokens_read(a, m, &tokens) && put_all(to, &tokens, a) &&
                same_tree(a, module, to->data + begin, to->len - begin);
    if (!done)
        rego_error_add(ret_errors, REGO_COMPILE_ERROR, NULL, NULL,
                       to->failed || arena_failed(a) ? "the text needs too much memory to be laid out"
                                                     : "this text cannot be laid out without changing it");
    return done;
}
