/* strongroom policy set */
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/policy_upload.h"
#include "broker/cmd/vault.h"
#include "broker/jose/b64url.h"
#include "policy/policy.h"

#include <stdio.h>

struct err policy_upload_body(struct span text, struct buf *ret)
{
    _cleanup_buf_ struct buf encoded = BUF_INIT;
    b64url_add(&encoded, text);
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_member_span(&o, "policy", buf_span(&encoded));
    json_end_object(&o);
    return buf_ok(ret);
}

static err_t make_upload(const char *file, bool allow_all, bool deny_all, struct buf *ret)
{
    if ((file != NULL) + allow_all + deny_all != 1)
        FAIL(ERR_USAGE, "give one of FILE, --allow-all and --deny-all");
    if (allow_all) return policy_upload_body(SPAN_LIT(POLICY_ALLOW_ALL_TEXT), ret);
    if (deny_all) return policy_upload_body(SPAN_LIT(POLICY_DENY_ALL_TEXT), ret);
    _cleanup_buf_ struct buf text = {.max = POLICY_MAX};
    TRY(file_read(file, POLICY_MAX, &text));
    return policy_upload_body(buf_span(&text), ret);
}

/* "" when it is not there. */
static const char *shown_member(struct json e, const char *name, char *out, size_t size)
{
    const char *text = json_string(json_get(e, name));
    return log_escape(out, size, span_str(text ? text : ""));
}

/* As compilers do it: place and sentence, the line, a mark below the place, the way out. */
static void print_error(const char *file, const char *kind, struct json e)
{
    char code[64], text[512], source[512], hint[512];
    int64_t line = 0, column = 1;
    fprintf(stderr, "%s", file);
    if (json_int(json_get(e, "line"), &line) && json_int(json_get(e, "column"), &column))
        fprintf(stderr, ":%jd:%jd", (intmax_t) line, (intmax_t) column);
    fprintf(stderr, ": %s%s: %s\n", kind, shown_member(e, "code", code, sizeof code),
            shown_member(e, "text", text, sizeof text));
    if (shown_member(e, "source", source, sizeof source)[0])
        fprintf(stderr, "    %s\n    %*s^\n", source, (int) (column > 200 ? 200 : column) - 1, "");
    if (shown_member(e, "hint", hint, sizeof hint)[0]) fprintf(stderr, "    %s\n", hint);
}

/* What is wrong with the policy, when the answer says so in members. */
static err_t refused(const char *file, const struct http_answer *answer)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    struct json errors = {0};
    int64_t more = 0;
    if (err_ok(json_parse(secret_span(answer->body), &doc)))
        errors = json_get(json_root(doc), "errors");
    if (json_type(errors) != JSON_ARRAY || json_count(errors) == 0)
        return http_answer_error(answer, "policy set");
    for (struct json e = json_first(errors); json_present(e); e = json_next(e))
        print_error(file, "", e);
    if (json_int(json_get(json_root(doc), "more"), &more))
        fprintf(stderr, "and %jd more\n", (intmax_t) more);
    FAIL(ERR_USAGE, "policy set: %s is refused, and the policy of before stays in force", file);
}

/* Without warnings the answer has no body. */
static void print_warnings(const char *file, const struct http_answer *answer)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    if (secret_span(answer->body).len == 0) return;
    if (!err_ok(json_parse(secret_span(answer->body), &doc))) return;
    struct json warnings = json_get(json_root(doc), "warnings");
    if (json_type(warnings) != JSON_ARRAY) return;
    for (struct json w = json_first(warnings); json_present(w); w = json_next(w))
        print_error(file, "warning: ", w);
}

struct err cmd_policy_set(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[1];
    bool allow_all = false, deny_all = false, strict = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"allow-all", 0, OPT_FLAG, &allow_all, NULL, "every attested guest may have everything"},
        {"deny-all", 0, OPT_FLAG, &deny_all, NULL, "nobody may have anything"},
        {"strict", 0, OPT_FLAG, &strict, NULL, "refuse it when there are warnings"},
        {0},
    };
    TRY(opt_parse(self, table, "[FILE]", NULL, argc, argv, 0, 1, operands));
    _cleanup_buf_ struct buf body = BUF_INIT;
    TRY(make_upload(operands[0], allow_all, deny_all, &body));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(config_load(config_file, &config));
    TRY(vault_open(config, "strongroom policy set", &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    const char *file = operands[0] ? operands[0] : "policy";
    const char *path = strict ? "/kbs/v0/resource-policy?strict=1" : "/kbs/v0/resource-policy";
    TRY(vault_send(vault, "POST", path, NULL, buf_span(&body), &answer));
    if (answer.status != 200) return refused(file, &answer);
    print_warnings(file, &answer);
    fprintf(stderr, "policy set, version %s\n", answer.etag);
    return ERR_OK;
}
