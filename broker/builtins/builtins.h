/* The built-in functions of policies that need OpenSSL or files, which policy/ leaves to whoever
 * embeds it: hashes, JWTs, X.509, time zones. Functions are pure but for the files of the time
 * zone database; none uses a private key, a network or a clock of its own. */
#pragma once

#include "policy/builtin.h"

/* Static; for rego_options.host. Thread-safe. */
const struct builtin_host *builtins_host(void);

/* The same for attestation policies, which alone have query_reference_value(name): a value, or null
 * when there is none. Evaluations with it have a struct reference_source as context. */
const struct builtin_host *builtins_attestation_host(void);

struct reference_source {
    /* The value of this name, unchanged for the whole evaluation, or NULL. May be NULL itself: there
     * are no values. */
    const struct value *(*find)(const struct reference_source *self, const struct value *name);
};
