#include "tests/unit/attest/as_recorded.h"

static struct json_doc *doc;
static struct buf made, value, why;

static int setup(void **state)
{
    doc = vector_json("kbs/as-rest.json");
    return 0;
}

static int teardown(void **state)
{
    json_free(doc);
    buf_free(&made);
    buf_free(&value);
    buf_free(&why);
    return 0;
}

static const char *body_of(size_t n, const char *side)
{
    return json_string(json_get(json_get(recorded(doc, n), side), "body"));
}

static void test_write__evaluate(void **state)
{
    struct json_doc *theirs = NULL;
    struct buf evidence = BUF_INIT, runtime = BUF_INIT;
    assert_ok(json_parse(span_str(body_of(0, "request")), &theirs));
    struct json p = json_pointer(json_root(theirs), "/verification_requests/0");
    assert_ok(b64url_decode(span_str(json_string(json_get(p, "evidence"))), &evidence));
    runtime_of(json_pointer(p, "/runtime_data/structured"), &runtime);
    struct as_piece piece = {.tee = "sample", .evidence = buf_span(&evidence),
                             .runtime = buf_span(&runtime), .hash = "sha384"};
    struct as_call call = {.op = AS_EVALUATE, .pieces = &piece, .piece_count = 1};
    buf_reset(&made);
    assert_ok(as_rest.write(&call, &made));
    assert_same_json(buf_span(&made), span_str(body_of(0, "request")));
    assert_string_equal(as_rest.paths[AS_EVALUATE], "/attestation");
    json_free(theirs);
    buf_free(&evidence);
    buf_free(&runtime);
}

static void test_write__the_others(void **state)
{
    static const struct as_piece pieces[] = {
        {"snp", SPAN_LIT("[1]"), SPAN_LIT("{}"), "sha384", "a = \"\303\274\"\n"},
        {"sampledevice", SPAN_LIT("\"x\""), SPAN_LIT("{\"b\":2}"), "sha384", NULL},
    };
    static const struct { struct as_call call; const char *body; } rows[] = {
        {{.op = AS_CHALLENGE, .id = "sample", .text = SPAN_LIT("")}, "{\"tee\":\"sample\",\"tee_params\":\"\"}"},
        {{.op = AS_CHALLENGE, .id = "se", .text = SPAN_LIT("{\"a\":1}")},
         "{\"tee\":\"se\",\"tee_params\":\"{\\\"a\\\":1}\"}"},
        {{.op = AS_SET_POLICY, .id = "default_cpu", .text = SPAN_LIT("not rego")},
         "{\"policy_id\":\"default_cpu\",\"policy\":\"bm90IHJlZ28\"}"},
        {{.op = AS_EVALUATE, .pieces = pieces, .piece_count = 2},
         "{\"verification_requests\":[{\"tee\":\"snp\",\"evidence\":\"WzFd\",\"runtime_data\":{\"structured\":{}},"
         "\"init_data\":{\"init_data_toml\":\"a = \\\"\303\274\\\"\\n\"},\"runtime_data_hash_algorithm\":\"sha384\"},"
         "{\"tee\":\"sampledevice\",\"evidence\":\"Ingi\",\"runtime_data\":{\"structured\":{\"b\":2}},"
         "\"init_data\":null,\"runtime_data_hash_algorithm\":\"sha384\"}],\"policy_ids\":[\"default\"]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_reset(&made);
        assert_ok(as_rest.write(&rows[i].call, &made));
        assert_string_equal(buf_str(&made), rows[i].body);
    }
    assert_string_equal(buf_str(&made), rows[3].body);
    assert_string_equal(body_of(5, "request"), rows[0].body); /* as it was recorded */
    assert_null(as_rest.paths[AS_REGISTER]);
    assert_null(as_rest.paths[AS_QUERY]);
}

static void test_write__limit(void **state)
{
    struct buf large = BUF_INIT;
    static const char around[] = "{\"tee\":\"se\",\"tee_params\":\"\"}";
    assert_non_null(buf_extend(&large, AS_REQUEST_MAX));
    memset(large.data, 'x', large.len);
    for (int over = 0; over <= 1; over++) {
        struct as_call call = {.op = AS_CHALLENGE, .id = "se", .text = span_of(
            large.data, AS_REQUEST_MAX - strlen(around) + (size_t) over)};
        buf_reset(&made);
        assert_int_equal(as_rest.write(&call, &made).code, over ? ERR_TOOLARGE : ERR_NONE);
    }
    buf_free(&large);
}

static enum as_outcome read_with(long status, struct span body)
{
    struct as_call call = {.op = AS_EVALUATE};
    struct as_answer answer = {.status = status, .body = body};
    buf_reset(&value);
    buf_reset(&why);
    return as_rest.read(&call, &answer, &value, &why);
}

static void test_read(void **state)
{
    static const struct { long status; enum as_outcome outcome; } rows[] = {
        {200, AS_DONE}, {500, AS_REFUSED}, {400, AS_REFUSED}, {413, AS_REFUSED}, {422, AS_REFUSED},
        {401, AS_UNABLE}, {403, AS_UNABLE}, {404, AS_UNABLE}, {405, AS_UNABLE}, {429, AS_UNABLE},
        {502, AS_DOWN}, {503, AS_DOWN}, {504, AS_DOWN}, {301, AS_DOWN}, {204, AS_DOWN}, {0, AS_DOWN},
    };
    assert_int_equal(read_with(200, span_str(body_of(0, "response"))), AS_DONE);
    assert_string_equal(buf_str(&value), body_of(0, "response"));
    assert_int_equal(read_with(500, span_str(body_of(1, "response"))), AS_REFUSED);
    assert_non_null(strstr(buf_str(&why), "HTTP status 500: An internal error occured: \n0: attestation report"));
    assert_true(why.len <= AS_REASON_MAX + 32);
    assert_int_equal(value.len, 0);
    assert_int_equal(read_with(200, SPAN_LIT("a.b.c \r\n")), AS_DONE);
    assert_span(buf_span(&value), "a.b.c");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (read_with(rows[i].status, SPAN_LIT("x")) != rows[i].outcome) fail_msg("status %ld", rows[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write__evaluate),
        cmocka_unit_test(test_write__the_others),
        cmocka_unit_test(test_write__limit),
        cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
