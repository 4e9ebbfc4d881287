/* Time zones of the system's database, each file read once. */
#include "broker/base/cleanup.h"
#include "broker/base/file.h"
#include "broker/builtins/internal.h"
#include "policy/tzif.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ZONE_NAME_MAX = 64,       /* bytes of a name */
    ZONE_FILE_MAX = 64 << 10, /* bytes of a file; the largest has some 4 KiB */
    ZONES_KEPT = 64,          /* files in memory; a policy names one or two */
};

#define ZONE_FOLDER "/usr/share/zoneinfo"

struct zone {
    char name[ZONE_NAME_MAX];
    struct buf data; /* empty: there is no such zone */
};

/* Filled once and then only read; what does not fit any more is read each time. */
static struct {
    pthread_mutex_t lock;
    struct zone *kept[ZONES_KEPT];
    size_t count;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Words of letters, digits, - + _ between single slashes: so no dot, and no way out of the
 * folder. */
static bool is_zone_name(const char *name, size_t len)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-";
    bool after_slash = true;
    if (len >= ZONE_NAME_MAX) return false;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '/' ? after_slash : !name[i] || !strchr(letters, name[i])) return false;
        after_slash = name[i] == '/';
    }
    return !after_slash;
}

static struct zone *read_zone(const char *name, size_t len)
{
    struct zone *z = calloc(1, sizeof *z);
    if (!z) return NULL;
    memcpy(z->name, name, len);
    char path[sizeof ZONE_FOLDER "/" + ZONE_NAME_MAX];
    snprintf(path, sizeof path, ZONE_FOLDER "/%s", z->name);
    /* A folder or a missing file is no zone: data stays empty. */
    if (!err_ok(file_read(path, ZONE_FILE_MAX, &z->data))) buf_free(&z->data);
    return z;
}

static struct zone *find_locked(const char *name, size_t len)
{
    for (size_t i = 0; i < cache.count; i++)
        if (strlen(cache.kept[i]->name) == len && memcmp(cache.kept[i]->name, name, len) == 0)
            return cache.kept[i];
    return NULL;
}

/* *ret_kept false: the caller frees it. */
static struct zone *find(const char *name, size_t len, bool *ret_kept)
{
    SCOPED_LOCK(&cache.lock);
    struct zone *z = find_locked(name, len);
    *ret_kept = true;
    if (z) return z;
    z = read_zone(name, len);
    /* Names that do not exist are many; only real zones are kept. */
    if (z && z->data.len && cache.count < ZONES_KEPT) cache.kept[cache.count++] = z;
    else *ret_kept = false;
    return z;
}

bool zones_at(void *context, const char *name, size_t len, int64_t unix_seconds,
              struct builtin_zone *ret)
{
    (void) context;
    bool kept = false;
    struct zone *z = is_zone_name(name, len) ? find(name, len, &kept) : NULL;
    bool known = z && z->data.len && tzif_zone_at(z->data.data, z->data.len, unix_seconds, ret);
    if (z && !kept) {
        buf_free(&z->data);
        free(z);
    }
    return known;
}
