/* From a KBS's configuration to ours: what is carried over, and what is named. */
#include "broker/config/kbs_convert.h"

#include "broker/config/config.h"
#include "tests/lib/test.h"

static struct kbs_conversion out;
static struct config *config;
static struct buf notes;

static int teardown(void **state)
{
    (void) state;
    kbs_conversion_done(&out);
    config_free(config);
    config = NULL;
    buf_free(&notes);
    return 0;
}

/* The result is read as serve reads it. */
static const char *converted(const char *name, const char *text)
{
    struct bump arena = {0};
    struct yaml_node *root = NULL;
    kbs_conversion_done(&out);
    config_free(config);
    config = NULL;
    buf_reset(&notes);
    assert_ok(kbs_config_parse(span_str(text), name, &arena, &root));
    assert_ok(kbs_convert(root, name, &out));
    bump_free(&arena);
    struct err e = config_parse(buf_span(&out.yaml), "out", &config);
    if (!err_ok(e)) fail_msg("%s\n%s", buf_str(&out.yaml), err_text(e));
    for (const struct kbs_note *n = out.notes; n; n = n->next)
        buf_addf(&notes, "%s %s: %s\n", n->left ? "left" : "note", n->path, n->sentence);
    return buf_str(&out.yaml);
}

static const char *toml(const char *text) { return converted("kbs.toml", text); }

#define assert_told(part)                                                                      \
    do {                                                                                       \
        if (!strstr(buf_str(&notes), (part)))                                                  \
            fail_msg("\"%s\" is not in:\n%s", (part), buf_str(&notes));                        \
    } while (0)

static void test_convert__same_keys(void **state)
{
    toml("[http_server]\nsockets = [\"0.0.0.0:8080\", \"[::1]:1\"]\npayload_request_size = 1\nworker_count = 3\n"
         "[admin]\nauthorization_mode = \"AuthenticatedAuthorization\"\n"
         "[admin.authentication.bearer_jwt]\nidentity_providers = [{issuer=\"i\", audience=\"a\", "
         "public_key_uri=\"file:///k.pem\"}]\n"
         "[admin.authorization.regex_acl]\nacls = [{role=\"admin\", allowed_endpoints=\"^/kbs/v0/.*$\"}]\n"
         "[attestation_token]\ntrusted_certs_paths = [\"/ca.pem\"]\ntrusted_jwk_sets = [\"file:///j\"]\n"
         "extra_teekey_paths = [\"/x\"]\ninsecure_header_jwk = true\n"
         "[attestation_service]\ntype = \"coco_as_builtin\"\ntimeout = 9\n"
         "[attestation_service.attestation_token_broker]\nduration_min = 7\nissuer_name = \"it's me\"\n"
         "[attestation_service.attestation_token_broker.signer]\nkey_path = \"/k\"\ncert_path = \"/c\"\n");
    assert_int_equal(config->http_socket_count, 2);
    assert_int_equal(config->http_max_body, 1 << 20);
    assert_int_equal(config->http_threads, 3);
    assert_int_equal(config->admin_mode, ADMIN_AUTHENTICATED);
    assert_int_equal(config->admin_provider_count, 1);
    assert_string_equal(config->admin_providers[0].issuer, "i");
    assert_non_null(strstr(buf_str(&out.yaml), "\"public_key_uri\": \"file:///k.pem\""));
    assert_string_equal(config->admin_acls[0].allowed_endpoints, "^/kbs/v0/.*$");
    assert_string_equal(config->token_trusted_certs[0], "/ca.pem");
    assert_string_equal(config->token_trusted_jwk_sets[0], "/j");
    assert_string_equal(config->token_extra_teekey_paths[0], "/x");
    assert_true(config->token_insecure_header_jwk);
    assert_int_equal(config->attestation_session_seconds, 9 * 60);
    assert_int_equal(config->attestation_token_seconds, 7 * 60);
    assert_string_equal(config->attestation_issuer, "it's me");
    assert_string_equal(config->attestation_signer_chain, "/c");
    assert_non_null(strstr(buf_str(&out.yaml), "verifier: \"none\""));
    assert_int_equal(out.left, 1); /* the verifier that is built in there */
    assert_told("left attestation_service.type: ");
}

static void test_convert__out_of_range_is_named(void **state)
{
    toml("[http_server]\nsockets = [\"localhost:8080\"]\npayload_request_size = 10\n"
         "[attestation_service]\ntimeout = -1\n[attestation_token]\ntrusted_certs_paths = [\"./ca.pem\", \"/b\"]\n");
    assert_told("left http_server.sockets[0]: ");
    assert_told("left http_server.payload_request_size: `http_server.payload_request_size` takes 1 to 2 MiB");
    assert_told("left attestation_service.timeout: ");
    assert_told("left attestation_token.trusted_certs_paths[0]: ");
    assert_int_equal(config->token_trusted_cert_count, 1);
    assert_int_equal(config->http_socket_count, 1);
    assert_string_equal(config->http_sockets[0], "127.0.0.1:8080"); /* the default */
}

