/* strongroom policy set */
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/policy_dry_run.h"
#include "broker/cmd/policy_findings.h"
#include "broker/cmd/policy_upload.h"
#include "broker/cmd/vault.h"
#include "broker/jose/b64url.h"
#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

struct err policy_upload_body(const char *id, struct span text, struct buf *ret)
{
    _cleanup_buf_ struct buf encoded = BUF_INIT;
    b64url_add(&encoded, text);
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    if (id) json_member_str(&o, "policy_id", id);
    json_member_span(&o, "policy", buf_span(&encoded));
    json_end_object(&o);
    return buf_ok(ret);
}

static err_t read_text(const char *file, bool allow_all, bool deny_all, struct buf *ret)
{
    if ((file != NULL) + allow_all + deny_all != 1)
        FAIL(ERR_USAGE, "give one of FILE, --allow-all and --deny-all");
    ret->max = POLICY_MAX;
    if (file) return file_read(file, POLICY_MAX, ret);
    buf_add_str(ret, allow_all ? POLICY_ALLOW_ALL_TEXT : POLICY_DENY_ALL_TEXT);
    return buf_ok(ret);
}

struct upload {
    const char *file; /* for messages */
    struct span text;
    bool create, strict;
    const char *attestation; /* id of an attestation policy; NULL: the release policy */
    const char *if_match; /* or NULL */
    char match[IF_MATCH_SIZE]; /* the header of it */
};

static const char *upload_path(const struct upload *u)
{
    /* What would fail every attestation is refused, though clients of the KBS may set it. */
    if (u->attestation)
        return u->strict ? "/kbs/v0/attestation-policy?strict=1"
                         : "/kbs/v0/attestation-policy?usable=1&warnings=1";
    return u->strict ? "/kbs/v0/resource-policy?strict=1" : "/kbs/v0/resource-policy?warnings=1";
}

static err_t upload(struct vault *vault, const struct upload *u)
{
    const char *headers[] = {u->create ? "If-None-Match: *" : u->if_match ? u->match : NULL, NULL};
    _cleanup_buf_ struct buf body = BUF_INIT;
    TRY(policy_upload_body(u->attestation, u->text, &body));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_send(vault, &(struct vault_request){"POST", upload_path(u), headers, buf_span(&body)}, &answer));
    if (answer.status != 200)
        return policy_refused(&answer, "policy set", u->file,
                              ", and the policy of before stays in force");
    policy_print_warnings(&answer, u->file);
    fprintf(stderr, "policy set, version %s\n", answer.etag);
    return ERR_OK;
}

/* Others can be set, as at the KBS; a misspelt one would be waited for in vain. */
static void warn_of_id(const struct config *c, const char *id)
{
    if (id && c->attestation_verifier == CONFIG_VERIFIER_SAMPLE && strcmp(id, "default_cpu") != 0 &&
        strcmp(id, "default_gpu") != 0)
        fprintf(stderr, "warning: no guest is appraised by %s; asked are default_cpu and default_gpu\n", id);
}

struct err cmd_policy_set(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[1];
    bool allow_all = false, deny_all = false, dry_run = false;
    struct upload u = {0};
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"allow-all", 0, OPT_FLAG, &allow_all, NULL, "every attested guest may have everything"},
        {"deny-all", 0, OPT_FLAG, &deny_all, NULL, "nobody may have anything"},
        {"strict", 0, OPT_FLAG, &u.strict, NULL, "refuse it when there are warnings"},
        {"if-match", 0, OPT_TEXT, &u.if_match, "VERSION", "only when this version is in force"},
        {"create", 0, OPT_FLAG, &u.create, NULL, "only when there is no policy yet"},
        {"attestation", 0, OPT_TEXT, &u.attestation, "ID",
         "an attestation policy: default_cpu, or default_gpu"},
        {"dry-run", 0, OPT_FLAG, &dry_run, NULL, "set nothing; show what would change"},
        {0},
    };
    TRY(opt_parse(self, table, "[FILE]",
                  "In force at once; the versions of before are kept (`policy list`), and\n"
                  "`policy rollback` brings them back.", argc, argv, 0, 1, operands));
    if (u.create && u.if_match) FAIL(ERR_USAGE, "--create and --if-match exclude each other");
    TRY(opt_if_match(u.if_match, u.match));
    if (u.attestation && (allow_all || deny_all || dry_run))
        FAIL(ERR_USAGE, "--attestation goes with a FILE, and not with --allow-all, --deny-all and --dry-run");
    _cleanup_buf_ struct buf text = BUF_INIT;
    TRY(read_text(operands[0], allow_all, deny_all, &text));
    u.file = operands[0] ? operands[0] : "policy";
    u.text = buf_span(&text);
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom policy set", &config, &vault));
    warn_of_id(config, u.attestation);
    if (!dry_run) return upload(vault, &u);
    struct policy_trial trial = {.file = u.file, .policy = u.text, .strict = u.strict};
    return policy_dry_run(vault, &trial, false);
}
