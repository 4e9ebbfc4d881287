/* strongroom token keypair create|list */
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/vault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH "/strongroom/v1/keypairs"

static const char *yes(struct json object, const char *name)
{
    bool value = false;
    return json_bool(json_get(object, name), &value) && value ? "yes" : "no";
}

static void print_heading(void)
{
    printf("%-32s %-8s %5s %-6s %-11s %s\n", "LABEL", "TYPE", "BITS", "SOUND", "EXTRACTABLE", "ID");
}

static void print_pair(struct json k)
{
    char label[200];
    int64_t bits = 0;
    const char *text = json_string(json_get(k, "label"));
    json_int(json_get(k, "bits"), &bits);
    printf("%-32s %-8s %5" PRId64 " %-6s %-11s %s\n",
           log_escape(label, sizeof label, span_str(text ? text : "")),
           json_string(json_get(k, "type")), bits, yes(k, "sound"), yes(k, "extractable"),
           json_string(json_get(k, "id")));
}

/* ---- create ---------------------------------------------------------------------------------- */

struct wish {
    const char *label, *type, *public_out;
    unsigned bits; /* 0: not said */
};

static err_t write_wish(const struct wish *w, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_member_str(&o, "label", w->label);
    json_member_str(&o, "type", w->type);
    if (w->bits) json_member_uint(&o, "bits", w->bits);
    json_end_object(&o);
    return buf_ok(ret);
}

/* The pair exists by now, so a file that cannot be written must not hide that. */
static err_t write_public(const char *file, struct json pair)
{
    const char *pem = json_string(json_get(pair, "public_key"));
    if (!pem) FAIL(ERR_INTERNAL, "the answer has no public key");
    TRYC(file_write_output(file, span_str(pem), 0644), "the key pair was made, but not its public key's "
         "file; strongroom token keypair list --label LABEL --public-out FILE writes it again");
    fprintf(stderr, "the public key is in %s\n", file);
    return ERR_OK;
}

/* wrap-key finds its pair by the configured label, so that is what an RSA pair gets. */
static err_t complete(struct wish *w, const struct config *config)
{
    if (w->label) return ERR_OK;
    if (strcmp(w->type, "rsa") != 0)
        FAIL(ERR_USAGE, "--label is needed; signer.key_uri names the pair by it");
    w->label = config->token_wrap_key_label;
    return ERR_OK;
}

static err_t create(const char *config_file, struct wish *w, struct http_answer *ret)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    _cleanup_buf_ struct buf body = BUF_INIT;
    TRY(config_load(config_file, &config));
    TRY(complete(w, config));
    TRY(write_wish(w, &body));
    TRY(vault_open(config, "strongroom token keypair create", &vault));
    const struct vault_request r = {"POST", PATH, .body = buf_span(&body)};
    return vault_ask(vault, &r, "token keypair create", ret);
}

struct err cmd_keypair_create(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table";
    struct wish wish = {.type = "rsa"};
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"label", 'l', OPT_TEXT, &wish.label, "NAME", "default for rsa: token.wrap_key_label"},
        {"type", 0, OPT_TEXT, &wish.type, "TYPE", "rsa (wrap-key) or ec-p256 (signing)"},
        {"bits", 0, OPT_NUMBER, &wish.bits, "N", "of an RSA key: 2048, 3072 (default) or 4096"},
        {"public-out", 0, OPT_TEXT, &wish.public_out, "FILE", "the public key goes there, as PEM"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "The private key is made on the token and can never leave it: there is no copy, so\n"
                  "what was wrapped with it is lost with the token. Making a long RSA key takes\n"
                  "seconds, in which a running broker finds and writes no resources.",
                  argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    if (strcmp(wish.type, "rsa") != 0 && strcmp(wish.type, "ec-p256") != 0)
        FAIL(ERR_USAGE, "--type is rsa or ec-p256");
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(create(config_file, &wish, &answer));
    TRY(json_parse(secret_span(answer.body), &doc));
    if (json) TRY(http_answer_print(&answer));
    else {
        print_heading();
        print_pair(json_root(doc));
    }
    return wish.public_out ? write_public(wish.public_out, json_root(doc)) : ERR_OK;
}

/* ---- list ------------------------------------------------------------------------------------ */

static bool is_wanted(struct json k, const char *label)
{
    const char *text = json_string(json_get(k, "label"));
    return !label || (text && strcmp(text, label) == 0);
}

static err_t print_list(struct json list, const char *label)
{
    print_heading();
    for (struct json k = json_first(list); json_present(k); k = json_next(k))
        if (is_wanted(k, label)) print_pair(k);
    return ERR_OK;
}

static err_t find_labelled(struct json list, const char *label, struct json *ret)
{
    size_t n = 0;
    for (struct json k = json_first(list); json_present(k); k = json_next(k)) {
        if (!is_wanted(k, label)) continue;
        *ret = k;
        n++;
    }
    if (n == 0) FAIL(ERR_NOTFOUND, "the token has no key pair labelled %s", label);
    if (n > 1) FAIL(ERR_CONFLICT, "the token has %zu key pairs labelled %s", n, label);
    return ERR_OK;
}

struct err cmd_keypair_list(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table", *label = NULL, *public_out = NULL;
    bool json = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {"label", 'l', OPT_TEXT, &label, "NAME", "this pair alone"},
        {"public-out", 0, OPT_TEXT, &public_out, "FILE", "its public key goes there, as PEM"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json (all pairs)"},
        {0},
    };
    TRY(opt_parse(self, table, "", "Every private key on the token, Strongroom's and others'.", argc,
                  argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    if (public_out && !label) FAIL(ERR_USAGE, "--public-out wants --label, whose public key it is");
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(vault_open_file(config_file, "strongroom token keypair list", &config, &vault));
    TRY(vault_ask(vault, VAULT_GET(PATH), "token keypair list", &answer));
    TRY(json_parse(secret_span(answer.body), &doc));
    struct json pairs = json_get(json_root(doc), "keypairs"), pair = {0};
    TRY(json ? http_answer_print(&answer) : print_list(pairs, label));
    if (label) TRY(find_labelled(pairs, label, &pair));
    return public_out ? write_public(public_out, pair) : ERR_OK;
}
