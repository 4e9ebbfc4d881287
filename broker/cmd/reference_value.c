/* strongroom reference-value set|get|list|rm */
#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/vault.h"
#include "broker/jose/b64url.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DAY 86400LL
#define WHO "strongroom reference-value"
#define LIST "/strongroom/v1/reference-values"

/* ---- setting ------------------------------------------------------------------------------- */

struct registration {
    struct span payload; /* JSON object */
    const char *days;    /* or NULL */
    bool replace;
};

/* {"version","type","payload"} as clients of the KBS send it, and members of ours (kbs-api.md 6.3). */
static err_t make_message(const struct registration *r, struct buf *ret)
{
    _cleanup_buf_ struct buf encoded = BUF_INIT;
    b64_add(&encoded, r->payload);
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_member_str(&o, "version", "0.1.0");
    json_member_str(&o, "type", "sample");
    json_member_span(&o, "payload", buf_span(&encoded));
    if (r->replace) json_member_bool(&o, "replace", true);
    if (r->days) {
        char *end = NULL;
        unsigned long days = strtoul(r->days, &end, 10);
        if (*r->days < '0' || *r->days > '9' || *end || days > 36500)
            FAIL(ERR_USAGE, "--days wants a number up to 36500, or 0 for ever");
        json_member_int(&o, "expires", days ? clock_now() + (int64_t) days * DAY : 0);
    }
    json_end_object(&o);
    return buf_ok(ret);
}

static err_t register_values(struct vault *vault, const struct registration *r)
{
    _cleanup_buf_ struct buf message = BUF_INIT;
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(make_message(r, &message));
    const struct vault_request request = {"POST", "/kbs/v0/reference-value", .body = buf_span(&message)};
    return vault_ask(vault, &request, "reference-value", &answer);
}

/* {NAME: VALUE} from two operands. What is no JSON would be a mistake as a text: quotes are missing. */
static err_t read_pair(const char *name, const char *value, struct buf *ret)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    struct json_out o = JSON_OUT(ret);
    if (!value) FAIL(ERR_USAGE, "give NAME and VALUE, or --file FILE");
    TRYC(json_parse(span_str(value), &doc), "VALUE is no JSON; a text is written '\"text\"'");
    json_begin_object(&o);
    json_member_raw(&o, name, json_text(json_root(doc)));
    json_end_object(&o);
    return buf_ok(ret);
}

struct err cmd_reference_value_set(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *file = NULL, *operands[2];
    struct registration r = {0};
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"file", 0, OPT_TEXT, &file, "FILE", "a JSON object of names and values"},
        {"days", 0, OPT_TEXT, &r.days, "N", "how long it counts (default a year; 0: for ever)"},
        {"replace", 0, OPT_FLAG, &r.replace, NULL, "all others go"},
        {0},
    };
    TRY(opt_parse(self, table, "[NAME VALUE]",
                  "What attestation policies get from query_reference_value(NAME). VALUE is JSON, such\n"
                  "as '[\"abcde\"]'. With --file several at once, all of them or none.",
                  argc, argv, 0, 2, operands));
    _cleanup_buf_ struct buf payload = {.max = REFERENCE_VALUES_BYTES};
    if (file && operands[0]) FAIL(ERR_USAGE, "give NAME and VALUE, or --file FILE");
    if (file) TRY(file_read(file, REFERENCE_VALUES_BYTES, &payload));
    else TRY(read_pair(operands[0] ? operands[0] : "", operands[0] ? operands[1] : NULL, &payload));
    r.payload = buf_span(&payload);
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, WHO, &config, &vault));
    TRY(register_values(vault, &r));
    fprintf(stderr, "set\n");
    return ERR_OK;
}

/* An expired one is there, too. Where a service keeps them there is no list, and it answers for itself. */
static err_t check_is_there(struct vault *vault, const char *name)
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(vault_send(vault, VAULT_GET(LIST), &answer));
    if (answer.status != 200) return ERR_OK;
    TRY(json_parse(secret_span(answer.body), &doc));
    struct json list = json_get(json_root(doc), "values");
    for (struct json j = json_first(list); json_present(j); j = json_next(j)) {
        const char *known = json_string(json_get(j, "name"));
        if (known && strcmp(known, name) == 0) return ERR_OK;
    }
    FAIL(ERR_NOTFOUND, "there is no reference value %s; strongroom reference-value list shows all", name);
}

struct err cmd_reference_value_rm(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[1];
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {0},
    };
    TRY(opt_parse(self, table, "NAME", NULL, argc, argv, 1, 1, operands));
    _cleanup_buf_ struct buf payload = BUF_INIT;
    TRY(read_pair(operands[0], "null", &payload));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, WHO, &config, &vault));
    TRY(check_is_there(vault, operands[0]));
    TRY(register_values(vault, &(struct registration){.payload = buf_span(&payload)}));
    fprintf(stderr, "removed %s\n", operands[0]);
    return ERR_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* The name as a path: slashes stay, all else that is no letter, digit, '_', '-' or '.' is escaped. */
static void put_path(struct buf *out, const char *name)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";
    for (; *name; name++) {
        if (strchr(plain, *name)) buf_add_byte(out, (uint8_t) *name);
        else buf_addf(out, "%%%02X", (unsigned) (uint8_t) *name);
    }
}

struct err cmd_reference_value_get(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[1];
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {0},
    };
    TRY(opt_parse(self, table, "NAME", NULL, argc, argv, 1, 1, operands));
    _cleanup_buf_ struct buf path = BUF_INIT;
    buf_add_str(&path, "/kbs/v0/reference-value/");
    put_path(&path, operands[0]);
    TRY(buf_ok(&path));
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, WHO, &config, &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_ask(vault, VAULT_GET(buf_str(&path)), operands[0], &answer));
    return http_answer_print(&answer);
}

static err_t print_table(struct span body)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(body, &doc));
    struct json list = json_get(json_root(doc), "values");
    printf("%-32s %-20s %s\n", "NAME", "COUNTS UNTIL", "VALUE");
    for (struct json j = json_first(list); json_present(j); j = json_next(j)) {
        char date[CLOCK_TEXT], name[256];
        int64_t expires = 0;
        bool expired = false;
        const char *raw = json_string(json_get(j, "name"));
        json_int(json_get(j, "expires"), &expires);
        json_bool(json_get(j, "expired"), &expired);
        log_escape(name, sizeof name, span_str(raw ? raw : ""));
        struct span value = json_text(json_get(j, "value"));
        printf("%-32s %-20s %.*s\n", name,
               expired ? "expired" : expires ? clock_rfc3339(expires, date) : "for ever",
               (int) value.len, (const char *) value.data);
    }
    return ERR_OK;
}

struct err cmd_reference_value_list(const struct command *self, int argc, char **argv)
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
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    TRY(vault_open_file(config_file, WHO, &config, &vault));
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(vault_ask(vault, VAULT_GET(LIST), "reference-value list", &answer));
    return json ? http_answer_print(&answer) : print_table(secret_span(answer.body));
}
