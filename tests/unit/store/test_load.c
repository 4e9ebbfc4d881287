/* What lies on a token beside sound envelopes of ours, and what becomes of it. */
#include "tests/unit/store/fixture.h"

#include <ftw.h>
#include <sys/stat.h>

static struct buf bytes;

static int setup(void **state)
{
    buf_free(&bytes);
    return setup_store(state);
}

static int teardown(void **state)
{
    buf_free(&bytes);
    return teardown_token(state);
}

/* Offsets of the layout in envelope.h. */
#define AT_FORMAT 4
#define AT_SUITE 5
#define AT_VERSION 8

static void test_load__torn_is_ignored_and_the_old_one_served(void **state)
{
    fx_put("a/b/c", "old");
    fx_seal(fx.token, "a/b/c", 2, "new", &bytes);
    static const size_t cut[] = {1, 30}; /* in the payload; in the header's name */
    fx_place("a/b/c", span_of(bytes.data, bytes.len - cut[0]));
    fx_place("a/b/c", span_of(bytes.data, cut[1]));
    fx_restart(fx_config());
    assert_value("a/b/c", "old");
    assert_int_equal(fx_stats().torn, 2);
    assert_int_equal(fx_stats().damaged, 0);
    assert_int_equal(fx_put("a/b/c", "new"), 2);
    fx_restart(fx_config());
    assert_value("a/b/c", "new");
}

static void test_load__misplaced_is_never_served(void **state)
{
    fx_put("a/b/c", "mine");
    fx_seal(fx.token, "x/y/z", 9, "another's", &bytes);
    fx_place("a/b/c", buf_span(&bytes));
    fx_place("p/q/r", buf_span(&bytes));
    fx_restart(fx_config());
    assert_value("a/b/c", "mine");
    assert_fails(fx_try_get(fx.store, "p/q/r"), ERR_NOTFOUND);
    assert_fails(fx_try_get(fx.store, "x/y/z"), ERR_NOTFOUND);
    assert_int_equal(fx_stats().foreign, 2);
    assert_int_equal(fx_put("a/b/c", "newer"), 2); /* its version counts for nothing */
    assert_int_equal(fx_objects("a/b/c"), 2);      /* and it is not touched */
}

static void test_load__kind_must_fit_the_label(void **state)
{
    fx_seal(fx.token, "resource-policy", 1, "package policy", &bytes);
    fx_place("strongroom:policy:resource-policy", buf_span(&bytes));
    fx_restart(fx_config());
    assert_fails(store_get(fx.store, ENVELOPE_POLICY, "resource-policy", &fx.value, NULL),
                 ERR_NOTFOUND);
    assert_int_equal(fx_stats().foreign, 1);
}

static void test_load__sealed_for_another_key(void **state)
{
    fx_put("a/b/c", "mine");
    fx_seal(fx.token, "a/b/c", 9, "theirs", &bytes);
    struct envelope e;
    bool has_meta;
    assert_int_equal(envelope_decode(buf_span(&bytes), &e, &has_meta), ENVELOPE_SOUND);
    bytes.data[e.bound.len + 5] ^= 1; /* first byte of the first recipient's KEK id */
    fx_place("a/b/c", buf_span(&bytes));
    fx_restart(fx_config());
    assert_value("a/b/c", "mine");
    assert_int_equal(fx_stats().foreign, 1);
    assert_int_equal(fx_put("a/b/c", "again"), 2);
    assert_int_equal(fx_objects("a/b/c"), 2);
}

static void test_load__labels_and_bytes_of_others(void **state)
{
    fx_place("some label", SPAN_LIT("x"));
    fx_place("strongroom:tomorrow:x", SPAN_LIT("x"));
    fx_place("a/b/c", SPAN_LIT("no envelope"));
    fx_restart(fx_config());
    assert_int_equal(fx_stats().foreign, 3);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
    assert_int_equal(fx_put("a/b/c", "x"), 1);
}

/* Each makes an envelope unreadable in its way; version 2 lies above a sound version 1. */
static const struct spoil {
    size_t at;
    uint8_t value;
    bool version_known;
} SPOILS[] = {
    {AT_FORMAT, 2, false},    /* a format of the future */
    {AT_FORMAT, 0, false},    /* of no time */
    {AT_SUITE, 7, true},      /* a suite of the future */
    {AT_VERSION + 7, 0, false}, /* version 0 */
};

