#include "broker/config/config.h"

#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/config/config_value.h"

#include <string.h>
#include <strings.h>

/* What is at work while one file is read. */
struct reading {
    struct config *config;
    struct bump *arena;
    const char *name;
    const struct yaml_node **seen; /* by index of the table: what the file gave, or NULL */
};

/* Where the file says it; a default has no place. */
static const struct yaml_node *given(const struct reading *r, const char *path)
{
    for (size_t i = 0; i < config_keys.count; i++)
        if (strcmp(config_keys.keys[i].path, path) == 0) return r->seen[i];
    err_abort(path, __FILE__, __LINE__); /* a slip of ours */
}

/* The defaults are the very file that --print-defaults prints: the manual cannot lie. */
static err_t read_defaults(struct reading *r)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct yaml_node *root = NULL;
    TRY(config_defaults(&text));
    TRY(yaml_parse(buf_span(&text), "defaults", r->arena, &root));
    ENSURE(root != NULL);
    return config_read_map(&config_keys, root, r->config, r->arena, NULL);
}

static err_t read_file(struct reading *r, struct span text)
{
    struct yaml_node *root = NULL;
    TRY(yaml_parse(text, r->name, r->arena, &root));
    if (!root) return ERR_OK;
    return config_read_map(&config_keys, root, r->config, r->arena, r->seen);
}

/* ---- what one key says about another ------------------------------------------------------- */

/* An explicit key wins over the URI, the URI over a default. */
static void let_uri_speak(struct reading *r)
{
    struct config *c = r->config;
    if (!given(r, "token.module") && strstr(c->token_uri, "module-path=")) c->token_module = NULL;
    if (!given(r, "token.pin_source") && strstr(c->token_uri, "pin-source="))
        c->token_pin_source = NULL;
}

static err_t check_providers(const struct reading *r)
{
    const struct config *c = r->config;
    const struct yaml_node *list =
        given(r, "admin.authentication.bearer_jwt.identity_providers");
    const struct yaml_node *entry = list ? list->first : NULL;
    for (size_t i = 0; i < c->admin_provider_count && entry; i++, entry = entry->next)
        if (!c->admin_providers[i].public_key_uri && !c->admin_providers[i].jwk_set_uri)
            YAML_FAIL(entry, "this entry of `admin.authentication.bearer_jwt.identity_providers` "
                             "needs `public_key_uri` or `jwk_set_uri`");
    return ERR_OK;
}

static err_t check_admin(const struct reading *r)
{
    const struct config *c = r->config;
    TRY(check_providers(r));
    if (c->admin_mode != ADMIN_AUTHENTICATED || c->admin_provider_count > 0) return ERR_OK;
    const struct yaml_node *mode = given(r, "admin.authorization_mode");
    ENSURE(mode != NULL);
    YAML_FAIL(mode, "AuthenticatedAuthorization needs an entry in "
                    "admin.authentication.bearer_jwt.identity_providers");
}

#define SIGNER "attestation_service.attestation_token_broker.signer."

static err_t check_signer(const struct reading *r)
{
    const struct config *c = r->config;
    const struct yaml_node *uri = given(r, SIGNER "key_uri"), *chain = given(r, SIGNER "cert_path");
    if (c->attestation_signer_uri && c->attestation_signer_key)
        YAML_FAIL(uri, "key_uri and key_path exclude each other: the signing key is on the token or "
                       "in a file");
    if (c->attestation_signer_uri && !c->attestation_signer_chain)
        YAML_FAIL(uri, "key_uri needs cert_path, the chain of that key; make a certificate from "
                       "what `strongroom token keypair create --public-out` writes");
    if (c->attestation_signer_chain && !c->attestation_signer_key && !c->attestation_signer_uri)
        YAML_FAIL(chain, "cert_path is the chain of key_path or key_uri, which is missing");
    return ERR_OK;
}

/* The first of these that the file gives: where to point when several keys do not fit together. */
static const struct yaml_node *given_first(const struct reading *r, const char *const *paths)
{
    const struct yaml_node *node = NULL;
    for (; *paths && !node; paths++) node = given(r, *paths);
    ENSURE(node != NULL);
    return node;
}

static err_t check_service_tls(const struct reading *r)
{
    static const char *const keys[] = {"attestation_service.as_ca_cert",
                                       "attestation_service.as_client_cert",
                                       "attestation_service.as_client_key", NULL};
    const struct config *c = r->config;
    bool tls = strncasecmp(c->attestation_as_addr, "https:", 6) == 0;
    if (!c->attestation_as_client_cert != !c->attestation_as_client_key)
        YAML_FAIL(given_first(r, keys + 1), "as_client_cert and as_client_key go together");
    if (!tls && (c->attestation_as_ca || c->attestation_as_client_cert))
        YAML_FAIL(given_first(r, keys), "certificates are for https://, and as_addr is %s",
                  c->attestation_as_addr);
    return ERR_OK;
}

