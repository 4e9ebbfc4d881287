/* KEKs: labels, generations, canaries. keys_load is in p11_internal.h. */
#pragma once

#include "pkcs11/p11_internal.h"

#define KEK_LABEL "strongroom-kek-"
#define CANARY_LABEL "strongroom:canary:"

/* The generation in a KEK's label: decimal, from 1, no leading zero; 0: no such label. */
uint32_t kek_generation(const char *label);

/* canary.c. The canary is an envelope of 32 public bytes under the KEK; it tells a bad item from a
 * bad key, and a key that was swapped from the one that was made.
 *
 * Finds and opens the canary of this KEK (kek->canary, kek->info.canary_ok). One that is missing
 * is written, but only after the KEK passed the self-test, and a torn one counts as missing: a
 * KEK that was just made, or whose making was cut off, has none. One that is there and does not
 * open is kept, warned of, and the KEK seals nothing more. Errors: the token does not answer. */
err_t canary_load(struct p11 *p, struct p11_kek *kek);
/* Of a KEK that is gone. */
err_t canary_remove(struct p11 *p, uint32_t generation);
/* Opens the canary of the active KEK. Not opened: ERR_TOKEN_DOWN, and *ret_rv is the module's code when
 * it had one. ERR_HUMAN: there is no such KEK. p11_check for who is not the keeper. */
err_t canary_check(struct p11 *p, CK_RV *ret_rv);
