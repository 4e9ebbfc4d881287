#include "tests/unit/attest/as_recorded.h"

#include "broker/attest/attestation.pb-c.h"

static struct json_doc *doc;
static struct buf wanted, made, value, why;

static int setup(void **state)
{
    doc = vector_json("kbs/as-grpc.json");
    return 0;
}

static int teardown(void **state)
{
    json_free(doc);
    buf_free(&wanted);
    buf_free(&made);
    buf_free(&value);
    buf_free(&why);
    return 0;
}

/* The recorded request of an exchange, and where it goes. */
static void load(size_t n, enum as_op op)
{
    struct json x = recorded(doc, n);
    assert_string_equal(json_string(json_get(x, "path")), as_grpc.paths[op]);
    unhex(json_string(json_get(x, "request_hex")), &wanted);
    buf_reset(&made);
}

static Attestation__EvaluateRequest *unpack(struct span packed)
{
    Attestation__EvaluateRequest *r = attestation__evaluate_request__unpack(NULL, packed.len, packed.data);
    assert_non_null(r);
    return r;
}

/* Field by field: the recorded client wrote its JSON with spaces. */
static void test_write__evaluate(void **state)
{
    struct buf runtime = BUF_INIT, evidence = BUF_INIT;
    struct json_doc *text = NULL;
    struct span packed = {0};
    const char *wrong = NULL;
    load(0, AS_EVALUATE);
    Attestation__EvaluateRequest *theirs = unpack(buf_span(&wanted));
    Attestation__Evidence *e = theirs->verification_requests[0];
    assert_ok(b64url_decode(span_str(e->evidence), &evidence));
    assert_ok(json_parse(span_str(e->structured_runtime_data), &text));
    runtime_of(json_root(text), &runtime);
    struct as_piece piece = {.tee = "sample", .evidence = buf_span(&evidence),
                             .runtime = buf_span(&runtime), .hash = "sha384"};
    struct as_call call = {.op = AS_EVALUATE, .pieces = &piece, .piece_count = 1};
    assert_ok(as_grpc.write(&call, &made));
    assert_true(grpc_message(buf_span(&made), &packed, &wrong));

    Attestation__EvaluateRequest *ours = unpack(packed);
    assert_int_equal(ours->n_verification_requests, 1);
    assert_int_equal(ours->n_policy_ids, 1);
    assert_string_equal(ours->policy_ids[0], theirs->policy_ids[0]);
    Attestation__Evidence *o = ours->verification_requests[0];
    assert_string_equal(o->tee, e->tee);
    assert_string_equal(o->evidence, e->evidence);
    assert_string_equal(o->runtime_data_hash_algorithm, e->runtime_data_hash_algorithm);
    assert_null(o->init_data_toml);
    assert_null(e->init_data_toml);
    assert_same_json(span_str(o->structured_runtime_data), span_str(e->structured_runtime_data));
    assert_int_equal(o->base.n_unknown_fields + e->base.n_unknown_fields, 0);
    attestation__evaluate_request__free_unpacked(ours, NULL);
    attestation__evaluate_request__free_unpacked(theirs, NULL);
    json_free(text);
    buf_free(&runtime);
    buf_free(&evidence);
}

static void test_write__several_pieces(void **state)
{
    static const struct as_piece pieces[] = {
        {"snp", SPAN_LIT("[1]"), SPAN_LIT("{}"), "sha384", "a = 1\n"},
        {"se", SPAN_LIT("\"x\""), SPAN_LIT("{\"b\":2}"), "sha512", NULL},
    };
    struct as_call call = {.op = AS_EVALUATE, .pieces = pieces, .piece_count = 2};
    struct span packed = {0};
    const char *wrong = NULL;
    buf_reset(&made);
    assert_ok(as_grpc.write(&call, &made));
    assert_true(grpc_message(buf_span(&made), &packed, &wrong));
    Attestation__EvaluateRequest *r = unpack(packed);
    assert_int_equal(r->n_verification_requests, 2);
    assert_string_equal(r->verification_requests[0]->init_data_toml, "a = 1\n");
    assert_string_equal(r->verification_requests[0]->evidence, "WzFd");
    assert_string_equal(r->verification_requests[1]->evidence, "Ingi");
    assert_string_equal(r->verification_requests[1]->structured_runtime_data, "{\"b\":2}");
    assert_string_equal(r->verification_requests[1]->runtime_data_hash_algorithm, "sha512");
    attestation__evaluate_request__free_unpacked(r, NULL);
}

