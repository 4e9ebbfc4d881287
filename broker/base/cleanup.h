/* Scoped ownership: `_cleanup_(x_freep) struct x *x = NULL;` frees on every way out.
 * TAKE_PTR hands the pointer over and disarms the cleanup. */
#pragma once

#include "broker/base/buf.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

#define DEFINE_CLEANUP(type, fn)                                                 \
    static inline void fn##p(type **p)                                           \
    {                                                                            \
        if (*p) fn(*p);                                                          \
    }                                                                            \
    struct cleanup_semicolon_

#define TAKE_PTR(p)                                                              \
    ({                                                                           \
        __typeof__(p) take_ = (p);                                               \
        (p) = NULL;                                                              \
        take_;                                                                   \
    })

static inline void cleanup_free(void *p) { free(*(void **) p); }
static inline void cleanup_close(int *fd)
{
    if (*fd >= 0) close(*fd);
}
static inline void cleanup_unlock(pthread_mutex_t **m)
{
    if (*m) pthread_mutex_unlock(*m);
}

#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_buf_ _cleanup_(buf_free)

/* Holds the mutex until the end of the scope. */
#define SCOPED_LOCK_NAME2(line) scoped_lock_##line
#define SCOPED_LOCK_NAME(line) SCOPED_LOCK_NAME2(line)
#define SCOPED_LOCK(m)                                                           \
    _cleanup_(cleanup_unlock) pthread_mutex_t *SCOPED_LOCK_NAME(__LINE__) = (m); \
    pthread_mutex_lock(SCOPED_LOCK_NAME(__LINE__))
