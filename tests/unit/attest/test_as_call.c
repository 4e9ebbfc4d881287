#include "broker/attest/as_call.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

static struct buf value, why;

static int teardown(void **state)
{
    buf_free(&value);
    buf_free(&why);
    return 0;
}

static enum as_outcome read_body(enum as_op op, struct span body)
{
    struct as_call call = {.op = op};
    struct as_answer answer = {.status = 200, .body = body};
    buf_reset(&value);
    buf_reset(&why);
    return as_read(&as_rest, &call, &answer, &value, &why);
}

static void test_read__kinds(void **state)
{
    static const struct { enum as_op op; const char *body; bool good; } rows[] = {
        {AS_EVALUATE, "a.b.c", true}, {AS_EVALUATE, "-_09.AZ.az", true}, {AS_EVALUATE, "..", true},
        {AS_EVALUATE, "", false}, {AS_EVALUATE, "a.b", false}, {AS_EVALUATE, "a.b.c.d", false},
        {AS_EVALUATE, "a.b.c=", false}, {AS_EVALUATE, "a. b.c", false}, {AS_EVALUATE, "{\"t\":1}", false},
        {AS_CHALLENGE, "{}", true}, {AS_CHALLENGE, "x", true}, {AS_CHALLENGE, "", false},
        {AS_CHALLENGE, "\xc3", false},
        {AS_ALIVE, "", true}, {AS_ALIVE, "\xc3", true},
        {AS_QUERY, "[1]", true}, {AS_QUERY, "", true}, {AS_QUERY, "[1", false}, {AS_QUERY, "one", false},
        {AS_SET_POLICY, "", true}, {AS_SET_POLICY, "anything", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum as_outcome outcome = read_body(rows[i].op, span_str(rows[i].body));
        if (outcome != (rows[i].good ? AS_DONE : AS_DOWN)) fail_msg("\"%s\"", rows[i].body);
        assert_int_equal(why.len > 0, !rows[i].good);
    }
    assert_int_equal(read_body(AS_CHALLENGE, span_of("a\0b", 3)), AS_DOWN);
}

static void test_read__limits(void **state)
{
    static const struct { enum as_op op; size_t max; } rows[] = {
        {AS_EVALUATE, JOSE_MAX_TOKEN}, {AS_CHALLENGE, AS_CHALLENGE_MAX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf text = BUF_INIT;
        memset(buf_extend(&text, rows[i].max + 1), 'x', rows[i].max + 1);
        text.data[0] = text.data[2] = '.';
        assert_int_equal(read_body(rows[i].op, span_of(text.data, rows[i].max)), AS_DONE);
        assert_int_equal(read_body(rows[i].op, buf_span(&text)), AS_TOO_LONG);
        buf_free(&text);
    }
}

static void test_reason(void **state)
{
    char text[AS_REASON_MAX + 2];
    memset(text, 'x', sizeof text);
    as_reason(&why, span_of(text, AS_REASON_MAX));
    assert_int_equal(why.len, AS_REASON_MAX);
    buf_reset(&why);
    as_reason(&why, span_of(text, AS_REASON_MAX + 1));
    assert_int_equal(why.len, AS_REASON_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_read__kinds, teardown),
        cmocka_unit_test_teardown(test_read__limits, teardown),
        cmocka_unit_test_teardown(test_reason, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
