#include "tests/lib/test.h"

#include "broker/api/resource_batch_body.h"

static struct resource_batch batch;
static struct buf body;

static int teardown(void **state)
{
    buf_free(&body);
    return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)

static struct err read_text(const char *text)
{
    batch = (struct resource_batch){.n = 0};
    return resource_batch_read(span_str(text), &batch);
}

static void check_put(size_t i, const char *name, uint64_t version, const char *value)
{
    assert_string_equal(batch.puts[i].put.name, name);
    assert_span(batch.puts[i].put.value, value);
    assert_true(batch.puts[i].put.has_if_match);
    assert_int_equal(batch.puts[i].put.if_match, version);
}

static void test_read__entries(void **state)
{
    assert_ok(read_text(""));
    assert_int_equal(batch.n, 0);
    assert_ok(read_text("3 0 a/b/c\nx\ny0 7 a/b/d\n2 18446744073709551615 a b\n\n\n"));
    assert_int_equal(batch.n, 3);
    check_put(0, "a/b/c", 0, "x\ny");
    check_put(1, "a/b/d", 7, "");
    check_put(2, "a b", UINT64_MAX, "\n\n"); /* whether it is a name the store says */
}

static void test_read__what_is_no_entry(void **state)
{
    static const char *const bodies[] = {
        "\n", "3\n", "3 0\nabc", "3 0 a", "3 0 a\nab", "x 0 a\nabc", " 3 0 a\nabc", "-3 0 a\nabc",
        "3 x a\nabc", "3  a\nabc", "99999999999999999999999 0 a\n", "18446744073709551615 0 a\n",
        "1 0 a\nab", /* what is left over */
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) assert_fails(read_text(bodies[i]), ERR_USAGE);
    batch = (struct resource_batch){.n = 0};
    assert_fails(resource_batch_read(span_of("0 0 a\0b\n", 8), &batch), ERR_USAGE);
}

static void test_read__limits(void **state)
{
    for (unsigned i = 0; i < STORE_BATCH_MAX; i++) buf_addf(&body, "1 0 n/%u\nx", i);
    assert_ok(read_text(buf_str(&body)));
    assert_int_equal(batch.n, STORE_BATCH_MAX);
    check_put(STORE_BATCH_MAX - 1, "n/63", 0, "x");
    buf_add_str(&body, "1 0 one/more\nx");
    assert_fails(read_text(buf_str(&body)), ERR_USAGE);
    buf_reset(&body);
    buf_addf(&body, "1 0 %0*d\nx", (int) NAME_MAX_BYTES, 7);
    assert_ok(read_text(buf_str(&body)));
    assert_int_equal(strlen(batch.puts[0].put.name), NAME_MAX_BYTES);
    buf_reset(&body);
    buf_addf(&body, "1 0 %0*d\nx", (int) NAME_MAX_BYTES + 1, 7);
    assert_fails(read_text(buf_str(&body)), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_read__entries),
        TEST(test_read__what_is_no_entry),
        TEST(test_read__limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
