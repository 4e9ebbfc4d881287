/* A directory for the admin socket of a group of tests. */
#pragma once

#include "peer.h"

static char directory[64], admin_path[128];

static inline int make_directory(void **state)
{
    snprintf(directory, sizeof directory, "%s/strongroom-http-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(directory)) return -1;
    snprintf(admin_path, sizeof admin_path, "%s/admin.sock", directory);
    return 0;
}

static inline int remove_directory(void **state)
{
    unlink(admin_path);
    return rmdir(directory);
}
