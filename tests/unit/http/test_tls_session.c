/* The server over TLS: versions, clients' certificates, reload, deadlines and limits. */
#include "tls_peer.h"

#include <netinet/tcp.h>

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST(target, length) \
    "POST " target " HTTP/1.1\r\nHost: x\r\nContent-Length: " length "\r\n\r\n"

static char paths[4][160], admin_path[160];
static const char *cas[] = {paths[2], paths[3]};

static struct tls_settings files_of(const char *pair)
{
    snprintf(paths[0], sizeof paths[0], "%s/%s.crt", pki_dir, pair);
    snprintf(paths[1], sizeof paths[1], "%s/%s.key", pki_dir, pair);
    return (struct tls_settings){.certificate = paths[0], .private_key = paths[1]};
}

static struct http_config tls_config(void)
{
    struct http_config config = small_config();
    config.tls = files_of("server");
    return config;
}

static void want_clients(struct tls_settings *tls, const char *ca)
{
    snprintf(paths[2], sizeof paths[2], "%s/%s.crt", pki_dir, ca);
    tls->client_cas = cas;
    tls->client_ca_count = 1;
}

static int make_all(void **state)
{
    time_t now = time(NULL);
    pki_begin();
    pki_make("server", (struct pki_wish){0});
    pki_make("next", (struct pki_wish){.rsa_bits = 2048});
    pki_make("ca", (struct pki_wish){.ca = true});
    pki_make("operator", (struct pki_wish){.issuer = "ca", .purpose = GNUTLS_KP_TLS_WWW_CLIENT});
    pki_make("plain", (struct pki_wish){.issuer = "ca"});
    pki_make("middle", (struct pki_wish){.issuer = "ca", .ca = true, .end = now + 1000});
    pki_make("below", (struct pki_wish){.issuer = "middle"});
    pki_make("website", (struct pki_wish){.issuer = "ca", .purpose = GNUTLS_KP_TLS_WWW_SERVER});
    pki_make("expired", (struct pki_wish){.issuer = "ca", .end = now - 60});
    pki_make("early", (struct pki_wish){.issuer = "ca", .begin = now + DAY});
    pki_make("soon-over", (struct pki_wish){.issuer = "ca", .end = now + 1000});
    pki_make("otherca", (struct pki_wish){.ca = true});
    pki_make("stranger", (struct pki_wish){.issuer = "otherca"});
    pki_make("operator-forged", (struct pki_wish){0});
    static const char *const both[] = {"below.crt", "middle.crt", NULL};
    pki_join("chain.crt", both);
    static const char *const key[] = {"below.key", NULL};
    pki_join("chain.key", key);
    snprintf(admin_path, sizeof admin_path, "%s", pki_path("admin.sock"));
    dial_client = dial_tls_plainly;
    return 0;
}

static int remove_all(void **state)
{
    pki_end();
    return 0;
}

static int stop(void **state)
{
    stop_server(NULL);
    AWAIT(pumps == 0);
    clock_test_set(0);
    return 0;
}

static int client_with(const char *pair)
{
    return dial_tls(http_server_address(server, 0), &(struct tls_dial){.pair = pair});
}

static bool shakes(const char *priority)
{
    struct pump *p = tls_shake(http_server_address(server, 0), &(struct tls_dial){.priority = priority});
    if (p) pump_free(p);
    return p != NULL;
}

/* ---- versions ------------------------------------------------------------------------------- */

#define ONLY_1_1 "NORMAL:-VERS-ALL:+VERS-TLS1.1:%VERIFY_ALLOW_SIGN_WITH_SHA1"
#define ONLY_1_2 "NORMAL:-VERS-ALL:+VERS-TLS1.2"
#define ONLY_1_3 "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define CBC_1_2 "NONE:+VERS-TLS1.2:+ECDHE-ECDSA:+AES-128-CBC:+SHA1:+SIGN-ALL:+GROUP-ALL:+COMP-NULL"

