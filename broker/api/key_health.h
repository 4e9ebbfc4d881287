/* What /metrics and /readyz say of the places that keys come from (jose/key_source.h). */
#pragma once

#include "broker/api/api.h"

/* Appends series labelled by the source's name in the configuration; nothing when there is no source. */
void key_health_metrics(const struct api_config *config, struct buf *out);

/* Sources that have not given any key yet, so that no token of theirs is accepted. */
size_t key_health_missing(const struct api_config *config);
