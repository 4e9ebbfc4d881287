/* strongroom token verify: is what lies on the token what should lie there? */
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/vault.h"
#include "pkcs11/p11.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH "/strongroom/v1/verify"
#define POLL_US 100000u /* between questions whether the broker's pass is over */

static err_t ask(struct vault *v, const struct vault_request *r, struct http_answer *ret)
{
    http_answer_free(ret);
    return vault_ask(v, r, "token verify", ret);
}

static err_t number_in(const struct http_answer *answer, const char *name, int64_t *ret)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(secret_span(answer->body), &doc));
    if (json_int(json_get(json_root(doc), name), ret)) return ERR_OK;
    FAIL(ERR_INTERNAL, "the broker's answer is none of a verification");
}

/* A broker makes the pass beside its work; our own api has made it when it answers. */
static err_t verify(struct vault *v, struct http_answer *ret)
{
    int64_t before = 0, passes = 0;
    TRY(ask(v, VAULT_POST(PATH), ret));
    TRY(number_in(ret, "passes", &before));
    for (;;) {
        TRY(ask(v, VAULT_GET(PATH), ret));
        TRY(number_in(ret, "passes", &passes));
        if (passes > before) return ERR_OK;
        usleep(POLL_US);
    }
}

static void print_finding(struct json f)
{
    char label[P11_LABEL_MAX * 4];
    int64_t version = 0;
    const char *name = json_string(json_get(f, "label"));
    log_escape(label, sizeof label, span_str(name ? name : ""));
    printf("%-12s %s", json_string(json_get(f, "fault")), label[0] ? label : "(no readable label)");
    if (json_int(json_get(f, "version"), &version)) printf(" version %" PRId64, version);
    printf("\n             %s\n             %s\n", json_string(json_get(f, "why")),
           json_string(json_get(f, "hint")));
}

static void print_summary(struct json root, bool sound)
{
    int64_t objects = 0, manifest = 0, n = 0;
    json_int(json_get(root, "objects"), &objects);
    json_int(json_get(root, "manifest_version"), &manifest);
    printf("%" PRId64 " objects opened, manifest version %" PRId64, objects, manifest);
    struct json counts = json_get(root, "counts");
    for (struct json c = json_first(counts); json_present(c); c = json_next(c))
        if (json_int(c, &n) && n) printf(", %" PRId64 " %s", n, json_name(c));
    printf(": %s\n", sound ? "sound" : "NOT SOUND");
}

static err_t report(const struct http_answer *answer, bool json)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    bool sound = false;
    TRY(json_parse(secret_span(answer->body), &doc));
    struct json root = json_root(doc);
    json_bool(json_get(root, "sound"), &sound);
    const char *failed = json_string(json_get(root, "failed"));
    if (json) TRY(http_answer_print(answer));
    for (struct json f = json_first(json_get(root, "findings")); json_present(f) && !json; f = json_next(f))
        print_finding(f);
    if (!json && !failed) print_summary(root, sound);
    if (failed)
        FAIL(ERR_TOKEN_DOWN, "the objects could not all be looked at (%s); the log of the broker says why",
             failed);
    if (!sound) FAIL(ERR_DAMAGED, "what lies on the token is not sound");
    return ERR_OK;
}

static err_t accept_all(struct vault *v)
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    int64_t forgotten = 0;
    TRY(ask(v, VAULT_POST(PATH "?accept=true"), &answer));
    TRY(number_in(&answer, "forgotten", &forgotten));
    fprintf(stderr, "what lies on the token is taken as right; %" PRId64 " findings are forgotten\n", forgotten);
    return ERR_OK;
}

struct err cmd_token_verify(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table";
    bool json = false, accept = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {"json", 0, OPT_FLAG, &json, NULL, "the same as --format json"},
        {"accept", 0, OPT_FLAG, &accept, NULL,
         "first take what is missing or rolled back as right: somebody meant it"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Opens every object inside the token and compares what is there with the manifest.\n"
                  "Nothing is changed or moved. Asks the broker when it runs, else looks itself.\n"
                  "Exit code 0: sound; 8: something is damaged, misplaced, torn, missing or rolled\n"
                  "back. Foreign objects and leftovers are told, and hurt nothing.",
                  argc, argv, 0, 0, NULL));
    if (!json) TRY(opt_format(format, &json));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_open_file(config_file, "strongroom token verify", &config, &vault));
    if (!vault_is_served(vault)) log_set_level(LOG_LEVEL_ERROR); /* the findings are printed */
    if (accept) TRY(accept_all(vault));
    TRY(verify(vault, &answer));
    return report(&answer, json);
}
