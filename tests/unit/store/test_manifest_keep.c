/* What was taken away behind our back is seen, what we did ourselves never is. A "kill" is a store
 * that is left without its end: nothing of what it still had to write is written. */
#include "tests/unit/store/fixture.h"

#include "broker/base/file.h"

#include <unistd.h>

static struct findings found;
static struct buf bytes, older;

static struct store_config config(void)
{
    struct store_config c = fx_config();
    c.state_dir = fx.hsm.state;
    return c;
}

static void forget_note(void)
{
    char name[64], path[400];
    snprintf(name, sizeof name, "manifest-%s", p11_serial(fx.token));
    snprintf(path, sizeof path, "%s/%s", fx.hsm.state, name);
    unlink(path);
}

static int setup(void **state)
{
    findings_free(&found);
    buf_reset(&bytes);
    buf_reset(&older);
    setup_store(state);
    forget_note();
    fx_open_store(config());
    return 0;
}

static int teardown(void **state)
{
    findings_free(&found);
    buf_free(&bytes);
    buf_free(&older);
    return teardown_token(state);
}

static void sync_now(void)
{
    SCOPED_LOCK(&fx.store->work);
    assert_ok(manifest_sync_locked(fx.store));
}

/* Closes without a last manifest, and opens again. */
static void kill_and_restart(void)
{
    fx.store->manifest.dirty = false;
    fx_restart(config());
}

static void collect(void *arg, const struct finding *f)
{
    findings_add(arg, f);
}

static size_t compare(void)
{
    findings_free(&found);
    SCOPED_LOCK(&fx.store->work);
    assert_ok(refresh_locked(fx.store));
    manifest_compare_locked(fx.store, collect, &found);
    return found.n;
}

static void assert_found(enum fault fault, const char *label, uint64_t version)
{
    struct finding f = {.fault = fault, .label = label, .version = version};
    if (!findings_hold(&found, &f))
        fail_msg("%s %s version %u was not found", fault_name(fault), label, (unsigned) version);
}

/* Behind the store's back: the object goes, or is copied, without a word to the epoch object. */
static void take_away(const char *label, struct buf *ret)
{
    struct p11_object o[4];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, label, o, 4, &n));
    assert_int_equal(n, 1);
    if (ret) assert_ok(p11_object_read(fx.token, o[0], ret));
    assert_ok(p11_object_destroy(fx.token, o[0]));
}

static void copy_of(const char *label, struct buf *ret)
{
    struct p11_object o[4];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, label, o, 4, &n));
    assert_int_equal(n, 1);
    assert_ok(p11_object_read(fx.token, o[0], ret));
}

/* ---- no false alarm ---------------------------------------------------------------------- */

static void test_manifest__nothing_on_an_empty_token(void **state)
{
    sync_now();
    assert_int_equal(fx_objects(LABEL_MANIFEST), 0);
    assert_int_equal(compare(), 0);
}

static void test_manifest__written_at_the_end_and_when_it_differs(void **state)
{
    fx_put("a/b/c", "one");
    fx_restart(config());
    assert_int_equal(fx_objects(LABEL_MANIFEST), 1);
    assert_int_equal(fx.store->manifest.version, 1);
    sync_now();
    assert_int_equal(fx.store->manifest.version, 1);
    fx_put("a/b/c", "two");
    sync_now();
    assert_int_equal(fx.store->manifest.version, 2);
    assert_int_equal(fx_objects(LABEL_MANIFEST), 1);
    assert_int_equal(fx.store->manifest.note.known, 2);
}

static void test_manifest__kills_look_like_nothing(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "one");
    sync_now();
    fx_put("a/b/c", "two");
    fx_put("new/b/c", "one");
    fx_delete("x/y/z");
    kill_and_restart();
    assert_int_equal(compare(), 0);
    sync_now();
    assert_int_equal(compare(), 0);
}

static size_t purge(const char *name)
{
    size_t gone = 0;
    assert_ok(store_purge(fx.store, ENVELOPE_RESOURCE, name, &gone));
    return gone;
}

static void test_manifest__a_purge_and_a_kill(void **state)
{
    fx_put("a/b/c", "one");
    sync_now();
    fx_delete("a/b/c"); /* the manifest still has a value in use */
    purge("a/b/c");
    kill_and_restart();
    assert_int_equal(compare(), 0);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
}

