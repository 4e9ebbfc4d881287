#include "policy/policy.h"

#include "policy/errors.h"
#include "policy/explain.h"
#include "policy/lexer.h"
#include "policy/value.h"

#include <stdio.h>
#include <stdlib.h>

struct policy {
    struct rego_program *program;
};

struct policy_run {
    struct rego_run *run;
    struct arena *request; /* data of the decision; the run's own arena is reset when it begins */
};

/* ---- compiling ---------------------------------------------------------------------------------- */

struct policy *policy_compile(const char *text, size_t len, const struct builtin_host *host,
                              struct rego_errors *ret_errors)
{
    static const char *const question = "data.policy.allow";
    const struct rego_module module = { .name = POLICY_MODULE, .text = text, .len = len };
    const struct rego_options options = {
        .queries = &question, .query_count = 1, .host = host, .arena_bytes = POLICY_PROGRAM_MAX,
        .traced = true,
    };
    struct policy *p = calloc(1, sizeof *p);

    *ret_errors = (struct rego_errors) { 0 };
    if (!p)
        rego_error_add(ret_errors, REGO_COMPILE_ERROR, NULL, NULL, "out of memory");
    else if ((p->program = rego_compile(&module, 1, &options, ret_errors)))
        return p;
    free(p);
    return NULL;
}

void policy_free(struct policy *p)
{
    if (!p) return;
    rego_program_free(p->program);
    free(p);
}

const struct rego_program *policy_program(const struct policy *p)
{
    return p->program;
}

/* ---- what a policy is given --------------------------------------------------------------------- */

struct policy_run *policy_run_new(void)
{
    struct policy_run *run = calloc(1, sizeof *run);

    if (!run) return NULL;
    run->run = rego_run_new(NULL, POLICY_MEMORY_MAX);
    run->request = arena_new(POLICY_REQUEST_MAX);
    if (run->run && run->request) return run;
    policy_run_free(run);
    return NULL;
}

void policy_run_free(struct policy_run *run)
{
    if (!run) return;
    rego_run_free(run->run);
    arena_free(run->request);
    free(run);
}

bool policy_run_eval(struct policy_run *run, const struct rego_program *program,
                     const struct rego_input *in, struct rego_result *ret)
{
    if (rego_run_bind(run->run, program)) return rego_eval(run->run, 0, in, ret);
    *ret = (struct rego_result) {
        .status = REGO_LIMIT, .error_code = "limit_error", .error_text = "out of memory", .error_module = "",
    };
    return false;
}

static const struct value *mended(struct arena *a, const char *text, size_t len)
{
    struct text t;

    text_init(&t, a);
    for (const char *at = text, *end = text + len; at < end;) {
        uint32_t rune;

        at += utf8_decode(at, end, &rune);
        text_add_rune(&t, rune);
    }
    return value_from_text(&t);
}

/* Not copied: it outlives the decision. */
static const struct value *text_value(struct arena *a, const char *text)
{
    size_t len = strlen(text), valid;

    return rego_utf8_valid(text, len, &valid) ? value_string_shared(a, text, len) : mended(a, text, len);
}

static const struct value *path_value(struct arena *a, const struct policy_request *r)
{
    const struct value **items = arena_alloc_array(a, r->path_count, sizeof *items);

    for (size_t i = 0; items && i < r->path_count; i++)
        if (!(items[i] = text_value(a, r->path[i]))) return NULL;
    return items ? value_array(a, items, r->path_count) : NULL;
}

static const struct value *query_value(struct arena *a, const struct policy_request *r)
{
    if (r->query_count == 0) return &VALUE_EMPTY_OBJECT;
    struct value_pair *pairs = arena_alloc_array(a, r->query_count, sizeof *pairs);

    for (size_t i = 0; pairs && i < r->query_count; i++) {
        pairs[i] = (struct value_pair) { text_value(a, r->query[i].name), text_value(a, r->query[i].value) };
        if (!pairs[i].key || !pairs[i].value) return NULL;
    }
    return pairs ? value_object(a, pairs, r->query_count, NULL) : NULL;
}

/* {"plugin": .., "query": {..}, "resource-path": [..]} (kbs-api.md 7.1) */
static const struct value *data_value(struct arena *a, const struct policy_request *r)
{
    static const struct value plugin = VALUE_LITERAL("plugin"), query = VALUE_LITERAL("query"),
                              path = VALUE_LITERAL("resource-path");
    struct value_pair *pairs = arena_alloc_array(a, 3, sizeof *pairs);

    if (!pairs) return NULL;
    pairs[0] = (struct value_pair) { &plugin, text_value(a, r->plugin) };
    pairs[1] = (struct value_pair) { &query, query_value(a, r) };
    pairs[2] = (struct value_pair) { &path, path_value(a, r) };
    if (!pairs[0].value || !pairs[1].value || !pairs[2].value) return NULL;
    return value_object(a, pairs, 3, NULL);
}

