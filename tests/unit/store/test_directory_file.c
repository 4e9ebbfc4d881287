#include "tests/unit/store/directory_root.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* What was synced and named, in order: the last part of a path, "->" before a new name. These stand before the C
 * library's. */
static char steps[200];
static int sync_errno, write_errno;

static void step(const char *mark, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = strlen(steps);
    snprintf(steps + n, sizeof steps - n, "%s%s ", mark, slash ? slash + 1 : path);
}

int fsync(int fd)
{
    char link[40], path[200] = "";
    struct stat st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    step("", S_ISREG(st.st_mode) ? "file" : strcmp(path, base) == 0 ? "root" : path);
    errno = sync_errno;
    return sync_errno ? -1 : (int) syscall(SYS_fsync, fd);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    step("->", to);
    return (int) syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

ssize_t write(int fd, const void *data, size_t len)
{
    errno = write_errno;
    return write_errno ? -1 : (ssize_t) syscall(SYS_write, fd, data, len);
}

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

/* Each folder is durable before what lies in it, the value before it has its name, and the name at the end. */
static void test_write__durable_in_order(void **state)
{
    int root = root_open();
    memset(steps, 0, sizeof steps);
    assert_ok(write_at(root, "3f/abc/one", SPAN_LIT("1"), false));
    assert_string_equal(steps, "root 3f file ->one abc ");
    memset(steps, 0, sizeof steps);
    assert_ok(directory_file_remove(root, "3f/abc/one"));
    assert_string_equal(steps, "abc ");
    close(root);
}

/* A write that failed leaves no file, done or not, and says whose fault it is. */
static void test_write__no_room_and_no_rights(void **state)
{
    static const struct { int *code, is; enum err_class class; } ROWS[] = {
        {&write_errno, ENOSPC, ERR_FULL},     {&write_errno, EDQUOT, ERR_FULL},
        {&sync_errno, ENOSPC, ERR_FULL},      {&write_errno, EROFS, ERR_READONLY},
        {&write_errno, EACCES, ERR_READONLY}, {&sync_errno, EIO, ERR_TOKEN_DOWN},
    };
    int root = root_open();
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        *ROWS[i].code = ROWS[i].is;
        struct err e = write_at(root, "one", SPAN_LIT("1"), false);
        *ROWS[i].code = 0;
        assert_int_equal(e.code, ROWS[i].class);
        DIR *dir = opendir(base);
        size_t entries = 0;
        while (readdir(dir)) entries++;
        closedir(dir);
        assert_int_equal(entries, 2); /* the dots */
    }
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
        ROOT(test_write__durable_in_order),
        ROOT(test_write__no_room_and_no_rights),
        ROOT(test_remove__takes_empty_folders_but_the_bucket),
        ROOT(test_read__what_is_no_file_of_ours),
        ROOT(test_read__no_descriptor_left),
        ROOT(test_read__limit),
        ROOT(test_listing__bucket_and_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
