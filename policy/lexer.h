/* Rego's tokens, one at a time, over text that stays where it is. Pure: no allocation, no state
 * beyond the struct, linear in the text; comments and white space are skipped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum rego_kind {
    REGO_END,    /* of the text; stays the answer when asked again */
    REGO_NAME,   /* identifier or keyword */
    REGO_STRING, /* "..." with JSON escapes, or raw between back quotes; the text has the quotes */
    REGO_NUMBER, /* as in JSON, without sign */
    REGO_SIGN,   /* operator or punctuation */
    REGO_BAD,    /* no token: `problem` says why; the lexer does not go beyond it */
};

struct rego_token {
    enum rego_kind kind;
    const char *text;      /* within the text given to rego_lexer_init; not NUL-terminated */
    size_t len;            /* bytes */
    unsigned line, column; /* from 1; columns count characters, not bytes */
    const char *problem;   /* static text; NULL unless REGO_BAD */
};

struct rego_lexer {
    const char *at, *end;
    unsigned line, column;
};

/* The text must be well-formed UTF-8 (rego_utf8_valid) and outlive lexer and tokens. */
void rego_lexer_init(struct rego_lexer *l, const char *text, size_t len);
struct rego_token rego_lexer_next(struct rego_lexer *l);

/* Same kind and same spelling: "a" and "\u0061" differ. */
bool rego_token_same(const struct rego_token *a, const struct rego_token *b);
bool rego_token_is(const struct rego_token *t, const char *spelling);

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. When false, *ret_valid is
 * the number of bytes before the first bad one. */
bool rego_utf8_valid(const char *text, size_t len, size_t *ret_valid);
