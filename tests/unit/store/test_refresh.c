/* A second store on the same token stands for another broker. */
#include "tests/unit/store/fixture.h"

#include <poll.h>
#include <pthread.h>

static struct store *other;

static int setup(void **state)
{
    store_close(TAKE_PTR(other));
    int rc = setup_store(state);
    struct store_config config = fx_config();
    assert_ok(store_open(&config, &other));
    return rc;
}

static int teardown(void **state)
{
    store_close(TAKE_PTR(other));
    return teardown_token(state);
}

#define PATIENCE_NS (20 * CLOCK_SECOND_NS)

/* Until the present store gives this value; each get looks at the epoch object when it is time. */
static void wait_for_value(const char *name, const char *value)
{
    uint64_t deadline = clock_mono_ns() + PATIENCE_NS;
    do {
        assert_ok(fx_try_get(fx.store, name));
        if (span_eq_str(secret_span(fx.value), value)) return;
    } while (clock_mono_ns() < deadline);
    fail_msg("%s never became %s", name, value);
}

static void test_refresh__new_name_is_seen_at_once(void **state)
{
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    assert_ok(fx_try_put(other, "a/b/c", "theirs", NULL));
    assert_value("a/b/c", "theirs");
}

static void test_refresh__new_version_is_seen_after_the_interval(void **state)
{
    fx_put("a/b/c", "one");
    assert_ok(fx_try_put(other, "a/b/c", "two", NULL));
    wait_for_value("a/b/c", "two");
}

static void test_refresh__deletion_is_seen_after_the_interval(void **state)
{
    fx_put("a/b/c", "one");
    assert_ok(store_delete(other, ENVELOPE_RESOURCE, "a/b/c", false, 0, NULL));
    uint64_t deadline = clock_mono_ns() + PATIENCE_NS;
    struct err e = ERR_OK;
    while (err_ok(e) && clock_mono_ns() < deadline) e = fx_try_get(fx.store, "a/b/c");
    assert_int_equal(e.code, ERR_NOTFOUND);
}

static void test_refresh__undelete_is_seen_at_once(void **state)
{
    fx_put("a/b/c", "one");
    fx_delete("a/b/c");
    assert_ok(fx_try_put(other, "a/b/c", "again", NULL));
    assert_value("a/b/c", "again");
    assert_int_equal(fx.entry.version, 3);
}

static void test_refresh__writers_number_above_each_other(void **state)
{
    struct store *const stores[] = {fx.store, other};
    for (uint64_t v = 1; v <= 6; v++) {
        uint64_t version = 0;
        assert_ok(fx_try_put(stores[v % 2], "a/b/c", "x", &version));
        assert_int_equal(version, v);
    }
    assert_int_equal(fx_objects("a/b/c"), 1);
}

static void test_refresh__own_writes_cause_no_rescan(void **state)
{
    fx_put("a/b/c", "one");
    uint64_t before = fx_stats().rescans;
    for (int i = 0; i < 5; i++) fx_put("a/b/c", "x");
    assert_fails(fx_try_get(fx.store, "x/y/z"), ERR_NOTFOUND);
    assert_ok(store_refresh(fx.store));
    assert_int_equal(fx_stats().rescans, before);
}

static void test_refresh__rescan_keeps_the_cached_bytes(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "two");
    struct catalog *before = fx.store->catalog;
    size_t bytes = fx_stats().cached_bytes;
    const struct blob *kept = catalog_find(before, ENVELOPE_RESOURCE, "x/y/z")->versions->bytes;
    assert_ok(fx_try_put(other, "p/q/r", "three", NULL));
    for (int all = 0; all < 2; all++) { /* the news, then every object */
        fx.store->doubt = all;
        assert_ok(store_refresh(fx.store));
        assert_true(fx_stats().cached_bytes > bytes);
        assert_ptr_equal(catalog_find(fx.store->catalog, ENVELOPE_RESOURCE, "x/y/z")->versions->bytes, kept);
    }
    assert_value("x/y/z", "two");
}

