/* The built-in functions of policies that need OpenSSL or files, which policy/ leaves to whoever
 * embeds it: hashes, JWTs, X.509, time zones. Functions are pure but for the files of the time
 * zone database; none uses a private key, a network or a clock of its own. */
#pragma once

#include "policy/builtin.h"

/* Static; for rego_options.host. Thread-safe. */
const struct builtin_host *builtins_host(void);
