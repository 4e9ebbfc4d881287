/* The front of the compilation: texts of modules and queries -> the checked form (checked.h). */
#pragma once

#include "policy/checked.h"
#include "policy/rego.h"

struct arena;
struct builtin_host;

struct compile_options {
    const struct builtin_host *host; /* functions beside the table's; may be NULL */
    /* Tests only: refused, deprecated and internal functions may be named. */
    bool allow_refused;
    const char *const *queries; /* NUL-terminated Rego bodies */
    size_t query_count;
};

/* Parses, resolves, checks and orders everything. Returns NULL, with at least one error added, when
 * any text is refused or the arena is full; several errors are found in one go: all of the syntax, or
 * else all of the names and kinds, or else all of safety and recursion.
 * Everything lives in the arena but for module names, which are borrowed, as are the rows of
 * builtins. The texts must outlive only the errors. options may be NULL. */
const struct checked_program *compile_modules(struct arena *a, const struct rego_module *modules,
                                              size_t count, const struct compile_options *options,
                                              struct rego_errors *errors);