static void test_convert__old_operators(void **state)
{
    toml("[admin]\ntype = \"Simple\"\n[[admin.personas]]\nid = \"alice\"\npublic_key_path = \"/a.pem\"\n"
         "[[admin.personas]]\nid = \"bob\"\npublic_key_path = \"/b.pem\"\n");
    assert_int_equal(config->admin_mode, ADMIN_AUTHENTICATED);
    assert_int_equal(config->admin_provider_count, 2);
    assert_string_equal(config->admin_providers[1].default_role, "bob");
    assert_non_null(strstr(buf_str(&out.yaml), "\"public_key_uri\":\"/b.pem\""));
    assert_string_equal(config->admin_acls[0].role, "alice");
    toml("[admin]\nauth_public_key = \"/a.pem\"\ninsecure_api = false\n");
    assert_int_equal(config->admin_mode, ADMIN_AUTHENTICATED);
    assert_string_equal(config->admin_providers[0].default_role, "admin");
    toml("sockets = [\"127.0.0.1:1\"]\nauth_public_key = \"/a.pem\"\ninsecure_http = true\n");
    assert_string_equal(config->http_sockets[0], "127.0.0.1:1");
    assert_int_equal(config->admin_provider_count, 1);
    toml("[admin]\ninsecure_api = true\n");
    assert_int_equal(config->admin_mode, ADMIN_INSECURE_ALLOW_ALL);
    toml("[admin]\ntype = \"DenyAll\"\n");
    assert_int_equal(config->admin_mode, ADMIN_DENY_ALL);
    toml("[admin]\ntype = \"Whatever\"\n");
    assert_told("left admin.type: ");
    assert_int_equal(config->admin_mode, ADMIN_DENY_ALL);
}

/* With roles, a persona may what the role of its id says, and nothing without one. */
static void test_convert__roles(void **state)
{
#define SIMPLE "[admin]\ntype = \"Simple\"\n[[admin.personas]]\nid = \"admin\"\npublic_key_path = \"/a.pem\"\n" \
               "[[admin.personas]]\nid = \"bob\"\npublic_key_path = \"/b.pem\"\n"
    toml(SIMPLE "[[admin.roles]]\nid = \"bob\"\nallowed_endpoints = \"^/kbs/v0/reference-value/[a-z]+$\"\n");
    assert_int_equal(config->admin_provider_count, 2);
    assert_int_equal(config->admin_acl_count, 1);
    assert_string_equal(config->admin_acls[0].role, "bob");
    assert_string_equal(config->admin_acls[0].allowed_endpoints, "^/kbs/v0/reference-value/[a-z]+$");
    assert_null(strstr(buf_str(&notes), "admin."));
    toml("[[admin.roles]]\nid = \"x\"\nallowed_endpoints = \"^/kbs/a$\"\n" SIMPLE); /* whichever comes first */
    assert_int_equal(config->admin_acl_count, 1);
    toml(SIMPLE "[[admin.roles]]\nid = \"bob\"\n"); /* without any entry here, "admin" might do everything */
    assert_told("left admin.roles[0]: ");
    assert_int_equal(config->admin_mode, ADMIN_DENY_ALL);
    assert_int_equal(config->admin_provider_count, 0);
    toml("[admin]\ntype = \"InsecureAllowAll\"\n[[admin.roles]]\nid = \"Anonymous\"\nallowed_endpoints = \"^/kbs/a$\"\n");
    assert_int_equal(config->admin_mode, ADMIN_DENY_ALL);
    assert_told("left admin.authorization_mode: roles restrict everybody");
    toml("[admin]\nroles = []\ntype = \"Simple\"\npersonas = [{id = \"a\", public_key_path = \"/a\"}]\n");
    assert_string_equal(config->admin_acls[0].allowed_endpoints, "^/kbs/v0/.*$");
#undef SIMPLE
}

