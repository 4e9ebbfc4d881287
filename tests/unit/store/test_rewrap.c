#include "tests/unit/store/fixture.h"

#include <ftw.h>

static struct store_rewrapped done;

static int setup(void **state)
{
    if (setup_token(state)) return -1;
    return setup_store(state);
}

static void next_kek(void)
{
    struct p11_kek_info kek;
    assert_ok(p11_kek_create(fx.token, true, &kek));
}

static void rewrap(size_t limit, size_t moved, size_t left)
{
    assert_ok(store_rewrap(fx.store, limit, &done));
    assert_int_equal(done.moved, moved);
    assert_int_equal(done.left, left);
}

static uint32_t generation_of(const char *name)
{
    assert_ok(fx_try_get(fx.store, name));
    return fx.entry.kek_generation;
}

static void test_rewrap__everything_a_few_at_a_time(void **state)
{
    struct store_config config = fx_config();
    config.keep_versions = 3;
    fx_open_store(config);
    fx_put("a/b/one", "1");
    fx_put("a/b/one", "2");
    fx_put("a/b/two", "x");
    fx_put("a/b/gone", "y");
    fx_delete("a/b/gone");
    rewrap(10, 0, 0);
    next_kek();
    rewrap(0, 0, 5);
    assert_int_equal(generation_of("a/b/two"), 1);
    rewrap(2, 2, 3);
    rewrap(2, 2, 1);
    assert_value("a/b/one", "2");
    rewrap(16, 1, 0);
    assert_int_equal(done.failed, 0);
    assert_int_equal(done.generation, 2);
    assert_int_equal(generation_of("a/b/one"), 2);
    assert_int_equal(fx.entry.version, 2); /* as before */
    assert_int_equal(fx_objects("a/b/one"), 2);
    assert_int_equal(fx_objects("a/b/gone"), 2);
    assert_fails(fx_try_get(fx.store, "a/b/gone"), ERR_NOTFOUND);
    fx_restart(config);
    assert_value("a/b/one", "2");
    assert_value("a/b/two", "x");
    rewrap(16, 0, 0);
    assert_int_equal(fx_put("a/b/gone", "again"), 3);
}

static void test_rewrap__at_most_its_limit(void **state)
{
    char name[32];
    for (unsigned i = 0; i <= STORE_REWRAP_MAX; i++) {
        snprintf(name, sizeof name, "a/b/%u", i);
        fx_put(name, "x");
    }
    next_kek();
    rewrap(SIZE_MAX, STORE_REWRAP_MAX, 1);
}

/* Killed after the new object was written: both lie there, the new one counts, the old one goes. */
static void test_rewrap__goes_on_where_it_was_cut_off(void **state)
{
    struct buf old = BUF_INIT, new = BUF_INIT;
    struct envelope e = {0};
    bool has_meta = false;
    fx_seal(fx.token, "a/b/c", 1, "value", &old);
    fx_place("a/b/c", buf_span(&old));
    next_kek();
    assert_int_equal(envelope_decode(buf_span(&old), &e, &has_meta), ENVELOPE_SOUND);
    assert_ok(p11_rewrap(fx.token, &e, &new));
    fx_place("a/b/c", buf_span(&new));
    fx_restart(fx_config());
    assert_int_equal(generation_of("a/b/c"), 2);
    rewrap(4, 1, 0);
    assert_int_equal(fx_objects("a/b/c"), 1);
    assert_value("a/b/c", "value");
    assert_int_equal(fx.entry.kek_generation, 2);
    buf_free(&old);
    buf_free(&new);
}

/* Both objects of a rotation that was cut off; `copy` is the new one, to be spoilt. */
static void place_both(struct buf *old, struct buf *copy)
{
    struct envelope e = {0};
    bool has_meta = false;
    fx_seal(fx.token, "a/b/c", 1, "value", old);
    fx_place("a/b/c", buf_span(old));
    next_kek();
    assert_int_equal(envelope_decode(buf_span(old), &e, &has_meta), ENVELOPE_SOUND);
    assert_ok(p11_rewrap(fx.token, &e, copy));
}

/* The old object is the last good one then: it must not go before another is seen to open. */
static void test_rewrap__a_damaged_copy_is_made_again(void **state)
{
    struct buf old = BUF_INIT, copy = BUF_INIT;
    place_both(&old, &copy);
    copy.data[copy.len - 1] ^= 1; /* ciphertext */
    fx_place("a/b/c", buf_span(&copy));
    fx_restart(fx_config());
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    rewrap(4, 1, 0);
    assert_int_equal(fx_objects("a/b/c"), 1);
    assert_value("a/b/c", "value");
    assert_int_equal(fx.entry.kek_generation, 2);
    buf_free(&old);
    buf_free(&copy);
}

