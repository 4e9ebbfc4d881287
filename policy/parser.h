/* Rego v1 text to syntax tree. Pure: arena in, tree or errors out; linear in the text but for a
 * bounded amount of reading again; recursion is bounded by REGO_PARSE_DEPTH. */
#pragma once

#include "policy/ast.h"

/* Nesting of terms and bodies beyond which a text is refused. */
#define REGO_PARSE_DEPTH 200
/* Levels of the syntax tree: operators in a row (1 + 2 + 3 ...) make some without nesting. */
#define REGO_PARSE_HEIGHT 500
/* Bytes of a text beyond which it is refused. */
#define REGO_PARSE_BYTES (16U * 1024 * 1024)

/* Each returns NULL and adds at least one error (code rego_parse_error) when the text is refused or
 * the arena is full. The name is kept, not copied; the text must outlive the tree, whose spans
 * refer to it. After an error the parser goes on at the next rule, so several can be reported. */
struct rego_module_ast *rego_parse_module(struct arena *a, const char *name, const char *text,
                                          size_t len, struct rego_errors *errors);
/* A query as given to `opa eval`: expressions separated by `;` or newlines. */
struct rego_body *rego_parse_query(struct arena *a, const char *text, size_t len,
                                   struct rego_errors *errors);
