#include "broker/cmd/broker.h"

#include "broker/api/policy_lint.h"

#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/jose/key_source.h"

#include <string.h>

static const char *or_null(const char *text)
{
    return text && text[0] ? text : NULL;
}

/* The lock is taken before the login: on SoftHSM each C_Login rewrites a file of the token, which
 * a broker that serves it must not be disturbed by (tokens.md 2.2). */
struct locking {
    const struct config *config;
    const char *who;
    struct broker *broker;
};

static bool is_reader(const struct config *c)
{
    return strcmp(c->token_role, "reader") == 0;
}

static err_t lock_token(void *arg, const char *serial)
{
    const struct locking *l = arg;
    if (is_reader(l->config)) return ERR_OK;
    return writer_lock_take(l->config->run_dir, serial, l->who, &l->broker->lock);
}

static bool wants_helper(const struct config *c)
{
    if (c->token_isolation != CONFIG_ISOLATION_AUTO)
        return c->token_isolation == CONFIG_ISOLATION_HELPER;
    return !p11_uses_softhsm(or_null(c->token_module), c->token_uri);
}

/* A call that may take so long is no hang. A helper that is ended costs a login and a scan: never sooner than
 * by default. */
static unsigned hang_ms(const struct config *c)
{
    unsigned ms = c->token_object_ms > c->token_crypto_ms ? c->token_object_ms : c->token_crypto_ms;
    return ms > WALL_HANG_MS ? ms : WALL_HANG_MS;
}

/* Envelopes lie there when the token keeps none, or when the configuration says so. */
static err_t open_directory(const struct config *c, struct broker *b)
{
    _cleanup_free_ char *fallback = NULL;
    TRY(path_join(c->state_dir, "envelopes", &fallback));
    const char *path = or_null(c->storage_directory);
    struct directory_config config = {.path = path ? path : fallback, .writable = !is_reader(c)};
    return directory_new(&config, &b->directory);
}

static err_t open_token(const struct config *c, const char *who, struct broker *b)
{
    static const enum p11_place places[] = {
        [CONFIG_STORAGE_AUTO] = P11_PLACE_AUTO, [CONFIG_STORAGE_TOKEN] = P11_PLACE_TOKEN,
        [CONFIG_STORAGE_DIRECTORY] = P11_PLACE_BESIDE,
    };
    struct locking locking = {c, who, b};
    struct p11_helper helper = {
        .network = c->token_helper_network, .memory_locked = c->memory_locked_bytes,
        .best_effort = c->memory_best_effort, .hang_ms = hang_ms(c),
    };
    TRY(file_make_dirs(c->state_dir, 0700));
    TRY(open_directory(c, b));
    struct p11_config config = {
        .module = or_null(c->token_module), .init_args = or_null(c->token_init_args),
        .token_uri = c->token_uri,
        .pin_source = or_null(c->token_pin_source), .state_dir = c->state_dir,
        .max_sessions = c->token_sessions, .cek_cache = c->token_cek_cache,
        .serialize_all = c->token_serialize_all,
        .helper = wants_helper(c) ? &helper : NULL, .found = lock_token, .found_arg = &locking,
        .place = places[c->storage_place], .beside = directory_beside(b->directory),
    };
    return p11_open(&config, &b->token);
}

/* A quarter more than sessions: what a job does beside its call would leave its session idle. More would only
 * wait for each other. */
static unsigned workers_for(unsigned sessions)
{
    unsigned workers = sessions + (sessions + 3) / 4;
    return workers < P11_WORKERS_MAX ? workers : P11_WORKERS_MAX;
}

/* Where calls wait for each other no event loop makes any: it would wait, too. */
static err_t open_jobs(const struct config *c, bool offline, struct broker *b)
{
    bool automatic = c->token_workers == CONFIG_AUTO;
    struct token_pool_config config = {
        .workers = offline ? 0 : automatic ? workers_for(p11_sessions(b->token)) : c->token_workers,
        .adaptive = automatic && !c->token_serialize_all, .queue_max = P11_JOB_QUEUE_MAX,
        .crypto_ms = c->token_crypto_ms, .object_ms = c->token_object_ms,
        .hang_ms = c->token_hang_ms,
    };
    return job_pool_new_token(&config, &b->jobs);
}

static err_t open_wrap_key(const struct config *c, struct broker *b)
{
    struct p11_pair_config config = {.label = c->token_wrap_key_label, .type = P11_PAIR_RSA,
                                     .oaep_sha1 = c->token_wrap_key_sha1};
    return p11_pair_new(b->token, &config, &b->wrap_key);
}

