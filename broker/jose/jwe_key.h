/* Inside of a guest's key. Internal to jose/. */
#pragma once

#include "broker/jose/jwe.h"
#include "broker/jose/jwe_alg.h"

struct jwe_key {
    const struct jwe_alg *alg;
    EVP_PKEY *pkey;
};
