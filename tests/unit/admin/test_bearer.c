#include "broker/admin/bearer.h"
#include "tests/lib/key_looks.h"
#include "tests/lib/key_server.h"
#include "tests/unit/admin/kit.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define CANNOT "Admin access denied: Cannot verify token with any of the issuers"
#define NO_HEADER "Failed to parse HTTP Auth Bearer header"
#define NO_ROLE                                                                                \
    "Admin access denied: Failed to parse claims from token: Missing required `role` claim in JWT"

static EVP_PKEY *key, *other_key;
static char *file, *other_file;
static struct bearer *bearer;
static struct buf header;

static void start(const struct admin_provider *providers, size_t count)
{
    bearer_free(bearer);
    bearer = NULL;
    assert_ok(bearer_new(providers, count, &bearer));
}

static int setup(void **state)
{
    clock_test_set(NOON);
    key = other_key = NULL;
    assert_ok(key_generate_ec("P-256", &key));
    assert_ok(key_generate_ec("P-256", &other_key));
    file = public_file(key);
    other_file = public_file(other_key);
    struct admin_provider p = {.issuer = "issuer", .audience = "kbs", .public_key_uri = file};
    start(&p, 1);
    return 0;
}

static int teardown(void **state)
{
    bearer_free(bearer);
    bearer = NULL;
    public_file_remove(other_file);
    public_file_remove(file);
    EVP_PKEY_free(other_key);
    EVP_PKEY_free(key);
    buf_free(&header);
    clock_test_set(0);
    return 0;
}

static void identified(const char *authorization, const char *role, const char *subject)
{
    struct admin_principal p = {0};
    assert_ok(bearer_identify(bearer, authorization, &p));
    assert_string_equal(p.role, role);
    assert_string_equal(p.subject, subject);
}

static void refused(const char *authorization, const char *reason)
{
    struct admin_principal p = {0};
    struct err e = bearer_identify(bearer, authorization, &p);
    assert_int_equal(e.code, ERR_AUTH);
    assert_string_equal(err_reason(e), reason);
    assert_string_equal(p.role, "");
}

/* The claims of a good token, with "X" replaced by what a row says. */
static const char *token(const char *claims)
{
    bearer_write(key, "ES256", NULL, claims, &header);
    return buf_str(&header);
}

#define GOOD "\"iss\":\"issuer\",\"aud\":\"kbs\",\"role\":\"admin\""

static void test_bearer_identify__accepted(void **state)
{
    identified(token("{" GOOD ",\"sub\":\"me\",\"exp\":1795521700}"), "admin", "me");
    identified(token("{" GOOD ",\"exp\":1795521700}"), "admin", "");
    identified(token("{" GOOD ",\"exp\":1795521570,\"jti\":\"1\",\"x\":{\"y\":1}}"), "admin", "");
    identified(token("{\"iss\":\"issuer\",\"aud\":[\"other\",\"kbs\"],\"role\":\"reader\","
                     "\"sub\":\"a\\nb\",\"exp\":1795521700,\"nbf\":1795521600}"),
               "reader", "a\\x0ab"); /* nobody forges a line of the log */
}

static void test_bearer_identify__header(void **state)
{
    const char *good = token("{" GOOD ",\"exp\":1795521700}");
    char copy[4096];
    refused(NULL, NO_HEADER);
    refused("", NO_HEADER);
    refused("Bearer", NO_HEADER);
    refused("Basic YWRtaW46YWRtaW4=", NO_HEADER);
    refused(good + strlen("Bearer "), NO_HEADER);
    snprintf(copy, sizeof copy, "bearer %s", good + strlen("Bearer "));
    refused(copy, NO_HEADER);
    refused("Bearer ", CANNOT);
    snprintf(copy, sizeof copy, "Bearer  %s", good + strlen("Bearer "));
    refused(copy, CANNOT);
}