static void test_refresh__slow_scan_finds_what_touched_no_epoch(void **state)
{
    struct buf bytes = BUF_INIT;
    fx_put("a/b/c", "one");
    fx_seal(fx.token, "a/b/c", 2, "two", &bytes);
    fx_place("a/b/c", buf_span(&bytes));
    buf_free(&bytes);
    assert_ok(store_refresh(fx.store));
    assert_value("a/b/c", "one");
    fx.store->next_scan = 0; /* as if STORE_RESCAN_SECONDS were over */
    assert_ok(store_refresh(fx.store));
    assert_value("a/b/c", "two");
    assert_true(fx.store->next_scan > clock_mono_ns());
}

static void test_refresh__epoch_object_gone(void **state)
{
    fx_put("a/b/c", "one");
    struct p11_object epoch[1];
    char label[P11_EPOCH_TEXT];
    size_t n = 0;
    assert_ok(p11_epoch_read(fx.token, label));
    assert_ok(p11_object_find(fx.token, label, epoch, 1, &n));
    assert_int_equal(n, 1);
    assert_ok(p11_object_destroy(fx.token, epoch[0]));
    uint64_t before = fx_stats().rescans;
    assert_ok(store_refresh(fx.store));
    assert_int_equal(fx_stats().rescans, before + 1);
    assert_ok(store_refresh(fx.store)); /* none is remembered as none */
    assert_int_equal(fx_stats().rescans, before + 1);
    assert_value("a/b/c", "one");
    fx_put("a/b/c", "two"); /* makes a new one */
    assert_ok(p11_epoch_read(fx.token, label));
    wait_for_value("a/b/c", "two");
}

/* ---- keys that another broker made ------------------------------------------------------- */

static struct p11 *elsewhere; /* the other broker's opening of the same token */

static int setup_elsewhere(void **state)
{
    fx_open_token(fx.hsm.uri, &elsewhere);
    return setup(state);
}

static int close_elsewhere(void **state)
{
    p11_close(TAKE_PTR(elsewhere));
    return 0;
}

static size_t known_keks(void)
{
    struct p11_kek_info keks[KEK_MAX];
    size_t n = 0;
    assert_ok(p11_kek_list(fx.token, keks, KEK_MAX, &n));
    return n;
}

static void place_sealed_by(struct p11 *token, const char *name, uint64_t version, uint8_t spoil)
{
    struct buf bytes = BUF_INIT;
    struct envelope e = {0};
    bool has_meta = false;
    fx_seal(token, name, version, "new", &bytes);
    envelope_decode(buf_span(&bytes), &e, &has_meta);
    bytes.data[e.bound.len + 5] ^= spoil; /* first byte of the recipient's KEK id */
    fx_place(name, buf_span(&bytes));
    buf_free(&bytes);
}

static void scan_again(void)
{
    fx.store->next_scan = 0;
    assert_ok(store_refresh(fx.store));
}

static void test_refresh__key_made_elsewhere_is_found(void **state)
{
    struct p11_kek_info kek;
    size_t before = known_keks();
    fx_put("a/b/c", "old");
    assert_ok(p11_kek_create(elsewhere, true, &kek));
    place_sealed_by(elsewhere, "a/b/c", 2, 0);
    assert_int_equal(known_keks(), before);
    scan_again();
    assert_value("a/b/c", "new");
    assert_int_equal(fx.entry.kek_generation, kek.generation);
    assert_int_equal(fx_stats().foreign, 0);
}

static void test_refresh__foreign_keys_are_looked_for_once(void **state)
{
    struct p11_kek_info kek;
    place_sealed_by(fx.token, "x/y/z", 1, 0x55);
    scan_again();
    size_t before = known_keks();
    assert_int_equal(fx_stats().foreign, 1);
    assert_ok(p11_kek_create(elsewhere, true, &kek));
    scan_again(); /* the same foreign one: the keys are not looked at */
    assert_int_equal(known_keks(), before);
    place_sealed_by(fx.token, "x/y/z", 1, 0xaa);
    scan_again(); /* another one: they are */
    assert_int_equal(known_keks(), before + 1);
    assert_int_equal(fx_stats().foreign, 2);
}

