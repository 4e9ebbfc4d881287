/* What evidence must be bound to (kbs-api.md 2.5): the RFC 8785 form of nonce, key and, for the
 * primary evidence, the text of the additional one. */
#pragma once

#include "broker/base/json.h"

/* Appends the canonical object; additional NULL makes the form for a device. ERR_CRYPTO when the
 * key is of no kind that we know. Pure. */
err_t report_data_text(const char *additional, const char *nonce, struct json tee_pubkey,
                       struct buf *ret);
