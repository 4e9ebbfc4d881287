/* A pass over all objects: what it finds, what it says, what it leaves alone. */
#include "tests/unit/store/fixture.h"

static struct buf bytes;
static struct findings found;
static unsigned told;

static void count_told(void *arg, const struct finding *f)
{
    told++;
}

static int setup(void **state)
{
    buf_reset(&bytes);
    findings_free(&found);
    told = 0;
    setup_store(state);
    scrub_tell(fx.store, count_told, NULL);
    return 0;
}

static int teardown(void **state)
{
    buf_free(&bytes);
    findings_free(&found);
    return teardown_token(state);
}

static err_t collect(void *arg, const struct finding *f)
{
    findings_add(arg, f);
    return ERR_OK;
}

static size_t pass(void)
{
    uint64_t passes = 0;
    findings_free(&found);
    assert_ok(scrub_now(fx.store, &passes));
    assert_ok(scrub_findings(fx.store, collect, &found));
    return found.n;
}

static void assert_found(enum fault fault, const char *label, uint64_t version)
{
    struct finding f = {.fault = fault, .label = label, .version = version};
    if (!findings_hold(&found, &f))
        fail_msg("%s %s version %u was not found", fault_name(fault), label, (unsigned) version);
}

static struct scrub_stats stats(void)
{
    struct scrub_stats x;
    scrub_stats(fx.store, &x);
    return x;
}

static void test_scrub__opens_every_object(void **state)
{
    char name[16];
    struct store_config config = fx_config();
    config.keep_versions = 3;
    fx_open_store(config);
    for (unsigned i = 0; i < 150; i++) {
        snprintf(name, sizeof name, "a/b/%u", i);
        fx_put(name, name);
    }
    fx_put("a/b/0", "again");
    fx_delete("a/b/1");
    size_t used = secret_used();
    assert_int_equal(pass(), 0);
    assert_int_equal(stats().objects, 152);
    assert_int_equal(stats().checked, 152);
    assert_int_equal(stats().passes, 1);
    assert_true(stats().finished > 0);
    assert_int_equal(pass(), 0);
    assert_int_equal(stats().checked, 304);
    assert_int_equal(stats().objects, 152);
    assert_int_equal(secret_used(), used); /* what came out is gone */
}

/* A changed byte anywhere in the payload, under a name of the store's. */
static void place_damaged(const char *name, uint64_t version)
{
    fx_seal(fx.token, name, version, "value", &bytes);
    bytes.data[bytes.len - 1] ^= 1;
    fx_place(name, buf_span(&bytes));
}

static void test_scrub__damaged_ones_by_name_and_once(void **state)
{
    fx_put("a/b/c", "one");
    place_damaged("a/b/c", 2);
    place_damaged("x/y/z", 7);
    assert_int_equal(pass(), 2);
    assert_found(FAULT_DAMAGED, "a/b/c", 2);
    assert_found(FAULT_DAMAGED, "x/y/z", 7);
    assert_int_equal(told, 2);
    assert_int_equal(fx_stats().damaged, 2); /* lists and gauges know it too */
    assert_int_equal(pass(), 2);
    assert_int_equal(told, 2);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    assert_int_equal(fx_objects("a/b/c"), 2); /* nothing is touched */
    fx_put("a/b/c", "healed");
    fx_put("x/y/z", "healed");
    assert_int_equal(pass(), 0);
    assert_int_equal(fx_stats().damaged, 0);
}

static void test_scrub__the_cache_hides_nothing(void **state)
{
    fx_put("a/b/c", "one");
    assert_value("a/b/c", "one");
    struct p11_object o[2];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, "a/b/c", o, 2, &n));
    assert_ok(p11_object_destroy(fx.token, o[0]));
    place_damaged("a/b/c", 1);
    assert_int_equal(pass(), 1);
    assert_found(FAULT_DAMAGED, "a/b/c", 1);
}

