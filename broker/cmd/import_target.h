/* What an import does to the vault: look, compare, write. All of it by the same endpoints whether a
 * broker runs or not (vault.h). */
#pragma once

#include "broker/cmd/import_item.h"
#include "broker/cmd/vault.h"

enum import_state {
    IMPORT_ABSENT,  /* nothing of that name is here */
    IMPORT_DELETED, /* it was here, and somebody deleted it */
    IMPORT_EXPIRED, /* it is here, and nobody gets it any more */
    IMPORT_SAME,
    IMPORT_DIFFERS,
};

struct import_found {
    enum import_state state;
    char etag[32]; /* of what is here; "" when nothing is, or it has no version of its own */
};

/* The item has a value. Values are compared in constant time. What concerns this item alone is
 * ERR_USAGE or ERR_DAMAGED; other errors concern them all. */
err_t import_look(struct vault *v, const struct import_item *item, struct import_found *ret);

/* Whether the value is one that can be stored: policies compile, records say what they must. Asks
 * nobody. ERR_USAGE with the reason. */
err_t import_check(const struct import_item *item);

/* Writes it over what was found, and only over that. Errors as import_look; ERR_CONFLICT and
 * ERR_PRECONDITION when somebody else wrote meanwhile, ERR_TOOLARGE. */
err_t import_write(struct vault *v, const struct import_item *item,
                   const struct import_found *found);
