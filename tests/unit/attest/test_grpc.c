#include "broker/attest/grpc.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

static struct grpc_head head;

static int done(void **state)
{
    grpc_head_done(&head);
    head = (struct grpc_head){0};
    return 0;
}

static void note(const char *name, const char *value)
{
    grpc_note(&head, span_str(name), span_str(value));
}

static void test_note__content_type(void **state)
{
    static const struct { const char *value; bool good; } rows[] = {
        {"application/grpc", true}, {"application/grpc+proto", true}, {"Application/GRPC; x=y", true},
        {"application/grpc-web", false}, {"application/grp", false}, {"text/html", false}, {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        note("Content-Type", rows[i].value);
        if (head.content != rows[i].good) fail_msg("%s", rows[i].value);
    }
}

static void test_note__status(void **state)
{
    static const struct { const char *value; bool bad; unsigned status; } rows[] = {
        {"0", false, 0}, {"10", false, 10}, {"999", false, 999}, {"007", false, 7},
        {"", true, 0}, {"1000", true, 0}, {"-1", true, 0}, {"1 ", true, 0}, {"ten", true, 0}, {"1a", true, 0},
    };
    assert_false(head.has_status);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        note("grpc-status", rows[i].value);
        assert_true(head.has_status);
        if (head.bad_status != rows[i].bad) fail_msg("%s", rows[i].value);
        if (!rows[i].bad) assert_int_equal(head.status, rows[i].status);
    }
    note("grpc-statuses", "3");
    note("x", "grpc-status");
    assert_true(head.bad_status); /* as the last one left it */
}

static void test_note__message(void **state)
{
    static const struct { const char *value, *text; } rows[] = {
        {"plain", "plain"}, {"a%20b%0A%c3%BC", "a b\n\303\274"}, {"100%", "100%"}, {"%4", "%4"},
        {"%zz%41", "%zzA"}, {"%%41", "%A"}, {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        note("grpc-message", rows[i].value);
        assert_span(buf_span(&head.message), rows[i].text);
    }
}

static void test_note__message_is_bounded(void **state)
{
    char text[3 * (AS_REASON_MAX + 1) + 1] = "";
    for (size_t i = 0; i <= AS_REASON_MAX; i++) memcpy(text + 3 * i, "%41", 4);
    note("grpc-message", text + 3);
    assert_int_equal(head.message.len, AS_REASON_MAX);
    note("grpc-message", text);
    assert_int_equal(head.message.len, AS_REASON_MAX);
}

static void test_frame_and_message(void **state)
{
    struct buf b = BUF_INIT;
    struct span message = {0};
    const char *why = NULL;
    buf_add_str(&b, "before");
    size_t start = b.len;
    memset(buf_extend(&b, GRPC_PREFIX), 'x', GRPC_PREFIX);
    buf_add_str(&b, "hello");
    grpc_frame(&b, start);
    struct span frame = span_of(b.data + start, b.len - start);
    assert_memory_equal(frame.data, "\0\0\0\0\5hello", 10);
    assert_true(grpc_message(frame, &message, &why));
    assert_span(message, "hello");
    assert_true(grpc_message(span_of("\0\0\0\0\0", 5), &message, &why));
    assert_int_equal(message.len, 0);
    buf_free(&b);
}

static void test_message__lies(void **state)
{
    static const struct { const char *frame; size_t len; const char *why; } rows[] = {
        {"", 0, "no message"}, {"\0\0\0\0", 4, "no message"}, {"\1\0\0\0\1x", 6, "compressed"},
        {"\0\0\0\0\2x", 6, "shorter"}, {"\0\377\377\377\377x", 6, "shorter"}, {"\0\0\0\0\0x", 6, "more than one"},
        {"\0\0\0\0\1x\0\0\0\0\1x", 12, "more than one"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span message = {0};
        const char *why = NULL;
        assert_false(grpc_message(span_of(rows[i].frame, rows[i].len), &message, &why));
        assert_non_null(strstr(why, rows[i].why));
        assert_null(message.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_note__content_type, done),
        cmocka_unit_test_teardown(test_note__status, done),
        cmocka_unit_test_teardown(test_note__message, done),
        cmocka_unit_test_teardown(test_note__message_is_bounded, done),
        cmocka_unit_test(test_frame_and_message),
        cmocka_unit_test(test_message__lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