static void test_versions(void **state)
{
    static const struct {
        enum tls_profile profile;
        enum tls_version min, max;
        bool v1_2, v1_3, cbc;
    } rows[] = {
        {TLS_INTERMEDIATE, TLS_ANY, TLS_ANY, true, true, false},
        {TLS_OLD, TLS_ANY, TLS_ANY, true, true, true},
        {TLS_MODERN, TLS_ANY, TLS_ANY, false, true, false},
        {TLS_INTERMEDIATE, TLS_1_3, TLS_1_3, false, true, false},
        {TLS_INTERMEDIATE, TLS_1_2, TLS_1_2, true, false, false},
        {TLS_CUSTOM, TLS_ANY, TLS_ANY, true, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_config config = tls_config();
        config.tls.profile = rows[i].profile;
        config.tls.min_version = rows[i].min;
        config.tls.max_version = rows[i].max;
        config.tls.priority = "NORMAL:+VERS-TLS1.0:+VERS-TLS1.1:-VERS-TLS1.3";
        start_with(&config);
        assert_false(shakes(ONLY_1_1));
        assert_int_equal(shakes(ONLY_1_2), rows[i].v1_2);
        assert_int_equal(shakes(ONLY_1_3), rows[i].v1_3);
        assert_int_equal(shakes(CBC_1_2), rows[i].cbc);
        unsigned failed = 1u + !rows[i].v1_2 + !rows[i].v1_3 + !rows[i].cbc;
        AWAIT(stats().handshakes_failed == failed);
        stop_server(NULL);
    }
}

/* Plain HTTP on a TLS port ends, and is no request. */
static void test_plain_text_is_refused(void **state)
{
    struct http_config config = tls_config();
    start_with(&config);
    int fd = dial(http_server_address(server, 0));
    put_text(fd, GET("/x"));
    char block[64];
    while (get_some(fd, block, sizeof block)) assert_false(strncmp(block, "HTTP/", 5) == 0);
    close(fd);
    AWAIT(stats().handshakes_failed == 1 && stats().open == 0);
    assert_int_equal(heads, 0);
}

/* A second handshake on a connection costs the server a signature each: there is none. */
static void test_renegotiation_is_refused(void **state)
{
    struct http_config config = tls_config();
    start_with(&config);
    struct pump *p = tls_shake(http_server_address(server, 0), &(struct tls_dial){.priority = ONLY_1_2});
    assert_non_null(p);
    int rc;
    do rc = gnutls_handshake(p->session);
    while (rc < 0 && !gnutls_error_is_fatal(rc) && rc != GNUTLS_E_WARNING_ALERT_RECEIVED);
    assert_true(rc < 0);
    AWAIT(stats().open == 0); /* and the connection is over */
    pump_free(p);
    assert_int_equal(heads, 0);
}

/* A client may change its key at any time. What it sends behind that comes with it, and no event tells of it again. */
static void test_key_update__what_comes_with_it_is_read(void **state)
{
    static const char *const parts[][2] = {
        {"", GET("/x")}, {"GET /x HTTP/1.1\r\n", "Host: x\r\n\r\n"}, {POST("/echo", "4") "ab", "cd"}};
    static const int off = 0, on = 1;
    struct http_config config = tls_config();
    start_with(&config);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct pump *p = tls_shake(http_server_address(server, 0), &(struct tls_dial){.priority = ONLY_1_3});
        ENSURE(p);
        assert_int_equal(setsockopt(p->tcp, IPPROTO_TCP, TCP_CORK, &on, sizeof on), 0);
        if (*parts[i][0]) put_record(p, parts[i][0]);
        assert_int_equal(gnutls_session_key_update(p->session, i % 2 ? GNUTLS_KU_PEER : 0), 0);
        put_record(p, parts[i][1]);
        assert_int_equal(setsockopt(p->tcp, IPPROTO_TCP, TCP_CORK, &off, sizeof off), 0);
        expect_record(p, "HTTP/1.1 200");
        pump_free(p);
    }
}

static void test_admin_socket_stays_plain(void **state)
{
    struct http_config config = tls_config();
    want_clients(&config.tls, "ca");
    config.admin_socket = admin_path;
    start_with(&config);
    int secure = client();
    for (int i = 0; i < 20; i++) { /* whatever the spreading of connections does */
        int fd = dial_unix(admin_path);
        assert_string_equal(ask(fd, GET("/who")).body, "not wanted, none");
        close(fd);
        AWAIT(stats().open == 1);
    }
    assert_int_equal(ask(secure, GET("/x")).status, 200);
    close(secure);
}

/* ---- clients' certificates ------------------------------------------------------------------- */

