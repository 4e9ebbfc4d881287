/* Labels: how a name and its kind are written on the token (DESIGN 3, Objects). A resource's label
 * is its name, so that pkcs11-tool -O reads well; all else begins "strongroom:", which no resource
 * name can. Pure functions, thread-safe. */
#pragma once

#include "pkcs11/p11.h"

enum label_owner {
    LABEL_OURS,    /* a name of a kind that the store keeps */
    LABEL_RESERVED, /* belongs to another part: canary, epoch, manifest */
    LABEL_UNKNOWN, /* nobody's */
};

/* Whose label it is; for LABEL_OURS also the kind and the name (a view into label). */
enum label_owner label_read(const char *label, enum envelope_kind *ret_kind, const char **ret_name);

/* The label of a name that passed name_check. Returns out. */
const char *label_make(enum envelope_kind kind, const char *name, char out[P11_LABEL_MAX + 1]);

#define LABEL_MANIFEST "strongroom:manifest"

/* "resource", "policy", "reference value", for sentences. */
const char *kind_noun(enum envelope_kind kind);

/* Whether a name of this kind may exist: resources by store_check_name, the others any printable
 * ASCII without spaces up to NAME_MAX_BYTES. ERR_USAGE says what is wrong. */
err_t name_check(enum envelope_kind kind, const char *name);