static void test_manifest__a_name_anew_after_a_purge(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    fx_delete("a/b/c");
    sync_now();
    purge("a/b/c");
    assert_int_equal(compare(), 0);
    assert_int_equal(fx_put("a/b/c", "anew"), 1);
    kill_and_restart();
    assert_int_equal(compare(), 0);
    assert_value("a/b/c", "anew");
}

/* That it was purged once is over. */
static void test_manifest__a_name_anew_is_missed_like_others(void **state)
{
    fx_put("a/b/c", "one");
    fx_delete("a/b/c");
    sync_now();
    purge("a/b/c");
    fx_put("a/b/c", "anew");
    sync_now();
    take_away("a/b/c", NULL);
    {
        SCOPED_LOCK(&fx.store->work);
        assert_ok(rescan_locked(fx.store));
    }
    assert_int_equal(compare(), 1);
    assert_found(FAULT_MISSING, "a/b/c", 1);
}

/* Killed between purge and manifest: nobody knows any more that it was a purge, so numbers go on. */
static void test_manifest__a_name_anew_after_a_purge_and_a_kill(void **state)
{
    fx_put("a/b/c", "one");
    fx_delete("a/b/c");
    sync_now();
    purge("a/b/c");
    kill_and_restart();
    assert_int_equal(fx_put("a/b/c", "anew"), 3);
    kill_and_restart();
    assert_int_equal(compare(), 0);
}

/* The manifest knows the name from an earlier life of it. */
static void test_manifest__a_purge_and_a_kill_give_no_number_twice(void **state)
{
    fx_put("a/b/c", "one");
    fx_delete("a/b/c");
    sync_now();
    assert_int_equal(fx_put("a/b/c", "three"), 3);
    fx_delete("a/b/c");
    purge("a/b/c");
    kill_and_restart();
    assert_int_equal(fx_put("a/b/c", "anew"), 5);
}

static void test_manifest__what_expired_is_not_missed(void **state)
{
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("x"),
                            .not_after = 2000};
    clock_test_set(1500);
    assert_ok(store_put(fx.store, &put, NULL));
    sync_now();
    take_away("a/b/c", NULL);
    kill_and_restart();
    assert_int_equal(compare(), 1);
    clock_test_set(2001);
    assert_int_equal(compare(), 0);
}

static void test_manifest__a_kill_between_object_and_note(void **state)
{
    struct manifest_note note;
    fx_put("a/b/c", "one");
    sync_now();
    note = fx.store->manifest.note;
    copy_of(LABEL_MANIFEST, &older);
    fx_put("a/b/c", "two");
    sync_now();
    fx_place(LABEL_MANIFEST, buf_span(&older)); /* not yet removed */
    assert_ok(manifest_note_write(fx.store->manifest.note_path, &note));
    kill_and_restart();
    assert_int_equal(compare(), 0);
    assert_int_equal(fx.store->manifest.version, 2);
    assert_int_equal(fx.store->manifest.note.known, 2);
    fx_put("a/b/c", "three");
    sync_now();
    assert_int_equal(fx_objects(LABEL_MANIFEST), 1);
}

static void test_manifest__torn_ones_are_passed_over(void **state)
{
    fx_put("a/b/c", "one");
    sync_now();
    copy_of(LABEL_MANIFEST, &older);
    fx_place(LABEL_MANIFEST, span_of(older.data, older.len / 2));
    kill_and_restart();
    assert_int_equal(compare(), 0);
    assert_int_equal(fx.store->manifest.version, 1);
}

/* Sealed by us, and yet it is none: of a newer program, say. */
static void test_manifest__one_that_opens_to_something_else(void **state)
{
    struct envelope_meta meta = {.kind = ENVELOPE_MANIFEST, .version = 2, .created = clock_now(),
                                 .name = SPAN_LIT("manifest")};
    fx_put("a/b/c", "one");
    sync_now();
    buf_reset(&bytes);
    assert_ok(p11_seal(fx.token, &meta, SPAN_LIT("\x07 of the future"), &bytes));
    fx_place(LABEL_MANIFEST, buf_span(&bytes));
    kill_and_restart();
    assert_int_equal(compare(), 1);
    assert_found(FAULT_MISSING, LABEL_MANIFEST, 1);
}

/* ---- what somebody did ------------------------------------------------------------------- */

