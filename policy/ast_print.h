/* The syntax tree as Rego text, laid out as `opa fmt` does in the main: for tests and messages.
 * Parsing what is printed gives the same tree again; comments are not printed. Meant for trees as
 * the parser made them. */
#pragma once

#include "policy/ast.h"
#include "policy/text.h"

void rego_print_module(struct text *to, const struct rego_module_ast *m);
void rego_print_body(struct text *to, const struct rego_body *b); /* on one line, with ';' */
void rego_print_expr(struct text *to, const struct rego_expr *e);
void rego_print_term(struct text *to, const struct rego_term *t);
