/* Init-data: the TOML text a guest was started with (kbs-api.md 2.5, 4.2). Pure, thread-safe. */
#pragma once

#include "broker/base/digest.h"

/* format must be "toml", exactly. *ret_digest is over the whole body, with the algorithm that the
 * body names; *ret_claims gets the [data] table as a JSON object: cdh.toml and aa.toml turned from
 * TOML into JSON, policy.rego replaced by agent_policy_claims where it holds policy_data.
 * ERR_USAGE says what is wrong. */
err_t init_data_read(const char *format, const char *body, struct digest *ret_digest,
                     struct buf *ret_claims);
