/* Each test in a folder of its own, with a space in its name. */
#include "broker/base/file.h"
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char dir[128];

/* What became of a file, in order: s synced, S the folder synced, r renamed. Each stands before the C library's. */
static char steps[8];

static void step(char what)
{
    size_t n = strlen(steps);
    if (n + 1 < sizeof steps) steps[n] = what;
}

int fsync(int fd)
{
    struct stat st;
    step(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'S' : 's');
    return (int) syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    step('r');
    return (int) syscall(SYS_rename, from, to);
}

static int make_dir(void **state)
{
    snprintf(dir, sizeof dir, "%s/file test XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    umask(022);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static int remove_dir(void **state)
{
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* dir/name; the last four stay valid. */
static const char *in(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void make(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(in(name), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(in(name), mode), 0);
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(in(name), &st), 0);
    return (unsigned) st.st_mode & 07777;
}

static size_t entries(void)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void assert_file(const char *name, const char *text)
{
    struct buf b = BUF_INIT;
    assert_ok(file_read(in(name), 65536, &b));
    assert_span(buf_span(&b), text);
    buf_free(&b);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void test_file_read__limit_at_and_beyond(void **state)
{
    struct buf b = BUF_INIT;
    make("f", "12345678", 0644);
    assert_ok(file_read(in("f"), 8, &b));
    assert_span(buf_span(&b), "12345678");
    buf_reset(&b);
    assert_fails_with(file_read(in("f"), 7, &b), ERR_TOOLARGE, "limit of 7 bytes");
    assert_int_equal(b.len, 0); /* results only on success */
    buf_free(&b);
}

static void test_file_read__appends_and_takes_empty_files(void **state)
{
    struct buf b = BUF_INIT;
    make("empty", "", 0644);
    make("f", "more", 0644);
    buf_add_str(&b, "some ");
    assert_ok(file_read(in("empty"), 8, &b));
    assert_ok(file_read(in("f"), 8, &b));
    assert_span(buf_span(&b), "some more");
    buf_free(&b);
}

static void test_file_read__more_than_one_block(void **state)
{
    struct buf b = BUF_INIT, whole = BUF_INIT;
    memset(buf_extend(&b, 100000), 'x', 100000);
    b.data[99999] = 'e';
    assert_ok(file_write_atomic(in("big"), buf_span(&b), 0644));
    assert_ok(file_read(in("big"), 100000, &whole));
    assert_true(span_eq(buf_span(&b), buf_span(&whole)));
    buf_free(&b);
    buf_free(&whole);
}

static void test_file_read__what_is_no_file(void **state)
{
    struct buf b = BUF_INIT;
    assert_fails_with(file_read(in("none"), 8, &b), ERR_NOTFOUND, in("none"));
    make("f", "x", 0644);
    assert_fails(file_read(in("f/below"), 8, &b), ERR_NOTFOUND);
    assert_fails_with(file_read(dir, 8, &b), ERR_USAGE, "not a regular file");
    assert_fails_with(file_read("/dev/zero", 8, &b), ERR_USAGE, "not a regular file");
    assert_int_equal(mkfifo(in("fifo"), 0600), 0);
    assert_fails_with(file_read(in("fifo"), 8, &b), ERR_USAGE, "not a regular file"); /* no wait */
    assert_int_equal(symlink("loop", in("loop")), 0);
    assert_fails(file_read(in("loop"), 8, &b), ERR_USAGE);
    buf_free(&b);
}

/* ---- secret files --------------------------------------------------------------------------- */

static void assert_secret(const char *path, const char *text)
{
    struct secret *s = NULL;
    assert_ok(file_read_secret(path, 64, &s));
    assert_span(secret_span(s), text);
    secret_free(s);
}

static void test_file_read_secret__modes(void **state)
{
    static const struct { mode_t mode; bool good; } rows[] = {
        {0600, true}, {0400, true}, {0700, true}, {0644, false}, {0640, false}, {0604, false},
        {0620, false}, {0601, false}, {0666, false},
    };
    make("pin", "1234", 0600);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct secret *s = NULL;
        assert_int_equal(chmod(in("pin"), rows[i].mode), 0);
        if (rows[i].good) {
            assert_secret(in("pin"), "1234");
            continue;
        }
        char wanted[300];
        snprintf(wanted, sizeof wanted, "mode %04o); run: chmod 600 %s", rows[i].mode, in("pin"));
        assert_fails_with(file_read_secret(in("pin"), 64, &s), ERR_USAGE, wanted);
        assert_null(s);
    }
}

static void test_file_read_secret__links_are_followed_and_their_target_judged(void **state)
{
    struct secret *s = NULL;
    make("good", "1234", 0600);
    make("open", "1234", 0644);
    assert_int_equal(symlink("good", in("to good")), 0);
    assert_int_equal(symlink("open", in("to open")), 0);
    assert_int_equal(symlink("gone", in("to nothing")), 0);
    assert_secret(in("to good"), "1234");
    assert_fails_with(file_read_secret(in("to open"), 64, &s), ERR_USAGE, "chmod 600");
    assert_fails(file_read_secret(in("to nothing"), 64, &s), ERR_NOTFOUND);
}

static void test_file_read_secret__what_is_no_file(void **state)
{
    struct secret *s = NULL;
    assert_fails_with(file_read_secret(in("none"), 64, &s), ERR_NOTFOUND, in("none"));
    assert_fails_with(file_read_secret(dir, 64, &s), ERR_USAGE, "not a regular file");
}

static void test_file_read_secret__limit_at_and_beyond(void **state)
{
    struct secret *s = NULL;
    make("pin", "12345678", 0600);
    assert_ok(file_read_secret(in("pin"), 8, &s));
    assert_int_equal(secret_len(s), 8);
    secret_free(s);
    s = NULL;
    assert_fails_with(file_read_secret(in("pin"), 7, &s), ERR_TOOLARGE, in("pin"));
    assert_null(s);
    make("empty", "", 0600);
    assert_secret(in("empty"), "");
}

static void test_file_read_secret__of_another_user(void **state)
{
    struct secret *s = NULL;
    if (geteuid() != 0) skip(); /* only root can give a file away */
    make("pin", "1234", 0600);
    assert_int_equal(chown(in("pin"), 12345, (gid_t) -1), 0);
    assert_fails_with(file_read_secret(in("pin"), 64, &s), ERR_USAGE, "user 12345");
}

static void test_file_read__without_the_right(void **state)
{
    struct buf b = BUF_INIT;
    if (geteuid() == 0) skip(); /* root may read everything */
    make("f", "x", 0);
    assert_fails_with(file_read(in("f"), 8, &b), ERR_USAGE, "Permission denied");
}

/* ---- descriptors ---------------------------------------------------------------------------- */

struct feed {
    int fd;
    size_t len;
};

static void *feed_in_pieces(void *arg)
{
    struct feed *f = arg;
    for (size_t i = 0; i < f->len; i += 8)
        if (write(f->fd, "abcdefgh", f->len - i < 8 ? f->len - i : 8) <= 0) break;
    close(f->fd);
    return NULL;
}

/* `len` bytes in pieces through a pipe, read with this limit. */
static struct err through_pipe(size_t len, size_t max, struct secret **ret)
{
    int ends[2];
    pthread_t thread;
    assert_int_equal(pipe(ends), 0);
    struct feed feed = {ends[1], len};
    assert_int_equal(pthread_create(&thread, NULL, feed_in_pieces, &feed), 0);
    struct err e = file_read_fd_secret(ends[0], max, ret);
    while (read(ends[0], (char[4096]){0}, 4096) > 0); /* so that the writer ends */
    pthread_join(thread, NULL);
    close(ends[0]);
    return e;
}

static void test_file_read_fd_secret__sizes_around_its_blocks(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 8193, 20000};
    size_t used = secret_used();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct secret *s = NULL;
        assert_ok(through_pipe(sizes[i], 20000, &s));
        assert_int_equal(secret_len(s), sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(secret_data(s)[k], "abcdefgh"[k % 8]);
        secret_free(s);
    }
    assert_int_equal(secret_used(), used);
}

static void test_file_read_fd_secret__limit_at_and_beyond(void **state)
{
    static const size_t limits[] = {1, 100, 4096, 5000, 8192};
    size_t used = secret_used();
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct secret *s = NULL;
        assert_ok(through_pipe(limits[i], limits[i], &s));
        assert_int_equal(secret_len(s), limits[i]);
        secret_free(s);
        s = NULL;
        assert_fails(through_pipe(limits[i] + 1, limits[i], &s), ERR_TOOLARGE);
        assert_null(s);
    }
    assert_int_equal(secret_used(), used);
}

/* Whether there is more cannot be known: that must not pass for the end. */
static void test_file_read_fd_secret__an_error_at_the_limit(void **state)
{
    int ends[2];
    struct secret *s = NULL;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(write(ends[1], "12345678", 8), 8);
    assert_fails(file_read_fd_secret(ends[0], 8, &s), ERR_INTERNAL);
    assert_null(s);
    close(ends[0]);
    close(ends[1]);
}

static void test_file_read_fd_secret__a_closed_descriptor(void **state)
{
    struct secret *s = NULL;
    assert_fails_with(file_read_fd_secret(-1, 8, &s), ERR_INTERNAL, "Bad file descriptor");
}

struct written {
    int fd;
    struct span data;
    struct err result;
};

static void *write_and_close(void *arg)
{
    struct written *w = arg;
    w->result = file_write_all(w->fd, w->data);
    close(w->fd);
    return NULL;
}

static void test_file_write_all__more_than_a_pipe_holds(void **state)
{
    int ends[2];
    pthread_t thread;
    struct buf b = BUF_INIT;
    struct secret *s = NULL;
    memset(buf_extend(&b, 300000), 'y', 300000);
    assert_int_equal(pipe(ends), 0);
    struct written w = {ends[1], buf_span(&b), ERR_OK};
    assert_int_equal(pthread_create(&thread, NULL, write_and_close, &w), 0);
    struct err e = file_read_fd_secret(ends[0], 300000, &s);
    pthread_join(thread, NULL);
    assert_ok(e);
    assert_ok(w.result);
    assert_true(span_eq(secret_span(s), buf_span(&b)));
    secret_free(s);
    buf_free(&b);
    close(ends[0]);
}

static void test_file_write_all__full_disk(void **state)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd < 0) skip();
    assert_fails_with(file_write_all(fd, SPAN_LIT("x")), ERR_INTERNAL, "No space left");
    assert_ok(file_write_all(fd, span_of(NULL, 0)));
    close(fd);
}

