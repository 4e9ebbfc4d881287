/* Target Functions: appraisal_policy_compile appraisal_policy_ask verdict_from reference_values_register
 * reference_values_parse reference_values_list */
#include "broker/attest/reference_values.h"
#include "broker/attest/verdict.h"
#include "broker/base/json.h"
#include "broker/builtins/builtins.h"
#include "policy/appraisal.h"
#include "policy/value.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1795521600

static const char VALUES[] =
    "{\"values\":{\"svn\":{\"value\":[\"1\"],\"expires\":0},\"old\":{\"value\":1,\"expires\":1}}}";
static const char EVIDENCE[] =
    "{\"report_data\":\"AA==\",\"sample\":{\"debug\":false,\"launch_digest\":\"abcde\",\"svn\":\"1\"}}";

struct asking {
    struct reference_source source;
    const struct reference_values *values;
};

static const struct value *find(const struct reference_source *self, const struct value *name)
{
    return reference_values_find(((const struct asking *) self)->values, name->string, name->count, NOW);
}

/* Whatever a policy makes of it, a verdict is members that stand in a token, or none at all. */
static void check_verdict(const struct appraisal_answer *answer)
{
    struct ear_verdict v = {0};
    struct json_doc *doc = NULL;
    struct buf text = BUF_INIT;
    if (!err_ok(verdict_from(answer->trust_claims, answer->extensions, &v))) return;
    buf_addf(&text, "{%s}", buf_str(&v.extensions));
    struct err e = json_parse(buf_span(&text), &doc); /* deep or repeated: an attestation that fails */
    err_ignore(e);
    if (!ear_status(&v.vector)) abort();
    json_free(doc);
    buf_free(&text);
    ear_verdict_done(&v);
}

static void try_policy(const char *text, size_t len)
{
    static struct rego_errors errors;
    struct asking context = {.source.find = find};
    struct reference_values *values = NULL;
    struct appraisal_answer answer;
    struct appraisal_policy *p = appraisal_policy_compile(text, len, builtins_attestation_host(), &errors);
    if (!p) {
        if (errors.count == 0) abort();
        return;
    }
    if (!err_ok(reference_values_parse(span_str(VALUES), &values))) abort();
    context.values = values;
    struct policy_claims *claims = policy_claims_new(EVIDENCE, sizeof EVIDENCE - 1, NULL);
    struct policy_run *run = policy_run_new();
    if (!claims || !run) abort();
    struct appraisal_question question = {.evidence = claims, .now_ns = NOW * 1000000000LL,
                                          .context = &context};
    if (appraisal_policy_ask(p, run, &question, &answer)) check_verdict(&answer);
    else if (answer.reason[0] == '\0' || answer.trust_claims || answer.extensions) abort();
    policy_run_free(run);
    policy_claims_free(claims);
    reference_values_free(values);
    appraisal_policy_free(p);
}

/* What was registered is a set that can be read, listed and added to. */
static void try_message(struct span message)
{
    struct reference_values *old = NULL, *next = NULL;
    struct buf text = BUF_INIT, list = BUF_INIT;
    struct json_doc *doc = NULL;
    if (!err_ok(reference_values_parse(span_str(VALUES), &old))) abort();
    if (err_ok(reference_values_register(old, message, NOW, &text))) {
        if (!err_ok(reference_values_parse(buf_span(&text), &next))) abort();
        if (!err_ok(reference_values_list(next, NOW, &list))) abort();
        if (!err_ok(json_parse(buf_span(&list), &doc))) abort();
        if (reference_values_find(next, "old", 3, NOW)) abort();
    }
    json_free(doc);
    reference_values_free(next);
    reference_values_free(old);
    buf_free(&list);
    buf_free(&text);
}

/* The same bytes as a policy, as a message, and as what lies on the token. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reference_values *stored = NULL;
    try_policy((const char *) data, size);
    try_message(span_of(data, size));
    if (err_ok(reference_values_parse(span_of(data, size), &stored))) reference_values_free(stored);
    return 0;
}
