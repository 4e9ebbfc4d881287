/* A throw-away directory for the tests of broker/store/directory*. */
#pragma once

#include "broker/store/directory_internal.h"
#include "tests/lib/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

static char base[64];
static char where[96]; /* the directory of envelopes: base/envelopes, not made yet */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline int root_setup(void **state)
{
    snprintf(base, sizeof base, "/tmp/strongroom-envelopes-XXXXXX");
    if (!mkdtemp(base)) return -1;
    snprintf(where, sizeof where, "%s/envelopes", base);
    return 0;
}

static inline int root_teardown(void **state)
{
    return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* base itself as an open root. */
static inline int root_open(void)
{
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static inline void put_file(const char *folder, const char *name, const char *text)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
    close(fd);
}
