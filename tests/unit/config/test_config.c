#include "broker/config/config.h"

#include "broker/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct world {
    struct config *config;
    struct buf text;
    char dir[64], file[96];
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct world));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    config_free(w->config);
    buf_free(&w->text);
    if (w->file[0]) unlink(w->file);
    if (w->dir[0]) rmdir(w->dir);
    free(w);
    return 0;
}

static const struct config *parsed(struct world *w, const char *text)
{
    config_free(w->config);
    w->config = NULL;
    struct err e = config_parse(span_str(text), "s.yaml", &w->config);
    if (!err_ok(e)) fail_msg("%s\n-> %s", text, err_text(e));
    return w->config;
}

static void test_config_parse__defaults_are_the_named_limits(void **state)
{
    const struct config *c = parsed(*state, "");
    assert_int_equal(c->http_max_body, VALUE_MAX);
    assert_int_equal(c->http_max_connections, HTTP_MAX_CONNECTIONS);
    assert_int_equal(c->http_head_seconds, HTTP_HEAD_SECONDS);
    assert_int_equal(c->http_head_bytes, HTTP_HEAD_BYTES);
    assert_int_equal(c->http_body_seconds, HTTP_BODY_SECONDS);
    assert_int_equal(c->http_idle_seconds, HTTP_IDLE_SECONDS);
    assert_int_equal(c->http_request_seconds, HTTP_REQUEST_SECONDS);
    assert_int_equal(c->token_sessions, P11_SESSIONS_DEFAULT);
    assert_int_equal(c->token_cek_cache, CEK_CACHE_DEFAULT);
    assert_int_equal(c->storage_cache_bytes, STORE_CACHE_DEFAULT);
    assert_int_equal(c->policy_keep_versions, 10);
    assert_int_equal(c->attestation_session_seconds, SESSION_SECONDS);
    assert_int_equal(c->attestation_pool_size, AS_POOL_DEFAULT);
    assert_int_equal(c->attestation_call_seconds, AS_CALL_SECONDS);
    assert_int_equal(c->attestation_session_max, SESSION_MAX);
    assert_int_equal(c->memory_locked_bytes, SECRET_BUDGET_DEFAULT);
}

static void test_config_parse__defaults_are_safe(void **state)
{
    const struct config *c = parsed(*state, "# nothing\n");
    assert_int_equal(c->admin_mode, ADMIN_DENY_ALL);
    assert_int_equal(c->attestation_verifier, CONFIG_VERIFIER_NONE);
    assert_false(c->token_insecure_header_jwk);
    assert_false(c->attestation_allow_rsa1_5);
    assert_false(c->memory_best_effort);
    assert_false(c->http_statuses_401);
    assert_string_equal(c->http_sockets[0], "127.0.0.1:8080");
    assert_string_equal(c->audit_sync, "none");
    assert_string_equal(c->audit_file, "/var/log/strongroom/audit.jsonl");
    assert_string_equal(c->state_dir, "/var/lib/strongroom");
    assert_string_equal(c->run_dir, "/run/strongroom");
    assert_string_equal(c->token_role, "writer");
    assert_null(c->attestation_signer_key);
    assert_null(c->attestation_signer_uri);
    assert_string_equal(c->token_wrap_key_label, "strongroom-wrap-key");
    assert_false(c->token_wrap_key_sha1);
    assert_int_equal(c->log_level, LOG_LEVEL_INFO);
}

