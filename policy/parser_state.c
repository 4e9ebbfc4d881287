#include <stdio.h>

#include "policy/parser_internal.h"

static void keep_comment(void *context, const struct rego_token *t)
{
    struct parser *p = context;
    uint32_t offset = (uint32_t) (t->text - p->source.text);

    /* A lexer that was set back comes by again. */
    if (p->comment_count && p->comments[p->comment_count - 1].at.offset >= offset) return;
    struct rego_comment *grown = arena_grow(p->arena, p->comments, p->comment_count,
                                            &p->comment_cap, sizeof *p->comments);
    if (!grown) return; /* the arena remembers */
    p->comments = grown;
    p->comments[p->comment_count++] = (struct rego_comment){
        .at = {t->line, t->column, offset, (uint32_t) t->len}, .text = {t->text + 1, t->len - 1}};
}

struct rego_span parser_here(const struct parser *p)
{
    return (struct rego_span){p->t.line, p->t.column, (uint32_t) (p->t.text - p->source.text),
                              (uint32_t) p->t.len};
}

struct rego_span parser_since(const struct parser *p, struct rego_span start)
{
    start.len = p->last_end > start.offset ? p->last_end - start.offset : 0;
    return start;
}

__attribute__((format(printf, 3, 0)))
static void set_problem(struct parser *p, struct rego_span at, const char *format, va_list args)
{
    if (p->failed) return;
    p->failed = true;
    p->problem.at = at;
    p->problem.hint[0] = '\0';
    vsnprintf(p->problem.text, sizeof p->problem.text, format, args);
}

void *parser_fail_at(struct parser *p, struct rego_span at, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_problem(p, at, format, args);
    va_end(args);
    return NULL;
}

void *parser_fail(struct parser *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_problem(p, parser_here(p), format, args);
    va_end(args);
    return NULL;
}

void *parser_unexpected(struct parser *p, const char *note)
{
    if (p->t.kind == REGO_BAD) {
        parser_fail(p, "illegal token: %s", p->t.problem);
        return NULL;
    }
    const char *kind = rego_symbol_is_keyword(p->t.symbol) ? "keyword" : "token";
    return parser_fail(p, "unexpected %s %s%s%s", rego_token_name(&p->t), kind, note ? ": " : "",
                       note ? note : "");
}

void parser_hint(struct parser *p, const char *hint)
{
    snprintf(p->problem.hint, sizeof p->problem.hint, "%s", hint);
}

static struct rego_span place_of(const char *text, size_t offset)
{
    struct rego_span at = {1, 1, (uint32_t) offset, 0};

    for (size_t i = 0; i < offset; i++) {
        if (((unsigned char) text[i] & 0xc0) != 0x80) at.column++;
        if (text[i] != '\n') continue;
        at.line++;
        at.column = 1;
    }
    return at;
}

bool parser_init(struct parser *p, struct arena *a, const char *name, const char *text, size_t len,
                 struct rego_errors *errors)
{
    size_t valid = 0;

    *p = (struct parser){
        .arena = a, .errors = errors, .source = {name, text, len},
        .tokens_left = (uint64_t) PARSER_REREAD * len + 1000,
    };
    if (len > REGO_PARSE_BYTES) {
        p->source.len = 0;
        return parser_fail_at(p, (struct rego_span){0}, "the text is larger than %u bytes",
                              REGO_PARSE_BYTES);
    }
    if (!rego_utf8_valid(text, len, &valid)) {
        struct rego_span at = place_of(text, valid);
        p->source.len = valid; /* the line in the message must stay text */
        return parser_fail_at(p, at, "illegal token: the text is not UTF-8");
    }
    rego_lexer_init(&p->lexer, text, len);
    p->lexer.comment = keep_comment;
    p->lexer.context = p;
    parser_advance(p);
    return true;
}

