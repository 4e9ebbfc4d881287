/* Envelopes as files, for tokens that keep no data objects (NSS, YubiHSM, CloudHSM): the same bytes as
 * on a token, in a directory beside it. The keys stay on the token.
 *
 *   DIR/strongroom-store           marks it, and says the format
 *   DIR/lock                       held by the one writer
 *   DIR/epoch                      who wrote last: p11_epoch_read
 *   DIR/3f/a+b+c~3f123456789abcde.env   an object: its label, and a number of its own
 *   DIR/.tmp-...                   a write that is not done
 *
 * 3f is a hash of the label and the first byte of the number, so that both finding a label and opening
 * a number are a look into one folder. A file is written under another name, synced, renamed and its
 * folder synced; it never changes after that, so no reader needs a lock. Files are 0600, folders 0700.
 * Other files are left alone and counted as foreign. */
#pragma once

#include "pkcs11/p11.h"

struct directory;

struct directory_config {
    const char *path;  /* absolute; made at first use */
    bool writable;     /* we are the token's writer */
};

/* Touches nothing yet. The strings are copied. */
err_t directory_new(const struct directory_config *config, struct directory **ret);
void directory_free(struct directory *d); /* NULL-safe; after the p11 that uses it is closed */
DEFINE_CLEANUP(struct directory, directory_free);

/* For p11_config.beside; owned by d. Its functions may be called from any thread. Errors: ERR_FULL (no
 * room), ERR_READONLY (the file system is), ERR_TOKEN_DOWN (the directory is gone or does not answer),
 * ERR_CONFLICT (`begin`: another writer), ERR_USAGE (`begin`: wrong owner or mode, newer format). */
const struct p11_beside *directory_beside(struct directory *d);
