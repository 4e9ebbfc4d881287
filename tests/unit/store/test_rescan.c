/* Reading the news: what a rescan takes from the present catalog, and when it reads every object all the same.
 * A second store on the same token stands for another broker. */
#include "tests/unit/store/fixture.h"

static struct store *other;

static void faults(const char *rules)
{
    assert_int_equal(softhsm_fault(&fx.hsm, rules), 0);
}

/* Through the module that counts calls, where there is one. */
static void open_token(struct p11 **ret)
{
    const char *counting = softhsm_fault_module();
    struct p11_config config = {.module = counting ? counting : fx.hsm.module, .token_uri = fx.hsm.uri,
                                .pin_source = fx.hsm.pin_file, .state_dir = fx.hsm.state, .cek_cache = 64};
    assert_ok(p11_open(&config, ret));
}

static int begin(void **state)
{
    int rc = setup_token(state);
    if (rc) return rc;
    faults("");
    p11_close(TAKE_PTR(fx.token));
    open_token(&fx.token);
    return 0;
}

static int end(void **state)
{
    store_close(TAKE_PTR(other));
    return teardown_token(state);
}

static int setup(void **state)
{
    store_close(TAKE_PTR(other));
    int rc = setup_store(state);
    struct store_config config = fx_config();
    assert_ok(store_open(&config, &other));
    return rc;
}

static void put_many(unsigned n)
{
    char name[32];
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof name, "many/of/%u", i);
        fx_put(name, name);
    }
}

static void theirs(const char *name, const char *value)
{
    assert_ok(fx_try_put(other, name, value, NULL));
}

/* ---- what is asked of the token ------------------------------------------------------------ */

/* Readings of attributes by a rescan after another broker has put a new name; each object read is one. */
static int readings(void)
{
    static unsigned turn;
    char name[32];
    snprintf(name, sizeof name, "new/name/%u", turn++);
    theirs(name, "theirs");
    uint64_t before = fx_stats().rescans;
    softhsm_fault_clear_log(&fx.hsm);
    assert_ok(store_refresh(fx.store));
    int n = softhsm_fault_count(&fx.hsm, "C_GetAttributeValue");
    assert_int_equal(fx_stats().rescans, before + 1);
    assert_int_equal(softhsm_fault_count(&fx.hsm, "C_FindObjectsInit"), 1);
    assert_value(name, "theirs");
    return n;
}

static void test_rescan__reads_what_is_new_and_no_more(void **state)
{
    if (!softhsm_fault_module()) skip();
    int few = readings();
    put_many(20);
    assert_int_equal(readings(), few);
}

/* Each of these makes the next one read every object, once. */
static void slow_scan_due(void) { fx.store->next_scan = 0; }
static void write_failed(void) { fx.store->doubt = true; }
static void scan_failed(void) { fx.store->stale = true; }
static void keys_looked_at(void) { assert_ok(p11_kek_reload(fx.token)); }
static void opened_again(void)
{
    assert_ok(p11_recover(fx.token));
    assert_ok(store_refresh(other)); /* which has no hand in it */
}

static void test_rescan__reads_all_when_nothing_is_to_be_taken_for_granted(void **state)
{
    void (*const CAUSES[])(void) = {slow_scan_due, write_failed, scan_failed, keys_looked_at, opened_again};
    if (!softhsm_fault_module()) skip();
    put_many(20);
    int few = readings();
    for (size_t i = 0; i < sizeof CAUSES / sizeof *CAUSES; i++) {
        CAUSES[i]();
        int all = readings();
        if (all < few + 20) fail_msg("case %zu: %d readings where all are more than %d", i, all, few + 20);
        if (readings() != few) fail_msg("case %zu: the next one reads more than the news", i);
    }
}

static void test_rescan__what_was_found_broken_is_read_again(void **state)
{
    if (!softhsm_fault_module()) skip();
    put_many(20);
    int few = readings();
    struct version *v = catalog_find(fx.store->catalog, ENVELOPE_RESOURCE, "many/of/7")->versions;
    v->broken = true;
    assert_int_equal(readings(), few + 1);
    v = catalog_find(fx.store->catalog, ENVELOPE_RESOURCE, "many/of/7")->versions;
    assert_true(v->broken); /* until it is opened */
    assert_value("many/of/7", "many/of/7");
    assert_int_equal(readings(), few);
}

static void test_rescan__news_do_not_put_the_slow_scan_off(void **state)
{
    uint64_t due = fx.store->next_scan;
    theirs("a/b/c", "theirs");
    assert_ok(store_refresh(fx.store));
    assert_int_equal(fx.store->next_scan, due);
    fx.store->next_scan = 0;
    assert_ok(store_refresh(fx.store));
    assert_true(fx.store->next_scan >= due);
}