static err_t open_store(const struct config *c, bool offline, struct broker *b)
{
    struct store_config config = {
        .token = b->token, .keep_versions = c->storage_keep_versions,
        .keep_policies = c->policy_keep_versions,
        .cache_bytes = c->storage_cache_bytes, .writable = b->lock != NULL,
        .writer = or_null(c->token_writer), .value_max = c->http_max_body, .watch = !offline,
        .state_dir = c->state_dir,
    };
    return store_open(&config, &b->store);
}

/* The signing key on the token, and its public half as PEM: found and tried now, so that a broker
 * with a key that cannot sign does not start. */
static err_t open_signer(const struct config *c, struct broker *b, struct buf *ret_pem)
{
    _cleanup_free_ char *label = NULL;
    const char *uri = c->attestation_signer_uri;
    TRYC(p11_pair_uri_label(b->token, uri, &label), "signer.key_uri %s", uri);
    struct p11_pair_config config = {.label = label, .type = P11_PAIR_EC_P256};
    TRY(p11_pair_new(b->token, &config, &b->signer));
    TRYC(p11_pair_public(b->signer, ret_pem), "signer.key_uri %s", uri);
    return ERR_OK;
}

_Static_assert(JWS_ES256_DIGEST == P11_PAIR_DIGEST && JWS_ES256_SIGNATURE == P11_PAIR_SIGNATURE,
               "both speak of ES256");

static err_t sign_on_token(void *context, const uint8_t digest[JWS_ES256_DIGEST],
                           uint8_t ret_signature[JWS_ES256_SIGNATURE])
{
    return p11_pair_sign(context, digest, ret_signature);
}

/* Commands of their own ask it too: operators' policies and reference values belong there. */
static err_t open_service(const struct config *c, bool offline, struct broker *b)
{
    struct as_config config = {
        .kind = c->attestation_verifier == CONFIG_VERIFIER_GRPC ? AS_GRPC : AS_REST,
        .url = c->attestation_as_addr, .pool_size = c->attestation_pool_size,
        .call_seconds = c->attestation_call_seconds, .ca_file = or_null(c->attestation_as_ca),
        .client_cert = or_null(c->attestation_as_client_cert),
        .client_key = or_null(c->attestation_as_client_key),
    };
    if (c->attestation_verifier < CONFIG_VERIFIER_GRPC) return ERR_OK;
    TRY(as_service_new(&config, &b->service));
    return job_pool_new(offline ? 0 : config.pool_size, AS_QUEUE_MAX, &b->service_jobs);
}

static err_t open_attest(const struct config *c, bool offline, struct broker *b)
{
    struct attest_signer signer = {.by = {.sign = sign_on_token}, .name = c->attestation_signer_uri};
    _cleanup_buf_ struct buf pem = BUF_INIT;
    struct attest_config config = {
        .sample_verifier = c->attestation_verifier == CONFIG_VERIFIER_SAMPLE, .service = b->service,
        .allow_rsa1_5 = c->attestation_allow_rsa1_5,
        .session_seconds = c->attestation_session_seconds,
        .session_max = c->attestation_session_max,
        .token_seconds = c->attestation_token_seconds,
        .issuer = c->attestation_issuer,
        .signer_key_file = or_null(c->attestation_signer_key),
        .signer_chain_file = or_null(c->attestation_signer_chain),
        .trusted_certs = (const char *const *) c->token_trusted_certs,
        .trusted_cert_count = c->token_trusted_cert_count,
        .trusted_jwk_sets = (const char *const *) c->token_trusted_jwk_sets,
        .trusted_jwk_set_count = c->token_trusted_jwk_set_count,
        .jwk_sets_ca_file = or_null(c->token_jwk_sets_ca),
        .issuers = (const char *const *) c->token_issuers,
        .issuer_count = c->token_issuer_count,
        .audiences = (const char *const *) c->token_audiences,
        .audience_count = c->token_audience_count,
        .extra_teekey_paths = (const char *const *) c->token_extra_teekey_paths,
        .extra_teekey_path_count = c->token_extra_teekey_path_count,
        .insecure_header_jwk = c->token_insecure_header_jwk,
    };
    if (offline) return ERR_OK;
    if (c->attestation_signer_uri) {
        TRY(open_signer(c, b, &pem));
        signer.by.context = b->signer;
        signer.public_pem = buf_span(&pem);
        config.signer = &signer;
    }
    return attest_new(&config, &b->attest);
}

static err_t open_admin(const struct config *c, bool offline, struct broker *b)
{
    struct admin_config config = {
        .mode = c->admin_mode,
        .providers = c->admin_providers, .provider_count = c->admin_provider_count,
        .acls = c->admin_acls, .acl_count = c->admin_acl_count,
    };
    if (offline) return ERR_OK;
    return admin_new(&config, &b->admin);
}

