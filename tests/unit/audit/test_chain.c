#include "broker/audit/chain.h"

#include "broker/audit/audit.h"
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

#include <unistd.h>

/* A file with records of the writer itself, its lines to be changed by a test. */
static struct fixture {
    char dir[64], path[96];
    char *lines[8];
    size_t count;
    struct chain_report report;
    char told[1024];
} fx;

static void read_lines(void)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    assert_ok(file_read(fx.path, BUF_MAX_DEFAULT, &text));
    char *save = NULL;
    for (char *l = strtok_r((char *) (uintptr_t) buf_str(&text), "\n", &save); l;
         l = strtok_r(NULL, "\n", &save))
        fx.lines[fx.count++] = strdup(l);
}

static void write_run(unsigned events)
{
    struct audit *a = NULL;
    static const struct audit_event e = {.action = "release", .decision = "allow"};
    assert_ok(audit_open(fx.path, AUDIT_SYNC_NONE, "1", &a));
    for (unsigned i = 0; i < events; i++) assert_ok(audit_write(a, &e));
    audit_close(a);
}

static int setup(void **state)
{
    fx = (struct fixture){.dir = "/tmp/chain-test-XXXXXX"};
    if (!mkdtemp(fx.dir)) return -1;
    snprintf(fx.path, sizeof fx.path, "%s/audit.jsonl", fx.dir);
    write_run(2);
    write_run(1);
    read_lines(); /* start, release, release, start, release */
    return fx.count == 5 ? 0 : -1;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < 8; i++) free(fx.lines[i]);
    unlink(fx.path);
    rmdir(fx.dir);
    return 0;
}

static void tell(void *arg, uint64_t line, const char *problem)
{
    size_t used = strlen(fx.told);
    snprintf(fx.told + used, sizeof fx.told - used, "%ju: %s\n", (uintmax_t) line, problem);
}

static struct err verify_text(const char *text, size_t len)
{
    FILE *f = fmemopen((void *) (uintptr_t) text, len, "r");
    assert_non_null(f);
    fx.told[0] = '\0';
    struct err e = chain_verify(f, &fx.report, tell, NULL);
    fclose(f);
    return e;
}

/* Verifies the lines as they stand now; NULL ones are gone. */
static void verify(void)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    for (size_t i = 0; i < fx.count; i++)
        if (fx.lines[i]) buf_addf(&text, "%s\n", fx.lines[i]);
    assert_ok(verify_text(buf_str(&text), text.len));
}

static void drop(size_t i)
{
    free(fx.lines[i]);
    fx.lines[i] = NULL;
}

static void test_verify__a_sound_file(void **state)
{
    verify();
    assert_string_equal(fx.told, "");
    assert_int_equal(fx.report.records, 5);
    assert_int_equal(fx.report.runs, 2);
    assert_true(chain_is_start(&fx.report.before));
    struct chain_link last;
    assert_ok(chain_hash(span_str(fx.lines[4]), &last));
    assert_string_equal(fx.report.head.hex, last.hex);
}

static void test_verify__a_changed_line_shows_at_the_next(void **state)
{
    memcpy(strstr(fx.lines[1], "allow"), "deny!", 5);
    verify();
    assert_string_equal(fx.told, "3: the link does not fit: the line before it was changed, or "
                                 "lines are missing\n");
}

static void test_verify__a_line_taken_out(void **state)
{
    drop(1);
    verify();
    assert_non_null(strstr(fx.told, "2: the link does not fit"));
    assert_non_null(strstr(fx.told, "2: seq does not follow"));
    assert_int_equal(fx.report.problems, 2);
}

