/* Lists of findings: so many are kept with their labels, all are counted. Not thread-safe. */
#pragma once

#include "broker/store/scrub.h"

struct findings {
    struct finding *at; /* labels are our copies */
    size_t n, cap;
    size_t count[FAULT_COUNT];
};

/* Copies f; beyond STORE_FINDINGS_MAX, or without memory, it is counted only. */
void findings_add(struct findings *l, const struct finding *f);
/* Whether the same is in it: fault, label and version. */
bool findings_hold(const struct findings *l, const struct finding *f);
void findings_free(struct findings *l); /* leaves an empty list */
#define _cleanup_findings_ _cleanup_(findings_free)
