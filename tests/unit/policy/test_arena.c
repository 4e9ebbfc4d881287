#include "policy/arena.h"
#include "policy/budget.h"
#include "policy/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_alloc__zeroed_and_aligned(void **state)
{
    struct arena *a = arena_new(1 << 20);

    for (size_t size = 0; size < 200; size++) {
        unsigned char *p = arena_alloc(a, size);

        assert_non_null(p);
        assert_int_equal((uintptr_t) p % ARENA_UNIT, 0);
        for (size_t i = 0; i < size; i++) assert_int_equal(p[i], 0);
        memset(p, 0xAA, size);
    }
    arena_reset(a);
    unsigned char *again = arena_alloc(a, 100);
    assert_int_equal(again[0] | again[99], 0);
    arena_free(a);
}

static void test_alloc__the_cap_is_sticky(void **state)
{
    struct arena *a = arena_new(1000);

    assert_non_null(arena_alloc(a, 900));
    assert_false(arena_failed(a));
    assert_null(arena_alloc(a, 200));
    assert_true(arena_failed(a));
    assert_null(arena_alloc(a, 1));
    arena_reset(a);
    assert_non_null(arena_alloc(a, 1000));
    assert_null(arena_alloc(a, 1));
    arena_free(a);
}

static void test_alloc_array__overflow(void **state)
{
    struct arena *a = arena_new(SIZE_MAX);

    assert_null(arena_alloc_array(a, SIZE_MAX / 2, 4));
    assert_true(arena_failed(a));
    arena_free(a);
    arena_free(NULL);
}

static void test_alloc__larger_than_any_chunk(void **state)
{
    struct arena *a = arena_new(1 << 24);
    char *p = arena_alloc(a, 5000000);

    assert_non_null(p);
    p[4999999] = 1;
    assert_true(arena_used(a) >= 5000000);
    arena_free(a);
}

/* All of it is there at once, and nothing beyond. */
static void test_new_whole__is_all_there_is(void **state)
{
    struct arena *a = arena_new_whole(1024);

    for (int i = 0; i < 64; i++) assert_non_null(arena_alloc(a, 16));
    assert_int_equal(arena_used(a), 1024);
    assert_null(arena_alloc(a, 1));
    arena_free(a);
    a = arena_new_whole(0);
    assert_non_null(arena_alloc(a, 0));
    assert_null(arena_alloc(a, 1));
    arena_free(a);
}

static void test_grow__keeps_the_elements(void **state)
{
    struct arena *a = arena_new(1 << 20);
    size_t cap = 0;
    int *items = NULL;

    for (int i = 0; i < 1000; i++) {
        items = arena_grow(a, items, (size_t) i, &cap, sizeof *items);
        assert_non_null(items);
        items[i] = i;
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(items[i], i);
    arena_free(a);
}

static void test_text__grows_and_ends(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct text t;

    text_init(&t, a);
    assert_string_equal(text_end(&t), "");
    for (int i = 0; i < 100; i++) text_addf(&t, "%d,", i);
    text_add_rune(&t, 0xE9);
    text_add_rune(&t, 0x1F600);
    text_add_rune(&t, 0xD800);
    assert_int_equal(t.len, 290 + 2 + 4 + 3);
    assert_memory_equal(text_end(&t) + 290, "\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd", 10);
    arena_free(a);
}

static void test_text__without_memory(void **state)
{
    struct arena *a = arena_new(100);
    struct text t;

    text_init(&t, a);
    for (int i = 0; i < 100; i++) text_add_string(&t, "abc");
    assert_true(t.failed);
    assert_null(text_end(&t));
    arena_free(a);
}

static void test_utf8__as_go_decodes(void **state)
{
    static const struct { const char *text; size_t len; uint32_t rune; } cases[] = {
        { "a", 1, 'a' }, { "\xc3\xa9", 2, 0xE9 }, { "\xe2\x82\xac", 3, 0x20AC }, { "\xf0\x9f\x98\x80", 4, 0x1F600 },
        { "\x80", 1, 0xFFFD }, { "\xc0\x80", 1, 0xFFFD }, { "\xc3", 1, 0xFFFD }, { "\xe0\x80\x80", 1, 0xFFFD },
        { "\xed\xa0\x80", 1, 0xFFFD }, { "\xf4\x90\x80\x80", 1, 0xFFFD }, { "\xf5\x80\x80\x80", 1, 0xFFFD },
        { "\xe2\x82", 1, 0xFFFD }, { "\xef\xbf\xbd", 3, 0xFFFD },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *s = cases[i].text;
        uint32_t rune = 0;

        assert_int_equal(utf8_decode(s, s + strlen(s), &rune), cases[i].len);
        assert_int_equal(rune, cases[i].rune);
    }
    uint32_t rune;
    assert_int_equal(utf8_decode("", "", &rune), 0);
    assert_int_equal(utf8_count("a\xc3\xa9\xff\xe2\x82", 6), 5);
}

static void test_text_cut__whole_characters(void **state)
{
    static const struct { const char *from; size_t size; const char *to; } cases[] = {
        { "abc", 4, "abc" }, { "abcd", 4, "abc" }, { "", 1, "" }, { "a", 1, "" },
        { "a\xc3\xa9", 4, "a\xc3\xa9" }, { "a\xc3\xa9", 3, "a" }, { "\xf0\x9f\x98\x80", 4, "" },
        { "\xf0\x9f\x98\x80", 5, "\xf0\x9f\x98\x80" }, { "\xe2\x82\xac\xe2\x82\xac", 6, "\xe2\x82\xac" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char to[16];

        memset(to, 'x', sizeof to);
        text_cut(to, cases[i].size, cases[i].from, strlen(cases[i].from));
        assert_string_equal(to, cases[i].to);
        assert_int_equal(to[cases[i].size], 'x');
    }
}

static bool refuse(void *context)
{
    ++*(unsigned *) context;
    return false;
}

static bool allow(void *context)
{
    ++*(unsigned *) context;
    return true;
}

static void test_budget__spent_is_sticky(void **state)
{
    struct budget b;

    budget_init(&b, 10);
    assert_true(budget_spend(&b, 10));
    assert_false(budget_spend(&b, 1));
    assert_true(b.spent);
    assert_false(budget_spend(&b, 0));
    assert_true(budget_spend(NULL, UINT64_MAX));
}

static void test_budget__asks_the_host(void **state)
{
    unsigned asked = 0;
    struct budget b = { .steps_left = 100000, .go_on = allow, .context = &asked };

    for (int i = 0; i < 10240; i++) assert_true(budget_spend(&b, 1));
    assert_in_range(asked, 9, 11);
    b.go_on = refuse;
    bool ended = false;
    for (int i = 0; i < 1025 && !ended; i++) ended = !budget_spend(&b, 1);
    assert_true(ended && b.spent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc__zeroed_and_aligned), cmocka_unit_test(test_alloc__the_cap_is_sticky),
        cmocka_unit_test(test_alloc_array__overflow),     cmocka_unit_test(test_alloc__larger_than_any_chunk),
        cmocka_unit_test(test_grow__keeps_the_elements),  cmocka_unit_test(test_text__grows_and_ends),
        cmocka_unit_test(test_text__without_memory),      cmocka_unit_test(test_utf8__as_go_decodes),
        cmocka_unit_test(test_new_whole__is_all_there_is), cmocka_unit_test(test_text_cut__whole_characters),
        cmocka_unit_test(test_budget__spent_is_sticky),   cmocka_unit_test(test_budget__asks_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
