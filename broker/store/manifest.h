/* The manifest: what the names on the token were when it was last written, so that what is deleted
 * or replaced by an older copy behind our back is seen. A sealed object `strongroom:manifest` whose
 * payload is this layout, compact enough for 100,000 names of ordinary length:
 *
 *      0  layout version          u8   1
 *      1  record count            u32
 *      5  records, ascending by kind and then name (bytewise), each name once:
 *         kind                    u8   enum envelope_kind
 *         shared, rest            u8, u8  bytes of the name taken from the record before; that follow
 *         the rest of the name    bytes
 *         flags                   u8   bit 0: the version is a tombstone; bit 1: it has a not-after
 *         version                 u64  the highest one known
 *         not-after               u64  Unix seconds; with bit 1 only
 *
 * Integers are big-endian. This file knows the layout alone; manifest_keep.c what is done with it.
 * Pure functions over bytes, thread-safe. */
#pragma once

#include "broker/store/store.h"

struct manifest_record {
    enum envelope_kind kind;
    char name[NAME_MAX_BYTES + 1];
    uint64_t version;
    int64_t not_after; /* 0: none */
    bool tombstone;
};

/* ERR_DAMAGED unless the bytes are a whole manifest of this layout. */
err_t manifest_check(struct span body);

/* Over the records of a body that passed manifest_check (an empty one counts as no records); it must
 * outlive the reader. */
struct manifest_reader {
    struct reader in;
    uint32_t left;
    struct manifest_record record; /* the one that manifest_next came to */
};
void manifest_begin(struct manifest_reader *r, struct span body);
/* False at the end, or where the bytes are malformed (in.failed). */
bool manifest_next(struct manifest_reader *r);

/* The order of records: less than, equal to or greater than 0. */
int manifest_compare(enum envelope_kind a_kind, const char *a, enum envelope_kind b_kind,
                     const char *b);
/* Whether a name stands in a body that passed manifest_check. A walk over all records. */
bool manifest_find(struct span body, enum envelope_kind kind, const char *name,
                   struct manifest_record *ret);

/* Makes a body: begin, put in ascending order, end. `out` belongs to the caller. */
struct manifest_writer {
    struct buf *out;
    uint32_t count;
    struct manifest_record last;
};
void manifest_open(struct manifest_writer *w, struct buf *out);
/* False when there is no room within STORE_MANIFEST_MAX: the record is left out. */
bool manifest_put(struct manifest_writer *w, const struct manifest_record *r);
err_t manifest_close(struct manifest_writer *w);
