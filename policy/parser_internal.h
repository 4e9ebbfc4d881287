/* What the files of the parser share. One token of look-ahead (`t`); wherever Rego needs more, the
 * state is saved and set back. Each parse_* returns NULL (or false) after parser_fail and leaves
 * the rest to its caller; the first failure of a statement is the one that counts. */
#pragma once

#include <string.h>

#include "policy/arena.h"
#include "policy/lexer.h"
#include "policy/parser.h"

/* Tokens read over and over, as a multiple of the text's bytes, before a text is refused: going
 * back costs double for each level it is nested in. */
#define PARSER_REREAD 16U

struct parser_problem {
    struct rego_span at;
    char text[256];
    char hint[128];
};

struct parser {
    struct arena *arena;
    struct rego_errors *errors;
    struct rego_source source;
    struct rego_lexer lexer;
    struct rego_token t;
    uint32_t last_end; /* offset behind the token before t */
    unsigned depth;
    unsigned height; /* of the tree read last: its deepest term, counted from the top like depth */
    uint64_t tokens_left;
    bool failed;       /* problem is set; nothing more is read until it is reported or undone */
    bool hopeless;     /* .. and going back does not help: depth, memory, reading too much */
    struct parser_problem problem;
    struct rego_comment *comments;
    size_t comment_count, comment_cap;
};

/* ---- state (parser_state.c) ------------------------------------------------------------------ */

/* False when the text itself is no text; the problem is set. */
bool parser_init(struct parser *p, struct arena *a, const char *name, const char *text, size_t len,
                 struct rego_errors *errors);
/* Moves the failure, if there is one, to the errors; a full arena becomes one, too. */
void parser_report(struct parser *p);

void parser_advance(struct parser *p);
bool parser_at(const struct parser *p, enum rego_symbol s);
/* Moves over it when it is there. */
bool parser_take(struct parser *p, enum rego_symbol s);
/* Like take, but it must be there: "unexpected X token: expected Y". */
bool parser_expect(struct parser *p, enum rego_symbol s, const char *expected);
bool parser_at_end(const struct parser *p);

/* At the current token; NULL for convenience. */
void *parser_fail(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *parser_fail_at(struct parser *p, struct rego_span at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "unexpected NAME token", with ": NOTE" when there is one. */
void *parser_unexpected(struct parser *p, const char *note);
void parser_hint(struct parser *p, const char *hint);

/* Nesting: enter fails beyond REGO_PARSE_DEPTH; leave only after an enter that succeeded. */
bool parser_enter(struct parser *p);
void parser_leave(struct parser *p);

/* Operators in a row: each puts what stands before it one level deeper, without nesting in the text.
 * begin returns what end takes; link fails beyond REGO_PARSE_HEIGHT. */
unsigned parser_chain_begin(struct parser *p, const struct rego_term *first);
bool parser_chain_link(struct parser *p);
void parser_chain_end(struct parser *p, unsigned outer);

/* Going back: mark, try, and on failure either back (forget it and go on from the mark) .. */
struct parser_mark {
    struct rego_lexer lexer;
    struct rego_token t;
    uint32_t last_end;
    unsigned depth;
};
struct parser_mark parser_mark(const struct parser *p);
/* False when there is no sense in it. *ret_problem keeps the failure for parser_furthest. */
bool parser_back(struct parser *p, const struct parser_mark *m, struct parser_problem *ret_problem);
/* .. and, after the second way failed as well, tell of the one that got further. */
void parser_furthest(struct parser *p, const struct parser_problem *other);

struct rego_span parser_here(const struct parser *p);
/* From where `start` begins to the end of the last token. */
struct rego_span parser_since(const struct parser *p, struct rego_span start);

/* The failure of a full arena; NULL for convenience. */
void *parser_full(struct parser *p);
/* NULL and that failure when the arena is full. */
void *parser_alloc(struct parser *p, size_t size);
struct rego_term *parser_term(struct parser *p, enum rego_term_kind kind, struct rego_span at);
bool parser_append(struct parser *p, struct rego_list *list, size_t *cap, struct rego_term *t);

/* ---- strings (parser_strings.c) -------------------------------------------------------------- */

struct rego_term *parse_string(struct parser *p);
struct rego_term *parse_template(struct parser *p);

/* ---- terms (parser_terms.c) ------------------------------------------------------------------ */

/* A term without infix operators. */
struct rego_term *parse_term(struct parser *p);
/* With infix operators; `k, v in c` only when key_ok. lhs: the first operand when it is read. */
struct rego_term *parse_infix(struct parser *p, bool key_ok, struct rego_term *lhs);
/* The rest of a ref or call behind head; blank_ok: its first sign may follow after white space. */
struct rego_term *parse_ref(struct parser *p, struct rego_term *head, bool blank_ok);
/* At a name that is no keyword, or at `contains`. */
bool parser_at_name(const struct parser *p);
/* The current token, whatever it is, as a VAR; moves on. */
struct rego_term *parse_var(struct parser *p);
/* Terms with commas between and perhaps one behind, up to and with `close`. */
bool parse_list(struct parser *p, enum rego_symbol close, struct rego_list *ret_list, size_t cap);
struct rego_term *parser_call(struct parser *p, enum rego_op op, struct rego_term *const *args,
                              size_t count);

/* ---- collections (parser_collections.c) ------------------------------------------------------ */

struct rego_term *parse_array(struct parser *p);
struct rego_term *parse_braces(struct parser *p);

/* ---- expressions (parser_bodies.c) ----------------------------------------------------------- */

struct rego_expr *parse_literal(struct parser *p);
/* Expressions up to and with `close`; REGO_SYMBOL_NONE: up to the end of the text. */
struct rego_body *parse_body(struct parser *p, enum rego_symbol close);
/* A body of one expression. */
struct rego_body *parser_body_of(struct parser *p, struct rego_expr *e);
struct rego_body *parser_true_body(struct parser *p, struct rego_span at);

/* ---- rules (parser_rules.c, parser_heads.c) -------------------------------------------------- */

struct rego_rule *parse_rule(struct parser *p);
/* `p if { .. } { .. }`: each further body is one more rule with the head of the one before. */
bool parser_at_chained(const struct parser *p, const struct rego_rule *before);
struct rego_rule *parse_chained(struct parser *p, const struct rego_rule *before);
/* Reference, arguments, key or value of a rule's head into a fresh rule. */
bool parse_head(struct parser *p, struct rego_rule *r);
bool check_default(struct parser *p, const struct rego_rule *r);
