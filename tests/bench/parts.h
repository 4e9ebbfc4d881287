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
 * waits for it; so that the floor is one, the cheaper of both measurements counts. */
struct part_cost {
    double all, one; /* microseconds of core time: a loop on each core, and on one */
};
double part_cheaper(struct part_cost c);

/* Runs each loop for so long. ERR_INTERNAL names a part that failed. Prints nothing. */
err_t parts_measure(const struct part *parts, size_t count, unsigned cores, double seconds,
                    struct part_cost *ret);