static void test_scrub__what_is_no_version(void **state)
{
    fx_put("a/b/c", "one");
    fx_seal(fx.token, "p/q/r", 1, "value", &bytes);
    fx_place("x/y/z", buf_span(&bytes));
    fx_place("torn/y/z", span_of(bytes.data, bytes.len - 1));
    fx_place("some label", SPAN_LIT("x"));
    fx_place("future/y/z", SPAN_LIT("SRE1\x02 of the future"));
    assert_int_equal(pass(), 4);
    assert_found(FAULT_MISPLACED, "x/y/z", 0);
    assert_found(FAULT_TORN, "torn/y/z", 0);
    assert_found(FAULT_FOREIGN, "some label", 0);
    assert_found(FAULT_DAMAGED, "future/y/z", 0);
    assert_int_equal(stats().found[FAULT_MISPLACED], 1);
    assert_int_equal(stats().found[FAULT_FOREIGN], 1);
}

static void take_away(const char *label)
{
    struct p11_object o[2];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, label, o, 2, &n));
    assert_int_equal(n, 1);
    buf_reset(&bytes);
    assert_ok(p11_object_read(fx.token, o[0], &bytes));
    assert_ok(p11_object_destroy(fx.token, o[0]));
}

static void test_scrub__what_the_manifest_misses(void **state)
{
    fx_put("a/b/c", "one");
    manifest_flush(fx.store);
    take_away("a/b/c");
    assert_int_equal(pass(), 1);
    assert_found(FAULT_MISSING, "a/b/c", 1);
    assert_int_equal(told, 1);
    size_t forgotten = 0;
    assert_ok(scrub_accept(fx.store, &forgotten));
    assert_int_equal(stats().found[FAULT_MISSING], 0);
    assert_int_equal(pass(), 0);
}

static unsigned rests;

static bool put_back(struct store *s, uint64_t ns)
{
    fx_place("a/b/c", buf_span(&bytes));
    return true;
}

/* Another broker's write that a scan fell into: it is looked at twice before anybody is told. */
static void test_scrub__what_is_missed_for_a_moment_only(void **state)
{
    const struct scrub_walk walk = {.s = fx.store, .rest = put_back};
    fx_put("a/b/c", "one");
    manifest_flush(fx.store);
    take_away("a/b/c");
    fx.store->doubt = true;
    assert_ok(scrub_compare(&walk));
    assert_int_equal(stats().found[FAULT_MISSING], 0);
    assert_int_equal(told, 0);
}

static bool take_all(struct store *s, uint64_t ns)
{
    if (rests++ > 0) return true;
    take_away("a/b/c");
    take_away("x/y/z");
    return true;
}

/* What goes while a pass is under way, without a word of who took it, is missed at once. */
static void test_scrub__what_goes_during_a_pass(void **state)
{
    const struct scrub_walk walk = {.s = fx.store, .rest = take_all};
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "one");
    manifest_flush(fx.store);
    rests = 0;
    assert_ok(scrub_pass(&walk));
    assert_ok(scrub_compare(&walk));
    assert_int_equal(stats().found[FAULT_MISSING], 2);
}

static bool recover_once(struct store *s, uint64_t ns)
{
    if (rests++ == 0) assert_ok(p11_recover(s->config.token));
    return true;
}

/* Handles end with the opening in which they were given: what they led to is not gone. */
static void test_scrub__a_token_that_is_opened_again_hides_nothing(void **state)
{
    const struct scrub_walk walk = {.s = fx.store, .rest = recover_once};
    char name[16];
    rests = 0;
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "a/b/%u", i);
        place_damaged(name, 1);
    }
    assert_ok(scrub_pass(&walk));
    assert_int_equal(stats().found[FAULT_DAMAGED], 10);
    assert_int_equal(stats().objects, 10);
}

static bool go_on(struct store *s, uint64_t ns)
{
    return true;
}

