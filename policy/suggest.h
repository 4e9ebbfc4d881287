/* "Did you mean": the known name nearest to one that is not known. */
#pragma once

#include <stddef.h>

/* Letters to insert, delete, exchange or swap with their neighbour until a is b; more than `most` gives
 * most + 1. Names longer than 63 bytes are never near. */
size_t suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len, size_t most);

struct suggestion {
    const char *wanted; /* not NUL-terminated */
    size_t len;
    const char *best;   /* NULL: nothing is near enough */
    size_t distance;
};

/* Starts a search: at most a third of the letters, and never more than 2, may differ. */
void suggest_begin(struct suggestion *s, const char *wanted, size_t len);
void suggest_offer(struct suggestion *s, const char *name);
