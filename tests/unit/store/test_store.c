/* Opening, and what the store does when the token fails in the middle of its work. */
#include "tests/unit/store/fixture.h"

#include <pthread.h>
#include <stdatomic.h>

static int setup_group(void **state)
{
    if (setup_token(state) != 0) return -1;
    if (!softhsm_fault_module()) return 0;
    p11_close(TAKE_PTR(fx.token));
    assert_int_equal(softhsm_fault(&fx.hsm, ""), 0);
    fx.hsm.module = softhsm_fault_module();
    fx_open_token(fx.hsm.uri, &fx.token);
    return 0;
}

static int setup(void **state)
{
    if (softhsm_fault_module()) softhsm_fault(&fx.hsm, "");
    return setup_store(state);
}

/* The rules as long as the test lasts; softhsm_fault would forward to itself by now. */
static void faults(const char *rules)
{
    if (!softhsm_fault_module()) {
        print_message("no fault module: STRONGROOM_FAULT_MODULE is not set\n");
        skip();
    }
    const char *module = fx.hsm.module;
    fx.hsm.module = getenv("P11FAULT_MODULE");
    int rc = softhsm_fault(&fx.hsm, rules);
    fx.hsm.module = module;
    assert_int_equal(rc, 0);
}

/* ---- opening ----------------------------------------------------------------------------- */

static void test_store_open__reader_writes_nothing(void **state)
{
    char epoch[P11_EPOCH_TEXT];
    struct p11_object found[1];
    size_t n = 0;
    assert_ok(p11_epoch_read(fx.token, epoch));
    assert_ok(p11_object_find(fx.token, epoch, found, 1, &n));
    assert_ok(p11_object_destroy(fx.token, found[0]));
    struct store_config config = fx_config();
    config.writable = false;
    fx_open_store(config);
    assert_fails(p11_epoch_read(fx.token, epoch), ERR_NOTFOUND);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    assert_int_equal(fx_stats().rescans, 0); /* "no epoch object" is not a change each time */
    fx_open_store(fx_config());
    assert_ok(p11_epoch_read(fx.token, epoch));
}

static void test_store_open__defaults(void **state)
{
    struct store_config config = {.token = fx.token, .writable = true}; /* no cache, keep 0 */
    fx_open_store(config);
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    assert_value("a/b/c", "two");
    assert_int_equal(fx_objects("a/b/c"), 1);
    assert_int_equal(fx_stats().cached_bytes, 0);
}

static void test_store_close__null(void **state)
{
    store_close(NULL);
}

/* ---- faults ------------------------------------------------------------------------------ */

#define DEVICE_ERROR "rv=0x30"
#define DEVICE_MEMORY "rv=0x31"
#define AFTER_THE_CEK " after=1" /* sealing destroys its content key first */

static void test_store_put__create_fails(void **state)
{
    fx_put("a/b/c", "old");
    faults("C_CreateObject " DEVICE_ERROR);
    assert_false(err_ok(fx_try_put(fx.store, "a/b/c", "new", NULL)));
    assert_value("a/b/c", "old");
    faults("");
    assert_value("a/b/c", "old");
    assert_int_equal(fx_put("a/b/c", "new"), 2);
}

