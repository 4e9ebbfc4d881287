/* Lines are read back from a pipe in place of stderr. */
#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static struct {
    int real_stderr, pipe_out;
    char text[65536];
} cap;

static int capture(void **state)
{
    int ends[2];
    if (pipe(ends) != 0) return -1;
    cap.real_stderr = dup(STDERR_FILENO);
    cap.pipe_out = ends[0];
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    log_set_level(LOG_LEVEL_INFO);
    return 0;
}

static int release(void **state)
{
    dup2(cap.real_stderr, STDERR_FILENO);
    close(cap.real_stderr);
    close(cap.pipe_out);
    log_set_level(LOG_LEVEL_INFO);
    return 0;
}

/* What was written since the last call; "" when nothing was. */
static const char *logged(void)
{
    size_t at = 0;
    ssize_t n;
    while ((n = read(cap.pipe_out, cap.text + at, sizeof cap.text - 1 - at)) > 0) at += (size_t) n;
    cap.text[at] = '\0';
    return cap.text;
}

static const char *escape(const char *text)
{
    static char out[256];
    return log_escape(out, sizeof out, span_str(text));
}

static const struct { const char *text, *shown; } escapes[] = {
    {"", ""},
    {"plain text ~!#", "plain text ~!#"},
    {"back\\slash", "back\\x5cslash"},
    {"a\nb\r\tc", "a\\x0ab\\x0d\\x09c"},
    {"\x1b[31mred\x7f", "\\x1b[31mred\\x7f"},
    {"\x01\x1f", "\\x01\\x1f"},
    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
    /* C1 controls: U+0085 next line, U+009B control sequence; U+00A0 is none */
    {"\xc2\x85", "\\xc2\\x85"},
    {"a\xc2\x9b""31m\xc3\xa9", "a\\xc2\\x9b31m\xc3\xa9"},
    {"\xc2\xa0", "\xc2\xa0"},
    /* text that is not UTF-8 keeps nothing above ASCII */
    {"\xff", "\\xff"},
    {"\xc3\xa9 \x80", "\\xc3\\xa9 \\x80"},
    {"\xc0\xaf", "\\xc0\\xaf"},
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
    {"cut \xe2\x82", "cut \\xe2\\x82"},
    {"\"quoted\"", "\"quoted\""},
};

static void test_log_escape__table(void **state)
{
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
        assert_string_equal(escape(escapes[i].text), escapes[i].shown);
}

static void test_log_escape__a_nul_inside(void **state)
{
    char out[32];
    assert_string_equal(log_escape(out, sizeof out, span_of("a\0b", 3)), "a\\x00b");
}

static void test_log_escape__cut_to_fit(void **state)
{
    /* every size, and every way a character may lie across the end */
    static const char *const texts[] = {
        "aaaaaaaaaaaaaaaaaaaaaaaa", "\n\n\n\n\n\n\n\n", "\xc2\x85\xc2\x85\xc2\x85\xc2\x85\xc2\x85\xc2\x85",
        "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
        "a\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80 and to the end",
    };
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
        for (size_t size = 4; size < 24; size++) {
            char *out = malloc(size); /* of this size, so that ASan sees a byte too many */
            log_escape(out, size, span_str(texts[t]));
            size_t len = strlen(out);
            assert_true(len < size);
            assert_true(utf8_valid(span_str(out)));
            assert_true(len >= 3 && strcmp(out + len - 3, "...") == 0);
            free(out);
        }
}

static void test_log_level_from__names(void **state)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    enum log_level level;
    for (size_t i = 0; i < 4; i++) {
        assert_true(log_level_from(names[i], &level));
        assert_int_equal(level, i);
    }
    assert_false(log_level_from("Info", &level));
    assert_false(log_level_from("trace", &level));
    assert_false(log_level_from("", &level));
}

static void test_log_write__one_line_an_event(void **state)
{
    log_info("token.login", LOG_S("label", "test"), LOG_U("sessions", UINT64_MAX),
             LOG_D("change", INT64_MIN));
    log_warn("bare");
    assert_string_equal(logged(), "info token.login label=test sessions=18446744073709551615 "
                                  "change=-9223372036854775808\nwarn bare\n");
}

