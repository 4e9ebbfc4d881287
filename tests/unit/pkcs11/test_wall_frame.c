#include "tests/lib/test.h"

#include <stdlib.h>

#include "pkcs11/wall_calls.h"

#define FRAME_MAX (WALL_FRAME_MAX + (64u << 10))

/* ---- a call of each kind of argument ----------------------------------------------------- */

static uint8_t iv[12] = "initvector.", aad[100] = "aad", input[200] = "input of the call";
static CK_GCM_PARAMS gcm = {iv, sizeof iv, 96, aad, sizeof aad, 128};
static CK_MECHANISM mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
static CK_ULONG class = CKO_SECRET_KEY;
static uint8_t label[70] = "a label that is too long to be copied into the words of a request ...";

/* What the caller of a function has. */
struct caller {
    struct wall_arg args[WALL_ARGS];
    CK_ATTRIBUTE attributes[3];
    CK_ULONG number, list[4];
    uint8_t out[300], values[2][16], fixed[sizeof(CK_TOKEN_INFO)];
    CK_ULONG out_n, list_n;
};

static void fill(struct caller *c, char letter, struct wall_arg *a)
{
    if (letter == 'u') a->n = 0x1122334455667788;
    if (letter == 'i') *a = (struct wall_arg){.n = sizeof input, .p = input};
    if (letter == 'm') a->p = &mechanism;
    if (letter == 'h') a->ret = &c->number;
    if (letter == 'f') a->p = c->fixed;
    if (letter == 'o') *a = (struct wall_arg){.n = sizeof c->out, .p = c->out, .ret = &c->out_n};
    if (letter == 'l') *a = (struct wall_arg){.n = 4, .p = c->list, .ret = &c->list_n};
    if (letter == 't' || letter == 'a') *a = (struct wall_arg){.n = 3, .p = c->attributes};
    if (letter == 't') {
        c->attributes[0] = (CK_ATTRIBUTE){CKA_CLASS, &class, sizeof class};
        c->attributes[1] = (CK_ATTRIBUTE){CKA_LABEL, label, sizeof label};
        c->attributes[2] = (CK_ATTRIBUTE){CKA_ID, NULL, 0};
    }
    if (letter == 'a') {
        c->attributes[0] = (CK_ATTRIBUTE){CKA_CLASS, c->values[0], 16};
        c->attributes[1] = (CK_ATTRIBUTE){CKA_LABEL, c->values[1], 16};
        c->attributes[2] = (CK_ATTRIBUTE){CKA_VALUE, NULL, 0};
    }
}

static void caller_init(struct caller *c, const struct wall_shape *shape)
{
    *c = (struct caller){.out_n = sizeof c->out, .list_n = 4};
    for (unsigned i = 0; shape->letters[i]; i++) fill(c, shape->letters[i], &c->args[i]);
}

/* The request's or reply's bytes as they travel, aligned; the caller frees. */
static struct span flatten(const struct iovec *pieces, int n)
{
    static uint64_t frame[FRAME_MAX / sizeof(uint64_t)];
    size_t len = 0;
    for (int i = 0; i < n; i++) {
        assert_true(len + pieces[i].iov_len <= sizeof frame);
        memcpy((uint8_t *) frame + len, pieces[i].iov_base, pieces[i].iov_len);
        len += pieces[i].iov_len;
    }
    return span_of(frame, len);
}

static struct wall_request request;

static struct span request_of(unsigned call, const struct wall_arg *args)
{
    wall_request_start(&request, false);
    wall_request_add(&request, call, wall_call_shape(call), args);
    assert_true(wall_request_end(&request));
    return flatten(request.pieces, request.piece_n);
}

static void test_request__nothing_stays_of_what_was_wiped(void **state)
{
    static const uint8_t secret[16] = "short: copied in";
    struct wall_arg args[WALL_ARGS] = {{.n = 1}, {.n = sizeof secret, .p = (void *) (uintptr_t) secret}};
    request_of(WALL_Encrypt, args);
    assert_non_null(memmem(request.words, sizeof request.words, secret, sizeof secret));
    wall_request_wipe(&request);
    assert_null(memmem(request.words, sizeof request.words, secret, sizeof secret));
}

/* ---- there and back ---------------------------------------------------------------------- */

