/* Shared by the files of the appraiser: what is in force, and how it is made. */
#pragma once

#include "broker/api/appraiser.h"
#include "broker/api/policy_runs.h"
#include "broker/api/stored.h"
#include "broker/attest/reference_values.h"
#include "policy/appraisal.h"

/* The classes of devices whose evidence we can verify. */
#define APPRAISER_DEVICES 2
extern const char *const appraiser_devices[APPRAISER_DEVICES];

struct slot {
    struct appraiser *appraiser;
    const char *device;
    char name[64]; /* in the store */
    struct stored *policy;
};

struct appraiser {
    struct store *store;
    struct policy_runs *runs;
    struct slot slots[APPRAISER_DEVICES];
    struct stored *values;
};

/* Errors that only a new write ends; of all others nobody knows how long they last. */
bool appraiser_error_lasts(struct err e);

/* ---- appraiser.c: policies ---- */

/* What lies in a slot. When it cannot be used the pointer is NULL, and why says so. */
struct slot_policy {
    struct made made;
    struct appraisal_policy *policy;
    bool broken; /* only a new one helps; otherwise it could not be read just then */
    char digest[17], why[ERR_TEXT];
};
void slot_policy_unref(struct slot_policy *p); /* NULL-safe */
DEFINE_CLEANUP(struct slot_policy, slot_policy_unref);

/* ERR_USAGE with all of *errors. */
err_t appraiser_compile(struct span text, struct rego_errors *errors, struct slot_policy **ret);

/* Asks a policy now; values NULL: there are none. ERR_USAGE says what is wrong with it. */
err_t appraiser_ask(const struct appraisal_policy *policy, struct policy_run *run,
                    const struct policy_claims *evidence, const struct reference_values *values,
                    struct ear_verdict *ret);

/* ---- appraiser_values.c: reference values ---- */

struct value_set {
    struct made made;
    struct reference_values *values; /* NULL: cannot be used, because of why */
    bool broken;                     /* only a new set helps; otherwise as above */
    char why[ERR_TEXT];
};
void value_set_unref(struct value_set *v); /* NULL-safe */
DEFINE_CLEANUP(struct value_set, value_set_unref);

/* text NULL: one that cannot be used; its why is for the caller to fill. */
err_t value_set_new(const struct span *text, struct value_set **ret);
/* What the store holds now, and its version; without any an empty set of version 0. */
err_t appraiser_read_values(struct appraiser *a, struct value_set **ret);
/* The set in force, which can be used, as a reference of the caller's. */
err_t appraiser_current_values(struct appraiser *a, struct value_set **ret);
/* For stored_kind; arg is the appraiser. */
struct made *appraiser_load_values(void *arg, struct made *old, bool *ret_certain);
