/* Requests through a real server: framing, bodies, refusals, suspend and resume. */
#include <pthread.h>

#include "tls_peer.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST(target, length) \
    "POST " target " HTTP/1.1\r\nHost: x\r\nContent-Length: " length "\r\n\r\n"
#define CHUNKED(target) "POST " target " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static void expect_body(const struct reply *r, int status, const char *body)
{
    if (r->status != status || strcmp(r->body, body) != 0)
        fail_msg("%d \"%s\" instead of %d \"%s\"", r->status, r->body, status, body);
}

/* ---- plain requests ------------------------------------------------------------------------- */

static void test_request__method_path_query_header(void **state)
{
    static const struct {
        const char *request, *body;
    } rows[] = {
        {GET("/a/b?c=d&e"), "GET 0 /a/b?c=d&e - tcp 0"},
        {GET("/%2e%2e/%zz?+%20&"), "GET 0 /%2e%2e/%zz?+%20& - tcp 0"},
        {GET("http://other/p?q"), "GET 0 /p?q - tcp 0"},
        {GET("/p?#frag"), "GET 0 /p? - tcp 0"},
        {"DELETE /d HTTP/1.1\r\nX-TEST: 1\r\nx-test: 2\r\n\r\n", "DELETE 4 /d 1 tcp 0"},
        {"PATCH /d HTTP/1.1\r\n\r\n", "PATCH 5 /d - tcp 0"},
        {"BREW /d HTTP/1.1\r\n\r\n", "BREW 5 /d - tcp 0"},
        {"OPTIONS /d HTTP/1.1\r\n\r\n", "OPTIONS 5 /d - tcp 0"},
        {"TRACE /d HTTP/1.1\r\n\r\n", "TRACE 5 /d - tcp 0"},
        {"get /d HTTP/1.1\r\n\r\n", "get 5 /d - tcp 0"},
    };
    int fd = client();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply r = ask(fd, rows[i].request);
        expect_body(&r, 200, rows[i].body);
        assert_string_equal(field(&r, "Content-Type"), "text/plain");
        assert_non_null(field(&r, "Date"));
        assert_null(field(&r, "Server"));
    }
    close(fd);
    AWAIT(frees == heads);
}

static void test_request__head_has_no_body(void **state)
{
    int fd = client();
    struct reply r;
    put_text(fd, "HEAD /h HTTP/1.1\r\n\r\n" GET("/g"));
    assert_true(read_reply_to(fd, &r, true));
    assert_int_equal(r.status, 200);
    r = read_reply(fd);
    expect_body(&r, 200, "GET 0 /g - tcp 0");
    close(fd);
}

static void test_request__empty_answers(void **state)
{
    int fd = client();
    struct reply r = ask(fd, GET("/empty"));
    assert_int_equal(r.status, 204);
    r = ask(fd, GET("/nothing"));
    assert_int_equal(r.status, 200);
    assert_string_equal(field(&r, "Content-Length"), "0");
    close(fd);
}

static void test_request__pipelined_in_order(void **state)
{
    int fd = client();
    put_text(fd, GET("/1") POST("/echo", "3") "abc" GET("/pend") CHUNKED("/echo")
             "2\r\nde\r\n0\r\n\r\n" GET("/2"));
    struct reply r = read_reply(fd);
    expect_body(&r, 200, "GET 0 /1 - tcp 0");
    r = read_reply(fd);
    expect_body(&r, 200, "abc");
    struct exchange *x = await_pending();
    fill_text(&x->resp, 200, "at last");
    x->resume(x);
    r = read_reply(fd);
    expect_body(&r, 200, "at last");
    r = read_reply(fd);
    expect_body(&r, 200, "de");
    r = read_reply(fd);
    expect_body(&r, 200, "GET 0 /2 - tcp 0");
    close(fd);
}