static void assert_arrived(char letter, const struct wall_arg *sent, const struct wall_arg *came)
{
    const CK_ATTRIBUTE *want = sent->p, *have = came->p;
    const CK_MECHANISM *m = came->p;
    if (letter == 'u') assert_int_equal(came->n, sent->n);
    if (letter == 'i') assert_memory_equal(came->p, sent->p, sent->n);
    if (letter == 'o' || letter == 'l') assert_int_equal(*came->ret, sent->n);
    if (letter == 'm') {
        const CK_GCM_PARAMS *g = m->pParameter;
        assert_int_equal(m->mechanism, CKM_AES_GCM);
        assert_int_equal(g->ulAADLen, sizeof aad);
        assert_memory_equal(g->pAAD, aad, sizeof aad);
        assert_memory_equal(g->pIv, iv, sizeof iv);
        assert_int_equal(g->ulIvBits + g->ulTagBits, 96 + 128);
    }
    for (CK_ULONG i = 0; (letter == 't' || letter == 'a') && i < sent->n; i++) {
        assert_int_equal(have[i].type, want[i].type);
        assert_int_equal(have[i].ulValueLen, want[i].ulValueLen);
        assert_true(!have[i].pValue == !want[i].pValue);
        if (letter == 't' && want[i].pValue)
            assert_memory_equal(have[i].pValue, want[i].pValue, want[i].ulValueLen);
    }
}

/* As a module does: results, each byte of which is known. */
static void compute(const struct wall_shape *shape, struct wall_arg *args)
{
    for (const char *c = shape->letters; *c; c++, args++) {
        CK_ATTRIBUTE *attributes = args->p;
        assert_int_equal((uintptr_t) args->p % 8, 0); /* aligned, whatever it is */
        if (*c == 'h') *args->ret = 77;
        if (*c == 'f') memset(args->p, 'f', args->n);
        if (*c == 'o') memset(args->p, 'o', *args->ret = 131);
        if (*c == 'l') memset(args->p, 'l', (*args->ret = 3) * sizeof(CK_ULONG));
        if (*c != 'a') continue;
        memset(attributes[0].pValue, 'a', attributes[0].ulValueLen = 8);
        attributes[1].ulValueLen = CK_UNAVAILABLE_INFORMATION;
        attributes[2].ulValueLen = 4711; /* its length was asked for */
    }
}

static struct wall_frame frame;
static uint64_t room[FRAME_MAX / sizeof(uint64_t)];

/* The helper's half: the reply's bytes. */
static struct span serve(struct span bytes, CK_RV rv)
{
    uint64_t words[WALL_REPLY_WORDS];
    struct iovec pieces[WALL_REPLY_PIECES];
    assert_true(wall_frame_decode(bytes, wall_call_shape, &frame));
    assert_true(frame.room <= sizeof room);
    wall_frame_room(&frame, wall_call_shape, room);
    struct wall_call_in *last = &frame.calls[frame.call_n - 1];
    compute(wall_call_shape(last->call), last->args);
    return flatten(pieces, wall_reply_make(&frame, wall_call_shape, frame.call_n - 1, rv, words, pieces));
}

/* The broker's half; false: not believed. */
static bool take(const struct wall_shape *shape, struct wall_arg *args, struct span reply, size_t calls,
                 CK_RV *ret_rv)
{
    uint64_t words[WALL_REPLY_WORDS] = {0};
    struct iovec pieces[WALL_REPLY_PIECES];
    size_t at = wall_reply_words(shape, args) * sizeof *words;
    int n = 0;
    if (reply.len < at) return false;
    memcpy(words, reply.data, at);
    if (!wall_reply_take(shape, args, words, calls, ret_rv, pieces, &n)) return false;
    for (int i = 0; i < n; at += pieces[i++].iov_len) {
        if (pieces[i].iov_len > reply.len - at) return false;
        memcpy(pieces[i].iov_base, reply.data + at, pieces[i].iov_len);
    }
    return at == reply.len;
}

static bool all(const void *at, uint8_t byte, size_t n)
{
    const uint8_t *p = at;
    while (n && p[n - 1] == byte) n--;
    return n == 0;
}

static void assert_results(const struct wall_shape *shape, const struct caller *c)
{
    for (const char *l = shape->letters; *l; l++) {
        if (*l == 'h') assert_int_equal(c->number, 77);
        if (*l == 'f') assert_true(all(c->fixed, 'f', shape->fixed));
        if (*l == 'o') assert_true(c->out_n == 131 && all(c->out, 'o', 131) && !c->out[131]);
        if (*l == 'l') assert_true(c->list_n == 3 && all(c->list, 'l', 24) && !c->list[3]);
        if (*l != 'a') continue;
        assert_true(c->attributes[0].ulValueLen == 8 && all(c->values[0], 'a', 8));
        assert_true(c->attributes[1].ulValueLen == CK_UNAVAILABLE_INFORMATION && !c->values[1][0]);
        assert_int_equal(c->attributes[2].ulValueLen, 4711);
    }
}

