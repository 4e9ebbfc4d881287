#include "policy/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static int setup(void **state)
{
    return !(*state = arena_new(1 << 22));
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static const struct value *parse(struct arena *a, const char *text)
{
    const struct value *v = json_to_value(a, text, strlen(text), NULL, NULL);

    assert_non_null(v);
    return v;
}

/* The array's members as a set. */
static const struct value *set_of(struct arena *a, const char *text)
{
    const struct value *list = parse(a, text);
    struct value_builder b;

    value_builder_init(&b, a, VALUE_SET);
    for (uint32_t i = 0; i < list->count; i++) assert_true(value_builder_add(&b, list->items[i]));
    return value_builder_end(&b, NULL);
}

static void expect(struct arena *a, const struct value *v, const char *text)
{
    struct text t;

    assert_non_null(v);
    text_init(&t, a);
    value_print(&t, v);
    assert_string_equal(text_end(&t), text);
}

static void test_compare__canonical_order(void **state)
{
    struct arena *a = *state;
    const struct value *sorted[] = {
        parse(a, "null"), parse(a, "false"), parse(a, "true"), parse(a, "-1.5"), parse(a, "0"),
        parse(a, "18446744073709551615"), parse(a, "\"\""), parse(a, "\"a\""), parse(a, "\"a\\u0000\""),
        parse(a, "\"b\""), parse(a, "\"\\u00e9\""), parse(a, "[]"), parse(a, "[1]"), parse(a, "[1, 2]"),
        parse(a, "[2]"), parse(a, "{}"), parse(a, "{\"a\": 1}"), parse(a, "{\"a\": 1, \"b\": 0}"),
        parse(a, "{\"a\": 2}"), parse(a, "{\"b\": 1}"), &VALUE_EMPTY_SET, set_of(a, "[1]"), set_of(a, "[1,2]"),
        set_of(a, "[2]"),
    };

    for (size_t i = 0; i < LEN(sorted); i++) {
        for (size_t j = 0; j < LEN(sorted); j++) {
            int order = value_compare(sorted[i], sorted[j]);

            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(value_equal(sorted[i], sorted[j]), i == j);
        }
    }
}

static void test_hash__equal_values(void **state)
{
    static const struct { const char *x, *y; } cases[] = {
        { "1", "1.0" }, { "[1e2]", "[100]" }, { "{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}" }, { "\"abc\"", "\"abc\"" },
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        const struct value *x = parse(*state, cases[i].x), *y = parse(*state, cases[i].y);

        assert_true(value_equal(x, y));
        assert_true(value_hash(x) == value_hash(y));
    }
    assert_false(value_hash(parse(*state, "[1,2]")) == value_hash(parse(*state, "[2,1]")));
}

static void test_set__sorted_without_duplicates(void **state)
{
    expect(*state, set_of(*state, "[3, 1, 2, 1.0, 3, \"a\", [1], null]"), "{null, 1, 2, 3, \"a\", [1]}");
    expect(*state, set_of(*state, "[]"), "set()");
    assert_true(set_has(set_of(*state, "[5,3,1]"), parse(*state, "3.0")));
    assert_false(set_has(set_of(*state, "[5,3,1]"), parse(*state, "4")));
}

static void test_object__conflicts(void **state)
{
    struct arena *a = *state;
    const struct value *k = parse(a, "\"k\""), *j = parse(a, "\"j\""), *one = parse(a, "1"), *two = parse(a, "2");
    const struct value *conflict = NULL;
    struct value_pair same[] = { { k, one }, { j, two }, { k, parse(a, "1.0") } };
    struct value_pair differ[] = { { k, one }, { j, two }, { k, two } };
    struct value_pair last[] = { { k, one }, { j, two }, { k, two } };

    expect(a, value_object(a, same, 3, &conflict), "{\"j\": 2, \"k\": 1}");
    assert_null(conflict);
    assert_null(value_object(a, differ, 3, &conflict));
    assert_ptr_equal(conflict, k);
    expect(a, value_object(a, last, 3, NULL), "{\"j\": 2, \"k\": 2}");
    assert_false(arena_failed(a));
}

static void test_get__by_kind(void **state)
{
    struct arena *a = *state;
    const struct value *array = parse(a, "[\"x\", \"y\"]"), *object = parse(a, "{\"a\": 1, \"c\": 3}");

    assert_true(string_is(value_get(array, parse(a, "1.0")), "y"));
    assert_null(value_get(array, parse(a, "2")));
    assert_null(value_get(array, parse(a, "-1")));
    assert_null(value_get(array, parse(a, "\"0\"")));
    expect(a, value_get(object, parse(a, "\"c\"")), "3");
    expect(a, object_get_z(object, "a"), "1");
    assert_null(object_get_z(object, "b"));
    assert_null(value_get(parse(a, "\"text\""), parse(a, "0")));
    expect(a, value_get(set_of(a, "[1]"), parse(a, "1.0")), "1");
    expect(a, value_pair_at(a, array, 1).key, "1");
    expect(a, value_pair_at(a, object, 1).key, "\"c\"");
}

static void test_edit__objects(void **state)
{
    struct arena *a = *state;
    const struct value *object = parse(a, "{\"a\": 1, \"c\": {\"x\": 1}}"), *two = parse(a, "2");

    expect(a, object_with(a, object, parse(a, "\"b\""), two), "{\"a\": 1, \"b\": 2, \"c\": {\"x\": 1}}");
    expect(a, object_with(a, object, parse(a, "\"a\""), two), "{\"a\": 2, \"c\": {\"x\": 1}}");
    expect(a, object_without(a, object, parse(a, "\"a\"")), "{\"c\": {\"x\": 1}}");
    assert_ptr_equal(object_without(a, object, two), object);
    expect(a, object_merge(a, object, parse(a, "{\"c\": {\"y\": 2}, \"a\": 0, \"d\": 4}")),
           "{\"a\": 0, \"c\": {\"x\": 1, \"y\": 2}, \"d\": 4}");
    expect(a, object, "{\"a\": 1, \"c\": {\"x\": 1}}");
}

static void test_edit__sets(void **state)
{
    struct arena *a = *state;
    const struct value *x = set_of(a, "[1, 2, 3]"), *y = set_of(a, "[2, 3, 4]");

    expect(a, set_union(a, x, y), "{1, 2, 3, 4}");
    expect(a, set_intersection(a, x, y), "{2, 3}");
    expect(a, set_minus(a, x, y), "{1}");
    expect(a, set_minus(a, x, x), "set()");
}

static void test_copy__outlives_its_arena(void **state)
{
    struct arena *other = arena_new(1 << 16);
    const char *text = "{\"a\": [1, 2.5, \"s\", null, true, {}], \"b\": [\"t\"]}";
    const struct value *copy = value_copy(*state, parse(other, text));

    arena_free(other);
    assert_true(value_equal(copy, parse(*state, text)));
    assert_true(value_equal(value_copy(*state, set_of(*state, "[2,1]")), set_of(*state, "[1,2]")));
}

/* Claims get one piece of memory of this size. */
static void test_copy__takes_the_bytes_foretold(void **state)
{
    static const char *const texts[] = {
        "null", "true", "0", "255", "256", "-1", "9223372036854775807", "9223372036854775808", "1.5", "1e3",
        "\"\"", "\"seven..\"", "\"eight...\"", "[]", "{}", "[[]]", "[0]", "[256, \"a\"]", "{\"a\": 1}",
        "{\"a\": [1, 2.5, \"s\", null, true, {}], \"b\": [\"t\", {\"c\": 1.0}]}",
    };

    for (size_t i = 0; i <= sizeof texts / sizeof *texts; i++) {
        bool last = i == sizeof texts / sizeof *texts;
        const struct value *v = last ? set_of(*state, "[1, 300, \"a\"]") : parse(*state, texts[i]);
        size_t before = arena_used(*state), foretold = value_copy_bytes(v);

        assert_non_null(value_copy(*state, v));
        if (arena_used(*state) - before != foretold)
            fail_msg("%s: %zu bytes, %zu foretold", last ? "the set" : texts[i], arena_used(*state) - before, foretold);
    }
}

static void test_depth__limit(void **state)
{
    const struct value *v = value_null();

    for (unsigned i = 0; i < VALUE_DEPTH_MAX; i++) {
        const struct value **item = arena_alloc(*state, sizeof *item);

        *item = v;
        assert_non_null(v = value_array(*state, item, 1));
        assert_int_equal(v->depth, i + 1);
    }
    const struct value *deepest[] = { v };
    assert_null(value_array(*state, deepest, 1));
    assert_true(arena_failed(*state));
}

static void test_print__strings(void **state)
{
    expect(*state, parse(*state, "[\"a\\\"\\\\\\n\\u0001\\u00e9\"]"), "[\"a\\\"\\\\\\n\\x01\xc3\xa9\"]");
    expect(*state, value_string(*state, "\xff", 1), "\"\\xff\"");
}

static void test_builder__refuses_undefined(void **state)
{
    struct value_builder b;

    value_builder_init(&b, *state, VALUE_OBJECT);
    assert_false(value_builder_put(&b, value_null(), NULL));
    assert_null(value_builder_end(&b, NULL));
}

static void test_value_print_cut__leaves_out(void **state)
{
    static const struct { const char *json; size_t max; const char *want; } rows[] = {
        { "[1,2,3]", 9, "[1, 2, 3]" },
        { "[1,2,3]", 3, "[1, \xe2\x80\xa6]" },
        { "\"abcdef\"", 100, "\"abcdef\"" },
        { "\"abcdef\"", 4, "\"abc\xe2\x80\xa6\"" },
        { "\"\xc3\xa4\xc3\xa4\"", 2, "\"\xc3\xa4\xe2\x80\xa6\"" },
        { "{\"a\":[[1,2],3]}", 8, "{\"a\": [[\xe2\x80\xa6], \xe2\x80\xa6]}" },
        { "{}", 0, "{}" },
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        struct text t;
        text_init(&t, *state);
        text_add_string(&t, "x");
        value_print_cut(&t, parse(*state, rows[i].json), rows[i].max);
        assert_string_equal(text_end(&t) + 1, rows[i].want);
    }
}

/* Prefixes decide most comparisons: against memcmp, for texts that share beginnings, NULs and high bytes. */
static void test_compare__strings_by_bytes(void **state)
{
    struct arena *a = *state;
    static const char *const parts[] = { "", "a", "ab", "abcdefg", "abcdefgh", "abcdefghi", "abcdefgz", "\xc3\xa4", "\xff" };
    const struct value *values[2 * LEN(parts) * LEN(parts)];
    size_t count = 0;

    for (size_t i = 0; i < LEN(parts); i++)
        for (size_t k = 0; k < LEN(parts); k++)
            for (int nul = 0; nul < 2; nul++) {
                struct text t;

                text_init(&t, a);
                text_add_string(&t, parts[i]);
                if (nul) text_add_char(&t, '\0');
                text_add_string(&t, parts[k]);
                values[count++] = value_from_text(&t);
            }
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++) {
            const struct value *x = values[i], *y = values[k];
            uint32_t common = x->count < y->count ? x->count : y->count;
            int want = memcmp(x->string, y->string, common), got = value_compare(x, y);

            if (!want) want = (x->count > y->count) - (x->count < y->count);
            assert_int_equal((got > 0) - (got < 0), (want > 0) - (want < 0));
            assert_int_equal(value_equal(x, y), want == 0);
        }
}

