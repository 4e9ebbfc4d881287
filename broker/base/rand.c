#include "broker/base/rand.h"

#include <openssl/rand.h>
#include <stdatomic.h>

#ifdef STRONGROOM_TEST
static _Atomic int test_seed = -1;
void rand_test_seed(int seed) { test_seed = seed; }
#endif

struct err rand_bytes(void *out, size_t len)
{
#ifdef STRONGROOM_TEST
    if (test_seed >= 0) {
        for (size_t i = 0; i < len; i++) ((uint8_t *) out)[i] = (uint8_t) test_seed++;
        return ERR_OK;
    }
#endif
    if (RAND_bytes(out, (int) len) != 1) FAIL(ERR_INTERNAL, "the random generator failed");
    return ERR_OK;
}