/* A pass that could not open everything does not say that all is well. */
static void test_scrub__what_was_not_opened_is_not_sound(void **state)
{
    const struct scrub_walk walk = {.s = fx.store, .rest = go_on};
    struct secret *taken[256];
    size_t n = 0;
    fx_put("a/b/c", "one");
    place_damaged("x/y/z", 1);
    for (size_t len = secret_budget(); len; len /= 2) /* all that there is */
        while (n < 256 && err_ok(secret_new(len, &taken[n]))) n++;
    struct err e = scrub_pass(&walk);
    while (n) secret_free(taken[--n]);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_int_equal(stats().failed, ERR_LIMIT);
    assert_int_equal(stats().finished, 0);
    assert_ok(scrub_pass(&walk));
    assert_int_equal(stats().failed, ERR_NONE);
    assert_int_equal(stats().found[FAULT_DAMAGED], 1);
}

static void test_scrub__more_are_missing_than_are_named(void **state)
{
    const struct scrub_walk walk = {.s = fx.store, .rest = go_on};
    struct manifest_record r = {.kind = ENVELOPE_RESOURCE, .version = 1};
    struct manifest_writer w;
    manifest_open(&w, &fx.store->manifest.body);
    for (unsigned i = 0; i < STORE_FINDINGS_MAX + 50; i++) {
        snprintf(r.name, sizeof r.name, "a/b/%06u", i);
        assert_true(manifest_put(&w, &r));
    }
    assert_ok(manifest_close(&w));
    for (int i = 0; i < 2; i++) {
        assert_ok(scrub_compare(&walk));
        assert_int_equal(stats().found[FAULT_MISSING], STORE_FINDINGS_MAX + 50);
        assert_int_equal(told, STORE_FINDINGS_MAX);
    }
}

static void test_scrub__leaves_the_cache_of_content_keys_alone(void **state)
{
    if (!softhsm_fault_module()) skip();
    struct p11_config config = {.module = softhsm_fault_module(), .token_uri = fx.hsm.uri,
                                .pin_source = fx.hsm.pin_file, .state_dir = fx.hsm.state, .cek_cache = 1};
    assert_int_equal(softhsm_fault(&fx.hsm, ""), 0);
    store_close(TAKE_PTR(fx.store));
    p11_close(TAKE_PTR(fx.token));
    assert_ok(p11_open(&config, &fx.token));
    fx_open_store(fx_config());
    fx_put("a/b/c", "hot");
    fx_put("x/y/z", "cold");
    assert_value("a/b/c", "hot");
    assert_int_equal(pass(), 0);
    softhsm_fault_clear_log(&fx.hsm);
    assert_value("a/b/c", "hot");
    assert_int_equal(softhsm_fault_count(&fx.hsm, "C_UnwrapKey"), 0);
}

static void test_scrub__a_token_that_fails_is_no_finding(void **state)
{
    if (!softhsm_fault_module()) skip();
    uint64_t passes = 0;
    fx_put("a/b/c", "one");
    assert_int_equal(softhsm_fault(&fx.hsm, "C_UnwrapKey rv=0x30\n"), 0);
    struct err e = scrub_now(fx.store, &passes);
    assert_int_equal(softhsm_fault(&fx.hsm, ""), 0);
    assert_int_equal(e.code, ERR_TOKEN_DOWN);
    assert_int_equal(stats().failed, ERR_TOKEN_DOWN);
    assert_int_equal(stats().found[FAULT_DAMAGED], 0);
    assert_int_equal(pass(), 0);
    assert_int_equal(stats().failed, ERR_NONE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_scrub__opens_every_object),
        TEST(test_scrub__damaged_ones_by_name_and_once),
        TEST(test_scrub__the_cache_hides_nothing),
        TEST(test_scrub__what_is_no_version),
        TEST(test_scrub__what_the_manifest_misses),
        TEST(test_scrub__what_is_missed_for_a_moment_only),
        TEST(test_scrub__what_goes_during_a_pass),
        TEST(test_scrub__a_token_that_is_opened_again_hides_nothing),
        TEST(test_scrub__what_was_not_opened_is_not_sound),
        TEST(test_scrub__more_are_missing_than_are_named),
        TEST(test_scrub__leaves_the_cache_of_content_keys_alone), /* from here on through the fault module */
        TEST(test_scrub__a_token_that_fails_is_no_finding),
    };
    return cmocka_run_group_tests(tests, setup_token, teardown);
}