/* Sources of keys that do not answer stop nobody: their log lines and /readyz say what is missing. */
static void await_keys(struct broker *b)
{
    uint64_t end = clock_mono_ns() + KEY_START_MS * (CLOCK_SECOND_NS / 1000);
    if (b->admin) key_sources_wait(admin_keys(b->admin), end);
    if (b->attest) key_sources_wait(attest_keys(b->attest), end);
}

static err_t open_audit(const struct config *c, struct broker *b)
{
    enum audit_sync sync = AUDIT_SYNC_BATCH;
    if (!audit_sync_from(c->audit_sync, &sync))
        FAIL(ERR_USAGE, "audit.sync is none, batch or each");
    return audit_open(or_null(c->audit_file), sync, p11_serial(b->token), &b->audit);
}

/* A signing key on the token must sign what its chain says, so who is believed cannot be told without it. */
static err_t open_beside_token(const struct config *c, bool offline, struct broker *b)
{
    TRY(open_admin(c, offline, b));
    TRY(open_service(c, offline, b));
    return c->attestation_signer_uri ? ERR_OK : open_attest(c, offline, b);
}

static err_t open_all(const struct config *c, const char *who, bool offline, struct broker *b)
{
    TRY(secret_init(c->memory_locked_bytes, c->memory_best_effort, false));
    TRY(open_beside_token(c, offline, b)); /* first: a wrong key file should cost no login */
    TRY(open_token(c, who, b));
    if (c->attestation_signer_uri) TRY(open_attest(c, offline, b));
    await_keys(b); /* they were asked meanwhile */
    TRY(open_wrap_key(c, b));
    TRY(open_audit(c, b));
    TRY(open_jobs(c, offline, b)); /* before the store: from here on calls have deadlines */
    TRY(open_store(c, offline, b));
    struct api_config api = {
        .token = b->token, .wrap_key = b->wrap_key, .store = b->store, .attest = b->attest, .admin = b->admin,
        .audit = b->audit, .jobs = b->jobs, .service = b->service,
        .service_jobs = b->service_jobs, .value_max = c->http_max_body,
        .reference_statuses = c->http_statuses_401, .command = offline, .lint = policy_lint,
        .upkeep = c->attestation_verifier == CONFIG_VERIFIER_NONE ? &attest_upkeep_nowhere : NULL,
    };
    return api_new(&api, &b->api);
}

struct err broker_open(const struct config *config, const char *who, bool offline,
                       struct broker *ret)
{
    struct broker b = {0};
    struct err e = open_all(config, who, offline, &b);
    if (!err_ok(e)) {
        struct err_chain chain; /* closing logs and may overwrite what went wrong */
        err_save(e, &chain);
        broker_close(&b);
        return err_load(&chain);
    }
    *ret = b;
    return ERR_OK;
}

/* What is left out of the configuration the token's URI may name; the start looks there. */
static err_t check_token_files(const struct config *c)
{
    const char *module = or_null(c->token_module), *pin_source = or_null(c->token_pin_source);
    if (module) TRYC(p11_module_check(module), "token.module");
    if (pin_source) TRYC(p11_pin_check(pin_source), "token.pin_source");
    return ERR_OK;
}

struct err broker_check(const struct config *config)
{
    struct broker b = {0};
    struct err e = secret_init(config->memory_locked_bytes, true, false);
    if (err_ok(e)) e = open_beside_token(config, false, &b);
    if (err_ok(e)) e = check_token_files(config);
    struct err_chain chain; /* closing logs */
    if (!err_ok(e)) err_save(e, &chain);
    broker_close(&b);
    return err_ok(e) ? ERR_OK : err_load(&chain);
}

void broker_refresh_keys(struct broker *b)
{
    key_sources_refresh(admin_keys(b->admin));
    key_sources_refresh(attest_keys(b->attest));
}

void broker_stop(struct broker *b)
{
    struct broker left = {.audit = b->audit, .lock = b->lock};
    job_pool_free(b->service_jobs);
    job_pool_free(b->jobs);
    api_free(b->api);
    if (b->store) store_close(b->store);
    if (b->admin) admin_free(b->admin);
    if (b->attest) attest_free(b->attest);
    p11_pair_free(b->wrap_key);
    p11_pair_free(b->signer);
    as_service_free(b->service);
    p11_close(b->token);
    directory_free(b->directory);
    *b = left;
}

void broker_close(struct broker *b)
{
    broker_stop(b);
    audit_close(b->audit);
    if (b->lock) writer_lock_release(b->lock); /* last: nobody writes while we still might */
    *b = (struct broker){0};
}
