/* strongroom resource versions|restore|purge */
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/resource.h"
#include "broker/cmd/vault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME "REPOSITORY/TYPE/TAG"

static const char *text_of(struct json object, const char *name)
{
    const char *text = json_string(json_get(object, name));
    return text ? text : "";
}

static err_t ask_versions(struct vault *v, const char *name, struct http_answer *ret)
{
    char path[400];
    TRY(resource_path("/strongroom/v1/resource-versions/", name, path, sizeof path));
    return vault_ask(v, VAULT_GET(path), name, ret);
}

/* ---- versions ------------------------------------------------------------------------------- */

static err_t print_versions(struct span text)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(text, &doc));
    printf("%8s %-8s %10s %4s  %-20s  %s\n", "VERSION", "STATE", "SIZE", "KEK", "CREATED", "UNTIL");
    struct json list = json_get(json_root(doc), "versions");
    for (struct json j = json_first(list); json_present(j); j = json_next(j)) {
        int64_t version = 0, size = 0, kek = 0;
        json_int(json_get(j, "version"), &version);
        json_int(json_get(j, "size"), &size);
        json_int(json_get(j, "kek_generation"), &kek);
        printf("%8" PRId64 " %-8s %10" PRId64 " %4" PRId64 "  %-20s  %s\n", version,
               resource_state(j), size, kek, text_of(j, "created"), text_of(j, "not_after"));
    }
    return ERR_OK;
}

struct err cmd_resource_versions(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table", *operands[1];
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, NAME,
                  "Newest first; the first one decides. How many are kept says storage.keep_versions.",
                  argc, argv, 1, 1, operands));
    TRY(opt_format(format, &json));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom resource versions", &config, &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(ask_versions(vault, operands[0], &answer));
    return json ? http_answer_print(&answer) : print_versions(secret_span(answer.body));
}

/* ---- restore -------------------------------------------------------------------------------- */

/* The newest value below the newest version, and that one for If-Match ("" below a tombstone). */
static err_t find_previous(struct vault *v, const char *name, uint64_t *ret, char ret_seen[32])
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(ask_versions(v, name, &answer));
    TRY(json_parse(secret_span(answer.body), &doc));
    snprintf(ret_seen, sizeof answer.etag, "%s", answer.etag);
    struct json newest = json_first(json_get(json_root(doc), "versions"));
    for (struct json j = json_next(newest); json_present(j); j = json_next(j)) {
        int64_t version = 0;
        if (strcmp(text_of(j, "state"), "live") != 0 || !json_int(json_get(j, "version"), &version))
            continue;
        *ret = (uint64_t) version;
        return ERR_OK;
    }
    FAIL(ERR_NOTFOUND, "no older value of %s is kept; storage.keep_versions says how many are", name);
}

struct err cmd_resource_restore(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *if_match = NULL, *operands[2];
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"if-match", 0, OPT_TEXT, &if_match, "VERSION", "only when this version is the newest"},
        {0},
    };
    TRY(opt_parse(self, table, NAME " [VERSION]",
                  "Writes the value of an older version as the next one; without VERSION that of the\n"
                  "newest before the present one, so a deleted resource comes back. `resource versions`\n"
                  "shows what there is.", argc, argv, 1, 2, operands));
    uint64_t version = 0;
    char path[400], body[48], match[IF_MATCH_SIZE], seen[32] = "";
    TRY(opt_if_match(if_match, match));
    TRY(resource_path("/strongroom/v1/resource-restore/", operands[0], path, sizeof path));
    if (operands[1]) TRY(opt_version(operands[1], "strongroom resource versions", &version));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom resource restore", &config, &vault));
    /* "The one before" means something only at the version it was looked up at. */
    if (!version) TRY(find_previous(vault, operands[0], &version, seen));
    snprintf(body, sizeof body, "{\"version\":%" PRIu64 "}", version);
    if (!if_match && seen[0]) TRY(opt_if_match(seen, match));
    const char *headers[] = {match[0] ? match : NULL, NULL};
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_ask(vault, &(struct vault_request){"POST", path, headers, span_str(body)}, operands[0], &answer));
    fprintf(stderr, "version %" PRIu64 " of %s is there again, as version %s\n", version,
            operands[0], answer.etag);
    return ERR_OK;
}

/* ---- purge ---------------------------------------------------------------------------------- */

static err_t purge_one(struct vault *v, const char *name)
{
    char path[400];
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(resource_path("/strongroom/v1/resource-purge/", name, path, sizeof path));
    TRY(vault_ask(v, VAULT_POST(path), name, &answer));
    fprintf(stderr, "purged %s\n", name);
    return ERR_OK;
}

static err_t purge_if_over(void *vault, struct json j)
{
    bool expired = false;
    bool over = strcmp(text_of(j, "state"), "deleted") == 0 ||
                (json_bool(json_get(j, "expired"), &expired) && expired);
    return over ? purge_one(vault, text_of(j, "name")) : ERR_OK;
}

static err_t purge_all(struct vault *v)
{
    return resource_each(v, "&deleted=true", purge_if_over, v);
}

struct err cmd_resource_purge(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[1];
    bool all = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"all", 0, OPT_FLAG, &all, NULL, "every resource that is deleted or has expired"},
        {0},
    };
    TRY(opt_parse(self, table, "[" NAME "]",
                  "Takes a deleted or expired resource off the token, with all its versions; it cannot be\n"
                  "restored then, and its versions begin at 1 again. One that is in use stays: delete\n"
                  "it first.", argc, argv, 0, 1, operands));
    if (all == (operands[0] != NULL)) FAIL(ERR_USAGE, "name one resource, or say --all");
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, "strongroom resource purge", &config, &vault));
    return all ? purge_all(vault) : purge_one(vault, operands[0]);
}
