/* CK_RV: its name, what it means for the caller, and what we do about it. One table (rv.c), drawn
 * from what real tokens meant by each code (PKCS#11 3.0 section 5.1; 2.40 section 11.1). */
#pragma once

#include "broker/base/err.h"

#include <p11-kit/pkcs11.h>

/* What we do about a code, mildest first. */
enum rv_reaction {
    RV_FINE,    /* CKR_OK */
    RV_ITEM,    /* this item is bad: fail it, keep the session, never repeat */
    RV_CALLER,  /* our call or the token's policy is wrong: fail, log, retire the session */
    RV_HANDLE,  /* an object handle is stale: find the object again */
    RV_CANARY,  /* item or token? SoftHSM says GENERAL_ERROR for both: ask the canary */
    RV_SESSION, /* retire this session; an operation that may be repeated goes on a new one once */
    RV_WAIT,    /* no room for sessions: shrink the cap, wait for one */
    RV_FULL,    /* no room for objects: writes fail, reads go on */
    RV_LOGIN,   /* log in again, once */
    RV_REINIT,  /* C_Finalize, C_Initialize, find token, login and keys again */
    RV_BREAKER, /* answer 503 and try again later */
    RV_HUMAN,   /* stop until a person acts */
};

/* The table. Unknown codes are ERR_TOKEN_DOWN and RV_SESSION, as vendors put anything there
 * (Luna says 0x80000384 after its restart). Pure, thread-safe. */
enum err_class rv_class(CK_RV rv);
enum rv_reaction rv_reaction(CK_RV rv);
/* The class for who asked for work and gave nothing that the code could be about. The token may say
 * anything anywhere, and a guest must not hear that his request was wrong, or that there is no such
 * thing, because C_FindObjects answered CKR_OBJECT_HANDLE_INVALID: never ERR_USAGE, ERR_CONFLICT,
 * ERR_NOTFOUND or ERR_CRYPTO. */
enum err_class rv_work_class(CK_RV rv);
/* Codes that speak of the token as it is now, and not of what it can do: down, busy, full, or in want of a
 * person. RV_CANARY speaks of nothing. */
bool rv_is_of_the_moment(CK_RV rv);

/* "CKR_PIN_LOCKED", "CKR_VENDOR_DEFINED+0x384", "CKR_0x1f5" for what no standard names. */
#define RV_NAME 40
const char *rv_name(CK_RV rv, char out[RV_NAME]);

/* Whether a session that saw this code may go back to the pool: only after a plain data error. */
bool rv_keeps_session(CK_RV rv);

/* "C_Login: CKR_PIN_LOCKED (0xa4)" for the `native` part of an error frame. */
#define RV_NATIVE 96
const char *rv_native(CK_RV rv, const char *call, char out[RV_NATIVE]);

/* Starts an error chain at the border to the module: class, code, name of the call, sentence. */
#define MAKE_P11(class, rv, call, ...)                                           \
    err_start((class), rv_native((rv), (call), (char[RV_NATIVE]){0}), __FILE__, __LINE__, \
              __func__, __VA_ARGS__)
#define FAIL_P11(class, rv, call, ...) return MAKE_P11(class, rv, call, __VA_ARGS__)
/* With the class that who asked for work may see. */
#define FAIL_RV(rv, call, ...) FAIL_P11(rv_work_class(rv), rv, call, __VA_ARGS__)