static void test_request__keep_alive_between_refusals(void **state)
{
    int fd = client();
    for (int i = 0; i < 20; i++) {
        struct reply r = ask(fd, GET("/deny"));
        expect_body(&r, 403, "denied");
        r = ask(fd, POST("/deny", "5") "hello"); /* the body is read past */
        expect_body(&r, 403, "denied");
        r = ask(fd, POST("/echo", "2") "{}");
        expect_body(&r, 200, "{}");
        assert_string_equal(field(&r, "ETag"), "\"7\"");
        r = ask(fd, POST("/echo", "0"));
        expect_body(&r, 200, "");
        /* a body that nobody wants */
        r = ask(fd, "GET /g HTTP/1.1\r\nContent-Length: 4\r\n\r\nxxxx");
        expect_body(&r, 200, "GET 0 /g - tcp 0");
    }
    assert_int_equal(stats().accepted, 1);
    close(fd);
}

static void test_request__close_is_honoured(void **state)
{
    static const char *const requests[] = {
        "GET /x HTTP/1.1\r\nConnection: close\r\n\r\n", "GET /x HTTP/1.0\r\n\r\n", GET("/bye")};
    for (size_t i = 0; i < 3; i++) {
        int fd = client();
        struct reply r = ask(fd, requests[i]);
        assert_int_equal(r.status, 200);
        expect_end(fd);
        close(fd);
    }
}

static void test_request__continue(void **state)
{
    int fd = client();
    put_text(fd, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    struct reply r = read_reply(fd);
    assert_int_equal(r.status, 100);
    put_text(fd, "abc");
    r = read_reply(fd);
    expect_body(&r, 200, "abc");
    /* a refusal comes instead of it, and ends the connection since a body may follow or not */
    put_text(fd, "POST /deny HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    r = read_reply(fd);
    expect_body(&r, 403, "denied");
    expect_end(fd);
    close(fd);
}

/* ---- bodies --------------------------------------------------------------------------------- */

static void post_sized(int fd, size_t n, bool chunked)
{
    static char body[ECHO_LIMIT + 1];
    char head[160];
    memset(body, 'b', sizeof body);
    if (chunked) snprintf(head, sizeof head, CHUNKED("/echo") "%zx\r\n", n);
    else snprintf(head, sizeof head, POST("/echo", "%zu"), n);
    put_text(fd, head);
    put(fd, body, n);
    if (chunked) put_text(fd, "\r\n0\r\n\r\n");
}

static void test_body__at_and_over_the_limit(void **state)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        int fd = client();
        post_sized(fd, ECHO_LIMIT, chunked);
        struct reply r = read_reply(fd);
        assert_int_equal(r.status, 200);
        assert_int_equal(r.len, ECHO_LIMIT);
        unsigned before = serves;
        post_sized(fd, ECHO_LIMIT + 1, chunked);
        r = read_reply(fd);
        expect_body(&r, 413, "refused");
        assert_int_equal(serves, before);
        expect_end(fd);
        close(fd);
    }
    AWAIT(frees == heads);
    assert_int_equal(secret_used(), 0);
}

static void test_body__chunks_of_one_byte_with_extensions(void **state)
{
    int fd = client();
    put_text(fd, CHUNKED("/echo"));
    for (int i = 0; i < 26; i++) {
        char piece[32];
        snprintf(piece, sizeof piece, "1;a=b\r\n%c\r\n", 'a' + i);
        put_text(fd, piece);
    }
    put_text(fd, "0\r\n\r\n");
    struct reply r = read_reply(fd);
    expect_body(&r, 200, "abcdefghijklmnopqrstuvwxyz");
    close(fd);
}

/* Twice the drain limit: the server must stop reading, whether or not the answer gets through. */
static void test_body__endless_chunks_are_cut(void **state)
{
    static char piece[65536];
    int fd = client();
    put_text(fd, CHUNKED("/echo"));
    bool open = true;
    for (int i = 0; open && i < 1 << 12; i++) {
        open = put_text(fd, "10000\r\n") && put(fd, piece, sizeof piece) && put_text(fd, "\r\n");
    }
    assert_false(open);
    struct reply r;
    if (read_reply_to(fd, &r, false)) assert_int_equal(r.status, 413);
    close(fd);
    assert_int_equal(serves, 0);
    AWAIT(frees == heads && secret_used() == 0);
}

