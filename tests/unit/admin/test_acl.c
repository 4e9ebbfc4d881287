#include "broker/admin/acl.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

static struct acl *acl_of(const char *role, const char *endpoints, const char *methods)
{
    struct admin_acl entry = {.role = role, .allowed_endpoints = endpoints, .methods = methods};
    struct acl *a = NULL;
    assert_ok(acl_new(&entry, 1, &a));
    return a;
}

static void test_acl_allows__paths(void **state)
{
    static const struct { const char *endpoints, *path; bool allowed; } rows[] = {
        {"^/kbs/v0/.*$", "/kbs/v0/resource/a/b/c", true},
        {"^/kbs/v0/.*$", "/kbs/v1/resource/a/b/c", false},
        {"^/kbs/v0/resource/a/[^/]+/abc$", "/kbs/v0/resource/a/limited/abc", true},
        {"^/kbs/v0/resource/a/[^/]+/abc$", "/kbs/v0/resource/a/limited/abcd", false},
        {"^/kbs/v0/resource/a/[^/]+/abc$", "/x/kbs/v0/resource/a/limited/abc", false},
        {"^/kbs/v0/resource/a/[^/]+/abc$", "/kbs/v0/resource/a/l/../../b/abc", false},
        {"^/kbs/v0/resource/a/b/c$", "/kbs/v0/resource/a/b/c\n", false},
        {"^/kbs/v0/resource/a/b/c$", "/kbs/v0/resource/a/b/c?x=y", false},
        {"^/kbs/v0/a$|^/kbs/v0/b$", "/kbs/v0/b", true},
        {"^/kbs/v0/a$|^/kbs/v0/b$", "/kbs/v0/c", false},
        {"^/kbs/v0/(a|b)$", "/kbs/v0/a", true},
        {"^/kbs/v0/(?:a|b)$", "/kbs/v0/bb", false},
        {"^/strongroom/v1/.*$", "/strongroom/v1/list", true},
        {"^/strongroom/v1/.*$", "/kbs/v0/list", false},
        {"^/kbs/[[:alpha:]]+/\\d{1,2}$", "/kbs/abc/12", true},
        {"^/kbs/[]x|]+$", "/kbs/|]x", true},
        {"^/kbs/a\\.b$", "/kbs/axb", false},
        {"^/kbs/.$", "/kbs/\xc3\xa9", true}, /* one character, not two bytes */
        {"^/kbs/.*$", "/kbs/\xff", false},   /* no UTF-8: no match, no crash */
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct acl *a = acl_of("r", rows[i].endpoints, NULL);
        if (acl_allows(a, "r", "GET", rows[i].path) != rows[i].allowed)
            fail_msg("%s on %s", rows[i].endpoints, rows[i].path);
        assert_false(acl_allows(a, "other", "GET", rows[i].path));
        acl_free(a);
    }
}

static void test_acl_allows__methods(void **state)
{
    struct acl *a = acl_of("r", "^/kbs/.*$", "GET,POST");
    assert_true(acl_allows(a, "r", "GET", "/kbs/x"));
    assert_true(acl_allows(a, "r", "POST", "/kbs/x"));
    static const char *const others[] = {"DELETE", "GE", "ET", "POSTS", "get", "", "GET,POST", ","};
    for (size_t i = 0; i < LENGTH(others); i++)
        assert_false(acl_allows(a, "r", others[i], "/kbs/x"));
    acl_free(a);
}

static void test_acl_allows__several_rules(void **state)
{
    static const struct admin_acl entries[] = {{"r", "^/kbs/a$", "GET"}, {"r", "^/kbs/b$", "POST"},
                                               {"s", "^/kbs/a$", NULL}};
    struct acl *a = NULL;
    assert_ok(acl_new(entries, 3, &a));
    assert_true(acl_allows(a, "r", "GET", "/kbs/a"));
    assert_false(acl_allows(a, "r", "POST", "/kbs/a"));
    assert_true(acl_allows(a, "r", "POST", "/kbs/b"));
    assert_true(acl_allows(a, "s", "POST", "/kbs/a"));
    assert_false(acl_allows(a, "s", "POST", "/kbs/b"));
    assert_false(acl_allows(a, "admin", "POST", "/kbs/b"));
    acl_free(a);
}

