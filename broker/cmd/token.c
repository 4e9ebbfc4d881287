/* strongroom token init|status */
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/vault.h"
#include "pkcs11/p11.h"

#include <stdio.h>
#include <string.h>

/* What is no path may be the PIN itself, so it is not shown. */
static err_t pin_from(const char *file, const char *what, struct secret **ret)
{
    if (file[0] == '/' || strchr(file, ':')) return p11_pin_read(file, what, ret);
    _cleanup_free_ char *path = realpath(file, NULL);
    if (!path) FAIL_ERRNO(ERR_NOTFOUND, "%s: there is no such file", what);
    return p11_pin_read(path, what, ret);
}

/* A PIN from a file, or asked for twice when it is to be set by hand. */
static err_t new_pin(const char *file, const char *what, struct secret **ret)
{
    if (file) return pin_from(file, what, ret);
    char again[64];
    snprintf(again, sizeof again, "%s again", what);
    _cleanup_secret_ struct secret *second = NULL;
    TRYC(p11_pin_read("prompt", what, ret), "without --so-pin-file or --pin-file it is asked for");
    TRY(p11_pin_read("prompt", again, &second));
    if (!secret_equal(secret_span(*ret), secret_span(second))) {
        secret_free(TAKE_PTR(*ret));
        FAIL(ERR_USAGE, "the two entries differ");
    }
    return ERR_OK;
}

/* One attribute's value in a PKCS#11 URI (RFC 7512 2.3): all but unreserved characters is escaped. */
static void print_uri_value(const char *text)
{
    for (; *text; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9') || strchr("-._~", *text);
        printf(plain ? "%c" : "%%%02X", (unsigned char) *text);
    }
}

struct err cmd_token_init(const struct command *self, int argc, char **argv)
{
    const char *module = NULL, *label = NULL, *so_file = NULL, *pin_file = NULL;
    const char *state_dir = "/var/lib/strongroom";
    const struct opt table[] = {
        {"module", 'm', OPT_TEXT, &module, "FILE", "PKCS#11 module"},
        {"label", 'l', OPT_TEXT, &label, "LABEL", "the token's label"},
        {"so-pin-file", 0, OPT_TEXT, &so_file, "FILE", "security officer's PIN (default: ask)"},
        {"pin-file", 0, OPT_TEXT, &pin_file, "FILE", "user PIN (default: ask)"},
        {"state-dir", 0, OPT_TEXT, &state_dir, "DIR", "where a copy of token.object goes (SoftHSM)"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Initialises a slot that has no token yet; never one that has. On SoftHSM it\n"
                  "keeps a copy of the new token's token.object: if a crash within a login ever\n"
                  "leaves that file empty, copying it back restores the token.",
                  argc, argv, 0, 0, NULL));
    if (!module || !label) FAIL(ERR_USAGE, "--module and --label are needed; see --help");
    TRY(secret_init(SECRET_BUDGET_COMMAND, true, false));
    TRY(file_make_dirs(state_dir, 0700));
    _cleanup_secret_ struct secret *so_pin = NULL;
    _cleanup_secret_ struct secret *pin = NULL;
    TRY(new_pin(so_file, "Security officer's PIN", &so_pin));
    TRY(new_pin(pin_file, "User PIN", &pin));
    struct p11_token_info info = {0};
    _cleanup_free_ char *backup = NULL;
    TRY(p11_token_init(module, label, so_pin, pin, state_dir, &info, &backup));
    printf("pkcs11:token=");
    print_uri_value(info.label);
    printf(";serial=");
    print_uri_value(info.serial);
    putchar('\n');
    if (backup) fprintf(stderr, "a copy of token.object is in %s\n", backup);
    return ERR_OK;
}

