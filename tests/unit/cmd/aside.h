/* What the program prints on stdout or stderr, put aside into a file and read from there. */
#pragma once

#include "tests/lib/test.h"

#include <fcntl.h>
#include <unistd.h>

struct aside {
    int fd, real; /* which; and where it goes otherwise */
    char path[400];
};

static inline void aside_begin(struct aside *a, int fd, const char *dir)
{
    snprintf(a->path, sizeof a->path, "%s/put aside from %d", dir, fd);
    int file = open(a->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    fflush(NULL);
    a->fd = fd;
    a->real = dup(fd);
    dup2(file, fd);
    close(file);
}

static inline void aside_end(struct aside *a)
{
    if (!a->path[0]) return;
    fflush(NULL);
    dup2(a->real, a->fd);
    close(a->real);
    a->path[0] = '\0';
}

/* All of a small file, "" when there is none; good until the next call. */
static inline const char *text_of(const char *path)
{
    static char text[32768];
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    if (f) fclose(f);
    return text;
}
