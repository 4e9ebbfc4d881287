/* AES-256-GCM in this process, for suite 3 alone. Thread-safe. */
#pragma once

#include "broker/base/secret.h"

struct host_gcm {
    struct span key;     /* 32 bytes, of a struct secret */
    struct span iv, aad; /* the IV has 12 bytes */
};

/* plain.len bytes into out and 16 into tag. False: OpenSSL fails (out of memory). */
bool host_gcm_seal(const struct host_gcm *g, struct span plain, uint8_t *out, uint8_t *tag);
/* ciphertext.len bytes into out, when the tag is right; otherwise false, and out is wiped. */
bool host_gcm_open(const struct host_gcm *g, struct span ciphertext, struct span tag, uint8_t *out);
