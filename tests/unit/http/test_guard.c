#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/base/limits.h"
#include "broker/http/guard.h"

static void test_guard_target__forms(void **state)
{
    static const struct {
        const char *raw;
        int status;
        const char *path, *query; /* query NULL: none */
    } rows[] = {
        {"/", 0, "/", NULL},
        {"/a/b?c=d&e", 0, "/a/b", "c=d&e"},
        {"/a?", 0, "/a", ""},
        {"/a?b?c", 0, "/a", "b?c"},
        {"/a#f", 0, "/a", NULL},
        {"/a?q#f?g", 0, "/a", "q"},
        {"/a#f?q", 0, "/a", NULL},
        {"/%2e%2e/\xff\x01+", 0, "/%2e%2e/\xff\x01+", NULL},
        {"//host/a", 0, "//host/a", NULL},
        {"http://h/a?q", 0, "/a", "q"},
        {"HTTPS://h:8080/a", 0, "/a", NULL},
        {"http://user@h", 0, "/", NULL},
        {"http://h?q", 0, "/", "q"},
        {"http://h#f", 0, "/", NULL},
        {"http:///a", 400, NULL, NULL},
        {"http://", 400, NULL, NULL},
        {"ftp://h/a", 400, NULL, NULL},
        {"", 400, NULL, NULL},
        {"*", 400, NULL, NULL},
        {"a", 400, NULL, NULL},
        {"?q", 400, NULL, NULL},
        {"#/a", 400, NULL, NULL},
        {"h:443", 400, NULL, NULL},
        {"/a b", 400, NULL, NULL},
        {"/a ", 400, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct guard_target t = {0};
        int status = guard_target(span_str(rows[i].raw), &t).status;
        if (status != rows[i].status) fail_msg("%s gives %d", rows[i].raw, status);
        if (status) continue;
        if (!span_eq_str(t.path, rows[i].path)) fail_msg("path of %s", rows[i].raw);
        assert_int_equal(t.has_query, rows[i].query != NULL);
        if (rows[i].query && !span_eq_str(t.query, rows[i].query))
            fail_msg("query of %s", rows[i].raw);
    }
}

static void test_guard_target__nul_and_length(void **state)
{
    static char text[HTTP_MAX_TARGET + 1];
    struct guard_target t = {0};
    assert_int_equal(guard_target(span_of("/a\0b", 4), &t).status, 400);
    memset(text, 'y', sizeof text);
    text[0] = '/';
    assert_int_equal(guard_target(span_of(text, HTTP_MAX_TARGET), &t).status, 0);
    assert_int_equal(t.path.len, HTTP_MAX_TARGET);
    assert_int_equal(guard_target(span_of(text, HTTP_MAX_TARGET + 1), &t).status, 414);
}

static void test_guard_version__table(void **state)
{
    static const struct {
        const char *text;
        int status;
        bool old;
    } rows[] = {
        {"HTTP/1.1", 0, false},  {"HTTP/1.0", 0, true},    {"HTTP/1.2", 0, false},
        {"HTTP/7.0", 505, false}, {"HTTP/0.9", 505, false}, {"HTTP/1.", 505, false},
        {"HTTP/1.10", 505, false}, {"HTTP/1.x", 505, false}, {"http/1.1", 505, false},
        {"HTTP/1", 505, false},  {"", 505, false},         {NULL, 505, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool old = false;
        assert_int_equal(guard_version(rows[i].text, &old).status, rows[i].status);
        assert_int_equal(old, rows[i].old);
    }
}

#define CL "Content-Length"
#define TE "Transfer-Encoding"

static void test_guard_header__framing(void **state)
{
    static const struct {
        const char *lines[6]; /* name, value, name, value ... */
        int status;
        uint64_t length;
        bool old;
    } rows[] = {
        {{"Host", "x"}, 0, 0, false},
        {{CL, "0"}, 0, 0, false},
        {{"content-LENGTH", "42"}, 0, 42, false},
        {{CL, "18446744073709551615"}, 0, UINT64_MAX, false},
        {{CL, "18446744073709551616"}, 400, 0, false},
        {{CL, "99999999999999999999999"}, 400, 0, false},
        {{CL, ""}, 400, 0, false},
        {{CL, "-1"}, 400, 0, false},
        {{CL, "+1"}, 400, 0, false},
        {{CL, "2x"}, 400, 0, false},
        {{CL, "0x10"}, 400, 0, false},
        {{CL, "2 "}, 400, 0, false},
        {{CL, "2, 2"}, 400, 0, false},
        {{CL, "2", CL, "2"}, 400, 0, false},
        {{CL, "2", "Host", "x", CL, "3"}, 400, 0, false},
        {{TE, "chunked"}, 0, 0, false},
        {{TE, "Chunked"}, 0, 0, false},
        {{TE, "zip"}, 501, 0, false},
        {{TE, "gzip, chunked"}, 501, 0, false},
        {{TE, "chunked, identity"}, 501, 0, false},
        {{TE, "xchunked"}, 501, 0, false},
        {{TE, ""}, 501, 0, false},
        {{TE, "chunked", TE, "chunked"}, 400, 0, false},
        {{TE, "chunked", TE, "identity"}, 400, 0, false},
        {{TE, "chunked"}, 400, 0, true},
        {{CL, "5", TE, "chunked"}, 400, 0, false},
        {{TE, "chunked", CL, "5"}, 400, 0, false},
        {{CL " ", "5"}, 400, 0, false},
        {{CL "\t", "5"}, 400, 0, false},
        {{" " CL, "5"}, 400, 0, false},
        {{"", "5"}, 400, 0, false},
        {{"X\x01", "5"}, 400, 0, false},
        {{"X\xff", "5"}, 400, 0, false},
        {{"X(", "5"}, 400, 0, false},
        {{"X", "a\rb"}, 400, 0, false},
        {{"X", "a\nb"}, 400, 0, false},
        {{"X!#$%&'*+-.^_`|~9", "\xff"}, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct guard g = {0};
        for (size_t j = 0; j < 6 && rows[i].lines[j]; j += 2)
            guard_header(&g, span_str(rows[i].lines[j]), span_str(rows[i].lines[j + 1]));
        int status = guard_verdict(&g, rows[i].old).status;
        if (status != rows[i].status) fail_msg("row %zu gives %d", i, status);
        if (status == 0) assert_true(g.length == rows[i].length);
    }
}

static void test_guard_header__nul(void **state)
{
    struct guard g = {0};
    guard_header(&g, span_of("a\0b", 3), span_str("x"));
    assert_int_equal(guard_verdict(&g, false).status, 400);
    g = (struct guard){0};
    guard_header(&g, span_str("x"), span_of("a\0b", 3));
    assert_int_equal(guard_verdict(&g, false).status, 400);
}

static void test_guard_header__count(void **state)
{
    struct guard g = {0};
    for (unsigned i = 0; i < HTTP_MAX_HEADERS; i++)
        guard_header(&g, span_str("X"), span_str("y"));
    assert_int_equal(guard_verdict(&g, false).status, 0);
    guard_header(&g, span_str("X"), span_str("y"));
    assert_int_equal(guard_verdict(&g, false).status, 431);
}

static void test_guard_header__expect(void **state)
{
    struct guard g = {0};
    assert_false(g.expect);
    guard_header(&g, span_str("expect"), span_str("100-continue"));
    assert_true(g.expect);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard_target__forms),
        cmocka_unit_test(test_guard_target__nul_and_length),
        cmocka_unit_test(test_guard_version__table),
        cmocka_unit_test(test_guard_header__framing),
        cmocka_unit_test(test_guard_header__nul),
        cmocka_unit_test(test_guard_header__count),
        cmocka_unit_test(test_guard_header__expect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
