#include "broker/api/cookie.h"
#include "tests/lib/test.h"

#include <strings.h>

#define ID "0123456789abcdef0123456789abcdef"

static void each_header(const struct request *r, const char *name,
                        bool (*visit)(void *arg, const char *value), void *arg)
{
    assert_true(strcasecmp(name, "Cookie") == 0);
    for (const char *const *h = r->transport; *h; h++)
        if (!visit(arg, *h)) return;
}

/* The session's text of these Cookie headers, or NULL. */
static const char *read_from(const char *const *headers)
{
    static char out[SESSION_COOKIE_TEXT];
    struct request r = {.each_header = each_header, .transport = (void *) (uintptr_t) headers};
    memset(out, '?', sizeof out);
    return cookie_read(&r, out) ? out : NULL;
}

static void test_cookie_read__table(void **state)
{
    static const struct { const char *headers[3], *value; } rows[] = {
        {{"kbs-session-id=" ID}, ID},
        {{"kbs-session-id=" ID "; other=1"}, ID},
        {{"other=1; kbs-session-id=" ID}, ID},
        {{"other=1;kbs-session-id=" ID}, ID},
        {{" ;; \t; kbs-session-id=" ID ";;"}, ID},
        {{"flag; kbs-session-id=" ID}, ID},
        {{"a=\"x\"; kbs-session-id=" ID}, ID},
        /* The first of two counts, in one header or in two (15.8). */
        {{"kbs-session-id=first; kbs-session-id=" ID}, "first"},
        {{"kbs-session-id=first", "kbs-session-id=" ID}, "first"},
        {{"other=1", "kbs-session-id=" ID}, ID},
        {{"kbs-session-id=; kbs-session-id=" ID}, ""},
        /* The name is case-sensitive and whole. */
        {{"KBS-Session-Id=" ID}, NULL},
        {{"kbs-session-idx=" ID}, NULL},
        {{"xkbs-session-id=" ID}, NULL},
        {{"kbs-session-id"}, NULL},
        {{"kbs-session-id =" ID}, NULL},
        {{"kbs-session-id;=" ID}, NULL},
        {{"a=kbs-session-id=" ID}, NULL},
        {{""}, NULL},
        {{";;;"}, NULL},
        {{"="}, NULL},
        {{NULL}, NULL},
        /* What follows '=' is taken as it is; who looks up a session judges it. */
        {{"kbs-session-id=a=b"}, "a=b"},
        {{"kbs-session-id=\"" ID "\""}, "\"" ID "\""},
        {{"kbs-session-id=../../etc"}, "../../etc"},
        {{"kbs-session-id=\xff\x01"}, "\xff\x01"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *value = read_from(rows[i].headers);
        if (!rows[i].value) {
            if (value) fail_msg("row %zu: \"%s\"", i, value);
            continue;
        }
        if (!value) fail_msg("row %zu: no cookie", i);
        assert_string_equal(value, rows[i].value);
    }
}

static void test_cookie_read__long_values_are_cut(void **state)
{
    char header[15 + 4 * SESSION_COOKIE_TEXT] = "kbs-session-id=";
    memset(header + 15, 'a', sizeof header - 16);
    const char *const headers[] = {header, NULL};
    const char *value = read_from(headers);
    assert_int_equal(strlen(value), SESSION_COOKIE_TEXT - 1);
    header[15 + SESSION_COOKIE_TEXT - 1] = '\0';
    assert_int_equal(strlen(read_from(headers)), SESSION_COOKIE_TEXT - 1);
}

static void test_cookie_read__no_headers_at_all(void **state)
{
    char out[SESSION_COOKIE_TEXT] = "before";
    struct request r = {0};
    assert_false(cookie_read(&r, out));
    assert_string_equal(out, "");
}

static void test_cookie_set__exact(void **state)
{
    struct response r = {0};
    cookie_set(&r, ID, 1787277631);
    assert_int_equal(r.header_count, 1);
    assert_string_equal(r.headers[0].name, "Set-Cookie");
    /* kbs-api.md 2.3: no Path, Domain, HttpOnly, Secure, SameSite or Max-Age. */
    assert_string_equal(r.headers[0].value,
                        "kbs-session-id=" ID "; Expires=Fri, 21 Aug 2026 02:00:31 GMT");
    response_reset(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookie_read__table),
        cmocka_unit_test(test_cookie_read__long_values_are_cut),
        cmocka_unit_test(test_cookie_read__no_headers_at_all),
        cmocka_unit_test(test_cookie_set__exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
