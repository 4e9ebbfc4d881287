#include "broker/jose/key_source.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/jose/jws.h"
#include "tests/lib/key_looks.h"
#include "tests/lib/key_server.h"
#include "tests/unit/jose/jose_test.h"

#include <unistd.h>

#define PATIENCE_NS (60 * CLOCK_SECOND_NS) /* for what must come; tests wait on conditions */

static struct key_server server;
static struct key_sources *sources;
static EVP_PKEY *keys[3];
static char file[512];

static int setup(void **state)
{
    log_set_level(LOG_LEVEL_ERROR);
    for (size_t i = 0; i < COUNT(keys); i++) assert_ok(key_generate_ec("P-256", &keys[i]));
    snprintf(file, sizeof file, "%s/strongroom-keys-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    key_server_start(&server, 0);
    assert_ok(key_sources_new(&sources));
    return 0;
}

static int teardown(void **state)
{
    key_sources_free(sources);
    key_server_stop(&server);
    unlink(file);
    for (size_t i = 0; i < COUNT(keys); i++) EVP_PKEY_free(keys[i]);
    return 0;
}

/* {"keys":[...]} of keys[i] for each digit i of `which`, with kid "k0", "k1", ... */
static void set_text(const char *which, struct buf *ret)
{
    buf_reset(ret);
    buf_add_str(ret, "{\"keys\":[");
    for (const char *c = which; *c; c++) {
        struct buf one = jwk_text_of(keys[*c - '0'], "ES256");
        buf_addf(ret, "%s{\"kid\":\"k%c\",", c == which ? "" : ",", *c);
        buf_add(ret, one.data + 1, one.len - 1);
        buf_free(&one);
    }
    buf_add_str(ret, "]}");
}

static void serve(const char *which)
{
    struct buf text = BUF_INIT;
    set_text(which, &text);
    key_server_page(&server, "/jwks", "200 OK", "", buf_str(&text));
    buf_free(&text);
}

static void write_file(const char *which)
{
    struct buf text = BUF_INIT;
    set_text(which, &text);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
    fclose(f);
    buf_free(&text);
}

static struct key_source *add(const char *place)
{
    struct key_source *s = NULL;
    struct key_source_config config = {.name = "sets[0]", .place = place, .form = KEY_FORM_SET};
    assert_ok(key_sources_add(sources, &config, &s));
    return s;
}

static struct key_source *add_server(void)
{
    char url[128];
    snprintf(url, sizeof url, "%s/jwks", server.url);
    struct key_source *s = add(url);
    key_sources_wait(sources, clock_mono_ns() + PATIENCE_NS);
    return s;
}

static bool has(struct key_source *s, const char *kid)
{
    struct jwk_set *set = key_source_get(s);
    bool found = jwk_set_find(set, kid) != NULL;
    jwk_set_unref(set);
    return found;
}

static void take_stats(void *arg, const struct key_source_stats *s)
{
    *(struct key_source_stats *) arg = *s;
}

static struct key_source_stats stats(void)
{
    struct key_source_stats s = {0};
    key_sources_stats(sources, take_stats, &s);
    return s;
}

static void await_looks(uint64_t good, uint64_t bad)
{
    key_looks_await(sources, good, bad);
}

static void test_key_sources_add__files(void **state)
{
    struct key_source *s = NULL;
    struct key_source_config config = {.name = "sets[7]", .place = file, .form = KEY_FORM_SET};
    assert_fails_with(key_sources_add(sources, &config, &s), ERR_USAGE, "sets[7]"); /* empty */
    config.place = "/no/such/file";
    assert_fails_with(key_sources_add(sources, &config, &s), ERR_NOTFOUND, "/no/such/file");
    config.place = "http://keys.example/";
    assert_fails_with(key_sources_add(sources, &config, &s), ERR_USAGE, "say https");
    config.place = "https://keys.example/";
    config.ca_file = "/no/such/ca";
    assert_fails_with(key_sources_add(sources, &config, &s), ERR_USAGE, "/no/such/ca");
    assert_null(s);
    write_file("0");
    s = add(file);
    assert_true(has(s, "k0"));
    key_sources_wait(sources, clock_mono_ns() + PATIENCE_NS); /* it was read */
    assert_int_equal(stats().refreshes, 1);
}

/* A file is read again on demand; while it is wrong, what it last said stays. */
static void test_key_sources_refresh__file(void **state)
{
    write_file("01");
    struct key_source *s = add(file);
    write_file("02");
    assert_false(has(s, "k2"));
    key_sources_refresh(sources);
    await_looks(2, 0);
    assert_true(has(s, "k0") && has(s, "k2"));
    assert_false(has(s, "k1"));
    assert_int_equal(key_sources_removals(sources), 1);
    unlink(file);
    key_sources_refresh(sources);
    await_looks(2, 1);
    assert_true(has(s, "k0") && has(s, "k2"));
    assert_int_equal(key_sources_removals(sources), 1);
    key_sources_refresh(NULL);
    key_sources_wait(NULL, 0);
    key_sources_free(NULL);
}

static void test_key_source__server_down_at_first(void **state)
{
    struct key_source *s = add_server();
    assert_false(has(s, "k0"));
    struct key_source_stats was = stats();
    assert_string_equal(was.name, "sets[0]");
    assert_int_equal(was.failures, 1);
    assert_false(was.loaded);
    serve("0");
    key_source_want(s); /* a token came */
    await_looks(1, 1);
    assert_true(has(s, "k0"));
    assert_true(stats().loaded);
    assert_int_equal(stats().keys, 1);
    assert_int_equal(key_sources_removals(sources), 0);
}

static void test_key_source_want__rotation(void **state)
{
    serve("0");
    struct key_source *s = add_server();
    assert_true(has(s, "k0"));
    assert_int_equal(atomic_load(&server.requests), 1);
    serve("01");
    for (int i = 0; i < 100; i++) key_source_want(s);
    await_looks(2, 0);
    assert_true(has(s, "k0") && has(s, "k1"));
    assert_int_equal(key_sources_removals(sources), 0); /* one came, none went */
    for (int i = 0; i < 100; i++) key_source_want(s);
    key_sources_refresh(sources); /* an operator may, at once */
    await_looks(3, 0);
    assert_int_equal(atomic_load(&server.requests), 3);
}

/* What is gone, another key of the same name, the same key for another algorithm: all are removals. */
static void test_key_sources_removals__counts(void **state)
{
    serve("01");
    struct key_source *s = add_server();
    struct jwk_set *old = key_source_get(s);
    serve("1");
    key_sources_refresh(sources);
    await_looks(2, 0);
    assert_false(has(s, "k0"));
    assert_int_equal(key_sources_removals(sources), 1);
    assert_non_null(jwk_set_find(old, "k0")); /* who holds it reads on */
    jwk_set_unref(old);
    serve("1");
    key_sources_refresh(sources);
    await_looks(3, 0);
    assert_int_equal(key_sources_removals(sources), 1); /* nothing changed */
    key_server_page(&server, "/jwks", "200 OK", "", "{\"keys\":[]}");
    key_sources_refresh(sources);
    await_looks(4, 0);
    assert_false(has(s, "k1"));
    assert_int_equal(key_sources_removals(sources), 2);
}

static void test_key_source__keys_stay_while_down(void **state)
{
    static const char *const statuses[] = {"500 Oops", "404 Not Found", "200 OK"};
    serve("0");
    struct key_source *s = add_server();
    for (size_t i = 0; i < COUNT(statuses); i++) {
        key_server_page(&server, "/jwks", statuses[i], "", "<html>sorry</html>");
        key_sources_refresh(sources);
        await_looks(1, i + 1);
        assert_true(has(s, "k0"));
    }
    assert_int_equal(key_sources_removals(sources), 0);
    serve("1");
    key_sources_refresh(sources);
    await_looks(2, COUNT(statuses));
    assert_true(has(s, "k1") && !has(s, "k0"));
}

/* A server that takes the connection and never answers does not hold up the end. */
static void test_key_sources_free__cuts_short(void **state)
{
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    assert_int_equal(bind(silent, (struct sockaddr *) &at, sizeof at), 0);
    assert_int_equal(listen(silent, 4), 0);
    getsockname(silent, (struct sockaddr *) &at, &len);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(at.sin_port));
    struct key_source *s = add(url);
    int peer = accept(silent, NULL, NULL); /* it is being asked */
    assert_true(peer >= 0);
    assert_null(key_source_get(s)); /* and nobody waits for it */
    key_sources_wait(sources, clock_mono_ns() + 1000000);
    assert_int_equal(stats().failures, 0);
    key_sources_free(TAKE_PTR(sources));
    close(peer);
    close(silent);
}

