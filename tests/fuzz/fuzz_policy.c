/* Target Functions: policy_compile policy_decide policy_run_input policy_claims_new policy_text_read
 * diagnostics_text diagnostics_members */
#include "broker/api/diagnostics.h"
#include "broker/api/policy_text.h"
#include "broker/base/limits.h"
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

static void try_policy(const char *text, size_t len, const char *asked)
{
    static struct rego_errors errors;
    struct policy *p = policy_compile(text, len, NULL, &errors);
    if (p) decide_twice(p, asked);
    else check_errors(&errors);
    policy_free(p);
}

/* An upload as an operator sends it; the answer to a refused one is JSON that can be read. */
static void try_upload(struct span body)
{
    static struct rego_errors errors;
    struct buf text = BUF_INIT, detail = BUF_INIT, out = BUF_INIT;
    struct json_doc *doc = NULL;
    struct policy *p = NULL;
    struct err e = policy_text_read(body, &text);
    if (err_ok(e) && text.len > POLICY_MAX) abort();
    if (err_ok(e)) p = policy_compile((const char *) text.data, text.len, NULL, &errors);
    if (err_ok(e) && !p) {
        struct json_out o = JSON_OUT(&out);
        diagnostics_text(&errors, 5, &detail);
        json_begin_object(&o);
        diagnostics_members(&errors, &o);
        json_member_span(&o, "detail", buf_span(&detail));
        json_end_object(&o);
        if (!err_ok(buf_ok(&out)) || !err_ok(json_parse(buf_span(&out), &doc))) abort();
    }
    json_free(doc);
    policy_free(p);
    buf_free(&text);
    buf_free(&detail);
    buf_free(&out);
}

static void try_claims(const char *json, size_t len)
{
    struct policy_claims_error why = {0};
    struct policy_claims *claims = policy_claims_new(json, len, &why);
    if (claims ? policy_claims_bytes(claims) > POLICY_CLAIMS_MAX : !why.text || why.offset > len) abort();
    policy_claims_free(claims);
}

/* Whatever is accepted decides the same twice and within its budget; whatever is refused says why.
 * The bytes are tried as a policy with what is asked, as the body of an upload, and as claims. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 20000) return 0;
    const uint8_t *end = memchr(data, 0, size);
    size_t len = end ? (size_t) (end - data) : size;
    char *asked = strndup(end ? (const char *) end + 1 : "b", end ? size - len - 1 : 1);
    try_policy((const char *) data, len, asked);
    free(asked);
    try_upload(span_of(data, size));
    try_claims((const char *) data, size);
    return 0;
}
