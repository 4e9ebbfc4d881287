/* One conformance case: run it and judge it as OPA's own test program does. */
#pragma once

#include "policy/value.h"

enum verdict {
    PASSED,
    FAILED,
    REFUSED, /* it called a function that is refused by design */
    SKIPPED, /* it called a function that the host of this program does not give */
    VERDICTS
};

enum { WHY_MAX = 1500, REFUSED_MAX = 128 };

/* The functions that are refused, and why (refused.txt). */
struct refusals {
    struct { char name[80], reason[160]; } rows[REFUSED_MAX];
    size_t count;
};

struct trial_options {
    const struct refusals *refusals;
    bool limits; /* repeat the case with little of everything: it may end early, but not differently */
};

/* Before the first case. False without memory. */
bool trial_prepare(const struct trial_options *options);

/* why: what there is to say about every verdict but PASSED. */
enum verdict trial_run(const struct value *fields, char why[WHY_MAX]);

/* True when a case may have a field of that name. */
bool trial_knows_field(const struct value *name);
