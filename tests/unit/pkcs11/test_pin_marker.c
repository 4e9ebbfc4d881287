#include "tests/lib/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/file.h"
#include "pkcs11/pin_marker.h"
#include "tests/lib/softhsm.h"

static struct softhsm dir; /* only its directory */
static struct secret *right, *wrong;
static char path[300];

static int setup(void **state)
{
    if (softhsm_start(&dir, NULL)) return -1;
    snprintf(path, sizeof path, "%.280s/marker", dir.dir);
    return err_ok(secret_copy(SPAN_LIT("1234"), &right)) &&
                   err_ok(secret_copy(SPAN_LIT("123"), &wrong)) ? 0 : -1;
}

static int teardown(void **state)
{
    secret_free(TAKE_PTR(right));
    secret_free(TAKE_PTR(wrong));
    return softhsm_stop(&dir);
}

static enum pin_verdict check(struct secret *pin, struct pin_marker *m)
{
    enum pin_verdict verdict = PIN_NEW;
    assert_ok(pin_marker_check(path, pin, m, &verdict));
    return verdict;
}

static void test_pin_marker_check__tells_pins_apart(void **state)
{
    struct pin_marker m = {0};
    assert_int_equal(check(wrong, &m), PIN_NEW);
    assert_ok(pin_marker_write(&m, PIN_UNFINISHED));
    assert_int_equal(check(right, &m), PIN_NEW);
    assert_int_equal(check(wrong, &m), PIN_UNFINISHED);
    assert_ok(pin_marker_write(&m, PIN_REFUSED));
    assert_int_equal(check(wrong, &m), PIN_REFUSED);
    assert_int_equal(check(right, &m), PIN_NEW);
    assert_ok(pin_marker_remove(&m));
    assert_ok(pin_marker_remove(&m));
    assert_int_equal(check(wrong, &m), PIN_NEW);
}

static void test_pin_marker_write__mode_salt_and_no_pin_inside(void **state)
{
    struct pin_marker a = {0}, b = {0};
    struct stat st;
    _cleanup_buf_ struct buf text = BUF_INIT;
    assert_int_equal(check(right, &a), PIN_NEW);
    assert_int_equal(check(right, &b), PIN_NEW);
    assert_memory_not_equal(a.salt, b.salt, PIN_SALT);
    assert_memory_not_equal(a.hash, b.hash, PIN_HASH);
    assert_ok(pin_marker_write(&a, PIN_REFUSED));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_ok(file_read(path, 1024, &text));
    assert_true(span_starts(buf_span(&text), "strongroom-pin 1 failed "));
    assert_null(strstr(buf_str(&text), " 1234"));
}

static void test_pin_marker_check__what_cannot_be_understood(void **state)
{
    static const char H32[] = "00112233445566778899aabbccddeeff";
    char good[256], text[600];
    snprintf(good, sizeof good, "strongroom-pin 1 failed %s %s%s", H32, H32, H32);
    struct pin_marker m = {0};
    enum pin_verdict verdict = PIN_NEW;
    assert_ok(file_write_atomic(path, span_str(good), 0600));
    assert_int_equal(check(right, &m), PIN_NEW); /* the frame of the cases below is sound */
    static const struct { size_t at; char byte; } ROWS[] = {
        {0, 'S'}, {15, '2'}, {17, 'F'}, {24, 'g'}, {56, '_'}, {57, 'x'}, {20, '\0'},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        memcpy(text, good, sizeof good);
        text[ROWS[i].at] = ROWS[i].byte;
        assert_ok(file_write_atomic(path, span_of(text, strlen(good)), 0600));
        assert_fails_with(pin_marker_check(path, right, &m, &verdict), ERR_HUMAN, path);
    }
    assert_ok(file_write_atomic(path, span_of(good, 60), 0600));
    assert_fails(pin_marker_check(path, right, &m, &verdict), ERR_HUMAN);
    snprintf(text, sizeof text, "%s more", good);
    assert_ok(file_write_atomic(path, span_str(text), 0600));
    assert_fails(pin_marker_check(path, right, &m, &verdict), ERR_HUMAN);
    memset(text, 'a', sizeof text);
    assert_ok(file_write_atomic(path, span_of(text, sizeof text), 0600));
    assert_fails(pin_marker_check(path, right, &m, &verdict), ERR_HUMAN);
}

/* Whatever it may say is not known: no PIN is new then. */
static void test_pin_marker_check__one_that_cannot_be_read(void **state)
{
    struct pin_marker m = {0};
    enum pin_verdict verdict = PIN_REFUSED;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails_with(pin_marker_check(path, right, &m, &verdict), ERR_USAGE, "cannot read the PIN marker");
    assert_int_equal(verdict, PIN_REFUSED);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_pin_marker_check__tells_pins_apart),
        CASE(test_pin_marker_write__mode_salt_and_no_pin_inside),
        CASE(test_pin_marker_check__what_cannot_be_understood),
        CASE(test_pin_marker_check__one_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