static void test_client_certificate__judged(void **state)
{
    static const struct {
        const char *pair, *body;
    } rows[] = {
        {NULL, "wanted, none"},
        {"operator", "wanted, good CN=operator"},
        {"plain", "wanted, good CN=plain"},
        {"chain", "wanted, good CN=below"},
        {"below", "wanted, bad CN=below"}, /* without the one between */
        {"website", "wanted, bad CN=website"},
        {"expired", "wanted, bad CN=expired"},
        {"early", "wanted, bad CN=early"},
        {"stranger", "wanted, bad CN=stranger"},
        {"operator-forged", "wanted, bad CN=operator-forged"},
    };
    struct http_config config = tls_config();
    want_clients(&config.tls, "ca");
    start_with(&config);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client_with(rows[i].pair);
        for (int again = 0; again < 2; again++)
            assert_string_equal(ask(fd, GET("/who")).body, rows[i].body);
        close(fd);
    }
}

static void test_client_certificate__not_wanted(void **state)
{
    struct http_config config = tls_config();
    start_with(&config);
    int fd = client_with("operator");
    assert_string_equal(ask(fd, GET("/who")).body, "not wanted, none");
    close(fd);
}

/* A long connection does not outlive any certificate of its chain, nor the CA that it was judged by. */
static void test_client_certificate__verdict_ends(void **state)
{
    struct http_config config = tls_config();
    want_clients(&config.tls, "ca");
    start_with(&config);
    int fd = client_with("soon-over"), chain = client_with("chain"), other = client_with("operator");
    assert_string_equal(ask(fd, GET("/who")).body, "wanted, good CN=soon-over");
    assert_string_equal(ask(chain, GET("/who")).body, "wanted, good CN=below");
    assert_string_equal(ask(other, GET("/who")).body, "wanted, good CN=operator");
    clock_test_set(time(NULL) + 2000);
    assert_string_equal(ask(fd, GET("/who")).body, "wanted, bad CN=soon-over");
    assert_string_equal(ask(chain, GET("/who")).body, "wanted, bad CN=below");
    assert_string_equal(ask(other, GET("/who")).body, "wanted, good CN=operator");

    want_clients(&config.tls, "otherca");
    assert_true(err_ok(http_server_reload_tls(server, &config.tls)));
    assert_string_equal(ask(other, GET("/who")).body, "wanted, bad CN=operator");
    config.tls.client_ca_count = 0;
    assert_true(err_ok(http_server_reload_tls(server, &config.tls)));
    assert_string_equal(ask(other, GET("/who")).body, "not wanted, none");
    close(fd);
    close(chain);
    close(other);
}

/* ---- reload --------------------------------------------------------------------------------- */

/* CN of the certificate that a new connection is shown. */
static const char *shown_name(void)
{
    static char dn[64];
    size_t size = sizeof dn;
    struct pump *p = tls_shake(http_server_address(server, 0), &(struct tls_dial){0});
    assert_non_null(p);
    unsigned count = 0;
    const gnutls_datum_t *der = gnutls_certificate_get_peers(p->session, &count);
    gnutls_x509_crt_t crt = NULL;
    assert_true(count == 1 && gnutls_x509_crt_init(&crt) == 0);
    assert_int_equal(gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER), 0);
    assert_int_equal(gnutls_x509_crt_get_dn(crt, dn, &size), 0);
    gnutls_x509_crt_deinit(crt);
    pump_free(p);
    return dn;
}

static void test_reload__new_certificate(void **state)
{
    struct http_config config = tls_config();
    start_with(&config);
    int old = client();
    assert_int_equal(ask(old, GET("/x")).status, 200);
    assert_string_equal(shown_name(), "CN=server");
    struct tls_settings next = files_of("next");
    assert_true(err_ok(http_server_reload_tls(server, &next)));
    assert_string_equal(shown_name(), "CN=next");
    assert_int_equal(ask(old, GET("/x")).status, 200); /* who is there stays */
    next.profile = TLS_MODERN;
    assert_true(err_ok(http_server_reload_tls(server, &next)));
    assert_false(shakes(ONLY_1_2)); /* versions as well */
    assert_true(shakes(ONLY_1_3));
    close(old);
}

static void test_reload__bad_files_change_nothing(void **state)
{
    struct http_config config = tls_config();
    start_with(&config);
    struct tls_settings bad = files_of("none");
    assert_int_equal(http_server_reload_tls(server, &bad).code, ERR_NOTFOUND);
    bad = files_of("next");
    snprintf(paths[1], sizeof paths[1], "%s/server.key", pki_dir);
    assert_int_equal(http_server_reload_tls(server, &bad).code, ERR_USAGE);
    bad = files_of("next");
    want_clients(&bad, "none");
    assert_int_equal(http_server_reload_tls(server, &bad).code, ERR_NOTFOUND);
    struct tls_settings off = {0};
    assert_int_equal(http_server_reload_tls(server, &off).code, ERR_CONFLICT);
    assert_string_equal(shown_name(), "CN=server");
    stop_server(NULL);

    config = small_config();
    start_with(&config);
    bad = files_of("server");
    struct err e = http_server_reload_tls(server, &bad);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(err_text(e), "restart"));
    assert_true(err_ok(http_server_reload_tls(server, &off)));
    int fd = dial(http_server_address(server, 0));
    assert_int_equal(ask(fd, GET("/x")).status, 200);
    close(fd);
}

