#include "policy/format_tokens.h"

#include "policy/arena.h"

#include <string.h>

/* ---- where bodies begin -------------------------------------------------------------------------- */

/* Offsets of the first expression of every body in braces, sorted afterwards. */
struct starts {
    struct arena *arena;
    uint32_t *items;
    size_t count, cap;
    bool failed;
};

static void body_starts(struct starts *s, const struct rego_body *b);
static bool term_starts(struct rego_term *t, void *context);

static void add_start(struct starts *s, uint32_t offset)
{
    uint32_t *grown = arena_grow(s->arena, s->items, s->count, &s->cap, sizeof *grown);
    if (!grown) {
        s->failed = true;
        return;
    }
    s->items = grown;
    s->items[s->count++] = offset;
}

static bool term_starts(struct rego_term *t, void *context)
{
    struct starts *s = context;
    if (!t || s->failed) return !s->failed;
    if (t->kind == REGO_TERM_ARRAY_COMP || t->kind == REGO_TERM_SET_COMP || t->kind == REGO_TERM_OBJECT_COMP)
        body_starts(s, t->comp->body);
    return rego_term_each_part(t, term_starts, context);
}

static void expr_starts(struct starts *s, const struct rego_expr *e)
{
    struct rego_term *terms[] = { e->term, e->left, e->right, e->domain };
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) term_starts(terms[i], s);
    for (size_t i = 0; i < e->with_count; i++) term_starts(e->with[i].value, s);
    if (!e->body) return;
    add_start(s, e->body->at.offset);
    body_starts(s, e->body);
}

static void body_starts(struct starts *s, const struct rego_body *b)
{
    for (size_t i = 0; i < b->count; i++) expr_starts(s, b->exprs[i]);
}

static void rule_starts(struct starts *s, const struct rego_rule *r)
{
    for (; r; r = r->otherwise) {
        term_starts(r->key, s);
        term_starts(r->value, s);
        for (size_t i = 0; i < r->path_count; i++) term_starts(r->path[i], s);
        if (r->body_generated) continue;
        add_start(s, r->body->at.offset);
        body_starts(s, r->body);
    }
}

static bool is_start(const struct starts *s, uint32_t offset)
{
    for (size_t low = 0, high = s->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (s->items[middle] == offset) return true;
        if (s->items[middle] < offset) low = middle + 1;
        else high = middle;
    }
    return false;
}

static void sort_starts(struct starts *s) /* nearly sorted: a nest comes inner first */
{
    for (size_t i = 1; i < s->count; i++) {
        uint32_t x = s->items[i];
        size_t k = i;
        for (; k > 0 && s->items[k - 1] > x; k--) s->items[k] = s->items[k - 1];
        s->items[k] = x;
    }
}

/* ---- reading ---------------------------------------------------------------------------------------- */

struct reader {
    struct arena *arena;
    const char *text;
    struct rego_lexer lexer;
    struct format_tokens tokens;
    size_t cap;
    const char *after; /* end of the token before */
    bool failed;
};

static void add_token(struct reader *r, enum format_kind kind, const struct rego_token *t, size_t len)
{
    struct format_token *grown = arena_grow(r->arena, r->tokens.items, r->tokens.count, &r->cap, sizeof *grown);
    if (!grown) {
        r->failed = true;
        return;
    }
    r->tokens.items = grown;
    unsigned lines = 0;
    for (const char *c = r->after; c < t->text && lines < 3; c++) lines += *c == '\n';
    r->tokens.items[r->tokens.count++] = (struct format_token) {
        .kind = kind, .symbol = t->symbol, .text = t->text, .len = len,
        .offset = (uint32_t) (t->text - r->text), .lines_before = lines, .spaced = t->text > r->after,
    };
    r->after = t->text + len;
}

static void on_comment(void *context, const struct rego_token *comment)
{
    size_t len = comment->len;
    while (len && strchr(" \t\r", comment->text[len - 1])) len--;
    add_token(context, FORMAT_COMMENT, comment, len);
}

