/* The reader of LocalJson files, fed in pieces of every size. */
#include "broker/cmd/local_json.h"

#include "broker/base/limits.h"
#include "tests/lib/test.h"

struct feed {
    struct span rest;
    size_t piece;
};

static struct buf seen;
static size_t max_value;

static err_t feed(void *arg, uint8_t *into, size_t room, size_t *ret_len)
{
    struct feed *f = arg;
    size_t n = f->rest.len < f->piece ? f->rest.len : f->piece;
    if (n > room) n = room;
    if (n) memcpy(into, f->rest.data, n);
    f->rest = span_of(f->rest.data + n, f->rest.len - n);
    *ret_len = n;
    return ERR_OK;
}

static err_t collect(void *arg, struct local_json_entry *e)
{
    (void) arg;
    struct span value = e->value ? secret_span(*e->value) : span_of(NULL, 0);
    buf_addf(&seen, "[%.*s|", (int) (e->key.len < 40 ? e->key.len : 40), (const char *) e->key.data);
    if (e->flaw) buf_addf(&seen, "!%s", e->flaw);
    else buf_add_span(&seen, value.len < 40 ? value : span_of(NULL, 0));
    buf_add_str(&seen, "]");
    return ERR_OK;
}

static err_t read_span(struct span text, size_t piece, bool values)
{
    struct feed f = {text, piece};
    const struct local_json_source source = {feed, &f};
    const struct local_json_visitor visitor = {.values = values, .max = max_value, .visit = collect};
    buf_reset(&seen);
    return local_json_read(&source, &visitor);
}

static err_t read_text(const char *text) { return read_span(span_str(text), 1000000, true); }

