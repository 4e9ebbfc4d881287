/* strongroom kek create|list */
#include "broker/base/json.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/vault.h"

#include <inttypes.h>
#include <stdio.h>

static const char *yes(struct json object, const char *name)
{
    bool value = false;
    return json_bool(json_get(object, name), &value) && value ? "yes" : "no";
}

static void print_kek(struct json k)
{
    int64_t generation = 0;
    json_int(json_get(k, "generation"), &generation);
    printf("%-24s %10" PRId64 " %-6s %-6s %-6s %-11s %s\n", json_string(json_get(k, "label")),
           generation, yes(k, "active"), yes(k, "sound"), yes(k, "canary_ok"),
           yes(k, "extractable"), json_string(json_get(k, "id")));
}

static err_t print_answer(const struct http_answer *answer, bool json)
{
    if (json) return http_answer_print(answer);
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(secret_span(answer->body), &doc));
    struct json list = json_get(json_root(doc), "keks");
    printf("%-24s %10s %-6s %-6s %-6s %-11s %s\n", "LABEL", "GENERATION", "ACTIVE", "SOUND",
           "CANARY", "EXTRACTABLE", "ID");
    if (!json_present(list)) print_kek(json_root(doc));
    for (struct json k = json_first(list); json_present(k); k = json_next(k)) print_kek(k);
    return ERR_OK;
}

static err_t ask(const char *config_file, const char *who, const char *method, const char *path,
                 struct http_answer *ret)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(config_load(config_file, &config));
    TRY(vault_open(config, who, &vault));
    TRY(vault_send(vault, method, path, NULL, span_of(NULL, 0), ret));
    if (ret->status == 200) return ERR_OK;
    struct err e = http_answer_error(ret, who);
    http_answer_free(ret);
    return e;
}

struct err cmd_kek_create(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table";
    bool next = false, json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"next", 0, OPT_FLAG, &next, NULL, "the next generation, when there is one already"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "The key is made on the token and can never leave it. Older generations stay and\n"
                  "still open what they sealed; new resources are sealed under the newest.",
                  argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(ask(config_file, "strongroom kek create", "POST",
            next ? "/strongroom/v1/keks?next=true" : "/strongroom/v1/keks", &answer));
    return print_answer(&answer, json);
}

struct err cmd_kek_list(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table";
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "", NULL, argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(ask(config_file, "strongroom kek list", "GET", "/strongroom/v1/keks", &answer));
    return print_answer(&answer, json);
}
