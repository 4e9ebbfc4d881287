#include "broker/store/manifest.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

static struct buf body;

static int teardown(void **state)
{
    buf_free(&body);
    return 0;
}

static struct manifest_record record(enum envelope_kind kind, const char *name, uint64_t version)
{
    struct manifest_record r = {.kind = kind, .version = version};
    snprintf(r.name, sizeof r.name, "%s", name);
    return r;
}

static const struct manifest_record RECORDS[] = {
    {ENVELOPE_RESOURCE, "a/b/c", 1, 0, false},
    {ENVELOPE_RESOURCE, "a/b/cc", UINT64_MAX - 2, 0, true},
    {ENVELOPE_RESOURCE, "z/b/c", 7, 4102444800, false},
    {ENVELOPE_POLICY, "resource-policy", 3, 0, false},
    {ENVELOPE_REFERENCE_VALUE, "a", 256, 0, false},
};
#define COUNT (sizeof RECORDS / sizeof *RECORDS)

static void make(void)
{
    struct manifest_writer w;
    manifest_open(&w, &body);
    for (size_t i = 0; i < COUNT; i++) assert_true(manifest_put(&w, &RECORDS[i]));
    assert_ok(manifest_close(&w));
}

static void assert_record(const struct manifest_record *is, const struct manifest_record *wanted)
{
    assert_int_equal(is->kind, wanted->kind);
    assert_string_equal(is->name, wanted->name);
    assert_int_equal(is->version, wanted->version);
    assert_int_equal(is->not_after, wanted->not_after);
    assert_int_equal(is->tombstone, wanted->tombstone);
}

static void test_manifest__round_trip(void **state)
{
    struct manifest_reader r;
    size_t n = 0;
    make();
    assert_ok(manifest_check(buf_span(&body)));
    for (manifest_begin(&r, buf_span(&body)); manifest_next(&r); n++)
        assert_record(&r.record, &RECORDS[n]);
    assert_int_equal(n, COUNT);
}

static void test_manifest__none_at_all(void **state)
{
    struct manifest_writer w;
    struct manifest_reader r;
    manifest_begin(&r, span_of(NULL, 0));
    assert_false(manifest_next(&r));
    manifest_open(&w, &body);
    assert_ok(manifest_close(&w));
    assert_ok(manifest_check(buf_span(&body)));
    manifest_begin(&r, buf_span(&body));
    assert_false(manifest_next(&r));
}

static void test_manifest_find__by_kind_and_name(void **state)
{
    struct manifest_record r;
    make();
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(manifest_find(buf_span(&body), RECORDS[i].kind, RECORDS[i].name, &r));
        assert_record(&r, &RECORDS[i]);
    }
    assert_false(manifest_find(buf_span(&body), ENVELOPE_POLICY, "a/b/c", &r));
    assert_false(manifest_find(buf_span(&body), ENVELOPE_RESOURCE, "a/b/cd", &r));
    assert_false(manifest_find(span_of(NULL, 0), ENVELOPE_RESOURCE, "a/b/c", &r));
}

static void test_manifest_check__every_cut_is_refused(void **state)
{
    make();
    for (size_t len = 0; len < body.len; len++)
        assert_fails(manifest_check(span_of(body.data, len)), ERR_DAMAGED);
    buf_add_u8(&body, 0);
    assert_fails(manifest_check(buf_span(&body)), ERR_DAMAGED);
}

/* Offsets of the first record: kind 5, shared 6, rest 7, name 8, flags 13, version 14. */
static const struct { size_t at; uint8_t value; } SPOILS[] = {
    {0, 2},        /* a layout of the future */
    {4, COUNT + 1}, {4, COUNT - 1},
    {5, 0}, {5, 4}, {5, 99}, /* a kind that the store does not keep */
    {6, 1},        /* shares with nothing */
    {7, 0}, {7, 255},
    {8, '.'}, {8, 0}, /* no name; a NUL in it */
    {13, 4},       /* an unknown flag */
    {21, 0},       /* version 0 */
};

