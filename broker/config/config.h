/* Configuration: one YAML file read against one table of keys.
 *
 * The table (config_keys.c) is the only place that knows a key: name, type, range, default and
 * documentation. Unknown keys are errors that give line, column and the nearest known key. The
 * reference in the manual is generated from the table. */
#pragma once

#include "broker/base/cleanup.h"
#include "broker/base/log.h"
#include "broker/base/operators.h"
#include "broker/base/tls_settings.h"

#include <limits.h>
#include <stdio.h>

/* Who verifies evidence; those from GRPC on are a service of their own. */
enum config_verifier {
    CONFIG_VERIFIER_NONE, CONFIG_VERIFIER_SAMPLE, CONFIG_VERIFIER_GRPC, CONFIG_VERIFIER_REST
};

/* Where the module runs. */
enum config_isolation { CONFIG_ISOLATION_AUTO, CONFIG_ISOLATION_HELPER, CONFIG_ISOLATION_NONE };

enum config_storage { CONFIG_STORAGE_AUTO, CONFIG_STORAGE_TOKEN, CONFIG_STORAGE_DIRECTORY };

#define CONFIG_AUTO UINT_MAX /* of a number: the program chooses */

/* All values, in the order of the sections. Strings are owned by the config; lists too. */
struct config {
    /* http */
    const char **http_sockets;          /* "127.0.0.1:8080" */
    size_t http_socket_count;
    const char **http_probe_sockets;    /* the same, for probes alone */
    size_t http_probe_socket_count;
    const char *http_admin_socket;      /* Unix socket path; "" for none */
    unsigned http_threads;              /* 0: one a core */
    unsigned http_max_connections;
    unsigned http_max_connections_per_ip; /* 0: no limit of its own */
    size_t http_max_body;               /* bytes */
    unsigned http_head_seconds, http_body_seconds, http_idle_seconds, http_request_seconds;
    struct tls_settings http_tls;
    unsigned http_handshake_seconds;
    bool http_insecure;                 /* plain HTTP is meant */
    bool http_statuses_401;             /* the reference's 401 for everything */
    /* token */
    const char *token_module, *token_init_args, *token_uri, *token_pin_source;
    enum config_isolation token_isolation;
    bool token_helper_network;
    unsigned token_sessions;
    bool token_serialize_all;
    unsigned token_workers;             /* 0: jobs run inline; CONFIG_AUTO */
    unsigned token_crypto_ms, token_object_ms, token_hang_ms;
    unsigned token_cek_cache;
    const char *token_role;             /* "writer" or "reader" */
    const char *token_writer;           /* who writes when we are reader; "" */
    const char *token_wrap_key_label;
    bool token_wrap_key_sha1;           /* OAEP with SHA-1 */
    /* storage */
    unsigned storage_keep_versions;
    enum config_storage storage_place;
    const char *storage_directory; /* "": beside the state */
    size_t storage_cache_bytes, http_head_bytes;
    unsigned storage_scrub_rate;
    unsigned storage_scrub_pause_seconds;
    /* policy */
    unsigned policy_keep_versions;
    /* attestation_service */
    enum config_verifier attestation_verifier;
    const char *attestation_as_addr;    /* URL */
    const char *attestation_as_ca, *attestation_as_client_cert, *attestation_as_client_key;
    unsigned attestation_pool_size, attestation_call_seconds;
    int64_t attestation_timeout_seconds; /* what `timeout` says; the next one is what holds */
    int64_t attestation_session_seconds;
    size_t attestation_session_max;
    int64_t attestation_token_seconds;
    const char *attestation_issuer, *attestation_signer_key, *attestation_signer_chain;
    const char *attestation_signer_uri; /* a key on the token instead of attestation_signer_key */
    bool attestation_allow_rsa1_5;
    /* attestation_token */
    const char **token_trusted_certs;   size_t token_trusted_cert_count;
    const char **token_trusted_jwk_sets; size_t token_trusted_jwk_set_count;
    const char *token_jwk_sets_ca;
    const char **token_issuers;         size_t token_issuer_count;
    const char **token_audiences;       size_t token_audience_count;
    const char **token_extra_teekey_paths; size_t token_extra_teekey_path_count;
    bool token_insecure_header_jwk;
    /* admin */
    enum admin_mode admin_mode;
    struct admin_provider *admin_providers; size_t admin_provider_count;
    struct admin_acl *admin_acls;           size_t admin_acl_count;
    /* audit */
    const char *audit_file;             /* "" for none */
    const char *audit_sync;
    /* process */
    const char *state_dir, *run_dir;
    size_t memory_locked_bytes;
    bool memory_best_effort;
    enum log_level log_level;
    void *arena_;                       /* of config.c: owns every string */
};

/* Defaults and the file. ERR_NOTFOUND, ERR_TOOLARGE, ERR_USAGE "FILE:LINE:COL: ..." for every
 * mistake in it (the first one). The caller frees. */
err_t config_load(const char *path, struct config **ret);
err_t config_parse(struct span text, const char *name, struct config **ret);
void config_free(struct config *c);
DEFINE_CLEANUP(struct config, config_free);

/* The reference of all keys: name, type, range, default, text. For `serve --print-defaults` (a
 * complete YAML file of the defaults, commented) and the manual. */
void config_print_defaults(FILE *out);