static void test_literal__equals_the_made_one(void **state)
{
    struct arena *a = *state;
    static const struct value literals[] = {
        VALUE_LITERAL("a"), VALUE_LITERAL("abcdefg"), VALUE_LITERAL("abcdefgh"), VALUE_LITERAL("abcdefghi"), VALUE_LITERAL("\xc3\xa4"),
    };

    for (size_t i = 0; i < LEN(literals); i++) {
        const struct value *made = value_string_z(a, literals[i].string);

        assert_true(value_equal(&literals[i], made));
        assert_int_equal(literals[i].prefix, made->prefix);
    }
}

/* Small integers are not made anew; those around them are. */
static void test_int__small_ones_are_shared(void **state)
{
    struct arena *a = *state;

    for (int64_t i = -2; i < 300; i++) {
        const struct value *v = value_int(a, i);

        assert_int_equal(v->number.i, i);
        assert_int_equal(v == value_int(a, i), i >= 0 && i < 256);
    }
    arena_fail(a);
    assert_null(value_int(a, 1));
}

/* Runs, merges, pairs: stable, and as a plain insertion does it. */
static void test_sort__any_length(void **state)
{
    struct arena *a = *state;
    uint32_t seed = 1;

    for (size_t count = 0; count < 70; count++) {
        struct value_pair pairs[70];

        for (size_t i = 0; i < count; i++) {
            seed = seed * 1664525 + 1013904223;
            pairs[i] = (struct value_pair) { value_int(a, seed >> 8 & 15), value_int(a, (int64_t) i + 1000) };
        }
        const struct value *object = value_object(a, pairs, count, NULL);
        for (size_t i = 0; i < object->count; i++) {
            if (i) assert_true(value_compare(object->pairs[i - 1].key, object->pairs[i].key) < 0);
            assert_true(object->pairs[i].value->number.i >= 1000);
        }
    }
    const struct value *object = parse(a, "{\"b\": 1, \"a\": 2}");
    assert_int_equal(object->pairs[0].value->number.i, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_value_print_cut__leaves_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare__canonical_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare__strings_by_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_literal__equals_the_made_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_int__small_ones_are_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sort__any_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hash__equal_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set__sorted_without_duplicates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_object__conflicts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_get__by_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edit__objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edit__sets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy__outlives_its_arena, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy__takes_the_bytes_foretold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_depth__limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_print__strings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_builder__refuses_undefined, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
