#include "broker/base/line_diff.h"
#include "tests/lib/patch.h"
#include "tests/lib/test.h"

static struct buf out, left, right;

static int teardown(void **state)
{
    buf_free(&out);
    buf_free(&left);
    buf_free(&right);
    return 0;
}

static const char *diff(struct span a, struct span b)
{
    buf_reset(&out);
    assert_ok(line_diff(a, "old", b, "new", &out));
    return buf_str(&out);
}

#define HEAD "--- old\n+++ new\n"

/* What diff -u prints for the same texts. */
static void test_line_diff__as_diff_u(void **state)
{
    static const struct { const char *a, *b, *says; } rows[] = {
        {"", "", ""},
        {"a\nb\n", "a\nb\n", ""},
        {"", "a\n", HEAD "@@ -0,0 +1 @@\n+a\n"},
        {"a\n", "", HEAD "@@ -1 +0,0 @@\n-a\n"},
        {"a\nb\n", "a\nc\n", HEAD "@@ -1,2 +1,2 @@\n a\n-b\n+c\n"},
        {"a\nb\nc\n", "a\nc\n", HEAD "@@ -1,3 +1,2 @@\n a\n-b\n c\n"},
        {"a\n", "a", HEAD "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n"},
        {"a", "a\n", HEAD "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"},
        {"a\nb", "c\nb", HEAD "@@ -1,2 +1,2 @@\n-a\n+c\n b\n\\ No newline at end of file\n"},
        {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
         HEAD "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n"},
        /* six equal lines between two changes: one hunk */
        {"a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
         HEAD "@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n"},
        /* seven: two */
        {"a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
         HEAD "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n"},
        {"a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n",
         HEAD "@@ -1,7 +1,6 @@\n-a\n-b\n c\n+b\n a\n b\n-b\n a\n+c\n"},
        {"x\r\n", "x\n", HEAD "@@ -1 +1 @@\n-x\r\n+x\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(diff(span_str(rows[i].a), span_str(rows[i].b)), rows[i].says);
}

/* ---- any two texts ------------------------------------------------------------------------ */

static uint32_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % sides;
}

static void make_text(struct buf *text, uint32_t lines, uint32_t letters)
{
    buf_reset(text);
    for (uint32_t i = 0; i < lines; i++) {
        buf_add_byte(text, (uint8_t) ('a' + dice(letters)));
        if (i + 1 < lines || dice(4)) buf_add_byte(text, '\n');
    }
}

/* The hunks, applied to a, give b; returns how many lines go and come. */
static size_t check_applies(struct span a, struct span b, struct span patch)
{
    struct buf made = BUF_INIT;
    size_t edits = 0;
    assert_true(patch_apply(a, patch, &made, &edits));
    assert_true(span_eq(buf_span(&made), b));
    buf_free(&made);
    return edits;
}

static void test_line_diff__applies(void **state)
{
    for (seed = 1; seed < 4000; seed++) {
        uint32_t keep = seed;
        make_text(&left, dice(30), 2 + dice(8));
        make_text(&right, dice(30), 2 + dice(8));
        struct span patch = span_str(diff(buf_span(&left), buf_span(&right)));
        if (patch.len == 0) assert_true(span_eq(buf_span(&left), buf_span(&right)));
        else check_applies(buf_span(&left), buf_span(&right), patch);
        seed = keep;
    }
}

/* Numbered lines, of which every other one is another: twice as many edits as lines that differ. */
static void make_numbered(struct buf *text, size_t lines, const char *odd)
{
    buf_reset(text);
    for (size_t i = 0; i < 2 * lines; i++) buf_addf(text, "%zu%s\n", i, i % 2 ? odd : "");
}

static void test_line_diff__edits_at_and_beyond_the_limit(void **state)
{
    static const struct { size_t lines, edits; } rows[] = {
        {LINE_DIFF_EDITS_MAX / 2, LINE_DIFF_EDITS_MAX},
        {LINE_DIFF_EDITS_MAX / 2 + 1, 4 * (LINE_DIFF_EDITS_MAX / 2 + 1) - 2}, /* but the first line */
    };
    for (size_t i = 0; i < 2; i++) {
        make_numbered(&left, rows[i].lines, "");
        make_numbered(&right, rows[i].lines, "x");
        struct span patch = span_str(diff(buf_span(&left), buf_span(&right)));
        assert_int_equal(check_applies(buf_span(&left), buf_span(&right), patch), rows[i].edits);
    }
}

/* As many lines as a policy can have, nothing in common. */
static void test_line_diff__largest(void **state)
{
    buf_reset(&left);
    buf_reset(&right);
    for (size_t i = 0; i < (128u << 10); i++) {
        buf_add_str(&left, "\n");
        buf_add_str(&right, "x\n");
    }
    struct span patch = span_str(diff(buf_span(&left), buf_span(&right)));
    assert_int_equal(check_applies(buf_span(&left), buf_span(&right), patch), 256u << 10);
}

static void test_line_diff__full_buffer(void **state)
{
    struct buf small = {.max = 20};
    assert_fails(line_diff(SPAN_LIT("a\n"), "old", SPAN_LIT("b\n"), "new", &small), ERR_TOOLARGE);
    buf_free(&small);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_line_diff__as_diff_u),
        TEST(test_line_diff__applies),
        TEST(test_line_diff__edits_at_and_beyond_the_limit),
        TEST(test_line_diff__largest),
        TEST(test_line_diff__full_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
