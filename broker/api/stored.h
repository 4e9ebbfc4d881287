/* Something made from one object of the store and kept: a policy that was compiled, values that were
 * parsed. Made again when another writer was in the store, replaced by who sets it here. What is made
 * is immutable and reference-counted. Thread-safe. */
#pragma once

#include "broker/store/store.h"

/* First in the struct of what is made. */
struct made {
    _Atomic int references; /* 1 at first */
    uint64_t version;       /* in the store; 0: it does not lie there */
    void (*free)(struct made *m);
};

struct made *made_ref(struct made *m); /* returns m */
void made_unref(struct made *m);       /* NULL-safe */

struct stored_kind {
    /* Makes it from what the store holds now, or, when that is nothing or cannot be used, something that
     * says so. `old` is what was made last, or NULL: a reference to it when nothing has changed.
     * *ret_certain false: the store could not be read, so ask again. NULL only without memory. */
    struct made *(*load)(void *arg, struct made *old, bool *ret_certain);
    void *arg;
};

struct stored;

/* Loads it. The store and kind->arg outlive it. ERR_INTERNAL: out of memory. */
err_t stored_new(struct store *store, const struct stored_kind *kind, struct stored **ret);
void stored_free(struct stored *s); /* NULL-safe */
DEFINE_CLEANUP(struct stored, stored_free);

/* What is in force now, as a reference of the caller's. Looks at the store again when another writer was
 * there, unless a thread of the store's does so; so it does not wait for the token then, as long as that thread
 * is not held up for STORED_READ_SECONDS. Whoever comes while another thread looks gets the one of before, for no
 * longer than that either. */
struct made *stored_current(struct stored *s);
/* The same without looking: never waits. */
struct made *stored_last(struct stored *s);

/* Puts m in force after it was stored as this version, unless a later one is in force already: two
 * who set it at once end here in any order. Takes the reference. */
void stored_set_take(struct stored *s, struct made *m, uint64_t version);
