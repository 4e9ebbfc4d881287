/* The parts that a measured whole is made of, each as a loop on all cores at once, and the floor that
 * is their sum (DESIGN 9). */
#pragma once

#include "broker/base/err.h"

#define PARTS_MAX 24u

struct part {
    const char *name, *what;
    err_t (*once)(void);
};

/* A part that takes a lock of a module costs more with all cores at it at once than the whole ever
 * waits for it, and less on a core whose neighbours rest than it ever does in the whole: cores share
 * caches, and threads a core. So it is measured in a loop on each core, and in one beside loops of
 * something that takes no lock; the floor takes the cheaper. */
struct part_cost {
    double all, one; /* microseconds of core time */
};
double part_cheaper(struct part_cost c);

/* Runs each loop for so long. `beside` keeps the other cores busy; it takes no lock. ERR_INTERNAL names a part
 * that failed. Prints nothing. */
err_t parts_measure(const struct part *parts, size_t count, err_t (*beside)(void), unsigned cores,
                    double seconds, struct part_cost *ret);

/* The median of an odd number of runs, each figure by itself. Sorts nothing that the caller sees. */
#define PART_RUNS_MAX 15u
struct part_cost part_median(const struct part_cost *runs, size_t count);