static void test_frame__every_call_there_and_back(void **state)
{
    for (unsigned call = 0; call < WALL_CALL_COUNT; call++) {
        const struct wall_shape *shape = wall_call_shape(call);
        struct caller c;
        CK_RV rv = 1;
        caller_init(&c, shape);
        struct span bytes = request_of(call, c.args);
        assert_true(wall_frame_decode(bytes, wall_call_shape, &frame));
        assert_int_equal(frame.calls[0].call, call);
        for (unsigned i = 0; shape->letters[i]; i++)
            assert_arrived(shape->letters[i], &c.args[i], &frame.calls[0].args[i]);
        assert_true(take(shape, c.args, serve(bytes, CKR_OK), 1, &rv));
        assert_int_equal(rv, CKR_OK);
        assert_results(shape, &c);
    }
}

/* Of a call that failed come the numbers alone, and no bytes: none of a plaintext that did not verify. */
static void test_frame__failed_calls_carry_no_bytes(void **state)
{
    struct caller c;
    CK_RV rv = CKR_OK;
    const struct wall_shape *shape = wall_call_shape(WALL_Decrypt);
    caller_init(&c, shape);
    assert_true(take(shape, c.args, serve(request_of(WALL_Decrypt, c.args), CKR_BUFFER_TOO_SMALL), 1, &rv));
    assert_int_equal(rv, CKR_BUFFER_TOO_SMALL);
    assert_int_equal(c.out_n, 131);
    assert_true(all(c.out, 0, sizeof c.out));
}

static void test_frame__start_and_operation_in_one(void **state)
{
    struct caller begin, c;
    CK_RV rv = 1;
    uint64_t words[WALL_REPLY_WORDS];
    struct iovec pieces[WALL_REPLY_PIECES];
    const struct wall_shape *shape = wall_call_shape(WALL_Decrypt);
    caller_init(&begin, wall_call_shape(WALL_DecryptInit));
    caller_init(&c, shape);
    wall_request_start(&request, true);
    wall_request_add(&request, WALL_DecryptInit, wall_call_shape(WALL_DecryptInit), begin.args);
    aad[0] ^= 1; /* what was given at the start has been copied */
    request.copies = false;
    wall_request_add(&request, WALL_Decrypt, shape, c.args);
    assert_true(wall_request_end(&request));
    struct span bytes = flatten(request.pieces, request.piece_n);
    assert_true(wall_frame_decode(bytes, wall_call_shape, &frame));
    const CK_MECHANISM *m = frame.calls[0].args[1].p;
    assert_int_equal(((const CK_GCM_PARAMS *) m->pParameter)->pAAD[0], aad[0] ^ 1);
    aad[0] ^= 1;
    assert_int_equal(frame.call_n, 2);
    assert_true(take(shape, c.args, serve(bytes, CKR_OK), 2, &rv));
    assert_results(shape, &c);
    /* The start fails: there are no results, and it cannot have gone well. */
    caller_init(&c, shape);
    bytes = flatten(request.pieces, request.piece_n);
    assert_true(wall_frame_decode(bytes, wall_call_shape, &frame));
    wall_frame_room(&frame, wall_call_shape, room);
    for (CK_RV code = CKR_OK; code <= CKR_HOST_MEMORY; code += CKR_HOST_MEMORY) {
        int n = wall_reply_make(&frame, wall_call_shape, 0, code, words, pieces);
        assert_int_equal(take(shape, c.args, flatten(pieces, n), 2, &rv), code != CKR_OK);
    }
    assert_int_equal(rv, CKR_HOST_MEMORY);
    assert_int_equal(c.out_n, sizeof c.out);
}

static void test_frame__null_pointers_stay_null(void **state)
{
    CK_ULONG n = 5;
    CK_RV rv = 1;
    struct wall_arg args[WALL_ARGS] = {{.n = 1}, {.n = 0, .p = NULL}, {.n = 0, .p = NULL, .ret = &n}};
    const struct wall_shape *shape = wall_call_shape(WALL_Decrypt);
    struct span bytes = request_of(WALL_Decrypt, args);
    assert_true(wall_frame_decode(bytes, wall_call_shape, &frame));
    wall_frame_room(&frame, wall_call_shape, room);
    assert_null(frame.calls[0].args[1].p);
    assert_null(frame.calls[0].args[2].p);
    *frame.calls[0].args[2].ret = 4096; /* how much room it would take */
    uint64_t words[WALL_REPLY_WORDS];
    struct iovec pieces[WALL_REPLY_PIECES];
    int pieces_n = wall_reply_make(&frame, wall_call_shape, 0, CKR_OK, words, pieces);
    assert_true(take(shape, args, flatten(pieces, pieces_n), 1, &rv));
    assert_int_equal(n, 4096);
}

