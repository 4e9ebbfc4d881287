/* The one source of random bytes on the host (OpenSSL's CSPRNG). Tests turn it, in the test build
 * only. Thread-safe. */
#pragma once

#include "broker/base/err.h"

err_t rand_bytes(void *out, size_t len); /* ERR_INTERNAL when the generator fails */

#ifdef STRONGROOM_TEST
/* Makes rand_bytes deterministic: bytes seed, seed+1, ... ; a negative seed ends that. */
void rand_test_seed(int seed);
#endif
