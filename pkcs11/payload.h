/* The suites: how a payload is sealed and opened with its content keys. One row of a table each.
 *
 *   1  AES-256-GCM on the token, AAD = bound header
 *   2  AES-256-CBC with HMAC-SHA-256 on the token. Tag = HMAC over bound header, IV, ciphertext and
 *      the header's length in bits (u64, as RFC 7518 5.2.2.1), checked before anything is decrypted.
 *      A block of zeros in front of the value proves the encryption key, which the tag does not
 *      cover: whoever writes envelopes could otherwise put another wrapped key beside a good tag.
 *   3  AES-256-GCM on the host with a key that the token opens: for tokens that can do no better
 *
 * Functions give the module's CK_RV, as those of cek.h; the same rules. */
#pragma once

#include "pkcs11/cek.h"

#define PAYLOAD_EXTRA 64u /* bytes of tag, key proof and padding beyond the value, at most */

/* What is sealed, or was. */
struct payload {
    struct span iv, aad;
    struct span plain;           /* to be sealed */
    struct span ciphertext, tag; /* to be opened */
};

struct suite {
    uint8_t number;
    enum cek_use use[ENVELOPE_KEYS];
    size_t keys;
    /* Ciphertext, then tag, into out, which has room for plain.len + PAYLOAD_EXTRA. */
    CK_RV (*seal)(struct cek_op *op, const CK_OBJECT_HANDLE *keys, const struct payload *x,
                  uint8_t *out, size_t *ret_len);
    /* The value into out, which has room for ciphertext.len + ENVELOPE_TAG_MAX, more than it needs:
     * SoftHSM wants that, and NULL would be a size query. Nothing is left in out on failure. */
    CK_RV (*open)(struct cek_op *op, const CK_OBJECT_HANDLE *keys, const struct payload *x,
                  uint8_t *out, size_t *ret_len);
};

/* NULL: a suite that we do not know. */
const struct suite *suite_find(uint8_t number);
