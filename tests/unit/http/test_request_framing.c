/* Where one request ends and the next begins, as two who read the same bytes must agree on it: over
 * plain HTTP and over TLS. */
#include "tls_peer.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"
#define SMUGGLED GET("/smuggled")
#define HEAD "POST /echo HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

/* All answers until the end of the connection or `most` of them: their statuses, "200 403 ". */
static const char *statuses(int fd, unsigned most)
{
    static char text[256];
    struct reply r;
    text[0] = '\0';
    for (unsigned i = 0; i < most && read_reply_to(fd, &r, false); i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", r.status);
    return text;
}

/* Bodies in chunks that say two things, or nothing: never a request made of what follows. */
static void test_chunks__malformed(void **state)
{
    static const char *const rows[] = {
        CHUNKED "g\r\n" SMUGGLED,
        CHUNKED "\r\n\r\n" SMUGGLED,
        CHUNKED "-1\r\na\r\n0\r\n\r\n" SMUGGLED,
        CHUNKED "+1\r\na\r\n0\r\n\r\n" SMUGGLED,
        CHUNKED "0x1\r\na\r\n0\r\n\r\n" SMUGGLED,
        CHUNKED "1 1\r\na\r\n0\r\n\r\n" SMUGGLED,
        CHUNKED "ffffffffffffffff1\r\na\r\n0\r\n\r\n" SMUGGLED,
        CHUNKED "10000000000000000\r\na\r\n0\r\n\r\n" SMUGGLED,
        CHUNKED "1\r\nab\r\n0\r\n\r\n" SMUGGLED, /* more than it said */
        CHUNKED "3\r\nabc0\r\n\r\n" SMUGGLED,
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client();
        unsigned before = serves;
        put_text(fd, rows[i]);
        const char *got = statuses(fd, 9);
        if (*got && strcmp(got, "400 ") != 0 && strcmp(got, "413 ") != 0) fail_msg("row %zu: %s", i, got);
        if (serves != before) fail_msg("row %zu was served", i);
        close(fd);
    }
    AWAIT(frees == heads);
    assert_int_equal(secret_used(), 0);
}

/* Well-formed ones, however odd; and the request behind them is the next one. */
static void test_chunks__odd_but_whole(void **state)
{
    static const struct {
        const char *body, *wanted;
    } rows[] = {
        {"0\r\n\r\n", ""},
        {"1\r\na\r\n0\r\n\r\n", "a"},
        {"0001\r\na\r\n000\r\n\r\n", "a"},
        {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
        {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
        {"2;n=v;m=\"q\"\r\nab\r\n0;last\r\n\r\n", "ab"},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
        {"5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"}, /* an end that is content */
        {"2\r\nab\r\n0\r\nX: trailer\r\nContent-Length: 9\r\n\r\n", "ab"},
    };
    int fd = client();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_text(fd, CHUNKED);
        put_text(fd, rows[i].body);
        put_text(fd, GET("/next"));
        struct reply r = read_reply(fd);
        if (r.status != 200 || strcmp(r.body, rows[i].wanted) != 0)
            fail_msg("row %zu: %d \"%s\"", i, r.status, r.body);
        r = read_reply(fd);
        assert_string_equal(r.body, "GET 0 /next - tcp 0");
    }
    close(fd);
}

/* A Transfer-Encoding that one reader takes for chunked and another one does not. */
static void test_coding__disguised(void **state)
{
    static const char *const rows[] = {
        "Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n", "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n", "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\x0b" "chunked\r\n", "Transfer-Encoding: chunked\x0c\r\n",
        "Transfer-Encoding : chunked\r\n", "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding:\r\n\tchunked\r\n", "Transfer-Encoding: \r\n",
        "X: y\rTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\ntransfer-encoding: CHUNKED\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client();
        unsigned before = serves;
        put_text(fd, HEAD);
        put_text(fd, rows[i]);
        put_text(fd, "\r\n0\r\n\r\n" SMUGGLED);
        const char *got = statuses(fd, 9);
        if (strcmp(got, "400 ") != 0 && strcmp(got, "501 ") != 0) fail_msg("%s: %s", rows[i], got);
        assert_int_equal(serves, before);
        close(fd);
    }
}

static void test_coding__chunked_in_any_case(void **state)
{
    static const char *const rows[] = {"Transfer-Encoding: Chunked\r\n\r\n",
                                       "TRANSFER-ENCODING:CHUNKED\r\n\r\n",
                                       "transfer-encoding:   chunked\r\n\r\n"};
    int fd = client();
    for (size_t i = 0; i < 3; i++) {
        put_text(fd, HEAD);
        put_text(fd, rows[i]);
        struct reply r = ask(fd, "2\r\nab\r\n0\r\n\r\n");
        assert_string_equal(r.body, "ab");
    }
    close(fd);
}

/* HTTP/1.0: the connection ends unless asked to stay, and there is no 100 to wait for. */
static void test_http_1_0(void **state)
{
    int fd = client();
    struct reply r = ask(fd, "POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nab");
    assert_string_equal(r.body, "ab");
    expect_end(fd);
    close(fd);
    fd = client();
    put_text(fd, "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    put_text(fd, "cd");
    r = read_reply(fd);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "cd");
    close(fd);
    fd = client();
    for (int i = 0; i < 3; i++) {
        r = ask(fd, "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_int_equal(r.status, 200);
        const char *connection = field(&r, "Connection");
        if (!connection || strcasecmp(connection, "keep-alive") != 0) break; /* may end it */
    }
    close(fd);
}

/* Both parts of a pipeline arrive whole wherever they are cut. */
static void test_pipeline__cut_anywhere(void **state)
{
    static const char all[] =
        HEAD "Content-Length: 3\r\n\r\nabc" CHUNKED "2\r\nde\r\n0\r\n\r\n" GET("/last");
    for (size_t cut = 1; cut < sizeof all - 1; cut += 7) {
        int fd = client();
        put(fd, all, cut);
        poll(NULL, 0, 1); /* so that it often is a piece of its own; right either way */
        put(fd, all + cut, sizeof all - 1 - cut);
        assert_string_equal(read_reply(fd).body, "abc");
        assert_string_equal(read_reply(fd).body, "de");
        assert_string_equal(read_reply(fd).body, "GET 0 /last - tcp 0");
        close(fd);
    }
}

#define MANY 500

static void test_pipeline__many_before_the_first_answer_is_read(void **state)
{
    static const char one[] = GET("/x") HEAD "Content-Length: 2\r\n\r\nab";
    int fd = client();
    for (int i = 0; i < MANY; i++) assert_true(put(fd, one, sizeof one - 1));
    for (int i = 0; i < MANY; i++) {
        assert_string_equal(read_reply(fd).body, "GET 0 /x - tcp 0");
        assert_string_equal(read_reply(fd).body, "ab");
    }
    close(fd);
    AWAIT(frees == 2 * MANY);
}

/* The absolute form is the path alone, whatever host stands in it or beside it. */
static void test_target__absolute_form(void **state)
{
    static const struct {
        const char *target, *wanted;
    } rows[] = {
        {"http://h/p", "GET 0 /p - tcp 0"},
        {"HTTPS://user@h:1/p?q", "GET 0 /p?q - tcp 0"},
        {"http://h", "GET 0 / - tcp 0"},
        {"http://h?q", "GET 0 /?q - tcp 0"},
        {"http://[::1]:80/p", "GET 0 /p - tcp 0"},
    };
    int fd = client();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[200];
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: other\r\n\r\n", rows[i].target);
        assert_string_equal(ask(fd, text).body, rows[i].wanted);
    }
    close(fd);
}

/* The library keeps a record of each argument, in memory that has an end. */
static void test_target__many_arguments(void **state)
{
    static char text[9000];
    int fd = client();
    size_t at = (size_t) snprintf(text, sizeof text, "GET /p?");
    while (at < 7800) at += (size_t) snprintf(text + at, sizeof text - at, "a&");
    snprintf(text + at, sizeof text - at, " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(ask(fd, text).status, 200);
    assert_string_equal(ask(fd, GET("/p?q")).body, "GET 0 /p?q - tcp 0");
    close(fd);
}

/* No client may be made to wait for a 100 that never comes, nor a body be read from who may not. */
static void test_expect__forms(void **state)
{
    int fd = client();
    struct reply r = ask(fd, HEAD "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(r.status, 100);
    r = ask(fd, "2\r\nab\r\n0\r\n\r\n");
    assert_string_equal(r.body, "ab");
    r = ask(fd, "GET /x HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"); /* without a body */
    if (r.status == 100) r = read_reply(fd);
    assert_int_equal(r.status, 200);
    close(fd);

    static const char *const refused[] = {
        "POST /deny HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "POST /deny HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        unsigned before = serves;
        fd = client();
        assert_int_equal(ask(fd, refused[i]).status, 403);
        expect_end(fd);
        close(fd);
        assert_int_equal(serves, before);
    }
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, start_small, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_chunks__malformed),
        TEST(test_chunks__odd_but_whole),
        TEST(test_coding__disguised),
        TEST(test_coding__chunked_in_any_case),
        TEST(test_http_1_0),
        TEST(test_pipeline__cut_anywhere),
        TEST(test_pipeline__many_before_the_first_answer_is_read),
        TEST(test_target__absolute_form),
        TEST(test_target__many_arguments),
        TEST(test_expect__forms),
    };
    int failed = cmocka_run_group_tests_name("plain", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("over TLS", tests, tls_on, tls_off);
}
