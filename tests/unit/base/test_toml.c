#include "broker/base/toml.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/toml_lex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct world {
    struct buf text, json;
    struct json_doc *doc;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct world));
    return *state ? 0 : -1;
}

static void forget(struct world *w)
{
    buf_free(&w->text);
    buf_free(&w->json);
    json_free(w->doc);
    *w = (struct world){0};
}

static int teardown(void **state)
{
    forget(*state);
    free(*state);
    return 0;
}

struct accepted {
    const char *toml, *json;
};

/* What it prints must also be JSON for our strict reader. */
static void check_accepted(struct world *w, const struct accepted *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct err e = toml_to_json(span_str(cases[i].toml), &w->json);
        if (!err_ok(e)) fail_msg("%s\n-> %s", cases[i].toml, err_text(e));
        assert_string_equal(buf_str(&w->json), cases[i].json);
        e = json_parse(buf_span(&w->json), &w->doc);
        if (!err_ok(e)) fail_msg("%s is no JSON: %s", buf_str(&w->json), err_text(e));
        forget(w);
    }
}

struct refused {
    const char *toml, *sentence; /* a part of it */
};

static void check_refused(struct world *w, const struct refused *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct err e = toml_to_json(span_str(cases[i].toml), &w->json);
        if (err_ok(e)) fail_msg("accepted: %s\n-> %s", cases[i].toml, buf_str(&w->json));
        assert_int_equal(e.code, ERR_USAGE);
        if (!strstr(err_text(e), cases[i].sentence))
            fail_msg("%s\n-> %s\nwanted: %s", cases[i].toml, err_text(e), cases[i].sentence);
        forget(w);
    }
}

#define ACCEPTED(cases) check_accepted(*state, cases, COUNT(cases))
#define REFUSED(cases) check_refused(*state, cases, COUNT(cases))

/* ---- words -------------------------------------------------------------------------------- */

static void test_toml__comments_and_blank_lines(void **state)
{
    static const struct accepted cases[] = {
        {"", "{}"},
        {"\n\r\n# only a comment", "{}"},
        {"# \xc3\xa4\xe2\x82\xac\ttab\n a = 1 # after\r\n\t", "{\"a\":1}"},
        {"a=\"# no comment\"", "{\"a\":\"# no comment\"}"},
    };
    ACCEPTED(cases);
}

static void test_toml__keys(void **state)
{
    static const struct accepted cases[] = {
        {"bare_key-1 = 1", "{\"bare_key-1\":1}"},
        {"1234 = 1", "{\"1234\":1}"},
        {"\"\" = 1", "{\"\":1}"},
        {"\"a b\" = 1\n'c \"d' = 2", "{\"a b\":1,\"c \\\"d\":2}"},
        {"\"\\u00e9\" = 1", "{\"\xc3\xa9\":1}"},
        {"a.b = 1\na . c=2\n\"a\".'d' = 3", "{\"a\":{\"b\":1,\"c\":2,\"d\":3}}"},
        {"3.14 = 1", "{\"3\":{\"14\":1}}"},
        {"a.a.a = 1\na.b.a = 2", "{\"a\":{\"a\":{\"a\":1},\"b\":{\"a\":2}}}"},
        {"true = 1\ninf = 2", "{\"true\":1,\"inf\":2}"},
    };
    ACCEPTED(cases);
}

static void test_toml__bad_keys(void **state)
{
    static const struct refused cases[] = {
        {"= 1", "line 1, column 1: expected a key"},
        {"a", "expected `=`"},
        {"a b = 1", "column 3: expected `=`"},
        {"a. = 1", "expected a key"},
        {".a = 1", "expected a key"},
        {"a..b = 1", "expected a key"},
        {"a\n= 1", "expected `=`"},
        {"\xc3\xa4 = 1", "expected a key"},
        {"\"\"\"a\"\"\" = 1", "multi-line"},
        {"'''a''' = 1", "multi-line"},
        {"\"a = 1", "does not end on its line"},
        {"a = 1 b = 2", "expected the end of the line"},
        {"a = 1\n\nb = 2 # x\n  a = 3", "line 4, column 3: `a` is defined twice"},
        {"a = 1\n\"a\" = 2", "`a` is defined twice"},
        {"a =", "expected a value"},
        {"a = # comment\n1", "expected a value"},
    };
    REFUSED(cases);
}

