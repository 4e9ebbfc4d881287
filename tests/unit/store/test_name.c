#include "broker/store/store.h"
#include "tests/lib/test.h"

static void repeat(char *out, char c, size_t n)
{
    memset(out, c, n);
    out[n] = '\0';
}

static void test_store_check_name__good(void **state)
{
    static const char *const good[] = {
        "default/key/1", "a/b/c", "A/B/C", "0/1/2", "_/-/_", "-a/_b/c.", "a.b/c-d/e_f",
        "default/security-policy/test", "a..b/c/d", "a/b/c.json",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_ok(store_check_name(good[i]));
}

static void test_store_check_name__says_which_part_is_wrong(void **state)
{
    static const struct {
        const char *name, *says;
    } bad[] = {
        {"", "1 segments"},
        {"a", "1 segments"},
        {"a/b", "2 segments"},
        {"a/b/c/d", "4 segments"},
        {"/a/b/c", "4 segments"},
        {"/b/c", "the repository is empty"},
        {"a//c", "the type is empty"},
        {"a/b/", "the tag is empty"},
        {".a/b/c", "the repository begins with a dot"},
        {"a/../c", "the type begins with a dot"},
        {"a/b/.", "the tag begins with a dot"},
        {"a b/b/c", "the repository has the byte 0x20"},
        {"a/b%2F/c", "the type has the byte 0x25"},
        {"a/b/c\n", "the tag has the byte 0x0a"},
        {"a/b/\xc3\xa4", "the tag has the byte 0xc3"},
        {"strongroom:policy:x/b/c", "the repository has the byte 0x3a"},
        {"a/b/c?", "the tag has the byte 0x3f"},
        {"a\\b/b/c", "the repository has the byte 0x5c"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails_with(store_check_name(bad[i].name), ERR_USAGE, bad[i].says);
}

static void test_store_check_name__length_at_and_beyond_the_limit(void **state)
{
    char name[NAME_MAX_BYTES + 2] = "a/b/";
    repeat(name + 4, 'x', NAME_MAX_BYTES - 4);
    assert_ok(store_check_name(name));
    repeat(name + 4, 'x', NAME_MAX_BYTES - 3);
    assert_fails_with(store_check_name(name), ERR_USAGE, "256 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_check_name__good),
        cmocka_unit_test(test_store_check_name__says_which_part_is_wrong),
        cmocka_unit_test(test_store_check_name__length_at_and_beyond_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
