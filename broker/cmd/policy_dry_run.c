/* strongroom policy dry-run */
#include "broker/cmd/policy_dry_run.h"

#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/policy_findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the question --------------------------------------------------------------------------- */

/* name=value pairs, taken as they are: a shell needs no %-escapes. */
static err_t put_query(struct json_out *o, const char *query)
{
    json_key(o, "query");
    json_begin_object(o);
    while (*query) {
        struct span pair = span_of(query, strcspn(query, "&"));
        const uint8_t *equals = memchr(pair.data, '=', pair.len);
        size_t len = equals ? (size_t) (equals - pair.data) : pair.len;
        char name[256];
        if (len == 0 || len >= sizeof name)
            FAIL(ERR_USAGE, "--query is NAME=VALUE, with & between several");
        memcpy(name, pair.data, len);
        name[len] = '\0';
        struct span value = equals ? span_of(equals + 1, pair.len - len - 1) : span_of("", 0);
        json_member_span(o, name, value);
        query += pair.len + (query[pair.len] == '&');
    }
    json_end_object(o);
    return ERR_OK;
}

static err_t put_request(struct json_out *o, const struct policy_trial *t)
{
    _cleanup_buf_ struct buf claims = BUF_INIT;
    _cleanup_json_ struct json_doc *doc = NULL;
    if (!t->claims_file) {
        if (!t->resource && !t->plugin && !t->query) return ERR_OK;
        FAIL(ERR_USAGE, "--resource, --plugin and --query go with --claims: what token is it for?");
    }
    TRY(file_read(t->claims_file, JSON_MAX_TEXT, &claims));
    TRYC(json_parse(buf_span(&claims), &doc), "%s", t->claims_file);
    json_member_raw(o, "claims", json_text(json_root(doc)));
    if (t->resource) json_member_str(o, "resource", t->resource);
    if (t->plugin) json_member_str(o, "plugin", t->plugin);
    return t->query ? put_query(o, t->query) : ERR_OK;
}

static err_t make_body(const struct policy_trial *t, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    if (t->file && !utf8_valid(t->policy)) FAIL(ERR_USAGE, "%s is not UTF-8", t->file);
    json_begin_object(&o);
    if (t->file) json_member_span(&o, "policy", t->policy);
    TRY(put_request(&o, t));
    json_end_object(&o);
    return buf_ok(ret);
}

/* ---- the answer ------------------------------------------------------------------------------- */

static int64_t number_of(struct json object, const char *name)
{
    int64_t n = 0;
    json_int(json_get(object, name), &n);
    return n;
}

static const char *text_of(struct json object, const char *name)
{
    const char *text = json_string(json_get(object, name));
    return text ? text : "-";
}

static void print_decision(struct json d)
{
    char change[24];
    snprintf(change, sizeof change, "%s -> %s", text_of(d, "old"), text_of(d, "new"));
    if (!json_present(json_get(d, "old")))
        snprintf(change, sizeof change, "%s", text_of(d, "new"));
    printf("%-14s %-40s %s", change, text_of(d, "resource"), text_of(d, "new_reason"));
    if (json_present(json_get(d, "principal")))
        printf("\n%14s %s, %s, asked %" PRId64 "x, the last time %s", "", text_of(d, "principal"),
               text_of(d, "tee"), number_of(d, "seen"), text_of(d, "time"));
    printf("\n");
}

static void print_counts(struct json root, bool recent)
{
    int64_t requests = number_of(root, "requests"), evaluated = number_of(root, "evaluated");
    printf("%" PRId64 " %s%s: %" PRId64 " allowed, %" PRId64 " denied", requests,
           recent ? "recent request" : "request", requests == 1 ? "" : "s",
           number_of(root, "allowed"), number_of(root, "denied"));
    if (number_of(root, "changed"))
        printf("; %" PRId64 " would change: %" PRId64 " to allow, %" PRId64 " to deny",
               number_of(root, "changed"), number_of(root, "now_allowed"),
               number_of(root, "now_denied"));
    else if (recent) printf("; none would change");
    printf("\n");
    if (evaluated < requests)
        printf("time was up after %" PRId64 " of them: this policy is slow\n", evaluated);
}

static err_t print_answer(const struct http_answer *answer, bool served)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(secret_span(answer->body), &doc));
    struct json root = json_root(doc), list = json_get(root, "decisions");
    bool recent = strcmp(text_of(root, "source"), "recent") == 0;
    for (struct json d = json_first(list); json_present(d); d = json_next(d)) print_decision(d);
    print_counts(root, recent);
    if (recent && !served)
        fprintf(stderr, "no broker runs here, and only a broker that runs has recent requests\n");
    return ERR_OK;
}

struct err policy_dry_run(struct vault *vault, const struct policy_trial *trial, bool json)
{
    _cleanup_buf_ struct buf body = BUF_INIT;
    TRY(make_body(trial, &body));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    const char *file = trial->file ? trial->file : "policy";
    const char *path = trial->strict ? "/strongroom/v1/policy/dry-run?strict=1"
                                     : "/strongroom/v1/policy/dry-run";
    TRY(vault_send(vault, &(struct vault_request){"POST", path, .body = buf_span(&body)}, &answer));
    if (answer.status != 200) return policy_refused(&answer, "policy dry-run", file, "");
    if (!json) policy_print_warnings(&answer, file);
    return json ? http_answer_print(&answer) : print_answer(&answer, vault_is_served(vault));
}

/* ---- the command -------------------------------------------------------------------------------- */

#define MORE                                                                                   \
    "Tries FILE, or without one the policy in force, on the requests that guests made of the\n" \
    "running broker of late, and shows those that would be decided otherwise: than the policy\n" \
    "in force decides them, or without FILE than they were decided then. With --claims it is\n" \
    "tried on that one request. Nothing is set and nothing released."

struct err cmd_policy_dry_run(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table", *operands[1];
    struct policy_trial trial = {0};
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"claims", 0, OPT_TEXT, &trial.claims_file, "FILE", "JSON of a token's claims"},
        {"resource", 0, OPT_TEXT, &trial.resource, "NAME", "with --claims: repository/type/tag"},
        {"plugin", 0, OPT_TEXT, &trial.plugin, "NAME", "with --claims (default resource)"},
        {"query", 0, OPT_TEXT, &trial.query, "QUERY", "with --claims: name=value&name=value"},
        {"strict", 0, OPT_FLAG, &trial.strict, NULL, "refuse it when there are warnings"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "[FILE]", MORE, argc, argv, 0, 1, operands));
    TRY(opt_format(format, &json));
    _cleanup_buf_ struct buf text = {.max = POLICY_MAX};
    if (operands[0]) TRY(file_read(operands[0], POLICY_MAX, &text));
    trial.file = operands[0];
    trial.policy = buf_span(&text);
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom policy dry-run", &config, &vault));
    return policy_dry_run(vault, &trial, json);
}
