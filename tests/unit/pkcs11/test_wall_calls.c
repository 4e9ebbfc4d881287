#include "tests/lib/test.h"

#include <glob.h>

#include "pkcs11/wall.h"

/* Where a stub stands in the list of functions. */
static const struct { const char *name; size_t offset; } ENTRIES[] = {
#define OFFSET(name, ...) {"C_" #name, offsetof(CK_FUNCTION_LIST, C_##name)},
    WALL_TABLE(OFFSET)
};

static bool has_stub(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof ENTRIES / sizeof *ENTRIES; i++) {
        if (strlen(ENTRIES[i].name) != len || strncmp(ENTRIES[i].name, name, len) != 0) continue;
        void *stub = NULL;
        memcpy(&stub, (const uint8_t *) &wall_stubs + ENTRIES[i].offset, sizeof stub);
        return stub != NULL;
    }
    return false;
}

/* Making a token stays in the process that a person runs for it. */
static bool stays(const char *name, size_t len)
{
    static const char *const NAMES[] = {"C_InitToken", "C_InitPIN"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strlen(NAMES[i]) == len && strncmp(NAMES[i], name, len) == 0) return true;
    return false;
}

static unsigned look_through(const char *path)
{
    static char text[256 << 10];
    unsigned n = 0;
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    for (const char *at = text; (at = strstr(at, "fn->C_")); n++) {
        at += strlen("fn->");
        size_t len = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_");
        if (!has_stub(at, len) && !stays(at, len))
            fail_msg("%s calls %.*s, which has no row in wall_calls.h", path, (int) len, at);
    }
    return n;
}

static void test_calls__whatever_pkcs11_uses_crosses(void **state)
{
    const char *source = getenv("STRONGROOM_SOURCE");
    char pattern[4200];
    glob_t files = {0};
    unsigned uses = 0;
    if (!source) skip(); /* tests/lib/run-unit.sh says where it is */
    snprintf(pattern, sizeof pattern, "%s/pkcs11/*.c", source);
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) uses += look_through(files.gl_pathv[i]);
    globfree(&files);
    assert_true(uses > 50);
}

static void test_calls__the_table(void **state)
{
    for (unsigned i = 0; i < WALL_CALL_COUNT; i++) {
        const struct wall_call *c = wall_call(i);
        assert_non_null(c->make);
        assert_true(strlen(c->shape.letters) <= WALL_ARGS);
        assert_int_equal(strspn(c->shape.letters, "uimthoafl"), strlen(c->shape.letters));
        assert_true(!strchr(c->shape.letters, 'f') == !c->shape.fixed);
        assert_ptr_equal(wall_call_shape(i), &c->shape);
    }
    assert_null(wall_call(WALL_CALL_COUNT));
    assert_null(wall_call_shape(UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls__whatever_pkcs11_uses_crosses),
        cmocka_unit_test(test_calls__the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
