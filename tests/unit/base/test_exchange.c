#include "broker/base/exchange.h"
#include "tests/lib/test.h"

#include <signal.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

/* transport: "Name: value" lines, NULL at the end */
static void each_header(const struct request *r, const char *name,
                        bool (*visit)(void *arg, const char *value), void *arg)
{
    size_t len = strlen(name);
    for (const char *const *h = r->transport; *h; h++)
        if (strncasecmp(*h, name, len) == 0 && (*h)[len] == ':' && !visit(arg, *h + len + 2)) return;
}

static void test_request_header__the_first_of_that_name(void **state)
{
    static const char *const headers[] = {"Host: a", "Cookie: one", "cookie: two", NULL};
    struct request r = {.each_header = each_header, .transport = (void *) (uintptr_t) headers};
    assert_string_equal(request_header(&r, "cookie"), "one");
    assert_string_equal(request_header(&r, "HOST"), "a");
    assert_null(request_header(&r, "Cook"));
    assert_null(request_header(&r, "Authorization"));
}

static void test_request_header__of_a_request_made_by_hand(void **state)
{
    struct request r = {0};
    assert_null(request_header(&r, "Host"));
}

static void test_request_body__none_is_empty(void **state)
{
    struct request r = {0};
    assert_int_equal(request_body(&r).len, 0);
    assert_ok(secret_copy(SPAN_LIT("body"), &r.body));
    assert_span(request_body(&r), "body");
    secret_free(r.body);
}

static void test_response_header__keeps_order_and_formats(void **state)
{
    struct response r = {0};
    response_header(&r, "ETag", "\"%d\"", 7);
    response_header(&r, "Allow", "GET");
    assert_int_equal(r.header_count, 2);
    assert_string_equal(r.headers[0].name, "ETag");
    assert_string_equal(r.headers[0].value, "\"7\"");
    assert_string_equal(r.headers[1].value, "GET");
}

static void add_many(struct response *r, int count)
{
    for (int i = 0; i < count; i++) response_header(r, "X", "%d", i);
}

static void one_too_many(void)
{
    struct response r = {0};
    add_many(&r, RESPONSE_HEADERS + 1);
}

static void one_too_long(void)
{
    struct response r = {0};
    response_header(&r, "X", "%0*d", RESPONSE_HEADER_VALUE, 1);
}

/* A broken invariant of ours ends the process: tried in a child. */
static void assert_aborts(void (*what)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        what();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_response_header__limits_at_and_beyond(void **state)
{
    struct response r = {0};
    add_many(&r, RESPONSE_HEADERS - 1);
    response_header(&r, "X", "%0*d", RESPONSE_HEADER_VALUE - 1, 1);
    assert_int_equal(r.header_count, RESPONSE_HEADERS);
    assert_int_equal(strlen(r.headers[RESPONSE_HEADERS - 1].value), RESPONSE_HEADER_VALUE - 1);
    assert_aborts(one_too_many);
    assert_aborts(one_too_long);
}

static void test_response_reset__frees_and_clears(void **state)
{
    size_t used = secret_used();
    struct response r = {.status = 200, .close = true, .content_type = "text/plain"};
    response_header(&r, "X", "y");
    buf_add_str(&r.body, "body");
    assert_ok(secret_copy(SPAN_LIT("secret"), &r.secret_body));
    response_reset(&r);
    assert_int_equal(secret_used(), used);
    assert_int_equal(r.status, 0);
    assert_int_equal(r.header_count, 0);
    assert_null(r.body.data);
    assert_null(r.secret_body);
    assert_false(r.close);
    response_reset(&r); /* again is harmless */
}

static int make_arena(void **state)
{
    struct secret *s = NULL; /* so that "used before" can be asked for */
    if (!err_ok(secret_new(1, &s))) return -1;
    secret_free(s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_header__the_first_of_that_name),
        cmocka_unit_test(test_request_header__of_a_request_made_by_hand),
        cmocka_unit_test(test_request_body__none_is_empty),
        cmocka_unit_test(test_response_header__keeps_order_and_formats),
        cmocka_unit_test(test_response_header__limits_at_and_beyond),
        cmocka_unit_test(test_response_reset__frees_and_clears),
    };
    return cmocka_run_group_tests(tests, make_arena, NULL);
}