static void test_load__unreadable_newest_is_damaged_until_put_again(void **state)
{
    for (size_t i = 0; i < sizeof SPOILS / sizeof *SPOILS; i++) {
        setup_store(state);
        fx_put("a/b/c", "old");
        fx_seal(fx.token, "a/b/c", 2, "new", &bytes);
        bytes.data[SPOILS[i].at] = SPOILS[i].value;
        fx_place("a/b/c", buf_span(&bytes));
        fx_restart(fx_config());
        assert_fails_with(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED, "put it again");
        assert_int_equal(fx_stats().damaged, 1);
        assert_int_equal(fx_put("a/b/c", "healed"), SPOILS[i].version_known ? 3 : 2);
        assert_value("a/b/c", "healed");
        assert_int_equal(fx_objects("a/b/c"), 1);
        fx_restart(fx_config());
        assert_value("a/b/c", "healed");
    }
}

static void test_load__unreadable_older_one_harms_nobody(void **state)
{
    fx_seal(fx.token, "a/b/c", 2, "old", &bytes);
    bytes.data[AT_SUITE] = 7;
    fx_place("a/b/c", buf_span(&bytes));
    fx_seal(fx.token, "a/b/c", 3, "new", &bytes);
    fx_place("a/b/c", buf_span(&bytes));
    fx_restart(fx_config());
    assert_value("a/b/c", "new");
}

static void test_load__damaged_can_be_deleted(void **state)
{
    fx_place("a/b/c", SPAN_LIT("SRE1\x02 of the future"));
    fx_restart(fx_config());
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    assert_int_equal(fx_delete("a/b/c"), 1);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_NOTFOUND);
}

/* "Only if there is none" does not put anything in the place of what nobody can read. */
static void test_load__create_only_leaves_what_cannot_be_read(void **state)
{
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("mine"),
                            .has_if_match = true};
    struct store_batch_put batch = {.put = put};
    fx_place("a/b/c", SPAN_LIT("SRE1\x02 of the future"));
    fx_restart(fx_config());
    assert_fails_with(store_put(fx.store, &put, NULL), ERR_PRECONDITION, "cannot be read");
    assert_ok(store_put_batch(fx.store, &batch, 1));
    assert_fails(err_load(&batch.outcome), ERR_PRECONDITION);
    assert_fails(store_delete(fx.store, ENVELOPE_RESOURCE, "a/b/c", true, 0, NULL), ERR_PRECONDITION);
    assert_int_equal(fx_objects("a/b/c"), 1);
    assert_fails(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED);
    put.has_if_match = false;
    assert_ok(store_put(fx.store, &put, NULL));
    assert_value("a/b/c", "mine");
}

/* ---- a damaged file of SoftHSM's ---------------------------------------------------------- */

static struct { char path[400]; struct timespec written; } youngest; /* nftw passes no argument */

static int look_for_youngest(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    bool younger = st->st_mtim.tv_sec > youngest.written.tv_sec ||
                   (st->st_mtim.tv_sec == youngest.written.tv_sec &&
                    st->st_mtim.tv_nsec > youngest.written.tv_nsec);
    if (flag != FTW_F || !strstr(path, ".object") || !younger) return 0;
    youngest.written = st->st_mtim;
    snprintf(youngest.path, sizeof youngest.path, "%s", path);
    return 0;
}

/* Spoils the padding of the CKA_VALUE in the object file that was written last. An attribute is
 * its type, 3 for bytes, and its length, big-endian 64-bit numbers each; then its bytes, encrypted
 * with CBC, so that the last but one block is added to the padding. */
static void spoil_youngest_value(void)
{
    static const uint8_t begin[16] = {[7] = 0x11, [15] = 3};
    uint8_t text[4096];
    memset(&youngest, 0, sizeof youngest);
    nftw(fx.hsm.tokens, look_for_youngest, 16, FTW_PHYS);
    FILE *f = fopen(youngest.path, "r+be");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    uint8_t *at = memmem(text, len, begin, sizeof begin);
    assert_non_null(at);
    struct reader r = {span_of(at + sizeof begin, 8), false};
    size_t value = (size_t) (at - text) + sizeof begin + 8 + read_u64(&r);
    assert_true(value <= len);
    fseek(f, (long) value - 17, SEEK_SET);
    fputc(text[value - 17] ^ 0x55, f);
    assert_int_equal(fclose(f), 0);
}

