/* The claims of an attestation token: an EAT Attestation Result as the KBS ecosystem reads it
 * (kbs-api.md 4.2). Pure. */
#pragma once

#include "broker/base/json.h"

/* The trustworthiness vector, in the order in which it is written. */
enum ear_claim {
    EAR_INSTANCE_IDENTITY, EAR_CONFIGURATION, EAR_EXECUTABLES, EAR_FILE_SYSTEM, EAR_HARDWARE,
    EAR_RUNTIME_OPAQUE, EAR_STORAGE_OPAQUE, EAR_SOURCED_DATA, EAR_CLAIM_COUNT
};

struct ear_vector {
    int8_t value[EAR_CLAIM_COUNT];
};

/* "none", "affirming", "warning" or "contraindicated": the worst tier of the vector. */
const char *ear_status(const struct ear_vector *v);

/* What is said of evidence that no attestation policy has looked at; never affirming. */
const struct ear_vector *ear_default_vector(const char *device);

/* One piece of evidence. Spans hold JSON text and may be empty where noted. */
struct ear_part {
    const char *tee, *device;        /* "sample", "cpu" */
    unsigned number;                 /* within its class: cpu0, gpu0, gpu1 */
    const char *report_data;
    struct span claims;              /* the verifier's own */
    struct span runtime_claims;      /* the object that report data bind */
    const char *init_data;           /* base64 of the digest, or NULL */
    struct span init_data_claims;    /* with init_data only */
};

struct ear {
    const char *issuer;
    int64_t iat, exp; /* Unix seconds */
    const struct ear_part *parts;
    size_t part_count;
};

/* Appends the claims as one JSON object. */
err_t ear_write(const struct ear *e, struct buf *ret);