static void test_store_put__token_is_full(void **state)
{
    fx_put("a/b/c", "old");
    faults("C_CreateObject " DEVICE_MEMORY);
    assert_fails_with(fx_try_put(fx.store, "a/b/c", "new", NULL), ERR_FULL, "a/b/c version 2");
    assert_fails(store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/c", false, 0, NULL), ERR_FULL);
    assert_value("a/b/c", "old");
}

static void test_store_put__read_back_fails(void **state)
{
    fx_put("a/b/c", "old");
    faults("C_FindObjectsInit " DEVICE_ERROR " count=1");
    assert_false(err_ok(fx_try_put(fx.store, "a/b/c", "new", NULL)));
    faults("");
    assert_value("a/b/c", "old");
    assert_int_equal(fx_objects("a/b/c"), 1);
}

/* What was not acknowledged stays on the token: the next version must be above it, or a restart
 * could prefer it to what was acknowledged. */
static void test_store_put__unacknowledged_version_stays_behind(void **state)
{
    fx_put("a/b/c", "old");
    faults("C_FindObjectsInit " DEVICE_ERROR " count=1\n"
           "C_DestroyObject " DEVICE_ERROR AFTER_THE_CEK);
    assert_false(err_ok(fx_try_put(fx.store, "a/b/c", "lost", NULL)));
    faults("");
    assert_int_equal(fx_objects("a/b/c"), 2);
    assert_int_equal(fx_put("a/b/c", "new"), 3);
    fx_restart(fx_config());
    assert_value("a/b/c", "new");
    assert_int_equal(fx_objects("a/b/c"), 1);
}

static struct err sync_manifest(void)
{
    SCOPED_LOCK(&fx.store->work);
    return manifest_sync_locked(fx.store);
}

/* A manifest that may have been stored has its number: another of the same could be passed over for it after a
 * restart, and with it what it says. */
static void test_manifest__an_unacknowledged_one_keeps_its_number(void **state)
{
    fx_put("a/b/one", "1");
    faults("C_FindObjectsInit " DEVICE_ERROR " count=1\n"
           "C_DestroyObject " DEVICE_ERROR AFTER_THE_CEK);
    struct err e = sync_manifest();
    faults("");
    assert_false(err_ok(e));
    assert_int_equal(fx_objects(LABEL_MANIFEST), 1);
    fx_put("a/b/two", "2");
    assert_ok(sync_manifest());
    assert_int_equal(fx.store->manifest.version, 2);
    assert_int_equal(fx_objects(LABEL_MANIFEST), 1);
    fx_restart(fx_config());
    struct manifest_record r;
    assert_true(manifest_find(buf_span(&fx.store->manifest.body), ENVELOPE_RESOURCE, "a/b/two", &r));
}

static void test_store_put__old_version_cannot_be_destroyed(void **state)
{
    fx_put("a/b/c", "old");
    faults("C_DestroyObject " DEVICE_ERROR AFTER_THE_CEK);
    assert_int_equal(fx_put("a/b/c", "new"), 2);
    assert_value("a/b/c", "new");
    faults("");
    assert_int_equal(fx_objects("a/b/c"), 2);
    fx_restart(fx_config());
    assert_value("a/b/c", "new");
    fx_put("a/b/c", "newer");
    assert_int_equal(fx_objects("a/b/c"), 1);
}

/* Oldest first: what is left of the name is as gone as before. */
static void test_store_purge__cut_short(void **state)
{
    struct store_config config = fx_config();
    size_t gone = 0;
    config.keep_versions = 5;
    fx_open_store(config);
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    fx_delete("a/b/c");
    faults("C_DestroyObject " DEVICE_ERROR " after=1");
    struct err e = store_purge(fx.store, ENVELOPE_RESOURCE, "a/b/c", &gone);
    assert_fails_with(e, ERR_TOKEN_DOWN, "1 of 3 versions of resource a/b/c are gone; purge it again");
    faults("");
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    fx_restart(config);
    assert_int_equal(fx_objects("a/b/c"), 2);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    assert_ok(store_purge(fx.store, ENVELOPE_RESOURCE, "a/b/c", &gone));
    assert_int_equal(gone, 2);
}

/* What could not be made under the new key is told, and moved by the next turn. */
static void test_store_rewrap__create_fails(void **state)
{
    struct store_rewrapped done;
    struct p11_kek_info kek;
    fx_put("a/b/c", "one");
    fx_put("d/e/f", "one");
    assert_ok(p11_kek_create(fx.token, true, &kek));
    faults("C_CreateObject " DEVICE_ERROR " count=1");
    struct err e = store_rewrap(fx.store, 8, &done);
    faults("");
    assert_fails_with(e, ERR_TOKEN_DOWN, "moving resource");
    assert_ok(store_rewrap(fx.store, 8, &done));
    assert_int_equal(done.left, 0);
    assert_value("a/b/c", "one");
    assert_value("d/e/f", "one");
}

/* Whoever was told "damaged" might put it again. */
static void test_store_get__a_token_that_fails_is_no_damage(void **state)
{
    fx_put("a/b/c", "value");
    faults("C_UnwrapKey " DEVICE_ERROR "\nC_Decrypt " DEVICE_ERROR);
    struct err e = fx_try_get(fx.store, "a/b/c");
    faults("");
    assert_fails(e, ERR_TOKEN_DOWN);
    assert_int_equal(fx_stats().damaged, 0);
    assert_value("a/b/c", "value");
}

static void test_store_get__rescan_fails(void **state)
{
    struct store_config config = fx_config();
    struct store *other = NULL;
    faults(""); /* skips before there is something to free */
    fx_put("a/b/c", "old");
    assert_ok(store_open(&config, &other));
    assert_ok(fx_try_put(other, "a/b/c", "new", NULL));
    faults("C_FindObjectsInit " DEVICE_ERROR);
    struct err failed = store_refresh(fx.store);
    struct err read = fx_try_get(fx.store, "a/b/c");
    faults("");
    store_close(other);
    assert_false(err_ok(failed));
    assert_false(err_ok(read)); /* "old" is known to be out of date */
    assert_ok(store_refresh(fx.store));
    assert_value("a/b/c", "new");
}

/* ---- readers beside a writer whose token call does not return ----------------------------- */

static atomic_bool writing, written;

static void *put_slowly(void *arg)
{
    writing = true;
    struct err e = fx_try_put(fx.store, "a/b/c", "new", NULL);
    written = true;
    return err_ok(e) ? NULL : (void *) "failed";
}

/* A handle that the token does not know says nothing of a name, and bytes that it does not take nothing of
 * the request. */
static void test_store__failures_of_the_token_are_its_own(void **state)
{
    static const char *const calls[] = {"C_CreateObject", "C_GenerateKey", "C_EncryptInit", "C_WrapKey"};
    fx_put("a/b/c", "old");
    for (size_t i = 0; i < 2 * sizeof calls / sizeof *calls; i++) {
        char rule[64];
        snprintf(rule, sizeof rule, "%s rv=%s", calls[i / 2], i % 2 ? "0x40" : "0x82");
        faults(rule);
        assert_fails(fx_try_put(fx.store, "a/b/c", "new", NULL), i % 2 ? ERR_INTERNAL : ERR_TOKEN_DOWN);
        faults("");
    }
    /* In doubt of what lies there, the next look scans. */
    faults("C_CreateObject rv=0x82");
    assert_fails(fx_try_put(fx.store, "a/b/c", "new", NULL), ERR_TOKEN_DOWN);
    faults("C_FindObjectsInit rv=0x82");
    assert_fails(fx_try_get(fx.store, "x/y/z"), ERR_TOKEN_DOWN);
    faults("");
    assert_ok(store_refresh(fx.store));
    assert_value("a/b/c", "old");
    assert_fails(fx_try_get(fx.store, "x/y/z"), ERR_NOTFOUND);
}

static void test_store_get__does_not_wait_for_a_writer(void **state)
{
    pthread_t writer;
    void *result = NULL;
    fx_put("a/b/c", "old");
    writing = written = false;
    faults("C_CreateObject hang");
    softhsm_fault_clear_log(&fx.hsm);
    assert_int_equal(pthread_create(&writer, NULL, put_slowly, NULL), 0);
    uint64_t end = clock_mono_ns() + 20 * CLOCK_SECOND_NS;
    while (!softhsm_fault_count(&fx.hsm, "C_CreateObject") && clock_mono_ns() < end) {}
    /* Longer than the interval, so that looking at the epoch object happens too. */
    end = clock_mono_ns() + 3 * STORE_EPOCH_MS * (CLOCK_SECOND_NS / 1000);
    unsigned reads = 0;
    bool all_old = true;
    while (clock_mono_ns() < end) {
        all_old = all_old && err_ok(fx_try_get(fx.store, "a/b/c")) &&
                  span_eq_str(secret_span(fx.value), "old");
        reads++;
    }
    bool miss = fx_try_get(fx.store, "x/y/z").code == ERR_NOTFOUND;
    bool returned = written;
    faults("");
    pthread_join(writer, &result);
    assert_true(writing);
    assert_false(returned);
    assert_true(all_old && miss);
    assert_true(reads > 10);
    assert_null(result);
    assert_value("a/b/c", "new");
}

/* tokens.md 2.2: find gives 0 objects and CKR_OK when SoftHSM's directory is gone. Last test: the
 * module does not recover from it. */
static void test_refresh__token_directory_vanishes(void **state)
{
    char away[320];
    fx_put("a/b/c", "value");
    snprintf(away, sizeof away, "%s.away", fx.hsm.tokens);
    assert_int_equal(rename(fx.hsm.tokens, away), 0);
    struct err miss = fx_try_get(fx.store, "x/y/z");
    struct err hit = fx_try_get(fx.store, "a/b/c");
    assert_int_equal(rename(away, fx.hsm.tokens), 0);
    if (miss.code != ERR_TOKEN_DOWN) fail_msg("a miss gave %s", err_class_name(miss.code));
    if (hit.code != ERR_TOKEN_DOWN) fail_msg("a hit gave %s", err_class_name(hit.code));
    fx_restart(fx_config());
    assert_value("a/b/c", "value");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_store_open__reader_writes_nothing),
        TEST(test_store_open__defaults),
        TEST(test_store_close__null),
        TEST(test_store_put__create_fails),
        TEST(test_store_put__token_is_full),
        TEST(test_store_put__read_back_fails),
        TEST(test_store_put__unacknowledged_version_stays_behind),
        TEST(test_manifest__an_unacknowledged_one_keeps_its_number),
        TEST(test_store_put__old_version_cannot_be_destroyed),
        TEST(test_store_purge__cut_short),
        TEST(test_store_rewrap__create_fails),
        TEST(test_store_get__a_token_that_fails_is_no_damage),
        TEST(test_store_get__rescan_fails),
        TEST(test_store__failures_of_the_token_are_its_own),
        TEST(test_store_get__does_not_wait_for_a_writer),
        TEST(test_refresh__token_directory_vanishes),
    };
    return cmocka_run_group_tests(tests, setup_group, teardown_token);
}
