/* The attestation policies that are in force until an operator sets others. */
#pragma once

/* Rego; static. NULL: there is none for this class of devices. */
const char *default_policy(const char *device);