static void test_bearer_identify__claims(void **state)
{
    static const struct { const char *claims, *reason; } rows[] = {
        {"{" GOOD ",\"exp\":1795521480}", CANNOT},
        {"{" GOOD "}", CANNOT},
        {"{" GOOD ",\"exp\":\"9999999999\"}", CANNOT},
        {"{" GOOD ",\"exp\":1795521700,\"nbf\":1795522200}", CANNOT},
        {"{\"iss\":\"someone\",\"aud\":\"kbs\",\"role\":\"admin\",\"exp\":1795521700}", CANNOT},
        {"{\"aud\":\"kbs\",\"role\":\"admin\",\"exp\":1795521700}", CANNOT},
        {"{\"iss\":\"issuer\",\"aud\":\"someone\",\"role\":\"admin\",\"exp\":1795521700}", CANNOT},
        {"{\"iss\":\"issuer\",\"aud\":[\"a\",\"b\"],\"role\":\"admin\",\"exp\":1795521700}", CANNOT},
        {"{\"iss\":\"issuer\",\"aud\":[],\"role\":\"admin\",\"exp\":1795521700}", CANNOT},
        {"{\"iss\":\"issuer\",\"role\":\"admin\",\"exp\":1795521700}", CANNOT},
        {"{\"iss\":\"issuer\",\"aud\":\"kbs\",\"role\":1,\"exp\":1795521700}", NO_ROLE},
        {"{\"iss\":\"issuer\",\"aud\":\"kbs\",\"role\":[\"admin\"],\"exp\":1795521700}", NO_ROLE},
        {"{\"iss\":\"issuer\",\"aud\":\"kbs\",\"role\":null,\"exp\":1795521700}", NO_ROLE},
        {"{\"iss\":\"issuer\",\"aud\":\"kbs\",\"exp\":1795521700}", NO_ROLE},
        {"{\"iss\":\"issuer\",\"exp\":1795521700}", NO_ROLE}, /* role before iss and aud */
        {"[]", CANNOT}, {"", CANNOT}, {"x", CANNOT},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) refused(token(rows[i].claims), rows[i].reason);
}

static void test_bearer_identify__role_length(void **state)
{
    struct buf claims = BUF_INIT;
    for (size_t len = ADMIN_ROLE_MAX - 1; len <= ADMIN_ROLE_MAX; len++) {
        buf_reset(&claims);
        buf_addf(&claims, "{\"iss\":\"issuer\",\"aud\":\"kbs\",\"exp\":1795521700,"
                 "\"role\":\"%0*d\"}", (int) len, 0);
        struct admin_principal p = {0};
        struct err e = bearer_identify(bearer, token(buf_str(&claims)), &p);
        assert_int_equal(e.code, len < ADMIN_ROLE_MAX ? ERR_NONE : ERR_AUTH);
    }
    buf_free(&claims);
    refused(token("{\"iss\":\"issuer\",\"aud\":\"kbs\",\"role\":\"\",\"exp\":1795521700}"),
            "Admin access denied: Failed to parse claims from token: `role` claim must have 1 to "
            "63 bytes");
}

/* The suite's admin-fake table. */
static void test_bearer_identify__fakes(void **state)
{
    static const char claims[] = "{" GOOD ",\"exp\":1795521700}";
    char copy[4096];
    bearer_write(other_key, "ES256", NULL, claims, &header);
    refused(buf_str(&header), CANNOT);
    bearer_write(key, "ES256", "{\"alg\":\"ES256\",\"crit\":[\"x\"],\"x\":1}", claims, &header);
    refused(buf_str(&header), CANNOT);

    struct jwk *jwk = NULL; /* brings his own key */
    struct buf own = BUF_INIT;
    struct json_out o = JSON_OUT(&own);
    assert_ok(jwk_from_pkey(other_key, "ES256", &jwk));
    json_begin_object(&o);
    json_member_str(&o, "alg", "ES256");
    json_key(&o, "jwk");
    json_begin_object(&o);
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    json_end_object(&o);
    bearer_write(other_key, "ES256", buf_str(&own), claims, &header);
    refused(buf_str(&header), CANNOT);
    bearer_write(key, "ES256", buf_str(&own), claims, &header);
    identified(buf_str(&header), "admin", ""); /* a jwk in the header is not looked at */
    buf_free(&own);
    jwk_free(jwk);

    const char *good = token(claims), *dot = strchr(good, '.'), *last = strrchr(good, '.');
    const char *const heads[] = {"eyJhbGciOiJub25lIn0", "eyJhbGciOiJFUzM4NCJ9",
                                 "eyJhbGciOiJIUzI1NiJ9"}; /* none, ES384, HS256 */
    for (size_t i = 0; i < LENGTH(heads); i++) {
        snprintf(copy, sizeof copy, "Bearer %s%s", heads[i], dot);
        refused(copy, CANNOT);
    }
    snprintf(copy, sizeof copy, "Bearer eyJhbGciOiJub25lIn0%.*s", (int) (last + 1 - dot), dot);
    refused(copy, CANNOT);
    snprintf(copy, sizeof copy, "%s.x", good);
    refused(copy, CANNOT);
    snprintf(copy, sizeof copy, "%s==", good);
    refused(copy, CANNOT);
    snprintf(copy, sizeof copy, "%s", good);
    copy[(dot - good) + 4] ^= 2;
    refused(copy, CANNOT);
    refused("Bearer x", CANNOT);
}

