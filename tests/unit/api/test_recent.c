#include "broker/api/recent.h"
#include "broker/attest/guest.h"
#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <stdatomic.h>

#define GUESTS 64

static struct {
    struct recent *recent;
    struct recent_list list;
    struct guest *guests[GUESTS];
} w;

/* A guest whose token is that many bytes. */
static struct guest *make_guest(size_t bytes)
{
    static unsigned count;
    char claims[80];
    struct json_doc *doc = NULL;
    struct buf text = BUF_INIT;
    struct digest d = {0};
    struct guest *g = NULL;
    const struct guest_rules none = {0};
    snprintf(claims, sizeof claims, "{\"exp\":1,\"n\":%u}", count++);
    while (text.len < bytes) buf_add_byte(&text, 'x');
    assert_ok(json_parse(span_str(claims), &doc));
    assert_ok(digest_compute(DIGEST_SHA256, span_str(claims), &d));
    struct guest_token t = {.text = buf_span(&text), .sha256 = &d, .payload = span_str(claims),
                            .claims = json_root(doc), .exp = 1};
    assert_ok(guest_new(&t, &none, &g));
    json_free(doc);
    buf_free(&text);
    return g;
}

static int setup(void **state)
{
    assert_ok(recent_new(&w.recent));
    for (size_t i = 0; i < GUESTS; i++) w.guests[i] = make_guest(1000);
    return 0;
}

static int teardown(void **state)
{
    clock_test_set(0);
    recent_list_done(&w.list);
    recent_free(TAKE_PTR(w.recent));
    for (size_t i = 0; i < GUESTS; i++) guest_unref(TAKE_PTR(w.guests[i]));
    return 0;
}

static void note_path(struct guest *g, const char *plugin, const char *const *path, size_t count,
                      bool allow)
{
    struct policy_request r = {.claims = guest_claims(g), .plugin = plugin, .path = path,
                               .path_count = count};
    struct policy_decision d = {.allow = allow};
    snprintf(d.reason, sizeof d.reason, allow ? "allow is true" : "allow is false");
    recent_note(w.recent, g, &r, &d);
}

static void note(struct guest *g, const char *tag, bool allow)
{
    const char *path[] = {"a", "b", tag};
    note_path(g, "resource", path, 3, allow);
}

static const struct recent_list *list(void)
{
    recent_list_done(&w.list);
    assert_ok(recent_list(w.recent, &w.list));
    return &w.list;
}

/* ---- what comes back ---------------------------------------------------------------------- */

static void test_list__empty(void **state)
{
    assert_int_equal(list()->count, 0);
    assert_int_equal(w.list.missed, 0);
}

static void test_note__all_of_it_comes_back(void **state)
{
    const char *path[] = {"a", "", "c/d"};
    const struct policy_pair query[] = {{"k", "v"}, {"", ""}, {"long", "value of it"}};
    struct policy_request r = {.claims = guest_claims(w.guests[0]), .plugin = "pkcs11",
                               .path = path, .path_count = 3, .query = query, .query_count = 3};
    struct policy_decision d = {.allow = true, .reason = "allow is true", .detail = "secret"};
    clock_test_set(1795521600);
    recent_note(w.recent, w.guests[0], &r, &d);
    assert_int_equal(list()->count, 1);
    const struct recent_request *got = &w.list.items[0];
    assert_ptr_equal(got->guest, w.guests[0]);
    assert_ptr_equal(got->request.claims, guest_claims(w.guests[0]));
    assert_string_equal(got->request.plugin, "pkcs11");
    assert_int_equal(got->request.path_count, 3);
    for (size_t i = 0; i < 3; i++) assert_string_equal(got->request.path[i], path[i]);
    assert_int_equal(got->request.query_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(got->request.query[i].name, query[i].name);
        assert_string_equal(got->request.query[i].value, query[i].value);
    }
    assert_true(got->allow);
    assert_string_equal(got->reason, "allow is true");
    assert_int_equal(got->seen, 1);
    assert_int_equal(got->request.now_ns / 1000000000, 1795521600);
}

static void test_note__the_same_again_is_counted(void **state)
{
    clock_test_set(1000);
    note(w.guests[0], "x", true);
    clock_test_set(2000);
    note(w.guests[0], "x", false);
    assert_int_equal(list()->count, 1);
    assert_int_equal(w.list.items[0].seen, 2);
    assert_false(w.list.items[0].allow); /* the last one tells */
    assert_string_equal(w.list.items[0].reason, "allow is false");
    assert_int_equal(w.list.items[0].request.now_ns / 1000000000, 2000);
}

