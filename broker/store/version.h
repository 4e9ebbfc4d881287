/* One version of a name, and the rules by which versions compete (DESIGN 3, Versions).
 *
 * Nothing here knows a token: `object` is only carried, so that a directory or a database can take
 * its place. Pure functions over lists; the owner of a list locks. */
#pragma once

#include "broker/store/store.h"

/* An envelope's bytes, shared between the cache and readers. The last reference frees it;
 * counting is atomic. */
struct blob {
    unsigned refs;
    uint32_t memory; /* bytes that the heap gave for it */
    size_t len;
    uint8_t data[];
};
struct blob *blob_new(struct span bytes); /* NULL when out of memory */
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b); /* NULL-safe */
DEFINE_CLEANUP(struct blob, blob_unref);
#define _cleanup_blob_ _cleanup_(blob_unrefp)
static inline struct span blob_span(const struct blob *b) { return span_of(b->data, b->len); }

struct version {
    struct version *older;
    struct p11_object object;
    uint64_t version;    /* VERSION_UNKNOWN: the envelope does not tell */
    int64_t created;     /* Unix seconds */
    int64_t not_after;   /* 0: none */
    uint32_t generation; /* of our KEK among the recipients */
    uint32_t size;       /* bytes of the value */
    bool tombstone;
    bool unreadable;     /* malformed, or of a newer format: nobody can tell what it says */
    bool broken;         /* did not verify when it was last opened; a note, each get tries again */
    char *content_type;  /* or NULL */

    /* cache.c */
    struct blob *bytes;  /* or NULL: not cached */
    struct version *used_before, *used_after;
};

/* Above every version that can be stored, since what nobody can read may be the newest. */
#define VERSION_UNKNOWN UINT64_MAX

/* From a sound envelope; `generation` is not 0. One whose critical attributes hold what we do not
 * understand comes out unreadable. The caller frees. ERR_INTERNAL when out of memory. */
err_t version_new(const struct envelope *e, uint32_t generation, struct p11_object object,
                  struct version **ret);
/* For an envelope that cannot be read. */
err_t version_new_unreadable(uint64_t version, struct p11_object object, struct version **ret);
/* What is fixed of a version; neither its bytes nor whether it was found broken. */
err_t version_copy(const struct version *v, struct version **ret);
void version_free(struct version *v); /* NULL-safe; must not be cached any more */
DEFINE_CLEANUP(struct version, version_free);
#define _cleanup_version_ _cleanup_(version_freep)

/* not-after as an envelope's attribute: 64-bit big-endian Unix seconds. */
#define NOT_AFTER_BYTES 8u
/* Whether text can stand in an HTTP header: printable ASCII that fits store_entry.content_type. */
bool content_type_ok(struct span text);

/* The order: higher version; then one that can be read; then the higher recipient generation
 * (a rotation that was cut short leaves both); then the lower handle, so that all brokers agree. */
bool version_before(const struct version *a, const struct version *b);

/* Lists are newest first; NULL is empty. */
void versions_insert(struct version **list, struct version *v);
/* The highest version that is known, 0 when none is. */
uint64_t versions_highest(const struct version *list);
/* The one that counts under this number, NULL when none has it. VERSION_UNKNOWN and 0 find none. */
struct version *versions_find(struct version *list, uint64_t version);
/* What the newest one says. The list is not empty. */
enum store_state versions_state(const struct version *list);
/* Past its not-after, by the clock. */
bool version_expired(const struct version *v);
size_t versions_count(const struct version *list);
/* Those that nobody can tell the version of: they lie above all others. */
size_t versions_unknown(const struct version *list);
/* What goes after a successful write: all beyond the newest `keep` readable versions (tombstones
 * count), copies of a version, and unreadable ones. Into ret, which has room for versions_count(list):
 * those of unknown version first, which hide what was written, then the oldest first. */
size_t versions_surplus(const struct version *list, unsigned keep, struct p11_object *ret);
