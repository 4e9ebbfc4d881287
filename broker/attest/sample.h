/* The verifier of sample evidence (kbs-api.md 3): anybody can make such evidence, so it proves
 * nothing. For development and tests only. Pure, thread-safe. */
#pragma once

#include "broker/base/digest.h"
#include "broker/base/json.h"

/* What a verifier found. */
struct verified {
    const char *tee;          /* canonical, static */
    const char *device;       /* "cpu" or "gpu": the class, which names the submod */
    const char *report_data;  /* as received; lives as long as the evidence */
    struct buf claims;        /* JSON object: the verifier's own claims */
};
void verified_done(struct verified *v);

/* Evidence of tee, which must be bound to exactly `expected`. ERR_AUTH. */
err_t sample_verify(const char *tee, struct json evidence, const struct digest *expected,
                    struct verified *ret);