static void test_config_parse__whole_file(void **state)
{
    const struct config *c = parsed(*state,
        "http_server:\n  sockets: [\"0.0.0.0:80\", \"[::1]:0\"]\n  probe_sockets: [\"[::]:81\"]\n  statuses: reference\n"
        "  payload_request_size: 1\n"
        "token:\n  module: /m.so\n  serialize_all: true\n  hang_deadline: 90\n  init_args: \"a='b' c=\"\n  uri: pkcs11:serial=12\n  pin_source: credential:pin\n"
        "  role: reader\n  writer: vault-1\n"
        "storage: {keep_versions: 3, cache: 1GiB, place: directory, directory: /e}\n"
        "policy: {keep_versions: 20}\n"
        "attestation_service:\n  verifier: sample\n  timeout: 10\n"
        "  attestation_token_broker:\n    duration_min: 7\n    issuer_name: me\n"
        "    signer: {key_path: /k.pem, cert_path: /c.pem}\n"
        "attestation_token:\n  trusted_certs_paths: [/a, /b]\n"
        "  trusted_jwk_sets: [\"file:///jwks\", \"https://as.example/jwks.json\"]\n"
        "  jwk_sets_ca: file:///ca.pem\n  issuers: [a, b]\n  audiences: [kbs]\n"
        "  extra_teekey_paths: [/x/y]\n"
        "  insecure_header_jwk: true\n"
        "admin:\n  authorization_mode: AuthenticatedAuthorization\n"
        "  authentication:\n    bearer_jwt:\n      identity_providers:\n"
        "        - {issuer: i, audience: KBS, public_key_uri: \"file:///p.pem\"}\n"
        "        - public_key_uri: /q.pem\n          default_role: admin\n"
        "  authorization:\n    regex_acl:\n      acls:\n"
        "        - {role: admin, allowed_endpoints: \"^/kbs/v0/.*$\", methods: \"GET\"}\n"
        "audit: {file: \"\", sync: each}\n"
        "process: {log_level: debug, memory_lock: best-effort, memory_locked: 16MiB}\n");
    assert_int_equal(c->http_socket_count, 2);
    assert_string_equal(c->http_sockets[1], "[::1]:0");
    assert_int_equal(c->http_probe_socket_count, 1);
    assert_string_equal(c->http_probe_sockets[0], "[::]:81");
    assert_true(c->http_statuses_401);
    assert_int_equal(c->http_max_body, 1 << 20);
    assert_string_equal(c->token_uri, "pkcs11:serial=12");
    assert_string_equal(c->token_role, "reader");
    assert_string_equal(c->token_writer, "vault-1");
    assert_string_equal(c->token_init_args, "a='b' c=");
    assert_true(c->token_serialize_all);
    assert_int_equal(c->token_hang_ms, 90000);
    assert_int_equal(c->storage_keep_versions, 3);
    assert_int_equal(c->storage_place, CONFIG_STORAGE_DIRECTORY);
    assert_string_equal(c->storage_directory, "/e");
    assert_int_equal(c->storage_cache_bytes, 1 << 30);
    assert_int_equal(c->policy_keep_versions, 20);
    assert_int_equal(c->attestation_verifier, CONFIG_VERIFIER_SAMPLE);
    assert_int_equal(c->attestation_session_seconds, 600);
    assert_int_equal(c->attestation_token_seconds, 420);
    assert_string_equal(c->attestation_signer_chain, "/c.pem");
    assert_int_equal(c->token_trusted_cert_count, 2);
    assert_string_equal(c->token_trusted_jwk_sets[0], "/jwks");
    assert_string_equal(c->token_trusted_jwk_sets[1], "https://as.example/jwks.json");
    assert_string_equal(c->token_jwk_sets_ca, "/ca.pem");
    assert_int_equal(c->token_issuer_count, 2);
    assert_string_equal(c->token_issuers[1], "b");
    assert_int_equal(c->token_audience_count, 1);
    assert_true(c->token_insecure_header_jwk);
    assert_int_equal(c->admin_mode, ADMIN_AUTHENTICATED);
    assert_int_equal(c->admin_provider_count, 2);
    assert_string_equal(c->admin_providers[0].public_key_uri, "/p.pem");
    assert_null(c->admin_providers[0].default_role);
    assert_null(c->admin_providers[1].issuer);
    assert_string_equal(c->admin_providers[1].default_role, "admin");
    assert_string_equal(c->admin_acls[0].methods, "GET");
    assert_string_equal(c->audit_file, "");
    assert_string_equal(c->audit_sync, "each");
    assert_true(c->memory_best_effort);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
}

static void test_config_parse__session_seconds_wins(void **state)
{
    const struct config *c = parsed(*state, "attestation_service: {timeout: 9, session_seconds: 2}");
    assert_int_equal(c->attestation_session_seconds, 2);
}

