/* The body of POST resource-policy (kbs-api.md 6.3). */
#pragma once

#include "broker/base/buf.h"

/* {"policy": base64url of the text}, appended to *ret. */
err_t policy_upload_body(struct span text, struct buf *ret);