static void test_log_write__a_value_is_quoted_when_it_must_be(void **state)
{
    static const struct { const char *value, *line; } rows[] = {
        {"plain", "info e v=plain\n"},
        {"", "info e v=\"\"\n"},
        {NULL, "info e v=\"\"\n"},
        {"two words", "info e v=\"two words\"\n"},
        {"a=b", "info e v=\"a=b\"\n"},
        {"say \"hi\"", "info e v=\"say \\\"hi\\\"\"\n"},
        {"\"", "info e v=\"\\\"\"\n"},
        {"\\\"", "info e v=\"\\x5c\\\"\"\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        log_info("e", LOG_S("v", rows[i].value));
        assert_string_equal(logged(), rows[i].line);
    }
}

static void test_log_write__nothing_can_be_forged(void **state)
{
    log_info("http.refused", LOG_S("path", "/x\nerror token.stolen by=me"));
    assert_string_equal(logged(), "info http.refused path=\"/x\\x0aerror token.stolen by=me\"\n");
    log_info("login", LOG_S("user", "eve\" admin=\"yes"));
    assert_string_equal(logged(), "info login user=\"eve\\\" admin=\\\"yes\"\n");
    log_info("e", LOG_S("v", "\xc2\x85next \x1b[2J"));
    assert_string_equal(logged(), "info e v=\"\\xc2\\x85next \\x1b[2J\"\n");
}

static void test_log_write__levels(void **state)
{
    for (int threshold = LOG_LEVEL_ERROR; threshold <= LOG_LEVEL_DEBUG; threshold++) {
        log_set_level((enum log_level) threshold);
        int lines = 0;
        log_error("e");
        log_warn("w");
        log_info("i");
        log_debug("d");
        for (const char *p = logged(); *p; p++) lines += *p == '\n';
        assert_int_equal(lines, threshold + 1);
        assert_true(log_enabled((enum log_level) threshold));
        assert_int_equal(log_enabled((enum log_level) (threshold + 1)), 0);
    }
}

static void test_log_write__a_long_value_is_cut(void **state)
{
    char value[3000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    log_info("e", LOG_S("long", value), LOG_S("next", "kept"));
    const char *line = logged();
    assert_in_range(strlen(line), 1000, 1100);
    assert_non_null(strstr(line, "vvv... next=kept\n"));
}

static void check_line(const char *line)
{
    size_t len = strlen(line);
    assert_in_range(len, 1, LINE_MAX_BYTES);
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    assert_true(utf8_valid(span_str(line)));
}

/* Fields of every length around the end of the line: one line, well-formed, quotes closed. */
static void test_log_write__a_long_line_is_cut(void **state)
{
    for (size_t len = 950; len < 1030; len++) {
        char value[1100];
        size_t at = 0;
        value[at++] = ' ';
        while (at < len) {
            memcpy(value + at, "\xe2\x82\xac", 3);
            at += 3;
        }
        value[at] = '\0';
        log_info("e", LOG_S("a", value), LOG_S("b", value), LOG_S("c", value), LOG_S("d", value),
                 LOG_S("last", value));
        const char *line = logged();
        check_line(line);
        assert_non_null(strstr(line, " c=\""));
        size_t quotes = 0;
        for (const char *p = line; *p; p++) quotes += *p == '"';
        assert_int_equal(quotes % 2, 0);
    }
}

static void test_log_write__many_short_fields(void **state)
{
    struct log_field fields[600];
    for (size_t i = 0; i < 599; i++) fields[i] = LOG_U("field", i);
    fields[599] = (struct log_field){0};
    log_write(LOG_LEVEL_INFO, ERR_OK, "many", fields);
    check_line(logged());
}

static err_t low(void) { FAIL(ERR_TOKEN_DOWN, "the token is \"gone\"\nreally"); }

static err_t high(void)
{
    TRYC(low(), "opening the store");
    return ERR_OK;
}

static void test_log_err__appends_the_chain(void **state)
{
    log_err(high(), "store.failed", LOG_S("name", "a/b/c"));
    assert_string_equal(logged(), "error store.failed name=a/b/c error=\"opening the store: the "
                                  "token is \\\"gone\\\"\\x0areally\"\n");
    log_warn_err(high(), "w");
    assert_int_equal(strncmp(logged(), "warn w error=", 13), 0);
    log_debug_err(high(), "d");
    assert_string_equal(logged(), "");
}

static void test_log_err__says_where_at_debug(void **state)
{
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug_err(high(), "d");
    const char *at = strstr(logged(), " at=");
    assert_non_null(at);
    assert_non_null(strstr(at, "test_log.c:"));
}

#define THREADS 4
#define LINES 50

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        log_info("thread", LOG_S("text", "some words of text"), LOG_D("line", i));
    return NULL;
}

static void test_log_write__lines_of_threads_stay_whole(void **state)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    int lines = 0;
    char *save = NULL;
    logged();
    for (char *l = strtok_r(cap.text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        int number = -1;
        assert_int_equal(sscanf(l, "info thread text=\"some words of text\" line=%d", &number), 1);
        assert_in_range(number, 0, LINES - 1);
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES);
}

/* How many of so many lines of one event were written. */
static unsigned write_many(const char *event, unsigned count)
{
    unsigned lines = 0;
    for (unsigned i = 0; i < count; i++) {
        log_warn(event);
        for (const char *p = logged(); *p; p++) lines += *p == '\n';
    }
    return lines;
}

static void test_log_write__an_event_cannot_fill_the_disk(void **state)
{
    uint64_t second = CLOCK_SECOND_NS / LOG_LINES_PER_SECOND;
    clock_test_mono(1000 * CLOCK_SECOND_NS);
    uint64_t before = log_left_out();
    assert_int_equal(write_many("flood", LOG_LINES_BURST), LOG_LINES_BURST);
    assert_int_equal(log_left_out() - before, 0);
    assert_int_equal(write_many("flood", 7), 0);
    assert_int_equal(log_left_out() - before, 7);
    /* neither another event nor what is asked for by its level has part in it */
    log_warn("other", LOG_U("n", 1));
    assert_string_equal(logged(), "warn other n=1\n");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("flood");
    assert_string_equal(logged(), "debug flood\n");

    clock_test_mono(1000 * CLOCK_SECOND_NS + second);
    log_warn("flood", LOG_U("n", 2));
    log_warn("flood");
    assert_string_equal(logged(), "warn flood left_out=7 n=2\n");
    clock_test_mono(1000 * CLOCK_SECOND_NS + 3 * second);
    log_warn("flood");
    log_warn("flood");
    log_warn("flood");
    assert_string_equal(logged(), "warn flood left_out=1\nwarn flood\n");
    clock_test_mono(0);
}

static void test_log_write__more_events_than_have_a_share(void **state)
{
    static char names[LOG_EVENTS_MAX + 5][16];
    clock_test_mono(9000 * CLOCK_SECOND_NS);
    for (size_t i = 0; i < LOG_EVENTS_MAX + 5; i++) {
        snprintf(names[i], sizeof names[i], "event.%zu", i);
        assert_int_equal(write_many(names[i], 1), 1);
    }
    assert_in_range(write_many(names[LOG_EVENTS_MAX + 3], LOG_LINES_BURST), 1, LOG_LINES_BURST - 5);
    assert_int_equal(write_many(names[LOG_EVENTS_MAX + 4], 1), 0);
    assert_int_equal(write_many(names[0], 1), 1);
    clock_test_mono(0);
}

#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, capture, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_escape__table),
        cmocka_unit_test(test_log_escape__a_nul_inside),
        cmocka_unit_test(test_log_escape__cut_to_fit),
        cmocka_unit_test(test_log_level_from__names),
        CAPTURED(test_log_write__one_line_an_event),
        CAPTURED(test_log_write__a_value_is_quoted_when_it_must_be),
        CAPTURED(test_log_write__nothing_can_be_forged),
        CAPTURED(test_log_write__levels),
        CAPTURED(test_log_write__a_long_value_is_cut),
        CAPTURED(test_log_write__a_long_line_is_cut),
        CAPTURED(test_log_write__many_short_fields),
        CAPTURED(test_log_err__appends_the_chain),
        CAPTURED(test_log_err__says_where_at_debug),
        CAPTURED(test_log_write__lines_of_threads_stay_whole),
        CAPTURED(test_log_write__an_event_cannot_fill_the_disk),
        CAPTURED(test_log_write__more_events_than_have_a_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