/* An explicit key, then the URI, then the default. */
static void test_config_parse__what_the_uri_names(void **state)
{
    const struct config *c = parsed(*state, "token: {uri: \"pkcs11:token=a?module-path=/m.so\"}");
    assert_null(c->token_module);
    assert_non_null(c->token_pin_source);
    c = parsed(*state, "token: {uri: \"pkcs11:token=a?pin-source=file:/p\", module: /n.so}");
    assert_string_equal(c->token_module, "/n.so");
    assert_null(c->token_pin_source);
    c = parsed(*state, "token:\n  uri: \"pkcs11:token=a?pin-source=file:/p\"\n  pin_source: prompt");
    assert_string_equal(c->token_pin_source, "prompt");
}

static void test_config_parse__tls(void **state)
{
    const struct config *c = parsed(*state, "");
    assert_null(c->http_tls.certificate);
    assert_null(c->http_tls.private_key);
    assert_int_equal(c->http_tls.client_ca_count, 0);
    assert_int_equal(c->http_tls.profile, TLS_INTERMEDIATE);
    assert_int_equal(c->http_tls.min_version, TLS_1_2);
    assert_int_equal(c->http_tls.max_version, TLS_1_3);
    assert_false(c->http_insecure);
    assert_int_equal(c->http_handshake_seconds, HTTP_HANDSHAKE_SECONDS);
    c = parsed(*state, "http_server: {insecure_http: true, sockets: [\"0.0.0.0:80\"]}");
    assert_true(c->http_insecure);
    c = parsed(*state, "http_server:\n  certificate: /c\n  private_key: file:///k\n"
                       "  insecure_http: false\n  admin_client_ca: [/a, /b]\n"
                       "  tls_profile: custom\n  tls_priority: SECURE192\n"
                       "  tls_min_version: 1.3\n  tls_max_version: \"1.3\"\n");
    assert_string_equal(c->http_tls.certificate, "/c");
    assert_string_equal(c->http_tls.private_key, "/k");
    assert_int_equal(c->http_tls.client_ca_count, 2);
    assert_string_equal(c->http_tls.client_cas[1], "/b");
    assert_int_equal(c->http_tls.profile, TLS_CUSTOM);
    assert_string_equal(c->http_tls.priority, "SECURE192");
    assert_int_equal(c->http_tls.min_version, TLS_1_3);
}

#define TRUST "attestation_token: {trusted_certs_paths: [/c]}\n"

static void test_config_parse__attestation_service(void **state)
{
    static const struct { const char *name; enum config_verifier verifier; } rows[] = {
        {"grpc", CONFIG_VERIFIER_GRPC}, {"coco_as_grpc", CONFIG_VERIFIER_GRPC},
        {"CoCoASGrpc", CONFIG_VERIFIER_GRPC}, {"rest", CONFIG_VERIFIER_REST},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[400];
        snprintf(text, sizeof text, TRUST "attestation_service: {verifier: %s, as_addr: \"https://h:1/x\", "
                 "pool_size: 128, call_timeout: 49, as_ca_cert: /ca, as_client_cert: /c, as_client_key: "
                 "\"file:///k\"}", rows[i].name);
        const struct config *c = parsed(*state, text);
        assert_int_equal(c->attestation_verifier, rows[i].verifier);
        assert_string_equal(c->attestation_as_addr, "https://h:1/x");
        assert_int_equal(c->attestation_pool_size, AS_POOL_MAX);
        assert_int_equal(c->attestation_call_seconds, 49);
        assert_string_equal(c->attestation_as_ca, "/ca");
        assert_string_equal(c->attestation_as_client_cert, "/c");
        assert_string_equal(c->attestation_as_client_key, "/k");
    }
}

