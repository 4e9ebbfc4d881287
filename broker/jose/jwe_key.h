/* Inside of a guest's key. Internal to jose/. */
#pragma once

#include "broker/jose/jwe.h"
#include "broker/jose/jwe_alg.h"

/* EC: the point alone, which a thread's key takes on for each use (curve.h); RSA: a key of its own. */
struct jwe_key {
    const struct jwe_alg *alg;
    EVP_PKEY *pkey; /* NULL for EC */
    uint8_t point_len, point[KEY_MAX_POINT];
};

/* For one use at once by this thread: borrowed from the key, or from the thread. ERR_INTERNAL. */
err_t jwe_key_pkey(const struct jwe_key *k, EVP_PKEY **ret);
