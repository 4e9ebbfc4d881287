/* What a TEE's name means to us: its modern spelling and the hash that binds its report data. */
#pragma once

#include "broker/base/digest.h"

/* The hash over the runtime data of this TEE (a canonical name); kbs-api.md 2.5. */
enum digest_alg tee_digest_alg(const char *canonical);

/* Whether the nonce of a handshake is the verifier's own (kbs-api.md 2.2): IBM SE alone. */
bool tee_challenges(const char *canonical);
