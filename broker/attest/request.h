/* The two bodies of a handshake, parsed strictly (kbs-api.md 2.1). Members that we do not know are
 * ignored, as every KBS does; those that we know must be there and of their type. */
#pragma once

#include "broker/base/json.h"

/* POST auth. *ret_tee is the canonical name, static. ERR_AUTH; its reason is the cause text of
 * kbs-api.md 2.2, fit for the client, and the context says more for the log. */
err_t request_parse(struct span body, const char **ret_tee);

/* POST attest. The strings and values live as long as the struct. */
struct attestation {
    struct json_doc *doc, *additional_doc;
    const char *init_format, *init_body; /* both NULL when there is no init-data */
    const char *nonce;
    struct json tee_pubkey;   /* an object */
    struct json primary;      /* any value */
    const char *additional;   /* JSON text as received, or "" */
    struct json devices;      /* its object: TEE name -> evidence; absent when "" */
};

/* ERR_USAGE names what is wrong. *ret is written on success only; attestation_done frees. */
err_t attestation_parse(struct span body, struct attestation *ret);
void attestation_done(struct attestation *t);
