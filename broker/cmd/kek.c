/* strongroom kek create|list|rotate|rm */
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/vault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEKS "/strongroom/v1/keks"
#define ROTATE_RATE 50u  /* objects a second: reads and writes of others go on beside it */
#define ROTATE_BATCH STORE_REWRAP_MAX /* objects a request: they are read back together */

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

#define WHO "strongroom "

/* who: WHO and the command, which alone is named to whom main names the program. */
static err_t ask(const char *config_file, const char *who, const struct vault_request *r, struct http_answer *ret)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, who, &config, &vault));
    return vault_ask(vault, r, who + strlen(WHO), ret);
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
    TRY(ask(config_file, WHO "kek create", VAULT_POST(next ? KEKS "?next=true" : KEKS), &answer));
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
    TRY(ask(config_file, WHO "kek list", VAULT_GET(KEKS), &answer));
    return print_answer(&answer, json);
}

/* ---- rotation ------------------------------------------------------------------------------- */

struct rotation {
    int64_t generation, moved, left, failed, unreadable;
};

static err_t rewrap(struct vault *v, unsigned limit, struct rotation *ret)
{
    char path[80];
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    snprintf(path, sizeof path, KEKS "/rewrap?limit=%u", limit);
    TRY(vault_ask(v, VAULT_POST(path), "kek rotate", &answer));
    TRY(json_parse(secret_span(answer.body), &doc));
    struct json root = json_root(doc);
    *ret = (struct rotation){0};
    if (json_int(json_get(root, "generation"), &ret->generation) &&
        json_int(json_get(root, "moved"), &ret->moved) &&
        json_int(json_get(root, "left"), &ret->left) &&
        json_int(json_get(root, "failed"), &ret->failed) &&
        json_int(json_get(root, "unreadable"), &ret->unreadable))
        return ERR_OK;
    FAIL(ERR_INTERNAL, "the broker's answer is none of a rotation");
}

static err_t make_next(struct vault *v)
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    return vault_ask(v, VAULT_POST(KEKS "?next=true"), "kek rotate", &answer);
}

static err_t move_all(struct vault *v, unsigned rate, struct rotation *r, int64_t *ret_moved)
{
    int64_t moved = 0, failed = 0;
    bool got_on = true; /* a batch of which all are damaged gets on too */
    do {
        TRY(rewrap(v, rate < ROTATE_BATCH ? rate : ROTATE_BATCH, r));
        got_on = r->moved || r->failed > failed;
        if (r->failed > failed) failed = r->failed;
        moved += r->moved;
        if (r->moved && r->left > r->failed) usleep((useconds_t) (r->moved * 1000000 / rate));
    } while (got_on && r->left > r->failed);
    fprintf(stderr, "%" PRId64 " objects are now under generation %" PRId64 "\n", moved, r->generation);
    if (r->left > r->failed) FAIL(ERR_BUSY, "%" PRId64 " are left; run it again", r->left);
    *ret_moved = moved;
    return ERR_OK;
}

/* What a rotation that was cut off has left is moved first, and was the rotation then. Damage looks like that to
 * a store that has not opened it yet: if there was nothing else, the next key is made as ever. */
static err_t rotate(struct vault *v, unsigned rate)
{
    struct rotation r = {0};
    int64_t moved = 0;
    TRY(rewrap(v, 0, &r));
    bool begun = r.left > r.failed;
    if (begun) {
        fprintf(stderr, "going on with the move to generation %" PRId64 "\n", r.generation);
        TRY(move_all(v, rate, &r, &moved));
    }
    if (!begun || (!moved && r.failed)) {
        TRY(make_next(v));
        TRY(move_all(v, rate, &r, &moved));
    }
    if (r.failed + r.unreadable)
        FAIL(ERR_DAMAGED, "%" PRId64 " are damaged and stay as they are; `strongroom resource list` and "
             "the log name them", r.failed + r.unreadable);
    return ERR_OK;
}

struct err cmd_kek_rotate(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT;
    unsigned rate = ROTATE_RATE;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"rate", 0, OPT_NUMBER, &rate, "N", "objects a second at most (default 50)"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Makes the next generation and moves everything to it, while the broker serves. Ended\n"
                  "in between, run it again: it goes on where it was, and makes no further key. The old\n"
                  "key stays; `kek rm` removes it.", argc, argv, 0, 0, NULL));
    if (rate == 0) FAIL(ERR_USAGE, "--rate wants a number from 1 on");
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, WHO "kek rotate", &config, &vault));
    return rotate(vault, rate);
}

struct err cmd_kek_rm(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[1];
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {0},
    };
    TRY(opt_parse(self, table, "GENERATION",
                  "Removes an old key from the token, for ever, when nothing on the token is under it. What\n"
                  "was sealed under it elsewhere (backups of the token's objects) cannot be opened again.",
                  argc, argv, 1, 1, operands));
    uint64_t generation = 0;
    char path[80];
    TRY(opt_version(operands[0], "strongroom kek list", &generation));
    snprintf(path, sizeof path, KEKS "?generation=%" PRIu64, generation);
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(ask(config_file, WHO "kek rm", &(struct vault_request){"DELETE", .path = path}, &answer));
    fprintf(stderr, "generation %" PRIu64 " is removed\n", generation);
    return ERR_OK;
}
