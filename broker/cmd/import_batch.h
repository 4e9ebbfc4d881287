/* Small resources of an import, collected and written together: each alone would be found alone, and a
 * find is linear in what is on the token. */
#pragma once

#include "broker/cmd/import_report.h"
#include "broker/cmd/import_target.h"

#include "broker/base/limits.h"

struct import_batch {
    struct secret_buf body;
    size_t n;
    struct import_waiting {
        struct import_line *line;
        enum import_result result; /* once it is written */
    } waiting[STORE_BATCH_MAX];
};

void import_batch_free(struct import_batch *b);

/* Whether it is one for a batch. */
bool import_batch_takes(const struct import_item *item);
/* Whether this one (that a batch takes) would be too much for what is collected. */
bool import_batch_is_full(const struct import_batch *b, const struct import_item *item);
/* Copies the value. To be written over what was found; `result` is what its line says then. */
err_t import_batch_add(struct import_batch *b, const struct import_item *item, const struct import_found *found,
                       struct import_line *line, enum import_result result);
/* Writes what is collected, calls told for each with what became of it (ERR_OK: written), and is empty
 * again. Errors: of them all, or the first of told; each that has an outcome was told all the same. */
err_t import_batch_send(struct import_batch *b, struct vault *v,
                        err_t (*told)(void *arg, const struct import_waiting *w, struct err e), void *arg);
