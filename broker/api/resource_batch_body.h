/* The body of POST /strongroom/v1/resources: one entry after the other, each "LENGTH VERSION NAME" and a line
 * feed, then so many bytes of value. VERSION is the one that it may replace, 0 when there must be none (as
 * If-Match and If-None-Match). */
#pragma once

#include "broker/base/limits.h"
#include "broker/store/store.h"

struct resource_batch {
    struct store_batch_put puts[STORE_BATCH_MAX]; /* values are borrowed from the body, names from below */
    char names[STORE_BATCH_MAX][NAME_MAX_BYTES + 1];
    size_t n;
};

/* ret was zero before. Names are not looked at beyond their length: the store does. ERR_USAGE says which
 * entry is none, or that there are more than STORE_BATCH_MAX. */
err_t resource_batch_read(struct span body, struct resource_batch *ret);