static void test_bearer_identify__providers_in_order(void **state)
{
    const struct admin_provider providers[] = {
        {.issuer = "a", .public_key_uri = file},
        {.issuer = "b", .public_key_uri = file},
        {.public_key_uri = other_file, .default_role = "legacy"}};
    start(providers, 3);
    identified(token("{\"iss\":\"b\",\"role\":\"r\",\"exp\":1795521700}"), "r", "");
    refused(token("{\"iss\":\"c\",\"role\":\"r\",\"exp\":1795521700}"), CANNOT);
    /* A good signature without a role ends the search. */
    refused(token("{\"iss\":\"b\",\"exp\":1795521700}"), NO_ROLE);
    bearer_write(other_key, "ES256", NULL, "{\"exp\":1795521700}", &header);
    identified(buf_str(&header), "legacy", "");
    bearer_write(other_key, "ES256", NULL, "{\"exp\":1795521700,\"role\":\"own\"}", &header);
    identified(buf_str(&header), "own", "");
    bearer_write(other_key, "ES256", NULL, "{\"exp\":1795521700,\"role\":1}", &header);
    refused(buf_str(&header), NO_ROLE);
}

static void test_bearer_identify__algorithms(void **state)
{
    static const struct { const char *crv, *alg; } rows[] = {{"P-384", "ES384"},
                                                             {NULL, "EdDSA"}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        EVP_PKEY *k = NULL;
        if (rows[i].crv) assert_ok(key_generate_ec(rows[i].crv, &k));
        else assert_ok(key_generate_ed25519(&k));
        char *name = public_file(k);
        struct admin_provider p = {.public_key_uri = name};
        start(&p, 1);
        bearer_write(k, rows[i].alg, NULL, "{\"role\":\"r\",\"exp\":1795521700}", &header);
        identified(buf_str(&header), "r", "");
        public_file_remove(name);
        EVP_PKEY_free(k);
    }
}

/* Tokens that the two generations of kbs-client really sent. */
static void test_bearer_identify__recorded(void **state)
{
    char es256[512], ed25519[512];
    clock_test_set(RECORDED_AT);
    struct admin_provider providers[] = {
        {.issuer = "issuer", .audience = "kbs",
         .public_key_uri = vector_path("kbs/keys/admin-es256.pub", es256)},
        {.public_key_uri = vector_path("kbs/keys/admin-ed25519.pub", ed25519),
         .default_role = "admin"}};
    struct json_doc *new = vector_json("kbs/new-admin-set.json");
    struct json_doc *old = vector_json("kbs/old-admin-set.json");
    const char *new_token = exchange_header(new, 0, "authorization");
    const char *old_token = exchange_header(old, 0, "authorization");
    start(providers, 2);
    identified(new_token, "admin", "x");
    identified(old_token, "admin", "");
    providers[1].default_role = NULL;
    start(providers, 2);
    refused(old_token, NO_ROLE);
    clock_test_set(1795460841 + 61); /* its exp and the leeway */
    refused(old_token, CANNOT);
    json_free(old);
    json_free(new);
}

/* ---- JWK sets ------------------------------------------------------------------------------- */

#define CLAIMS "{\"role\":\"r\",\"exp\":1795521700}"

