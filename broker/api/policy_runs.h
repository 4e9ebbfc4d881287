/* Memory to evaluate policies in, lent for one decision at a time. There come to be as many as
 * threads decide at once, and then none is allocated any more. Thread-safe. */
#pragma once

#include "broker/base/err.h"
#include "broker/base/cleanup.h"
#include "policy/policy.h"

struct policy_runs;

err_t policy_runs_new(struct policy_runs **ret);
/* Every run must have been given back. */
void policy_runs_free(struct policy_runs *pool);

/* NULL only when memory is short. Give it back with policy_runs_put. */
struct policy_run *policy_runs_take(struct policy_runs *pool);
void policy_runs_put(struct policy_runs *pool, struct policy_run *run);
