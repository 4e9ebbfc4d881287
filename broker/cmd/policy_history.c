/* strongroom policy get|list|rollback */
#include "broker/cmd/policy_history.h"

#include "broker/api/appraiser.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/policy_findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VERSIONS "/strongroom/v1/policy/versions"

static err_t ask(struct vault *v, const char *path, struct http_answer *ret)
{
    TRY(vault_send(v, "GET", path, NULL, span_of(NULL, 0), ret));
    if (ret->status == 200) return ERR_OK;
    struct err e = http_answer_error(ret, "policy");
    http_answer_free(ret);
    return e;
}

struct err policy_fetch(struct vault *v, uint64_t version, struct http_answer *ret)
{
    char path[80];
    if (!version) return ask(v, "/strongroom/v1/policy", ret);
    snprintf(path, sizeof path, VERSIONS "/%" PRIu64, version);
    return ask(v, path, ret);
}

static const char *text_or(struct json object, const char *name, const char *otherwise)
{
    const char *text = json_string(json_get(object, name));
    return text ? text : otherwise;
}

static bool is_current(struct json version)
{
    bool current = false;
    return json_bool(json_get(version, "current"), &current) && current;
}

struct err policy_find_previous(struct vault *v, uint64_t *ret, char ret_if_match[32])
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(ask(v, VERSIONS, &answer));
    TRY(json_parse(secret_span(answer.body), &doc));
    struct json list = json_get(json_root(doc), "versions");
    const char *in_force = text_or(json_first(list), "digest", ""); /* none when it is damaged */
    for (struct json j = json_first(list); json_present(j); j = json_next(j)) {
        int64_t version = 0;
        if (is_current(j) || strcmp(text_or(j, "state", ""), "live") != 0) continue;
        if (strcmp(text_or(j, "digest", "-"), in_force) == 0) continue;
        if (!json_int(json_get(j, "version"), &version)) continue;
        *ret = (uint64_t) version;
        snprintf(ret_if_match, sizeof answer.etag, "%s", answer.etag);
        return ERR_OK;
    }
    FAIL(ERR_NOTFOUND, "no other version of the policy before the one in force is kept");
}

/* ---- get ------------------------------------------------------------------------------------ */

/* Guests are appraised by the built-in one then, which has no version. */
static err_t attestation_fetch(struct vault *v, const char *id, struct http_answer *ret)
{
    char path[80 + ATTESTATION_POLICY_ID_MAX];
    TRYC(appraiser_check_id(id), "--attestation");
    snprintf(path, sizeof path, "/strongroom/v1/attestation-policy/%s", id);
    struct err e = ask(v, path, ret);
    if (e.code == ERR_NOTFOUND)
        FAIL(ERR_NOTFOUND, "no attestation policy %s was set; where guests are appraised by one of that "
             "name, the built-in one is in force", id);
    return e;
}

struct err cmd_policy_get(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *version_text = NULL, *attestation = NULL;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"version", 0, OPT_TEXT, &version_text, "VERSION", "an older one that is kept"},
        {"attestation", 0, OPT_TEXT, &attestation, "ID", "an attestation policy that was set"},
        {0},
    };
    TRY(opt_parse(self, table, "", "Writes the text to standard output, as it was set.", argc, argv,
                  0, 0, NULL));
    uint64_t version = 0;
    if (version_text && attestation) FAIL(ERR_USAGE, "--version goes with the release policy alone");
    if (version_text) TRY(opt_version(version_text, "strongroom policy list", &version));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom policy get", &config, &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(attestation ? attestation_fetch(vault, attestation, &answer) : policy_fetch(vault, version, &answer));
    return file_write_all(STDOUT_FILENO, secret_span(answer.body));
}

/* ---- list ----------------------------------------------------------------------------------- */

static err_t print_table(struct span text)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(text, &doc));
    struct json list = json_get(json_root(doc), "versions");
    printf("  %8s %-8s %8s  %-16s  %s\n", "VERSION", "STATE", "SIZE", "DIGEST", "SET");
    for (struct json j = json_first(list); json_present(j); j = json_next(j)) {
        int64_t version = 0, size = 0;
        json_int(json_get(j, "version"), &version);
        json_int(json_get(j, "size"), &size);
        printf("%c %8" PRId64 " %-8s %8" PRId64 "  %-16s  %s\n", is_current(j) ? '*' : ' ', version,
               text_or(j, "state", "?"), size, text_or(j, "digest", "-"),
               text_or(j, "created", "-"));
    }
    return ERR_OK;
}

struct err cmd_policy_list(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table";
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Newest first; the one that decides is marked with *. If it is damaged, it denies\n"
                  "everything until another one is set or rolled back to. How many are kept says\n"
                  "policy.keep_versions.", argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom policy list", &config, &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(ask(vault, VERSIONS, &answer));
    return json ? http_answer_print(&answer) : print_table(secret_span(answer.body));
}

/* ---- rollback ------------------------------------------------------------------------------- */

static err_t roll_back(struct vault *vault, uint64_t version, const char *if_match)
{
    char body[48], match[64];
    snprintf(body, sizeof body, "{\"version\":%" PRIu64 "}", version);
    snprintf(match, sizeof match, "If-Match: %s", if_match ? if_match : "");
    const char *headers[] = {if_match ? match : NULL, NULL};
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_send(vault, "POST", "/strongroom/v1/policy/rollback", headers, span_str(body),
                   &answer));
    char shown[48];
    snprintf(shown, sizeof shown, "version %" PRIu64, version);
    if (answer.status != 200) return policy_refused(&answer, "policy rollback", shown, "");
    policy_print_warnings(&answer, shown);
    fprintf(stderr, "version %" PRIu64 " of the policy is in force again, as version %s\n", version,
            answer.etag);
    return ERR_OK;
}

struct err cmd_policy_rollback(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *if_match = NULL, *operands[1];
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"if-match", 0, OPT_TEXT, &if_match, "VERSION", "only when this version is in force"},
        {0},
    };
    TRY(opt_parse(self, table, "[VERSION]",
                  "Without VERSION the newest before that in force that says something else. It is\n"
                  "set as the next version, so a rollback can be rolled back; `policy list` shows all.",
                  argc, argv, 0, 1, operands));
    uint64_t version = 0;
    char seen[32];
    if (operands[0]) TRY(opt_version(operands[0], "strongroom policy list", &version));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom policy rollback", &config, &vault));
    if (!version) {
        TRY(policy_find_previous(vault, &version, seen));
        /* "The one before" means something only at the version it was looked up at. */
        if (!if_match && seen[0]) if_match = seen;
    }
    return roll_back(vault, version, if_match);
}