/* ---- writing -------------------------------------------------------------------------------- */

static void test_file_write_atomic__creates_and_replaces(void **state)
{
    assert_ok(file_write_atomic(in("f"), SPAN_LIT("one"), 0600));
    assert_file("f", "one");
    assert_int_equal(mode_of("f"), 0600);
    assert_ok(file_write_atomic(in("f"), SPAN_LIT("two, longer"), 0644));
    assert_file("f", "two, longer");
    assert_int_equal(mode_of("f"), 0644); /* the given mode, whatever the umask */
    assert_ok(file_write_atomic(in("f"), span_of(NULL, 0), 0640));
    assert_file("f", "");
    assert_int_equal(entries(), 1);
}

/* After a power cut there is the old content or the new one, and none but the new one after it returned. */
static void test_file_write_atomic__durable_before_and_after_it_has_its_name(void **state)
{
    memset(steps, 0, sizeof steps);
    assert_ok(file_write_atomic(in("f"), SPAN_LIT("one"), 0600));
    assert_string_equal(steps, "srS");
}

static void test_file_write_atomic__who_reads_keeps_the_old_file(void **state)
{
    char text[8] = {0};
    make("f", "old", 0600);
    int fd = open(in("f"), O_RDONLY | O_CLOEXEC);
    assert_ok(file_write_atomic(in("f"), SPAN_LIT("new"), 0600));
    assert_int_equal(read(fd, text, sizeof text), 3);
    assert_string_equal(text, "old");
    close(fd);
}

