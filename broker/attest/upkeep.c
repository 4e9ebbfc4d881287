/* Upkeep of policies and reference values where there is nobody who would use them. */
#include "broker/attest/attest.h"

#define NOWHERE "this broker verifies no evidence (attestation_service.verifier is none), so it has no "
#define ELSEWHERE "; set them where its attestation tokens are issued"

static err_t set_policy(void *context, const struct attest_policy *policy, uint64_t *ret_version)
{
    FAIL(ERR_USAGE, NOWHERE "attestation policies" ELSEWHERE);
}

static err_t register_values(void *context, struct span message)
{
    FAIL(ERR_USAGE, NOWHERE "reference values" ELSEWHERE);
}

static err_t query_value(void *context, const char *name, struct buf *ret)
{
    FAIL(ERR_USAGE, NOWHERE "reference values" ELSEWHERE);
}

const struct attest_upkeep attest_upkeep_nowhere = {
    .set_policy = set_policy, .register_values = register_values, .query_value = query_value,
};
