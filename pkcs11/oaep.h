/* RSAES-OAEP (RFC 8017 7.1) around the token's RSA: what is done with the public key, and the
 * decoding of a block for tokens whose own OAEP lacks the hash (SoftHSM knows SHA-1 alone).
 * MGF1 uses the same hash; there is no label. */
#pragma once

#include "broker/base/secret.h"

#include <openssl/evp.h>

enum oaep_hash { OAEP_SHA256, OAEP_SHA1 };

/* Bytes that fit into one block of a modulus of this many bytes: k - 2 hLen - 2. */
size_t oaep_room(size_t modulus_bytes, enum oaep_hash hash);
/* Bytes of this key's modulus. */
size_t oaep_block(const EVP_PKEY *key);

/* Appends the ciphertext, oaep_block bytes. ERR_TOOLARGE when plain does not fit. Padding and block
 * lie in secret memory only. */
err_t oaep_encrypt(EVP_PKEY *key, enum oaep_hash hash, struct span plain, struct buf *ret);

/* Whether these bytes are a ciphertext for this key at all: as long as the modulus, and smaller
 * (RFC 8017 7.1.2 step 1, 5.1.2). Both are public. */
bool oaep_in_range(EVP_PKEY *key, struct span wrapped);

/* The message in a block that RSA gave, whole, with its leading zeros. ERR_CRYPTO, one sentence for
 * every cause and in one time: who can tell causes apart reads messages with it (Manger 2001). */
err_t oaep_decode(struct span block, enum oaep_hash hash, struct secret **ret);
