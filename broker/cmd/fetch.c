/* strongroom fetch: a real guest */
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/guest.h"

#include <stdio.h>
#include <string.h>

struct fetch_options {
    const char *url, *cacert, *token_file, *key_file, *init_data, *output;
    bool print_token;
};

static err_t guest_key_of(const struct fetch_options *o, EVP_PKEY **ret)
{
    if (!o->key_file) return key_generate_ec("P-256", ret);
    _cleanup_secret_ struct secret *pem = NULL;
    TRY(file_read_secret(o->key_file, 16384, &pem));
    TRYC(key_from_pem(secret_span(pem), ret), "%s", o->key_file);
    return ERR_OK;
}

static err_t read_token(const char *file, struct buf *ret)
{
    TRY(file_read(file, JOSE_MAX_TOKEN, ret));
    while (ret->len && strchr(" \r\n", ret->data[ret->len - 1])) ret->len--;
    return ERR_OK;
}

/* "kbs:///a/b/c", "kbs+pkcs11:///resource/a/b/c" or "a/b/c" to a request path (kbs-api.md 1.2). */
static err_t request_path(const char *uri, char *out, size_t size)
{
    const char *plugin = "resource", *rest = uri, *plus = "kbs+pkcs11:///";
    if (strncmp(uri, "kbs:///", 7) == 0) rest = uri + 7;
    else if (strncmp(uri, plus, strlen(plus)) == 0) {
        plugin = "pkcs11";
        rest = uri + strlen(plus);
    } else if (strstr(uri, "://"))
        FAIL(ERR_USAGE, "a resource is kbs:///REPOSITORY/TYPE/TAG, not %s", uri);
    int n = snprintf(out, size, "/kbs/v0/%s/%s", plugin, rest);
    if (n < 0 || (size_t) n >= size || strpbrk(out, " \r\n"))
        FAIL(ERR_USAGE, "that is no resource: %.80s", uri);
    return ERR_OK;
}

/* The value is nobody else's, whoever could read the file that was there before. */
static err_t write_value(const char *output, struct span value)
{
    if (!output || strcmp(output, "-") == 0) return file_write_all(STDOUT_FILENO, value);
    return file_write_output(output, value, 0600);
}

static err_t fetch(const struct fetch_options *o, const char *const *uris, size_t count)
{
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    _cleanup_buf_ struct buf token = BUF_INIT;
    _cleanup_buf_ struct buf init_data = BUF_INIT;
    char path[600];
    for (size_t i = 0; i < count; i++) TRY(request_path(uris[i], path, sizeof path)); /* first of all */
    TRY(secret_init(4 * VALUE_MAX + SECRET_BUDGET_COMMAND, true, false));
    TRY(guest_key_of(o, &key));
    if (o->init_data) TRY(file_read(o->init_data, VALUE_MAX, &init_data));
    TRY(http_client_new(o->url, NULL, o->cacert, &client));
    if (o->token_file) TRY(read_token(o->token_file, &token));
    else TRY(guest_attest(client, key, buf_span(&init_data), &token));
    if (o->print_token) { /* before the value, which takes no way round */
        printf("%s\n", buf_str(&token));
        fflush(stdout);
    }
    for (size_t i = 0; i < count; i++) {
        _cleanup_secret_ struct secret *value = NULL;
        TRY(request_path(uris[i], path, sizeof path));
        TRY(guest_fetch(client, key, path, o->token_file ? buf_str(&token) : NULL, &value));
        TRY(write_value(o->output, secret_span(value)));
    }
    return ERR_OK;
}

struct err cmd_fetch(const struct command *self, int argc, char **argv)
{
    struct fetch_options o = {.url = "http://127.0.0.1:8080"};
    const char *operands[1];
    const struct opt table[] = {
        {"url", 'u', OPT_TEXT, &o.url, "URL", "the broker (default http://127.0.0.1:8080)"},
        {"cacert", 0, OPT_TEXT, &o.cacert, "FILE", "root certificate for https"},
        {"output", 'o', OPT_TEXT, &o.output, "FILE", "where the value goes (default: stdout)"},
        {"key-file", 'k', OPT_TEXT, &o.key_file, "FILE",
         "the guest's private key, PEM (default: a new P-256 key)"},
        {"token-file", 't', OPT_TEXT, &o.token_file, "FILE",
         "an attestation token instead of attesting; needs its --key-file"},
        {"print-token", 0, OPT_FLAG, &o.print_token, NULL,
         "print the attestation token; then no resource is needed"},
        {"init-data", 0, OPT_TEXT, &o.init_data, "FILE", "init-data (TOML) to send along"},
        {0},
    };
    TRY(opt_parse(self, table, "[kbs:///REPOSITORY/TYPE/TAG]",
                  "Attests with sample evidence, which only a development broker accepts.", argc,
                  argv, 0, 1, operands));
    if (!operands[0] && !o.print_token)
        FAIL(ERR_USAGE, "which resource? Such as kbs:///default/key/1; see --help");
    if (o.token_file && !o.key_file)
        FAIL(ERR_USAGE, "--token-file needs --key-file: the answer is encrypted to that key");
    return fetch(&o, operands, operands[0] ? 1 : 0);
}
