/* A host for the conformance cases: what policy/ leaves to its embedder. Hashes by OpenSSL, time
 * zones from the system's files. */
#pragma once

#include "policy/builtin.h"

extern const struct builtin_host rego_test_host;
