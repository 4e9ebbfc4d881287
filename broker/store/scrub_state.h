/* What the store keeps for the scrubber, and the pieces that scrub.c and scrub_run.c share. */
#pragma once

#include "broker/store/findings.h"

/* Where a finding came from: each publishes its own, and so ends those that are no more. */
enum scrub_source { SCRUB_OBJECTS, SCRUB_MANIFEST, SCRUB_SOURCES };

struct scrub_state {
    /* under the store's `lock` */
    struct findings found[SCRUB_SOURCES];
    uint64_t passes, looked_at, objects, checked;
    int64_t finished;
    enum err_class failed;
    bool running;
    bool answering; /* the pass under way was asked for, and will be counted */

    void (*tell)(void *arg, const struct finding *f); /* fixed before the first pass */
    void *tell_arg;

    uint64_t compared; /* under `lock`: the count of `changes` that was compared last */
    pthread_mutex_t turn; /* to publish; comes before `lock` */

    /* the thread; under `gate`, a leaf */
    pthread_mutex_t gate;
    pthread_cond_t wake;
    pthread_t thread;
    struct scrub_config config;
    bool started, ended, stop, wanted;
};

/* Who makes a pass, and how he waits meanwhile. `rest` NULL: at full speed, in the calling thread. */
struct scrub_walk {
    struct store *s;
    uint64_t pace_ns; /* from object to object; 0: none */
    /* Waits; false: the pass is to end here (ERR_BUSY). */
    bool (*rest)(struct store *s, uint64_t ns);
};
/* One pass over all objects; publishes what it found when it came to its end. */
err_t scrub_pass(const struct scrub_walk *walk);
/* Compares catalog and manifest, looks twice at what is new, publishes. */
err_t scrub_compare(const struct scrub_walk *walk);
void scrub_init(struct store *s);
void scrub_done(struct store *s);
