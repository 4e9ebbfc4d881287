#include "broker/attest/report_data.h"

#include "broker/jose/jwe.h"

struct err report_data_text(const char *additional, const char *nonce, struct json tee_pubkey,
                            struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    /* The members in RFC 8785 order. An empty additional_evidence is hashed as "": without the
     * member, as clients of before 0.4.0 did, the digest is another one (kbs-api.md 13.33). */
    if (additional) json_member_str(&o, "additional-evidence", additional);
    json_member_str(&o, "nonce", nonce);
    json_key(&o, "tee-pubkey");
    /* Rebuilt from the members of its kind: unknown ones are dropped, not hashed. */
    TRY(jwe_tee_key_canonical(tee_pubkey, &o));
    json_end_object(&o);
    return buf_ok(ret);
}
