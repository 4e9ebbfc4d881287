/* What the files of broker/store share. Nobody outside this folder includes it.
 *
 * Locks, and their order: `work` first, then the token's own, then `lock`. The scrubber's `turn` comes
 * before `lock` and is held over nothing else.
 *   work  held over token work that changes the catalog: a write, a rescan. Readers take it only
 *         to rescan.
 *   lock  guards the catalog and all fields below it; never held over token work. */
#pragma once

#include "broker/store/catalog.h"
#include "broker/store/label.h"
#include "broker/store/manifest_keep.h"
#include "broker/store/scrub_state.h"

#include "broker/base/clock.h"

#define SCAN_NS (STORE_RESCAN_SECONDS * CLOCK_SECOND_NS)

/* Keys that envelopes name and the token did not have when it was asked, so that it is not asked
 * for the same ones at every scan. */
#define UNKNOWN_KEKS_MAX 64u
struct unknown_keks {
    uint8_t id[UNKNOWN_KEKS_MAX][ENVELOPE_KEK_ID];
    size_t n;
    uint64_t forget_at; /* clock_mono_ns */
};

struct store {
    struct store_config config; /* fixed; `writer` is our copy */
    pthread_mutex_t work;
    struct unknown_keks unknown; /* under `work` */
    struct manifest_state manifest;
    struct scrub_state scrub;

    pthread_mutex_t lock;
    struct catalog *catalog;
    uint64_t changes;   /* of the catalog; tells who lost a race from whose handle is stale */
    uint64_t rescans;
    char epoch[P11_EPOCH_TEXT]; /* what it said when the catalog was built; "": none */
    uint64_t opening;   /* p11_opening() then; the catalog's handles are good for no other */
    uint64_t next_look; /* clock_mono_ns: when a reader looks at the epoch object again */
    uint64_t next_scan; /* clock_mono_ns: when every object is read, though the epoch object is the same */
    bool doubt;         /* a write failed midway: every object is read at the next look */
    bool unannounced;   /* we have written, and could not touch the epoch object */
    bool stale;         /* the last rescan failed, so the catalog may be out of date */
    uint64_t behind_since; /* clock_mono_ns: others have written, and that was not read yet; 0: nobody has */

    struct refresher *refresher; /* NULL: readers look themselves. Fixed while anybody reads */
    pthread_mutex_t listening;   /* guards the list; held over looks, before all other locks */
    struct store_listener *listeners;
};

/* `work` is held over calls to the token. */
#define SCOPED_WORK(s) SCOPED_JOB_LOCK(&(s)->work)

/* What the token's own failures are to who asked for a name: neither "there is none" (of a handle) nor a
 * fault of the request (of bytes that the token does not take). */
static inline struct err token_failure(struct err e)
{
    if (e.code == ERR_NOTFOUND || e.code == ERR_CRYPTO) e.code = ERR_TOKEN_DOWN;
    return e;
}

/* ---- load.c ------------------------------------------------------------------------------ */

enum reading {
    READ_ALL,  /* every object */
    READ_NEWS, /* those that the present catalog does not know, where the token's handles allow it */
};

/* A new catalog by one scan. Takes over cached bytes and notes of damage from the present one. The caller
 * holds `work`, not `lock`. */
err_t load_catalog_locked(struct store *s, enum reading reading, struct catalog **ret);

/* ---- create.c ---------------------------------------------------------------------------- */

/* Writes an envelope that was just sealed as an object and enters it. The caller holds `work`. */
err_t version_create_locked(struct store *s, enum envelope_kind kind, const char *name,
                           struct span bytes);
/* Off the token and out of the catalog; one that has gone already is as good. The caller holds `work`. */
err_t version_destroy_locked(struct store *s, enum envelope_kind kind, const char *name, struct p11_object o);
/* A batch, of at most STORE_BATCH_MAX, is read back by one find. The bytes are the caller's. */
struct version_draft {
    enum envelope_kind kind;
    const char *name;
    struct span bytes;
    struct err_chain outcome; /* as version_create_locked would tell (err_load) */
};
/* ERR_INTERNAL, out of memory: none was made. Else each has its outcome. */
err_t versions_create_locked(struct store *s, struct version_draft *d, size_t n);

/* ---- refresh.c --------------------------------------------------------------------------- */

/* First thing in every read: at most every STORE_EPOCH_MS one thread looks at the epoch object and
 * rescans when it changed. Never waits for a writer. ERR_TOKEN_DOWN while the catalog is known to
 * be out of date. */
err_t refresh_tick(struct store *s);
/* Before a 404: looks now. Waits for a rescan under way instead of beginning another. */
err_t refresh_now(struct store *s);
/* The same for a writer, who holds `work`. Reads the news, or all when it is time for that or there is doubt. */
err_t refresh_locked(struct store *s);
/* By the refresher: looks, rescans when the epoch object has changed, and lets readers off looking. */
err_t refresh_watched(struct store *s);
/* An object was not where the catalog of that count of `changes` has it; `again`: nor where the one before had
 * it, so that every object is read. */
err_t refresh_lost(struct store *s, uint64_t changes, bool again);
/* Reads the epoch object ("" when there is none) and every object; the catalog is replaced. */
err_t rescan_locked(struct store *s);
/* ---- refresher.c ------------------------------------------------------------------------- */

/* A thread that calls refresh_watched every STORE_EPOCH_MS. ERR_INTERNAL: it cannot be started. */
err_t refresher_start(struct store *s);
void refresher_stop(struct store *s);

/* Tells the other brokers that something was written. The caller holds `work`. */
void announce_locked(struct store *s);