static void test_toml__strings(void **state)
{
    static const struct accepted cases[] = {
        {"a = \"\"\nb = ''", "{\"a\":\"\",\"b\":\"\"}"},
        {"a = \"\\b\\t\\n\\f\\r\\\"\\\\\"", "{\"a\":\"\\b\\t\\n\\f\\r\\\"\\\\\"}"},
        {"a = \"\\u00E9\\u20ac\\U0001F600\\u0041\"",
         "{\"a\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" "A\"}"},
        {"a = 'C:\\n'", "{\"a\":\"C:\\\\n\"}"},
        {"a = \"tab\there\"", "{\"a\":\"tab\\there\"}"},
        {"a = \"\"\"\nx\ny\"\"\"", "{\"a\":\"x\\ny\"}"},
        {"a = \"\"\"\r\nx\r\ny\"\"\"", "{\"a\":\"x\\ny\"}"},
        {"a = \"\"\"x \\\n   \n\t y\\\r\n z\"\"\"", "{\"a\":\"x yz\"}"},
        {"a = \"\"\"x\\   \n y\"\"\"", "{\"a\":\"xy\"}"},
        {"a = \"\"\"\"\"\"", "{\"a\":\"\"}"},
        {"a = \"\"\"\"x\"\"\"\"", "{\"a\":\"\\\"x\\\"\"}"},
        {"a = \"\"\"\"\"x\"\"\"\"\"", "{\"a\":\"\\\"\\\"x\\\"\\\"\"}"},
        {"a = \"\"\"x\"\"y\\\"\"\"\"", "{\"a\":\"x\\\"\\\"y\\\"\"}"},
        {"a = '''\n\\no\n'q' ''e'''''", "{\"a\":\"\\\\no\\n'q' ''e''\"}"},
        {"a = ''''x''''", "{\"a\":\"'x'\"}"},
    };
    ACCEPTED(cases);
}

static void test_toml__bad_strings(void **state)
{
    static const struct refused cases[] = {
        {"a = \"x", "column 5: the string that begins here"},
        {"a = \"x\ny\"", "does not end on its line"},
        {"a = 'x\r\ny'", "does not end on its line"},
        {"a = \"\\a\"", "unknown escape"},
        {"a = \"\\x41\"", "unknown escape"},
        {"a = \"\\\n\"", "unknown escape"},
        {"a = \"\\u12g4\"", "expected 4 hexadecimal digits"},
        {"a = \"\\U0001F60\"", "expected 8 hexadecimal digits"},
        {"a = \"\\u12", "expected 4 hexadecimal digits"},
        {"a = \"\\ud800\"", "U+D800 is no Unicode character"},
        {"a = \"\\U00110000\"", "U+110000 is no Unicode character"},
        {"a = \"\\U80000000\"", "is no Unicode character"},
        {"a = \"\\u0000\"", "U+0000"},
        {"a = \"\"\"x", "does not end"},
        {"a = '''x''", "does not end"},
        {"a = \"\"\"x\"\"\"\"\"\"", "more than two quotes"},
        {"a = '''x''''''", "more than two quotes"},
        {"a = \"\"\"x \\ y\"\"\"", "unknown escape"},
        {"a = text", "`text` is no value; a text needs quotes"},
        {"a = 'x' 'y'", "expected the end of the line"},
    };
    REFUSED(cases);
}

static void test_toml__numbers(void **state)
{
    static const struct accepted cases[] = {
        {"a = [0, +0, -0, 42, +17, -17]", "{\"a\":[0,0,0,42,17,-17]}"},
        {"a = [1_000, 5_349_221, 1_2_3]", "{\"a\":[1000,5349221,123]}"},
        {"a = [9223372036854775807, -9223372036854775808]",
         "{\"a\":[9223372036854775807,-9223372036854775808]}"},
        {"a = [0xDEADBEEF, 0xdead_beef, 0x00ff, 0o755, 0o0_1, 0b1101_0110, 0x7fffffffffffffff]",
         "{\"a\":[3735928559,3735928559,255,493,1,214,9223372036854775807]}"},
        {"a = [+1.0, 3.1415, -0.01, -0.0]", "{\"a\":[1.0,3.1415,-0.01,-0.0]}"},
        {"a = [5e+22, 1e06, -2E-2, 6.626e-34, 0e0, 1_0.0_1e1_0]",
         "{\"a\":[5e+22,1e06,-2E-2,6.626e-34,0e0,10.01e10]}"},
        {"a = 1e-400", "{\"a\":1e-400}"},
        {"a = true\nb = false", "{\"a\":true,\"b\":false}"},
    };
    ACCEPTED(cases);
}

