/* Filling struct rego_errors (rego.h): places in a text, codes, and the line itself. The codes and
 * the wording are OPA's where OPA has one, so that its guide to errors applies. */
#pragma once

#include <stdarg.h>

#include "policy/rego.h"

#define REGO_PARSE_ERROR "rego_parse_error"
#define REGO_COMPILE_ERROR "rego_compile_error"
#define REGO_TYPE_ERROR "rego_type_error"
#define REGO_UNSAFE_VAR_ERROR "rego_unsafe_var_error"
#define REGO_RECURSION_ERROR "rego_recursion_error"

/* A place in a text; line and column count characters from 1 (0: no place), offset and len
 * bytes. */
struct rego_span {
    uint32_t line, column;
    uint32_t offset, len;
};

/* The text a span is in. */
struct rego_source {
    const char *name; /* NUL-terminated; "" when it has none */
    const char *text;
    size_t len;
};

/* source and at may be NULL. Text that does not fit is cut at a character. Returns the error for
 * adding a hint, NULL when there was no room and it was only counted in `more`. */
struct rego_error *rego_error_add(struct rego_errors *errors, const char *code,
                                  const struct rego_source *source, const struct rego_span *at,
                                  const char *format, ...)
    __attribute__((format(printf, 5, 6)));
struct rego_error *rego_error_addv(struct rego_errors *errors, const char *code,
                                   const struct rego_source *source, const struct rego_span *at,
                                   const char *format, va_list args)
    __attribute__((format(printf, 5, 0)));

/* The way out, ours. error may be NULL. */
void rego_error_hint(struct rego_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* By line and column within a run of errors of the same module; equal places keep their order. */
void rego_errors_sort(struct rego_errors *errors);

/* "MODULE:LINE:COLUMN: CODE: TEXT" as OPA prints it, NUL-terminated, cut to size. Returns the
 * length it would have needed. */
size_t rego_error_print(const struct rego_error *error, char *ret_text, size_t size);
