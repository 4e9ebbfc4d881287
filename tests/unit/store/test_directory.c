#include "tests/unit/store/directory_root.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static struct directory *d;
static const struct p11_beside *b;

static struct err open_as(bool writable)
{
    struct directory_config config = {.path = where, .writable = writable};
    assert_ok(directory_new(&config, &d));
    b = directory_beside(d);
    return b->begin(b->arg);
}

static void shut(void)
{
    directory_free(TAKE_PTR(d));
}

static int setup(void **state)
{
    if (root_setup(state)) return -1;
    return err_ok(open_as(true)) ? 0 : -1;
}

static int teardown(void **state)
{
    shut();
    return root_teardown(state);
}

static uint64_t put(const char *label, const char *value)
{
    uint64_t handle = 0;
    assert_ok(b->create(b->arg, label, span_str(value), &handle));
    return handle;
}

static void assert_is(uint64_t handle, const char *value)
{
    struct buf bytes = BUF_INIT;
    assert_ok(b->read(b->arg, handle, &bytes));
    assert_span(buf_span(&bytes), value);
    buf_free(&bytes);
}

/* What a scan shows, as text: "label=value;" in no order. */
static err_t note(void *arg, const struct p11_seen *seen)
{
    buf_addf(arg, "%s=%s%.*s;", seen->label, seen->unreadable ? "!" : "", (int) seen->value.len,
             seen->value.len ? (const char *) seen->value.data : "");
    return ERR_OK;
}

static bool scan_shows(const char *text)
{
    struct buf seen = BUF_INIT;
    assert_ok(b->scan(b->arg, true, note, &seen));
    bool shown = strstr(buf_str(&seen), text);
    buf_free(&seen);
    return shown;
}

static size_t scan_count(void)
{
    struct buf seen = BUF_INIT;
    size_t n = 0;
    assert_ok(b->scan(b->arg, false, note, &seen));
    for (size_t i = 0; i < seen.len; i++) n += seen.data[i] == ';';
    buf_free(&seen);
    return n;
}

static void test_objects__live(void **state)
{
    uint64_t found[4] = {0};
    size_t n = 0;
    uint64_t one = put("a/b/c", "one"), two = put("a/b/c", "two"), other = put("a/b/d", "other");
    assert_true(one != two);
    assert_ok(b->find(b->arg, "a/b/c", found, 4, &n));
    assert_int_equal(n, 2);
    assert_ok(b->find(b->arg, "a/b/c", found, 1, &n));
    assert_int_equal(n, 1);
    assert_ok(b->find(b->arg, "a/b", found, 4, &n));
    assert_int_equal(n, 0);
    assert_is(one, "one");
    assert_int_equal(scan_count(), 3);
    assert_ok(b->destroy(b->arg, one));
    assert_fails(b->destroy(b->arg, one), ERR_NOTFOUND);
    struct buf bytes = BUF_INIT;
    assert_fails(b->read(b->arg, one, &bytes), ERR_NOTFOUND);
    assert_true(scan_shows("a/b/c=two;") && scan_shows("a/b/d=other;"));
    /* handles are good for ever: after a restart, too */
    shut();
    assert_ok(open_as(true));
    assert_is(two, "two");
    assert_is(other, "other");
    buf_free(&bytes);
}

/* What cannot be read back is not acknowledged, and not found later. */
static void test_create__reads_back(void **state)
{
    struct buf large = {.max = ENVELOPE_MAX + 2};
    uint64_t handle = 0;
    memset(buf_extend(&large, ENVELOPE_MAX + 2), 'x', ENVELOPE_MAX + 2);
    struct err e = b->create(b->arg, "a/b/c", buf_span(&large), &handle);
    buf_free(&large);
    assert_fails_with(e, ERR_DAMAGED, "reading back");
    assert_int_equal(scan_count(), 0);
}

/* A long label is cut into folders: the rest may look like anything. */
static void test_objects__whatever_a_long_label_is_cut_into(void **state)
{
    static const char *const RESTS[] = {".tmp-key", ".", "..", ".env", "lock"};
    for (size_t i = 0; i < sizeof RESTS / sizeof *RESTS; i++) {
        char label[P11_LABEL_MAX];
        snprintf(label, sizeof label, "a/b/%0196d%s", 0, RESTS[i]);
        uint64_t handle = put(label, RESTS[i]), found[2];
        size_t n = 0;
        assert_is(handle, RESTS[i]);
        assert_ok(b->find(b->arg, label, found, 2, &n));
        assert_int_equal(n, 1);
        assert_int_equal(scan_count(), 1);
        assert_ok(b->destroy(b->arg, handle));
        assert_int_equal(scan_count(), 0);
    }
}

