/* A guest for the tests of attest/: keys, bodies, and what evidence is bound to. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/base/digest.h"
#include "broker/attest/report_data.h"
#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/jose/b64url.h"
#include "tests/lib/claims.h"
#include "tests/lib/test.h"

/* kbs-api.md A.1, and the key of the recorded P-256 exchanges. */
#define KEY_A                                                                                  \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES+A256KW\","                            \
    "\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","                                    \
    "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}"
#define KEY_B                                                                                  \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ECDH-ES+A256KW\","                            \
    "\"x\":\"mO-oSnvA9wI8nKPEknnq4brqz1_qL6Y7HmuPM0luD2M\","                                    \
    "\"y\":\"-eSu95cIKRZIxWOdABuF4nwKVDUQYGkI0ah9_ubPf0k\"}"

/* The nonce of kbs-api.md A.2: bytes 00 to 1f. */
#define NONCE_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

#define REQUEST "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{}}"

/* 2026-11-24 12:00:00 UTC */
#define NOON 1795521600

/* An appraiser that knows nothing of anybody, and keeps what it was given last. */
static struct {
    pthread_mutex_t lock; /* over the rest: guests come from several threads */
    char device[16];
    struct buf evidence;
} appraised = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline err_t appraise_unknown(void *context, const char *device, struct span evidence,
                                     struct ear_verdict *ret)
{
    SCOPED_LOCK(&appraised.lock);
    snprintf(appraised.device, sizeof appraised.device, "%s", device);
    buf_reset(&appraised.evidence);
    buf_add_span(&appraised.evidence, evidence);
    ret->vector = (struct ear_vector){{[EAR_EXECUTABLES] = 33, [EAR_HARDWARE] = 97,
                                       [EAR_CONFIGURATION] = 2}};
    buf_add_str(&ret->extensions, "\"ear.trustee.identifiers\":[1]");
    return buf_ok(&ret->extensions);
}

static const struct attest_appraiser unknown_to_all __attribute__((unused)) = {
    .appraise = appraise_unknown};

/* Base64 of the digest over what evidence must be bound to; additional NULL: for a device. */
static inline void binding(const char *additional, const char *nonce, const char *key,
                           enum digest_alg alg, struct buf *ret)
{
    struct json_doc *doc = NULL;
    struct buf text = BUF_INIT;
    struct digest d = {0};
    assert_ok(json_parse(span_str(key), &doc));
    assert_ok(report_data_text(additional, nonce, json_root(doc), &text));
    assert_ok(digest_compute(alg, buf_span(&text), &d));
    b64_add(ret, digest_span(&d));
    buf_free(&text);
    json_free(doc);
}

/* The body of an attestation; what is NULL gets its usual value. */
struct body {
    const char *nonce, *key;
    const char *report_data; /* NULL: right */
    const char *additional;  /* NULL: "" */
    const char *init_data;   /* JSON value; NULL: "null" */
    const char *svn;
};

static inline void body_write(struct body b, struct buf *ret)
{
    struct buf bound = BUF_INIT;
    const char *key = b.key ? b.key : KEY_A, *additional = b.additional ? b.additional : "";
    binding(additional, b.nonce, key, DIGEST_SHA384, &bound);
    struct json_out o = JSON_OUT(ret);
    buf_reset(ret);
    json_begin_object(&o);
    json_member_raw(&o, "init-data", span_str(b.init_data ? b.init_data : "null"));
    json_key(&o, "runtime-data");
    json_begin_object(&o);
    json_member_str(&o, "nonce", b.nonce);
    json_member_raw(&o, "tee-pubkey", span_str(key));
    json_end_object(&o);
    json_key(&o, "tee-evidence");
    json_begin_object(&o);
    json_key(&o, "primary_evidence");
    json_begin_object(&o);
    json_member_str(&o, "svn", b.svn ? b.svn : "1");
    json_member_str(&o, "report_data", b.report_data ? b.report_data : buf_str(&bound));
    json_end_object(&o);
    json_member_str(&o, "additional_evidence", additional);
    json_end_object(&o);
    json_end_object(&o);
    assert_ok(buf_ok(ret));
    buf_free(&bound);
}

/* {"sampledevice":{"svn":"2","report_data":...}}, bound to this nonce and key. */
static inline void device_write(const char *nonce, const char *key, struct buf *ret)
{
    struct buf bound = BUF_INIT;
    binding(NULL, nonce, key, DIGEST_SHA384, &bound);
    buf_addf(ret, "{\"sampledevice\":{\"svn\":\"2\",\"report_data\":\"%s\"}}", buf_str(&bound));
    assert_ok(buf_ok(ret));
    buf_free(&bound);
}

static inline struct json_doc *claims_of(const struct guest *g)
{
    struct json_doc *doc = NULL;
    struct buf text = BUF_INIT;
    claims_text(g, &text);
    assert_ok(json_parse(buf_span(&text), &doc));
    buf_free(&text);
    return doc;
}
