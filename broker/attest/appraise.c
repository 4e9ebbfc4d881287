#include "broker/attest/appraise.h"

#include "broker/attest/attest.h"
#include "broker/attest/ear.h"
#include "broker/attest/init_data.h"
#include "broker/attest/report_data.h"
#include "broker/attest/sample.h"
#include "broker/attest/tee.h"
#include "broker/jose/b64url.h"

#include <string.h>

#define PIECES_MAX (1 + TEE_EVIDENCE_MAX)

/* What one attestation brings: the primary evidence first, then the devices. */
struct pieces {
    struct verified found[PIECES_MAX];
    struct ear_part parts[PIECES_MAX];
    struct buf evidence[PIECES_MAX]; /* annotated */
    struct ear_verdict verdicts[PIECES_MAX];
    struct ear_appraised appraised[PIECES_MAX];
    size_t count;
    struct buf bound;        /* runtime data of the primary evidence, as hashed */
    struct buf device_bound; /* of each device; empty without any */
    struct buf init_digest;  /* base64; empty without init-data */
    struct buf init_claims;
};

static void pieces_done(struct pieces *p)
{
    for (size_t i = 0; i < p->count; i++) {
        verified_done(&p->found[i]);
        buf_free(&p->evidence[i]);
        ear_verdict_done(&p->verdicts[i]);
    }
    buf_free(&p->bound);
    buf_free(&p->device_bound);
    buf_free(&p->init_digest);
    buf_free(&p->init_claims);
}

static unsigned number_in_class(const struct pieces *p, const char *device)
{
    unsigned n = 0;
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->found[i].device, device) == 0) n++;
    return n;
}

/* One piece of evidence, bound to the hash of `runtime`. `claimed` is what the token says of it. */
static err_t add_piece(struct pieces *p, const char *tee, struct json evidence, struct span runtime,
                       struct span claimed)
{
    struct digest expected = {0};
    struct verified v = {0};
    TRY(digest_compute(tee_digest_alg(tee), runtime, &expected));
    TRYC(sample_verify(tee, evidence, &expected, &v), "%s evidence", tee);
    p->parts[p->count] = (struct ear_part){
        .tee = v.tee, .device = v.device, .number = number_in_class(p, v.device),
        .report_data = v.report_data, .claims = buf_span(&v.claims), .runtime_claims = claimed};
    p->found[p->count++] = v;
    return ERR_OK;
}

static err_t add_init_data(struct pieces *p, const struct attestation *body)
{
    if (!body->init_format) return ERR_OK;
    struct digest digest = {0};
    TRY(init_data_read(body->init_format, body->init_body, &digest, &p->init_claims));
    b64_add(&p->init_digest, digest_span(&digest));
    TRY(buf_ok(&p->init_digest));
    p->parts[0].init_data = buf_str(&p->init_digest);
    p->parts[0].init_data_claims = buf_span(&p->init_claims);
    return ERR_OK;
}

static err_t add_primary(struct pieces *p, const struct appraisal *a,
                         const struct attestation *body)
{
    TRY(report_data_text(body->additional, a->nonce, body->tee_pubkey, &p->bound));
    /* Long additional evidence would not fit into a token that has to fit into a header. The
     * pieces in it are claimed one by one, so nothing is lost. */
    bool fits = strlen(body->additional) <= TOKEN_ADDITIONAL_MAX;
    if (body->additional[0])
        TRY(report_data_text(NULL, a->nonce, body->tee_pubkey, &p->device_bound));
    TRY(add_piece(p, a->tee, body->primary, buf_span(&p->bound),
                  buf_span(fits ? &p->bound : &p->device_bound)));
    if (strcmp(p->found[0].device, "cpu") != 0)
        FAIL(ERR_AUTH, "a %s is a device beside a guest, not a guest", a->tee);
    return add_init_data(p, body);
}

static err_t add_devices(struct pieces *p, const struct attestation *body)
{
    for (struct json m = json_first(body->devices); json_present(m); m = json_next(m)) {
        const char *tee = tee_canonical(json_name(m));
        if (!tee) FAIL(ERR_AUTH, "additional evidence of unknown TEE \"%.40s\"", json_name(m));
        struct span bound = buf_span(&p->device_bound);
        TRYC(add_piece(p, tee, m, bound, bound), "additional evidence");
    }
    return ERR_OK;
}

static err_t judge(const struct attest_appraiser *appraiser, struct pieces *p)
{
    if (!appraiser->appraise) FAIL(ERR_BUSY, "nobody appraises evidence yet");
    for (size_t i = 0; i < p->count; i++) {
        const struct ear_part *part = &p->parts[i];
        TRY(ear_write_evidence(part, &p->evidence[i]));
        struct span evidence = buf_span(&p->evidence[i]);
        TRYC(appraiser->appraise(appraiser->context, part->device, evidence, &p->verdicts[i]),
             "appraisal of %s evidence", part->tee);
        p->appraised[i] = (struct ear_appraised){
            .device = part->device, .number = part->number, .policy_id = ATTEST_POLICY_ID,
            .evidence = evidence, .verdict = &p->verdicts[i]};
    }
    return ERR_OK;
}

struct err appraise(const struct appraisal *a, const struct attestation *body,
                    struct buf *ret_claims)
{
    if (!a->sample_verifier) FAIL(ERR_AUTH, "no verifier is configured");
    _cleanup_(pieces_done) struct pieces p = {0};
    TRY(add_primary(&p, a, body));
    TRY(add_devices(&p, body));
    TRY(judge(a->appraiser, &p));
    struct ear ear = {.issuer = a->issuer, .iat = a->now, .exp = a->now + a->seconds,
                      .parts = p.appraised, .part_count = p.count};
    return ear_write(&ear, ret_claims);
}