static void test_manifest__a_removed_name_is_missing_until_it_is_put(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    fx_put("x/y/z", "one");
    sync_now();
    take_away("a/b/c", NULL);
    kill_and_restart();
    assert_int_equal(compare(), 1);
    assert_found(FAULT_MISSING, "a/b/c", 2);
    fx_put("x/y/z", "two"); /* later manifests do not forget it */
    fx_put("a/a/new", "one"); /* though a new name stands before it */
    sync_now();
    kill_and_restart();
    assert_int_equal(compare(), 1);
    assert_int_equal(fx_put("a/b/c", "healed"), 3);
    assert_int_equal(compare(), 0);
}

static void test_manifest__an_older_copy_is_seen(void **state)
{
    fx_put("a/b/c", "one");
    copy_of("a/b/c", &older);
    fx_put("a/b/c", "two");
    sync_now();
    take_away("a/b/c", NULL);
    fx_place("a/b/c", buf_span(&older));
    kill_and_restart();
    assert_int_equal(compare(), 1);
    assert_found(FAULT_ROLLED_BACK, "a/b/c", 2);
    fx_put("x/y/z", "one"); /* later manifests do not take the older one for the newest */
    sync_now();
    kill_and_restart();
    assert_int_equal(compare(), 1);
    assert_found(FAULT_ROLLED_BACK, "a/b/c", 2);
    assert_value("a/b/c", "one"); /* the highest that is there decides */
    assert_int_equal(fx_put("a/b/c", "healed"), 3);
    assert_int_equal(compare(), 0);
}

static void test_manifest__a_deleted_value_that_comes_back(void **state)
{
    fx_put("a/b/c", "one");
    copy_of("a/b/c", &older);
    fx_delete("a/b/c");
    sync_now();
    take_away("a/b/c", NULL);
    kill_and_restart();
    assert_int_equal(compare(), 0); /* a tombstone that is gone does no harm */
    sync_now();
    fx_place("a/b/c", buf_span(&older));
    kill_and_restart();
    assert_int_equal(compare(), 1);
    assert_found(FAULT_ROLLED_BACK, "a/b/c", 2);
}

static void test_manifest__unreadable_is_damaged_not_rolled_back(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("a/b/c", "two");
    sync_now();
    take_away("a/b/c", NULL);
    fx_place("a/b/c", SPAN_LIT("SRE1\x02 of the future"));
    kill_and_restart();
    assert_int_equal(compare(), 0);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
}

static void test_manifest__the_whole_token_taken_back(void **state)
{
    fx_put("a/b/c", "one");
    sync_now();
    copy_of("a/b/c", &bytes);
    copy_of(LABEL_MANIFEST, &older);
    fx_put("a/b/c", "two");
    sync_now();
    take_away("a/b/c", NULL);
    take_away(LABEL_MANIFEST, NULL);
    fx_place("a/b/c", buf_span(&bytes));
    fx_place(LABEL_MANIFEST, buf_span(&older));
    kill_and_restart();
    assert_int_equal(compare(), 1);
    assert_found(FAULT_ROLLED_BACK, LABEL_MANIFEST, 2);
    fx_put("x/y/z", "later");
    sync_now();
    assert_int_equal(fx.store->manifest.version, 3);
    kill_and_restart();
    assert_int_equal(compare(), 1); /* and stays known */
    size_t forgotten = 0;
    assert_ok(scrub_accept(fx.store, &forgotten));
    assert_int_equal(forgotten, 1);
    assert_int_equal(compare(), 0);
    kill_and_restart();
    assert_int_equal(compare(), 0);
}

/* What another host remembers, a reader's, no writer can accept. */
static void test_manifest_accept__a_reader_forgets_what_its_host_remembers(void **state)
{
    struct store_config reader = config();
    size_t forgotten = 0;
    fx_put("a/b/c", "one");
    sync_now();
    copy_of(LABEL_MANIFEST, &older);
    fx_put("x/y/z", "two");
    sync_now();
    take_away(LABEL_MANIFEST, NULL);
    fx_place(LABEL_MANIFEST, buf_span(&older));
    fx.store->manifest.dirty = false;
    reader.writable = false;
    fx_restart(reader);
    assert_int_equal(compare(), 1);
    assert_ok(scrub_accept(fx.store, &forgotten));
    assert_int_equal(forgotten, 1);
    assert_int_equal(compare(), 0);
    fx_restart(reader);
    assert_int_equal(compare(), 0);
    assert_fails(scrub_accept(fx.store, &forgotten), ERR_READONLY); /* all else is the writer's */
}

