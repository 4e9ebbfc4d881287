/* What the rules of an attestation policy came to -> what a token says (kbs-api.md 4.2). Pure. */
#pragma once

#include "broker/attest/ear.h"

struct value;

/* Either may be NULL: the rule has no value. Without trust_claims all claims are 0. ERR_USAGE: the
 * policy claims nothing ({}), a claim that nobody knows, a number that is none of -128 to 127, or an
 * extension that cannot stand in a token; the sentence is for who wrote it. */
err_t verdict_from(const struct value *trust_claims, const struct value *extensions,
                   struct ear_verdict *ret);

#define VERDICT_EXTENSIONS_MAX 16u
