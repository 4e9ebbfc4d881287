/* The attestation service by gRPC (kbs-api.md 10.2). */
#include "broker/attest/as_call.h"

#include "broker/attest/attest.h"
#include "broker/base/cleanup.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"

#include "broker/attest/attestation.pb-c.h"
#include "broker/attest/reference.pb-c.h"

/* ---- questions ------------------------------------------------------------------------------ */

static err_t pack(const ProtobufCMessage *message, struct buf *ret)
{
    size_t start = ret->len, len = protobuf_c_message_get_packed_size(message);
    if (len > AS_REQUEST_MAX)
        FAIL(ERR_TOOLARGE, "the attestation service would be asked with %zu bytes, at most %u are sent",
             len, AS_REQUEST_MAX);
    uint8_t *p = buf_extend(ret, GRPC_PREFIX + len);
    TRY(buf_ok(ret));
    protobuf_c_message_pack(message, p + GRPC_PREFIX);
    grpc_frame(ret, start);
    return ERR_OK;
}

/* protobuf-c wants texts that it could change, and does not. */
static char *text_of(struct buf *b) { return (char *) (uintptr_t) buf_str(b); }
static char *text(const char *s) { return (char *) (uintptr_t) s; }

struct texts {
    struct buf evidence[1 + TEE_EVIDENCE_MAX], runtime[1 + TEE_EVIDENCE_MAX];
};

static void texts_done(struct texts *t)
{
    for (size_t i = 0; i <= TEE_EVIDENCE_MAX; i++) {
        buf_free(&t->evidence[i]);
        buf_free(&t->runtime[i]);
    }
}

static err_t write_evaluate(const struct as_call *call, struct buf *ret)
{
    Attestation__EvaluateRequest request = ATTESTATION__EVALUATE_REQUEST__INIT;
    Attestation__Evidence pieces[1 + TEE_EVIDENCE_MAX], *list[1 + TEE_EVIDENCE_MAX];
    char *policy = text(ATTEST_POLICY_ID);
    _cleanup_(texts_done) struct texts t = {0};
    ENSURE(call->piece_count <= 1 + TEE_EVIDENCE_MAX);
    for (size_t i = 0; i < call->piece_count; i++) {
        const struct as_piece *p = &call->pieces[i];
        b64url_add(&t.evidence[i], p->evidence);
        buf_add_span(&t.runtime[i], p->runtime);
        TRY(buf_ok(&t.evidence[i]));
        TRY(buf_ok(&t.runtime[i]));
        attestation__evidence__init(&pieces[i]);
        pieces[i].tee = text(p->tee);
        pieces[i].evidence = text_of(&t.evidence[i]);
        pieces[i].structured_runtime_data = text_of(&t.runtime[i]);
        pieces[i].init_data_toml = text(p->init_data);
        pieces[i].runtime_data_hash_algorithm = text(p->hash);
        list[i] = &pieces[i];
    }
    request.n_verification_requests = call->piece_count;
    request.verification_requests = list;
    request.n_policy_ids = 1;
    request.policy_ids = &policy;
    return pack(&request.base, ret);
}

static err_t write_challenge(const struct as_call *call, struct buf *ret)
{
    Attestation__ChallengeRequest request = ATTESTATION__CHALLENGE_REQUEST__INIT;
    Attestation__Parameter tee = ATTESTATION__PARAMETER__INIT, params = ATTESTATION__PARAMETER__INIT;
    Attestation__Parameter *list[] = {&tee, &params};
    _cleanup_buf_ struct buf value = BUF_INIT;
    buf_add_span(&value, call->text);
    TRY(buf_ok(&value));
    tee.key = text("tee");
    tee.value = text(call->id);
    params.key = text("tee_params");
    params.value = text_of(&value);
    request.n_inner = 2;
    request.inner = list;
    return pack(&request.base, ret);
}

static err_t write_policy(const struct as_call *call, struct buf *ret)
{
    Attestation__SetPolicyRequest request = ATTESTATION__SET_POLICY_REQUEST__INIT;
    _cleanup_buf_ struct buf policy = BUF_INIT;
    b64url_add(&policy, call->text);
    TRY(buf_ok(&policy));
    request.policy_id = text(call->id);
    request.policy = text_of(&policy);
    return pack(&request.base, ret);
}

static err_t write_register(const struct as_call *call, struct buf *ret)
{
    Reference__RegisterRequest request = REFERENCE__REGISTER_REQUEST__INIT;
    _cleanup_buf_ struct buf message = BUF_INIT;
    buf_add_span(&message, call->text);
    TRY(buf_ok(&message));
    request.message = text_of(&message);
    return pack(&request.base, ret);
}

