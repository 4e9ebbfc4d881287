/* strongroom policy set */
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
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

struct err cmd_policy_set(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[1];
    bool allow_all = false, deny_all = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"allow-all", 0, OPT_FLAG, &allow_all, NULL, "every attested guest may have everything"},
        {"deny-all", 0, OPT_FLAG, &deny_all, NULL, "nobody may have anything"},
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
    TRY(vault_send(vault, "POST", "/kbs/v0/resource-policy", NULL, buf_span(&body), &answer));
    if (answer.status != 200) return http_answer_error(&answer, "policy set");
    fprintf(stderr, "policy set, version %s\n", answer.etag);
    return ERR_OK;
}
