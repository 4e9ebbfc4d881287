#include "broker/attest/session.h"
#include "broker/base/limits.h"
#include "tests/unit/attest/mint.h"

#include <pthread.h>

#define SECONDS 300

/* A guest without a key: all that a session needs. */
static struct guest *new_guest(void)
{
    struct json_doc *doc = NULL;
    struct guest *g = NULL;
    struct digest d = {.len = 32};
    struct guest_rules rules = {0};
    assert_ok(json_parse(SPAN_LIT("{}"), &doc));
    struct guest_token t = {.text = SPAN_LIT("t"), .sha256 = &d, .payload = SPAN_LIT("{}"),
                            .claims = json_root(doc), .exp = NOON + 1000};
    assert_ok(guest_new(&t, &rules, &g));
    json_free(doc);
    return g;
}

static struct sessions *s;
static struct guest *guest;

static int setup(void **state)
{
    assert_ok(sessions_new(4, SESSION_BYTES, SECONDS, &s));
    guest = new_guest();
    return 0;
}

static int teardown(void **state)
{
    sessions_free(s);
    guest_unref(guest);
    return 0;
}

static struct session_view create(int64_t now)
{
    struct session_view v = {0};
    assert_ok(sessions_create(s, "sample", NULL, now, &v));
    return v;
}

static bool there(const struct session_view *v, int64_t now)
{
    struct session_view found = {0};
    struct err e = sessions_find(s, v->id, now, &found);
    bool ok = err_ok(e);
    session_view_done(&found);
    return ok;
}

static void test_sessions_find__what_was_created(void **state)
{
    struct session_view v = create(NOON), found = {0};
    assert_int_equal(v.expires, NOON + SECONDS);
    assert_ok(sessions_find(s, v.id, NOON, &found));
    assert_string_equal(found.tee, "sample");
    assert_int_equal(found.expires, v.expires);
    assert_null(found.guest);
    uint8_t other[SESSION_ID_BYTES] = {0};
    assert_fails(sessions_find(s, other, NOON, &found), ERR_NOTFOUND);
}

static void test_sessions_find__expiry(void **state)
{
    struct session_view v = create(NOON);
    assert_true(there(&v, NOON + SECONDS - 1));
    assert_false(there(&v, NOON + SECONDS));
    assert_fails(sessions_attest(s, v.id, NOON + SECONDS, guest), ERR_NOTFOUND);
    assert_ok(sessions_attest(s, v.id, NOON + SECONDS - 1, guest));
    assert_false(there(&v, NOON + SECONDS)); /* attest does not make it longer */
}

static void test_sessions_create__ids_are_fresh(void **state)
{
    struct session_view a = create(NOON), b = create(NOON);
    assert_memory_not_equal(a.id, b.id, SESSION_ID_BYTES);
}

static void test_sessions_create__oldest_unattested_makes_room(void **state)
{
    struct session_view v[6];
    struct session_counts c;
    for (size_t i = 0; i < 4; i++) v[i] = create(NOON);
    assert_ok(sessions_attest(s, v[0].id, NOON, guest));
    assert_ok(sessions_attest(s, v[2].id, NOON, guest));
    v[4] = create(NOON);
    v[5] = create(NOON);
    assert_true(there(&v[0], NOON));
    assert_false(there(&v[1], NOON));
    assert_true(there(&v[2], NOON));
    assert_false(there(&v[3], NOON));
    assert_true(there(&v[4], NOON));
    assert_true(there(&v[5], NOON));
    sessions_count(s, NOON, &c);
    assert_int_equal(c.sessions, 4);
    assert_int_equal(c.attested, 2);
    assert_int_equal(c.evicted, 2);
}

/* A flood of unattested sessions never touches an attested one. */
static void test_sessions_create__flood(void **state)
{
    struct session_view v = create(NOON);
    assert_ok(sessions_attest(s, v.id, NOON, guest));
    for (size_t i = 0; i < 1000; i++) create(NOON);
    assert_true(there(&v, NOON));
}

/* Room for the guests of two sessions: a third waits until one ends, and the same guest again takes
 * no more room. */
static void test_sessions_attest__memory(void **state)
{
    sessions_free(s);
    assert_ok(sessions_new(4, 2 * guest_bytes(guest) + 1, SECONDS, &s));
    struct session_view one = create(NOON), two = create(NOON + 10), three = create(NOON + 10);
    assert_ok(sessions_attest(s, one.id, NOON + 10, guest));
    assert_ok(sessions_attest(s, two.id, NOON + 10, guest));
    assert_ok(sessions_attest(s, two.id, NOON + 10, guest));
    assert_fails(sessions_attest(s, three.id, NOON + 10, guest), ERR_BUSY);
    assert_true(there(&three, NOON + 10));
    struct session_counts counts = {0};
    sessions_count(s, NOON + SECONDS, &counts); /* the first has ended */
    assert_int_equal(counts.attested, 1);
    assert_ok(sessions_attest(s, three.id, NOON + SECONDS, guest));
}

