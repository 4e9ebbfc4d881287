#include "broker/store/directory_internal.h"
#include "tests/lib/test.h"

static uint64_t handle_of(const char *label)
{
    return (uint64_t) directory_bucket(label) << 56 | 0x123456789abcdeu;
}

static struct buf path_of(const char *label)
{
    struct buf path = BUF_INIT;
    assert_ok(directory_path_make(label, handle_of(label), &path));
    return path;
}

/* Both ways, and no component that a file system refuses. */
static void assert_there_and_back(const char *label)
{
    struct buf path = path_of(label);
    char back[P11_LABEL_MAX];
    uint64_t handle = 0;
    assert_true(directory_path_read(buf_str(&path), back, &handle));
    assert_string_equal(back, label);
    assert_true(handle == handle_of(label));
    size_t run = 0;
    for (const char *c = buf_str(&path); *c; c++) {
        run = *c == '/' ? 0 : run + 1;
        assert_true(run <= 200);
        assert_true(*c > ' ' && *c < 0x7f);
    }
    buf_free(&path);
}

static void test_path__reads_well(void **state)
{
    struct buf path = path_of("default/key/one");
    assert_non_null(strstr(buf_str(&path), "/default+key+one~"));
    assert_string_equal(buf_str(&path) + path.len - 4, ".env");
    buf_free(&path);
    path = path_of("strongroom:policy:resource-policy");
    assert_non_null(strstr(buf_str(&path), "/strongroom:policy:resource-policy~"));
    buf_free(&path);
}

static void test_path__there_and_back(void **state)
{
    static const char *const LABELS[] = {
        "a/b/c", ".hidden/x/y", "../../etc", "a~b/c", "100%/+/~", "r\xc3\xa9/\xe2\x82\xac", "-rf",
        "a/b/c~0123456789abcdef.env", "\x01\x7f", " ",
    };
    for (size_t i = 0; i < sizeof LABELS / sizeof *LABELS; i++) assert_there_and_back(LABELS[i]);
    char label[P11_LABEL_MAX];
    for (size_t len = 1; len < P11_LABEL_MAX; len++) {
        memset(label, len % 2 ? 'x' : '%', len);
        label[len] = '\0';
        assert_there_and_back(label);
    }
}

/* Nothing that a label says leads out of the directory, or hides a file. */
static void test_path__cannot_leave(void **state)
{
    struct buf path = path_of("../../../etc/passwd");
    assert_null(strstr(buf_str(&path), "../"));
    assert_int_equal(path.data[3], '%');
    buf_free(&path);
}

static void test_path_read__strangers(void **state)
{
    char label[P11_LABEL_MAX], path[128];
    uint64_t handle = 0;
    struct buf good = path_of("a/b/c");
    static const char *const BAD[] = {
        "", "3f", "3f/", "README", "3f/README", "3f/a+b+c.env", "3f/~0123456789abcdef.env",
        "3f/a+b+c~0123456789abcdeg.env", "3f/a+b+c~0123456789abcdef.envx", "3f/a%2fb~0123456789abcdef.env",
        "3f/a%~0123456789abcdef.env", "3f/a%00~0123456789abcdef.env", "3f/a%2~0123456789abcdef.env",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(directory_path_read(BAD[i], label, &handle));
    assert_true(directory_path_read(buf_str(&good), label, &handle));
    /* the right name in another bucket, in a folder more, with needless escapes, in upper case */
    snprintf(path, sizeof path, "%02x%s", directory_bucket("a/b/c") ^ 1, buf_str(&good) + 2);
    assert_false(directory_path_read(path, label, &handle));
    snprintf(path, sizeof path, "%.3sa/%s", buf_str(&good), buf_str(&good) + 4);
    assert_false(directory_path_read(path, label, &handle));
    snprintf(path, sizeof path, "%.3s%%61%s", buf_str(&good), buf_str(&good) + 4);
    assert_false(directory_path_read(path, label, &handle));
    buf_free(&good);
}

static void test_bucket__spreads(void **state)
{
    unsigned count[DIRECTORY_BUCKETS] = {0}, most = 0;
    for (unsigned i = 0; i < 10000; i++) {
        char label[64];
        snprintf(label, sizeof label, "default/key/%u", i);
        unsigned n = ++count[directory_bucket(label)];
        if (n > most) most = n;
    }
    assert_true(most < 80); /* 39 on average */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path__reads_well),
        cmocka_unit_test(test_path__there_and_back),
        cmocka_unit_test(test_path__cannot_leave),
        cmocka_unit_test(test_path_read__strangers),
        cmocka_unit_test(test_bucket__spreads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