/* Somebody who waits for a pass wants to know of every object, and a comparison that misses one too. */
static void test_rescan__asked_for_reads_all(void **state)
{
    if (!softhsm_fault_module()) skip();
    put_many(20);
    softhsm_fault_clear_log(&fx.hsm);
    {
        SCOPED_WORK(fx.store);
        assert_ok(rescan_locked(fx.store));
    }
    assert_true(softhsm_fault_count(&fx.hsm, "C_GetAttributeValue") > 20);
}

/* ---- what comes out ------------------------------------------------------------------------ */

static err_t write_down(void *arg, const struct store_entry *e)
{
    buf_addf(arg, "%s %d v%u created %lld until %lld %zu bytes key %u of %u %s\n", e->name, (int) e->state,
             (unsigned) e->version, (long long) e->created, (long long) e->not_after, e->size,
             e->kek_generation, e->versions, e->content_type);
    return ERR_OK;
}

static struct buf listed(void)
{
    struct store_listing all = {.kind = ENVELOPE_RESOURCE, .deleted = true};
    struct buf text = BUF_INIT;
    assert_ok(store_list(fx.store, &all, write_down, &text, NULL));
    assert_ok(store_list_versions(fx.store, ENVELOPE_RESOURCE, "kept/in/versions", write_down, &text));
    assert_ok(buf_ok(&text));
    return text;
}

static void put_with_attributes(struct store *s, const char *name)
{
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = name, .value = SPAN_LIT("{}"),
                            .content_type = "application/json", .not_after = clock_now() + 1000};
    assert_ok(store_put(s, &put, NULL));
}

static void others_do_all_sorts(void)
{
    put_with_attributes(other, "with/attributes/new");
    theirs("a/b/new", "new");
    theirs("a/b/changed", "changed");
    assert_ok(store_delete(other, ENVELOPE_RESOURCE, "a/b/deleted", false, 0, NULL));
    theirs("kept/in/versions", "third");
    assert_ok(store_delete(other, ENVELOPE_RESOURCE, "a/b/purged", false, 0, NULL));
    assert_ok(store_purge(other, ENVELOPE_RESOURCE, "a/b/purged", &(size_t){0}));
}

/* After one reading of the news all is as a reading of everything has it. */
static void test_rescan__news_give_what_all_gives(void **state)
{
    static const char *const NAMES[] = {"a/b/changed", "a/b/deleted", "a/b/purged", "a/b/same"};
    struct store_config config = fx_config();
    config.keep_versions = 3;
    fx_open_store(config);
    store_close(TAKE_PTR(other));
    assert_ok(store_open(&config, &other));
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) fx_put(NAMES[i], "first");
    fx_put("kept/in/versions", "first");
    fx_put("kept/in/versions", "second");
    put_with_attributes(fx.store, "with/attributes/known");
    fx_put("a/b/gone", "first");
    fx_delete("a/b/gone");
    fx_place("no name", SPAN_LIT("x"));
    fx_place("a/b/same", SPAN_LIT("no envelope"));
    slow_scan_due();
    assert_ok(store_refresh(fx.store));
    others_do_all_sorts();
    uint64_t before = fx_stats().rescans;
    assert_ok(store_refresh(fx.store));
    assert_int_equal(fx_stats().rescans, before + 1);
    struct store_stats news = fx_stats();
    struct buf after_news = listed();
    assert_value("a/b/new", "new");
    assert_value("a/b/changed", "changed");
    assert_value("a/b/same", "first");
    assert_fails(fx_try_get(fx.store, "a/b/deleted"), ERR_NOTFOUND);
    assert_fails(fx_try_get(fx.store, "a/b/purged"), ERR_NOTFOUND);
    assert_fails(fx_try_get(fx.store, "a/b/gone"), ERR_NOTFOUND);
    slow_scan_due();
    assert_ok(store_refresh(fx.store));
    struct store_stats all = fx_stats();
    struct buf after_all = listed();
    assert_string_equal(buf_str(&after_news), buf_str(&after_all));
    assert_int_equal(news.foreign, 2);
    all.rescans = news.rescans;
    assert_memory_equal(&news, &all, sizeof all);
    buf_free(&after_news);
    buf_free(&after_all);
}

static void test_rescan__after_recovery_nothing_old_is_known(void **state)
{
    put_many(3);
    theirs("a/b/c", "theirs");
    assert_ok(p11_recover(fx.token));
    assert_ok(store_refresh(fx.store));
    uint64_t now = p11_opening(fx.token);
    for (const char *const *name = (const char *const[]){"many/of/0", "many/of/2", "a/b/c", NULL}; *name; name++)
        assert_int_equal(catalog_find(fx.store->catalog, ENVELOPE_RESOURCE, *name)->versions->object.epoch, now);
    assert_value("many/of/1", "many/of/1");
    assert_value("a/b/c", "theirs");
}