static void test_acl_allows__no_rules(void **state)
{
    struct acl *a = NULL;
    assert_ok(acl_new(NULL, 0, &a));
    assert_true(acl_allows(a, "admin", "DELETE", "/kbs/v0/x"));
    assert_false(acl_allows(a, "Admin", "GET", "/kbs/v0/x"));
    assert_false(acl_allows(a, "", "GET", "/kbs/v0/x"));
    acl_free(a);
}

/* A rule that would take forever on this path allows nothing. */
static void test_acl_allows__match_limit(void **state)
{
    char path[200] = "/kbs/";
    memset(path + 5, 'a', 60);
    struct acl *a = acl_of("r", "^/kbs/((?:a+)+)+b$", NULL);
    assert_false(acl_allows(a, "r", "GET", path));
    snprintf(path, sizeof path, "/kbs/aab");
    assert_true(acl_allows(a, "r", "GET", path));
    acl_free(a);
}

static void test_acl_new__expressions(void **state)
{
    static const struct { const char *endpoints, *why; } rows[] = {
        {"/kbs/.*$", "must begin with"},           {"^/.*$", "must begin with"},
        {"^/kbs/.*", "must end with $"},           {"^/kbs/a\\$", "must end with $"},
        {"", "must begin with"},                   {"^/kbs/a$|.*$", "must begin with"},
        {"^/kbs/a$|^/kbs/b", "must end with $"},   {"^/kbs/a|^/kbs/b$", "must end with $"},
        {"^/kbs/a$|", "must begin with"},          {"^/kbs/(a$|^/kbs/b$", "( without )"},
        {"^/kbs/a)$", ") without ("},              {"^/kbs/[a$", "[ without ]"},
        {"^/kbs/[[:alpha$", "without"},            {"^/kbs/\\Q|\\E$", "not allowed"},
        {"^/kbs/(?=a).*$", "not allowed"},         {"^/kbs/(?i)a$", "not allowed"},
        {"^/kbs/(?#c)a$", "not allowed"},          {"^/kbs/(a)\\1$", "not allowed"},
        {"^/kbs/(*ACCEPT)$", "not allowed"},       {"^/kbs/\\C$", "not allowed"},
        {"^/kbs/\\", "a lone \\"},                 {"^/kbs/a{2,1}$", "at character"},
        {"^/kbs/[z-a]$", "at character"},          {"^/kbs/**$", "at character"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct admin_acl entries[] = {{"ok", "^/kbs/ok$", NULL}, {"bad", rows[i].endpoints, NULL}};
        struct acl *a = NULL;
        assert_fails_with(acl_new(entries, 2, &a), ERR_USAGE, rows[i].why);
        assert_fails_with(acl_new(entries, 2, &a), ERR_USAGE, "acl entry 2 (role bad)");
        assert_null(a);
    }
}

static void test_acl_new__roles_and_methods(void **state)
{
    char role[ADMIN_ROLE_MAX + 1];
    memset(role, 'r', sizeof role);
    role[ADMIN_ROLE_MAX - 1] = '\0';
    acl_free(acl_of(role, "^/kbs/$", NULL)); /* at the limit */
    role[ADMIN_ROLE_MAX - 1] = 'r';
    role[ADMIN_ROLE_MAX] = '\0';
    const struct admin_acl rows[] = {
        {role, "^/kbs/$", NULL},      {"", "^/kbs/$", NULL},          {NULL, "^/kbs/$", NULL},
        {"r", NULL, NULL},            {"r", "^/kbs/$", ""},           {"r", "^/kbs/$", "GET;POST"},
        {"r", "^/kbs/$", "get"},      {"r", "^/kbs/$", "GET,"},       {"r", "^/kbs/$", ",GET"},
        {"r", "^/kbs/$", "GET,,PUT"}, {"r", "^/kbs/$", "GET, POST"}};
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct acl *a = NULL;
        assert_fails(acl_new(&rows[i], 1, &a), ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acl_allows__paths),
        cmocka_unit_test(test_acl_allows__methods),
        cmocka_unit_test(test_acl_allows__several_rules),
        cmocka_unit_test(test_acl_allows__no_rules),
        cmocka_unit_test(test_acl_allows__match_limit),
        cmocka_unit_test(test_acl_new__expressions),
        cmocka_unit_test(test_acl_new__roles_and_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
