/* Where the keys are that others sign tokens with: files and servers, kept true while they change.
 *
 * Each place has a thread that looks at it now and then, when a token of an unknown key came, and
 * when an operator says so. What it finds replaces what was there at once; readers hold references to
 * immutable sets and never wait for a look. While a place cannot be read, the keys that it last gave
 * stay, however long. Thread-safe, except that all places are added before anybody asks. */
#pragma once

#include "broker/base/err.h"
#include "broker/jose/key_fetch.h"

struct key_sources; /* all places of one user: verifier of guests' tokens, of operators' tokens */
struct key_source;  /* one of them; lives as long as its key_sources */

struct key_source_config {
    const char *name;    /* for log and metrics: the configuration's name of it */
    const char *place;   /* an absolute path, https://..., or http:// to this host */
    enum key_form form;
    const char *ca_file; /* PEM: who may sign for the server; NULL: the system's */
};

err_t key_sources_new(struct key_sources **ret);
/* Ends the threads; a request under way is cut short. NULL-safe. */
void key_sources_free(struct key_sources *k);
DEFINE_CLEANUP(struct key_sources, key_sources_free);

/* A file is read now and must be right (ERR_NOTFOUND, ERR_USAGE). A server need not answer yet: it is
 * asked from now on, and until it answers the source has no keys. */
err_t key_sources_add(struct key_sources *k, const struct key_source_config *config,
                      struct key_source **ret);

/* Until each source was looked at once, or clock_mono_ns() is `end`: for a start. k may be NULL. */
void key_sources_wait(struct key_sources *k, uint64_t end);
/* Looks at every source now, in the background (SIGHUP). k may be NULL. */
void key_sources_refresh(struct key_sources *k);

/* How often keys went from a source, or were replaced under their name. What was verified under a
 * smaller count must be verified again. Read it before key_source_get. */
uint64_t key_sources_removals(const struct key_sources *k);

/* What it holds now: a reference of the caller's, or NULL before the first answer. */
struct jwk_set *key_source_get(struct key_source *s);
/* A token came whose key the source does not have: it is looked at again soon, but at most every
 * KEY_UNKNOWN_SECONDS for that reason. Does not wait. */
void key_source_want(struct key_source *s);

struct key_source_stats {
    const char *name;            /* borrowed from the source */
    uint64_t refreshes, failures; /* looks that went well, and that did not */
    size_t keys;
    bool loaded;                 /* at least once */
    uint64_t age_seconds;        /* since the last look that went well */
};
/* k may be NULL: then nobody is visited. */
void key_sources_stats(struct key_sources *k,
                       void (*visit)(void *arg, const struct key_source_stats *s), void *arg);