static void test_refresh__foreign_keys_are_looked_for_again_later(void **state)
{
    struct p11_kek_info kek;
    place_sealed_by(fx.token, "x/y/z", 1, 0x55);
    scan_again();
    size_t before = known_keks();
    assert_ok(p11_kek_create(elsewhere, true, &kek));
    fx.store->unknown.forget_at = 0; /* as if STORE_RESCAN_SECONDS were over */
    scan_again();
    assert_int_equal(known_keks(), before + 1);
}

static void test_refresh__more_foreign_keys_than_are_noted(void **state)
{
    struct p11_kek_info kek;
    for (unsigned i = 1; i <= UNKNOWN_KEKS_MAX + 1; i++)
        place_sealed_by(fx.token, "x/y/z", 1, (uint8_t) i);
    scan_again();
    assert_true(fx.store->unknown.n <= UNKNOWN_KEKS_MAX);
    assert_int_equal(fx_stats().foreign, UNKNOWN_KEKS_MAX + 1);
    assert_ok(p11_kek_create(elsewhere, true, &kek));
    place_sealed_by(elsewhere, "a/b/c", 1, 0);
    for (unsigned i = 0; i < 3; i++) scan_again();
    assert_value("a/b/c", "new");
}

/* Handles of before are void: what was deleted must really go from the token. */
static void test_refresh__after_recovery_old_objects_are_found_again(void **state)
{
    fx_put("a/b/c", "secret");
    p11_close(TAKE_PTR(elsewhere)); /* so that the module can be started again */
    assert_ok(p11_recover(fx.token));
    fx_delete("a/b/c");
    assert_int_equal(fx_objects("a/b/c"), 1); /* the tombstone */
    fx_open_token(fx.hsm.uri, &elsewhere);
}

/* A token that cannot be read although something changed: better 503 than what was revoked. */
static void test_refresh__stale_catalog_serves_nothing(void **state)
{
    fx_put("a/b/c", "one");
    fx.store->stale = true;
    fx.store->next_look = UINT64_MAX;
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_TOKEN_DOWN);
    fx.store->next_look = 0; /* the next look finds that nothing changed after all */
    assert_value("a/b/c", "one");
    assert_false(fx.store->stale);
}

/* A scan that hangs, or another that takes for ever, serves the old for a while only. */
static void test_refresh__what_is_not_read_for_long_serves_nothing(void **state)
{
    fx_put("a/b/c", "one");
    assert_ok(fx_try_put(other, "a/b/c", "two", NULL));
    {
        SCOPED_LOCK(&fx.store->work); /* the scan has it */
        fx.store->next_look = 0;
        assert_value("a/b/c", "one");
        assert_true(fx.store->behind_since > 0);
        fx.store->behind_since -= STORE_BEHIND_SECONDS * CLOCK_SECOND_NS;
        assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_TOKEN_DOWN);
        fx.store->next_look = 0; /* who looks sees no more */
        assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_TOKEN_DOWN);
    }
    fx.store->next_look = 0;
    assert_value("a/b/c", "two");
    assert_int_equal(fx.store->behind_since, 0);
}

static void test_refresh__failed_write_makes_the_next_one_look(void **state)
{
    fx_put("a/b/c", "one");
    fx.store->doubt = true; /* what p11_object_create's failure leaves */
    uint64_t before = fx_stats().rescans;
    assert_int_equal(fx_put("a/b/c", "two"), 2);
    assert_int_equal(fx_stats().rescans, before + 1);
    assert_false(fx.store->doubt);
}

/* ---- a login that is lost ---------------------------------------------------------------- */

