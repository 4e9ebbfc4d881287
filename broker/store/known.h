/* What a catalog knows of objects, by their handles: so that reading the token again, after another broker wrote,
 * need not read every object again. */
#pragma once

#include "broker/store/catalog.h"

struct known_object {
    struct p11_object object;
    const struct entry *entry;
    const struct version *version;
};

/* Points into the catalog: good while nobody adds to it or removes from it. */
struct known {
    struct known_object *at; /* by handle */
    size_t n;
};

/* ERR_INTERNAL when out of memory. The owner frees with known_free. */
err_t known_new(const struct catalog *c, struct known *ret);
void known_free(struct known *k);
#define _cleanup_known_ _cleanup_(known_free)

/* NULL: it is not known, or only as one that could not be read, and must be looked at. */
const struct known_object *known_find(const struct known *k, struct p11_object o);