void parser_report(struct parser *p)
{
    if (!p->failed && arena_failed(p->arena)) parser_fail(p, "the text needs too much memory");
    if (!p->failed) return;
    struct rego_error *e = rego_error_add(p->errors, REGO_PARSE_ERROR, &p->source, &p->problem.at,
                                          "%s", p->problem.text);
    if (p->problem.hint[0]) rego_error_hint(e, "%s", p->problem.hint);
    p->failed = false;
}

void parser_advance(struct parser *p)
{
    if (p->t.text) p->last_end = (uint32_t) (p->t.text - p->source.text) + (uint32_t) p->t.len;
    if (p->tokens_left == 0) {
        parser_fail(p, "the text is nested in too many ways to read it");
        p->hopeless = true;
        p->t = (struct rego_token){.kind = REGO_END, .text = p->t.text, .line = p->t.line,
                                   .column = p->t.column, .newline = true};
        return;
    }
    p->tokens_left--;
    p->t = rego_lexer_next(&p->lexer);
}

bool parser_at(const struct parser *p, enum rego_symbol s)
{
    return p->t.symbol == s;
}

bool parser_take(struct parser *p, enum rego_symbol s)
{
    if (p->t.symbol != s) return false;
    parser_advance(p);
    return true;
}

bool parser_expect(struct parser *p, enum rego_symbol s, const char *expected)
{
    if (parser_take(p, s)) return true;
    return parser_unexpected(p, expected);
}

bool parser_at_end(const struct parser *p)
{
    return p->t.kind == REGO_END;
}

bool parser_enter(struct parser *p)
{
    if (p->depth >= REGO_PARSE_DEPTH) {
        parser_fail(p, "nested more than %d levels deep", REGO_PARSE_DEPTH);
        p->hopeless = true;
        return false;
    }
    p->depth++;
    if (p->height < p->depth) p->height = p->depth;
    return true;
}

void parser_leave(struct parser *p)
{
    p->depth--;
}

unsigned parser_chain_begin(struct parser *p, const struct rego_term *first)
{
    unsigned outer = p->height;

    if (!first) p->height = p->depth;
    return outer;
}

bool parser_chain_link(struct parser *p)
{
    if (p->height++ < REGO_PARSE_HEIGHT) return true;
    parser_fail(p, "more than %d operators in a row", REGO_PARSE_HEIGHT);
    p->hopeless = true;
    return false;
}

void parser_chain_end(struct parser *p, unsigned outer)
{
    if (p->height < outer) p->height = outer;
}

struct parser_mark parser_mark(const struct parser *p)
{
    return (struct parser_mark){p->lexer, p->t, p->last_end, p->depth};
}

bool parser_back(struct parser *p, const struct parser_mark *m, struct parser_problem *ret_problem)
{
    *ret_problem = p->problem;
    if (p->hopeless || arena_failed(p->arena)) return false;
    p->lexer = m->lexer;
    p->t = m->t;
    p->last_end = m->last_end;
    p->depth = m->depth;
    p->failed = false;
    return true;
}

void parser_furthest(struct parser *p, const struct parser_problem *other)
{
    if (p->failed && !p->hopeless && other->at.offset > p->problem.at.offset) p->problem = *other;
}

void *parser_full(struct parser *p)
{
    parser_fail(p, "the text needs too much memory");
    p->hopeless = true;
    return NULL;
}

void *parser_alloc(struct parser *p, size_t size)
{
    void *memory = arena_alloc(p->arena, size);

    return memory ? memory : parser_full(p);
}

struct rego_term *parser_term(struct parser *p, enum rego_term_kind kind, struct rego_span at)
{
    struct rego_term *t = rego_term_new(p->arena, kind, at);

    return t ? t : parser_full(p);
}

bool parser_append(struct parser *p, struct rego_list *list, size_t *cap, struct rego_term *t)
{
    if (!t) return false;
    struct rego_term **grown =
        arena_grow(p->arena, list->items, list->count, cap, sizeof(struct rego_term *));
    if (!grown) return parser_full(p);
    list->items = grown;
    list->items[list->count++] = t;
    return true;
}