/* The same token through the fault module, or as ever again. */
static void open_through(const char *module)
{
    store_close(TAKE_PTR(other));
    store_close(TAKE_PTR(fx.store));
    p11_close(TAKE_PTR(fx.token));
    struct p11_config config = {.module = module, .token_uri = fx.hsm.uri, .cek_cache = 64,
                                .pin_source = fx.hsm.pin_file, .state_dir = fx.hsm.state};
    assert_ok(p11_open(&config, &fx.token));
    fx_open_store(fx_config());
}

static void faults(const char *rules)
{
    assert_int_equal(softhsm_fault(&fx.hsm, rules), 0);
}

static int setup_faults(void **state)
{
    faults("");
    if (softhsm_fault_module()) open_through(softhsm_fault_module());
    return setup_store(state);
}

static int end_faults(void **state)
{
    faults("");
    open_through(fx.hsm.module);
    return 0;
}

/* Puts one that is seen without the login, and one that is not. */
static void put_public_and_private(void)
{
    struct p11_object o = {0};
    struct buf bytes = BUF_INIT;
    fx_seal(fx.token, "seen/by/all", 1, "public", &bytes);
    faults("objects no_private");
    assert_ok(p11_object_create(fx.token, "seen/by/all", buf_span(&bytes), &o));
    faults("");
    buf_free(&bytes);
    open_through(softhsm_fault_module()); /* which forgets that the token takes no private ones */
    fx_put("a/b/c", "acknowledged");
}

/* The token lost our login before the scan's find, which shows what is public and says CKR_OK. */
static void test_refresh__what_a_lost_login_hides_is_not_gone(void **state)
{
    if (!softhsm_fault_module()) skip();
    put_public_and_private();
    fx.store->next_scan = 0;
    faults("C_FindObjectsInit forget count=1");
    assert_fails(store_refresh(fx.store), ERR_TOKEN_DOWN);
    faults("");
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_TOKEN_DOWN);
    assert_ok(p11_recover(fx.token));
    assert_ok(store_refresh(fx.store)); /* as who recovers it does */
    assert_value("a/b/c", "acknowledged");
    assert_int_equal(fx_put("a/b/c", "next"), 2);
    assert_value("seen/by/all", "public");
}

static void *scan_all(void *arg)
{
    SCOPED_LOCK(&fx.store->work);
    *(struct err *) arg = rescan_locked(fx.store);
    return NULL;
}

/* A scan under these rules, and the token is opened again when it has read the first of its objects. */
static struct err scan_across_a_recovery(const char *rules)
{
    pthread_t scan;
    struct err e = ERR_OK;
    softhsm_fault_clear_log(&fx.hsm);
    faults(rules);
    pthread_mutex_lock(&fx.store->lock); /* the scan wants it for what it has read */
    assert_int_equal(pthread_create(&scan, NULL, scan_all, &e), 0);
    uint64_t deadline = clock_mono_ns() + PATIENCE_NS;
    int reads = 0;
    while ((reads = softhsm_fault_count(&fx.hsm, "C_GetAttributeValue")) < 2 && clock_mono_ns() < deadline)
        poll(NULL, 0, 5); /* the epoch object comes before */
    struct err recovered = p11_recover(fx.token);
    pthread_mutex_unlock(&fx.store->lock);
    pthread_join(scan, NULL);
    assert_true(reads >= 2);
    assert_ok(recovered);
    return e;
}

/* By the time that this is asked the login is back. */
static void test_refresh__what_a_login_lost_for_a_while_hid_is_not_gone(void **state)
{
    if (!softhsm_fault_module()) skip();
    put_public_and_private();
    assert_fails(scan_across_a_recovery("C_FindObjectsInit forget count=1"), ERR_TOKEN_DOWN);
    assert_ok(store_refresh(fx.store));
    assert_value("a/b/c", "acknowledged");
}

static void test_refresh__a_scan_across_a_recovery_begins_anew(void **state)
{
    if (!softhsm_fault_module()) skip();
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "two");
    assert_ok(scan_across_a_recovery(""));
    assert_value("x/y/z", "two");
}

