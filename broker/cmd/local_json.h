/* A namespace as KBS's LocalJson backend keeps it: one JSON object of keys and values in base64url
 * with padding (kbs-api.md 8.4). Read as a stream through a window of secret memory, since the file
 * may be larger than what we can lock and its values are secrets. */
#pragma once

#include "broker/base/secret.h"

struct local_json_source {
    /* Up to room bytes into `into`; *ret_len 0 is the end. */
    err_t (*read)(void *arg, uint8_t *into, size_t room, size_t *ret_len);
    void *arg;
};

struct local_json_entry {
    struct span key;            /* decoded; cut to IMPORT_KEY_MAX + 1 bytes */
    const char *flaw;           /* the value is no text, no base64url or over max; or NULL */
    struct secret **value;      /* the visitor may take it; NULL: not wanted, or flawed */
};

struct local_json_visitor {
    bool values; /* decode them */
    size_t max;  /* bytes of one value */
    err_t (*visit)(void *arg, struct local_json_entry *e);
    void *arg;
};

/* ERR_USAGE with the byte at which the text is no JSON object; what came before was visited.
 * Limits: JSON_MAX_DEPTH, IMPORT_MAX_ENTRIES (limits.h). Keys may repeat; the visitor sees each. */
err_t local_json_read(const struct local_json_source *source, const struct local_json_visitor *visitor);
