/* strongroom policy get|list|rollback */
#include "broker/cmd/policy_history.h"

#include "broker/api/appraiser.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/policy_findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH_SIZE 160

/* Where the versions of a policy are, and where it is rolled back: the release policy (id NULL), or one of
 * attestation. */
static err_t policy_path(const char *id, const char *release, const char *attestation, char ret[PATH_SIZE])
{
    if (id) TRYC(appraiser_check_id(id), "--attestation");
    snprintf(ret, PATH_SIZE, "/strongroom/v1/%s%s%s", id ? attestation : release, id ? "/" : "", id ? id : "");
    return ERR_OK;
}

static err_t versions_path(const char *id, char ret[PATH_SIZE])
{
    return policy_path(id, "policy/versions", "attestation-policy-versions", ret);
}

static err_t ask(struct vault *v, const char *path, struct http_answer *ret)
{
    return vault_ask(v, VAULT_GET(path), "policy", ret);
}

struct err policy_fetch(struct vault *v, const char *id, uint64_t version, struct http_answer *ret)
{
    char path[PATH_SIZE];
    if (version) {
        TRY(versions_path(id, path));
        snprintf(path + strlen(path), sizeof path - strlen(path), "/%" PRIu64, version);
        return ask(v, path, ret);
    }
    TRY(policy_path(id, "policy", "attestation-policy", path));
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

struct err policy_find_previous(struct vault *v, const char *id, uint64_t *ret, char ret_if_match[32])
{
    char path[PATH_SIZE];
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(versions_path(id, path));
    TRY(ask(v, path, &answer));
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

#define ATTESTATION {"attestation", 0, OPT_TEXT, &id, "ID", "an attestation policy that was set, such as default_cpu"}

struct err cmd_policy_get(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *version_text = NULL, *id = NULL;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"version", 0, OPT_TEXT, &version_text, "VERSION", "an older one that is kept"},
        ATTESTATION,
        {0},
    };
    TRY(opt_parse(self, table, "", "Writes the text to standard output, as it was set.", argc, argv,
                  0, 0, NULL));
    uint64_t version = 0;
    if (version_text) TRY(opt_version(version_text, "strongroom policy list", &version));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom policy get", &config, &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(policy_fetch(vault, id, version, &answer));
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
    const char *config_file = CONFIG_DEFAULT, *format = "table", *id = NULL;
    char path[PATH_SIZE];
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        ATTESTATION,
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Newest first; the one that decides is marked with *. If it is damaged, it denies\n"
                  "everything until another one is set or rolled back to. How many are kept says\n"
                  "policy.keep_versions.", argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    TRY(versions_path(id, path));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom policy list", &config, &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(ask(vault, path, &answer));
    return json ? http_answer_print(&answer) : print_table(secret_span(answer.body));
}

/* ---- rollback ------------------------------------------------------------------------------- */

/* match: the header If-Match, or "". */
static err_t roll_back(struct vault *vault, const char *id, uint64_t version, const char *match)
{
    char body[48], path[PATH_SIZE];
    TRY(policy_path(id, "policy/rollback", "attestation-policy-rollback", path));
    snprintf(body, sizeof body, "{\"version\":%" PRIu64 "}", version);
    const char *headers[] = {match[0] ? match : NULL, NULL};
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_send(vault, &(struct vault_request){"POST", path, headers, span_str(body)}, &answer));
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
    const char *config_file = CONFIG_DEFAULT, *if_match = NULL, *id = NULL, *operands[1];
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        ATTESTATION,
        {"if-match", 0, OPT_TEXT, &if_match, "VERSION", "only when this version is in force"},
        {0},
    };
    TRY(opt_parse(self, table, "[VERSION]",
                  "Without VERSION the newest before that in force that says something else. It is\n"
                  "set as the next version, so a rollback can be rolled back; `policy list` shows all.",
                  argc, argv, 0, 1, operands));
    uint64_t version = 0;
    char seen[32], match[IF_MATCH_SIZE];
    TRY(opt_if_match(if_match, match));
    if (operands[0]) TRY(opt_version(operands[0], "strongroom policy list", &version));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom policy rollback", &config, &vault));
    if (!version) {
        TRY(policy_find_previous(vault, id, &version, seen));
        /* "The one before" means something only at the version it was looked up at. */
        if (!if_match && seen[0]) TRY(opt_if_match(seen, match));
    }
    return roll_back(vault, id, version, match);
}