/* A writer that was killed left it. */
static void test_scan__empty_folders(void **state)
{
    char path[256];
    put("a/b/c", "value");
    snprintf(path, sizeof path, "%s/%02x/left", where, directory_bucket("a/b/c"));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(scan_shows("a/b/c=value;"));
    assert_int_equal(scan_count(), 1);
}

static void test_scan__foreign_and_unreadable_files(void **state)
{
    char path[256], folder[256];
    put("a/b/c", "value");
    put_file(where, "README", "of an administrator");
    snprintf(folder, sizeof folder, "%s/%02x", where, directory_bucket("a/b/c"));
    put_file(folder, "core", "dump");
    assert_true(scan_shows("strongroom:foreign-file:README=;"));
    assert_true(scan_shows("/core=;"));
    assert_int_equal(scan_count(), 3);
    /* one of ours that cannot be read may be the newest of its name: it is shown */
    uint64_t handle = put("a/b/d", "x");
    struct buf name = BUF_INIT;
    assert_ok(directory_path_make("a/b/d", handle, &name));
    snprintf(path, sizeof path, "%s/%s", where, buf_str(&name));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_true(scan_shows("a/b/d=!;"));
    buf_free(&name);
}

static void test_epoch__written_and_read(void **state)
{
    char epoch[P11_EPOCH_TEXT];
    assert_fails(b->epoch_read(b->arg, epoch), ERR_NOTFOUND);
    assert_ok(b->epoch_write(b->arg, "strongroom:epoch:0123"));
    assert_ok(b->epoch_read(b->arg, epoch));
    assert_string_equal(epoch, "strongroom:epoch:0123");
    static const char *const BAD[] = {"", "something else", "strongroom:epoch:0123456789012345678901234567890123456789012345678901234567890"};
    for (size_t i = 0; i < 3; i++) {
        put_file(where, "epoch", BAD[i]);
        assert_fails(b->epoch_read(b->arg, epoch), ERR_NOTFOUND);
    }
}

static void test_begin__one_writer_many_readers(void **state)
{
    struct directory *second = NULL;
    struct directory_config config = {.path = where, .writable = true};
    assert_ok(directory_new(&config, &second));
    const struct p11_beside *x = directory_beside(second);
    assert_fails_with(x->begin(x->arg), ERR_CONFLICT, "another program writes");
    directory_free(second);
    config.writable = false;
    assert_ok(directory_new(&config, &second));
    x = directory_beside(second);
    assert_ok(x->begin(x->arg));
    uint64_t handle = put("a/b/c", "value");
    struct buf bytes = BUF_INIT;
    assert_ok(x->read(x->arg, handle, &bytes));
    assert_span(buf_span(&bytes), "value");
    buf_free(&bytes);
    directory_free(second);
}

static void test_begin__refuses(void **state)
{
    bool used = false;
    assert_ok(b->in_use(b->arg, &used));
    assert_true(used);
    shut();
    assert_int_equal(chmod(where, 0722), 0);
    assert_fails_with(open_as(true), ERR_USAGE, "chmod 700");
    shut();
    assert_int_equal(chmod(where, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(where, 4711, 0), 0);
        assert_fails_with(open_as(true), ERR_USAGE, "belongs to user 4711");
        shut();
        assert_int_equal(chown(where, 0, 0), 0);
    }
    put_file(where, DIRECTORY_MARK, "Strongroom envelopes 2\n");
    assert_fails_with(open_as(true), ERR_USAGE, "newer Strongroom");
    shut();
    snprintf(where, sizeof where, "%s/other", base);
    assert_fails_with(open_as(false), ERR_USAGE, "the token's writer begins");
    assert_ok(b->in_use(b->arg, &used));
    assert_false(used);
    shut();
    struct directory_config relative = {.path = "envelopes", .writable = true};
    assert_fails_with(directory_new(&relative, &d), ERR_USAGE, "full path");
}

/* Gone, or an empty mount point: never "there is nothing". */
static void test_root__gone(void **state)
{
    char elsewhere[128], epoch[P11_EPOCH_TEXT];
    uint64_t handle = put("a/b/c", "value"), found[1];
    struct buf bytes = BUF_INIT;
    size_t n = 0;
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", base);
    assert_int_equal(rename(where, elsewhere), 0);
    for (int empty = 0; empty < 2; empty++) {
        if (empty) assert_int_equal(mkdir(where, 0700), 0);
        assert_fails(b->read(b->arg, handle, &bytes), ERR_TOKEN_DOWN);
        assert_fails(b->create(b->arg, "a/b/d", SPAN_LIT("x"), &handle), ERR_TOKEN_DOWN);
        assert_fails(b->find(b->arg, "a/b/c", found, 1, &n), ERR_TOKEN_DOWN);
        assert_fails(b->scan(b->arg, true, note, &bytes), ERR_TOKEN_DOWN);
        assert_fails(b->epoch_read(b->arg, epoch), ERR_TOKEN_DOWN);
        assert_fails(b->epoch_write(b->arg, "strongroom:epoch:1"), ERR_TOKEN_DOWN);
    }
    assert_int_equal(rmdir(where), 0);
    assert_int_equal(rename(elsewhere, where), 0);
    assert_is(handle, "value");
    buf_free(&bytes);
}

