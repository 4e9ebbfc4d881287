/* What every unit test includes: cmocka with its prerequisites, and assertions on errors.
 * A failing assert longjmps past cleanup attributes, so tests free in teardown or at the end. */
#pragma once

#include "broker/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The call succeeds; otherwise the chain is printed. */
#define assert_ok(expr)                                                          \
    do {                                                                         \
        struct err assert_e_ = (expr);                                           \
        if (!err_ok(assert_e_)) fail_msg("%s: %s", #expr, err_text(assert_e_));  \
    } while (0)

/* The call fails with this class. */
#define assert_fails(expr, class_)                                               \
    do {                                                                         \
        struct err assert_e_ = (expr);                                           \
        if (assert_e_.code != (class_))                                          \
            fail_msg("%s: expected %s, got %s: %s", #expr, err_class_name(class_), \
                     err_class_name(assert_e_.code), err_text(assert_e_));       \
    } while (0)

/* The call fails with this class and a reason that holds this text. */
#define assert_fails_with(expr, class_, part)                                    \
    do {                                                                         \
        struct err with_e_ = (expr);                                             \
        if (with_e_.code != (class_) || !strstr(err_text(with_e_), (part)))      \
            fail_msg("%s: expected %s with \"%s\", got %s: %s", #expr,           \
                     err_class_name(class_), (part), err_class_name(with_e_.code), \
                     err_text(with_e_));                                         \
    } while (0)

#define assert_span(actual, expected_text)                                       \
    do {                                                                         \
        struct span span_a_ = (actual);                                          \
        if (!span_eq_str(span_a_, (expected_text)))                              \
            fail_msg("%s: expected \"%s\", got \"%.*s\"", #actual, (expected_text), \
                     (int) span_a_.len, (const char *) span_a_.data);            \
    } while (0)
