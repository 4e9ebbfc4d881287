/* Target Functions: policy_compile policy_decide policy_claims_new policy_run_input */
#include "policy/policy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char CLAIMS[] =
    "{\"submods\":{\"cpu0\":{\"ear.status\":\"affirming\",\"ear.trustworthiness-vector\":{\"hardware\":2},"
    "\"ear.veraison.annotated-evidence\":{\"sample\":{\"svn\":\"1\"}}}},\"exp\":1700000300,\"iat\":1700000000}";

static void check_errors(const struct rego_errors *errors)
{
    if (errors->count == 0 || errors->count > REGO_ERRORS_MAX) abort();
    for (size_t i = 0; i < errors->count; i++)
        if (errors->items[i].code[0] == '\0' || errors->items[i].text[0] == '\0') abort();
}

static void check(const struct policy_decision *d)
{
    bool error = d->outcome == POLICY_FAILED || d->outcome == POLICY_LIMIT;
    if (d->allow != (d->outcome == POLICY_ALLOW) || error != (d->error_code != NULL)) abort();
    if (memchr(d->reason, 0, sizeof d->reason) == NULL || d->reason[0] == '\0') abort();
    if (memchr(d->detail, 0, sizeof d->detail) == NULL || d->steps > POLICY_STEPS_MAX) abort();
}

/* What is asked is part of the input: behind a zero byte stand a segment of the path and a query. */
static void decide_twice(const struct policy *p, const char *asked)
{
    struct policy_claims *claims = policy_claims_new(CLAIMS, sizeof CLAIMS - 1, NULL);
    struct policy_run *run = policy_run_new();
    if (!claims || !run) abort();
    const char *const path[] = {"a", asked, "c"};
    const struct policy_pair query = {asked, asked};
    struct policy_request r = {.claims = claims, .plugin = "resource", .path = path, .path_count = 3,
                               .query = &query, .query_count = 1, .now_ns = 1700000000000000000};
    struct policy_decision first, second;
    policy_decide(p, run, &r, &first);
    policy_decide(p, run, &r, &second);
    check(&first);
    if (first.outcome != second.outcome || first.steps != second.steps) abort();
    if (strcmp(first.reason, second.reason) != 0 || strcmp(first.detail, second.detail) != 0) abort();
    policy_run_free(run);
    policy_claims_free(claims);
}

/* Whatever is accepted decides the same twice and within its budget; whatever is refused says why. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rego_errors errors;
    if (size > 20000) return 0;
    const uint8_t *end = memchr(data, 0, size);
    size_t len = end ? (size_t) (end - data) : size;
    struct policy *p = policy_compile((const char *) data, len, NULL, &errors);
    if (p) {
        char *asked = strndup(end ? (const char *) end + 1 : "b", end ? size - len - 1 : 1);
        decide_twice(p, asked);
        free(asked);
    } else {
        check_errors(&errors);
    }
    policy_free(p);
    /* The same bytes as claims. */
    struct policy_claims_error why = {0};
    struct policy_claims *claims = policy_claims_new((const char *) data, size, &why);
    if (claims ? policy_claims_bytes(claims) > POLICY_CLAIMS_MAX : !why.text || why.offset > size) abort();
    policy_claims_free(claims);
    return 0;
}