static void test_verify__a_record_without_what_ties_it(void **state)
{
    static const struct { const char *member, *told; } ROWS[] = {
        {"\"prev\"", "5: the record has no link"}, {"\"run\"", "5: the record has no run or no seq"},
        {"\"seq\"", "5: the record has no run or no seq"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char *at = strstr(fx.lines[4], ROWS[i].member);
        fx.report = (struct chain_report){0};
        at[1] ^= 1; /* another member's name */
        verify();
        assert_non_null(strstr(fx.told, ROWS[i].told));
        assert_int_equal(fx.report.problems, 1);
        at[1] ^= 1;
    }
}

static void test_verify__a_run_taken_out_from_its_start(void **state)
{
    drop(3);
    verify();
    assert_non_null(strstr(fx.told, "4: a run begins with another seq than 1"));
}

static void test_verify__the_head_tells_what_was_cut_off(void **state)
{
    verify();
    struct chain_link whole = fx.report.head;
    fx.report = (struct chain_report){0};
    drop(4);
    verify();
    assert_string_equal(fx.told, ""); /* the chain alone cannot */
    assert_string_not_equal(fx.report.head.hex, whole.hex);
}

static void test_verify__an_older_part_that_is_not_at_hand(void **state)
{
    drop(0);
    drop(1);
    verify();
    assert_string_equal(fx.told, "");
    assert_false(chain_is_start(&fx.report.before));
}

static void test_verify__files_one_after_the_other(void **state)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    for (size_t i = 0; i < 5; i++) {
        buf_reset(&text);
        buf_addf(&text, "%s\n", fx.lines[i]);
        assert_ok(verify_text(buf_str(&text), text.len));
        assert_string_equal(fx.told, "");
    }
    assert_int_equal(fx.report.records, 5);
    assert_int_equal(fx.report.runs, 2);
}

static void test_verify__a_line_that_is_no_record(void **state)
{
    free(fx.lines[2]);
    fx.lines[2] = strdup("{\"not");
    verify();
    assert_non_null(strstr(fx.told, "4: the line before it is no record"));
    assert_int_equal(fx.report.torn, 1);
    free(fx.lines[1]);
    fx.lines[1] = strdup("nor this");
    verify();
    assert_non_null(strstr(fx.told, "3: the line before it is no record"));
    assert_non_null(strstr(fx.told, "4: the line before it is no record"));
}

static void test_verify__a_torn_end(void **state)
{
    fx.lines[4][20] = '\0';
    _cleanup_buf_ struct buf text = BUF_INIT;
    for (size_t i = 0; i < 4; i++) buf_addf(&text, "%s\n", fx.lines[i]);
    buf_add_str(&text, fx.lines[4]);
    assert_ok(verify_text(buf_str(&text), text.len));
    assert_non_null(strstr(fx.told, "5: the file ends in a line that is no whole record"));
}

static void test_verify__a_torn_line_with_its_record_is_sound(void **state)
{
    fx.lines[4][20] = '\0';
    FILE *f = fopen(fx.path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < 5; i++) fprintf(f, "%s%s", fx.lines[i], i < 4 ? "\n" : "");
    assert_int_equal(fclose(f), 0);
    write_run(1);
    _cleanup_buf_ struct buf text = BUF_INIT;
    assert_ok(file_read(fx.path, BUF_MAX_DEFAULT, &text));
    assert_ok(verify_text(buf_str(&text), text.len));
    assert_string_equal(fx.told, "");
    assert_int_equal(fx.report.torn, 1);
    assert_int_equal(fx.report.records, 7);
}

static void test_verify__lines_at_and_over_the_limit(void **state)
{
    _cleanup_buf_ struct buf text = {.max = 2 * AUDIT_LINE_MAX};
    memset(buf_extend(&text, AUDIT_LINE_MAX), 'x', AUDIT_LINE_MAX);
    buf_add_byte(&text, '\n');
    assert_ok(verify_text(buf_str(&text), text.len));
    assert_int_equal(fx.report.torn, 1);
    text.data[AUDIT_LINE_MAX] = 'x';
    buf_add_byte(&text, '\n');
    assert_fails_with(verify_text(buf_str(&text), text.len), ERR_TOOLARGE, "line 1");
}

static void test_hash__of_nothing(void **state)
{
    struct chain_link l;
    assert_ok(chain_hash(SPAN_LIT(""), &l)); /* FIPS 180-4 */
    assert_string_equal(l.hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_verify__a_sound_file),
        TEST(test_verify__a_changed_line_shows_at_the_next),
        TEST(test_verify__a_line_taken_out),
        TEST(test_verify__a_record_without_what_ties_it),
        TEST(test_verify__a_run_taken_out_from_its_start),
        TEST(test_verify__the_head_tells_what_was_cut_off),
        TEST(test_verify__an_older_part_that_is_not_at_hand),
        TEST(test_verify__files_one_after_the_other),
        TEST(test_verify__a_line_that_is_no_record),
        TEST(test_verify__a_torn_end),
        TEST(test_verify__a_torn_line_with_its_record_is_sound),
        TEST(test_verify__lines_at_and_over_the_limit),
        cmocka_unit_test(test_hash__of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