static void test_frame__parameters_of_mechanisms(void **state)
{
    uint8_t block[16] = "sixteen bytes..";
    CK_RSA_PKCS_OAEP_PARAMS oaep = {CKM_SHA256, 2, 1, label, sizeof label};
    CK_GCM_PARAMS *no_gcm = NULL;
    struct { CK_MECHANISM m; bool crosses; } rows[] = {
        {{CKM_ECDSA, NULL, 0}, true},
        {{CKM_AES_CBC_PAD, block, sizeof block}, true},
        {{CKM_AES_KEY_WRAP, NULL, 0}, true},
        {{CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep}, true},
        {{CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep - 1}, false},
        {{CKM_AES_GCM, no_gcm, sizeof gcm}, false},
        {{CKM_ECDH1_DERIVE, block, sizeof block}, false}, /* it may hold pointers */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wall_arg args[WALL_ARGS] = {{.n = 1}, {.p = &rows[i].m}, {.n = 2}};
        wall_request_start(&request, false);
        wall_request_add(&request, WALL_SignInit, wall_call_shape(WALL_SignInit), args);
        assert_int_equal(wall_request_end(&request), rows[i].crosses);
        if (!rows[i].crosses) continue;
        struct span bytes = flatten(request.pieces, request.piece_n);
        assert_true(wall_frame_decode(bytes, wall_call_shape, &frame));
        const CK_MECHANISM *m = frame.calls[0].args[1].p;
        assert_int_equal(m->ulParameterLen, rows[i].m.ulParameterLen);
        if (m->mechanism == CKM_AES_CBC_PAD) assert_memory_equal(m->pParameter, block, sizeof block);
        if (m->mechanism != CKM_RSA_PKCS_OAEP) continue;
        const CK_RSA_PKCS_OAEP_PARAMS *o = m->pParameter;
        assert_int_equal(o->hashAlg + o->mgf + o->source, CKM_SHA256 + 3);
        assert_memory_equal(o->pSourceData, label, sizeof label);
    }
}

/* ---- limits ------------------------------------------------------------------------------ */

