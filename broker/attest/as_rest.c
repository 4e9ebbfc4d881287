/* The attestation service by REST (kbs-api.md 10.1). */
#include "broker/attest/as_call.h"

#include "broker/attest/attest.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"

#include <string.h>

/* ---- questions ------------------------------------------------------------------------------ */

static void member_b64url(struct json_out *o, const char *name, struct span data)
{
    json_key(o, name);
    buf_add_byte(o->buf, '"');
    b64url_add(o->buf, data);
    buf_add_byte(o->buf, '"');
    o->need_comma = true;
}

/* {"NAME":value}, or null */
static void member_within(struct json_out *o, const char *name, const char *inner, struct span json,
                          const char *text)
{
    json_key(o, name);
    json_begin_object(o);
    if (text) json_member_str(o, inner, text);
    else json_member_raw(o, inner, json);
    json_end_object(o);
}

static void put_piece(struct json_out *o, const struct as_piece *p)
{
    json_begin_object(o);
    json_member_str(o, "tee", p->tee);
    member_b64url(o, "evidence", p->evidence);
    member_within(o, "runtime_data", "structured", p->runtime, NULL);
    if (p->init_data) member_within(o, "init_data", "init_data_toml", p->runtime, p->init_data);
    else json_member_raw(o, "init_data", SPAN_LIT("null"));
    json_member_str(o, "runtime_data_hash_algorithm", p->hash);
    json_end_object(o);
}

static void put_evaluate(const struct as_call *call, struct json_out *o)
{
    json_key(o, "verification_requests");
    json_begin_array(o);
    for (size_t i = 0; i < call->piece_count; i++) put_piece(o, &call->pieces[i]);
    json_end_array(o);
    json_key(o, "policy_ids");
    json_begin_array(o);
    json_put_str(o, ATTEST_POLICY_ID);
    json_end_array(o);
}

static void put_challenge(const struct as_call *call, struct json_out *o)
{
    json_member_str(o, "tee", call->id);
    json_member_span(o, "tee_params", call->text);
}

static void put_policy(const struct as_call *call, struct json_out *o)
{
    json_member_str(o, "policy_id", call->id);
    member_b64url(o, "policy", call->text);
}

static void (*const put[AS_OP_COUNT])(const struct as_call *call, struct json_out *o) = {
    [AS_EVALUATE] = put_evaluate, [AS_CHALLENGE] = put_challenge, [AS_ALIVE] = put_challenge,
    [AS_SET_POLICY] = put_policy,
};

static err_t write_call(const struct as_call *call, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    put[call->op](call, &o);
    json_end_object(&o);
    TRY(buf_ok(ret));
    if (ret->len > AS_REQUEST_MAX)
        FAIL(ERR_TOOLARGE, "the attestation service would be asked with %zu bytes, at most %u are sent",
             ret->len, AS_REQUEST_MAX);
    return ERR_OK;
}

/* ---- answers -------------------------------------------------------------------------------- */

/* The service answers every refusal with 500 and the causes as text; 400 and 413 refuse what was asked
 * as well. The others come from somebody before it, or from another service. */
static enum as_outcome outcome_of(long status)
{
    static const struct { long status; enum as_outcome outcome; } rows[] = {
        {200, AS_DONE}, {500, AS_REFUSED}, {400, AS_REFUSED}, {413, AS_REFUSED}, {422, AS_REFUSED},
        {401, AS_UNABLE}, {403, AS_UNABLE}, {404, AS_UNABLE}, {405, AS_UNABLE}, {429, AS_UNABLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status) return rows[i].outcome;
    return AS_DOWN;
}

static enum as_outcome read_answer(const struct as_call *call, const struct as_answer *answer,
                                   struct buf *ret, struct buf *why)
{
    enum as_outcome outcome = outcome_of(answer->status);
    struct span body = answer->body;
    while (body.len && memchr(" \r\n\t", body.data[body.len - 1], 4)) body.len--;
    if (outcome == AS_DONE) {
        buf_add_span(ret, body);
        return outcome;
    }
    buf_addf(why, "HTTP status %ld: ", answer->status);
    as_reason(why, body);
    return outcome;
}

const struct as_protocol as_rest = {
    .name = "rest", .content_type = "content-type: application/json",
    .paths = {[AS_EVALUATE] = "/attestation", [AS_CHALLENGE] = "/challenge",
              [AS_ALIVE] = "/challenge", [AS_SET_POLICY] = "/policy"},
    .write = write_call, .read = read_answer,
};
