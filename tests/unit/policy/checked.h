/* For tests of the compilation's front: text in, the checked form or the errors as text out. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/checked_print.h"
#include "policy/compile.h"
#include "policy/errors.h"

struct check_case {
    const char *source;   /* behind "package p\n", which is line 1 */
    const char *expected; /* checked_print_program, or LINE:COLUMN CODE TEXT for each error */
};

static inline const char *errors_text(struct arena *a, const struct rego_errors *errors)
{
    struct text t;
    text_init(&t, a);
    for (size_t i = 0; i < errors->count; i++)
        text_addf(&t, "%u:%u %s %s\n", errors->items[i].line, errors->items[i].column,
                  errors->items[i].code, errors->items[i].text);
    const char *text = text_end(&t);
    assert_non_null(text);
    return text;
}

static inline const char *compile_text(struct arena *a, const char *source)
{
    static const struct rego_errors NO_ERRORS;
    struct rego_errors errors = NO_ERRORS;
    struct text t;
    text_init(&t, a);
    text_addf(&t, "package p\n%s", source);
    const char *whole = text_end(&t);
    const struct rego_module m = { "p.rego", whole, t.len };
    const struct checked_program *p = compile_modules(a, &m, 1, NULL, &errors);
    if (!p) return errors_text(a, &errors);
    assert_int_equal(errors.count, 0);
    text_init(&t, a);
    checked_print_program(&t, p);
    const char *text = text_end(&t);
    assert_non_null(text);
    return text;
}

static inline void check_cases(const struct check_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *a = arena_new(1 << 22);
        const char *got = compile_text(a, cases[i].source);
        if (strcmp(got, cases[i].expected) != 0) {
            print_error("case %zu: %s\n got: %s", i, cases[i].source, got);
            assert_string_equal(got, cases[i].expected);
        }
        arena_free(a);
    }
}

#define CHECK_CASES(table) check_cases(table, sizeof(table) / sizeof *(table))
