#include "broker/attest/tee.h"

#include "broker/attest/attest.h"

#include <string.h>

/* kbs-api.md 2.1 and 15.4. Names are case-sensitive. Aliases: what guests of before 0.16 wrote for
 * the two vTPMs, and the second name of the DPU. */
static const struct {
    const char *name, *alias;
    enum digest_alg alg;
    bool challenges; /* its verifier makes the nonce */
} tees[TEE_COUNT] = {
    {"az-snp-vtpm", "azsnpvtpm", DIGEST_SHA384, false},
    {"az-tdx-vtpm", "aztdxvtpm", DIGEST_SHA384, false},
    {"cca", NULL, DIGEST_SHA384, false},
    {"csv", NULL, DIGEST_SHA384, false},
    {"hygondcu", NULL, DIGEST_SHA384, false},
    {"nvidia", NULL, DIGEST_SHA384, false},
    {"nvidia-dpu", "nvidiadpu", DIGEST_SHA384, false},
    {"sample", NULL, DIGEST_SHA384, false},
    {"sampledevice", NULL, DIGEST_SHA384, false},
    {"se", NULL, DIGEST_SHA512, true}, /* IBM SE alone: its attestation request fixes the hash */
    {"sgx", NULL, DIGEST_SHA384, false},
    {"snp", NULL, DIGEST_SHA384, false},
    {"tdx", NULL, DIGEST_SHA384, false},
    {"tpm", NULL, DIGEST_SHA384, false},
};

const char *tee_name(size_t index)
{
    return tees[index].name;
}

size_t tee_index(const char *canonical)
{
    size_t i = 0;
    while (i < TEE_COUNT && strcmp(canonical, tees[i].name) != 0) i++;
    return i;
}

const char *tee_canonical(const char *name)
{
    for (size_t i = 0; i < TEE_COUNT; i++)
        if (strcmp(name, tees[i].name) == 0 ||
            (tees[i].alias && strcmp(name, tees[i].alias) == 0))
            return tees[i].name;
    return NULL;
}

bool tee_challenges(const char *canonical)
{
    size_t i = tee_index(canonical);
    return i < TEE_COUNT && tees[i].challenges;
}

enum digest_alg tee_digest_alg(const char *canonical)
{
    size_t i = tee_index(canonical);
    return i < TEE_COUNT ? tees[i].alg : DIGEST_SHA384;
}
