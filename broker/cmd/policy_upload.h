/* The body of POST resource-policy and attestation-policy (kbs-api.md 6.3). */
#pragma once

#include "broker/base/buf.h"

/* {"policy_id": id, "policy": base64url of the text}, appended to *ret; id may be NULL: without it. */
err_t policy_upload_body(const char *id, struct span text, struct buf *ret);