static err_t write_query(const struct as_call *call, struct buf *ret)
{
    Reference__QueryRequest request = REFERENCE__QUERY_REQUEST__INIT;
    request.reference_value_id = text(call->id);
    return pack(&request.base, ret);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Answers have one text at most. field: where it lies in the unpacked message. */
static const struct {
    err_t (*write)(const struct as_call *call, struct buf *ret);
    const ProtobufCMessageDescriptor *answer; /* NULL: an empty message */
    size_t field;
} ops[AS_OP_COUNT] = {
    [AS_EVALUATE] = {write_evaluate, &attestation__evaluate_answer__descriptor,
                     offsetof(Attestation__EvaluateAnswer, attestation_token)},
    [AS_CHALLENGE] = {write_challenge, &attestation__challenge_answer__descriptor,
                      offsetof(Attestation__ChallengeAnswer, attestation_challenge)},
    [AS_ALIVE] = {write_challenge, &attestation__challenge_answer__descriptor,
                  offsetof(Attestation__ChallengeAnswer, attestation_challenge)},
    [AS_SET_POLICY] = {write_policy, NULL, 0},
    [AS_REGISTER] = {write_register, NULL, 0},
    [AS_QUERY] = {write_query, &reference__query_answer__descriptor,
                  offsetof(Reference__QueryAnswer, reference_value_results)},
};

static err_t write_call(const struct as_call *call, struct buf *ret)
{
    return ops[call->op].write(call, ret);
}

/* Statuses of gRPC. The service itself answers every refusal with ABORTED; what else says no to the
 * very thing that was asked is one too. Numbers beyond 16 do not exist. */
static const struct {
    const char *name;
    enum as_outcome outcome;
} statuses[] = {
    {"OK", AS_DONE}, {"CANCELLED", AS_DOWN}, {"UNKNOWN", AS_UNABLE}, {"INVALID_ARGUMENT", AS_REFUSED},
    {"DEADLINE_EXCEEDED", AS_DOWN}, {"NOT_FOUND", AS_REFUSED}, {"ALREADY_EXISTS", AS_REFUSED},
    {"PERMISSION_DENIED", AS_UNABLE}, {"RESOURCE_EXHAUSTED", AS_UNABLE},
    {"FAILED_PRECONDITION", AS_REFUSED}, {"ABORTED", AS_REFUSED}, {"OUT_OF_RANGE", AS_REFUSED},
    {"UNIMPLEMENTED", AS_UNABLE}, {"INTERNAL", AS_UNABLE}, {"UNAVAILABLE", AS_DOWN},
    {"DATA_LOSS", AS_UNABLE}, {"UNAUTHENTICATED", AS_UNABLE},
};

static enum as_outcome read_message(const struct as_call *call, struct span body, struct buf *ret,
                                    struct buf *why)
{
    const char *wrong = NULL;
    struct span packed = {0};
    if (!grpc_message(body, &packed, &wrong)) {
        buf_add_str(why, wrong);
        return AS_DOWN;
    }
    if (!ops[call->op].answer) return AS_DONE;
    ProtobufCMessage *m = protobuf_c_message_unpack(ops[call->op].answer, NULL, packed.len, packed.data);
    if (!m) {
        buf_add_str(why, "a message that is no protobuf of this kind");
        return AS_DOWN;
    }
    const char *value = *(char *const *) (const void *) ((const char *) m + ops[call->op].field);
    if (value) buf_add_str(ret, value);
    protobuf_c_message_free_unpacked(m, NULL);
    return AS_DONE;
}

static enum as_outcome read_answer(const struct as_call *call, const struct as_answer *answer,
                                   struct buf *ret, struct buf *why)
{
    const struct grpc_head *h = &answer->head;
    if (answer->status != 200 || !h->content) {
        buf_addf(why, "HTTP status %ld, and %s", answer->status, h->content ? "gRPC" : "not gRPC");
        return answer->status == 413 ? AS_REFUSED : AS_DOWN;
    }
    if (!h->has_status || h->bad_status || h->status >= sizeof statuses / sizeof *statuses) {
        buf_add_str(why, "no status of gRPC");
        return h->has_status ? AS_DOWN : AS_CUT;
    }
    if (h->status == 0) return read_message(call, answer->body, ret, why);
    buf_addf(why, "%s: ", statuses[h->status].name);
    as_reason(why, buf_span(&h->message));
    return statuses[h->status].outcome;
}

#define SERVICE "/attestation.AttestationService/"
#define REFERENCE "/reference.ReferenceValueProviderService/"

const struct as_protocol as_grpc = {
    .name = "grpc", .http2 = true, .content_type = "content-type: application/grpc",
    .paths = {[AS_EVALUATE] = SERVICE "AttestationEvaluate",
              [AS_CHALLENGE] = SERVICE "GetAttestationChallenge",
              [AS_ALIVE] = SERVICE "GetAttestationChallenge",
              [AS_SET_POLICY] = SERVICE "SetAttestationPolicy",
              [AS_REGISTER] = REFERENCE "RegisterReferenceValue",
              [AS_QUERY] = REFERENCE "QueryReferenceValue"},
    .write = write_call, .read = read_answer,
};