/* A service whose tokens nobody trusts, or whose answers come too late for the guest, is a mistake. */
static err_t check_service(const struct reading *r)
{
    static const char *const times[] = {"attestation_service.call_timeout",
                                        "http_server.request_timeout",
                                        "attestation_service.verifier", NULL};
    const struct config *c = r->config;
    if (c->attestation_verifier < CONFIG_VERIFIER_GRPC) return ERR_OK;
    const struct yaml_node *verifier = given(r, "attestation_service.verifier");
    ENSURE(verifier != NULL);
    if (!c->token_trusted_cert_count && !c->token_trusted_jwk_set_count &&
        !c->token_insecure_header_jwk)
        YAML_FAIL(verifier, "an attestation service needs its signer in "
                            "attestation_token.trusted_certs_paths or trusted_jwk_sets");
    if (c->attestation_call_seconds + P11_JOB_SECONDS >= c->http_request_seconds)
        YAML_FAIL(given_first(r, times), "attestation_service.call_timeout and %u seconds of waiting "
                  "for a turn must be less than http_server.request_timeout", P11_JOB_SECONDS);
    return check_service_tls(r);
}

static err_t check_sockets(const struct reading *r)
{
    const struct config *c = r->config;
    if (c->http_socket_count > 0 || *c->http_admin_socket) return ERR_OK;
    const struct yaml_node *sockets = given(r, "http_server.sockets");
    ENSURE(sockets != NULL);
    YAML_FAIL(sockets, "nothing to listen on: neither sockets nor admin_socket");
}

/* What the file says of TLS must be one thing. `key` is where to look. */
static err_t check_tls(const struct reading *r)
{
    const struct config *c = r->config;
    const struct tls_settings *t = &c->http_tls;
    bool custom = t->profile == TLS_CUSTOM, on = t->certificate && t->private_key;
    const struct {
        bool wrong;
        const char *key, *sentence;
    } rows[] = {
        {t->certificate && !t->private_key, "http_server.certificate",
         "certificate needs its private_key"},
        {t->private_key && !t->certificate, "http_server.private_key",
         "private_key needs its certificate"},
        {on && c->http_insecure, "http_server.insecure_http",
         "insecure_http: true means plain HTTP, but private_key and certificate are given: remove "
         "it for HTTPS, or them for plain HTTP"},
        {!on && t->client_ca_count > 0, "http_server.admin_client_ca",
         "admin_client_ca needs HTTPS: give private_key and certificate"},
        {custom && !t->priority, "http_server.tls_profile",
         "tls_profile: custom needs tls_priority"},
        {!custom && t->priority, "http_server.tls_priority",
         "tls_priority needs tls_profile: custom"},
        {t->min_version > t->max_version, "http_server.tls_min_version",
         "tls_min_version is above tls_max_version"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].wrong) continue;
        const struct yaml_node *node = given(r, rows[i].key);
        ENSURE(node != NULL);
        YAML_FAIL(node, "%s", rows[i].sentence);
    }
    return ERR_OK;
}

static err_t finish(struct reading *r)
{
    struct config *c = r->config;
    if (c->attestation_session_seconds == 0)
        c->attestation_session_seconds = c->attestation_timeout_seconds;
    let_uri_speak(r);
    TRY(check_sockets(r));
    TRY(check_tls(r));
    TRY(check_signer(r));
    TRY(check_service(r));
    return check_admin(r);
}

/* ---- public ------------------------------------------------------------------------------- */

err_t config_parse(struct span text, const char *name, struct config **ret)
{
    if (text.len > CONFIG_MAX)
        FAIL(ERR_TOOLARGE, "%s has %zu bytes, the limit is %u", name, text.len, CONFIG_MAX);
    _cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));
    _cleanup_free_ const struct yaml_node **seen = calloc(config_keys.count, sizeof(*seen));
    if (config) config->arena_ = calloc(1, sizeof(struct bump));
    if (!config || !config->arena_ || !seen) FAIL(ERR_INTERNAL, "out of memory to read %s", name);
    struct reading reading = {config, config->arena_, name, seen};
    TRY(read_defaults(&reading));
    TRY(read_file(&reading, text));
    TRY(finish(&reading));
    *ret = TAKE_PTR(config);
    return ERR_OK;
}

err_t config_load(const char *path, struct config **ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    TRYC(file_read(path, CONFIG_MAX, &text), "configuration (-c FILE)");
    return config_parse(buf_span(&text), path, ret);
}

void config_free(struct config *c)
{
    if (!c) return;
    if (c->arena_) bump_free(c->arena_);
    free(c->arena_);
    free(c);
}
