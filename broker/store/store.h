/* Where wrapped resources lie, by name and version, whatever holds the bytes (today: the token).
 *
 * The store keeps the catalog (name -> versions -> object) in memory and applies the rules of
 * DESIGN 3 "Versions", "Writing" and "Catalog". Threads: every function may be called from any
 * thread. */
#pragma once

#include "broker/base/secret.h"
#include "pkcs11/job.h"
#include "pkcs11/p11.h"

struct store;

struct store_config {
    struct p11 *token;          /* borrowed; must outlive the store */
    unsigned keep_versions;     /* the newest N complete versions stay, tombstones count; 0: 1 */
    unsigned keep_policies;     /* the same for policies, whose history is looked at; 0: 1 */
    size_t cache_bytes;         /* envelopes (ciphertext) kept in memory */
    bool writable;              /* we hold the writer lock */
    const char *writer;         /* who writes when we do not; for the 503. May be NULL */
    size_t value_max;           /* bytes; 0: VALUE_MAX */
    const char *state_dir;      /* where the host's note of the manifest lies; NULL: it keeps none */
    bool watch;                 /* a thread of the store's looks at the epoch object and rescans, so that
                                 * readers do neither, and store_rescans never asks the token */
};

/* Builds the catalog by one scan. ERR_TOOLARGE beyond STORE_READ_MAX. */
err_t store_open(const struct store_config *config, struct store **ret);
void store_close(struct store *s);
DEFINE_CLEANUP(struct store, store_close);

enum store_state {
    STORE_LIVE,      /* the newest version is a value */
    STORE_DELETED,   /* the newest version is a tombstone */
    STORE_DAMAGED,   /* the newest version cannot be read; older ones are never served */
};

struct store_entry {
    char name[NAME_MAX_BYTES + 1];
    enum envelope_kind kind;
    enum store_state state;
    uint64_t version;       /* newest */
    int64_t created;        /* of the newest, Unix seconds */
    int64_t not_after;      /* 0: none */
    size_t size;            /* bytes of the value, when live; in lists, and of suite 2, rounded down
                             * to whole blocks of 16 */
    uint32_t kek_generation;
    uint8_t suite;          /* by which it was opened (pkcs11/envelope.h); 0 in lists */
    unsigned versions;      /* kept on the token, tombstone included */
    char content_type[128]; /* "" when none */
};

/* repository/type/tag by the grammar of kbs-api.md 1.3; NAME_MAX_BYTES. ERR_USAGE says which
 * part is wrong. */
err_t store_check_name(const char *name);

/* The newest version's value. ERR_NOTFOUND: none, deleted, or past not-after. ERR_DAMAGED: the
 * newest does not verify (never an older one). ret_entry may be NULL. */
err_t store_get(struct store *s, enum envelope_kind kind, const char *name, struct secret **ret,
                struct store_entry *ret_entry);

/* Every version of a name that is kept, newest first: the first one is what decides. `state` is
 * what is known of that version (one that was never opened may yet turn out damaged), `version` 0
 * when nobody can tell. ERR_NOTFOUND when there is none. */
err_t store_list_versions(struct store *s, enum envelope_kind kind, const char *name,
                          err_t (*visit)(void *arg, const struct store_entry *e), void *arg);

/* The value of one kept version, newest or not. ERR_NOTFOUND: not kept, a tombstone, or past
 * not-after. ERR_DAMAGED: it does not verify. ret_entry describes that version; may be NULL. */
err_t store_get_version(struct store *s, enum envelope_kind kind, const char *name,
                        uint64_t version, struct secret **ret, struct store_entry *ret_entry);

/* ERR_READONLY, which names the writer, unless we are it. For whoever changes the token otherwise. */
err_t store_check_writer(const struct store *s);

struct store_put {
    enum envelope_kind kind;
    const char *name;
    struct span value;
    const char *content_type; /* or NULL */
    int64_t not_after;        /* 0: none */
    bool has_if_match;        /* write only if the newest live version is if_match (0: none is) */
    uint64_t if_match;
};
/* Acknowledged only when the new version was read back and nothing that cannot be read lies above it: else the
 * error says that it is written. ERR_PRECONDITION, ERR_FULL, ERR_READONLY, ERR_TOOLARGE. On any error what was
 * stored before is still served. */