static atomic_bool over;

static void *come_and_go(void *arg)
{
    while (!over) {
        int fd = client_with("operator");
        for (int i = 0; i < 3; i++)
            if (ask(fd, GET("/who")).status != 200) return arg;
        close(fd);
    }
    return NULL;
}

static void test_reload__while_connections_come(void **state)
{
    struct http_config config = tls_config();
    want_clients(&config.tls, "ca");
    config.threads = 3;
    over = false;
    start_with(&config);
    pthread_t thread[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, server), 0);
    for (unsigned i = 0; i < 40; i++) {
        struct tls_settings next = files_of(i % 2 ? "server" : "next");
        want_clients(&next, i % 3 ? "ca" : "otherca");
        assert_true(err_ok(http_server_reload_tls(server, &next)));
        uint64_t seen = stats().accepted;
        AWAIT(stats().accepted > seen);
    }
    over = true;
    for (size_t i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    AWAIT(stats().open == 0);
    assert_int_equal(frees, heads);
    assert_int_equal(stats().handshakes_failed, 0);
}

/* ---- deadlines and limits -------------------------------------------------------------------- */

static void test_deadline__handshake(void **state)
{
    static const char hello[] = "\x16\x03\x01\x02\x00\x01"; /* the beginning of a ClientHello */
    struct http_config config = tls_config();
    config.handshake_seconds = 1;
    start_with(&config);
    int silent = dial(http_server_address(server, 0));
    int begun = dial(http_server_address(server, 0));
    put(begun, hello, sizeof hello - 1);
    int done = client();
    expect_end(silent);
    expect_end(begun);
    close(silent);
    close(begun);
    AWAIT(stats().timed_out == 2 && stats().open == 1);
    assert_int_equal(ask(done, GET("/x")).status, 200); /* its handshake is over: it may wait */
    close(done);
}

/* A byte now and then does not help. */
static void test_deadline__dripping_handshake(void **state)
{
    struct http_config config = tls_config();
    config.handshake_seconds = 1;
    start_with(&config);
    int fd = dial(http_server_address(server, 0));
    put(fd, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t until = clock_mono_ns() + PATIENCE_MS * UINT64_C(1000000);
    while (poll(&p, 1, 50) == 0) {
        put_text(fd, "y");
        assert_true(clock_mono_ns() < until);
    }
    close(fd);
    AWAIT(stats().open == 0);
    AWAIT(stats().timed_out == 1); /* counted when all late ones are cut */
}

/* Head, body and idle time end as they do without TLS, but nobody can write an answer. */
static void test_deadline__requests(void **state)
{
    static const char *const begun[] = {"GET /x HTTP/1.1\r\nX: ", POST("/echo", "4000") "{", ""};
    struct http_config config = tls_config();
    config.head_seconds = config.body_seconds = config.idle_seconds = 1;
    start_with(&config);
    for (size_t i = 0; i < 3; i++) {
        int fd = client();
        put_text(fd, begun[i]);
        expect_end(fd);
        close(fd);
        AWAIT(stats().open == 0 && frees == heads);
    }
    AWAIT(stats().timed_out == 3); /* counted when all late ones are cut */
    assert_int_equal(serves, 0);
    assert_int_equal(secret_used(), 0);
}

#define LARGE (12u << 20)

static void test_deadline__answer_not_read(void **state)
{
    struct http_config config = tls_config();
    config.request_seconds = 3;
    start_with(&config);
    struct pump *p = tls_shake(http_server_address(server, 0), &(struct tls_dial){0});
    assert_non_null(p);
    static const char request[] = GET("/pend");
    assert_int_equal(gnutls_record_send(p->session, request, sizeof request - 1), sizeof request - 1);
    struct exchange *x = await_pending();
    x->resp.status = 200;
    uint8_t *body = buf_extend(&x->resp.body, LARGE);
    ENSURE(body);
    memset(body, 'z', LARGE);
    x->resume(x);
    AWAIT(stats().timed_out == 1 && stats().open == 0);
    pump_free(p);
}

static void test_limit__connections(void **state)
{
    struct http_config config = tls_config();
    config.max_connections = 2;
    config.admin_socket = admin_path;
    start_with(&config);
    int first = client(), second = dial(http_server_address(server, 0)); /* without a handshake */
    AWAIT(stats().open == 2);
    int over_limit = dial(http_server_address(server, 0));
    expect_end(over_limit); /* no answer: it could not be read */
    close(over_limit);
    assert_int_equal(stats().refused_busy, 1);
    int admin = dial_unix(admin_path);
    assert_int_equal(ask(admin, GET("/x")).status, 200);
    close(admin);
    close(second);
    AWAIT(stats().open == 1);
    second = client();
    assert_int_equal(ask(second, GET("/x")).status, 200);
    close(first);
    close(second);
}

/* Guests speak TLS and there is room for none; who only asks whether we live does so plainly, elsewhere. */
static void test_probe__plain_on_a_socket_of_its_own(void **state)
{
    static const struct {
        const char *request;
        int status;
    } rows[] = {{GET("/healthz"), 200}, {GET("/metrics"), 200}, {GET("/x"), 404}, {"\x16\x03\x01", 404}};
    static const char *const some[] = {"127.0.0.1:0"};
    struct http_config config = tls_config();
    config.max_connections = 1;
    config.probe_sockets = some;
    config.probe_socket_count = 1;
    start_with(&config);
    int guest = client();
    assert_int_equal(ask(guest, GET("/x")).status, 200);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = dial(http_server_address(server, 1));
        assert_int_equal(ask(fd, rows[i].request).status, rows[i].status);
        expect_end(fd);
        close(fd);
    }
    assert_int_equal(ask(guest, GET("/healthz")).status, 200); /* in line with the others */
    assert_int_equal(ask(guest, GET("/x")).status, 200);
    close(guest);
}

