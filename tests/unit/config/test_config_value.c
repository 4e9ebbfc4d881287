/* Every type of key at and beyond its edges, by a table of the test's own. */
#include "broker/config/config_value.h"

#include "broker/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct entry {
    const char *name, *note;
};

struct sample {
    unsigned number;
    int64_t minutes;
    size_t bytes;
    bool truth;
    enum { COLOUR_RED, COLOUR_BLUE } colour;
    const char *word, *text, *path, *maybe, *blank;
    const char **list;
    size_t list_count;
    struct entry *entries;
    size_t entry_count;
};

#define AT(type, field) .offset = offsetof(type, field), .size = sizeof(((type *) 0)->field)
#define S(field) AT(struct sample, field)

static const struct config_choice colours[] = {{"red", COLOUR_RED}, {"blue", COLOUR_BLUE}, {0}};
static const struct config_key entry_keys[] = {
    {"name", CONFIG_TEXT, CONFIG_REQUIRED, AT(struct entry, name)},
    {"note", CONFIG_TEXT, CONFIG_MAY_BE_NULL, AT(struct entry, note)},
};
static const struct config_table entries = {entry_keys, 2, sizeof(struct entry)};
static const struct config_key keys[] = {
    {"number", CONFIG_NUMBER, S(number), .min = 2, .max = 9},
    {"deep.er.minutes", CONFIG_NUMBER, S(minutes), .max = 100, .unit = 60, .unit_name = "minutes"},
    {"deep.bytes", CONFIG_SIZE, S(bytes), .min = 1024, .max = UINT64_C(3) << 30},
    {"truth", CONFIG_TRUTH, S(truth)},
    {"colour", CONFIG_CHOICE, S(colour), .choices = colours},
    {"word", CONFIG_WORD, S(word), .choices = colours},
    {"text", CONFIG_TEXT, S(text)},
    {"path", CONFIG_PATH, S(path)},
    {"maybe", CONFIG_TEXT, CONFIG_MAY_BE_NULL, S(maybe)},
    {"blank", CONFIG_TEXT, CONFIG_MAY_BE_EMPTY, S(blank)},
    {"list", CONFIG_PATHS, S(list), .count_offset = offsetof(struct sample, list_count)},
    {"entries", CONFIG_RECORDS, S(entries), .count_offset = offsetof(struct sample, entry_count),
     .record = &entries},
};
static const struct config_table table = {keys, COUNT(keys), sizeof(struct sample)};