/* Byte for byte. */
static void test_write__the_others(void **state)
{
    static const char policy[] = "package policy\ndefault trust_claims := {}\n"
                                 "trust_claims := {\"executables\": 3, \"hardware\": 2, \"configuration\": 2}\n";
    static const char message[] = "{\"version\": \"0.1.0\", \"type\": \"sample\", "
                                  "\"payload\": \"eyJzdm4iOiBbIjEiXX0=\"}";
    static const struct { size_t n; struct as_call call; } rows[] = {
        {3, {.op = AS_CHALLENGE, .id = "sample", .text = SPAN_LIT("")}},
        {3, {.op = AS_ALIVE, .id = "sample", .text = SPAN_LIT("")}},
        {4, {.op = AS_SET_POLICY, .id = "default_cpu", .text = SPAN_LIT("HERE")}},
        {5, {.op = AS_SET_POLICY, .id = "default_cpu", .text = SPAN_LIT("not rego")}},
        {6, {.op = AS_REGISTER, .text = SPAN_LIT("HERE")}},
        {7, {.op = AS_QUERY, .id = "svn"}},
        {8, {.op = AS_QUERY, .id = "none"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct as_call call = rows[i].call;
        struct span packed = {0};
        const char *wrong = NULL;
        load(rows[i].n, call.op);
        if (rows[i].n == 4) call.text = span_str(policy);
        if (rows[i].n == 6) call.text = span_str(message);
        assert_ok(as_grpc.write(&call, &made));
        assert_true(grpc_message(buf_span(&made), &packed, &wrong));
        if (!span_eq(packed, buf_span(&wanted))) fail_msg("exchange %zu", rows[i].n);
    }
}

static void test_write__limit(void **state)
{
    struct buf large = BUF_INIT;
    size_t start = 0;
    assert_non_null(buf_extend(&large, AS_REQUEST_MAX));
    memset(large.data, 'x', large.len);
    for (int over = 0; over <= 1; over++) {
        /* tag, four bytes of length, text */
        struct as_call call = {.op = AS_REGISTER, .text = span_of(large.data, AS_REQUEST_MAX - 5 + (size_t) over)};
        buf_reset(&made);
        struct err e = as_grpc.write(&call, &made);
        assert_int_equal(e.code, over ? ERR_TOOLARGE : ERR_NONE);
        if (!over) start = made.len;
    }
    assert_int_equal(start, AS_REQUEST_MAX + GRPC_PREFIX);
    buf_free(&large);
}

/* What came back, as the service answered it. */
static enum as_outcome read_recorded(size_t n, enum as_op op)
{
    struct json x = recorded(doc, n);
    struct as_call call = {.op = op};
    struct as_answer answer = {.status = 200};
    const char *hex = json_string(json_get(x, "response_hex"));
    const char *message = json_string(json_get(x, "grpc_message"));
    struct buf body = BUF_INIT;
    int64_t status = -1;
    char digits[24];
    buf_reset(&value);
    buf_reset(&why);
    assert_true(json_int(json_get(x, "grpc_status"), &status));
    snprintf(digits, sizeof digits, "%jd", (intmax_t) status);
    if (hex) {
        unhex(hex, &wanted);
        assert_non_null(buf_extend(&body, GRPC_PREFIX));
        buf_add_span(&body, buf_span(&wanted));
        grpc_frame(&body, 0);
    }
    grpc_note(&answer.head, SPAN_LIT("content-type"), SPAN_LIT("application/grpc"));
    grpc_note(&answer.head, SPAN_LIT("grpc-status"), span_str(digits));
    if (message) grpc_note(&answer.head, SPAN_LIT("grpc-message"), span_str(message));
    answer.body = buf_span(&body);
    enum as_outcome outcome = as_grpc.read(&call, &answer, &value, &why);
    grpc_head_done(&answer.head);
    buf_free(&body);
    return outcome;
}

static void test_read__recorded(void **state)
{
    assert_int_equal(read_recorded(0, AS_EVALUATE), AS_DONE);
    assert_true(span_starts(buf_span(&value), "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiIs"));
    assert_int_equal(read_recorded(1, AS_EVALUATE), AS_REFUSED);
    assert_non_null(strstr(buf_str(&why), "ABORTED: Attestation evaluation failed: \n0: Verifier"));
    assert_int_equal(value.len, 0);
    assert_int_equal(read_recorded(2, AS_EVALUATE), AS_REFUSED);
    assert_int_equal(read_recorded(3, AS_CHALLENGE), AS_DONE);
    assert_int_equal(value.len, 0);
    assert_int_equal(read_recorded(4, AS_SET_POLICY), AS_DONE);
    assert_int_equal(read_recorded(5, AS_SET_POLICY), AS_REFUSED);
    assert_int_equal(read_recorded(6, AS_REGISTER), AS_DONE);
    assert_int_equal(read_recorded(7, AS_QUERY), AS_DONE);
    assert_span(buf_span(&value), "[\"1\"]");
    assert_int_equal(read_recorded(8, AS_QUERY), AS_DONE);
    assert_int_equal(value.len, 0);
}

static enum as_outcome read_status(long http, const char *type, const char *status)
{
    struct as_call call = {.op = AS_SET_POLICY};
    struct as_answer answer = {.status = http, .body = span_of("\0\0\0\0\0", 5)};
    buf_reset(&why);
    grpc_note(&answer.head, SPAN_LIT("content-type"), span_str(type));
    if (status) grpc_note(&answer.head, SPAN_LIT("grpc-status"), span_str(status));
    enum as_outcome outcome = as_grpc.read(&call, &answer, &value, &why);
    grpc_head_done(&answer.head);
    return outcome;
}

static void test_read__statuses(void **state)
{
    static const enum as_outcome by_number[] = {
        AS_DONE, AS_DOWN, AS_UNABLE, AS_REFUSED, AS_DOWN, AS_REFUSED, AS_REFUSED, AS_UNABLE, AS_UNABLE,
        AS_REFUSED, AS_REFUSED, AS_REFUSED, AS_UNABLE, AS_UNABLE, AS_DOWN, AS_UNABLE, AS_UNABLE, AS_DOWN,
    };
    for (size_t i = 0; i < sizeof by_number / sizeof *by_number; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        if (read_status(200, "application/grpc", number) != by_number[i]) fail_msg("status %zu", i);
    }
    assert_int_equal(read_status(200, "application/grpc", NULL), AS_CUT);
    assert_int_equal(read_status(200, "application/grpc", "x"), AS_DOWN);
    assert_int_equal(read_status(200, "text/html", "0"), AS_DOWN);
    assert_int_equal(read_status(503, "application/grpc", "0"), AS_DOWN);
    assert_int_equal(read_status(413, "text/html", NULL), AS_REFUSED);
    assert_int_equal(value.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write__evaluate),
        cmocka_unit_test(test_write__several_pieces),
        cmocka_unit_test(test_write__the_others),
        cmocka_unit_test(test_write__limit),
        cmocka_unit_test(test_read__recorded),
        cmocka_unit_test(test_read__statuses),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