/* All are private: the scan is as that of an empty token. */
static void test_refresh__nothing_at_all_is_not_believed(void **state)
{
    if (!softhsm_fault_module()) skip();
    fx_put("a/b/c", "acknowledged");
    fx.store->next_scan = 0;
    faults("C_FindObjectsInit forget count=1");
    assert_fails(store_refresh(fx.store), ERR_TOKEN_DOWN);
    faults("");
    assert_ok(p11_recover(fx.token));
    assert_ok(store_refresh(fx.store)); /* as who recovers it does */
    assert_value("a/b/c", "acknowledged");
}

/* Nobody knows then whether an envelope is foreign, and the next scan asks again. */
static void test_refresh__keys_that_cannot_be_looked_for(void **state)
{
    struct p11_kek_info kek;
    struct p11_config config = {.module = softhsm_fault_module(), .token_uri = fx.hsm.uri,
                                .pin_source = fx.hsm.pin_file, .state_dir = fx.hsm.state};
    if (!config.module) skip();
    assert_ok(p11_open(&config, &elsewhere));
    assert_ok(p11_kek_create(elsewhere, true, &kek));
    place_sealed_by(elsewhere, "a/b/c", 1, 0);
    p11_close(TAKE_PTR(elsewhere));
    fx.store->next_scan = 0;
    faults("C_FindObjectsInit rv=0x30 after=1"); /* after the scan's own */
    assert_fails_with(store_refresh(fx.store), ERR_TOKEN_DOWN, "looking for a key");
    faults("");
    assert_ok(store_refresh(fx.store));
    assert_value("a/b/c", "new");
}

/* A write is acknowledged when it is stored; that others were not told of it is made good. */
static void test_refresh__a_failed_announcement_is_repeated(void **state)
{
    char before[P11_EPOCH_TEXT], now[P11_EPOCH_TEXT];
    if (!softhsm_fault_module()) skip();
    fx_put("a/b/c", "one");
    assert_ok(p11_epoch_read(fx.token, before));
    faults("C_SetAttributeValue rv=0x6\nC_CreateObject rv=0x6 after=1\n");
    fx_put("a/b/c", "two");
    assert_ok(p11_epoch_read(fx.token, now));
    assert_string_equal(now, before);
    assert_ok(refresh_watched(fx.store));
    assert_ok(p11_epoch_read(fx.token, now));
    assert_string_equal(now, before);
    faults("");
    uint64_t rescans = fx_stats().rescans;
    assert_ok(refresh_watched(fx.store));
    assert_ok(p11_epoch_read(fx.token, now));
    assert_string_not_equal(now, before);
    memcpy(before, now, sizeof before);
    assert_ok(refresh_watched(fx.store));
    assert_ok(p11_epoch_read(fx.token, now));
    assert_string_equal(now, before);
    assert_int_equal(fx_stats().rescans, rescans);
}

/* A writer that was killed between its last write and the epoch object. */
static void test_refresh__what_a_killed_writer_told_nobody_is_told_at_the_start(void **state)
{
    struct buf bytes = BUF_INIT;
    fx_put("a/b/c", "one");
    assert_ok(fx_try_get(other, "a/b/c")); /* the reader has it in memory */
    fx_seal(fx.token, "a/b/c", 2, "two", &bytes);
    fx_place("a/b/c", buf_span(&bytes));
    buf_free(&bytes);
    fx_open_store(fx_config());
    assert_value("a/b/c", "two");
    assert_ok(store_refresh(other));
    assert_ok(fx_try_get(other, "a/b/c"));
    assert_span(secret_span(fx.value), "two");
}

/* A write that failed and lies there all the same: what its writer serves, others serve too. */
static void test_refresh__what_a_failed_write_left_is_told(void **state)
{
    if (!softhsm_fault_module()) skip();
    struct store_config config = fx_config();
    fx_put("a/b/c", "one");
    assert_ok(store_open(&config, &other));
    assert_ok(store_refresh(fx.store));
    assert_ok(fx_try_get(other, "a/b/c"));
    faults("C_FindObjectsInit rv=0x30 count=1\nC_DestroyObject rv=0x30 after=1\n");
    assert_false(err_ok(fx_try_put(fx.store, "a/b/c", "two", NULL)));
    faults("");
    assert_int_equal(fx_objects("a/b/c"), 2);
    assert_ok(refresh_watched(fx.store));
    assert_value("a/b/c", "two");
    assert_ok(store_refresh(other));
    assert_ok(fx_try_get(other, "a/b/c"));
    assert_span(secret_span(fx.value), "two");
}

