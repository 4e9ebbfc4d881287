#include "tests/unit/store/directory_root.h"

#include <sys/resource.h>

static struct err write_at(int root, const char *path, struct span value, bool replace)
{
    struct directory_write w = {path, value, replace, true};
    return directory_file_write(root, &w);
}

static void test_write__makes_folders_and_modes(void **state)
{
    int root = root_open();
    struct stat st;
    struct buf b = BUF_INIT;
    assert_ok(write_at(root, "3f/abc/def~1.env", SPAN_LIT("value"), false));
    assert_int_equal(fstatat(root, "3f/abc/def~1.env", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fstatat(root, "3f/abc", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_ok(directory_file_read(root, "3f/abc/def~1.env", &b));
    assert_span(buf_span(&b), "value");
    /* never over another, unless that is meant */
    assert_fails(write_at(root, "3f/abc/def~1.env", SPAN_LIT("other"), false), ERR_TOKEN_DOWN);
    assert_ok(write_at(root, "3f/abc/def~1.env", SPAN_LIT("other"), true));
    buf_reset(&b);
    assert_ok(directory_file_read(root, "3f/abc/def~1.env", &b));
    assert_span(buf_span(&b), "other");
    buf_free(&b);
    close(root);
}

static void test_remove__takes_empty_folders_but_the_bucket(void **state)
{
    int root = root_open();
    assert_ok(write_at(root, "3f/abc/one", SPAN_LIT("1"), false));
    assert_ok(write_at(root, "3f/abc/two", SPAN_LIT("2"), false));
    assert_ok(directory_file_remove(root, "3f/abc/one"));
    assert_int_equal(faccessat(root, "3f/abc/two", F_OK, 0), 0);
    assert_ok(directory_file_remove(root, "3f/abc/two"));
    assert_int_equal(faccessat(root, "3f/abc", F_OK, 0), -1);
    assert_int_equal(faccessat(root, "3f", F_OK, 0), 0);
    assert_fails(directory_file_remove(root, "3f/abc/two"), ERR_NOTFOUND);
    close(root);
}

static void test_read__what_is_no_file_of_ours(void **state)
{
    int root = root_open();
    struct buf b = {.max = ENVELOPE_MAX + 1};
    assert_fails(directory_file_read(root, "nothing", &b), ERR_NOTFOUND);
    assert_int_equal(mkdirat(root, "folder", 0700), 0);
    assert_int_equal(symlinkat("/etc/passwd", root, "link"), 0);
    assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
    static const char *const ODD[] = {"folder", "link", "fifo"};
    for (size_t i = 0; i < 3; i++) assert_fails(directory_file_read(root, ODD[i], &b), ERR_DAMAGED);
    assert_int_equal(b.len, 0);
    buf_free(&b);
    close(root);
}

/* A process without descriptors says nothing of a file. */
static void test_read__no_descriptor_left(void **state)
{
    int root = root_open();
    struct buf b = BUF_INIT;
    struct rlimit before, now;
    put_file(base, "file", "value");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t) root + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    struct err e = directory_file_read(root, "file", &b);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(e.code, ERR_TOKEN_DOWN);
    assert_ok(directory_file_read(root, "file", &b));
    buf_free(&b);
    close(root);
}

static void test_read__limit(void **state)
{
    int root = root_open(), fd = openat(root, "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct buf b = {.max = ENVELOPE_MAX + 1};
    assert_int_equal(ftruncate(fd, ENVELOPE_MAX), 0);
    assert_ok(directory_file_read(root, "big", &b));
    assert_int_equal(b.len, ENVELOPE_MAX);
    assert_int_equal(ftruncate(fd, ENVELOPE_MAX + 1), 0);
    buf_reset(&b);
    assert_fails(directory_file_read(root, "big", &b), ERR_DAMAGED);
    buf_free(&b);
    close(fd);
    close(root);
}

static bool listed(const struct listing *l, const char *path)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->at[i], path) == 0) return true;
    return false;
}

static void test_listing__bucket_and_root(void **state)
{
    int root = root_open();
    struct listing l = {0};
    assert_ok(listing_read(root, 0x3f, &l)); /* there is none */
    assert_int_equal(l.n, 0);
    assert_ok(write_at(root, "3f/one", SPAN_LIT("1"), false));
    assert_ok(write_at(root, "3f/a/b/c/d/e/f/g/h", SPAN_LIT("deep"), false));
    put_file(base, "3f/.tmp-1", "");
    put_file(base, ".tmp-2", "");
    put_file(base, "README", "");
    put_file(base, "epoch", "");
    assert_int_equal(mkdirat(root, "3g", 0700), 0);
    assert_int_equal(mkdirat(root, "3F", 0700), 0);
    assert_ok(listing_read(root, 0x3f, &l));
    assert_int_equal(l.n, 3);
    assert_true(listed(&l, "3f/one"));
    assert_true(listed(&l, "3f/.tmp-1")); /* files that are not done lie in the root alone */
    assert_true(listed(&l, "3f/a/b/c/d/e/f")); /* deeper than any of ours: as a whole */
    listing_free(&l);
    assert_ok(listing_read_root(root, &l));
    assert_int_equal(l.n, 3);
    assert_true(listed(&l, "README") && listed(&l, "3g") && listed(&l, "3F"));
    listing_free(&l);
    directory_sweep(root);
    assert_int_equal(faccessat(root, ".tmp-2", F_OK, 0), -1);
    assert_int_equal(faccessat(root, "README", F_OK, 0), 0);
    close(root);
}

#define ROOT(test) cmocka_unit_test_setup_teardown(test, root_setup, root_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOT(test_write__makes_folders_and_modes),
        ROOT(test_remove__takes_empty_folders_but_the_bucket),
        ROOT(test_read__what_is_no_file_of_ours),
        ROOT(test_read__no_descriptor_left),
        ROOT(test_read__limit),
        ROOT(test_listing__bucket_and_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
