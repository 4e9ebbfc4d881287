/* What scrubber and manifest found, beyond the endpoint (verify.c). */
#pragma once

#include "broker/api/api.h"
#include "broker/store/scrub.h"

/* For scrub_tell: one audit record a finding; `arg` is the struct audit. Nothing waits for it. */
void verify_record(void *arg, const struct finding *f);
/* Gauges and counters of it, without a name. */
void verify_metrics(const struct api_config *config, struct buf *out);
