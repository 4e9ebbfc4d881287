/* A walk's visitor that keeps what it saw as one line an item: "kind name = value" or
 * "kind name ! reason". */
#pragma once

#include "broker/cmd/import_item.h"
#include "tests/lib/test.h"

#include <ftw.h>
#include <sys/stat.h>

static struct buf seen;
static char dir[128];

static err_t collect(void *arg, const struct import_item *item)
{
    (void) arg;
    struct span value = secret_span(item->value);
    buf_addf(&seen, "%s %s", import_kind_name(item->kind), item->name);
    if (item->skip) buf_addf(&seen, " ! %s", item->skip);
    else if (item->value) buf_addf(&seen, " = %.*s", (int) value.len, (const char *) value.data);
    buf_add_str(&seen, "\n");
    return ERR_OK;
}

static const struct import_walk walk = {.values = true, .visit = collect};

static inline bool saw(const char *part) { return strstr(buf_str(&seen), part) != NULL; }

#define assert_saw(part)                                                                  \
    do {                                                                                  \
        if (!saw(part)) fail_msg("\"%s\" is not in:\n%s", (part), buf_str(&seen));        \
    } while (0)

static inline int make_dir(void **state)
{
    (void) state;
    snprintf(dir, sizeof dir, "%s/import test XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    buf_reset(&seen);
    return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st, (void) type, (void) ftw;
    return remove(path);
}

static inline int remove_dir(void **state)
{
    (void) state;
    buf_free(&seen);
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* dir/name; the last four stay valid. */
static inline const char *in(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static inline void make(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static inline void make_folder(const char *name) { assert_int_equal(mkdir(in(name), 0755), 0); }

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