static void test_manifest_check__what_it_cannot_hold(void **state)
{
    for (size_t i = 0; i < sizeof SPOILS / sizeof *SPOILS; i++) {
        buf_reset(&body);
        make();
        body.data[SPOILS[i].at] = SPOILS[i].value;
        assert_fails(manifest_check(buf_span(&body)), ERR_DAMAGED);
    }
}

/* A name of full length, and a next one that shares all of it and goes on. */
static void test_manifest_check__no_name_outgrows_its_room(void **state)
{
    char name[NAME_MAX_BYTES + 1];
    struct manifest_writer w;
    memset(name, 'x', sizeof name - 1);
    name[NAME_MAX_BYTES] = '\0';
    name[1] = name[3] = '/';
    struct manifest_record r = record(ENVELOPE_RESOURCE, name, 1);
    manifest_open(&w, &body);
    assert_true(manifest_put(&w, &r));
    assert_ok(manifest_close(&w));
    assert_ok(manifest_check(buf_span(&body)));
    body.data[4] = 2; /* the number of records */
    buf_add_u8(&body, ENVELOPE_RESOURCE);
    buf_add_u8(&body, NAME_MAX_BYTES);
    buf_add_u8(&body, NAME_MAX_BYTES);
    buf_add(&body, name, NAME_MAX_BYTES);
    buf_add_u8(&body, 0);
    buf_add_u64(&body, 1);
    assert_fails(manifest_check(buf_span(&body)), ERR_DAMAGED);
}

static void test_manifest_check__each_name_once_in_order(void **state)
{
    struct manifest_writer w;
    struct manifest_record r = record(ENVELOPE_RESOURCE, "a/b/c", 1);
    manifest_open(&w, &body);
    manifest_put(&w, &r);
    manifest_put(&w, &r);
    assert_ok(manifest_close(&w));
    assert_fails(manifest_check(buf_span(&body)), ERR_DAMAGED);
    buf_reset(&body);
    manifest_open(&w, &body);
    manifest_put(&w, &r);
    r = record(ENVELOPE_RESOURCE, "a/a/c", 1);
    manifest_put(&w, &r);
    assert_ok(manifest_close(&w));
    assert_fails(manifest_check(buf_span(&body)), ERR_DAMAGED);
}

static void test_manifest_put__ends_at_the_limit(void **state)
{
    struct manifest_writer w;
    char name[NAME_MAX_BYTES + 1];
    uint32_t n = 0;
    manifest_open(&w, &body);
    /* 10,000 ordinary names take a small part of it */
    for (; n < 10000; n++) {
        snprintf(name, sizeof name, "repository/type/tag-%05u", n);
        struct manifest_record r = record(ENVELOPE_RESOURCE, name, n + 1);
        assert_true(manifest_put(&w, &r));
    }
    assert_true(body.len < 200u << 10);
    memset(name, 'x', sizeof name - 1);
    name[NAME_MAX_BYTES] = '\0';
    name[1] = name[3] = '/';
    for (bool more = true; more; n++) {
        char digits[8];
        snprintf(digits, sizeof digits, "%06u", n); /* early in the name, so that little is shared */
        memcpy(name + 4, digits, 6);
        struct manifest_record r = record(ENVELOPE_RESOURCE, name, n);
        more = manifest_put(&w, &r);
    }
    assert_ok(manifest_close(&w));
    assert_true(body.len <= STORE_MANIFEST_MAX && body.len > STORE_MANIFEST_MAX - 600);
    assert_ok(manifest_check(buf_span(&body)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_manifest__round_trip),
        TEST(test_manifest__none_at_all),
        TEST(test_manifest_find__by_kind_and_name),
        TEST(test_manifest_check__every_cut_is_refused),
        TEST(test_manifest_check__what_it_cannot_hold),
        TEST(test_manifest_check__no_name_outgrows_its_room),
        TEST(test_manifest_check__each_name_once_in_order),
        TEST(test_manifest_put__ends_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
