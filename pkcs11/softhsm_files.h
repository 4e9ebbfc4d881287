/* Files in the directory of a SoftHSM token that are no objects: a kill or a full disk in the middle
 * of a write leaves them, SoftHSM passes them over, and no PKCS#11 call shows or removes them
 * (tokens.md 2.2). */
#pragma once

#include "broker/base/buf.h"

/* Whether the bytes of an object file are whole: a number, then attributes up to the very end. */
bool softhsm_object_whole(struct span file);

/* Calls visit with the path of each, in the directory of the token with this serial below `tokens`;
 * files younger than LEFTOVER_SECONDS may be in the making and are passed over. ERR_NOTFOUND when
 * there is no such directory. */
err_t softhsm_leftovers(const char *tokens, const char *serial,
                        err_t (*visit)(void *arg, const char *path), void *arg);
