/* Files in the directory of a SoftHSM token that are no objects. A kill or a full disk in the middle of a write
 * leaves some, SoftHSM passes them over, and no PKCS#11 call shows or removes them (tokens.md 2.2). Others it does
 * not survive. */
#pragma once

#include "broker/base/buf.h"

#include <p11-kit/pkcs11.h>

enum softhsm_object {
    SOFTHSM_WHOLE, /* a number, then attributes up to the very end */
    SOFTHSM_CUT,   /* it ends too early: SoftHSM passes it over */
    /* The length of a value is a damaged one. SoftHSM 2.6 makes room for so many bytes before it reads them:
     * where there is none it ends its process, where there is some it may take minutes. */
    SOFTHSM_DEADLY,
};

/* Whether a module that was started is SoftHSM. */
bool softhsm_is(CK_FUNCTION_LIST *fn);

/* What the bytes of an object file are. */
enum softhsm_object softhsm_object_judge(struct span file);

/* C_Initialize of SoftHSM reads every object of every token. ERR_DAMAGED: one of them is deadly; the text names
 * it and says what to do. Another module, and a place that cannot be looked into, are fine. */
err_t softhsm_check_objects(const char *module);

/* Calls visit with the path of each, in the directory of the token with this serial below `tokens`;
 * files younger than LEFTOVER_SECONDS may be in the making and are passed over. ERR_NOTFOUND when
 * there is no such directory. */
err_t softhsm_leftovers(const char *tokens, const char *serial,
                        err_t (*visit)(void *arg, const char *path), void *arg);