/* Another guest, path, split of the path, plugin or query is another request. */
static void test_note__what_differs(void **state)
{
    const char *split[] = {"a", "b/x"}, *whole[] = {"a", "b", "x"};
    const struct policy_pair query[] = {{"a", "b"}};
    struct policy_decision d = {0};
    clock_test_set(1000);
    note(w.guests[0], "x", true);
    clock_test_set(2000);
    note(w.guests[1], "x", true);
    clock_test_set(3000);
    note(w.guests[0], "y", true);
    clock_test_set(4000);
    note_path(w.guests[0], "resource", split, 2, true);
    clock_test_set(5000);
    note_path(w.guests[0], "pkcs11", whole, 3, true);
    clock_test_set(6000);
    struct policy_request r = {.plugin = "resource", .path = whole, .path_count = 1,
                               .query = query, .query_count = 1};
    recent_note(w.recent, w.guests[0], &r, &d); /* the same texts as a/a/b */
    assert_int_equal(list()->count, 6);
    for (size_t i = 0; i < 6; i++) /* latest first */
        assert_int_equal(w.list.items[i].request.now_ns / 1000000000, 6000 - 1000 * (int) i);
}

/* ---- bounds ------------------------------------------------------------------------------- */

/* A guest is kept as long as its request, and freed after: the leak checker sees the rest. */
static void test_note__keeps_the_guest(void **state)
{
    struct guest *g = make_guest(100);
    note(g, "x", true);
    guest_unref(g);
    assert_int_equal(list()->count, 1);
    assert_int_equal(strlen(guest_fingerprint(w.list.items[0].guest)), 16);
    recent_free(TAKE_PTR(w.recent)); /* the list is good on its own */
    assert_non_null(policy_claims_value(w.list.items[0].request.claims));
    assert_ok(recent_new(&w.recent));
}

static void test_note__never_more_than_the_count(void **state)
{
    char tag[24];
    for (unsigned i = 0; i < 40 * RECENT_MAX; i++) {
        clock_test_set(1000 + i);
        snprintf(tag, sizeof tag, "%u", i);
        note(w.guests[i % GUESTS], tag, true);
    }
    assert_int_equal(list()->count, RECENT_MAX);
    assert_int_equal(w.list.missed, 0);
    /* Those that were not asked for longest go first, set by set: none is from the older half. */
    assert_true(w.list.items[RECENT_MAX - 1].request.now_ns / 1000000000 > 1000 + 20 * RECENT_MAX);
}

/* One that is asked again and again stays while others come and go. */
static void test_note__what_is_used_stays(void **state)
{
    char tag[24];
    for (unsigned i = 0; i < 8 * RECENT_MAX; i++) {
        clock_test_set(1000 + i);
        note(w.guests[0], "often", true);
        snprintf(tag, sizeof tag, "%u", i);
        note(w.guests[1], tag, true);
    }
    list();
    size_t found = 0;
    for (size_t i = 0; i < w.list.count; i++)
        if (strcmp(w.list.items[i].request.path[2], "often") == 0) found = w.list.items[i].seen;
    assert_int_equal(found, 8 * RECENT_MAX);
}

static void test_note__text_at_and_beyond_the_limit(void **state)
{
    static char tag[RECENT_TEXT_MAX];
    memset(tag, 'x', sizeof tag - 1);
    tag[RECENT_TEXT_MAX - 5] = '\0'; /* "a", "b" and three NULs beside it */
    note(w.guests[0], tag, true);
    assert_int_equal(list()->count, 1);
    assert_string_equal(w.list.items[0].request.path[2], tag);
    tag[RECENT_TEXT_MAX - 5] = 'x';
    tag[RECENT_TEXT_MAX - 4] = '\0';
    note(w.guests[0], tag, true);
    assert_int_equal(list()->count, 1);
    assert_int_equal(w.list.missed, 1);
}

