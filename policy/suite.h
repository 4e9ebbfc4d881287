/* Tests of policies, written in Rego beside them: rules whose name begins with `test_`, in any package, run
 * as OPA runs them. One holds when its value is defined and not false; `todo_test_` ones are skipped. Pure:
 * files, output and time are the caller's. One thread at a time. */
#pragma once

#include "policy/rego.h"

enum { SUITE_TESTS_MAX = 2000 };

struct arena;
struct coverage;
struct coverage_count;
struct explanation;
struct suite;

struct suite_test {
    const char *name; /* "data.policy_test.test_denies" */
    size_t module;    /* of those given */
    unsigned line;
    bool skipped;     /* todo_test_ */
};

/* Compiles all modules together with a question for each of their tests. NULL, and *ret_errors filled, when
 * something is refused: also more than SUITE_TESTS_MAX tests, and a test with keys in its head
 * (`test_x[case]`), whose failing cases nobody would see. The texts are copied; host (may be NULL)
 * outlives the suite. */
struct suite *suite_new(const struct rego_module *modules, size_t count, const struct builtin_host *host,
                        struct rego_errors *ret_errors);
void suite_free(struct suite *s); /* NULL is fine */

/* In the order of modules and lines. */
size_t suite_count(const struct suite *s);
const struct suite_test *suite_at(const struct suite *s, size_t i);
bool suite_module_has_tests(const struct suite *s, size_t module);

enum suite_outcome { SUITE_PASSED, SUITE_FAILED, SUITE_ERROR, SUITE_SKIPPED, SUITE_OUTCOMES };

struct suite_result {
    enum suite_outcome outcome;
    const char *reason; /* in one line, of FAILED and ERROR; NULL otherwise */
    const struct explanation *explanation; /* of the same; NULL without memory for it */
    uint64_t steps;
};

/* Runs one test with these documents and budgets. What failed is evaluated once more, without print, to see
 * why. The result lives in `a`. */
void suite_run(struct suite *s, size_t i, const struct rego_input *in, struct arena *a, struct suite_result *ret);

/* Of all tests run so far. Borrowed. */
const struct coverage *suite_coverage(const struct suite *s);

/* Of the modules that hold no test; of all, when every one does. */
struct coverage_count suite_coverage_count(const struct suite *s);
