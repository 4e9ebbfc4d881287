/* A content key (CEK) on the token: made for one payload, wrapped, unwrapped, used. One function a
 * PKCS#11 operation; they give the CK_RV, since what a code means depends on the caller (the
 * self-test wants failures). Suite 1: AES-256-GCM, tag of 128 bits, IV of 12 bytes.
 *
 * Every key here is a session object of `h` and dies with it; destroy it anyway, because pooled
 * sessions live long. The caller holds the session and, around each call, SCOPED_CRYPTO. */
#pragma once

#include "pkcs11/p11_internal.h"

#define CEK_BYTES 32u
#define CEK_WRAPPED_MAX 64u /* AES-KW of 32 bytes: 40 */
#define CEK_WRAPPED_KW 40u

/* A call into the module: where, with what, and the name of what failed for the error chain. */
struct cek_op {
    CK_FUNCTION_LIST *fn;
    CK_SESSION_HANDLE h;
    const char *call; /* the C_ function called last */
    bool stays;       /* a content key could not be destroyed: its session must go, whatever else */
};

/* Sensitive, for encryption, and extractable for its one wrap. */
CK_RV cek_generate(struct cek_op *op, CK_OBJECT_HANDLE *ret);
/* *ret_len is the room in out, and then what is in it. */
CK_RV cek_wrap(struct cek_op *op, CK_OBJECT_HANDLE kek, CK_OBJECT_HANDLE cek,
               uint8_t out[CEK_WRAPPED_MAX], size_t *ret_len);
/* Sensitive, not extractable, for decryption only. */
CK_RV cek_unwrap(struct cek_op *op, CK_OBJECT_HANDLE kek, struct span wrapped,
                 CK_OBJECT_HANDLE *ret);
/* Sensitive, for nothing but its one wrap under another KEK. */
CK_RV cek_unwrap_movable(struct cek_op *op, CK_OBJECT_HANDLE kek, struct span wrapped,
                         CK_OBJECT_HANDLE *ret);
CK_RV cek_destroy(struct cek_op *op, CK_OBJECT_HANDLE cek);

/* What the payload's cipher needs beside the key. */
struct cek_bound { struct span iv, aad; };
/* out has room for plain.len + ENVELOPE_TAG bytes: ciphertext, then tag. CKR_GENERAL_ERROR when
 * the token gives another length. */
CK_RV cek_encrypt(struct cek_op *op, CK_OBJECT_HANDLE cek, const struct cek_bound *bound,
                  struct span plain, uint8_t *out);
/* in is ciphertext and tag; out has room for in.len bytes, which is never 0 and more than the
 * plaintext: SoftHSM wants that, and NULL would be a size query. Nothing is in out on failure. */
CK_RV cek_decrypt(struct cek_op *op, CK_OBJECT_HANDLE cek, const struct cek_bound *bound,
                  struct span in, uint8_t *out, size_t *ret_len);
