/* What the attestation tokens of this broker can hold, for those who look a policy through before a
 * token ever meets it. */
#pragma once

/* The claims as a schema (policy/schema.h), JSON text with static lifetime. It follows ear.c, and the
 * verifiers' claims as far as they are known (kbs-api.md 3, 4.2); of others it knows the name. */
const char *claims_schema(void);

/* The same for the annotated evidence alone, which is the `input` of an attestation policy. */
const char *claims_schema_evidence(void);