static void test_manifest__removed_or_damaged(void **state)
{
    for (int damage = 0; damage < 2; damage++) {
        setup(state);
        fx_put("a/b/c", "one");
        sync_now();
        buf_reset(&older);
        take_away(LABEL_MANIFEST, &older);
        older.data[older.len - 1] ^= 1;
        if (damage) fx_place(LABEL_MANIFEST, buf_span(&older));
        kill_and_restart();
        assert_int_equal(compare(), 1);
        assert_found(FAULT_MISSING, LABEL_MANIFEST, 1);
        sync_now(); /* it goes on with what is there */
        assert_int_equal(fx_objects(LABEL_MANIFEST), 1);
        kill_and_restart();
        assert_int_equal(compare(), 1);
    }
}

static void test_manifest__removed_while_we_run(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "one");
    sync_now();
    take_away(LABEL_MANIFEST, NULL);
    take_away("a/b/c", NULL);
    {
        SCOPED_LOCK(&fx.store->work);
        assert_ok(rescan_locked(fx.store));
    }
    assert_int_equal(compare(), 2); /* what we knew is not forgotten for it */
    assert_found(FAULT_MISSING, "a/b/c", 1);
    assert_found(FAULT_MISSING, LABEL_MANIFEST, 1);
}

static void test_manifest_accept__what_is_there_is_right(void **state)
{
    size_t forgotten = 0;
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "one");
    sync_now();
    take_away("a/b/c", NULL);
    assert_ok(scrub_accept(fx.store, &forgotten));
    assert_int_equal(forgotten, 1);
    assert_int_equal(compare(), 0);
    kill_and_restart();
    assert_int_equal(compare(), 0);
    assert_int_equal(fx_put("a/b/c", "anew"), 1);
}

/* ---- others ------------------------------------------------------------------------------ */

static void test_manifest__a_reader_compares_and_writes_nothing(void **state)
{
    fx_put("a/b/c", "one");
    sync_now();
    take_away("a/b/c", NULL);
    fx.store->manifest.dirty = false;
    struct store_config c = config();
    c.writable = false;
    fx_restart(c);
    assert_int_equal(compare(), 1);
    assert_false(manifest_due(fx.store));
    {
        SCOPED_LOCK(&fx.store->work);
        assert_fails(manifest_sync_locked(fx.store), ERR_READONLY);
    }
    assert_int_equal(fx_objects(LABEL_MANIFEST), 1);
}

/* Whoever does not know what the token's manifest says would write one that has forgotten what was removed. */
static void test_manifest__one_that_could_not_be_read_is_not_written_over(void **state)
{
    size_t forgotten = 0;
    struct p11_config through = {.module = softhsm_fault_module(), .token_uri = fx.hsm.uri,
                                 .pin_source = fx.hsm.pin_file, .state_dir = fx.hsm.state};
    if (!through.module) skip();
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "one");
    sync_now();
    take_away("a/b/c", NULL);
    store_close(TAKE_PTR(fx.store));
    p11_close(TAKE_PTR(fx.token));
    assert_int_equal(softhsm_fault(&fx.hsm, ""), 0);
    assert_ok(p11_open(&through, &fx.token));
    assert_int_equal(softhsm_fault(&fx.hsm, "C_Decrypt rv=0x31"), 0); /* CKR_DEVICE_MEMORY */
    fx_open_store(config());
    {
        SCOPED_LOCK(&fx.store->work);
        assert_fails_with(manifest_sync_locked(fx.store), ERR_TOKEN_DOWN, "could not be read yet");
        assert_fails_with(manifest_accept_locked(fx.store, &forgotten), ERR_TOKEN_DOWN, "could not be read yet");
    }
    assert_int_equal(softhsm_fault(&fx.hsm, ""), 0);
    assert_int_equal(compare(), 1); /* the next look reads it */
    kill_and_restart();
    assert_int_equal(compare(), 1);
    assert_found(FAULT_MISSING, "a/b/c", 1);
}

