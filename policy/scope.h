/* Variables while a rule is lowered: which number a name has where it stands. A scope is a body with
 * the closures in it as scopes within. OPA's rules of declaration (rego.md 4.1 item 8): `:=` and
 * `some` declare for what follows in the body; before, the name means the variable of a scope around
 * or is an error; a name nobody declares belongs to the outermost body that mentions it. */
#pragma once

#include "policy/compile_context.h"
#include "policy/name_table.h"

enum name_state {
    NAME_PENDING,  /* a declaration comes further down */
    NAME_TOO_EARLY,/* and the name was used before it */
    NAME_FREE,     /* never declared: made by its first mention */
    NAME_ARGUMENT,
    NAME_ASSIGNED, /* by := */
    NAME_DECLARED, /* by some or every */
};

struct scope_name {
    struct rego_text name;
    enum name_state state;
    uint32_t number;
    bool used;
    struct rego_span at; /* of the declaration */
};

struct scope {
    struct scope *outer; /* NULL for the rule's own */
    struct scope_name *names;
    size_t count, cap;
    struct name_table table; /* of positions in names, once there are many */
};

/* Numbers and scopes of one rule or query. */
struct scopes {
    struct compile *compile;
    uint32_t unit;
    struct scope *inner;  /* the current one */
    uint32_t next_number;
};

void scope_enter(struct scopes *s, struct scope *storage);
/* Reports what `some` and `every` declared for nothing, unless `quiet`. */
void scope_leave(struct scopes *s, bool quiet);

/* Looks through a body before it is lowered: what it declares, and which free names are its own. */
void scope_survey_body(struct scopes *s, const struct rego_body *body);
void scope_survey_term(struct scopes *s, const struct rego_term *t); /* NULL is fine */

/* The arguments of a function: every name in the patterns, in the current scope. */
void scope_arguments(struct scopes *s, struct rego_term *const *args, size_t count);

/* The arguments of another branch of the rule, with the numbers that they have there. */
void scope_take_arguments(struct scopes *s, const struct scope *from);

/* Declares a name in the current scope; says so when that is forbidden. Returns its number. */
uint32_t scope_declare(struct scopes *s, const struct rego_term *var, enum name_state state);

/* What a name means as a variable: true with its number, or false when it is a global or a root. A name
 * used above its declaration counts as variable (the error comes at the declaration). */
bool scope_lookup(struct scopes *s, struct rego_text name, uint32_t *ret_number);

/* True when a variable of that name is in force; marks nothing. */
bool scope_is_variable(struct scopes *s, struct rego_text name);

/* The dotted name of a VAR, or of a REF of a name and strings; len 0 for all else. */
struct rego_text scope_dotted_name(struct compile *c, const struct rego_term *t);

/* A fresh number for `_` or an intermediate result. */
uint32_t scope_number(struct scopes *s);

/* Calls visit for each VAR in the places of a pattern that bind: the pattern itself, members of arrays,
 * values of objects. */
void pattern_each_var(const struct rego_term *pattern,
                      void (*visit)(void *context, const struct rego_term *var), void *context);