static void test_rewrap__a_copy_of_something_else_is_made_again(void **state)
{
    struct buf old = BUF_INIT, copy = BUF_INIT, other = BUF_INIT;
    place_both(&old, &copy);
    fx_seal(fx.token, "a/b/c", 1, "another value", &other); /* sound, and under the active key */
    fx_place("a/b/c", buf_span(&other));
    fx_restart(fx_config());
    rewrap(4, 1, 0);
    assert_value("a/b/c", "value");
    assert_int_equal(fx_objects("a/b/c"), 1);
    buf_free(&old);
    buf_free(&copy);
    buf_free(&other);
}

static void test_rewrap__two_damaged_ones_both_stay(void **state)
{
    struct buf old = BUF_INIT, copy = BUF_INIT, spoilt = BUF_INIT;
    place_both(&old, &copy);
    struct p11_object found[2];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, "a/b/c", found, 2, &n));
    assert_ok(p11_object_destroy(fx.token, found[0]));
    buf_add_span(&spoilt, buf_span(&old));
    spoilt.data[spoilt.len - 1] ^= 1;
    copy.data[copy.len - 1] ^= 1;
    fx_place("a/b/c", buf_span(&spoilt));
    fx_place("a/b/c", buf_span(&copy));
    fx_restart(fx_config());
    rewrap(4, 0, 1);
    assert_int_equal(done.failed, 1);
    assert_int_equal(fx_objects("a/b/c"), 2);
    buf_free(&old);
    buf_free(&copy);
    buf_free(&spoilt);
}

static void test_rewrap__what_is_damaged_stays(void **state)
{
    struct buf bad = BUF_INIT;
    fx_put("a/b/good", "x");
    fx_seal(fx.token, "a/b/bad", 1, "value", &bad);
    bad.data[bad.len - 1] ^= 1; /* ciphertext */
    fx_place("a/b/bad", buf_span(&bad));
    fx_restart(fx_config());
    next_kek();
    rewrap(4, 1, 1);
    assert_int_equal(done.failed, 1);
    rewrap(4, 0, 1); /* not tried for ever */
    assert_int_equal(fx_objects("a/b/bad"), 1);
    assert_fails(fx_try_get(fx.store, "a/b/bad"), ERR_DAMAGED);
    assert_fails_with(store_drop_key(fx.store, 1), ERR_CONFLICT, "1 objects are under generation 1");
    fx_put("a/b/bad", "anew");
    assert_ok(store_drop_key(fx.store, 1));
    assert_value("a/b/bad", "anew");
    buf_free(&bad);
}

/* Copies of a full token are made; so many that it could not be read again are not, whatever was cut off. */
static void test_rewrap__not_beyond_what_can_be_read(void **state)
{
    fx_put("a/b/one", "1");
    fx_put("a/b/two", "2");
    fx_put("a/b/three", "3");
    next_kek();
    fx_leave_room(0, STORE_SPARE_MOVE);
    assert_fails_with(store_rewrap(fx.store, 16, &done), ERR_FULL, "no room for a copy");
    rewrap(0, 0, 3);
    fx_leave_room(1, STORE_SPARE_MOVE);
    rewrap(16, 1, 2);
    fx_leave_room(0, 0);
    rewrap(16, 2, 0);
}

static void test_drop_key__not_while_it_is_needed(void **state)
{
    fx_put("a/b/c", "x");
    assert_fails(store_drop_key(fx.store, 1), ERR_CONFLICT);
    next_kek();
    assert_fails_with(store_drop_key(fx.store, 1), ERR_CONFLICT, "kek rotate");
    rewrap(4, 1, 0);
    assert_fails(store_drop_key(fx.store, 2), ERR_CONFLICT);
    assert_ok(store_drop_key(fx.store, 1));
    assert_fails(store_drop_key(fx.store, 1), ERR_NOTFOUND);
    fx_restart(fx_config());
    assert_value("a/b/c", "x");
}

/* Whoever has envelopes of before in memory must not learn by failing that their key is gone. */
static void test_drop_key__others_are_told(void **state)
{
    char before[P11_EPOCH_TEXT], now[P11_EPOCH_TEXT];
    fx_put("a/b/c", "x");
    next_kek();
    rewrap(4, 1, 0);
    assert_ok(p11_epoch_read(fx.token, before));
    assert_ok(store_drop_key(fx.store, 1));
    assert_ok(p11_epoch_read(fx.token, now));
    assert_string_not_equal(now, before);
}

