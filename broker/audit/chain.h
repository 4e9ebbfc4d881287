/* The chain of records: each carries the SHA-256 of the line before it, so a line that is changed,
 * taken out or put in shows at the next one. What is cut off the end does not: whoever must know
 * keeps the head, which the broker logs when it stops and when the file is rotated. */
#pragma once

#include "broker/base/buf.h"

#include <stdio.h>

#define CHAIN_HEX 64

/* Hex digits; all '0' before the first line. */
struct chain_link { char hex[CHAIN_HEX + 1]; };
#define CHAIN_START ((struct chain_link){"0000000000000000000000000000000000000000000000000000000000000000"})

bool chain_is_start(const struct chain_link *l);

/* Of a line without its end. ERR_INTERNAL when the digest fails. */
err_t chain_hash(struct span line, struct chain_link *ret);

/* Whole lines of a file, one at a time. */
struct chain_reader {
    FILE *file;       /* of the caller */
    struct buf line;  /* without its end; valid until the next call */
    uint64_t number;  /* of that line, from 1 */
    bool whole;       /* it had an end */
};
/* False at the end of the file. ERR_TOOLARGE for a line over AUDIT_LINE_MAX. The caller frees
 * `line`. */
err_t chain_next(struct chain_reader *r, bool *ret_more);

/* ---- verifying ---------------------------------------------------------------------------------- */

struct chain_report {
    uint64_t records, runs, torn, problems;
    struct chain_link before; /* what the first line links to */
    struct chain_link head;   /* the last line's own hash */
    char first[32], last[32]; /* times of the first and the last record */
    char run[32];             /* of the last record, and its seq */
    int64_t seq;
};

/* Reads a file to its end, continuing from *report (zero it first): so rotated files are given one
 * after the other, oldest first. Each problem is told with the number of its line; all are
 * counted. An error is one of reading, not of the chain. */
err_t chain_verify(FILE *f, struct chain_report *report,
                   void (*tell)(void *arg, uint64_t line, const char *problem), void *arg);
