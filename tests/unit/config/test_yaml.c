#include "broker/config/yaml.h"

#include "broker/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct world {
    struct bump arena;
    struct buf text;
    struct yaml_node *root;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct world));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    bump_free(&w->arena);
    buf_free(&w->text);
    free(w);
    return 0;
}

static struct err parse(struct world *w, const char *text)
{
    w->root = NULL;
    return yaml_parse(span_str(text), "f.yaml", &w->arena, &w->root);
}

static void test_yaml_parse__tree_with_places(void **state)
{
    struct world *w = *state;
    assert_true(err_ok(parse(w, "a: 1\nb:\n  - x\n  - \"y\"\nc: {d: [], e: }\n")));
    assert_int_equal(w->root->type, YAML_MAP);
    assert_int_equal(w->root->count, 3);
    const struct yaml_node *a = w->root->first, *b = a->next, *c = b->next;
    assert_string_equal(a->key, "a");
    assert_string_equal(a->text, "1");
    assert_int_equal(a->line, 1);
    assert_int_equal(a->column, 4);
    assert_int_equal(b->type, YAML_LIST);
    assert_int_equal(b->key_line, 2);
    assert_true(b->first->plain);
    assert_false(b->last->plain);
    assert_string_equal(b->last->text, "y");
    assert_int_equal(b->last->line, 4);
    assert_int_equal(b->last->column, 5);
    assert_int_equal(c->first->type, YAML_LIST);
    assert_true(yaml_is_null(c->last));
    assert_string_equal(c->file, "f.yaml");
}

static void test_yaml_parse__json_is_yaml(void **state)
{
    struct world *w = *state;
    assert_true(err_ok(parse(w, "{\"a\": {\"b\": [true, \"\\u00e9\"]}}")));
    assert_string_equal(w->root->first->first->last->text, "\xc3\xa9");
}

static void test_yaml_parse__empty(void **state)
{
    static const char *const texts[] = {"", "\n", "# nothing\n"};
    struct world *w = *state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_true(err_ok(parse(w, texts[i])));
        assert_null(w->root);
    }
    assert_true(err_ok(yaml_parse(span_of(NULL, 0), "f", &w->arena, &w->root)));
    assert_true(err_ok(parse(w, "---\n")));
    assert_true(yaml_is_null(w->root));
}

static void test_yaml_parse__refused(void **state)
{
    static const struct { const char *text, *sentence; } cases[] = {
        {"a: [1, 2\n", "f.yaml:2:1: no valid YAML: flow sequence"},
        {"a: 1\n  b: 2\n", "f.yaml:1:4: no valid YAML: invalid multiline plain key"},
        {"a: 1\n\tb: 2\n", "f.yaml:"},
        {"a: \"x\n", "no valid YAML"},
        {"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: this key is in line 1 already"},
        {"s:\n  a: 1\n  \"a\": 2\n", "f.yaml:3:3: this key is in line 2 already"},
        {"a: &x 1\n", "f.yaml:1:7: anchors and aliases are not accepted"},
        {"a: *x\n", "f.yaml:1:5: anchors and aliases are not accepted"},
        {"a: &x [1]\n", "anchors and aliases"},
        {"&x a: 1\n", "anchors and aliases"},
        {"a: !!str 1\n", "tags are not accepted"},
        {"a: !local {}\n", "tags are not accepted"},
        {"a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins"},
        {"? [a]\n: b\n", "f.yaml:1:3: a key must be a plain word"},
        {"? {a: b}\n: b\n", "a key must be a plain word"},
        {"a: \"x\\0y\"\n", "U+0000"},
        {"a: \xff\n", "not UTF-8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = parse(*state, cases[i].text);
        if (err_ok(e)) fail_msg("accepted: %s", cases[i].text);
        assert_int_equal(e.code, ERR_USAGE);
        if (!strstr(err_reason(e), cases[i].sentence))
            fail_msg("%s\n-> %s\nwanted: %s", cases[i].text, err_reason(e), cases[i].sentence);
    }
}

static void test_yaml_parse__nul_byte(void **state)
{
    struct world *w = *state;
    struct err e = yaml_parse(span_of("a: 1\0\n", 6), "f", &w->arena, &w->root);
    assert_int_equal(e.code, ERR_USAGE);
}

static void test_yaml_parse__prints_nothing(void **state)
{
    fflush(stderr);
    FILE *capture = tmpfile();
    assert_non_null(capture);
    int saved = dup(fileno(stderr));
    dup2(fileno(capture), fileno(stderr));
    struct err e = parse(*state, "a: [1, 2\nb: {\n");
    fflush(stderr);
    dup2(saved, fileno(stderr));
    close(saved);
    long printed = lseek(fileno(capture), 0, SEEK_END);
    fclose(capture);
    assert_false(err_ok(e));
    assert_int_equal(printed, 0);
}

static void test_yaml_parse__depth(void **state)
{
    struct world *w = *state;
    for (unsigned depth = YAML_MAX_DEPTH; depth <= YAML_MAX_DEPTH + 1; depth++) {
        buf_reset(&w->text);
        for (unsigned i = 0; i < depth; i++) buf_add_str(&w->text, "[");
        for (unsigned i = 0; i < depth; i++) buf_add_str(&w->text, "]");
        struct err e = parse(w, buf_str(&w->text));
        assert_int_equal(e.code, depth > YAML_MAX_DEPTH ? ERR_TOOLARGE : ERR_NONE);
    }
}

static void test_yaml_parse__entries(void **state)
{
    struct world *w = *state;
    for (unsigned count = YAML_MAX_ENTRIES; count <= YAML_MAX_ENTRIES + 1; count++) {
        static const char *const shapes[] = {"- 1\n", "k%u: 1\n"};
        for (size_t shape = 0; shape < COUNT(shapes); shape++) {
            buf_reset(&w->text);
            for (unsigned i = 0; i < count; i++) {
                if (shape == 0) buf_add_str(&w->text, shapes[0]);
                else buf_addf(&w->text, "k%u: 1\n", i);
            }
            struct err e = parse(w, buf_str(&w->text));
            assert_int_equal(e.code, count > YAML_MAX_ENTRIES ? ERR_TOOLARGE : ERR_NONE);
        }
    }
}

static void test_yaml_is_null__table(void **state)
{
    static const struct { const char *text; bool null; } cases[] = {
        {"a: ", true},    {"a: ~", true},   {"a: null", true}, {"a: \"\"", false},
        {"a: ''", false}, {"a: Nul", false}, {"a: []", false},  {"a: 'null'", false},
    };
    struct world *w = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(err_ok(parse(w, cases[i].text)));
        assert_int_equal(yaml_is_null(w->root->first), cases[i].null);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_yaml_parse__tree_with_places), TEST(test_yaml_parse__json_is_yaml),
        TEST(test_yaml_parse__empty),            TEST(test_yaml_parse__refused),
        TEST(test_yaml_parse__nul_byte),         TEST(test_yaml_parse__prints_nothing),
        TEST(test_yaml_parse__depth),            TEST(test_yaml_parse__entries),
        TEST(test_yaml_is_null__table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