static void test_body__unwanted_beyond_the_bound(void **state)
{
    int fd = client();
    struct reply r = ask(fd, POST("/deny", "1000000"));
    expect_body(&r, 403, "denied");
    expect_end(fd);
    close(fd);
    fd = client();
    r = ask(fd, POST("/x", "1000000"));
    expect_body(&r, 413, "refused");
    expect_end(fd);
    close(fd);
    fd = client();
    r = ask(fd, CHUNKED("/deny"));
    expect_body(&r, 403, "denied");
    expect_end(fd);
    close(fd);
}

static void test_body__secret_memory_spent(void **state)
{
    int fd = client();
    struct reply r = ask(fd, "POST /huge HTTP/1.1\r\nContent-Length: 60000000\r\nX-Test: t\r\n\r\n");
    expect_body(&r, 503, "t");
    assert_string_equal(field(&r, "Retry-After"), "1");
    expect_end(fd);
    close(fd);
    assert_int_equal(secret_used(), 0);
}

static void test_body__hang_up_in_the_middle(void **state)
{
    static const char *const starts[] = {
        "", "GET", "GET /x HTTP/1.1\r\nHost:", POST("/echo", "50") "{",
        CHUNKED("/echo") "5\r\nab", GET("/x"), POST("/deny", "50")};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        for (int j = 0; j < 5; j++) {
            int fd = client();
            put_text(fd, starts[i]);
            close(fd);
        }
    AWAIT(stats().accepted == 35 && stats().open == 0);
    assert_int_equal(frees, heads);
    assert_int_equal(secret_used(), 0);
}

/* ---- refusals ------------------------------------------------------------------------------- */

