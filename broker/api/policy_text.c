#include "broker/api/policy_text.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"

struct err policy_text_read(struct span body, struct buf *ret)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    if (!err_ok(json_parse(body, &doc))) FAIL(ERR_USAGE, "Illegal SetPolicy Request Json");
    struct json policy = json_get(json_root(doc), "policy");
    if (!json_present(policy)) FAIL(ERR_USAGE, "No `policy` field inside SetPolicy Request Json");
    const char *text = json_string(policy);
    if (!text) FAIL(ERR_USAGE, "`policy` field is not a string in SetPolicy Request Json");
    ret->max = POLICY_MAX;
    if (!err_ok(b64url_decode(span_str(text), ret)))
        FAIL(ERR_USAGE, "Failed to decode policy: not base64url without padding, or over %u bytes",
             POLICY_MAX);
    if (!utf8_valid(buf_span(ret))) FAIL(ERR_USAGE, "Failed to decode policy: not UTF-8");
    return ERR_OK;
}
