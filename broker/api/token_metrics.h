/* How the token does: jobs by where they ran, how long its calls take, and which hang. */
#pragma once

#include "broker/base/buf.h"
#include "pkcs11/job.h"

/* Appends all of it in the text format of metrics.h. Asks no token. */
void token_metrics_put(struct job_pool *jobs, struct buf *out);