static void test_manifest__due_after_a_change(void **state)
{
    fx_put("a/b/c", "one");
    assert_true(manifest_due(fx.store));
    manifest_flush(fx.store);
    assert_int_equal(fx.store->manifest.version, 1);
    assert_false(manifest_due(fx.store));
    fx_put("a/b/c", "two");
    assert_false(manifest_due(fx.store)); /* not so soon after the last */
    fx.store->manifest.next = 0;
    assert_true(manifest_due(fx.store));
    fx_delete("a/b/c");
    manifest_flush(fx.store);
    fx.store->manifest.next = 0;
    assert_false(manifest_due(fx.store));
    size_t gone = 0;
    assert_ok(store_purge(fx.store, ENVELOPE_RESOURCE, "a/b/c", &gone));
    assert_true(manifest_due(fx.store));
}

static void test_manifest__failed_ones_are_tried_less_and_less_often(void **state)
{
    static const unsigned seconds[] = {MANIFEST_RETRY_SECONDS, 2 * MANIFEST_RETRY_SECONDS, 4 * MANIFEST_RETRY_SECONDS};
    struct manifest_state *m = &fx.store->manifest;
    fx_put("a/b/c", "one");
    fx.store->config.writable = false; /* which fails as well as any other cause */
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        uint64_t begun = clock_mono_ns();
        manifest_flush(fx.store);
        assert_true(m->next >= begun + seconds[i] * CLOCK_SECOND_NS);
        assert_true(m->next <= clock_mono_ns() + seconds[i] * CLOCK_SECOND_NS);
    }
    m->retry = MANIFEST_RETRY_MAX_SECONDS - 1;
    manifest_flush(fx.store);
    assert_true(m->next <= clock_mono_ns() + MANIFEST_RETRY_MAX_SECONDS * CLOCK_SECOND_NS);
    fx.store->config.writable = true;
    manifest_flush(fx.store);
    assert_int_equal(m->version, 1);
    fx_put("a/b/c", "two");
    fx.store->config.writable = false;
    manifest_flush(fx.store); /* the first failure again */
    assert_true(m->next <= clock_mono_ns() + MANIFEST_RETRY_SECONDS * CLOCK_SECOND_NS);
    fx.store->config.writable = true;
}

/* Last: it makes a KEK and removes the first. */
static void test_manifest__moves_to_the_active_key(void **state)
{
    struct p11_kek_info kek;
    struct store_rewrapped done;
    fx_put("a/b/c", "one");
    sync_now();
    assert_ok(p11_kek_create(fx.token, true, &kek));
    assert_ok(store_rewrap(fx.store, 8, &done));
    assert_int_equal(done.moved, 1);
    assert_ok(store_drop_key(fx.store, kek.generation - 1));
    uint64_t version = fx.store->manifest.version;
    for (int i = 0; i < 2; i++) sync_now();
    assert_int_equal(fx.store->manifest.version, version); /* it is moved once */
    kill_and_restart();
    assert_int_equal(fx.store->manifest.generation, kek.generation);
    assert_int_equal(compare(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_manifest__nothing_on_an_empty_token),
        TEST(test_manifest__written_at_the_end_and_when_it_differs),
        TEST(test_manifest__kills_look_like_nothing),
        TEST(test_manifest__a_purge_and_a_kill),
        TEST(test_manifest__a_name_anew_after_a_purge),
        TEST(test_manifest__a_name_anew_is_missed_like_others),
        TEST(test_manifest__a_name_anew_after_a_purge_and_a_kill),
        TEST(test_manifest__a_purge_and_a_kill_give_no_number_twice),
        TEST(test_manifest__what_expired_is_not_missed),
        TEST(test_manifest__a_kill_between_object_and_note),
        TEST(test_manifest__torn_ones_are_passed_over),
        TEST(test_manifest__one_that_opens_to_something_else),
        TEST(test_manifest__a_removed_name_is_missing_until_it_is_put),
        TEST(test_manifest__an_older_copy_is_seen),
        TEST(test_manifest__a_deleted_value_that_comes_back),
        TEST(test_manifest__unreadable_is_damaged_not_rolled_back),
        TEST(test_manifest__the_whole_token_taken_back),
        TEST(test_manifest__removed_or_damaged),
        TEST(test_manifest__removed_while_we_run),
        TEST(test_manifest_accept__what_is_there_is_right),
        TEST(test_manifest_accept__a_reader_forgets_what_its_host_remembers),
        TEST(test_manifest__a_reader_compares_and_writes_nothing),
        TEST(test_manifest__one_that_could_not_be_read_is_not_written_over),
        TEST(test_manifest__due_after_a_change),
        TEST(test_manifest__failed_ones_are_tried_less_and_less_often),
        TEST(test_manifest__moves_to_the_active_key),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown);
}