err_t store_put(struct store *s, const struct store_put *put, uint64_t *ret_version);

/* One of several writes. */
struct store_batch_put {
    struct store_put put;
    uint64_t version;         /* that it got, when the outcome is no error */
    struct err_chain outcome; /* as store_put would tell (err_load) */
};
/* At most STORE_BATCH_MAX writes that are read back together. A name that comes a second time is
 * ERR_CONFLICT. Errors: none was tried. */
err_t store_put_batch(struct store *s, struct store_batch_put *puts, size_t n);

/* Writes a tombstone. ERR_NOTFOUND when there is no live (or damaged) version. */
err_t store_delete(struct store *s, enum envelope_kind kind, const char *name, bool has_if_match,
                   uint64_t if_match, uint64_t *ret_version);

struct store_restore {
    enum envelope_kind kind;
    const char *name;
    uint64_t version;         /* a kept one; only a value that verifies is restored */
    bool has_if_match;        /* as in store_put */
    uint64_t if_match;
    /* Sees the value before it is written; its error ends the restore. May be NULL. */
    err_t (*check)(void *arg, struct span value);
    void *arg;
};
/* Writes the value of a kept version as the next one, with its content type and not-after; so what
 * was restored stands in the history like any write. ERR_CONFLICT when it is what is in force
 * already; else as store_get_version and store_put. */
err_t store_restore(struct store *s, const struct store_restore *r, uint64_t *ret_version);

/* Takes every version of a name off the token, when the newest is a tombstone or has expired. Version
 * numbers of the name begin again at 1. ERR_NOTFOUND; ERR_CONFLICT: it is in use, or damaged. After
 * another error some older versions may be gone, and what decides is still there. */
err_t store_purge(struct store *s, enum envelope_kind kind, const char *name, size_t *ret_gone);

struct store_rewrapped {
    uint32_t generation; /* that is active */
    size_t moved;        /* by this call */
    size_t left;         /* under older generations, failed ones included */
    size_t failed;       /* damaged: they stay as they are */
    size_t unreadable;   /* nobody can tell under which key */
};
/* Moves up to `limit` versions (of any kind; at most STORE_REWRAP_MAX, 0 only counts) from older key-
 * encryption keys to the active one. Each is opened before and after. May be ended at any point and
 * called again until left equals failed. ERR_HUMAN: no key. */
err_t store_rewrap(struct store *s, size_t limit, struct store_rewrapped *ret);

/* Removes a key-encryption key from the token that nothing on it names any more. ERR_CONFLICT says what
 * still does; ERR_NOTFOUND. */
err_t store_drop_key(struct store *s, uint32_t generation);

/* Entries of a kind, in name order. */
struct store_listing {
    enum envelope_kind kind;
    const char *prefix;  /* of names; NULL: all */
    const char *after;   /* only names behind it; NULL: from the first */
    size_t limit;        /* of entries; 0: none */
    bool deleted;        /* tombstones too */
};
/* *ret_more (may be NULL): whether the limit left some out. */
err_t store_list(struct store *s, const struct store_listing *listing,
                 err_t (*visit)(void *arg, const struct store_entry *e), void *arg, bool *ret_more);

struct store_stats {
    size_t live, deleted, damaged, foreign, torn; /* foreign and torn: objects, the rest: names */
    size_t cached_bytes;
    uint64_t rescans;
};
void store_stats(struct store *s, struct store_stats *ret);

/* Looks at the epoch object now and rescans when another writer was there. For tests, status. */
err_t store_refresh(struct store *s);

/* How often the catalog was rebuilt because another writer was there: whoever keeps something
 * read from the store (the policy) reads again when this changes. Cheap; looks at the epoch unless a
 * thread does (store_config.watch). */
uint64_t store_rescans(struct store *s);

/* Whoever keeps something read from the store and is to read it again without a request that asks. Nothing
 * is called unless a thread watches (store_config.watch). */
struct store_listener {
    void (*look)(void *arg); /* by that thread, after each of its looks; may ask the token */
    void *arg;
    struct store_listener *next;
};
bool store_is_watched(const struct store *s);
void store_listen(struct store *s, struct store_listener *l);   /* borrowed until store_unlisten */
void store_unlisten(struct store *s, struct store_listener *l); /* waits for a look under way */