static int setup(void **state)
{
    (void) state;
    max_value = VALUE_MAX;
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    buf_free(&seen);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void test_read__entries(void **state)
{
    static const char text[] = " {\"a/b/c\" : \"b25l\", \"\\u00e9\\ud83d\\ude00\\n\":\"X18=\",\r\n\t"
                               "\"none\":\"\", \"esc\":\"\\u0062\\u003d\\u003D\\u003d\", "
                               "\"pad\":\"YQ==\"} \n";
    for (size_t piece = 1; piece < sizeof text + 2; piece++) {
        assert_ok(read_span(span_str(text), piece, true));
        assert_string_equal(buf_str(&seen), "[a/b/c|one][\xc3\xa9\xf0\x9f\x98\x80\n|__][none|]"
                            "[esc|!its value is no base64url with padding][pad|a]");
    }
    assert_ok(read_span(span_str(text), 3, false));
    assert_string_equal(buf_str(&seen), "[a/b/c|][\xc3\xa9\xf0\x9f\x98\x80\n|][none|][esc|][pad|]");
    assert_ok(read_text("{}"));
    assert_string_equal(buf_str(&seen), "");
}

static void test_read__flawed_values_do_not_end_it(void **state)
{
    static const char *const wrong[] = {"\"YQ\"", "\"YQ=\"", "\"YQ===\"", "\"Y===\"", "\"YR==\"",
                                        "\"a+/b\"", "\"YQ==YQ==\"", "\"====\"", "\"Y Q=\"", "5",
                                        "-1.5e+3", "true", "null", "[]", "[1,[2,{}]]",
                                        "{\"x\":[\"y\",{\"z\":\"\\u0041\"}]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[120];
        snprintf(text, sizeof text, "{\"a\":%s,\"b\":\"YQ==\"}", wrong[i]);
        assert_ok(read_text(text));
        if (!strstr(buf_str(&seen), "[a|!its value is no ") || !strstr(buf_str(&seen), "[b|a]"))
            fail_msg("%s gave %s", text, buf_str(&seen));
    }
}

static void test_read__malformed(void **state)
{
    static const struct {
        const char *text, *what;
    } rows[] = {
        {"", "byte 0: a JSON object is expected"}, {"[]", "object"}, {"\"x\"", "object"},
        {"{", "text is expected"}, {"{\"a\"", "byte 4: a colon"}, {"{\"a\":", "value is expected"},
        {"{\"a\":\"YQ==\"", "comma"}, {"{\"a\":\"YQ==\",}", "text is expected"},
        {"{\"a\":\"YQ==\"} x", "follows"}, {"{\"a\":\"YQ", "does not end"}, {"{\"a\":\"\\", "does not end"},
        {"{\"a\":\"\\x\"}", "escape"}, {"{\"a\":\"\\u00g0\"}", "hex"}, {"{\"a\\ud800\":\"\"}", "surrogate"},
        {"{\"a\\ud800\\u0041\":\"\"}", "surrogate"}, {"{\"\\udc00\":\"\"}", "surrogate"},
        {"{\"a\n\":\"\"}", "control"}, {"{a:1}", "text is expected"}, {"{\"a\":[1 2]}", "comma"},
        {"{\"a\":{1:2}}", "text is expected"}, {"{\"a\":[1,]}", "value is expected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = read_text(rows[i].text);
        if (e.code != ERR_USAGE || !strstr(err_text(e), rows[i].what))
            fail_msg("%s gave %s", rows[i].text, err_text(e));
    }
    assert_fails(read_span(span_of("{\"a\":\0}", 7), 1, true), ERR_USAGE);
}

static void test_read__depth(void **state)
{
    struct buf text = BUF_INIT;
    for (unsigned depth = JSON_MAX_DEPTH - 1; depth <= JSON_MAX_DEPTH; depth++) {
        buf_reset(&text);
        buf_add_str(&text, "{\"a\":");
        for (unsigned i = 0; i < depth; i++) buf_add_str(&text, "[");
        for (unsigned i = 0; i < depth; i++) buf_add_str(&text, "]");
        buf_add_str(&text, "}");
        struct err e = read_text(buf_str(&text));
        assert_int_equal(err_ok(e), depth < JSON_MAX_DEPTH);
    }
    buf_free(&text);
}

static void test_read__limits(void **state)
{
    struct buf text = BUF_INIT;
    max_value = 3;
    assert_ok(read_text("{\"a\":\"YWFh\",\"b\":\"YWFhYQ==\"}"));
    assert_string_equal(buf_str(&seen), "[a|aaa][b|!its value is larger than the limit]");
    max_value = VALUE_MAX;
    for (size_t extra = 0; extra <= 4; extra += 4) { /* 2 MiB is no multiple of three: YQ== or YWE= */
        buf_reset(&text);
        buf_add_str(&text, "{\"a\":\"");
        for (size_t i = 0; i < VALUE_MAX / 3 * 4 + extra; i += 4) buf_add_str(&text, "YWFh");
        buf_add_str(&text, "YWE=\"}");
        assert_ok(read_text(buf_str(&text)));
        assert_string_equal(buf_str(&seen), extra ? "[a|!its value is larger than the limit]" : "[a|]");
    }
    for (unsigned key = IMPORT_KEY_MAX; key <= IMPORT_KEY_MAX + 2; key++) {
        buf_reset(&text);
        buf_addf(&text, "{\"%0*d\":\"YQ==\"}", (int) key, 0);
        assert_ok(read_text(buf_str(&text)));
        assert_int_equal(strstr(buf_str(&seen), "longer than the limit") != NULL,
                         key > IMPORT_KEY_MAX + 1);
    }
    for (unsigned n = IMPORT_MAX_ENTRIES; n <= IMPORT_MAX_ENTRIES + 1; n++) {
        buf_reset(&text);
        for (unsigned i = 0; i < n; i++) buf_addf(&text, "%c\"%u\":\"\"", i ? ',' : '{', i);
        buf_add_str(&text, "}");
        assert_int_equal(read_text(buf_str(&text)).code,
                         n > IMPORT_MAX_ENTRIES ? ERR_TOOLARGE : ERR_NONE);
    }
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_read__entries),   TEST(test_read__flawed_values_do_not_end_it),
        TEST(test_read__malformed), TEST(test_read__depth),
        TEST(test_read__limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