/* Sections of their own for each service, and none for the server. */
static void test_convert__until_v0_10(void **state)
{
#define OLD "sockets = [\"127.0.0.1:1\"]\ntimeout = 6\nauth_public_key = \"/a.pem\"\n"
    toml(OLD "[attestation_token_config]\nattestation_token_type = \"CoCo\"\ntrusted_certs_paths = [\"/ca.pem\"]\n"
         "[grpc_config]\nas_addr = \"http://as:50004\"\n[policy_engine_config]\npolicy_path = \"/p\"\n"
         "[repository_config]\ntype = \"LocalFs\"\ndir_path = \"/r\"\n");
    assert_int_equal(config->attestation_verifier, CONFIG_VERIFIER_GRPC);
    assert_string_equal(config->attestation_as_addr, "http://as:50004");
    assert_string_equal(config->token_trusted_certs[0], "/ca.pem");
    assert_int_equal(config->attestation_session_seconds, 6 * 60);
    assert_int_equal(out.left, 0);
    toml(OLD "[as_config]\nwork_dir = \"/w\"\npolicy_engine = \"opa\"\nattestation_token_broker = \"Simple\"\n"
         "[as_config.attestation_token_config]\nduration_min = 9\n[as_config.rvps_config]\nstore_type = \"LocalFs\"\n");
    assert_int_equal(config->attestation_verifier, CONFIG_VERIFIER_NONE);
    assert_int_equal(config->attestation_token_seconds, 9 * 60);
    assert_told("left attestation_service.type: this broker verifies no evidence");
    assert_told("left as_config.rvps_config: ");
    toml(OLD "[intel_trust_authority_config]\napi_key = \"hunter2\"\n[repository_config]\ntype = \"Aliyun\"\n"
         "password = \"hunter2\"\n");
    assert_told("left intel_trust_authority_config: evidence is not sent to Intel");
    assert_told("left repository_config: resources are kept elsewhere");
    assert_null(strstr(buf_str(&notes), "hunter2"));
    assert_null(strstr(buf_str(&notes), "built in"));
#undef OLD
}

/* What only the whole shows has no place: the file that is written is longer. */
static void test_convert__the_whole_is_not_right(void **state)
{
    struct bump arena = {0};
    struct yaml_node *root = NULL;
    assert_ok(kbs_config_parse(SPAN_LIT("[attestation_service]\ntype = \"coco_as_grpc\"\n"), "k.toml", &arena, &root));
    assert_ok(kbs_convert(root, "k.toml", &out));
    bump_free(&arena);
    assert_non_null(strstr(buf_str(&out.yaml), "(all): the result is not right yet: an attestation"));
}

/* What a section's own row would hide. */
static void test_convert__below_sections(void **state)
{
    toml("[attestation_service]\ntype = \"coco_as_builtin\"\n[attestation_service.rvps_config]\n"
         "type = \"GrpcRemote\"\naddress = \"127.0.0.1:50003\"\n"
         "[attestation_service.attestation_token_config]\nduration_min = 7\n");
    assert_told("left attestation_service.rvps_config.address: reference values are not fetched");
    assert_int_equal(config->attestation_token_seconds, 7 * 60);
    toml("[attestation_service.rvps_config.storage]\ntype = \"LocalJson\"\nfile_path = \"/r.json\"\n");
    assert_told("left attestation_service.rvps_config.storage: ");
    toml("[[plugins]]\nname = \"resource\"\nbackend = \"Vault\"\n[[plugins]]\nname = \"resource\"\n"
         "backend = \"kvstorage\"\ntype = \"LocalFs\"\n");
    assert_told("left plugins[0]: resources are kept elsewhere");
    assert_told("note plugins[1]: ");
}

/* Fails closed: without a provider of ours nobody operates. */
static void test_convert__no_provider_left(void **state)
{
    toml("[admin]\nauthorization_mode = \"AuthenticatedAuthorization\"\n"
         "[admin.authentication.bearer_jwt]\nidentity_providers = [{issuer=\"i\"}, 5]\n");
    assert_int_equal(config->admin_mode, ADMIN_DENY_ALL);
    assert_told("left admin.authentication.bearer_jwt.identity_providers[0]: ");
    assert_told("left admin.authentication.bearer_jwt.identity_providers[1]: ");
    assert_told("left admin.authorization_mode: ");
    toml("[attestation_service.attestation_token_broker.signer]\ncert_path = \"/c\"\n");
    assert_told("signer.cert_path: it is the chain of a key_path");
    for (const char *const *p = (const char *const[]){"insecure_http = true\nprivate_key = \"/k\"\n",
             "certificate = \"/c\"\n", "private_key = \"/k\"\n", "tls_profile = \"custom\"\n", NULL}; *p; p++) {
        char text[120];
        snprintf(text, sizeof text, "[http_server]\n%s", *p);
        toml(text); /* what they say about each other is right, whatever is known of TLS */
        assert_null(strstr(buf_str(&notes), "(all)"));
    }
}

