/* Where an existing KBS keeps what it has: found from what --from-kbs was given. */
#pragma once

#include "broker/cmd/import_item.h"

struct import_source;

/* what: a folder (a store, or the repository alone), a KBS's configuration, or a PostgreSQL URL.
 * policy: the resource policy of a KBS until v0.18, or NULL. Opens what must be opened and takes
 * nothing yet. ERR_USAGE says what we cannot read and what to do instead (Redis, cloud stores,
 * memory). The caller closes. Not thread-safe. */
err_t import_source_open(const char *what, const char *policy, struct import_source **ret);
void import_source_close(struct import_source *s);
DEFINE_CLEANUP(struct import_source, import_source_close);

/* Every entry, always in the same order as long as nobody changes the store: the walk can be
 * repeated. */
err_t import_source_walk(struct import_source *s, const struct import_walk *walk);

/* What was found and where, for a person; a line each with its line end. Empty when nothing needs
 * saying. */
const char *import_source_notes(struct import_source *s);
