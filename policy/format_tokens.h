/* A module as the formatter sees it: tokens and comments in the order of the text, and which braces
 * open the body of a rule or of `every`. Internal to format*.c. */
#pragma once

#include "policy/ast.h"
#include "policy/lexer.h"

enum format_kind {
    FORMAT_WORD,     /* name, keyword, string (templates whole), number */
    FORMAT_SIGN,
    FORMAT_COMMENT,
    FORMAT_END,
};

struct format_token {
    enum format_kind kind;
    enum rego_symbol symbol;
    const char *text;
    size_t len;
    uint32_t offset;
    unsigned lines_before; /* newlines between the token before and this one, 3 at most */
    bool spaced;           /* white space before it */
    bool opens_block, closes_block;
    bool separates_block;  /* a ';' directly within a block */
    bool unary;            /* a minus sign that is no operator between two terms */
};

struct format_tokens {
    struct format_token *items; /* the last is FORMAT_END */
    size_t count;
};

/* False when the arena is exhausted. The text has been parsed to m. */
bool format_tokens_read(struct arena *a, const struct rego_module_ast *m, struct format_tokens *ret);
