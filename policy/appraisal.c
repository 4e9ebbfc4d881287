#include "policy/appraisal.h"

#include "policy/errors.h"
#include "policy/value.h"

#include <stdio.h>
#include <stdlib.h>

struct appraisal_policy {
    struct rego_program *program;
};

/* One question, so that both rules are asked of the same moment and share one budget. A rule that has
 * no value leaves its array empty. */
static const char QUESTION[] =
    "answer := {\"trust_claims\": [x | x := data.policy.trust_claims], "
    "\"extensions\": [x | x := data.policy.extensions]}";

struct appraisal_policy *appraisal_policy_compile(const char *text, size_t len,
                                                  const struct builtin_host *host,
                                                  struct rego_errors *ret_errors)
{
    static const char *const question = QUESTION;
    const struct rego_module module = { .name = POLICY_MODULE, .text = text, .len = len };
    const struct rego_options options = {
        .queries = &question, .query_count = 1, .host = host, .arena_bytes = POLICY_PROGRAM_MAX,
    };
    struct appraisal_policy *p = calloc(1, sizeof *p);

    *ret_errors = (struct rego_errors) { 0 };
    if (!p)
        rego_error_add(ret_errors, REGO_COMPILE_ERROR, NULL, NULL, "out of memory");
    else if ((p->program = rego_compile(&module, 1, &options, ret_errors)))
        return p;
    free(p);
    return NULL;
}

void appraisal_policy_free(struct appraisal_policy *p)
{
    if (!p) return;
    rego_program_free(p->program);
    free(p);
}

static void fail(struct appraisal_answer *a, const struct rego_result *r)
{
    char place[96] = "";

    a->failed = true;
    if (r->error_line && strcmp(r->error_module, POLICY_MODULE) == 0)
        snprintf(place, sizeof place, POLICY_MODULE ":%u: ", r->error_line);
    snprintf(a->reason, sizeof a->reason, "%s%s: %s", place, r->error_code, r->error_text);
}

/* The value of a rule, NULL when it has none. */
static const struct value *rule_value(const struct value *answer, const char *name)
{
    const struct value *found = answer ? object_get_z(answer, name) : NULL;

    return value_is(found, VALUE_ARRAY) ? array_at(found, 0) : NULL;
}

bool appraisal_policy_ask(const struct appraisal_policy *p, struct policy_run *run,
                          const struct appraisal_question *question, struct appraisal_answer *ret)
{
    const struct rego_input in = {
        .input = question->evidence ? policy_claims_value(question->evidence) : NULL,
        .now_ns = question->now_ns,
        .strict = true,
        .steps = POLICY_STEPS_MAX,
        .depth = POLICY_DEPTH_MAX,
        .print = question->print,
        .context = question->context,
    };
    struct rego_result result;

    *ret = (struct appraisal_answer) { 0 };
    if (!policy_run_eval(run, p->program, &in, &result)) {
        fail(ret, &result);
    } else {
        const struct value *bindings = array_at(result.bindings, 0);
        const struct value *answer = bindings ? object_get_z(bindings, "answer") : NULL;

        ret->trust_claims = rule_value(answer, "trust_claims");
        ret->extensions = rule_value(answer, "extensions");
    }
    ret->steps = result.steps;
    return !ret->failed;
}