struct world {
    struct bump arena;
    struct sample sample;
    struct buf text;
    const struct yaml_node *seen[COUNT(keys)];
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

static struct err read_text(struct world *w, const char *text)
{
    struct yaml_node *root = NULL;
    TRY(yaml_parse(span_str(text), "f", &w->arena, &root));
    return config_read_map(&table, root, &w->sample, &w->arena, w->seen);
}

static void test_config_read_map__every_type(void **state)
{
    struct world *w = *state;
    struct err e = read_text(w, "number: 9\ndeep: {er: {minutes: 100}, bytes: 3GiB}\ntruth: true\n"
                                "colour: blue\nword: red\ntext: 'a b'\npath: file:///x\n"
                                "maybe: null\nblank: \"\"\nlist: [/a, \"file:///b\"]\n"
                                "entries:\n  - {name: n}\n  - name: m\n    note: o\n");
    if (!err_ok(e)) fail_msg("%s", err_text(e));
    const struct sample *s = &w->sample;
    assert_int_equal(s->number, 9);
    assert_int_equal(s->minutes, 6000);
    assert_int_equal(s->bytes, UINT64_C(3) << 30);
    assert_true(s->truth);
    assert_int_equal(s->colour, COLOUR_BLUE);
    assert_string_equal(s->word, "red");
    assert_string_equal(s->text, "a b");
    assert_string_equal(s->path, "/x");
    assert_null(s->maybe);
    assert_string_equal(s->blank, "");
    assert_int_equal(s->list_count, 2);
    assert_string_equal(s->list[1], "/b");
    assert_int_equal(s->entry_count, 2);
    assert_string_equal(s->entries[0].name, "n");
    assert_null(s->entries[0].note);
    assert_string_equal(s->entries[1].note, "o");
}

static void test_config_read_map__seen(void **state)
{
    struct world *w = *state;
    assert_true(err_ok(read_text(w, "truth: true\ndeep:\n  bytes: 1KiB\n")));
    assert_null(w->seen[0]);
    assert_int_equal(w->seen[2]->line, 3);
    assert_int_equal(w->seen[3]->line, 1);
}

static void test_config_read_map__empty_section(void **state)
{
    assert_true(err_ok(read_text(*state, "deep:\nnumber: 2\n")));
}

static void test_config_read_map__refused(void **state)
{
    static const struct { const char *text, *sentence; } cases[] = {
        {"number: 1", "f:1:9: `number` takes 2 to 9"},
        {"number: 10", "`number` takes 2 to 9"},
        {"number: -3", "`number` takes 2 to 9"},
        {"number: 3.0", "`number` takes 2 to 9"},
        {"number: 0x3", "`number` takes 2 to 9"},
        {"number: \"3\"", "`number` takes 2 to 9"},
        {"number: 18446744073709551619", "`number` takes 2 to 9"},
        {"number: [3]", "`number` takes 2 to 9"},
        {"number:", "`number` takes 2 to 9"},
        {"deep: {er: {minutes: 101}}", "`deep.er.minutes` takes 0 to 100 minutes"},
        {"deep: {bytes: 1023}", "`deep.bytes` takes 1KiB to 3GiB"},
        {"deep: {bytes: 3073MiB}", "takes 1KiB to 3GiB"},
        {"deep: {bytes: 2MB}", "takes 1KiB to 3GiB"},
        {"deep: {bytes: 2 MiB}", "takes 1KiB to 3GiB"},
        {"deep: {bytes: MiB}", "takes 1KiB to 3GiB"},
        {"deep: {bytes: 18446744073709551615GiB}", "takes 1KiB to 3GiB"},
        {"deep: 3", "f:1:7: `deep` takes keys and values"},
        {"deep: {er: [1]}", "`deep.er` takes keys and values"},
        {"- 1", "the file takes keys and values"},
        {"truth: yes", "`truth` takes true or false"},
        {"truth: \"true\"", "`truth` takes true or false"},
        {"colour: green", "`colour` takes one of red, blue"},
        {"word: Red", "`word` takes one of red, blue"},
        {"word: {}", "`word` takes one of red, blue"},
        {"text: ''", "`text` is empty"},
        {"text:", "`text` takes text"},
        {"text: [a]", "`text` takes text"},
        {"text: \"a\\nb\"", "no control characters"},
        {"path: \"\\x1b[1m\"", "no control characters"},
        {"path: file://", "`path` is empty"},
        {"maybe: {}", "`maybe` takes text, or null"},
        {"blank: ~", "`blank` takes text, may be empty"},
        {"list: /a", "`list` takes list of absolute paths"},
        {"list: [[/a]]", "`list` takes"},
        {"list: [~]", "`list` takes"},
        {"entries: {name: x}", "`entries` takes list of mappings"},
        {"entries: [x]", "`entries` takes list of mappings"},
        {"entries: [{note: x}]", "f:1:11: an entry of `entries` needs `name`"},
        {"entries: [{name: x, nam: y}]", "f:1:21: unknown key `nam`; did you mean `name`?"},
        {"numbre: 3", "f:1:1: unknown key `numbre`; did you mean `number`?"},
        {"truth: true\ndeep:\n  byte: 1", "f:3:3: unknown key `byte`; did you mean `bytes`?"},
        {"deep.bytes: 1KiB", "unknown key `deep.bytes`"},
        {"zzzzzz: 3", "unknown key `zzzzzz`; `strongroom serve --print-defaults` lists all"},
        {"\"\\x1b[31m\": 1", "unknown key `\\x1b[31m`"},
        {"\"\": 1", "unknown key ``"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = read_text(*state, cases[i].text);
        if (err_ok(e)) fail_msg("accepted: %s", cases[i].text);
        assert_int_equal(e.code, ERR_USAGE);
        if (!strstr(err_reason(e), cases[i].sentence))
            fail_msg("%s\n-> %s\nwanted: %s", cases[i].text, err_reason(e), cases[i].sentence);
    }
}

static void test_config_read_map__long_key(void **state)
{
    struct world *w = *state;
    for (size_t len = 1; len < 300; len++) {
        buf_reset(&w->text);
        buf_add_str(&w->text, "deep: {\"");
        for (size_t i = 0; i < len; i++) buf_add_byte(&w->text, 'x');
        buf_add_str(&w->text, "\": 1}");
        struct err e = read_text(w, buf_str(&w->text));
        assert_int_equal(e.code, ERR_USAGE);
        assert_non_null(strstr(err_reason(e), "f:1:8: unknown key `x"));
    }
}

static void test_config_read_map__list_limit(void **state)
{
    struct world *w = *state;
    static const struct { const char *key, *entry; } lists[] = {{"list", "/a"},
                                                                {"entries", "{name: x}"}};
    for (size_t i = 0; i < COUNT(lists); i++) {
        for (unsigned count = CONFIG_MAX_LIST; count <= CONFIG_MAX_LIST + 1; count++) {
            buf_reset(&w->text);
            buf_addf(&w->text, "%s:\n", lists[i].key);
            for (unsigned n = 0; n < count; n++) buf_addf(&w->text, "  - %s\n", lists[i].entry);
            struct err e = read_text(w, buf_str(&w->text));
            assert_int_equal(e.code, count > CONFIG_MAX_LIST ? ERR_USAGE : ERR_NONE);
            if (!err_ok(e))
                assert_non_null(strstr(err_reason(e), "has 65 entries, the limit is 64"));
        }
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config_read_map__every_type),    TEST(test_config_read_map__seen),
        TEST(test_config_read_map__empty_section), TEST(test_config_read_map__refused),
        TEST(test_config_read_map__long_key),      TEST(test_config_read_map__list_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