static void print_info(const struct p11_token_info *t, bool json)
{
    char label[160];
    log_escape(label, sizeof label, span_str(t->label));
    const char *pin = t->pin_locked      ? "locked"
                      : t->pin_final_try ? "final try"
                      : t->pin_count_low ? "a wrong PIN was tried"
                                         : "ok";
    if (!json) {
        printf("label         %s\nserial        %s\nmanufacturer  %s\nmodel         %s\n"
               "firmware      %s\ninitialised   %s\nuser PIN      %s\n",
               label, t->serial, t->manufacturer, t->model, t->firmware,
               t->initialized ? "yes" : "no", t->user_pin_initialized ? pin : "not set");
        return;
    }
    _cleanup_buf_ struct buf b = BUF_INIT;
    struct json_out o = JSON_OUT(&b);
    json_begin_object(&o);
    json_key(&o, "token");
    json_begin_object(&o);
    json_member_str(&o, "label", t->label);
    json_member_str(&o, "serial", t->serial);
    json_member_str(&o, "manufacturer", t->manufacturer);
    json_member_str(&o, "model", t->model);
    json_member_str(&o, "firmware", t->firmware);
    json_member_bool(&o, "initialized", t->initialized);
    json_member_bool(&o, "user_pin_initialized", t->user_pin_initialized);
    json_member_bool(&o, "pin_count_low", t->pin_count_low);
    json_member_bool(&o, "pin_final_try", t->pin_final_try);
    json_member_bool(&o, "pin_locked", t->pin_locked);
    json_end_object(&o);
    json_end_object(&o);
    printf("%s\n", buf_str(&b));
}

/* name: value, one line each; nested members as "token.label". */
static void print_members(struct json object, const char *prefix)
{
    for (struct json m = json_first(object); json_present(m); m = json_next(m)) {
        char name[96];
        snprintf(name, sizeof name, "%s%s", prefix, json_name(m));
        struct span text = json_text(m);
        const char *string = json_string(m);
        if (json_type(m) == JSON_OBJECT) {
            strncat(name, ".", sizeof name - strlen(name) - 1);
            print_members(m, name);
        } else if (string) { /* a label of the token may hold anything */
            char shown[256];
            printf("%-24s %s\n", name, log_escape(shown, sizeof shown, span_str(string)));
        } else {
            printf("%-24s %.*s\n", name, (int) text.len, (const char *) text.data);
        }
    }
}

static err_t check_pin(bool locked, bool final_try)
{
    if (locked) FAIL(ERR_HUMAN, "the user PIN is locked; the security officer must reset it");
    if (final_try) FAIL(ERR_HUMAN, "one more wrong PIN locks the token; log in by hand once");
    return ERR_OK;
}

static bool is_true(struct json object, const char *name)
{
    bool value = false;
    return json_bool(json_get(object, name), &value) && value;
}

static err_t print_served(struct http_client *broker, bool json)
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(http_client_send(broker, "GET", "/strongroom/v1/status", NULL, span_of(NULL, 0), &answer));
    if (answer.status != 200) return http_answer_error(&answer, "status");
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(json_parse(secret_span(answer.body), &doc));
    if (json) TRY(http_answer_print(&answer));
    else print_members(json_root(doc), "");
    struct json token = json_get(json_root(doc), "token");
    TRY(check_pin(is_true(token, "pin_locked"), is_true(token, "pin_final_try")));
    const char *state = json_string(json_get(token, "state"));
    if (state && strcmp(state, "human") == 0)
        FAIL(ERR_HUMAN, "the broker cannot log in before a person acts; `strongroom status` says why");
    return ERR_OK;
}

struct err cmd_token_status(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table";
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Asks the broker when it runs; otherwise the token itself, without logging in.\n"
                  "Exit code 7 when the token's PIN is locked or on its final try, or when the broker\n"
                  "cannot log in before a person acts.",
                  argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    _cleanup_(config_freep) struct config *config = NULL;
    TRY(config_load(config_file, &config));
    _cleanup_(http_client_freep) struct http_client *broker = NULL;
    TRY(vault_broker(config, &broker));
    if (broker) return print_served(broker, json);
    struct p11_token_info info = {0};
    const char *module = config->token_module && *config->token_module ? config->token_module : NULL;
    const char *args = *config->token_init_args ? config->token_init_args : NULL;
    TRY(p11_info_by_uri(module, args, config->token_uri, &info));
    print_info(&info, json);
    return check_pin(info.pin_locked, info.pin_final_try);
}