static void test_convert__secrets_stay_where_they_are(void **state)
{
    const char *text = toml(
        "[[plugins]]\nname = \"pkcs11\"\nmodule = \"/usr/lib/x.so\"\npin = \"hunter2\"\nslot_index = 1\n"
        "lookup_label = \"l\"\nrsa_mechanism = \"RsaPkcsOaep\"\nother = \"hunter2\"\n"
        "[[plugins]]\nname = \"resource\"\nstorage_backend_type = \"vault\"\ntoken = \"hunter2\"\n"
        "[[plugins]]\nname = \"hunter2\"\n"
        "[storage_backend]\nstorage_type = \"Postgres\"\n[storage_backend.backends.postgres]\npassword = \"hunter2\"\n"
        "[attestation_service]\ntype = \"intel_ta\"\napi_key = \"hunter2\"\nas_addr = \"http://u:hunter2@h\"\n"
        "[x]\npassword = \"hunter2\"\n");
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(buf_str(&notes), "hunter2"));
    assert_string_equal(config->token_module, "/usr/lib/x.so");
    for (const char *const *p = (const char *const[]){"plugins[0].pin: a PIN never", "plugins[0].slot_index",
             "plugins[0].other", "left plugins[1]: resources are kept elsewhere",
             "left plugins[2]: there is no such plugin", "note storage_backend", "attestation_service.api_key",
             "attestation_service.as_addr", "left x.password: ", NULL}; *p; p++)
        assert_told(*p);
}

/* The names of the KBS's mechanisms say OAEP with SHA-256 and OAEP with SHA-1 (kbs-api.md 8.3). */
static void test_convert__wrap_key(void **state)
{
#define PKCS11 "[[plugins]]\nname = \"pkcs11\"\n"
    toml(PKCS11 "lookup_label = \"my-wrap\"\nrsa_mechanism = \"RsaPkcsTest\"\n");
    assert_string_equal(config->token_wrap_key_label, "my-wrap");
    assert_true(config->token_wrap_key_sha1);
    assert_null(strstr(buf_str(&notes), "plugins[0]."));
    toml(PKCS11 "lookup_label = \"a: 'b'\"\nrsa_mechanism = \"RsaPkcsOaep\"\n");
    assert_string_equal(config->token_wrap_key_label, "a: 'b'");
    assert_false(config->token_wrap_key_sha1);
    assert_null(strstr(buf_str(&notes), "plugins[0]."));
    assert_non_null(strstr(buf_str(&out.yaml), "wrap_key_oaep: \"sha256\"")); /* said, not left to a default */
    toml(PKCS11 "lookup_label = \"\"\nrsa_mechanism = \"RsaPkcs\"\n");
    assert_string_equal(config->token_wrap_key_label, "strongroom-wrap-key"); /* the default */
    assert_told("left plugins[0].lookup_label: a key pair without a label");
    assert_told("left plugins[0].rsa_mechanism: no mechanism that a KBS has");
    toml(PKCS11 "lookup_label = [\"x\"]\nrsa_mechanism = {x = 1}\n");
    assert_told("left plugins[0].lookup_label[0]: ");
    assert_told("left plugins[0].rsa_mechanism: ");
#undef PKCS11
}

/* A key cannot break out of its comment. */
static void test_convert__hostile_keys(void **state)
{
    const char *text = toml("\"a\\nadmin: {authorization_mode: InsecureAllowAll}\" = 1\n"
                            "[http_server]\n\"x\\ny\" = {\"b: c\" = 1}\n");
    assert_non_null(strstr(text, "# NOT CARRIED OVER: a\\x0aadmin: {authorization_mode: "));
    assert_int_equal(config->admin_mode, ADMIN_DENY_ALL);
    converted("a\nb.json", "{}");
    assert_int_equal(out.left, 1);
    assert_non_null(strstr(buf_str(&out.yaml), "a\\x0ab.json."));
}

static void test_convert__beside_the_place(void **state)
{
    const char *text = converted("k.yaml", "http_server: {tls_ciphers: x, sockets: ['127.0.0.1:1']}\n"
                                 "attestation_service: {type: null, work_dir: /x}\nnew_thing: ~\n");
    const char *server = strstr(text, "\nhttp_server:\n"), *note = strstr(text, "http_server.tls_ciphers");
    assert_true(server && note && note > server && note < strstr(text, "sockets: "));
    assert_told("note attestation_service.work_dir");
    assert_null(strstr(buf_str(&notes), "new_thing"));
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_convert__same_keys),       TEST(test_convert__out_of_range_is_named),
        TEST(test_convert__old_operators),   TEST(test_convert__no_provider_left),
        TEST(test_convert__secrets_stay_where_they_are), TEST(test_convert__hostile_keys),
        TEST(test_convert__beside_the_place), TEST(test_convert__wrap_key),
        TEST(test_convert__the_whole_is_not_right), TEST(test_convert__roles), TEST(test_convert__until_v0_10), TEST(test_convert__below_sections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