static const struct { const char *text, *sentence; } refused[] = {
    {"tocken: {}", "s.yaml:1:1: unknown key `tocken`; did you mean `token`?"},
    {"token:\n  urri: x", "s.yaml:2:3: unknown key `urri`; did you mean `uri`?"},
    {"token: {pin: 123456}", "s.yaml:1:9: a PIN never stands in this file"},
    {"token: {uri: \"pkcs11:token=a?pin-value=123456\"}", "a PIN never stands in this file"},
    {"token: {pin_source: 123456}", "the PIN itself never stands in this file"},
    {"http_server: {tls_ciphers: \"HIGH\"}", "tls_profile"},
    {"http_server: {tls_groups: [X25519]}", "tls_priority"},
    {"http_server: {certificate: /c}", "s.yaml:1:28: certificate needs its private_key"},
    {"http_server: {private_key: /k}", "private_key needs its certificate"},
    {"http_server: {private_key: /k, certificate: null}", "private_key needs its certificate"},
    {"http_server:\n  private_key: /k\n  certificate: /c\n  insecure_http: true",
     "s.yaml:4:18: insecure_http: true means plain HTTP"},
    {"http_server: {admin_client_ca: [/a]}", "admin_client_ca needs HTTPS"},
    {"http_server: {private_key: /k, certificate: /c, admin_client_ca: [a]}", "an absolute path"},
    {"http_server: {tls_profile: custom}", "needs tls_priority"},
    {"http_server: {tls_priority: NORMAL}", "needs tls_profile: custom"},
    {"http_server: {tls_min_version: 1.3, tls_max_version: 1.2}", "is above tls_max_version"},
    {"http_server: {tls_min_version: 1.1}", "takes one of 1.2, 1.3"},
    {"http_server: {tls_profile: ancient}", "takes one of intermediate, old, modern, custom"},
    {"http_server: {tls_handshake_timeout: 0}", "takes 1 to 86400 seconds"},
    {"http_server: {payload_request_size: 3}", "takes 1 to 2 MiB"},
    {"http_server: {sockets: [], admin_socket: \"\"}", "s.yaml:1:24: nothing to listen on"},
    {"token: {role: writr}", "takes one of writer, reader"},
    {"attestation_service:\n  attestation_token_broker: {signer: {cert_path: /c}}",
     "cert_path is the chain of key_path"},
    {"attestation_service:\n  attestation_token_broker: {signer: {key_uri: \"pkcs11:object=k\"}}",
     "key_uri needs cert_path"},
    {"attestation_service:\n  attestation_token_broker:\n    signer: {key_uri: \"pkcs11:object=k\", "
     "key_path: /k, cert_path: /c}", "key_uri and key_path exclude each other"},
    {"attestation_service:\n  attestation_token_broker: {signer: {key_uri: /k, cert_path: /c}}",
     "pkcs11:object=NAME;type=private"},
    {"token: {wrap_key_oaep: md5}", "takes one of sha256, sha1"},
    {"token: {wrap_key_label: \"\"}", "wrap_key_label"},
    {"token: {rsa_mechanism: RsaPkcsOaep}", "say token.wrap_key_oaep"},
    {"admin: {authorization_mode: AuthenticatedAuthorization}",
     "s.yaml:1:29: AuthenticatedAuthorization needs an entry"},
    {"admin:\n  authentication:\n    bearer_jwt:\n      identity_providers:\n"
     "        - public_key_uri: http://idp/key.pem\n",
     "s.yaml:5:27: `public_key_uri` must be https://"},
    {"admin: {authentication: {bearer_jwt: {identity_providers: [{jwk_set_uri: /x}, "
     "{issuer: x}]}}}", "s.yaml:1:79: this entry of `admin.authentication.bearer_jwt."
                        "identity_providers` needs `public_key_uri` or `jwk_set_uri`"},
    {"admin: {authentication: {bearer_jwt: {identity_providers: [{public_key_uri: null, "
     "jwk_set_uri: null}]}}}", "needs `public_key_uri` or `jwk_set_uri`"},
    {"attestation_token: {trusted_jwk_sets: [\"https://a\", \"ftp://b\"]}",
     "`attestation_token.trusted_jwk_sets` takes an absolute path, a file:// URI or an https://"},
    {"admin: {type: Simple}", "say admin.authorization_mode"},
    {"admin: {authorization: {regex_acl: {acls: [{role: x}]}}}", "needs `allowed_endpoints`"},
    {"attestation_token: {trusted_certs_paths: [ca.pem]}", "takes an absolute path"},
    {"attestation_service: {verifier: grpc}", "s.yaml:1:33: an attestation service needs its signer"},
    {"attestation_service: {verifier: rest, call_timeout: 50}\n" TRUST,
     "s.yaml:1:53: attestation_service.call_timeout and 10 seconds"},
    {"http_server: {request_timeout: 40}\nattestation_service: {verifier: rest}\n" TRUST,
     "s.yaml:1:32: attestation_service.call_timeout"},
    {"attestation_service: {verifier: rest, as_addr: \"https://h\", as_client_key: /k}\n" TRUST,
     "s.yaml:1:76: as_client_cert and as_client_key go together"},
    {"attestation_service: {verifier: rest, as_ca_cert: /c}\n" TRUST,
     "s.yaml:1:51: certificates are for https://"},
    {"attestation_service: {as_addr: \"http://user:123456@h\"}", "takes a URL of http:// or https://"},
    {"attestation_service: {as_addr: \"http://h/?x\"}", "takes a URL of http:// or https://"},
    {"attestation_service: {pool_size: 129}", "takes 1 to 128"},
    {"attestation_service: {call_timeout: 301}", "takes 1 to 300 seconds"},
    {"plugins: []", "resources lie on the token"},
    {"token: &t {}\n", "anchors and aliases"},
};

