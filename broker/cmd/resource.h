/* What the commands on resources share. */
#pragma once

#include "broker/base/json.h"

#include <stddef.h>

/* prefix and name, which may begin with kbs:///, as a path. ERR_USAGE names what is wrong with it. */
err_t resource_path(const char *prefix, const char *name, char *out, size_t size);

/* The state of an entry, in a word for tables: one that has expired is not there, so it is not "live". */
const char *resource_state(struct json entry);

struct vault;
/* Each entry of the list, in name order; it lives for the call. query: further parameters, each with its &. */
err_t resource_each(struct vault *v, const char *query, err_t (*each)(void *arg, struct json entry), void *arg);
