#include "broker/admin/admin.h"
#include "tests/unit/admin/kit.h"

static EVP_PKEY *key;
static char *file;
static struct buf header;

static int setup(void **state)
{
    clock_test_set(NOON);
    log_set_level(LOG_LEVEL_ERROR);
    key = NULL;
    assert_ok(key_generate_ed25519(&key));
    file = public_file(key);
    return 0;
}

static int teardown(void **state)
{
    public_file_remove(file);
    EVP_PKEY_free(key);
    buf_free(&header);
    clock_test_set(0);
    return 0;
}

static const char *token(const char *role)
{
    char claims[200];
    snprintf(claims, sizeof claims, "{\"role\":\"%s\",\"sub\":\"me\",\"exp\":%d}", role, NOON + 60);
    bearer_write(key, "EdDSA", NULL, claims, &header);
    return buf_str(&header);
}

static void test_admin_mode_from__names(void **state)
{
    enum admin_mode mode = ADMIN_DENY_ALL;
    assert_true(admin_mode_from("InsecureAllowAll", &mode));
    assert_int_equal(mode, ADMIN_INSECURE_ALLOW_ALL);
    assert_true(admin_mode_from("AuthenticatedAuthorization", &mode));
    assert_int_equal(mode, ADMIN_AUTHENTICATED);
    assert_true(admin_mode_from("DenyAll", &mode));
    assert_int_equal(mode, ADMIN_DENY_ALL);
    assert_false(admin_mode_from("denyall", &mode));
    assert_false(admin_mode_from("Simple", &mode));
}

static void test_admin_authorize__deny_all(void **state)
{
    struct admin_config config = {.mode = ADMIN_DENY_ALL};
    struct admin *a = NULL;
    struct admin_principal p = {0};
    assert_ok(admin_new(&config, &a));
    struct err e = admin_authorize(a, token("admin"), "GET", "/kbs/v0/x", &p);
    assert_int_equal(e.code, ERR_AUTH);
    assert_string_equal(err_reason(e), "Admin access denied: Admin access denied as DenyAll "
                                       "authorization_mode is enabled");
    admin_free(a);
}

static void test_admin_authorize__insecure_allow_all(void **state)
{
    struct admin_config config = {.mode = ADMIN_INSECURE_ALLOW_ALL};
    struct admin *a = NULL;
    struct admin_principal p = {0};
    assert_ok(admin_new(&config, &a));
    assert_ok(admin_authorize(a, NULL, "DELETE", "/kbs/v0/x", &p));
    assert_string_equal(p.role, "admin");
    assert_string_equal(p.subject, "anonymous");
    assert_ok(admin_authorize(a, "Bearer x", "DELETE", "/anything", &p));
    admin_free(a);
}

static void test_admin_authorize__role_and_path(void **state)
{
    struct admin_provider provider = {.public_key_uri = file};
    static const struct admin_acl acls[] = {
        {"admin", "^/kbs/v0/.*$", NULL},
        {"limited", "^/kbs/v0/resource/kbscheck/limited/[a-z]+$", "POST,DELETE"}};
    struct admin_config config = {.mode = ADMIN_AUTHENTICATED, .providers = &provider,
                                  .provider_count = 1, .acls = acls, .acl_count = 2};
    struct admin *a = NULL;
    struct admin_principal p = {0};
    assert_ok(admin_new(&config, &a));
    assert_ok(admin_authorize(a, token("admin"), "GET", "/kbs/v0/resource-policy", &p));
    assert_string_equal(p.role, "admin");
    assert_string_equal(p.subject, "me");
    token("limited");
    assert_ok(admin_authorize(a, buf_str(&header), "POST",
                              "/kbs/v0/resource/kbscheck/limited/abc", &p));
    static const char *const elsewhere[] = {
        "/kbs/v0/resource/kbscheck/other/abc",
        "/kbs/v0/resource/kbscheck/limited/abc/../../other/abc",
        "/kbs/v0/resource/x/kbscheck/limited/abc", "/kbs/v0/resource-policy"};
    p = (struct admin_principal){0};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        char reason[ERR_TEXT];
        struct err e = admin_authorize(a, buf_str(&header), "POST", elsewhere[i], &p);
        snprintf(reason, sizeof reason, "Admin access denied: Role limited not allowed for path %s",
                 elsewhere[i]);
        assert_int_equal(e.code, ERR_DENIED);
        assert_string_equal(err_reason(e), reason);
        assert_string_equal(p.role, "");
    }
    assert_fails(admin_authorize(a, buf_str(&header), "GET",
                                 "/kbs/v0/resource/kbscheck/limited/abc", &p), ERR_DENIED);
    assert_fails(admin_authorize(a, token("nobody"), "GET", "/kbs/v0/x", &p), ERR_DENIED);
    assert_fails(admin_authorize(a, NULL, "GET", "/kbs/v0/x", &p), ERR_AUTH);
    admin_free(a);
}

static void test_admin_authorize__no_acls(void **state)
{
    struct admin_provider provider = {.public_key_uri = file};
    struct admin_config config = {.mode = ADMIN_AUTHENTICATED, .providers = &provider,
                                  .provider_count = 1};
    struct admin *a = NULL;
    struct admin_principal p = {0};
    assert_ok(admin_new(&config, &a));
    assert_ok(admin_authorize(a, token("admin"), "DELETE", "/strongroom/v1/x", &p));
    assert_fails(admin_authorize(a, token("other"), "GET", "/strongroom/v1/x", &p), ERR_DENIED);
    admin_free(a);
}

static void test_admin_new__refused(void **state)
{
    struct admin_provider provider = {.public_key_uri = file};
    struct admin_acl acl = {"r", "^/.*$", NULL};
    struct admin_config config = {.mode = ADMIN_AUTHENTICATED};
    struct admin *a = NULL;
    assert_fails(admin_new(&config, &a), ERR_USAGE);
    config = (struct admin_config){.mode = ADMIN_AUTHENTICATED, .providers = &provider,
                                   .provider_count = 1, .acls = &acl, .acl_count = 1};
    assert_fails_with(admin_new(&config, &a), ERR_USAGE, "acl entry 1");
    assert_null(a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_admin_mode_from__names),
        TEST(test_admin_authorize__deny_all),
        TEST(test_admin_authorize__insecure_allow_all),
        TEST(test_admin_authorize__role_and_path),
        TEST(test_admin_authorize__no_acls),
        TEST(test_admin_new__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