#define HEAD "POST /echo HTTP/1.1\r\nHost: x\r\n"
#define INNER "GET /nosuch HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_refusal__ends_the_connection(void **state)
{
    static const struct {
        const char *request;
        int status; /* 0: the parser's own choice of a 4xx, a 5xx or just an end */
    } rows[] = {
        {HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400},
        {HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400},
        {HEAD "Content-Length : 2\r\n\r\n{}", 400},
        {HEAD "X\t: 2\r\n\r\n", 400},
        {HEAD "X : a\r\n\r\n", 400},
        {HEAD "Transfer-Encoding: zip\r\n\r\n0\r\n\r\n", 501},
        {HEAD "Transfer-Encoding: chunked, zip\r\n\r\n0\r\n\r\n", 501},
        {HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        /* the parser glues continuation lines to names (quirk.h) */
        {HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
        {HEAD "Content-Length:\r\n 39\r\n\r\n" INNER, 400},
        {HEAD "Content-Len: 39\r\n gth\r\n\r\n" INNER, 400},
        {HEAD "X: a\r\n b\r\n\r\n" INNER, 400},
        {HEAD "X: a\r\n\tb\r\nY: c\r\n\r\n" INNER, 400},
        {HEAD " Content-Length: 39\r\n\r\n" INNER, 400},
        {"GET /x HTTP/1.1\n X: a\n\n" INNER, 400},
        {"GET /x HTTP/1.1\nX: a\rTransfer-Encoding: chunked\n\n0\r\n\r\n" INNER, 400},
        {HEAD "Content-Length: 39\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INNER, 400},
        {HEAD "Transfer-Encoding: chunked\r\nContent-Length: 39\r\n\r\n0\r\n\r\n" INNER, 400},
        {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" INNER, 400},
        {"GET /a b HTTP/1.1\r\n\r\n" INNER, 400},
        {"GET /a  HTTP/1.1\r\n\r\n" INNER, 400},
        {"GET a HTTP/1.1\r\n\r\n" INNER, 400},
        {"OPTIONS * HTTP/1.1\r\n\r\n" INNER, 400},
        {"CONNECT h:443 HTTP/1.1\r\n\r\n" INNER, 400},
        {"GET ftp://h/ HTTP/1.1\r\n\r\n" INNER, 400},
        {HEAD "Content-Length: 2x\r\n\r\n{}", 0},
        {HEAD "Content-Length: -1\r\n\r\n", 0},
        {HEAD "Content-Length: +2\r\n\r\n{}", 0},
        {HEAD "Content-Length: 2, 2\r\n\r\n{}", 0},
        {HEAD "Content-Length: 99999999999999999999999\r\n\r\n{}", 0},
        {HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 0},
        {"GET /x HTTP/7.0\r\n\r\n" INNER, 0},
        {"GET /x\r\n\r\n" INNER, 0},
        {"good morning\r\n\r\n" INNER, 0},
        {"\x16\x03\x01\x02\r\n\r\n", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client();
        put_text(fd, rows[i].request);
        struct reply r;
        bool answered = read_reply_to(fd, &r, false);
        if (rows[i].status ? r.status != rows[i].status : answered && r.status < 400)
            fail_msg("%s gives %d %s", rows[i].request, r.status, r.body);
        /* the parser's own answers are not clean: some repeat their head as their body */
        char rest[256] = "";
        while (answered && !rows[i].status && get_some(fd, rest, sizeof rest))
            assert_null(memmem(rest, sizeof rest, " 200 ", 5));
        if (rows[i].status) expect_end(fd);
        close(fd);
    }
    assert_int_equal(serves, 0);
    AWAIT(stats().open == 0);
    assert_int_equal(frees, heads);
    assert_true(stats().refused_malformed >= 18);
}

static void test_refusal__nul_in_target(void **state)
{
    static const char request[] = "GET /a\0b HTTP/1.1\r\n\r\n";
    int fd = client();
    put(fd, request, sizeof request - 1);
    assert_int_equal(read_reply(fd).status, 400);
    expect_end(fd);
    close(fd);
    assert_int_equal(heads, 0);
}

/* Blanks around values, empty values and bare LF are no folding. */
static void test_request__odd_but_whole_lines(void **state)
{
    int fd = client();
    struct reply r = ask(fd, "POST /echo HTTP/1.1\nA:\nB: \r\nC:\t \r\nD:d \t\r\n"
                             "Content-Length:  \t3\r\nX-Test: \xff=\xfe\r\n\r\nabc");
    expect_body(&r, 200, "abc");
    r = ask(fd, "GET /y HTTP/1.1\r\nX-Test: \t\xff= \xfe \t \r\nZ:\r\n\r\n");
    expect_body(&r, 200, "GET 0 /y \xff= \xfe tcp 0"); /* blanks around it are none of the value */
    r = ask(fd, "GET /y HTTP/1.1\r\nX-Test: \t \r\n\r\n");
    expect_body(&r, 200, "GET 0 /y  tcp 0");
    close(fd);
}

/* A body that the parser took for the next request would be smuggling. */
static void test_refusal__unframed_bodies_are_not_requests(void **state)
{
    static const char *const methods[] = {"GET", "DELETE", "PUT", "POST", "OPTIONS"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        int fd = client();
        char text[400];
        snprintf(text, sizeof text, "%s /deny HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s%s",
                 methods[i], strlen(INNER), INNER, GET("/after"));
        put_text(fd, text);
        struct reply r = read_reply(fd);
        expect_body(&r, 403, "denied");
        r = read_reply(fd);
        expect_body(&r, 200, "GET 0 /after - tcp 0");
        close(fd);
    }
}

static void test_refusal__long_target(void **state)
{
    static const struct {
        size_t length;
        char of;
        int status;
    } rows[] = {
        {HTTP_MAX_TARGET, 'y', 200}, {HTTP_MAX_TARGET + 1, 'y', 414}, {70000, 'y', 414},
        {HTTP_MAX_TARGET, '&', 200}, /* arguments, of which MHD would keep a record each */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client();
        send_repeated(fd, "GET /nothing?", rows[i].of, rows[i].length - strlen("/nothing?"),
                      " HTTP/1.1\r\n\r\n");
        struct reply r = read_reply(fd);
        assert_int_equal(r.status, rows[i].status);
        if (r.status != 200) expect_end(fd);
        close(fd);
    }
}

static void test_refusal__heads_too_large(void **state)
{
    int fd = client();
    send_repeated(fd, "GET /x HTTP/1.1\r\nX: ", 'y', 1 << 20, "\r\n\r\n");
    struct reply r;
    if (read_reply_to(fd, &r, false)) assert_in_range(r.status, 413, 431);
    close(fd);
    fd = client();
    send_repeated(fd, "GET /x?", 'y', 200 << 10, " HTTP/1.1\r\n\r\n");
    if (read_reply_to(fd, &r, false)) assert_in_range(r.status, 413, 431);
    close(fd);
    assert_int_equal(heads, 0);
}

/* The largest token that JOSE takes goes through the pool, and so do a thousand cookies. */
static void test_request__large_heads(void **state)
{
    int fd = client();
    send_repeated(fd, "GET /nothing HTTP/1.1\r\nAuthorization: Bearer ", 'y', JOSE_MAX_TOKEN,
                  "\r\n\r\n");
    assert_int_equal(read_reply(fd).status, 200);
    put_text(fd, "GET /nothing HTTP/1.1\r\nCookie: ");
    for (int i = 0; i < 1000; i++) {
        char pair[32];
        snprintf(pair, sizeof pair, "c%d=v%d; ", i, i);
        put_text(fd, pair);
    }
    put_text(fd, "last=x\r\n\r\n");
    assert_int_equal(read_reply(fd).status, 200);
    close(fd);
}

static void test_refusal__header_count(void **state)
{
    static const struct {
        unsigned lines;
        int status;
    } rows[] = {{HTTP_MAX_HEADERS, 200}, {HTTP_MAX_HEADERS + 1, 431}, {1000, 431}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client();
        put_text(fd, "GET /nothing HTTP/1.1\r\n");
        for (unsigned n = 0; n < rows[i].lines; n++) put_text(fd, "X: y\r\n");
        put_text(fd, "\r\n");
        struct reply r = read_reply(fd);
        assert_int_equal(r.status, rows[i].status);
        close(fd);
    }
}

/* ---- suspend and resume --------------------------------------------------------------------- */

static void test_resume__before_suspend(void **state)
{
    int fd = client();
    for (int i = 0; i < 1000; i++) {
        struct reply r = ask(fd, GET("/early"));
        expect_body(&r, 200, "GET 0 /early - tcp 0");
    }
    close(fd);
    AWAIT(frees == 1000);
}

static void *resume_all(void *arg)
{
    for (int i = 0; i < *(int *) arg; i++) {
        struct exchange *x = take_pending();
        if (!x) return arg;
        describe(x);
        x->resume(x);
    }
    return NULL;
}

static void test_resume__from_another_thread(void **state)
{
    int count = 1000;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, resume_all, &count), 0);
    int fd = client();
    for (int i = 0; i < count; i++) {
        struct reply r = ask(fd, "GET /pend?q HTTP/1.1\r\nX-Test: h\r\n\r\n");
        expect_body(&r, 200, "GET 0 /pend?q h tcp 0");
    }
    void *failed = NULL;
    pthread_join(thread, &failed);
    assert_null(failed);
    close(fd);
    AWAIT(frees == (unsigned) count);
}

static void test_resume__after_the_client_left(void **state)
{
    int fd = client();
    put_text(fd, GET("/pend"));
    struct exchange *x = await_pending();
    close(fd);
    assert_int_equal(stats().open, 1); /* a suspended connection does not notice */
    describe(x);
    x->resume(x);
    AWAIT(stats().open == 0);
    assert_int_equal(frees, 1);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, start_small, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_request__method_path_query_header),
        TEST(test_request__head_has_no_body),
        TEST(test_request__empty_answers),
        TEST(test_request__pipelined_in_order),
        TEST(test_request__keep_alive_between_refusals),
        TEST(test_request__close_is_honoured),
        TEST(test_request__continue),
        TEST(test_body__at_and_over_the_limit),
        TEST(test_body__chunks_of_one_byte_with_extensions),
        TEST(test_body__endless_chunks_are_cut),
        TEST(test_body__unwanted_beyond_the_bound),
        TEST(test_body__secret_memory_spent),
        TEST(test_body__hang_up_in_the_middle),
        TEST(test_refusal__ends_the_connection),
        TEST(test_refusal__nul_in_target),
        TEST(test_request__odd_but_whole_lines),
        TEST(test_refusal__unframed_bodies_are_not_requests),
        TEST(test_refusal__long_target),
        TEST(test_refusal__heads_too_large),
        TEST(test_request__large_heads),
        TEST(test_refusal__header_count),
        TEST(test_resume__before_suspend),
        TEST(test_resume__from_another_thread),
        TEST(test_resume__after_the_client_left),
    };
    int failed = cmocka_run_group_tests_name("plain", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("over TLS", tests, tls_on, tls_off);
}