/* ---- keys ---------------------------------------------------------------------------------- */

/* What `a` is, with the recipient of `b` beside its own. */
static void place_for_both(const char *name, const struct buf *a, const struct buf *b)
{
    struct envelope one = {0}, two = {0};
    struct buf both = BUF_INIT;
    bool has_meta = false;
    assert_int_equal(envelope_decode(buf_span(a), &one, &has_meta), ENVELOPE_SOUND);
    assert_int_equal(envelope_decode(buf_span(b), &two, &has_meta), ENVELOPE_SOUND);
    struct envelope_recipient recipients[] = {one.recipients[0], two.recipients[0]};
    struct envelope_rest rest = {recipients, 2, one.iv, one.tag, one.ciphertext};
    buf_add_span(&both, one.bound);
    assert_ok(envelope_put_rest(&both, one.meta.suite, &rest));
    fx_place(name, buf_span(&both));
    buf_free(&both);
}

static uint32_t generation_of(const char *name)
{
    return catalog_find(fx.store->catalog, ENVELOPE_RESOURCE, name)->versions->generation;
}

/* An envelope that was judged without the key may name it, too: then it is of that key's generation. */
static void test_rescan__key_that_the_news_bring_is_looked_for_in_all(void **state)
{
    struct p11 *elsewhere = NULL;
    struct p11_kek_info kek;
    struct buf ours = BUF_INIT, by_new_key = BUF_INIT;
    fx_seal(fx.token, "a/b/c", 1, "value", &ours);
    open_token(&elsewhere);
    assert_ok(p11_kek_create(elsewhere, true, &kek));
    fx_seal(elsewhere, "a/b/c", 1, "value", &by_new_key);
    place_for_both("a/b/c", &ours, &by_new_key);
    slow_scan_due();
    assert_ok(store_refresh(fx.store));
    assert_int_equal(generation_of("a/b/c"), kek.generation - 1);
    fx_seal(elsewhere, "x/y/z", 1, "value", &by_new_key);
    fx_place("x/y/z", buf_span(&by_new_key));
    theirs("p/q/r", "theirs"); /* that tells of it */
    assert_ok(store_refresh(fx.store));
    assert_int_equal(generation_of("x/y/z"), kek.generation);
    assert_int_equal(generation_of("a/b/c"), kek.generation);
    buf_free(&ours);
    buf_free(&by_new_key);
    p11_close(elsewhere);
}

/* ---- handles that lead elsewhere ----------------------------------------------------------- */

static struct p11_object *object_of(const char *name)
{
    return &catalog_find(fx.store->catalog, ENVELOPE_RESOURCE, name)->versions->object;
}

/* As if the token had given each one's handle to the other. */
static void swap(const char *a, const char *b)
{
    struct p11_object o = *object_of(a);
    *object_of(a) = *object_of(b);
    *object_of(b) = o;
}

static void test_rescan__another_object_under_a_handle_is_found_by_the_slow_scan(void **state)
{
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "two");
    struct p11_object is = *object_of("a/b/c");
    swap("a/b/c", "x/y/z");
    theirs("p/q/r", "theirs");
    assert_ok(store_refresh(fx.store));
    assert_int_equal(object_of("x/y/z")->handle, is.handle); /* nobody has looked */
    slow_scan_due();
    assert_ok(store_refresh(fx.store));
    assert_int_equal(object_of("a/b/c")->handle, is.handle);
    assert_value("a/b/c", "one");
    assert_value("x/y/z", "two");
}

/* Who reads it finds out at once, and nobody is served another's value. */
static void test_rescan__another_object_under_a_handle_is_found_by_who_reads_it(void **state)
{
    struct store_config config = fx_config();
    config.cache_bytes = 0;
    fx_open_store(config);
    fx_put("a/b/c", "one");
    fx_put("x/y/z", "two");
    swap("a/b/c", "x/y/z");
    assert_value("a/b/c", "one");
    assert_value("x/y/z", "two");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_rescan__reads_what_is_new_and_no_more),
        TEST(test_rescan__reads_all_when_nothing_is_to_be_taken_for_granted),
        TEST(test_rescan__what_was_found_broken_is_read_again),
        TEST(test_rescan__news_do_not_put_the_slow_scan_off),
        TEST(test_rescan__asked_for_reads_all),
        TEST(test_rescan__news_give_what_all_gives),
        TEST(test_rescan__after_recovery_nothing_old_is_known),
        TEST(test_rescan__another_object_under_a_handle_is_found_by_the_slow_scan),
        TEST(test_rescan__another_object_under_a_handle_is_found_by_who_reads_it),
        TEST(test_rescan__key_that_the_news_bring_is_looked_for_in_all), /* last: it adds one */
    };
    return cmocka_run_group_tests(tests, begin, end);
}
