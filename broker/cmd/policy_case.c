#include "broker/cmd/policy_case.h"

#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/builtins/builtins.h"
#include "broker/cmd/policy_report.h"
#include "broker/jose/jws.h"
#include "policy/time_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- claims ------------------------------------------------------------------------------------ */

static err_t parse_claims(const char *file, struct span text, struct policy_claims **ret)
{
    struct policy_claims_error e = {0};
    *ret = policy_claims_new((const char *) text.data, text.len, &e);
    if (!*ret) FAIL(ERR_USAGE, "%s: at byte %zu: %s", file, e.offset, e.text);
    return ERR_OK;
}

static err_t read_token(const char *file, struct policy_claims **ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    _cleanup_jws_ struct jws *token = NULL;
    TRY(file_read(file, JOSE_MAX_TOKEN, &text));
    while (text.len && strchr(" \t\r\n", text.data[text.len - 1])) text.len--;
    struct err e = jws_parse(buf_span(&text), &token);
    if (!err_ok(e)) {
        char why[ERR_TEXT]; /* the chain of errors begins anew */
        snprintf(why, sizeof why, "%s", err_reason(e));
        FAIL(ERR_USAGE, "%s: %s", file, why);
    }
    fprintf(stderr, "strongroom: the signature of %s is not looked at here; a broker does\n", file);
    return parse_claims(file, jws_payload(token), ret);
}

static err_t read_claims(const struct policy_case_options *o, struct policy_claims **ret)
{
    if ((o->claims != NULL) + (o->token != NULL) != 1)
        FAIL(ERR_USAGE, "give one of --claims FILE and --token FILE; see --help");
    if (o->token) return read_token(o->token, ret);
    _cleanup_buf_ struct buf text = BUF_INIT;
    TRY(file_read(o->claims, JSON_MAX_TEXT, &text));
    return parse_claims(o->claims, buf_span(&text), ret);
}

/* ---- the request ------------------------------------------------------------------------------- */

/* "kbs:///a/b/c?k=v", "kbs+PLUGIN:///a/b/c" or "a/b/c" (kbs-api.md 1.2); the plugin is malloc'ed. */
static err_t parse_resource(const char *uri, char **ret_plugin, struct route *ret)
{
    const char *path = uri + (uri[0] == '/'), *end = strstr(uri, ":///");
    if (strncmp(uri, "kbs:///", 7) == 0) {
        path = uri + 7;
    } else if (end && strncmp(uri, "kbs+", 4) == 0) {
        path = end + 4;
        if (!(*ret_plugin = strndup(uri + 4, (size_t) (end - uri - 4)))) FAIL(ERR_INTERNAL, "out of memory");
    } else if (strstr(uri, "://")) {
        FAIL(ERR_USAGE, "a resource is kbs:///REPOSITORY/TYPE/TAG, not %s", uri);
    }
    const char *mark = strchr(path, '?');
    size_t len = mark ? (size_t) (mark - path) : strlen(path);
    TRYC(route_parse(span_of(path, len), "", span_str(mark ? mark + 1 : ""), ret), "%s", uri);
    return ERR_OK;
}

static err_t add_pair(struct policy_case *c, const char *text)
{
    const char *sign = strchr(text, '=');
    size_t at = c->request.query_count;
    if (!sign || sign == text) FAIL(ERR_USAGE, "--query wants NAME=VALUE, not \"%s\"", text);
    if (at == POLICY_QUERY_MAX) FAIL(ERR_USAGE, "more than %u pairs of a query", POLICY_QUERY_MAX);
    if (!(c->query_text[at] = strdup(text))) FAIL(ERR_INTERNAL, "out of memory");
    c->query_text[at][sign - text] = '\0';
    c->query[at] = (struct policy_pair){c->query_text[at], c->query_text[at] + (sign - text) + 1};
    c->request.query_count++;
    return ERR_OK;
}

static err_t make_request(const struct policy_case_options *o, struct policy_case *c)
{
    if (!o->resource) FAIL(ERR_USAGE, "which --resource? Such as kbs:///default/key/1; see --help");
    TRY(parse_resource(o->resource, &c->plugin, &c->route));
    c->request = (struct policy_request) {
        .claims = c->claims,
        .plugin = o->plugin ? o->plugin : c->plugin ? c->plugin : "resource",
        .path = c->route.segments,
        .path_count = c->route.segment_count,
        .query = c->query,
    };
    for (size_t i = 0; i < c->route.query_count && i < POLICY_QUERY_MAX; i++)
        c->query[c->request.query_count++] = (struct policy_pair){c->route.query[i].name, c->route.query[i].value};
    for (size_t i = 0; i < o->query.count; i++) TRY(add_pair(c, o->query.at[i]));
    return policy_case_time(o->now, &c->request.now_ns);
}

struct err policy_case_time(const char *text, int64_t *ret_ns)
{
    struct zoned_time t = {0};
    struct time_mismatch where;
    if (!text) {
        *ret_ns = clock_now_ns();
        return ERR_OK;
    }
    const char *problem = time_parse(time_layout("RFC3339"), text, &t, &where);
    bool fits = !problem && !__builtin_mul_overflow(t.seconds, (int64_t) CLOCK_SECOND_NS, ret_ns)
                && !__builtin_add_overflow(*ret_ns, (int64_t) t.nanosecond, ret_ns);
    if (!fits) FAIL(ERR_USAGE, "--now is a time such as 2026-11-24T12:00:00Z, not \"%s\"", text);
    return ERR_OK;
}

/* ---- the policy -------------------------------------------------------------------------------- */

struct err policy_case_read(const char *file, struct buf *ret)
{
    ret->max = POLICY_MAX;
    return file_read(file, POLICY_MAX, ret);
}

static err_t compile(const struct policy_case_options *o, struct policy_case *c)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct rego_errors errors;
    if (!o->policy) FAIL(ERR_USAGE, "which --policy FILE? see --help");
    TRY(policy_case_read(o->policy, &text));
    const struct rego_module module = {o->policy, (const char *) text.data, text.len};
    const struct rego_options options = {
        .queries = &o->rule, .query_count = 1, .host = builtins_host(),
        .arena_bytes = POLICY_PROGRAM_MAX, .traced = !o->fast,
    };
    c->program = rego_compile(&module, 1, &options, &errors);
    if (!c->program) {
        policy_report(stderr, o->policy, POLICY_ERROR, &errors);
        FAIL(ERR_USAGE, "%s is refused", o->policy);
    }
    c->run = rego_run_new(c->program, POLICY_MEMORY_MAX);
    c->documents = policy_run_new();
    if (!c->run || !c->documents) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

struct err policy_case_open(const struct policy_case_options *o, struct policy_case *ret)
{
    *ret = (struct policy_case) {0};
    TRY(compile(o, ret));
    TRY(read_claims(o, &ret->claims));
    TRY(make_request(o, ret));
    if (!policy_run_input(ret->documents, &ret->request, &ret->input))
        FAIL(ERR_USAGE, "plugin, path and query take too much memory");
    return ERR_OK;
}

void policy_case_free(struct policy_case *c)
{
    rego_run_free(c->run);
    rego_program_free(c->program);
    policy_run_free(c->documents);
    policy_claims_free(c->claims);
    route_free(&c->route);
    free(c->plugin);
    for (size_t i = 0; i < POLICY_QUERY_MAX; i++) free(c->query_text[i]);
}
