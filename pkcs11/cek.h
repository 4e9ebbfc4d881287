/* A content key (CEK) on the token: made for one payload, wrapped, unwrapped; what is done with it is
 * in payload.h. One function a PKCS#11 operation; they give the CK_RV, since what a code means
 * depends on the caller (the self-test wants failures).
 *
 * Every key here is a session object of `h` and dies with it; destroy it anyway, because pooled
 * sessions live long. The caller holds the session and, around each call, SCOPED_CRYPTO. */
#pragma once

#include "pkcs11/p11_internal.h"

#define CEK_BYTES 32u
#define CEK_WRAPPED_MAX 64u /* AES-KW and AES-KWP: 40; AES-CBC-PAD with its IV in front: 64 */

/* What a content key is for. All but the last stay on the token. */
enum cek_use {
    CEK_GCM,  /* AES-256: suite 1 */
    CEK_CBC,  /* AES-256: suite 2 */
    CEK_MAC,  /* HMAC-SHA-256: suite 2 */
    CEK_HOST, /* AES-256 that the host reads: suite 3 */
};

/* A call into the module: where, with what, and the name of what failed for the error chain. */
struct cek_op {
    CK_FUNCTION_LIST *fn;
    CK_SESSION_HANDLE h;
    const char *call; /* the C_ function called last */
    bool stays;       /* a content key could not be destroyed: its session must go, whatever else */
};

/* A wrapped content key as a recipient has it. */
struct cek_wrapped {
    uint8_t mechanism; /* enum envelope_mechanism */
    enum cek_use use;
    struct span bytes;
};

/* Bytes of a wrapped content key; 0: a mechanism that we cannot use. */
size_t cek_wrapped_len(uint8_t mechanism);

/* Sensitive (but CEK_HOST), for this use, and extractable for its one wrap. */
CK_RV cek_generate(struct cek_op *op, enum cek_use use, CK_OBJECT_HANDLE *ret);
/* Exactly cek_wrapped_len(mechanism) bytes into out, or a failure. */
CK_RV cek_wrap(struct cek_op *op, uint8_t mechanism, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE cek,
               uint8_t out[CEK_WRAPPED_MAX]);
/* Sensitive and not extractable (but CEK_HOST), for opening only. CKR_WRAPPED_KEY_LEN_RANGE without
 * asking the token when these are not the bytes of a 256-bit key. */
CK_RV cek_unwrap(struct cek_op *op, CK_OBJECT_HANDLE kek, const struct cek_wrapped *w,
                 CK_OBJECT_HANDLE *ret);
/* Sensitive, for nothing but its one wrap under another KEK. */
CK_RV cek_unwrap_movable(struct cek_op *op, CK_OBJECT_HANDLE kek, const struct cek_wrapped *w,
                         CK_OBJECT_HANDLE *ret);
CK_RV cek_destroy(struct cek_op *op, CK_OBJECT_HANDLE cek);