/* A writer that is killed at any moment: what it said it had done is there, whole. */
static void writer_child(int said)
{
    shut();
    if (!err_ok(open_as(true))) _exit(2);
    uint64_t before = 0;
    for (unsigned i = 1;; i++) {
        char value[4096];
        uint64_t handle = 0;
        memset(value, 'v', sizeof value);
        snprintf(value, 16, "%08u", i);
        if (!err_ok(b->create(b->arg, "a/b/c", span_of(value, sizeof value), &handle))) _exit(3);
        if (before && !err_ok(b->destroy(b->arg, before))) _exit(4);
        before = handle;
        if (write(said, &i, sizeof i) != sizeof i) _exit(0);
    }
}

static err_t newest(void *arg, const struct p11_seen *seen)
{
    unsigned *best = arg, i = 0;
    if (strcmp(seen->label, "a/b/c") != 0) return ERR_OK;
    assert_int_equal(seen->value.len, 4096);
    assert_int_equal(sscanf((const char *) seen->value.data, "%u", &i), 1);
    if (i > *best) *best = i;
    return ERR_OK;
}

static void test_kill__nothing_acknowledged_is_lost(void **state)
{
    for (unsigned round = 0; round < 25; round++) {
        int said[2];
        unsigned last = 0, got = 0, best = 0;
        shut();
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        if (child == 0) writer_child(said[1]);
        close(said[1]);
        while (last < 1 + round % 7 && read(said[0], &got, sizeof got) == sizeof got) last = got;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(said[0], &got, sizeof got) == sizeof got) last = got;
        close(said[0]);
        assert_true(last > 0);
        assert_ok(open_as(true));
        assert_ok(b->scan(b->arg, true, newest, &best));
        assert_true(best == last || best == last + 1);
        uint64_t found[4];
        size_t n = 0;
        assert_ok(b->find(b->arg, "a/b/c", found, 4, &n));
        for (size_t i = 0; i < n; i++) assert_ok(b->destroy(b->arg, found[i]));
        assert_int_equal(scan_count(), 0); /* no half-made file counts */
    }
}

/* Readers beside a writer that replaces: there is always one, whole. */
static bool stop;
static char replaced[P11_LABEL_MAX];

static void *replace(void *arg)
{
    uint64_t before = *(uint64_t *) arg;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        uint64_t handle = put(replaced, "value");
        assert_ok(b->destroy(b->arg, before));
        before = handle;
    }
    return NULL;
}

static void scan_beside_a_writer(int scans)
{
    pthread_t writer;
    char expected[P11_LABEL_MAX + 8];
    uint64_t first = put(replaced, "value");
    snprintf(expected, sizeof expected, "%s=value;", replaced);
    stop = false;
    assert_int_equal(pthread_create(&writer, NULL, replace, &first), 0);
    for (int i = 0; i < scans; i++) {
        struct buf seen = BUF_INIT;
        struct err e = b->scan(b->arg, true, note, &seen);
        if (e.code != ERR_BUSY) {
            assert_ok(e);
            assert_non_null(strstr(buf_str(&seen), expected));
            assert_null(strstr(buf_str(&seen), "foreign"));
        }
        buf_free(&seen);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(writer, NULL);
}

static void test_scan__beside_a_writer(void **state)
{
    snprintf(replaced, sizeof replaced, "a/b/c");
    scan_beside_a_writer(50);
}

/* A label that is cut at the number: each version lies in a folder of its own, which comes and goes with it. */
static void test_scan__beside_a_writer_of_folders(void **state)
{
    snprintf(replaced, sizeof replaced, "a/b/%0186d", 0);
    scan_beside_a_writer(200);
}

#define D(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        D(test_objects__live),
        D(test_create__reads_back),
        D(test_objects__whatever_a_long_label_is_cut_into),
        D(test_scan__empty_folders),
        D(test_scan__foreign_and_unreadable_files),
        D(test_epoch__written_and_read),
        D(test_begin__one_writer_many_readers),
        D(test_begin__refuses),
        D(test_root__gone),
        D(test_kill__nothing_acknowledged_is_lost),
        D(test_scan__beside_a_writer),
        D(test_scan__beside_a_writer_of_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
