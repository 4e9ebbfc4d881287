/* What is kept of an object of the store, with a kind that counts how often it is made. */
#include "broker/api/stored.h"
#include "tests/unit/api/kit.h"

#include <sched.h>

struct thing {
    struct made made;
    char text[16];
};

static struct {
    struct stored *stored;
    struct made *held[2];
    struct store *second, *watched;
    _Atomic unsigned made, freed, hanging;
    _Atomic bool hangs; /* the next who has read the store */
    bool uncertain, no_memory;
} t;

static void thing_free(struct made *m)
{
    t.freed++;
    free(m);
}

static struct made *thing_new(const char *text)
{
    struct thing *thing = calloc(1, sizeof *thing);
    assert_non_null(thing);
    thing->made = (struct made){.references = 1, .free = thing_free};
    snprintf(thing->text, sizeof thing->text, "%s", text);
    t.made++;
    return &thing->made;
}

static struct made *load(void *arg, struct made *old, bool *ret_certain)
{
    struct secret *value = NULL;
    char text[16] = "none";
    if (t.no_memory) return NULL;
    *ret_certain = !t.uncertain;
    struct err e = store_get(arg, ENVELOPE_POLICY, "thing", &value, NULL);
    if (err_ok(e)) snprintf(text, sizeof text, "%.*s", (int) secret_span(value).len, secret_span(value).data);
    secret_free(value);
    if (atomic_exchange(&t.hangs, false)) {
        t.hanging++;
        while (t.hanging) sched_yield();
    }
    if (old && strcmp(((struct thing *) old)->text, text) == 0) return made_ref(old);
    return thing_new(text);
}

static int setup(void **state)
{
    struct stored_kind kind = {.load = load};
    memset(&t, 0, sizeof t);
    kit_setup(state);
    kind.arg = kit.store;
    assert_ok(stored_new(kit.store, &kind, &t.stored));
    return 0;
}

static int teardown(void **state)
{
    t.hanging = 0;
    clock_test_mono(0);
    for (size_t i = 0; i < COUNT(t.held); i++) made_unref(TAKE_PTR(t.held[i]));
    stored_free(TAKE_PTR(t.stored));
    store_close(TAKE_PTR(t.second));
    store_close(TAKE_PTR(t.watched));
    unsigned left = t.made - t.freed;
    kit_teardown(state);
    return left == 0 ? 0 : -1; /* each is freed once, with its last reference */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const char *now(void)
{
    made_unref(t.held[0]);
    t.held[0] = stored_current(t.stored);
    return ((struct thing *) t.held[0])->text;
}

static void write_elsewhere(const char *name, const char *text)
{
    struct store_config config = {.token = kit.token, .keep_versions = 1, .writable = true};
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = name, .value = span_str(text)};
    uint64_t version = 0;
    if (!t.second) assert_ok(store_open(&config, &t.second));
    assert_ok(store_put(t.second, &put, &version));
    assert_ok(store_refresh(kit.store));
}

static void test_current__follows_another_writer(void **state)
{
    assert_string_equal(now(), "none");
    write_elsewhere("thing", "theirs");
    assert_string_equal(now(), "theirs");
    write_elsewhere("other", "x");
    assert_string_equal(now(), "theirs");
    assert_int_equal(t.made, 2); /* none, theirs; and not again for the other object */
}

static void test_current__asks_again_while_uncertain(void **state)
{
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = "thing", .value = SPAN_LIT("ours")};
    uint64_t version = 0;
    assert_ok(store_put(kit.store, &put, &version));
    assert_string_equal(now(), "none"); /* nobody told it, and no other writer was there */
    t.uncertain = true;
    write_elsewhere("other", "x");
    now();
    t.uncertain = false;
    assert_string_equal(now(), "ours");
}

static void test_set__the_later_version_stays(void **state)
{
    stored_set_take(t.stored, thing_new("two"), 2);
    stored_set_take(t.stored, thing_new("one"), 1);
    assert_string_equal(now(), "two");
    assert_int_equal(t.held[0]->version, 2);
    t.held[1] = made_ref(t.held[0]);
    stored_set_take(t.stored, thing_new("three"), 3);
    assert_string_equal(now(), "three");
    assert_string_equal(((struct thing *) t.held[1])->text, "two");
}

/* The thread whose turn it is reads the store, and hangs with what it has read. */
static void await_hang(void)
{
    while (!t.hanging) sched_yield();
}

static void seconds_on(unsigned seconds)
{
    clock_test_mono(clock_mono_ns() + seconds * CLOCK_SECOND_NS);
}

static void test_current__does_not_wait_for_who_hangs(void **state)
{
    struct store_config config = {.token = kit.token, .keep_versions = 1, .watch = true};
    struct stored_kind kind = {.load = load};
    stored_free(TAKE_PTR(t.stored));
    assert_ok(store_open(&config, &t.watched));
    kind.arg = t.watched;
    assert_ok(stored_new(t.watched, &kind, &t.stored));
    t.hangs = true;
    write_elsewhere("thing", "theirs");
    await_hang();
    assert_string_equal(now(), "none"); /* as it is for the time that reading takes */
    seconds_on(STORED_READ_SECONDS - 1);
    assert_string_equal(now(), "none");
    seconds_on(1);
    assert_string_equal(now(), "theirs");
}

static void *look_and_hang(void *arg)
{
    made_unref(stored_current(t.stored));
    return NULL;
}

/* Nobody watches: who comes first reads. What it has read is older than what others have by the time it returns. */
static void test_current__who_hung_changes_nothing(void **state)
{
    pthread_t thread;
    write_elsewhere("thing", "first");
    t.hangs = true;
    assert_int_equal(pthread_create(&thread, NULL, look_and_hang, NULL), 0);
    await_hang();
    write_elsewhere("thing", "second");
    assert_string_equal(now(), "none");
    seconds_on(STORED_READ_SECONDS + 1);
    assert_string_equal(now(), "second");
    t.hanging = 0;
    pthread_join(thread, NULL);
    assert_string_equal(now(), "second");
}

static void test_load__out_of_memory(void **state)
{
    struct stored_kind kind = {.load = load, .arg = kit.store};
    struct stored *none = NULL;
    t.no_memory = true;
    assert_fails(stored_new(kit.store, &kind, &none), ERR_INTERNAL);
    assert_null(none);
    write_elsewhere("thing", "theirs");
    assert_string_equal(now(), "none"); /* the one of before, rather than none at all */
    made_unref(NULL);
    stored_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_current__follows_another_writer),
        TEST(test_current__asks_again_while_uncertain),
        TEST(test_set__the_later_version_stays),
        TEST(test_current__does_not_wait_for_who_hangs),
        TEST(test_current__who_hung_changes_nothing),
        TEST(test_load__out_of_memory),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}