static void test_toml__bad_numbers(void **state)
{
    static const char *const values[] = {
        "01", "+01", "-01", "1_", "_1", "1__0", "+_1", "0x", "0x_1", "0x1_", "0b2", "0o8", "+0x1",
        "-0b1", "0X1", "0B1", "0xg", "1.", ".1", "1.e1", "1._1", "1_.1", "1.1_", "01.1", "1e",
        "1e_1", "1e1_", "1e1.1", "e1", "1.2.3", "--1", "+-1", "+", "-", "1a", "True", "TRUE",
        "false1", "0x1.8", "infinity", "NaN", "Inf", "1,0", "1 2", "0b", "0o", "1e+", "_",
    };
    struct world *w = *state;
    for (size_t i = 0; i < COUNT(values); i++) {
        buf_addf(&w->text, "a = %s\n", values[i]);
        struct err e = toml_to_json(buf_span(&w->text), &w->json);
        if (err_ok(e)) fail_msg("accepted: %s", values[i]);
        assert_int_equal(e.code, ERR_USAGE);
        forget(w);
    }
    static const struct refused cases[] = {
        {"a = 9223372036854775808", "does not fit 64 bits"},
        {"a = -9223372036854775809", "does not fit 64 bits"},
        {"a = 0x8000000000000000", "does not fit 64 bits"},
        {"a = 1e999", "out of range"},
        {"a = -1e999", "out of range"},
        {"a = inf", "`inf` is not accepted"},
        {"a = -inf", "`-inf` is not accepted"},
        {"a = +nan", "`+nan` is not accepted"},
    };
    REFUSED(cases);
}

static void test_toml__number_length(void **state)
{
    struct world *w = *state;
    for (size_t len = 511; len <= 512; len++) {
        buf_add_str(&w->text, "a = 0.");
        for (size_t i = 2; i < len; i++) buf_add_byte(&w->text, '1');
        struct err e = toml_to_json(buf_span(&w->text), &w->json);
        assert_int_equal(e.code, len < 512 ? ERR_NONE : ERR_USAGE);
        forget(w);
    }
}