/* A template string with the expressions in it, up to the closing quote. */
static void skip_template(struct rego_lexer *l, char quote)
{
    unsigned depth = 0;
    for (bool more = true;;) {
        rego_lexer_template(l, quote, &more);
        if (!more) return;
        for (depth = 1; depth;) {
            struct rego_token t = rego_lexer_next(l);
            if (t.kind == REGO_END || t.kind == REGO_BAD) return;
            if (t.kind == REGO_TEMPLATE) skip_template(l, t.text[1]);
            if (t.symbol == REGO_LBRACE) depth++;
            if (t.symbol == REGO_RBRACE) depth--;
        }
    }
}

static void read_all(struct reader *r)
{
    for (struct rego_token t = { 0 }; !r->failed;) {
        t = rego_lexer_next(&r->lexer);
        if (t.kind == REGO_END || t.kind == REGO_BAD) break;
        if (t.kind != REGO_TEMPLATE) {
            add_token(r, t.kind == REGO_SIGN ? FORMAT_SIGN : FORMAT_WORD, &t, t.len);
            continue;
        }
        struct rego_lexer quiet = r->lexer;
        quiet.comment = NULL; /* a comment within it is part of it */
        skip_template(&quiet, t.text[1]);
        quiet.comment = r->lexer.comment;
        r->lexer = quiet;
        add_token(r, FORMAT_WORD, &t, (size_t) (r->lexer.at - t.text));
    }
    struct rego_token end = { .text = r->lexer.end };
    add_token(r, FORMAT_END, &end, 0);
}

/* ---- marking ------------------------------------------------------------------------------------------ */

enum { NESTING_MAX = 4096 };

/* Behind these a minus begins a term. */
static bool begins_term(const struct format_token *before)
{
    static const enum rego_symbol signs[] = {
        REGO_ASSIGN, REGO_UNIFY, REGO_EQUAL, REGO_NEQ, REGO_LT, REGO_LTE, REGO_GT, REGO_GTE, REGO_PLUS, REGO_MINUS,
        REGO_TIMES, REGO_SLASH, REGO_PERCENT, REGO_AMPERSAND, REGO_BAR, REGO_COMMA, REGO_COLON, REGO_SEMICOLON,
        REGO_LPAREN, REGO_LBRACKET, REGO_LBRACE, REGO_IF, REGO_IN, REGO_NOT, REGO_AS, REGO_CONTAINS, REGO_SOME };
    if (!before) return true;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (before->symbol == signs[i]) return true;
    return false;
}

static void mark(struct format_tokens *tokens, const struct starts *starts, bool *blocks)
{
    size_t depth = 0;
    const struct format_token *before = NULL;
    for (size_t i = 0; i < tokens->count; i++) {
        struct format_token *t = &tokens->items[i];
        if (t->kind == FORMAT_COMMENT) continue;
        size_t next = i + 1;
        while (next < tokens->count && tokens->items[next].kind == FORMAT_COMMENT) next++;
        bool opens = t->symbol == REGO_LBRACE || t->symbol == REGO_LPAREN || t->symbol == REGO_LBRACKET;
        if (opens && depth < NESTING_MAX) {
            t->opens_block = t->symbol == REGO_LBRACE && next < tokens->count &&
                             is_start(starts, tokens->items[next].offset);
            blocks[depth++] = t->opens_block;
        } else if (depth && (t->symbol == REGO_RBRACE || t->symbol == REGO_RPAREN || t->symbol == REGO_RBRACKET)) {
            t->closes_block = blocks[--depth];
        }
        t->separates_block = t->symbol == REGO_SEMICOLON && depth && blocks[depth - 1];
        t->unary = t->symbol == REGO_MINUS && (begins_term(before) || t->lines_before > 0);
        before = t;
    }
}

bool format_tokens_read(struct arena *a, const struct rego_module_ast *m, struct format_tokens *ret)
{
    struct starts starts = { .arena = a };
    bool *blocks = arena_alloc(a, NESTING_MAX);
    for (size_t i = 0; i < m->rule_count; i++) rule_starts(&starts, m->rules[i]);
    struct reader r = { .arena = a, .text = m->source.text, .after = m->source.text };
    rego_lexer_init(&r.lexer, m->source.text, m->source.len);
    r.lexer.comment = on_comment;
    r.lexer.context = &r;
    read_all(&r);
    if (r.failed || starts.failed || !blocks) return false;
    sort_starts(&starts);
    mark(&r.tokens, &starts, blocks);
    *ret = r.tokens;
    return true;
}