bool policy_run_input(struct policy_run *run, const struct policy_request *request,
                      struct rego_input *ret)
{
    arena_reset(run->request);
    *ret = (struct rego_input) {
        .input = request->claims ? policy_claims_value(request->claims) : NULL,
        .data = data_value(run->request, request),
        .now_ns = request->now_ns,
        .strict = true,
        .steps = POLICY_STEPS_MAX,
        .depth = POLICY_DEPTH_MAX,
        .print = request->print,
        .context = request->context,
    };
    return ret->data != NULL;
}

/* ---- deciding ----------------------------------------------------------------------------------- */

const char *policy_outcome_name(enum policy_outcome outcome)
{
    static const char *const names[] = {
        [POLICY_ALLOW] = "allow",
        [POLICY_DENY_FALSE] = "deny-false",
        [POLICY_DENY_UNDEFINED] = "deny-undefined",
        [POLICY_DENY_NOT_BOOLEAN] = "deny-not-boolean",
        [POLICY_FAILED] = "failed",
        [POLICY_LIMIT] = "limit",
    };
    return names[outcome];
}

static void deny(struct policy_decision *d, enum policy_outcome outcome, const char *reason)
{
    d->outcome = outcome;
    text_cut(d->reason, sizeof d->reason, reason, strlen(reason));
}

static void decide_value(struct policy_decision *d, const struct value *allow)
{
    static const char yes[] = "allow is true";

    if (!allow) {
        deny(d, POLICY_DENY_UNDEFINED, "allow is undefined");
    } else if (allow->kind != VALUE_BOOL) {
        d->outcome = POLICY_DENY_NOT_BOOLEAN;
        snprintf(d->reason, sizeof d->reason, "allow is not a boolean but of type %s", value_kind_name(allow->kind));
    } else if (!allow->boolean) {
        deny(d, POLICY_DENY_FALSE, "allow is false");
    } else {
        d->allow = true;
        d->outcome = POLICY_ALLOW;
        memcpy(d->reason, yes, sizeof yes);
    }
}

static void decide_error(struct policy_decision *d, const struct rego_result *r)
{
    char place[32] = "";

    d->error_code = r->error_code;
    if (r->error_line && strcmp(r->error_module, POLICY_MODULE) == 0) {
        d->line = r->error_line;
        d->column = r->error_column;
        snprintf(place, sizeof place, " " POLICY_MODULE ":%u", d->line);
    }
    d->outcome = r->status == REGO_LIMIT ? POLICY_LIMIT : POLICY_FAILED;
    if (d->outcome == POLICY_LIMIT)
        snprintf(d->reason, sizeof d->reason, "the policy used up its budget%s", place);
    else
        snprintf(d->reason, sizeof d->reason, "the policy failed: %s%s", r->error_code, place);
    text_cut(d->detail, sizeof d->detail, r->error_text, strlen(r->error_text));
}

static void begin_decision(struct policy_decision *d)
{
    d->allow = false;
    d->detail[0] = '\0';
    d->error_code = NULL;
    d->line = d->column = d->rule_line = 0;
    d->steps = 0;
}

void policy_judge(const struct rego_result *result, struct policy_decision *ret)
{
    begin_decision(ret);
    ret->rule_line = result->rule_line;
    if (result->status == REGO_OK)
        decide_value(ret, result->value);
    else
        decide_error(ret, result);
    ret->steps = result->steps;
}

void policy_decide(const struct policy *p, struct policy_run *run, const struct policy_request *request,
                   struct policy_decision *ret)
{
    struct rego_input in;
    struct rego_result result;

    begin_decision(ret);
    bool bound = rego_run_bind(run->run, p->program);
    if (!bound || !policy_run_input(run, request, &in)) {
        ret->error_code = "limit_error";
        deny(ret, POLICY_LIMIT, bound ? "the request takes too much memory" : "out of memory");
        snprintf(ret->detail, sizeof ret->detail, "plugin, path and query may take %zu bytes", POLICY_REQUEST_MAX);
        return;
    }
    rego_eval(run->run, 0, &in, &result);
    policy_judge(&result, ret);
}

void policy_explain(const struct policy *p, struct policy_run *run, const struct policy_request *request,
                    char *ret, size_t size)
{
    struct rego_input in;
    struct rego_result result;
    struct arena *words = arena_new(POLICY_EXPLAIN_MAX);
    const struct explanation *e = NULL;

    if (words && rego_run_bind(run->run, p->program) && policy_run_input(run, request, &in)) {
        in.print = NULL;
        e = explain(run->run, 0, &in, words, &result);
    }
    if (e) explain_short(e, ret, size);
    else snprintf(ret, size, "there is no memory to tell why");
    arena_free(words);
}