static void test_frame__limits(void **state)
{
    static uint8_t big[WALL_FRAME_MAX + 64];
    CK_ATTRIBUTE many[WALL_ATTRIBUTES + 1] = {0};
    CK_ATTRIBUTE nested = {CKA_UNWRAP_TEMPLATE, many, sizeof *many};
    CK_ATTRIBUTE allowed = {CKA_ALLOWED_MECHANISMS, &class, sizeof class};
    const struct { struct wall_arg a; unsigned call; bool fits; } rows[] = {
        {{.n = WALL_ATTRIBUTES, .p = many}, WALL_FindObjectsInit, true},
        {{.n = WALL_ATTRIBUTES + 1, .p = many}, WALL_FindObjectsInit, false},
        {{.n = 1, .p = &nested}, WALL_FindObjectsInit, false},
        {{.n = 1, .p = &allowed}, WALL_FindObjectsInit, true},
        {{.n = WALL_FRAME_MAX - 48, .p = big}, WALL_Sign, true},
        {{.n = WALL_FRAME_MAX - 47, .p = big}, WALL_Sign, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wall_arg args[WALL_ARGS] = {{.n = 1}, rows[i].a, {0}};
        wall_request_start(&request, false);
        wall_request_add(&request, rows[i].call, wall_call_shape(rows[i].call), args);
        assert_int_equal(wall_request_end(&request), rows[i].fits);
        if (!rows[i].fits) continue;
        struct span bytes = flatten(request.pieces, request.piece_n);
        assert_true(wall_frame_decode(bytes, wall_call_shape, &frame));
    }
}

static void test_frame__room_for_results_is_bounded(void **state)
{
    CK_ULONG n = 0;
    for (CK_ULONG cap = WALL_FRAME_MAX; cap <= WALL_FRAME_MAX + 1; cap++) {
        struct wall_arg args[WALL_ARGS] = {{.n = 1}, {0}, {.n = cap, .p = room, .ret = &n}};
        struct span bytes = request_of(WALL_Decrypt, args);
        assert_int_equal(wall_frame_decode(bytes, wall_call_shape, &frame), cap == WALL_FRAME_MAX);
    }
}

/* ---- who does not mean well -------------------------------------------------------------- */

static const uint64_t EXTREMES[] = {0, 1, 2, 3, 31, 33, 4096, WALL_FRAME_MAX, UINT32_MAX, INT64_MAX,
                                    UINT64_MAX - 7, UINT64_MAX};

/* Any word may be anything: AddressSanitizer sees whatever is touched beyond the frame and the room. */
static void test_frame__hostile_requests(void **state)
{
    unsigned refused = 0, tried = 0;
    for (unsigned call = 0; call < WALL_CALL_COUNT; call++) {
        struct caller c;
        caller_init(&c, wall_call_shape(call));
        struct span sent = request_of(call, c.args);
        size_t len = sent.len;
        uint64_t *copy = malloc(len);
        for (size_t w = 0; w < len / 8; w++) {
            for (size_t x = 0; x < sizeof EXTREMES / sizeof *EXTREMES; x++, tried++) {
                memcpy(copy, sent.data, len);
                copy[w] = EXTREMES[x];
                bool good = wall_frame_decode(span_of(copy, len), wall_call_shape, &frame);
                refused += !good;
                if (!good) continue;
                assert_true(frame.room <= WALL_FRAME_MAX + WALL_REPLY_PIECES * 8);
                wall_frame_room(&frame, wall_call_shape, room);
            }
        }
        for (size_t cut = 0; cut < len; cut += 8) {
            memcpy(copy, sent.data, len);
            copy[0] = cut;
            assert_false(wall_frame_decode(span_of(copy, cut), wall_call_shape, &frame));
        }
        free(copy);
    }
    assert_true(refused > tried / 8 && refused < tried);
}

static void test_frame__hostile_replies(void **state)
{
    unsigned refused = 0, tried = 0;
    for (unsigned call = 0; call < WALL_CALL_COUNT; call++) {
        const struct wall_shape *shape = wall_call_shape(call);
        struct caller c;
        CK_RV rv = 0;
        caller_init(&c, shape);
        struct span reply = serve(request_of(call, c.args), CKR_OK);
        size_t words = wall_reply_words(shape, c.args);
        uint64_t *copy = malloc(reply.len);
        memcpy(copy, reply.data, reply.len);
        for (size_t w = 0; w < words; w++) {
            for (size_t x = 0; x < sizeof EXTREMES / sizeof *EXTREMES; x++, tried++) {
                uint64_t was = copy[w];
                caller_init(&c, shape);
                copy[w] = EXTREMES[x];
                /* What is believed fits the rooms, or take would have written beyond them. */
                bool good = take(shape, c.args, span_of(copy, reply.len), 1, &rv);
                refused += !good;
                if (!good && w != 0) assert_true(c.out_n == sizeof c.out || w > 2);
                copy[w] = was;
            }
        }
        free(copy);
    }
    assert_true(refused > tried / 4 && refused < tried);
}

/* A module that wrote more than it was given room for is an error, and its length is not believed. */
static void test_frame__a_module_that_says_too_much(void **state)
{
    const struct wall_shape *shape = wall_call_shape(WALL_Decrypt);
    struct caller c;
    CK_RV rv = CKR_OK;
    caller_init(&c, shape);
    uint64_t words[WALL_REPLY_HEAD + 1] = {sizeof words, CKR_OK, 0, sizeof c.out + 1};
    assert_true(take(shape, c.args, span_of(words, sizeof words), 1, &rv));
    assert_int_equal(rv, CKR_GENERAL_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request__nothing_stays_of_what_was_wiped),
        cmocka_unit_test(test_frame__every_call_there_and_back),
        cmocka_unit_test(test_frame__failed_calls_carry_no_bytes),
        cmocka_unit_test(test_frame__start_and_operation_in_one),
        cmocka_unit_test(test_frame__null_pointers_stay_null),
        cmocka_unit_test(test_frame__parameters_of_mechanisms),
        cmocka_unit_test(test_frame__limits),
        cmocka_unit_test(test_frame__room_for_results_is_bounded),
        cmocka_unit_test(test_frame__hostile_requests),
        cmocka_unit_test(test_frame__hostile_replies),
        cmocka_unit_test(test_frame__a_module_that_says_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