static void test_config_parse__refused(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct err e = config_parse(span_str(refused[i].text), "s.yaml", &w->config);
        if (err_ok(e)) fail_msg("accepted: %s", refused[i].text);
        assert_int_equal(e.code, ERR_USAGE);
        assert_null(w->config);
        if (!strstr(err_reason(e), refused[i].sentence))
            fail_msg("%s\n-> %s\nwanted: %s", refused[i].text, err_reason(e), refused[i].sentence);
        assert_null(strstr(err_text(e), "123456"));
    }
}

static void test_config_parse__length(void **state)
{
    struct world *w = *state;
    for (unsigned over = 0; over < 2; over++) {
        buf_reset(&w->text);
        uint8_t *space = buf_extend(&w->text, CONFIG_MAX + over);
        assert_non_null(space);
        memset(space, '\n', CONFIG_MAX + over);
        config_free(w->config);
        w->config = NULL;
        struct err e = config_parse(buf_span(&w->text), "s.yaml", &w->config);
        assert_int_equal(e.code, over ? ERR_TOOLARGE : ERR_NONE);
    }
}

static void test_config_load__file(void **state)
{
    struct world *w = *state;
    const char *tmp = getenv("TMPDIR");
    snprintf(w->dir, sizeof(w->dir), "%s/config-test-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->file, sizeof(w->file), "%s/c.yaml", w->dir);
    struct err e = config_load(w->file, &w->config);
    assert_int_equal(e.code, ERR_NOTFOUND);
    FILE *f = fopen(w->file, "w");
    assert_non_null(f);
    fputs("storage:\n  keep_versions: 5\n", f);
    fclose(f);
    assert_true(err_ok(config_load(w->file, &w->config)));
    assert_int_equal(w->config->storage_keep_versions, 5);
}

static void test_config_load__directory(void **state)
{
    struct world *w = *state;
    struct err e = config_load("/", &w->config);
    assert_int_equal(e.code, ERR_USAGE);
}

/* The example that we ship must load, as it is. */
static void test_config_load__shipped_example(void **state)
{
    struct world *w = *state;
    const char *source = getenv("STRONGROOM_SOURCE");
    buf_addf(&w->text, "%s/scripts/share/strongroom.yaml", source ? source : ".");
    struct err e = config_load(buf_str(&w->text), &w->config);
    if (!err_ok(e)) fail_msg("%s", err_text(e));
    assert_int_equal(w->config->admin_mode, ADMIN_AUTHENTICATED);
    assert_string_equal(w->config->token_pin_source, "credential:pin");
}

static void test_config_free__null(void **state)
{
    config_free(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config_parse__defaults_are_the_named_limits),
        TEST(test_config_parse__defaults_are_safe),
        TEST(test_config_parse__whole_file),
        TEST(test_config_parse__session_seconds_wins),
        TEST(test_config_parse__what_the_uri_names),
        TEST(test_config_parse__tls),
        TEST(test_config_parse__attestation_service),
        TEST(test_config_parse__refused),
        TEST(test_config_parse__length),
        TEST(test_config_load__file),
        TEST(test_config_load__directory),
        TEST(test_config_load__shipped_example),
        TEST(test_config_free__null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
