/* Stores in files, good and hostile ones. */
#include "broker/cmd/import_files.h"

#include "broker/base/limits.h"
#include "tests/unit/cmd/collect.h"

#include <fcntl.h>

static void walk_all(enum kbs_space space, const char *name)
{
    buf_reset(&seen);
    assert_ok(import_files_walk(dir, in(name), space, &walk));
}

static void test_walk__flat_before_nested_in_order(void **state)
{
    make_folder("r");
    make_folder("r/a");
    make_folder("r/a/b");
    make("r/a/b/c", "nested");
    make("r/z\\x2Fy\\x2Fx", "last");
    make("r/a\\x2Fb\\x2Fc", "flat");
    make("r/..hidden", "kubernetes");
    walk_all(KBS_REPOSITORY, "r");
    assert_string_equal(buf_str(&seen), "resource a/b/c = flat\nresource z/y/x = last\n"
                        "resource a/b/c = nested\n");
}

static void test_walk__only_the_repository_nests(void **state)
{
    make_folder("kbs");
    make_folder("kbs/x");
    make("kbs/resource-policy.rego", "package policy");
    walk_all(KBS_POLICIES, "kbs");
    assert_string_equal(buf_str(&seen), "policy resource-policy = package policy\n"
                        "policy x ! it is a folder; a value is expected here\n");
}

static void test_walk__links(void **state)
{
    make_folder("r");
    make_folder("r/a");
    make_folder("r/a/b");
    make_folder("r/a/b/..1");
    make("r/a/b/..1/key", "mounted");
    make("elsewhere", "in the store");
    assert_int_equal(symlink("..1", in("r/a/b/..data")), 0);
    assert_int_equal(symlink("..data/key", in("r/a/b/key")), 0);
    assert_int_equal(symlink("/etc/hostname", in("r/a/b/out")), 0);
    assert_int_equal(symlink("../../../elsewhere", in("r/a/b/up")), 0);
    assert_int_equal(symlink("loop", in("r/a/b/loop")), 0);
    assert_int_equal(symlink(in("elsewhere"), in("r/a/b/absolute")), 0);
    assert_int_equal(symlink("/", in("r/root")), 0);
    walk_all(KBS_REPOSITORY, "r");
    assert_saw("resource a/b/key = mounted\n");
    assert_saw("resource a/b/up = in the store\n");
    assert_saw("resource a/b/absolute = in the store\n");
    assert_saw("resource a/b/out ! it is a link that leads out of the store");
    assert_saw("resource root ! it is a link that leads out of the store");
    assert_saw("resource a/b/loop ! it cannot be opened");
    buf_reset(&seen);
    assert_ok(import_files_walk(in("r"), in("r"), KBS_REPOSITORY, &walk));
    assert_saw("resource a/b/up ! it is a link that leads out of the store");
}

/* A folder whose name begins as that of the store is not in it. */
static void test_walk__neighbours_are_outside(void **state)
{
    make_folder("store");
    make_folder("store-2");
    make("store-2/x", "other");
    make_folder("store/repository");
    assert_int_equal(symlink("../../store-2/x", in("store/repository/a\\x2Fb\\x2Fc")), 0);
    assert_ok(import_files_walk(in("store"), in("store/repository"), KBS_REPOSITORY, &walk));
    assert_saw("a/b/c ! it is a link that leads out");
}

static void test_walk__what_is_no_file(void **state)
{
    make_folder("r");
    assert_int_equal(mkfifo(in("r/a\\x2Fb\\x2Fc"), 0600), 0);
    make_folder("r/.git");
    make_folder("r/a");
    make_folder("r/a/b");
    make_folder("r/a/b/d");
    walk_all(KBS_REPOSITORY, "r");
    assert_string_equal(buf_str(&seen), "resource a/b/c ! it is no regular file\n"
                        "resource .git ! it is a hidden folder\n"
                        "resource a/b/d ! it is a folder; a value is expected here\n");
    assert_fails(import_files_walk(dir, in("none"), KBS_REPOSITORY, &walk), ERR_NOTFOUND);
    assert_fails(import_files_walk(in("none"), in("none"), KBS_REPOSITORY, &walk), ERR_NOTFOUND);
    assert_fails(import_files_walk(dir, in("r/a\\x2Fb\\x2Fc"), KBS_REPOSITORY, &walk), ERR_USAGE);
}

