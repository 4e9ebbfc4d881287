#include "broker/attest/as_call.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <string.h>

void as_reason(struct buf *why, struct span text)
{
    buf_add_span(why, span_of(text.data, text.len < AS_REASON_MAX ? text.len : AS_REASON_MAX));
}

/* Three parts of base64url: whatever else comes with a success is no answer of this service. */
static bool is_token(struct span s)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    unsigned dots = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!s.data[i] || !strchr(allowed, s.data[i])) return false;
        dots += s.data[i] == '.';
    }
    return dots == 2;
}

/* Nothing of a value is given on before it looks like one. */
static bool is_plausible(const struct as_call *call, struct span value)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    switch (call->op) {
    case AS_EVALUATE: return is_token(value);
    case AS_CHALLENGE:
        return value.len > 0 && utf8_valid(value) && !memchr(value.data, 0, value.len);
    case AS_QUERY: return value.len == 0 || err_ok(json_parse(value, &doc));
    default: return true;
    }
}

static bool is_too_long(const struct as_call *call, struct span value)
{
    return (call->op == AS_EVALUATE && value.len > JOSE_MAX_TOKEN) ||
           (call->op == AS_CHALLENGE && value.len > AS_CHALLENGE_MAX);
}

enum as_outcome as_read(const struct as_protocol *p, const struct as_call *call,
                        const struct as_answer *answer, struct buf *ret, struct buf *why)
{
    enum as_outcome outcome = p->read(call, answer, ret, why);
    if (outcome == AS_DONE && !is_plausible(call, buf_span(ret))) {
        buf_add_str(why, "an answer that is not of an attestation service");
        outcome = AS_DOWN;
    } else if (outcome == AS_DONE && is_too_long(call, buf_span(ret))) {
        buf_addf(why, "%zu bytes", ret->len);
        outcome = AS_TOO_LONG;
    }
    return outcome;
}
