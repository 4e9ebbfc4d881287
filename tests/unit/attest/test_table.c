#include "broker/attest/table.h"
#include "tests/lib/test.h"

#define COUNT 500

static struct table_entry entries[COUNT];

/* Every key in few buckets: chains are walked, not only heads. */
static void fill(struct table *t)
{
    memset(entries, 0, sizeof entries);
    for (size_t i = 0; i < COUNT; i++) {
        entries[i].key[0] = (uint8_t) (i % 5);
        entries[i].key[12] = (uint8_t) i;
        entries[i].key[13] = (uint8_t) (i >> 8);
        table_add(t, &entries[i]);
    }
}

static void test_table_find__every_entry_and_no_other(void **state)
{
    struct table *t = NULL;
    assert_ok(table_new(10, 16, &t));
    fill(t);
    assert_int_equal(table_count(t), COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(table_find(t, entries[i].key), &entries[i]);
    uint8_t other[TABLE_KEY_MAX] = {[0] = 1, [12] = 255, [13] = 255};
    assert_null(table_find(t, other));
    table_free(t);
}

static void test_table_oldest__order_of_age(void **state)
{
    struct table *t = NULL;
    assert_ok(table_new(COUNT, 32, &t));
    fill(t);
    for (size_t i = 1; i < COUNT; i += 2) table_remove(t, &entries[i]); /* from the middle */
    table_remove(t, &entries[COUNT - 2]);                               /* the newest */
    for (size_t i = 0; i < COUNT - 2; i += 2) {
        assert_ptr_equal(table_oldest(t), &entries[i]);
        table_remove(t, table_oldest(t));
        assert_null(table_find(t, entries[i].key));
    }
    assert_null(table_oldest(t));
    assert_int_equal(table_count(t), 0);
    table_add(t, &entries[7]);
    assert_ptr_equal(table_oldest(t), &entries[7]);
    table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_find__every_entry_and_no_other),
        cmocka_unit_test(test_table_oldest__order_of_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