static void test_walk__json(void **state)
{
    make("repository", "{\"a/b/c\":\"b25l\",\"x\":\"b25l\",\"d/e/f\":\"b25=\"}");
    walk_all(KBS_REPOSITORY, "repository");
    assert_saw("resource a/b/c = one\n");
    assert_saw("resource x ! ");
    assert_saw("resource d/e/f ! its value is no base64url");
    make("kbs", "{\"resource-policy.rego\":\"b25l\",");
    walk_all(KBS_POLICIES, "kbs");
    assert_saw("policy kbs ! byte 31: ");
    assert_false(saw(" = one"));
}

/* The KBS takes the last; which one is meant nobody can say. Names are compared as they are decoded. */
static void test_walk__json_names_that_stand_twice(void **state)
{
    make("repository", "{\"a/b/c\":\"b25l\",\"d/e/f\":\"b25l\",\"a/b\\u002fc\":\"dHdv\","
         "\"g/h/i\":\"b25l\",\"g/h/i\":5,\"a/b\":\"b25l\",\"a/b/c\":\"b25l\"}");
    char twice[600];
    for (unsigned values = 0; values <= 1; values++) {
        const struct import_walk either = {.values = values, .visit = collect};
        buf_reset(&seen);
        assert_ok(import_files_walk(dir, in("repository"), KBS_REPOSITORY, &either));
        snprintf(twice, sizeof twice, "resource a/b/c ! it stands twice in %s\n", in("repository"));
        assert_int_equal(strncmp(buf_str(&seen), twice, strlen(twice)), 0);
        const char *again = strstr(buf_str(&seen) + 1, twice);
        assert_non_null(again);
        assert_non_null(strstr(again + 1, twice));
        assert_saw(values ? "resource d/e/f = one\n" : "resource d/e/f\n");
        assert_saw("resource g/h/i ! it stands twice in ");
        assert_saw("resource g/h/i ! its value is no text");
        assert_false(saw("a/b/c ="));
        assert_false(saw("g/h/i ="));
    }
}

static err_t stop(void *arg, const struct import_item *item)
{
    (void) arg, (void) item;
    FAIL(ERR_USAGE, "that is enough");
}

/* An error of the visitor is none of an entry's. */
static void test_walk__visitors_end_it(void **state)
{
    const struct import_walk stopping = {.visit = stop};
    make_folder("r");
    make_folder("r/a");
    make_folder("r/a/b");
    make("r/a/b/c", "x");
    make("json", "{\"a\":\"\"}");
    assert_fails_with(import_files_walk(dir, in("r"), KBS_REPOSITORY, &stopping), ERR_USAGE, "enough");
    assert_fails_with(import_files_walk(dir, in("json"), KBS_REPOSITORY, &stopping), ERR_USAGE,
                      "enough");
}

static void test_walk__too_many_names(void **state)
{
    char name[40];
    make_folder("r");
    for (unsigned i = 0; i < IMPORT_MAX_ENTRIES; i++) {
        snprintf(name, sizeof name, "r/%u", i);
        make(name, "");
    }
    walk_all(KBS_REPOSITORY, "r");
    make("r/more", "");
    assert_fails(import_files_walk(dir, in("r"), KBS_REPOSITORY, &walk), ERR_TOOLARGE);
}

static void test_offer__one_file(void **state)
{
    make("policy.rego", "package policy");
    assert_ok(import_file_offer(in("policy.rego"), KBS_POLICIES, "resource-policy.rego", &walk));
    assert_string_equal(buf_str(&seen), "policy resource-policy = package policy\n");
    assert_fails(import_file_offer(in("none"), KBS_POLICIES, "resource-policy.rego", &walk),
                 ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_walk__flat_before_nested_in_order),
        IN_DIR(test_walk__only_the_repository_nests),
        IN_DIR(test_walk__links),
        IN_DIR(test_walk__neighbours_are_outside),
        IN_DIR(test_walk__what_is_no_file),
        IN_DIR(test_walk__json),
        IN_DIR(test_walk__json_names_that_stand_twice),
        IN_DIR(test_walk__visitors_end_it),
        IN_DIR(test_walk__too_many_names),
        IN_DIR(test_offer__one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
