/* What the commands on resources share. */
#pragma once

#include "broker/base/err.h"

#include <stddef.h>

/* prefix and name, which may begin with kbs:///, as a path. ERR_USAGE names what is wrong with it. */
err_t resource_path(const char *prefix, const char *name, char *out, size_t size);
