#include "broker/attest/sample.h"

#include "broker/base/secret.h"
#include "broker/jose/b64url.h"

#include <string.h>

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define REPORT_DATA_MAX 1024 /* bytes; a digest has 64 at most */

void verified_done(struct verified *v)
{
    buf_free(&v->claims);
}

/* Both in RFC 8785 order, as the reference writes them. */
static void put_sample(struct json_out *o, const char *svn)
{
    json_begin_object(o);
    json_member_bool(o, "debug", false);
    json_member_str(o, "launch_digest", "abcde");
    json_key(o, "platform_version");
    json_begin_object(o);
    json_member_int(o, "major", 1);
    json_member_int(o, "minor", 4);
    json_end_object(o);
    json_member_str(o, "svn", svn);
    json_end_object(o);
}

static void put_device(struct json_out *o, const char *svn)
{
    json_begin_object(o);
    json_member_str(o, "svn", svn);
    json_end_object(o);
}

static const struct {
    const char *tee, *device;
    void (*put)(struct json_out *o, const char *svn);
} kinds[] = {
    {"sample", "cpu", put_sample},
    {"sampledevice", "gpu", put_device},
};

/* Whole and exact: neither a prefix nor padding with zeros (kbs-api.md 3). */
static err_t check_binding(const char *report_data, const struct digest *expected)
{
    _cleanup_buf_ struct buf raw = {.max = REPORT_DATA_MAX};
    TRYC(b64_decode(span_str(report_data), &raw), "report_data of the evidence");
    if (!secret_equal(buf_span(&raw), digest_span(expected)))
        FAIL(ERR_AUTH, "the evidence is bound to other data than this session's nonce and key");
    return ERR_OK;
}

struct err sample_verify(const char *tee, struct json evidence, const struct digest *expected,
                         struct verified *ret)
{
    size_t kind = 0;
    while (kind < LENGTH(kinds) && strcmp(kinds[kind].tee, tee) != 0) kind++;
    if (kind == LENGTH(kinds)) FAIL(ERR_AUTH, "no verifier is configured for TEE %s", tee);

    const char *svn = NULL, *report_data = "";
    TRY(json_need_string(evidence, "svn", "the evidence", &svn));
    if (json_present(json_get(evidence, "report_data")))
        TRY(json_need_string(evidence, "report_data", "the evidence", &report_data));
    TRY(check_binding(report_data, expected));

    _cleanup_(verified_done) struct verified v = {
        .tee = kinds[kind].tee, .device = kinds[kind].device, .report_data = report_data};
    struct json_out o = JSON_OUT(&v.claims);
    kinds[kind].put(&o, svn);
    TRY(buf_ok(&v.claims));
    *ret = v;
    v = (struct verified){0};
    return ERR_OK;
}