/* ---- many readers while sets are exchanged -------------------------------------------------------- */

#define READERS 3

struct reading {
    struct key_source *source;
    struct buf token; /* of key 0, which is in every set */
    atomic_bool stop;
    atomic_uint verified, missed;
};

static void *read_on(void *arg)
{
    struct reading *r = arg;
    while (!atomic_load(&r->stop)) {
        struct jws *t = NULL;
        uint64_t removals = key_sources_removals(sources);
        struct jwk_set *set = key_source_get(r->source);
        const struct jwk *key = jwk_set_find(set, "k0");
        bool good = key && err_ok(jws_parse(buf_span(&r->token), &t)) && err_ok(jws_verify(t, key));
        atomic_fetch_add(good ? &r->verified : &r->missed, 1);
        if (!jwk_set_find(set, removals % 2 ? "k1" : "k2")) key_source_want(r->source);
        jws_free(t);
        jwk_set_unref(set);
    }
    return NULL;
}

static void test_key_source_get__while_sets_change(void **state)
{
    struct reading r = {0};
    pthread_t threads[READERS];
    serve("01");
    r.source = add_server();
    assert_ok(jws_sign("ES256", keys[0], SPAN_LIT("{\"alg\":\"ES256\"}"), SPAN_LIT("{}"), &r.token));
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t looks = stats().refreshes;
        serve(i % 2 ? "01" : "02");
        key_sources_refresh(sources);
        await_looks(looks + 1, 0);
    }
    unsigned before = atomic_load(&r.verified);
    while (atomic_load(&r.verified) < before + READERS) poll(NULL, 0, 1);
    atomic_store(&r.stop, true);
    for (size_t i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&r.missed), 0);
    assert_true(key_sources_removals(sources) > 0);
    buf_free(&r.token);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_key_sources_add__files),
        TEST(test_key_sources_refresh__file),
        TEST(test_key_source__server_down_at_first),
        TEST(test_key_source_want__rotation),
        TEST(test_key_sources_removals__counts),
        TEST(test_key_source__keys_stay_while_down),
        TEST(test_key_sources_free__cuts_short),
        TEST(test_key_source_get__while_sets_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
