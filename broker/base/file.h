/* Files as a service reads and writes them. All functions thread-safe. */
#pragma once

#include "broker/base/secret.h"

/* A whole file that is not secret. ERR_NOTFOUND, ERR_TOOLARGE over max, ERR_USAGE when it is no
 * regular file. */
err_t file_read(const char *path, size_t max, struct buf *ret);

/* A whole file that is secret: refuses (ERR_USAGE, naming the mode and the chmod to run) when
 * group or others may read it, or when it belongs to neither root nor us. Symbolic links are
 * followed, as service managers mount credentials by link; the file they lead to is checked. */
err_t file_read_secret(const char *path, size_t max, struct secret **ret);

/* Everything from an open descriptor (stdin). */
err_t file_read_fd_secret(int fd, size_t max, struct secret **ret);

/* Replaces a file at once (temporary file beside it, fsync, rename) with the given mode. */
err_t file_write_atomic(const char *path, struct span data, unsigned mode);

/* The same for a file that somebody named on the command line: what is there and no file of its own (a device, a
 * pipe, a link such as /dev/stdout) is not replaced, but written to as it is. */
err_t file_write_output(const char *path, struct span data, unsigned mode);

/* Creates a directory and its missing parents with this mode; existing ones stay as they are. */
err_t file_make_dirs(const char *path, unsigned mode);

/* Writes all bytes; ERR_INTERNAL with errno. */
err_t file_write_all(int fd, struct span data);

/* `dir/name` into a malloc'ed string. */
err_t path_join(const char *dir, const char *name, char **ret);
