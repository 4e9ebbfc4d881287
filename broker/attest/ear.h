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

/* The claim of this name ("file-system"); EAR_CLAIM_COUNT when there is none. */
enum ear_claim ear_claim_from(const char *name, size_t len);
const char *ear_claim_name(enum ear_claim claim);

/* What an appraisal says of one piece of evidence. */
struct ear_verdict {
    struct ear_vector vector;
    struct buf extensions; /* further members of the submod, as JSON: "name":value,... */
};
void ear_verdict_done(struct ear_verdict *v);

/* Members that every submod has; an extension has another name. */
bool ear_member_reserved(const char *name);

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

/* Appends the annotated evidence of a part, which is what an attestation policy sees. */
err_t ear_write_evidence(const struct ear_part *p, struct buf *ret);

/* A part and what came of it. */
struct ear_appraised {
    const char *device;
    unsigned number;
    const char *policy_id;           /* without the class: "default" */
    struct span evidence;            /* annotated */
    const struct ear_verdict *verdict;
};

struct ear {
    const char *issuer;
    int64_t iat, exp; /* Unix seconds */
    const struct ear_appraised *parts;
    size_t part_count;
};

/* Appends the claims as one JSON object. */
err_t ear_write(const struct ear *e, struct buf *ret);