static void test_many__large_bodies_both_ways(void **state)
{
    struct http_config config = tls_config();
    start_with(&config);
    int fd = client();
    char body[4000], head[200];
    for (size_t i = 0; i < sizeof body; i++) body[i] = (char) ('a' + i % 26);
    snprintf(head, sizeof head, POST("/echo", "%zu"), sizeof body);
    for (int i = 0; i < 50; i++) {
        put_text(fd, head);
        put(fd, body, sizeof body);
        struct reply r = read_reply(fd);
        assert_int_equal(r.len, sizeof body);
        assert_memory_equal(r.body, body, sizeof body);
    }
    close(fd);
    AWAIT(stats().open == 0);
    assert_int_equal(secret_used(), 0);
}

/* ---- start and stop -------------------------------------------------------------------------- */

static void test_start__bad_files_leave_nothing(void **state)
{
    struct http_config config = tls_config();
    config.tls = files_of("none");
    struct http_server *none = NULL;
    assert_int_equal(http_server_start(&config, &test_handler, &none).code, ERR_NOTFOUND);
    assert_null(none);
}

static void test_stop__in_the_middle_of_handshakes(void **state)
{
    struct http_config config = tls_config();
    start_with(&config);
    int fd[4];
    for (size_t i = 0; i < 4; i++) {
        fd[i] = i % 2 ? client() : dial(http_server_address(server, 0));
        if (i == 3) put_text(fd[i], POST("/echo", "50") "{");
    }
    AWAIT(heads == 1 && stats().open == 4);
    stop_server(NULL);
    for (size_t i = 0; i < 4; i++) {
        expect_end(fd[i]);
        close(fd[i]);
    }
    assert_int_equal(frees, 1);
}

#define TEST(t) cmocka_unit_test_teardown(t, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_versions),
        TEST(test_plain_text_is_refused),
        TEST(test_renegotiation_is_refused),
        TEST(test_key_update__what_comes_with_it_is_read),
        TEST(test_admin_socket_stays_plain),
        TEST(test_client_certificate__judged),
        TEST(test_client_certificate__not_wanted),
        TEST(test_client_certificate__verdict_ends),
        TEST(test_reload__new_certificate),
        TEST(test_reload__bad_files_change_nothing),
        TEST(test_reload__while_connections_come),
        TEST(test_deadline__handshake),
        TEST(test_deadline__dripping_handshake),
        TEST(test_deadline__requests),
        TEST(test_deadline__answer_not_read),
        TEST(test_limit__connections),
        TEST(test_probe__plain_on_a_socket_of_its_own),
        TEST(test_many__large_bodies_both_ways),
        TEST(test_start__bad_files_leave_nothing),
        TEST(test_stop__in_the_middle_of_handshakes),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
