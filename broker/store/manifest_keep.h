/* Keeping the manifest: read with every scan, written in the background and at stop, compared with
 * what the token holds. Inside the store only.
 *
 * What it says of a name only ever goes up, whatever the token shows: the version that was recorded
 * stays until the name is written above it, purged by us, or an operator accepts what is there. So
 * neither a rescan nor a restart makes the manifest forget what somebody took away.
 *
 * The order of writes, so that no kill at any point looks like an attack:
 *   a write      resource first, manifest later. A version above the recorded one is nothing odd.
 *   a purge      the manifest first where it still records a value that is in use; then objects go. A
 *                recorded tombstone or expired value that is not there was purged.
 *   a name anew  after a purge versions begin at 1 again: first the manifest that has forgotten it.
 *   the manifest the new object, then the host's note, then the old objects go. */
#pragma once

#include "broker/store/manifest.h"
#include "broker/store/manifest_note.h"
#include "broker/store/version.h"

struct store;

#define MANIFEST_OBJECTS 8u /* the newest and what kills left; more are met after these are gone */

/* What a scan saw of it. */
struct manifest_sight {
    struct p11_object objects[MANIFEST_OBJECTS];
    size_t count;
    struct blob *best; /* the sound envelope of the highest version; owned */
    uint64_t version;
    uint32_t generation;
};

struct manifest_state { /* under `work`; version and synced under `lock` as well */
    struct buf body;       /* of `version`; empty: there was none yet */
    uint64_t version;
    uint32_t generation;   /* of the key that it is sealed under */
    bool present;          /* on the token; false: gone since, or never written */
    bool unread;           /* there is one that could not be opened yet, so none may be written */
    struct p11_object objects[MANIFEST_OBJECTS];
    size_t count;
    struct manifest_note note;
    char *note_path;       /* NULL: the host remembers nothing */
    struct buf dropped;    /* purged since it was written: kind byte and name with its NUL each */
    bool dirty;            /* we changed something since */
    uint64_t synced;       /* the count of `changes` that it holds */
    uint64_t next;         /* clock_mono_ns: not written before */
    unsigned retry;        /* seconds; 0: the last time it went well */
};

/* For a store that is being opened: `state_dir` may be NULL. */
err_t manifest_init(struct store *s, const char *state_dir);
void manifest_done(struct store *s);

/* A scan came upon an object with the manifest's label. */
void manifest_sighted(struct store *s, struct manifest_sight *sight, const struct p11_seen *seen);
void manifest_sight_done(struct manifest_sight *sight);

/* All of these: the caller holds `work`, not `lock`. */

/* After a scan: reads what was seen, and notes when it is older than what this host knows. */
void manifest_take_locked(struct store *s, const struct manifest_sight *sight);
/* The version that the next write of a name gets, `highest` being the highest there is. */
uint64_t manifest_next_locked(struct store *s, enum envelope_kind kind, const char *name,
                              uint64_t highest);
void manifest_changed_locked(struct store *s);
void manifest_before_purge_locked(struct store *s, enum envelope_kind kind, const char *name);
void manifest_purged_locked(struct store *s, enum envelope_kind kind, const char *name);
/* Writes it if it differs from what is on the token, or is under another key than the active one. */
err_t manifest_sync_locked(struct store *s);
/* What is there now is right: forgets what is not, and that the manifest itself was once older. */
err_t manifest_accept_locked(struct store *s, size_t *ret_forgotten);
/* What is not there as it should be. For `why` see manifest_keep.c. */
struct finding;
void manifest_compare_locked(struct store *s, void (*visit)(void *arg, const struct finding *f),
                             void *arg);

/* For the thread in the background: whether it is time, and then does it. */
bool manifest_due(struct store *s);
void manifest_flush(struct store *s);
