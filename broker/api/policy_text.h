/* The body of POST resource-policy (kbs-api.md 6.3): JSON with the text in base64url. Pure. */
#pragma once

#include "broker/base/buf.h"

/* Appends the text, UTF-8 of at most POLICY_MAX bytes. ERR_USAGE in the reference's sentences. */
err_t policy_text_read(struct span body, struct buf *ret);
