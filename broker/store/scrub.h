/* Looking after what lies on the token: the scrubber, which opens every object in the background;
 * the manifest, which knows what should be there; and what both found.
 *
 * Nothing that is found is touched: what is served stays with the rules of versions (store.h), and
 * what to do is for an operator. Threads: every function may be called from any thread. */
#pragma once

#include "broker/store/store.h"

enum fault {
    FAULT_DAMAGED,     /* does not verify, or cannot be read */
    FAULT_MISPLACED,   /* sealed under another name or kind than its label says */
    FAULT_TORN,        /* shorter than its own lengths */
    FAULT_ROLLED_BACK, /* older than what the manifest has */
    FAULT_MISSING,     /* in the manifest, and not on the token */
    FAULT_FOREIGN,     /* none of ours, or sealed for no key of this token */
    FAULT_LEFTOVER,    /* an object file of SoftHSM's that is no object: what a kill or full disk left */
    FAULT_COUNT
};

/* "damaged", "rolled-back", ... */
const char *fault_name(enum fault f);
/* Whether what is stored is hurt by it; foreign objects and leftovers are only in the way. */
bool fault_hurts(enum fault f);
/* What an operator does about it, a sentence. */
const char *fault_hint(enum fault f);

/* Good during the visit alone. */
struct finding {
    enum fault fault;
    const char *label; /* as on the token: a resource's name, "strongroom:..."; "": it cannot be read; of
                        * leftovers the file */
    uint64_t version;  /* 0: not known, or none */
    const char *why;
};

struct scrub_stats {
    uint64_t passes;         /* that came to their end since the start */
    bool running;
    uint64_t looked_at;      /* objects in the pass under way, or in the last one */
    uint64_t objects;        /* in the last whole pass */
    uint64_t checked;        /* objects opened since the start */
    int64_t finished;        /* Unix seconds: the end of the last whole pass; 0: none yet */
    enum err_class failed;   /* why the last one did not come to its end; ERR_NONE: it did */
    size_t found[FAULT_COUNT];
    uint64_t manifest_version; /* 0: none */
    bool manifest_behind;    /* something was written since */
};
void scrub_stats(struct store *s, struct scrub_stats *ret);

/* What is wrong as far as it is known: by the last pass, and by the manifest a moment ago. At most
 * STORE_FINDINGS_MAX; scrub_stats counts all. */
err_t scrub_findings(struct store *s, err_t (*visit)(void *arg, const struct finding *f), void *arg);

/* Told once of everything that was not known before, without a lock held. Before the first pass. */
void scrub_tell(struct store *s, void (*tell)(void *arg, const struct finding *f), void *arg);

/* A pass over everything at once, at full speed: by the thread that runs, where it ends after
 * `passes` has risen above *ret_passes; otherwise before this returns. ERR_TOKEN_DOWN and others:
 * it did not come to its end. */
err_t scrub_now(struct store *s, uint64_t *ret_passes);

/* What is on the token is right: the manifest is made anew from it, and the findings that came from
 * it end. For operators who removed or restored objects themselves. A reader only forgets that its host knew a
 * newer manifest; when it did not, ERR_READONLY. */
err_t scrub_accept(struct store *s, size_t *ret_forgotten);

struct scrub_config {
    unsigned rate;          /* objects a second; 0: the scrubber makes no passes but those asked for */
    unsigned pause_seconds; /* between passes; 0: SCRUB_PAUSE_SECONDS */
};
/* The thread that does all of this in the background, and writes the manifest. Once a store. */
err_t scrub_start(struct store *s, const struct scrub_config *config);
/* Ends it. False when it did not end within `ms`: it hangs in the token, and the store must stay. True
 * when there is none. */
bool scrub_stop(struct store *s, unsigned ms);