static void test_note__segments_and_pairs_at_and_beyond_the_limit(void **state)
{
    const char *path[ROUTE_MAX_SEGMENTS + 1];
    struct policy_pair query[ROUTE_MAX_PAIRS + 1];
    struct policy_decision d = {0};
    for (size_t i = 0; i <= ROUTE_MAX_SEGMENTS; i++) path[i] = "p";
    for (size_t i = 0; i <= ROUTE_MAX_PAIRS; i++) query[i] = (struct policy_pair){"n", "v"};
    struct policy_request r = {.plugin = "resource", .path = path, .query = query,
                               .path_count = ROUTE_MAX_SEGMENTS, .query_count = ROUTE_MAX_PAIRS};
    recent_note(w.recent, w.guests[0], &r, &d);
    assert_int_equal(list()->count, 1);
    assert_string_equal(w.list.items[0].request.query[ROUTE_MAX_PAIRS - 1].value, "v");
    r.path_count++;
    recent_note(w.recent, w.guests[0], &r, &d);
    r.path_count--;
    r.query_count++;
    recent_note(w.recent, w.guests[0], &r, &d);
    assert_int_equal(list()->count, 1);
    assert_int_equal(w.list.missed, 2);
}

/* Large tokens: as many as the bytes allow, and room again as they are replaced by small ones. */
static void test_note__never_more_than_the_bytes(void **state)
{
    enum { LARGE = 512 << 10 };
    char tag[24];
    size_t bytes = 0;
    for (unsigned i = 0; i < 4 * RECENT_BYTES_MAX / LARGE; i++) {
        struct guest *g = make_guest(LARGE);
        clock_test_set(1000 + i);
        note(g, "x", true);
        guest_unref(g);
        list();
        bytes = 0;
        for (size_t j = 0; j < w.list.count; j++) bytes += guest_bytes(w.list.items[j].guest);
        assert_true(bytes <= RECENT_BYTES_MAX);
    }
    assert_true(w.list.missed > 0);
    assert_true(bytes > RECENT_BYTES_MAX / 2);
    recent_list_done(&w.list);
    for (unsigned i = 0; i < 40 * RECENT_MAX; i++) {
        clock_test_set(100000 + i);
        snprintf(tag, sizeof tag, "%u", i);
        note(w.guests[i % GUESTS], tag, true);
    }
    assert_int_equal(list()->count, RECENT_MAX);
    for (size_t i = 0; i < w.list.count; i++)
        assert_true(guest_bytes(w.list.items[i].guest) < LARGE);
}

/* ---- threads ------------------------------------------------------------------------------ */

#define THREADS 4
#define NOTES 4000u
static atomic_bool stop;

/* Few guests and paths, so that threads meet in the same slots. */
static void *note_many(void *arg)
{
    unsigned seed = *(unsigned *) arg;
    char tag[24];
    for (unsigned i = 0; i < NOTES; i++) {
        seed = seed * 1664525u + 1013904223u;
        snprintf(tag, sizeof tag, "%u", seed >> 16 & 31);
        note(w.guests[seed >> 24 & 7], tag, tag[0] & 1);
    }
    return NULL;
}

static void *look(void *arg)
{
    unsigned *wrong = arg;
    while (!stop) {
        struct recent_list l = {0};
        if (!err_ok(recent_list(w.recent, &l))) ++*wrong;
        for (size_t i = 0; i < l.count; i++) {
            const struct recent_request *r = &l.items[i];
            /* What was decided goes with what was asked: it follows from the path. */
            bool allow = r->request.path[2][0] & 1;
            if (r->allow != allow || r->request.path_count != 3) ++*wrong;
            if (strcmp(r->reason, allow ? "allow is true" : "allow is false") != 0) ++*wrong;
        }
        recent_list_done(&l);
    }
    return NULL;
}

static void test_note__threads(void **state)
{
    pthread_t threads[THREADS], reader;
    unsigned seeds[THREADS] = {1, 2, 3, 4}, wrong = 0;
    uint64_t seen = 0;
    stop = false;
    assert_int_equal(pthread_create(&reader, NULL, look, &wrong), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, &seeds[i]), 0);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    stop = true;
    pthread_join(reader, NULL);
    assert_int_equal(wrong, 0);
    list();
    for (size_t i = 0; i < w.list.count; i++) seen += w.list.items[i].seen;
    assert_true(w.list.count > 0 && w.list.count <= RECENT_MAX);
    assert_true(seen > 0);
    assert_true(seen + w.list.missed <= THREADS * NOTES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_list__empty),
        TEST(test_note__all_of_it_comes_back),
        TEST(test_note__the_same_again_is_counted),
        TEST(test_note__what_differs),
        TEST(test_note__keeps_the_guest),
        TEST(test_note__never_more_than_the_count),
        TEST(test_note__what_is_used_stays),
        TEST(test_note__text_at_and_beyond_the_limit),
        TEST(test_note__segments_and_pairs_at_and_beyond_the_limit),
        TEST(test_note__never_more_than_the_bytes),
        TEST(test_note__threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
