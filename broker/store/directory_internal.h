/* What the files of broker/store/directory share. */
#pragma once

#include "broker/base/limits.h"
#include "broker/store/directory.h"

#define DIRECTORY_MARK "strongroom-store"
#define DIRECTORY_LOCK "lock"
#define DIRECTORY_EPOCH "epoch"
#define DIRECTORY_TEMPORARY ".tmp-"
#define DIRECTORY_BUCKETS 256u

/* ---- directory_name.c: labels and numbers as paths; pure, thread-safe -------------------- */

/* The folder of a label. */
uint8_t directory_bucket(const char *label);
static inline uint8_t directory_bucket_of(uint64_t handle)
{
    return (uint8_t) (handle >> 56);
}

/* "3f/a+b+c~3f123456789abcde.env". A long label is cut into folders. handle's first byte is the
 * label's bucket. */
err_t directory_path_make(const char *label, uint64_t handle, struct buf *ret);
/* The same backwards; false: no path of ours. */
bool directory_path_read(const char *path, char ret_label[P11_LABEL_MAX], uint64_t *ret_handle);

/* ---- directory_file.c: one folder, one file; all below an open root ---------------------- */

/* Paths below the root. Owner: listing_free. */
struct listing {
    char **at;
    size_t n, cap;
    bool outrun; /* a folder went meanwhile: what came in its place may not be listed */
};
void listing_free(struct listing *l);
#define _cleanup_listing_ _cleanup_(listing_free)
/* Everything in one bucket; one that does not exist is empty. An empty folder below it comes as "3f/abc/". */
err_t listing_read(int root, uint8_t bucket, struct listing *ret);
/* What lies in the root itself and is none of ours, nor a temporary file. */
err_t listing_read_root(int root, struct listing *ret);

/* Appends a file's bytes. ERR_NOTFOUND; ERR_DAMAGED: no regular file, too large, or not to be read. */
err_t directory_file_read(int root, const char *path, struct buf *ret);
/* Makes a file that did not exist, durably when `sync`; folders above it too. */
struct directory_write {
    const char *path;
    struct span value;
    bool replace; /* one may exist */
    bool sync;
};
err_t directory_file_write(int root, const struct directory_write *w);
/* ERR_NOTFOUND. Durable. Folders that are empty then, below the bucket, go too. */
err_t directory_file_remove(int root, const char *path);
/* Temporary files that a killed writer left. */
void directory_sweep(int root);
