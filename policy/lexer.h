/* Rego's tokens, one at a time, over text that stays where it is. Pure: no allocation, no state
 * beyond the struct, which may be copied to come back to a place; linear in the text. White space
 * is skipped and comments too, unless somebody wants to be told of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rego_kind {
    REGO_END,      /* of the text; stays the answer when asked again */
    REGO_NAME,     /* identifier or keyword */
    REGO_STRING,   /* "..." with JSON escapes, or `...` raw; the text has the quotes */
    REGO_TEMPLATE, /* $" or $` only: go on with rego_lexer_template */
    REGO_NUMBER,   /* as in JSON, without sign */
    REGO_SIGN,     /* operator or punctuation */
    REGO_BAD,      /* no token: `problem` says why; the lexer does not go beyond it */
};

/* Keywords and signs. A keyword directly before a dot is a name (`if.foo`), so it has none. */
enum rego_symbol {
    REGO_SYMBOL_NONE,
    REGO_PACKAGE, REGO_IMPORT, REGO_AS, REGO_DEFAULT, REGO_ELSE, REGO_NOT, REGO_SOME, REGO_EVERY,
    REGO_WITH, REGO_IN, REGO_IF, REGO_CONTAINS, REGO_NULL, REGO_TRUE, REGO_FALSE,
    REGO_ASSIGN, REGO_UNIFY, REGO_EQUAL, REGO_NEQ, REGO_LT, REGO_LTE, REGO_GT, REGO_GTE,
    REGO_PLUS, REGO_MINUS, REGO_TIMES, REGO_SLASH, REGO_PERCENT, REGO_AMPERSAND, REGO_BAR,
    REGO_DOT, REGO_COMMA, REGO_COLON, REGO_SEMICOLON,
    REGO_LPAREN, REGO_RPAREN, REGO_LBRACKET, REGO_RBRACKET, REGO_LBRACE, REGO_RBRACE,
    REGO_SYMBOLS
};

struct rego_token {
    enum rego_kind kind;
    enum rego_symbol symbol;
    bool spaced;           /* white space or a comment before it */
    bool newline;          /* .. that holds a newline; true at the start of the text */
    const char *text;      /* within the text given to rego_lexer_init; not NUL-terminated */
    size_t len;            /* bytes */
    unsigned line, column; /* from 1; columns count characters, not bytes */
    const char *problem;   /* static text; NULL unless REGO_BAD */
};

struct rego_lexer {
    const char *at, *end;
    unsigned line, column;
    /* Optional: told of each comment, '#' included, kind REGO_SIGN. A lexer that was set back tells
     * again. */
    void (*comment)(void *context, const struct rego_token *comment);
    void *context;
};

/* The text must be well-formed UTF-8 (rego_utf8_valid) and outlive lexer and tokens. */
void rego_lexer_init(struct rego_lexer *l, const char *text, size_t len);
struct rego_token rego_lexer_next(struct rego_lexer *l);

/* After a REGO_TEMPLATE token, and after the '}' of each expression in it: the literal text from
 * here, as a STRING token without quotes. *ret_more: an expression follows, its '{' is consumed;
 * otherwise the closing quote is. `quote` is '"' or '`'. */
struct rego_token rego_lexer_template(struct rego_lexer *l, char quote, bool *ret_more);

/* OPA's name of a symbol in messages: "assign", "{", "if"; that of the kind for other tokens. */
const char *rego_token_name(const struct rego_token *t);
bool rego_symbol_is_keyword(enum rego_symbol s);
/* The keyword that text is, REGO_SYMBOL_NONE for other names. */
enum rego_symbol rego_keyword(const char *text, size_t len);

/* Same kind and same spelling: "a" and "\u0061" differ. */
bool rego_token_same(const struct rego_token *a, const struct rego_token *b);
bool rego_token_is(const struct rego_token *t, const char *spelling);

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. When false, *ret_valid is
 * the number of bytes before the first bad one. */
bool rego_utf8_valid(const char *text, size_t len, size_t *ret_valid);