/* One key, with kid and perhaps alg, as a set. */
static void set_text(EVP_PKEY *k, const char *kid, const char *alg, struct buf *ret)
{
    struct jwk *jwk = NULL;
    struct json_out o = JSON_OUT(ret);
    assert_ok(jwk_from_pkey(k, alg, &jwk));
    buf_reset(ret);
    buf_add_str(ret, "{\"keys\":[");
    json_begin_object(&o);
    json_member_str(&o, "kid", kid);
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    buf_add_str(ret, "]}");
    jwk_free(jwk);
}

static const char *token_with(EVP_PKEY *k, const char *members, const char *claims)
{
    char head[256];
    snprintf(head, sizeof head, "{\"alg\":\"ES256\"%s}", members);
    bearer_write(k, "ES256", head, claims, &header);
    return buf_str(&header);
}

static char *set_file(EVP_PKEY *k, const char *kid, const char *alg)
{
    struct buf text = BUF_INIT;
    char *name = public_file(k);
    set_text(k, kid, alg, &text);
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
    fclose(f);
    buf_free(&text);
    return name;
}

static void test_bearer_identify__jwk_set(void **state)
{
    static const char *const algs[] = {"ES256", NULL}; /* some providers' keys have no alg */
    for (size_t i = 0; i < LENGTH(algs); i++) {
        char *set = set_file(key, "one", algs[i]);
        start(&(struct admin_provider){.jwk_set_uri = set}, 1);
        identified(token_with(key, ",\"kid\":\"one\"", CLAIMS), "r", "");
        refused(token_with(other_key, ",\"kid\":\"one\"", CLAIMS), CANNOT);
        refused(token_with(key, ",\"kid\":\"two\"", CLAIMS), CANNOT);
        refused(token_with(key, ",\"kid\":1", CLAIMS), CANNOT);
        refused(token_with(key, "", CLAIMS), CANNOT);
        /* A key in the header does not help, and the set is not asked then. */
        refused(token_with(key, ",\"kid\":\"one\",\"jwk\":{}", CLAIMS), CANNOT);
        refused(token_with(key, ",\"kid\":\"one\"", "{\"exp\":1795521700}"), NO_ROLE);
        public_file_remove(set);
    }
    char *set = set_file(key, "one", "ES384"); /* of another algorithm than the token's */
    start(&(struct admin_provider){.jwk_set_uri = set}, 1);
    refused(token_with(key, ",\"kid\":\"one\"", CLAIMS), CANNOT);
    public_file_remove(set);
}

/* The PEM key is for what the set does not name. */
static void test_bearer_identify__set_and_key(void **state)
{
    char *set = set_file(key, "one", "ES256");
    start(&(struct admin_provider){.jwk_set_uri = set, .public_key_uri = other_file}, 1);
    identified(token_with(key, ",\"kid\":\"one\"", CLAIMS), "r", "");
    identified(token_with(other_key, "", CLAIMS), "r", "");
    identified(token_with(other_key, ",\"kid\":\"two\"", CLAIMS), "r", "");
    refused(token_with(other_key, ",\"kid\":\"one\"", CLAIMS), CANNOT);
    refused(token_with(key, "", CLAIMS), CANNOT);
    public_file_remove(set);
}

/* default_role is for tokens of the provider that has it, and for no others'. */
static void test_bearer_identify__default_role_of_one(void **state)
{
    char *set = set_file(key, "one", "ES256");
    const struct admin_provider providers[] = {
        {.issuer = "idp", .jwk_set_uri = set},
        {.public_key_uri = other_file, .default_role = "legacy"}};
    start(providers, 2);
    identified(token_with(other_key, "", "{\"exp\":1795521700}"), "legacy", "");
    refused(token_with(key, ",\"kid\":\"one\"", "{\"exp\":1795521700}"), NO_ROLE);
    refused(token_with(key, ",\"kid\":\"one\"", CLAIMS), CANNOT); /* not of that issuer */
    identified(token_with(key, ",\"kid\":\"one\"",
                          "{\"iss\":\"idp\",\"role\":\"r\",\"exp\":1795521700}"), "r", "");
    public_file_remove(set);
}