static void test_sessions_create__all_attested(void **state)
{
    struct session_view v;
    for (size_t i = 0; i < 4; i++) {
        v = create(NOON + (int64_t) i);
        assert_ok(sessions_attest(s, v.id, NOON, guest));
    }
    struct session_view more = {0};
    assert_fails(sessions_create(s, "sample", NULL, NOON + 4, &more), ERR_BUSY);
    assert_true(there(&v, NOON + 4));
    more = create(NOON + SECONDS); /* the first one ended */
    assert_true(there(&more, NOON + SECONDS));
}

static void test_sessions_attest__replaces_the_guest(void **state)
{
    struct session_view v = create(NOON), found = {0};
    struct guest *other = new_guest();
    struct session_counts c;
    assert_ok(sessions_attest(s, v.id, NOON, guest));
    assert_ok(sessions_attest(s, v.id, NOON, other));
    assert_ok(sessions_find(s, v.id, NOON, &found));
    assert_ptr_equal(found.guest, other);
    session_view_done(&found);
    sessions_count(s, NOON, &c);
    assert_int_equal(c.attested, 1);
    guest_unref(other);
}

/* Who looked at a guest before the session attested anew does not put it back. */
static void test_sessions_renew__only_that_guest(void **state)
{
    struct session_view v = create(NOON), found = {0};
    struct guest *again = new_guest(), *anew = new_guest();
    assert_ok(sessions_renew(s, v.id, NOON, guest, again)); /* unattested */
    assert_ok(sessions_find(s, v.id, NOON, &found));
    assert_null(found.guest);
    assert_ok(sessions_attest(s, v.id, NOON, guest));
    assert_ok(sessions_attest(s, v.id, NOON, anew));
    assert_ok(sessions_renew(s, v.id, NOON, guest, again));
    assert_ok(sessions_find(s, v.id, NOON, &found));
    assert_ptr_equal(found.guest, anew);
    session_view_done(&found);
    assert_ok(sessions_renew(s, v.id, NOON, anew, again));
    assert_ok(sessions_find(s, v.id, NOON, &found));
    assert_ptr_equal(found.guest, again);
    session_view_done(&found);
    assert_fails(sessions_renew(s, v.id, NOON + SECONDS, again, guest), ERR_NOTFOUND);
    guest_unref(again);
    guest_unref(anew);
}

static void test_sessions_count__clears_the_expired(void **state)
{
    struct session_counts c;
    for (size_t i = 0; i < 4; i++) create(NOON + (int64_t) i);
    sessions_count(s, NOON + SECONDS + 1, &c);
    assert_int_equal(c.sessions, 2);
    assert_int_equal(c.evicted, 0);
}

