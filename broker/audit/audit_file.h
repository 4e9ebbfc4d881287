/* The file of the record: who may hold it, and how one line gets into it. Internal to audit/.
 * Not thread-safe: the owner locks. */
#pragma once

#include "broker/audit/chain.h"
#include "broker/base/buf.h"

struct audit_file {
    int fd;                 /* -1: none */
    size_t torn;            /* bytes at the end that are no whole line */
    struct chain_link last; /* hash of the last line, the torn piece included; zeros when empty */
};

/* Opens or creates (mode 0600). It must be a regular file of ours that nobody else may write, not
 * reached by a symbolic link (ERR_USAGE), and no other process may have it (ERR_CONFLICT): the
 * chain is of one writer. The lock is the descriptor's, so it ends with the process. */
err_t audit_file_open(const char *path, struct audit_file *ret);
void audit_file_close(struct audit_file *f);

/* Appends a whole line, its end included, by one write(2). What does not fit is cut off again; if
 * that fails too, `torn` says how much of it stands there. The line has no torn piece before it:
 * see audit_file_end_torn. */
err_t audit_file_append(struct audit_file *f, const char *path, struct span line);

/* Ends a torn piece with a line end, so that it is a line of its own. */
err_t audit_file_end_torn(struct audit_file *f, const char *path);

/* Whether `path` names this file still. */
bool audit_file_same(const struct audit_file *f, const char *path);
/* Whether it has no name at all any more: what is written to it goes with the process. */
bool audit_file_removed(const struct audit_file *f);