/* ---- threads ----------------------------------------------------------------------------- */

static void *look_in_vain(void *arg)
{
    struct secret *value = NULL;
    struct err e = store_get(fx.store, ENVELOPE_RESOURCE, "no/such/name", &value, NULL);
    return e.code == ERR_NOTFOUND ? NULL : (void *) "found";
}

static void test_refresh__misses_share_one_scan(void **state)
{
    pthread_t threads[8];
    assert_ok(fx_try_put(other, "a/b/c", "theirs", NULL));
    uint64_t before = fx_stats().rescans;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_in_vain, NULL), 0);
    for (size_t i = 0; i < 8; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_int_equal(fx_stats().rescans, before + 1);
}

static void *write_some(void *store)
{
    char name[32];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "%s/b/%u", store == other ? "other" : "own", i);
        if (!err_ok(fx_try_put(store, name, name, NULL))) return (void *) "failed";
    }
    return NULL;
}

/* Two brokers may not write one token at the same time, but threads of one broker may. */
static void test_refresh__writers_of_one_store(void **state)
{
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_some, fx.store), 0);
    for (size_t i = 0; i < 3; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_value("own/b/9", "own/b/9");
    assert_int_equal(fx.entry.version, 3);
    assert_int_equal(fx_stats().live, 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
#define FAULTS(name) cmocka_unit_test_setup_teardown(name, setup_faults, end_faults)
#define ELSEWHERE(name) cmocka_unit_test_setup_teardown(name, setup_elsewhere, close_elsewhere)
    const struct CMUnitTest tests[] = {
        TEST(test_refresh__new_name_is_seen_at_once),
        TEST(test_refresh__new_version_is_seen_after_the_interval),
        TEST(test_refresh__deletion_is_seen_after_the_interval),
        TEST(test_refresh__undelete_is_seen_at_once),
        TEST(test_refresh__writers_number_above_each_other),
        TEST(test_refresh__own_writes_cause_no_rescan),
        TEST(test_refresh__rescan_keeps_the_cached_bytes),
        FAULTS(test_refresh__a_failed_announcement_is_repeated),
        FAULTS(test_refresh__what_a_failed_write_left_is_told),
        TEST(test_refresh__what_a_killed_writer_told_nobody_is_told_at_the_start),
        TEST(test_refresh__slow_scan_finds_what_touched_no_epoch),
        TEST(test_refresh__epoch_object_gone),
        TEST(test_refresh__stale_catalog_serves_nothing),
        TEST(test_refresh__what_is_not_read_for_long_serves_nothing),
        TEST(test_refresh__failed_write_makes_the_next_one_look),
        FAULTS(test_refresh__what_a_lost_login_hides_is_not_gone),
        FAULTS(test_refresh__what_a_login_lost_for_a_while_hid_is_not_gone),
        FAULTS(test_refresh__a_scan_across_a_recovery_begins_anew),
        FAULTS(test_refresh__nothing_at_all_is_not_believed),
        FAULTS(test_refresh__keys_that_cannot_be_looked_for),
        TEST(test_refresh__misses_share_one_scan),
        TEST(test_refresh__writers_of_one_store),
        /* last: they add keys */
        ELSEWHERE(test_refresh__key_made_elsewhere_is_found),
        ELSEWHERE(test_refresh__foreign_keys_are_looked_for_once),
        ELSEWHERE(test_refresh__foreign_keys_are_looked_for_again_later),
        ELSEWHERE(test_refresh__more_foreign_keys_than_are_noted),
        ELSEWHERE(test_refresh__after_recovery_old_objects_are_found_again),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown);
}
