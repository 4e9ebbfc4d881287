#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "broker/base/limits.h"
#include "pkcs11/p11.h"
#include "tests/lib/softhsm.h"

static struct softhsm dir; /* only its directory */
static struct secret *pin;

static int setup(void **state)
{
    return softhsm_start(&dir, NULL);
}

static int teardown(void **state)
{
    secret_free(TAKE_PTR(pin));
    unsetenv("CREDENTIALS_DIRECTORY");
    return softhsm_stop(&dir);
}

static void assert_pin(const char *want)
{
    assert_int_equal(secret_len(pin), strlen(want));
    assert_memory_equal(secret_data(pin), want, strlen(want));
}

static struct err read_text(const char *text, unsigned mode)
{
    char path[300];
    assert_int_equal(softhsm_write(&dir, "a-pin", text, mode, path, sizeof path), 0);
    secret_free(TAKE_PTR(pin));
    return p11_pin_read(path, "PIN", &pin);
}

static void test_p11_pin_read__drops_one_newline(void **state)
{
    static const struct { const char *text, *pin; } ROWS[] = {
        {"1234", "1234"}, {"1234\n", "1234"}, {"1234\r\n", "1234"}, {"1234\n\n", "1234\n"},
        {" 12 34 ", " 12 34 "}, {"1234\r", "1234\r"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_ok(read_text(ROWS[i].text, 0600));
        assert_pin(ROWS[i].pin);
    }
}

static void test_p11_pin_read__forms_of_a_file(void **state)
{
    char source[320];
    snprintf(source, sizeof source, "file:%s", dir.pin_file);
    assert_ok(p11_pin_read(source, "PIN", &pin));
    assert_pin(SOFTHSM_PIN);
}

static void test_p11_pin_read__length_at_and_beyond_the_limit(void **state)
{
    char text[PIN_MAX + 8];
    memset(text, '7', sizeof text);
    strncpy(text + PIN_MAX, "\r\n", 3);
    assert_ok(read_text(text, 0600));
    assert_int_equal(secret_len(pin), PIN_MAX);
    text[PIN_MAX] = '7';
    text[PIN_MAX + 1] = '\0';
    assert_fails(read_text(text, 0600), ERR_USAGE);
    memset(text, '7', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(err_ok(read_text(text, 0600)));
    assert_false(err_ok(read_text("", 0600)));
    assert_false(err_ok(read_text("\n", 0600)));
}

static void test_p11_pin_read__readable_by_others(void **state)
{
    static const unsigned MODES[] = {0644, 0640, 0604};
    for (size_t i = 0; i < 3; i++) {
        struct err e = read_text("1234\n", MODES[i]);
        assert_int_equal(e.code, ERR_USAGE);
        assert_non_null(strstr(err_text(e), "chmod"));
        assert_null(strstr(err_text(e), "1234\n"));
    }
}

static void test_p11_pin_read__no_file(void **state)
{
    assert_fails(p11_pin_read("/nonexistent/pin", "PIN", &pin), ERR_NOTFOUND);
}

static void test_p11_pin_read__credential(void **state)
{
    assert_fails(p11_pin_read("credential:pin", "PIN", &pin), ERR_USAGE);
    setenv("CREDENTIALS_DIRECTORY", dir.dir, 1);
    assert_ok(p11_pin_read("credential:pin", "PIN", &pin));
    assert_pin(SOFTHSM_PIN);
    secret_free(TAKE_PTR(pin));
    assert_fails(p11_pin_read("credential:../pin", "PIN", &pin), ERR_USAGE);
    assert_fails(p11_pin_read("credential:", "PIN", &pin), ERR_USAGE);
}

/* Nobody is asked, and what the service manager will show is not missed. */
static void test_p11_pin_check__forms(void **state)
{
    char source[320], empty[300];
    snprintf(source, sizeof source, "file:%s", dir.pin_file);
    assert_ok(p11_pin_check(source));
    assert_ok(p11_pin_check("prompt"));
    assert_ok(p11_pin_check(NULL));
    assert_ok(p11_pin_check("credential:pin"));
    setenv("CREDENTIALS_DIRECTORY", dir.dir, 1);
    assert_ok(p11_pin_check("credential:pin"));
    assert_fails(p11_pin_check("credential:other"), ERR_NOTFOUND);
    assert_fails(p11_pin_check("/nonexistent/pin"), ERR_NOTFOUND);
    assert_fails(p11_pin_check("98765"), ERR_USAGE);
    assert_int_equal(softhsm_write(&dir, "empty", "", 0600, empty, sizeof empty), 0);
    assert_fails(p11_pin_check(empty), ERR_USAGE);
}

/* A PIN put where its source belongs must not come back in the error. */
static void test_p11_pin_read__unknown_form_is_not_shown(void **state)
{
    static const char *const BAD[] = {"98765", "env:PIN98765", "|cat 98765", "file:98765", ""};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct err e = p11_pin_read(BAD[i], "PIN", &pin);
        assert_int_equal(e.code, ERR_USAGE);
        assert_null(strstr(err_text(e), "98765"));
    }
}

/* ---- the terminal: a child on a pseudo terminal asks, we type --------------------------- */

static bool echo_is_on(int fd)
{
    struct termios t = {0};
    assert_int_equal(tcgetattr(fd, &t), 0);
    return t.c_lflag & ECHO;
}

/* Types `keys` when the prompt shows; the child's exit status, and what the screen showed. */
static int type_pin(const char *keys, const char *want, char *screen, size_t size)
{
    int master = -1, status = -1;
    size_t seen = 0;
    pid_t child = forkpty(&master, NULL, NULL, NULL);
    if (child == 0) {
        struct secret *typed = NULL;
        struct err e = p11_pin_read("prompt", "PIN for \033token", &typed);
        if (!want) _exit(err_ok(e) ? 1 : 0);
        _exit(err_ok(e) && span_eq_str(secret_span(typed), want) ? 0 : 1);
    }
    while (seen < size - 1 && !strstr(screen, ": ")) {
        ssize_t n = read(master, screen + seen, size - 1 - seen);
        if (n <= 0) break;
        seen += (size_t) n;
        screen[seen] = '\0';
    }
    assert_false(echo_is_on(master));
    assert_int_equal(write(master, keys, strlen(keys)), (ssize_t) strlen(keys));
    while (seen < size - 1) { /* EIO: the child has closed the terminal */
        ssize_t n = read(master, screen + seen, size - 1 - seen);
        if (n <= 0) break;
        seen += (size_t) n;
        screen[seen] = '\0';
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    close(master);
    return status;
}

static void test_p11_pin_read__prompt_shows_nothing_typed(void **state)
{
    char screen[256] = "";
    assert_int_equal(type_pin("s3cret\n", "s3cret", screen, sizeof screen), 0);
    assert_null(strstr(screen, "s3cret"));
    assert_null(strchr(screen, '\033'));
    assert_non_null(strstr(screen, "PIN for "));
}

static void test_p11_pin_read__prompt_interrupted_or_empty(void **state)
{
    char screen[256] = "", screen2[256] = "", screen3[256] = "";
    assert_int_equal(type_pin("s3\003cret\n", NULL, screen, sizeof screen), 0);
    assert_int_equal(type_pin("s3\003", NULL, screen3, sizeof screen3), 0); /* at once, without Enter */
    assert_int_equal(type_pin("\n", NULL, screen2, sizeof screen2), 0);
}

/* The terminal has its echo again: asked twice on one terminal, by a child that stays. */
static void test_p11_pin_read__prompt_restores_echo(void **state)
{
    int master = -1, status = -1;
    pid_t child = forkpty(&master, NULL, NULL, NULL);
    if (child == 0) {
        struct secret *typed = NULL;
        int ok = err_ok(p11_pin_read(NULL, "PIN", &typed)) && echo_is_on(STDIN_FILENO);
        _exit(ok ? 0 : 1);
    }
    char screen[64];
    assert_true(read(master, screen, sizeof screen) > 0);
    assert_int_equal(write(master, "1234\n", 5), 5);
    while (read(master, screen, sizeof screen) > 0) continue;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(master);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_p11_pin_read__drops_one_newline),
        CASE(test_p11_pin_read__forms_of_a_file),
        CASE(test_p11_pin_read__length_at_and_beyond_the_limit),
        CASE(test_p11_pin_read__readable_by_others),
        CASE(test_p11_pin_read__no_file),
        CASE(test_p11_pin_read__credential),
        CASE(test_p11_pin_check__forms),
        CASE(test_p11_pin_read__unknown_form_is_not_shown),
        CASE(test_p11_pin_read__prompt_shows_nothing_typed),
        CASE(test_p11_pin_read__prompt_interrupted_or_empty),
        CASE(test_p11_pin_read__prompt_restores_echo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