static void test_toml_is_date__table(void **state)
{
    static const struct { const char *text; bool date; } cases[] = {
        {"1979-05-27T07:32:00Z", true},  {"1979-05-27T00:32:00-07:00", true},
        {"1979-05-27 07:32:00z", true},  {"1979-05-27t00:32:00.999999+23:59", true},
        {"1979-05-27T07:32:00", true},   {"1979-05-27T00:32:00.5", true},
        {"1979-05-27", true},            {"07:32:00", true},
        {"00:32:00.999999", true},       {"2024-02-29", true},
        {"2000-02-29", true},            {"0000-01-01", true},
        {"2016-12-31T23:59:60Z", true},  {"", false},
        {"2023-02-29", false},           {"1900-02-29", false},
        {"1979-13-01", false},           {"1979-00-01", false},
        {"1979-04-31", false},           {"1979-01-00", false},
        {"1979-1-01", false},            {"79-01-01", false},
        {"1979-05-27T", false},          {"1979-05-27T07:32", false},
        {"1979-05-27T24:00:00", false},  {"1979-05-27T07:60:00", false},
        {"1979-05-27T07:32:61", false},  {"1979-05-27T07:32:00.", false},
        {"1979-05-27T07:32:00+24:00", false}, {"1979-05-27T07:32:00+0700", false},
        {"1979-05-27T07:32:00+07:60", false}, {"1979-05-27T07:32:00ZZ", false},
        {"1979-05-27_07:32:00", false},  {"07:32", false},
        {"07:32:00Z", false},            {"1979-05-27Z", false},
        {"07-32-00", false},             {"7:32:00", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (toml_is_date(cases[i].text, strlen(cases[i].text)) != cases[i].date)
            fail_msg("%s", cases[i].text);
}

static void test_toml__dates_are_strings(void **state)
{
    static const struct accepted cases[] = {
        {"a = 1979-05-27 07:32:00Z # x", "{\"a\":\"1979-05-27 07:32:00Z\"}"},
        {"a = 1979-05-27 # x", "{\"a\":\"1979-05-27\"}"},
        {"a = [1979-05-27 ,07:32:00]", "{\"a\":[\"1979-05-27\",\"07:32:00\"]}"},
    };
    ACCEPTED(cases);
    static const struct refused bad[] = {
        {"a = 1979-05-27 07", "is no value"},
        {"a = 2023-02-29", "is no value"},
        {"a = 1979-05-27  07:32:00", "expected the end of the line"},
    };
    REFUSED(bad);
}

static void test_toml__bytes_that_are_refused(void **state)
{
    static const struct refused cases[] = {
        {"a = \"\xff\"", "not UTF-8"},
        {"# \xc3\n", "not UTF-8"},
        {"# \xed\xa0\x80\n", "not UTF-8"},
        {"# \x01\n", "control character 0x01"},
        {"a = 'x\x7f'", "control character 0x7f"},
        {"a = 1\n# x\ry\n", "line 2, column 4: control character 0x0d"},
        {"a = 1\r", "control character 0x0d"},
        {"a = '''\x1f'''", "control character 0x1f"},
        {"\xef\xbb\xbf" "a = 1", "expected a key"},
        {"\xc3\xa4\xc3\xa4 \x02", "column 4: control"},
    };
    REFUSED(cases);
    struct world *w = *state;
    struct err e = toml_to_json(span_of("a = 'x\0'", 8), &w->json);
    assert_int_equal(e.code, ERR_USAGE);
}

/* ---- structure ---------------------------------------------------------------------------- */

static void test_toml__arrays(void **state)
{
    static const struct accepted cases[] = {
        {"a = []", "{\"a\":[]}"},
        {"a = [ 1 , \"x\", [ 2, [] ], { b = 1 } , ]", "{\"a\":[1,\"x\",[2,[]],{\"b\":1}]}"},
        {"a = [ # one\n 1, # two\n\n 2\n , # three\r\n]\nb = 1", "{\"a\":[1,2],\"b\":1}"},
        {"a = [\n# nothing\n]", "{\"a\":[]}"},
        {"a = [\"\"\"x\ny\"\"\"]", "{\"a\":[\"x\\ny\"]}"},
    };
    ACCEPTED(cases);
    static const struct refused bad[] = {
        {"a = [", "expected a value"},
        {"a = [1", "expected `,` or `]`"},
        {"a = [1 2]", "expected `,` or `]`"},
        {"a = [,]", "expected a value"},
        {"a = [1,,]", "expected a value"},
        {"a = [1]]", "expected the end of the line"},
        {"a = [1, 2}", "expected `,` or `]`"},
    };
    REFUSED(bad);
}

static void test_toml__inline_tables(void **state)
{
    static const struct accepted cases[] = {
        {"a = {}", "{\"a\":{}}"},
        {"a = { }", "{\"a\":{}}"},
        {"a = { x = 1, y = 'z' }", "{\"a\":{\"x\":1,\"y\":\"z\"}}"},
        {"a = {b.c = 1, b.d = 2, \"e\" = {}}", "{\"a\":{\"b\":{\"c\":1,\"d\":2},\"e\":{}}}"},
        {"a = { x = [\n1,\n2 ] }", "{\"a\":{\"x\":[1,2]}}"},
    };
    ACCEPTED(cases);
    static const struct refused bad[] = {
        {"a = {x = 1,}", "expected a key"},
        {"a = {,}", "expected a key"},
        {"a = {x = 1\n}", "expected `,` or `}`"},
        {"a = {\nx = 1}", "expected a key"},
        {"a = {x = 1 # c\n}", "expected `,` or `}`"},
        {"a = {x = 1 y = 2}", "expected `,` or `}`"},
        {"a = {x = 1, x = 2}", "`x` is defined twice"},
        {"a = {b = 1, b.c = 2}", "a dotted key cannot extend it"},
        {"a = {b.c = 1, b = 2}", "`b` is defined twice"},
        {"a = {b = {c = 1}, b.d = 2}", "a dotted key cannot extend it"},
        {"a = {}\na.b = 1", "a dotted key cannot extend it"},
        {"a = {}\n[a]", "`a` is defined twice"},
        {"a = {}\n[a.b]", "is a value already"},
        {"a = {b.c = 1}\n[a.b]", "is a value already"},
        {"a = {", "expected a key"},
        {"a = {x", "expected `=`"},
    };
    REFUSED(bad);
}

static void test_toml__tables(void **state)
{
    static const struct accepted cases[] = {
        {"[a]\nb = 1\n[c]\nd = 2", "{\"a\":{\"b\":1},\"c\":{\"d\":2}}"},
        {"[ a . \"b.c\" . 'd' ] # x", "{\"a\":{\"b.c\":{\"d\":{}}}}"},
        {"[a.b.c]\nx = 1\n[a]\ny = 2", "{\"a\":{\"b\":{\"c\":{\"x\":1}},\"y\":2}}"},
        {"[a]\n[a.b]\n[a.c]", "{\"a\":{\"b\":{},\"c\":{}}}"},
        {"[f]\na.c = 1\na.t.s = true\n[f.a.x]\ny = 2",
         "{\"f\":{\"a\":{\"c\":1,\"t\":{\"s\":true},\"x\":{\"y\":2}}}}"},
        {"a = 1\n[b]\na = 2", "{\"a\":1,\"b\":{\"a\":2}}"},
        {"[\"\"]\na = 1", "{\"\":{\"a\":1}}"},
        {"a.b = 1\n[a.c]\nd = 2", "{\"a\":{\"b\":1,\"c\":{\"d\":2}}}"},
    };
    ACCEPTED(cases);
    static const struct refused bad[] = {
        {"[]", "expected a key"},
        {"[a", "expected `]`"},
        {"[a]]", "expected the end of the line"},
        {"[a] b = 1", "expected the end of the line"},
        {"[a.]", "expected a key"},
        {"[a\n]", "expected `]`"},
        {"[a]\n[a]", "line 2, column 2: `a` is defined twice"},
        {"[a.b]\n[a]\n[a.b]", "`b` is defined twice"},
        {"[a]\nb = 1\n[a.b]", "`b` is defined twice"},
        {"[a]\nb = 1\n[a.b.c]", "`b` is a value already"},
        {"a = 1\n[a]", "`a` is defined twice"},
        {"[f]\na.c = 1\n[f.a]", "`a` is defined twice"},
        {"[f]\na.c.d = 1\n[f.a.c]", "`c` is defined twice"},
        {"[a.b.c]\n[a]\nb.c.t = 1", "`b` is defined already, a dotted key cannot extend it"},
        {"[a.b.c.d]\n[a]\nb.c.d.k.t = 1", "a dotted key cannot extend it"},
        {"a.b = 1\na.b.c = 2", "a dotted key cannot extend it"},
        {"a.b.c = 1\na.b = 2", "`b` is defined twice"},
        {"[a.b]\n[a]\nb = 1", "`b` is defined twice"},
    };
    REFUSED(bad);
}

static void test_toml__arrays_of_tables(void **state)
{
    static const struct accepted cases[] = {
        {"[[a]]\nx = 1\n[[a]]\n[[ a ]]\nx = 3", "{\"a\":[{\"x\":1},{},{\"x\":3}]}"},
        {"[[a]]\n[a.p]\nx = 1\n[[a.v]]\ny = 1\n[[a.v]]\ny = 2\n[[a]]\n[[a.v]]\ny = 3",
         "{\"a\":[{\"p\":{\"x\":1},\"v\":[{\"y\":1},{\"y\":2}]},{\"v\":[{\"y\":3}]}]}"},
        {"[[a]]\n[a.b]\n[[a]]\n[a.b]", "{\"a\":[{\"b\":{}},{\"b\":{}}]}"},
        {"[[a.b]]\nx.y = 1", "{\"a\":{\"b\":[{\"x\":{\"y\":1}}]}}"},
        {"[a.b]\n[[a.c]]", "{\"a\":{\"b\":{},\"c\":[{}]}}"},
    };
    ACCEPTED(cases);
    static const struct refused bad[] = {
        {"[[a]", "expected `]]`"},
        {"[ [a]]", "expected a key"},
        {"[[a] ]", "expected `]]`"},
        {"a = []\n[[a]]", "no array of tables"},
        {"a = [{}]\n[[a.b]]", "`a` is a value already"},
        {"a = [{}]\n[a.b]", "`a` is a value already"},
        {"[a]\n[[a]]", "no array of tables"},
        {"[a.b]\n[[a]]", "no array of tables"},
        {"[[a]]\n[a]", "`a` is defined twice"},
        {"[[a]]\n[[a.b]]\n[a.b]", "`b` is defined twice"},
        {"[[a]]\n[a.b]\n[[a.b]]", "no array of tables"},
        {"[[a.b]]\n[a]\nb.y = 2", "a dotted key cannot extend it"},
        {"[[a]]\n[a.b]\n[a.b]", "`b` is defined twice"},
        {"a = 1\n[[a]]", "no array of tables"},
    };
    REFUSED(bad);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void nest(struct buf *b, unsigned depth, const char *open, const char *inner,
                 const char *close)
{
    buf_add_str(b, "a = ");
    for (unsigned i = 0; i < depth; i++) buf_add_str(b, open);
    buf_add_str(b, inner);
    for (unsigned i = 0; i < depth; i++) buf_add_str(b, close);
}

static void test_toml__depth(void **state)
{
    static const char *const shapes[][3] = {{"[", "", "]"}, {"{a=", "1", "}"}, {"[{a=", "1", "}]"}};
    static const unsigned levels[] = {1, 1, 2};
    struct world *w = *state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        bool leaf = *shapes[i][1]; /* a leaf is a level too */
        unsigned most = (TOML_MAX_DEPTH - leaf) / levels[i];
        for (unsigned over = 0; over < 2; over++) {
            nest(&w->text, most + over, shapes[i][0], shapes[i][1], shapes[i][2]);
            struct err e = toml_to_json(buf_span(&w->text), &w->json);
            assert_int_equal(e.code, over ? ERR_TOOLARGE : ERR_NONE);
            forget(w);
        }
    }
    nest(&w->text, 100000, "[", "", "]");
    struct err e = toml_to_json(buf_span(&w->text), &w->json);
    assert_int_equal(e.code, ERR_TOOLARGE);
    assert_non_null(strstr(err_text(e), "TOML line 1, column 37: nested deeper than 32 levels"));
}

static void test_toml__key_parts(void **state)
{
    struct world *w = *state;
    for (unsigned parts = TOML_MAX_DEPTH; parts <= TOML_MAX_DEPTH + 1; parts++) {
        for (unsigned i = 0; i < parts; i++) buf_addf(&w->text, "%sk", i ? "." : "");
        buf_add_str(&w->text, " = 1");
        struct err e = toml_to_json(buf_span(&w->text), &w->json);
        assert_int_equal(e.code, parts > TOML_MAX_DEPTH ? ERR_TOOLARGE : ERR_NONE);
        forget(w);
    }
}

static void test_toml__count(void **state)
{
    struct world *w = *state;
    for (unsigned values = TOML_MAX_VALUES; values <= TOML_MAX_VALUES + 1; values++) {
        for (unsigned i = 0; i < values; i++) buf_addf(&w->text, "k%u = 0\n", i);
        struct err e = toml_to_json(buf_span(&w->text), &w->json);
        assert_int_equal(e.code, values > TOML_MAX_VALUES ? ERR_TOOLARGE : ERR_NONE);
        forget(w);
    }
}

static void test_toml__length(void **state)
{
    struct world *w = *state;
    for (unsigned over = 0; over < 2; over++) {
        uint8_t *space = buf_extend(&w->text, TOML_MAX_TEXT + over);
        assert_non_null(space);
        memset(space, ' ', TOML_MAX_TEXT + over);
        struct err e = toml_to_json(buf_span(&w->text), &w->json);
        assert_int_equal(e.code, over ? ERR_TOOLARGE : ERR_NONE);
        forget(w);
    }
}

static void test_toml_to_json__appends(void **state)
{
    struct world *w = *state;
    buf_add_str(&w->json, "before ");
    assert_true(err_ok(toml_to_json(SPAN_LIT("a = 1"), &w->json)));
    assert_string_equal(buf_str(&w->json), "before {\"a\":1}");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_toml__comments_and_blank_lines),
        TEST(test_toml__keys),
        TEST(test_toml__bad_keys),
        TEST(test_toml__strings),
        TEST(test_toml__bad_strings),
        TEST(test_toml__numbers),
        TEST(test_toml__bad_numbers),
        TEST(test_toml__number_length),
        TEST(test_toml_is_date__table),
        TEST(test_toml__dates_are_strings),
        TEST(test_toml__bytes_that_are_refused),
        TEST(test_toml__arrays),
        TEST(test_toml__inline_tables),
        TEST(test_toml__tables),
        TEST(test_toml__arrays_of_tables),
        TEST(test_toml__depth),
        TEST(test_toml__key_parts),
        TEST(test_toml__count),
        TEST(test_toml__length),
        TEST(test_toml_to_json__appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
