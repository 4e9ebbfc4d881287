/* What became of each entry of an import, for a person and for programs. */
#pragma once

#include "broker/base/bump.h"
#include "broker/cmd/import_item.h"

enum import_result {
    IMPORT_PENDING,   /* seen, and not yet dealt with */
    IMPORT_WOULD,     /* a dry run: it would be taken */
    IMPORT_TAKEN,
    IMPORT_WOULD_REPLACE,
    IMPORT_REPLACED,
    IMPORT_IS_SAME,   /* it is here already */
    IMPORT_CLASHES,   /* another value is here; left alone */
    IMPORT_SKIPPED,   /* it cannot be taken; reason says why */
    IMPORT_FAILED,    /* what was read back is not what the KBS has */
    IMPORT_RESULTS
};
const char *import_result_name(enum import_result r); /* "would-take", "taken", ... */

struct import_line {
    enum import_kind kind;
    const char *name, *where, *reason; /* reason: "" when there is none */
    enum import_result result;
    size_t bytes;                      /* of the value, once it was read */
    bool verified;                     /* read back through a fresh opening, and equal */
    struct import_line *next;
};

struct import_report {
    struct bump arena;
    struct import_line *first, *last;
    size_t count;
    void *index; /* of search.h, by kind and name: lines that are not skipped */
};

void import_report_free(struct import_report *r);

/* A line for the item: skipped when it is flawed, or when another of its kind has its name; else
 * pending. ERR_TOOLARGE over IMPORT_MAX_ENTRIES. */
err_t import_report_add(struct import_report *r, const struct import_item *item);

/* The line of an item that is not skipped, from the same place; NULL when there is none. */
struct import_line *import_report_find(const struct import_report *r,
                                       const struct import_item *item);

/* reason is copied. */
err_t import_report_set(struct import_report *r, struct import_line *line,
                        enum import_result result, const char *reason);

size_t import_report_count(const struct import_report *r, enum import_result result);

/* A line each, aligned; and the whole as one JSON object with its line end. */
void import_report_text(const struct import_report *r, struct buf *ret);
void import_report_json(const struct import_report *r, bool applied, struct buf *ret);

/* ERR_OK; or what the command ends with: ERR_DAMAGED when something failed, ERR_CONFLICT when
 * something clashes, ERR_PARTIAL when something was skipped. */
err_t import_report_verdict(const struct import_report *r);
