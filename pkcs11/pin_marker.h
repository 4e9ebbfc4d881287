/* The memory of a PIN that failed: a file beside the token's state, so that a service that is
 * restarted again and again cannot burn the tries and lock the token.
 *
 * It is written before C_Login ("trying") and removed after success; a refusal makes it "failed".
 * Its content is one line: `strongroom-pin 1 trying|failed <salt> <hash>`, hash = scrypt of the
 * PIN, so that a changed PIN is told from the one that failed. */
#pragma once

#include "broker/base/secret.h"

enum pin_verdict {
    PIN_NEW,        /* nothing known of this PIN: may be tried */
    PIN_UNFINISHED, /* a login with it began, and its end is not known */
    PIN_REFUSED,    /* the token refused it: never again */
};

#define PIN_SALT 16
#define PIN_HASH 32

struct pin_marker {
    const char *path; /* the caller's */
    uint8_t salt[PIN_SALT], hash[PIN_HASH];
};

/* Compares the PIN with the file and prepares *ret for writing. ERR_HUMAN when the file is there
 * and cannot be understood. Takes about 50 ms (scrypt), as meant. */
err_t pin_marker_check(const char *path, struct secret *pin, struct pin_marker *ret,
                       enum pin_verdict *ret_verdict);
/* Durable (fsync) when it returns; mode 0600. */
err_t pin_marker_write(const struct pin_marker *m, enum pin_verdict verdict);
err_t pin_marker_remove(const struct pin_marker *m);
