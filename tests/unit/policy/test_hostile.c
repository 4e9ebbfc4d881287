/* Policies that mean harm end at a limit, with an error that says which, and within their memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/json.h"
#include "policy/rego.h"
#include "tests/lib/hostile.h"

#include <stdlib.h>
#include <string.h>

#define PROGRAM_BYTES ((size_t) 64 << 20) /* the defaults, and what one allocation may be beyond */
#define RUN_BYTES ((size_t) 32 << 20)
#define STEPS 250000u /* a quarter of the default: sanitizers are slow */

static struct rego_program *compile(const struct hostile *h, struct rego_errors *errors)
{
    size_t len = 0;
    char *text = hostile_text(h, &len);
    struct rego_module module = { "hostile.rego", text, len };
    const char *query = HOSTILE_QUERY;
    struct rego_options options = { .queries = &query, .query_count = 1 };
    struct rego_program *p = rego_compile(&module, 1, &options, errors);
    free(text);
    return p;
}

static const char *judge(const struct hostile *h, const struct rego_result *r, size_t bytes)
{
    enum rego_status want = h->end == HOSTILE_LIMIT ? REGO_LIMIT : REGO_OK;
    if (r->status != want) return "ends otherwise";
    if (bytes > RUN_BYTES) return "takes too much memory";
    if (r->steps > STEPS) return "takes too many steps";
    if (want == REGO_LIMIT && (strcmp(r->error_code, "limit_error") != 0 || !r->error_text[0])) return "says nothing";
    return NULL;
}

/* What is wrong, or NULL. */
static const char *evaluate(const struct hostile *h, const struct rego_program *p)
{
    struct arena *a = arena_new(1 << 20);
    struct rego_run *run = rego_run_new(p, 0);
    struct rego_input in = {
        .input = h->input ? json_to_value(a, h->input, strlen(h->input), NULL, NULL) : NULL, .steps = STEPS,
    };
    struct rego_result result;
    assert_non_null(run);
    rego_eval(run, 0, &in, &result);
    const char *problem = judge(h, &result, rego_run_bytes(run));
    rego_run_free(run);
    arena_free(a);
    return problem;
}

static const char *check(const struct hostile *h, struct rego_errors *errors)
{
    struct rego_program *p = compile(h, errors);
    if (!p) {
        if (h->end != HOSTILE_REFUSED) return errors->items[0].text;
        return errors->count && errors->items[0].code[0] && errors->items[0].text[0] ? NULL : "is refused without a word";
    }
    const char *problem = h->end == HOSTILE_REFUSED              ? "compiles"
                          : rego_program_bytes(p) > PROGRAM_BYTES ? "makes too large a program"
                                                                  : evaluate(h, p);
    rego_program_free(p);
    return problem;
}

static void test_hostile__ends_at_a_limit(void **state)
{
    struct rego_errors *errors = calloc(1, sizeof *errors);
    unsigned wrong = 0;
    for (size_t i = 0; i < hostile_count; i++) {
        const char *problem = check(&hostile_policies[i], errors);
        if (problem) print_error("%s: %s\n", hostile_policies[i].name, problem);
        wrong += problem != NULL;
    }
    free(errors);
    assert_true(hostile_count > 50);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_hostile__ends_at_a_limit) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
