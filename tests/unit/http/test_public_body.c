/* Bodies that anybody may send: no locked memory for them, and little of any other. */
#include "tls_peer.h"

#define CHUNKED(target) "POST " target " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static void resume_with_thanks(int fd, struct exchange *x)
{
    fill_text(&x->resp, 200, "thanks");
    x->resume(x);
    assert_int_equal(read_reply(fd).status, 200);
}

/* A body that anybody may send takes nothing of the locked memory, announced or in chunks. */
static void test_body__public_is_kept_elsewhere(void **state)
{
    static const char *const requests[] = {
        "POST /pend-public HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        "POST /pend-public HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    };
    int fd = client();
    for (size_t i = 0; i < 2; i++) {
        put_text(fd, requests[i]);
        struct exchange *x = await_pending();
        assert_int_equal(secret_used(), 0);
        assert_null(x->req.body);
        assert_true(span_eq_str(request_body(&x->req), "hello"));
        resume_with_thanks(fd, x);
    }
    char over[200];
    snprintf(over, sizeof over, "POST /pend-public HTTP/1.1\r\nContent-Length: %u\r\n\r\n",
             ECHO_LIMIT + 1);
    assert_int_equal(ask(fd, over).status, 413);
    close(fd);
}

static void put_zeros(int fd, const char *target, size_t len)
{
    static const char zeros[1u << 16];
    char head[200];
    snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", target, len);
    put_text(fd, head);
    for (size_t n; len; len -= n) {
        n = len < sizeof zeros ? len : sizeof zeros;
        assert_true(put(fd, zeros, n));
    }
}

static void put_chunk(int fd, size_t len)
{
    char head[20];
    snprintf(head, sizeof head, "%zx\r\n", len);
    put_text(fd, CHUNKED("/huge-public"));
    send_repeated(fd, head, 'y', len, "\r\n0\r\n\r\n");
}

static void test_body__public_budget_spent(void **state)
{
    int fd = client();
    for (int round = 0; round < 2; round++) { /* again: nothing of it stays counted */
        put_zeros(fd, "/huge-public", HTTP_PUBLIC_BODY_OWN + HTTP_PUBLIC_BODIES_MAX + 1);
        assert_int_equal(read_reply(fd).status, 503);
        expect_end(fd);
        close(fd);
        fd = client();
        put_text(fd, "POST /pend-public HTTP/1.1\r\nContent-Length: 2\r\n\r\nok");
        struct exchange *x = await_pending();
        assert_true(span_eq_str(request_body(&x->req), "ok"));
        resume_with_thanks(fd, x);
    }
    close(fd);
}

/* One large body leaves a byte of what all of them share: small ones do not need it. */
static void test_body__public_small_ones_have_their_own(void **state)
{
    static const struct {
        size_t len;
        int status;
    } rows[] = {{HTTP_PUBLIC_BODY_OWN, 200}, {HTTP_PUBLIC_BODY_OWN + 1, 200},
                {HTTP_PUBLIC_BODY_OWN + 2, 503}, {HTTP_PUBLIC_BODY_OWN, 200}};
    int crowd = client();
    put_zeros(crowd, "/pend-huge-public", HTTP_PUBLIC_BODY_OWN + HTTP_PUBLIC_BODIES_MAX - 1);
    struct exchange *x = await_pending();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client();
        put_zeros(fd, "/huge-public", rows[i].len);
        assert_int_equal(read_reply(fd).status, rows[i].status);
        close(fd);
    }
    int chunked = client(); /* small until it has grown */
    put_chunk(chunked, HTTP_PUBLIC_BODY_OWN);
    assert_int_equal(read_reply(chunked).status, 200);
    put_chunk(chunked, HTTP_PUBLIC_BODY_OWN + 2);
    assert_int_equal(read_reply(chunked).status, 503);
    close(chunked);
    resume_with_thanks(crowd, x);
    close(crowd);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, start_small, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_body__public_is_kept_elsewhere),
        TEST(test_body__public_budget_spent),
        TEST(test_body__public_small_ones_have_their_own),
    };
    int failed = cmocka_run_group_tests_name("plain", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("over TLS", tests, tls_on, tls_off);
}
