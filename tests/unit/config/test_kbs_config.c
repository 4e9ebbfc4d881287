/* Configurations of a KBS in each format. */
#include "broker/config/kbs_config.h"

#include "broker/base/limits.h"
#include "tests/lib/test.h"

static struct bump arena;
static const struct yaml_node *root;

static int teardown(void **state)
{
    (void) state;
    bump_free(&arena);
    return 0;
}

static err_t parse(const char *name, const char *text)
{
    struct yaml_node *node = NULL;
    TRY(kbs_config_parse(span_str(text), name, &arena, &node));
    root = node;
    return ERR_OK;
}

static void test_parse__formats(void **state)
{
    static const char *const files[][2] = {
        {"k.toml", "[http_server]\nsockets = [\"127.0.0.1:1\"]\n[a.b]\nc = \"x\"\nn = 5\n"},
        {"dir.d/k.yaml", "http_server: {sockets: ['127.0.0.1:1']}\na:\n  b:\n    c: x\n    n: 5\n"},
        {"k.yml", "http_server: {sockets: ['127.0.0.1:1']}\na: {b: {c: x, n: 5}}\n"},
        {"k.json", "{\"http_server\":{\"sockets\":[\"127.0.0.1:1\"]},\"a\":{\"b\":{\"c\":\"x\",\"n\":5}}}"},
    };
    for (size_t i = 0; i < 4; i++) {
        assert_ok(parse(files[i][0], files[i][1]));
        assert_string_equal(kbs_config_text(root, "a.b.c"), "x");
        assert_string_equal(kbs_config_text(root, "a.b.n"), "5");
        assert_null(kbs_config_text(root, "a.b"));
        assert_null(kbs_config_text(root, "a.x.c"));
        assert_null(kbs_config_text(root, "http_server.sockets"));
        const struct yaml_node *server = kbs_config_member(root, "http_server");
        assert_int_equal(kbs_config_member(server, "sockets")->count, 1);
    }
    assert_null(kbs_config_member(NULL, "x"));
    assert_null(kbs_config_text(NULL, "x"));
    assert_null(kbs_config_text(root, "a234567890123456789012345678901234567890123456789012345678901234"));
}

static void test_parse__refused(void **state)
{
    static const char *const files[][2] = {
        {"k.conf", "a = 1"}, {"toml", "a = 1"}, {"k.toml", "a = "}, {"k.yaml", "[1]"}, {"k.yaml", ""},
        {"k.json", "{"}, {"k.yaml", "a: &x 1"}, {"k.yaml", "a: 1\na: 2"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_fails(parse(files[i][0], files[i][1]), ERR_USAGE);
    char *large = calloc(1, CONFIG_MAX + 2);
    memset(large, '\n', CONFIG_MAX + 1);
    memcpy(large, "a = 1", 5);
    assert_fails(parse("k.toml", large), ERR_TOOLARGE);
    large[CONFIG_MAX] = '\0';
    assert_ok(parse("k.toml", large));
    free(large);
    struct yaml_node *node = NULL;
    assert_fails(kbs_config_read("/nonexistent/k.toml", &arena, &node), ERR_NOTFOUND);
}

static void test_parse__by_the_end_of_its_name(void **state)
{
    assert_ok(parse("a/kbs.toml", "a = 1"));
    assert_ok(parse("kbs.yml", "a: 1"));
    assert_fails(parse("kbs", "a = 1"), ERR_USAGE);
    assert_fails(parse("kbs.toml.bak", "a = 1"), ERR_USAGE);
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_parse__formats), TEST(test_parse__refused),
                                       TEST(test_parse__by_the_end_of_its_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