/* Only a token that nobody signed has the servers asked again, and many such tokens do it once. */
static void test_bearer_identify__rotation(void **state)
{
    struct key_server server;
    struct buf text = BUF_INIT;
    char url[128];
    key_server_start(&server, 0);
    set_text(key, "one", "ES256", &text);
    key_server_page(&server, "/jwks", "200 OK", "", buf_str(&text));
    snprintf(url, sizeof url, "%s/jwks", server.url);
    const struct admin_provider providers[] = {{.jwk_set_uri = url},
                                               {.public_key_uri = other_file}};
    start(providers, 2);
    key_looks_await(bearer_keys(bearer), 2, 0);
    identified(token_with(key, ",\"kid\":\"one\"", CLAIMS), "r", "");
    identified(token_with(other_key, ",\"kid\":\"new\"", CLAIMS), "r", "");
    refused(token_with(key, ",\"kid\":\"one\"", "{\"role\":\"r\",\"exp\":1795521000}"), CANNOT);
    refused("Bearer nonsense", CANNOT);
    key_sources_refresh(bearer_keys(bearer)); /* the only cause of a second look */
    key_looks_await(bearer_keys(bearer), 4, 0);
    assert_int_equal(atomic_load(&server.requests), 2);

    EVP_PKEY *new = NULL;
    assert_ok(key_generate_ec("P-256", &new));
    set_text(new, "new", "ES256", &text);
    key_server_page(&server, "/jwks", "200 OK", "", buf_str(&text));
    for (int i = 0; i < 100; i++) refused(token_with(new, ",\"kid\":\"newer\"", CLAIMS), CANNOT);
    key_looks_await(bearer_keys(bearer), 6, 0); /* both sources */
    identified(token_with(new, ",\"kid\":\"new\"", CLAIMS), "r", "");
    refused(token_with(key, ",\"kid\":\"one\"", CLAIMS), CANNOT); /* gone */
    assert_int_equal(atomic_load(&server.requests), 3);
    bearer_free(TAKE_PTR(bearer));
    EVP_PKEY_free(new);
    key_server_stop(&server);
    buf_free(&text);
}

static void test_bearer_new__refused(void **state)
{
    static const struct { struct admin_provider p; enum err_class code; const char *why; } rows[] = {
        {{.issuer = "x"}, ERR_USAGE, "needs public_key_uri, or jwk_set_uri"},
        {{.public_key_uri = "no-such-file"}, ERR_NOTFOUND, "no-such-file"},
        {{.public_key_uri = "/dev/null"}, ERR_USAGE, "/dev/null"},
        {{.jwk_set_uri = "/dev/null"}, ERR_USAGE, "identity_providers[1].jwk_set_uri"},
        {{.jwk_set_uri = "http://idp.example/"}, ERR_USAGE, "say https"},
        {{.jwk_set_uri = "https://idp.example/", .uri_ca = "no-such-ca"}, ERR_USAGE, "no-such-ca"},
    };
    struct bearer *b = NULL;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct admin_provider both[] = {{.public_key_uri = file}, rows[i].p};
        assert_fails_with(bearer_new(both, 2, &b), rows[i].code, rows[i].why);
        assert_fails_with(bearer_new(both, 2, &b), rows[i].code, "identity provider 2");
    }
    struct admin_provider p = {.public_key_uri = file, .default_role = ""};
    assert_fails_with(bearer_new(&p, 1, &b), ERR_USAGE, "default_role");
    assert_fails_with(bearer_new(NULL, 0, &b), ERR_USAGE, "at least one");
    assert_null(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bearer_identify__accepted),
        TEST(test_bearer_identify__header),
        TEST(test_bearer_identify__claims),
        TEST(test_bearer_identify__role_length),
        TEST(test_bearer_identify__fakes),
        TEST(test_bearer_identify__providers_in_order),
        TEST(test_bearer_identify__algorithms),
        TEST(test_bearer_identify__recorded),
        TEST(test_bearer_identify__jwk_set),
        TEST(test_bearer_identify__set_and_key),
        TEST(test_bearer_identify__default_role_of_one),
        TEST(test_bearer_identify__rotation),
        TEST(test_bearer_new__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