static void test_file_write_atomic__a_name_without_folder(void **state)
{
    char before[512];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(dir), 0);
    struct err e = file_write_atomic("bare", SPAN_LIT("x"), 0600);
    assert_int_equal(chdir(before), 0);
    assert_ok(e);
    assert_file("bare", "x");
}

static void test_file_write_atomic__failure_leaves_nothing(void **state)
{
    assert_int_equal(mkdir(in("folder"), 0700), 0);
    assert_int_equal(mkdir(in("folder/full"), 0700), 0);
    assert_fails_with(file_write_atomic(in("folder"), SPAN_LIT("x"), 0600), ERR_INTERNAL,
                      in("folder")); /* rename fails */
    assert_int_equal(entries(), 1);
    assert_fails_with(file_write_atomic(in("none/f"), SPAN_LIT("x"), 0600), ERR_USAGE, "none/f");
    assert_int_equal(entries(), 1);
}

static void test_file_write_output__what_is_no_file_stays(void **state)
{
    char target[256];
    snprintf(target, sizeof target, "%s", in("target"));
    assert_int_equal(symlink(target, in("link")), 0);
    assert_ok(file_write_output(in("link"), SPAN_LIT("one"), 0600));
    assert_file("target", "one");
    struct stat st;
    assert_int_equal(lstat(in("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(symlink("/dev/null", in("null")), 0);
    assert_ok(file_write_output(in("null"), SPAN_LIT("two"), 0600));
    assert_int_equal(mkfifo(in("pipe"), 0600), 0);
    int fd = open(in("pipe"), O_RDWR | O_CLOEXEC);
    assert_ok(file_write_output(in("pipe"), SPAN_LIT("three"), 0600));
    char text[8] = {0};
    assert_int_equal(read(fd, text, sizeof text), 5);
    assert_string_equal(text, "three");
    close(fd);
    assert_ok(file_write_output(in("f"), SPAN_LIT("four"), 0640));
    assert_file("f", "four");
    assert_int_equal(mode_of("f"), 0640);
    assert_fails_with(file_write_output(in("none/f"), SPAN_LIT("x"), 0600), ERR_USAGE, "none/f");
}

static void test_file_write_atomic__read_only_folder(void **state)
{
    if (geteuid() == 0) skip(); /* root may write everywhere */
    make("f", "old", 0600);
    assert_int_equal(chmod(dir, 0500), 0);
    struct err e = file_write_atomic(in("f"), SPAN_LIT("new"), 0600);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_fails(e, ERR_USAGE);
    assert_file("f", "old");
    assert_int_equal(entries(), 1);
}

/* ---- folders and paths ---------------------------------------------------------------------- */

static void test_file_make_dirs__makes_parents_and_leaves_what_exists(void **state)
{
    assert_int_equal(mkdir(in("a"), 0755), 0);
    assert_ok(file_make_dirs(in("a/b/c"), 0700));
    assert_int_equal(mode_of("a"), 0755);
    assert_int_equal(mode_of("a/b"), 0700);
    assert_int_equal(mode_of("a/b/c"), 0700);
    assert_ok(file_make_dirs(in("a/b/c"), 0755));
    assert_int_equal(mode_of("a/b/c"), 0700);
    assert_ok(file_make_dirs(in("a//d/"), 0700));
    assert_int_equal(mode_of("a/d"), 0700);
    assert_ok(file_make_dirs("/", 0700));
    assert_int_equal(symlink("a", in("link")), 0);
    assert_ok(file_make_dirs(in("link/e"), 0700));
    assert_int_equal(mode_of("a/e"), 0700);
}

static void test_file_make_dirs__a_file_in_the_way(void **state)
{
    make("f", "x", 0600);
    assert_fails_with(file_make_dirs(in("f"), 0700), ERR_USAGE, "is not a folder");
    assert_fails_with(file_make_dirs(in("f/below"), 0700), ERR_USAGE, "cannot create the folder");
}

static void test_file_make_dirs__no_name(void **state)
{
    assert_fails(file_make_dirs("", 0700), ERR_USAGE);
}

static void test_path_join__slashes(void **state)
{
    static const struct { const char *dir, *name, *path; } rows[] = {
        {"/a", "b", "/a/b"}, {"/a/", "b", "/a/b"}, {"/", "b", "/b"}, {"a", "b", "a/b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *path = NULL;
        assert_ok(path_join(rows[i].dir, rows[i].name, &path));
        assert_string_equal(path, rows[i].path);
        free(path);
    }
}

static int make_arena(void **state)
{
    return err_ok(secret_init(1 << 20, true, true)) ? 0 : -1;
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(test_file_read__limit_at_and_beyond),
        IN_DIR(test_file_read__appends_and_takes_empty_files),
        IN_DIR(test_file_read__more_than_one_block),
        IN_DIR(test_file_read__what_is_no_file),
        IN_DIR(test_file_read_secret__modes),
        IN_DIR(test_file_read_secret__links_are_followed_and_their_target_judged),
        IN_DIR(test_file_read_secret__what_is_no_file),
        IN_DIR(test_file_read_secret__limit_at_and_beyond),
        IN_DIR(test_file_read_secret__of_another_user),
        IN_DIR(test_file_read__without_the_right),
        IN_DIR(test_file_read_fd_secret__sizes_around_its_blocks),
        IN_DIR(test_file_read_fd_secret__limit_at_and_beyond),
        IN_DIR(test_file_read_fd_secret__an_error_at_the_limit),
        IN_DIR(test_file_read_fd_secret__a_closed_descriptor),
        IN_DIR(test_file_write_all__more_than_a_pipe_holds),
        IN_DIR(test_file_write_all__full_disk),
        IN_DIR(test_file_write_atomic__creates_and_replaces),
        IN_DIR(test_file_write_atomic__durable_before_and_after_it_has_its_name),
        IN_DIR(test_file_write_atomic__who_reads_keeps_the_old_file),
        IN_DIR(test_file_write_atomic__a_name_without_folder),
        IN_DIR(test_file_write_atomic__failure_leaves_nothing),
        IN_DIR(test_file_write_output__what_is_no_file_stays),
        IN_DIR(test_file_write_atomic__read_only_folder),
        IN_DIR(test_file_make_dirs__makes_parents_and_leaves_what_exists),
        IN_DIR(test_file_make_dirs__a_file_in_the_way),
        IN_DIR(test_file_make_dirs__no_name),
        IN_DIR(test_path_join__slashes),
    };
    return cmocka_run_group_tests(tests, make_arena, NULL);
}
