#include "broker/store/manifest_note.h"
#include "tests/lib/softhsm.h"
#include "tests/lib/test.h"

#include <sys/stat.h>
#include <unistd.h>

static struct softhsm place; /* its directory alone */
static char path[300];

static int setup(void **state)
{
    if (softhsm_start(&place, NULL) != 0) return -1;
    snprintf(path, sizeof path, "%.250s/note", place.dir);
    return 0;
}

static int teardown(void **state)
{
    return softhsm_stop(&place);
}

static void test_manifest_note__round_trip(void **state)
{
    struct manifest_note n = {.known = UINT64_MAX, .lost_known = 60, .lost_found = 50}, read = {0};
    struct stat st;
    assert_ok(manifest_note_write(path, &n));
    assert_ok(manifest_note_read(path, &read));
    assert_true(read.known == n.known);
    assert_int_equal(read.lost_known, 60);
    assert_int_equal(read.lost_found, 50);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    unlink(path);
}

static void test_manifest_note__none_and_nowhere(void **state)
{
    struct manifest_note n = {.known = 5};
    assert_ok(manifest_note_read(path, &n));
    assert_int_equal(n.known, 0);
    assert_ok(manifest_note_write(NULL, &n));
    assert_ok(manifest_note_read(NULL, &n));
}

static void test_manifest_note_read__refuses_all_else(void **state)
{
    static const char *const texts[] = {
        "", "known 1\n", "strongroom-manifest-note 2\nknown 1\nlost-known 0\nlost-found 0\n",
        "strongroom-manifest-note 1\nknown 1\nlost-known 0\n",
        "strongroom-manifest-note 1\nknown -1\nlost-known 0\nlost-found 0\n",
        "strongroom-manifest-note 1\nknown 99999999999999999999\nlost-known 0\nlost-found 0\n",
        "strongroom-manifest-note 1\nknown 1\nlost-known 0\nlost-found 0\nmore\n",
        "strongroom-manifest-note 1\nknown 1\nlost-known 0\nlost-found 0",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct manifest_note n;
        assert_int_equal(softhsm_write(&place, "note", texts[i], 0600, path, sizeof path), 0);
        assert_fails_with(manifest_note_read(path, &n), ERR_DAMAGED, "no note");
        assert_int_equal(n.known, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_note__none_and_nowhere),
        cmocka_unit_test(test_manifest_note__round_trip),
        cmocka_unit_test(test_manifest_note_read__refuses_all_else),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