static void test_load__value_that_the_token_cannot_show(void **state)
{
    fx_put("a/b/c", "old");
    fx_put("x/y/z", "another");
    fx_seal(fx.token, "a/b/c", 2, "new", &bytes);
    fx_place("a/b/c", buf_span(&bytes));
    spoil_youngest_value();
    fx_restart(fx_config());
    assert_fails_with(fx_try_get(fx.store, "a/b/c"), ERR_DAMAGED, "put it again");
    assert_int_equal(fx_stats().damaged, 1);
    assert_int_equal(fx_stats().torn, 0);
    assert_value("x/y/z", "another");
    assert_int_equal(fx_put("a/b/c", "healed"), 2);
    assert_value("a/b/c", "healed");
    assert_int_equal(fx_objects("a/b/c"), 1); /* the damaged one went with the old one */
    fx_restart(fx_config());
    assert_value("a/b/c", "healed");
}

static void test_load__highest_version_wins_in_any_order(void **state)
{
    static const uint64_t order[] = {2, 300, 1, 255, 256};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        char text[8];
        snprintf(text, sizeof text, "%u", (unsigned) order[i]);
        fx_seal(fx.token, "a/b/c", order[i], text, &bytes);
        fx_place("a/b/c", buf_span(&bytes));
    }
    fx_restart(fx_config());
    assert_value("a/b/c", "300");
    assert_int_equal(fx.entry.versions, 5);
    assert_int_equal(fx_put("a/b/c", "new"), 301);
    assert_int_equal(fx_objects("a/b/c"), 1); /* what a killed writer left is cleared */
}

static void test_load__equal_versions_by_generation(void **state)
{
    struct p11_kek_info kek;
    fx_seal(fx.token, "a/b/c", 1, "first key", &bytes);
    fx_place("a/b/c", buf_span(&bytes));
    assert_ok(p11_kek_create(fx.token, true, &kek));
    assert_int_equal(kek.generation, 2);
    struct buf second = BUF_INIT;
    fx_seal(fx.token, "a/b/c", 1, "second key", &second);
    fx_place("a/b/c", buf_span(&second));
    buf_free(&second);
    fx_restart(fx_config());
    assert_value("a/b/c", "second key");
    assert_int_equal(fx.entry.kek_generation, 2);
    assert_int_equal(fx_put("a/b/c", "next"), 2);
    assert_int_equal(fx_objects("a/b/c"), 1);
}

static void test_load__cache_smaller_than_the_set(void **state)
{
    struct store_config config = fx_config();
    config.cache_bytes = 700; /* two or three of ten */
    char name[16], value[16];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "a/b/%u", i);
        fx_put(name, name);
    }
    fx_restart(config);
    assert_true(fx_stats().cached_bytes > 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 10; i++) {
            snprintf(value, sizeof value, "a/b/%u", i);
            assert_value(value, value);
            assert_true(fx_stats().cached_bytes <= config.cache_bytes);
        }
    }
    config.cache_bytes = 0;
    fx_restart(config);
    assert_value("a/b/3", "a/b/3");
    assert_int_equal(fx_stats().cached_bytes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(test_load__torn_is_ignored_and_the_old_one_served),
        TEST(test_load__misplaced_is_never_served),
        TEST(test_load__kind_must_fit_the_label),
        TEST(test_load__sealed_for_another_key),
        TEST(test_load__labels_and_bytes_of_others),
        TEST(test_load__unreadable_newest_is_damaged_until_put_again),
        TEST(test_load__unreadable_older_one_harms_nobody),
        TEST(test_load__damaged_can_be_deleted),
        TEST(test_load__create_only_leaves_what_cannot_be_read),
        TEST(test_load__value_that_the_token_cannot_show),
        TEST(test_load__highest_version_wins_in_any_order),
        TEST(test_load__cache_smaller_than_the_set),
        TEST(test_load__equal_versions_by_generation), /* last: it adds a KEK */
    };
    return cmocka_run_group_tests(tests, setup_token, teardown);
}
