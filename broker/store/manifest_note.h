/* What this host remembers of a token's manifest: a small file in the state directory. Without it,
 * a token that is taken back to an older state as a whole, manifest included, could not be told
 * from one that was never written to since. */
#pragma once

#include "broker/base/err.h"

struct manifest_note {
    uint64_t known;       /* the highest version of the manifest that this host has seen; 0: none */
    uint64_t lost_known;  /* not 0: the token showed `lost_found` when this one was known (0: none at */
    uint64_t lost_found;  /* all), and nobody has accepted that yet */
};

/* `path` NULL: nothing is kept. No file is no note (all 0). ERR_DAMAGED when it is none of ours. */
err_t manifest_note_read(const char *path, struct manifest_note *ret);
/* Replaces the file at once, so that a kill leaves the old note or the new one. */
err_t manifest_note_write(const char *path, const struct manifest_note *n);
