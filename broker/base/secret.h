/* Secret memory: PINs, keys, plaintext and tokens of ours live here and nowhere else.
 *
 * One arena for the process: mmap between guard pages, mlock, not in core dumps, wiped in a
 * forked child. A block is wiped with explicit_bzero on every free and shrink and never grows in
 * place. The arena is a budget (limits.h SECRET_BUDGET_DEFAULT): when it is spent, secret_new
 * fails with ERR_BUSY and the request gets 503. */
#pragma once

#include "broker/base/cleanup.h"

struct secret;

/* Once, before threads start. budget in bytes, rounded up to pages. When the memory cannot be
 * locked: ERR_INTERNAL with the limit to raise, or with best_effort one warning in the log.
 * Also initialises OpenSSL's secure heap, forbids core dumps (RLIMIT_CORE 0) and, except when
 * `dumpable`, PR_SET_DUMPABLE 0. */
err_t secret_init(size_t budget, bool best_effort, bool dumpable);
void secret_shutdown(void); /* tests: every block must be free by then */

/* Zero-filled block of len bytes (len 0 is legal). The caller owns it. Thread-safe.
 * Before secret_init a small arena is made on first use (commands, tests). */
err_t secret_new(size_t len, struct secret **ret);
err_t secret_copy(struct span from, struct secret **ret);

void secret_free(struct secret *s); /* wipes; NULL-safe */
DEFINE_CLEANUP(struct secret, secret_free);
#define _cleanup_secret_ _cleanup_(secret_freep)

uint8_t *secret_data(struct secret *s);
size_t secret_len(const struct secret *s);
struct span secret_span(const struct secret *s);

/* Shortens to len bytes and wipes the rest. */
void secret_shrink(struct secret *s, size_t len);

/* Bytes of the arena that are in use, and its size; for metrics. */
size_t secret_used(void);
size_t secret_budget(void);

/* Constant time in the content; the lengths are compared first. */
bool secret_equal(struct span a, struct span b);

/* A secret that grows, for what arrives in pieces (request bodies, stdin). Growing copies into a
 * new block and wipes the old one. */
struct secret_buf {
    struct secret *block;
    size_t len; /* bytes used */
    size_t max; /* named limit */
};
err_t secret_buf_reserve(struct secret_buf *b, size_t total);
err_t secret_buf_add(struct secret_buf *b, const void *data, size_t len); /* ERR_TOOLARGE */
struct secret *secret_buf_steal(struct secret_buf *b); /* never NULL unless out of memory */
void secret_buf_free(struct secret_buf *b);