static void test_session_id_from__text(void **state)
{
    uint8_t id[SESSION_ID_BYTES];
    char longer[4097];
    memset(longer, 'a', sizeof longer - 1);
    longer[4096] = '\0';
    assert_true(session_id_from("0123456789abcdef0123456789abcdef", id));
    assert_int_equal(id[1], 0x23);
    const char *const refused[] = {
        NULL, "", "abc", "0123456789ABCDEF0123456789ABCDEF", "../../etc/passwd", "..",
        "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0", longer,
        "\"123456789abcdef0123456789abcde\"", " 123456789abcdef0123456789abcdef"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_false(session_id_from(refused[i], id));
}

/* ---- threads ------------------------------------------------------------------------------ */

#define THREADS 6
#define ROUNDS 400

static struct session_nonce *nonce_of(size_t len)
{
    struct session_nonce *n = NULL;
    struct buf text = {.max = SESSION_NONCE_BYTES};
    memset(buf_extend(&text, len), 'n', len);
    assert_ok(session_nonce_new(buf_span(&text), &n));
    assert_int_equal(strlen(session_nonce_text(n)), len);
    buf_free(&text);
    return n;
}

static void test_nonce__stays_with_its_session(void **state)
{
    struct session_view v = {0}, found = {0};
    struct session_nonce *n = nonce_of(100);
    assert_ok(sessions_create(s, "se", n, NOON, &v));
    session_nonce_unref(n);
    assert_ok(sessions_find(s, v.id, NOON, &found));
    assert_ptr_equal(found.nonce, v.nonce);
    session_view_done(&v);
    sessions_free(s); /* whoever holds a view keeps the nonce */
    s = NULL;
    assert_int_equal(strlen(session_nonce_text(found.nonce)), 100);
    session_view_done(&found);
    assert_null(found.nonce);
}

/* At the limit both stay, beyond it the oldest makes room; one that attested does not count there. */
static void test_nonce__memory(void **state)
{
    struct session_view first = {0}, second = {0}, third = {0}, found = {0};
    struct session_nonce *n = nonce_of(SESSION_NONCE_BYTES / 2 - 64);
    assert_ok(sessions_create(s, "se", n, NOON, &first));
    assert_ok(sessions_attest(s, first.id, NOON, guest));
    assert_ok(sessions_create(s, "se", n, NOON, &second));
    assert_ok(sessions_create(s, "se", n, NOON, &third));
    struct session_counts counts = {0};
    sessions_count(s, NOON, &counts);
    assert_int_equal(counts.sessions, 3);
    session_view_done(&third);
    assert_ok(sessions_create(s, "se", n, NOON, &third));
    assert_fails(sessions_find(s, second.id, NOON, &found), ERR_NOTFOUND);
    assert_ok(sessions_find(s, first.id, NOON, &found));
    sessions_count(s, NOON, &counts);
    assert_int_equal(counts.sessions, 3);
    assert_int_equal(counts.evicted, 1);
    session_view_done(&found);
    session_view_done(&first);
    session_view_done(&second);
    session_view_done(&third);
    session_nonce_unref(n);
}

/* The memory of nonces is made by those that hold some; only a full table takes the oldest of all. */
static void test_nonce__others_do_not_pay(void **state)
{
    struct session_view first = create(NOON), second = {0}, third = {0};
    struct session_nonce *n = nonce_of(SESSION_NONCE_BYTES / 2 + 1);
    struct session_counts counts = {0};
    assert_ok(sessions_create(s, "se", n, NOON, &second));
    struct session_view plain = create(NOON);
    assert_ok(sessions_create(s, "se", n, NOON, &third));
    assert_true(there(&first, NOON));
    assert_false(there(&second, NOON));
    assert_true(there(&plain, NOON));
    assert_true(there(&third, NOON));
    create(NOON);
    create(NOON); /* a fifth */
    assert_false(there(&first, NOON));
    create(NOON);
    assert_false(there(&plain, NOON));
    assert_true(there(&third, NOON));
    create(NOON);
    assert_false(there(&third, NOON)); /* its turn, by age */
    sessions_count(s, NOON, &counts);
    assert_int_equal(counts.sessions, 4);
    assert_int_equal(counts.evicted, 4);
    session_view_done(&second);
    session_view_done(&third);
    session_nonce_unref(n);
}

static void *hammer(void *arg)
{
    struct sessions *table = arg;
    size_t failed = 0;
    for (int64_t i = 0; i < ROUNDS; i++) {
        struct session_view v = {0}, found = {0};
        struct err e = sessions_create(table, "sample", NULL, NOON + i, &v);
        if (!err_ok(e)) {
            failed += e.code != ERR_BUSY;
            continue;
        }
        if (i % 3 == 0) err_ignore(sessions_attest(table, v.id, NOON + i, guest)); /* evicted? */
        err_ignore(sessions_find(table, v.id, NOON + i, &found)); /* another thread evicts */
        session_view_done(&found);
        struct session_counts c;
        if (i % 16 == 0) sessions_count(table, NOON + i, &c);
    }
    return (void *) failed;
}

static void test_sessions__threads(void **state)
{
    struct sessions *table = NULL;
    pthread_t threads[THREADS];
    assert_ok(sessions_new(50, SESSION_BYTES, 20, &table));
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, table), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    struct session_counts c;
    sessions_count(table, NOON + ROUNDS, &c);
    assert_true(c.sessions <= 50 && c.attested <= c.sessions);
    sessions_count(table, NOON + 100000, &c);
    assert_int_equal(c.sessions + c.attested, 0);
    sessions_free(table);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sessions_find__what_was_created),
        TEST(test_sessions_find__expiry),
        TEST(test_sessions_create__ids_are_fresh),
        TEST(test_sessions_create__oldest_unattested_makes_room),
        TEST(test_sessions_create__flood),
        TEST(test_sessions_attest__memory),
        TEST(test_sessions_create__all_attested),
        TEST(test_sessions_attest__replaces_the_guest),
        TEST(test_sessions_renew__only_that_guest),
        TEST(test_sessions_count__clears_the_expired),
        TEST(test_nonce__stays_with_its_session),
        TEST(test_nonce__memory),
        TEST(test_nonce__others_do_not_pay),
        cmocka_unit_test(test_session_id_from__text),
        TEST(test_sessions__threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