static void test_drop_key__not_while_something_cannot_be_read(void **state)
{
    struct buf odd = BUF_INIT;
    fx_put("a/b/c", "x");
    fx_seal(fx.token, "a/b/odd", 1, "value", &odd);
    odd.data[4] = 9; /* a format of the future */
    fx_place("a/b/odd", buf_span(&odd));
    fx_restart(fx_config());
    next_kek();
    rewrap(0, 0, 1);
    assert_int_equal(done.unreadable, 1);
    assert_int_equal(done.failed, 0); /* so there is one to go on with */
    rewrap(4, 1, 0);
    assert_fails_with(store_drop_key(fx.store, 1), ERR_CONFLICT, "cannot be read");
    buf_free(&odd);
}

static void remove_object(const char *label)
{
    struct p11_object found[2];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, label, found, 2, &n));
    assert_int_equal(n, 1);
    assert_ok(p11_object_destroy(fx.token, found[0]));
}

/* Says in a key's file that it may encrypt: an attribute is its type and 1 for a truth value, as 64-bit
 * numbers, and a byte. */
static int let_encrypt(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    static const uint8_t NO[17] = {[6] = 0x01, [7] = 0x04, [15] = 1};
    uint8_t text[4096];
    FILE *f = flag == FTW_F && strstr(path, ".object") ? fopen(path, "r+be") : NULL;
    if (!f) return 0;
    size_t len = fread(text, 1, sizeof text, f);
    uint8_t *at = memmem(text, len, NO, sizeof NO);
    if (at) fseek(f, at - text + 16, SEEK_SET);
    if (at) fputc(0xff, f);
    return fclose(f);
}

/* What it sealed is foreign as long as nobody mends it, and lost when it goes. */
static void test_drop_key__not_one_that_is_not_fit_for_use(void **state)
{
    fx_put("a/b/c", "x");
    assert_int_equal(nftw(fx.hsm.tokens, let_encrypt, 16, FTW_PHYS), 0);
    fx_restart(fx_config());
    assert_int_equal(fx.store->catalog->odd.named.n, 1);
    assert_non_null(strstr(fx.store->catalog->odd.named.at[0].why, "kek.unsound"));
    next_kek();
    assert_int_equal(fx_put("x/y/z", "new"), 1);
    rewrap(4, 0, 0);
    assert_fails_with(store_drop_key(fx.store, 1), ERR_CONFLICT, "not fit for use");
    remove_object("a/b/c");
    assert_ok(store_drop_key(fx.store, 1));
    assert_value("x/y/z", "new");
}

/* A copy that somebody keeps under another label is not ours to move, but ours to open. */
static void test_drop_key__not_while_a_misplaced_object_needs_it(void **state)
{
    struct buf kept = BUF_INIT;
    fx_put("a/b/c", "x");
    fx_seal(fx.token, "a/b/c", 1, "kept", &kept);
    fx_place("some label", buf_span(&kept));
    fx_place("other/b/c", buf_span(&kept));
    fx_restart(fx_config());
    next_kek();
    rewrap(4, 1, 0);
    assert_fails_with(store_drop_key(fx.store, 1), ERR_CONFLICT, "sealed under generation 1");
    remove_object("some label");
    assert_fails_with(store_drop_key(fx.store, 1), ERR_CONFLICT, "sealed under generation 1");
    remove_object("other/b/c");
    assert_ok(store_drop_key(fx.store, 1));
    buf_free(&kept);
}

static void test_rewrap__a_reader_does_not(void **state)
{
    struct store_config config = fx_config();
    config.writable = false;
    fx_restart(config);
    assert_fails(store_rewrap(fx.store, 1, &done), ERR_READONLY);
    assert_fails(store_drop_key(fx.store, 1), ERR_READONLY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown_token)
    const struct CMUnitTest tests[] = {
        TEST(test_rewrap__everything_a_few_at_a_time),
        TEST(test_rewrap__at_most_its_limit),
        TEST(test_rewrap__goes_on_where_it_was_cut_off),
        TEST(test_rewrap__a_damaged_copy_is_made_again),
        TEST(test_rewrap__a_copy_of_something_else_is_made_again),
        TEST(test_rewrap__two_damaged_ones_both_stay),
        TEST(test_rewrap__what_is_damaged_stays),
        TEST(test_rewrap__not_beyond_what_can_be_read),
        TEST(test_drop_key__not_while_it_is_needed),
        TEST(test_drop_key__others_are_told),
        TEST(test_drop_key__not_while_something_cannot_be_read),
        TEST(test_drop_key__not_while_a_misplaced_object_needs_it),
        TEST(test_drop_key__not_one_that_is_not_fit_for_use),
        TEST(test_rewrap__a_reader_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
