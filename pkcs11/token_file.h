/* Names of files that belong to one token: lock, login marker, backup. */
#pragma once

#include "broker/base/err.h"

/* dir/<prefix><serial><suffix> into a malloc'ed string. The serial is the token's word, so all but
 * letters, digits, '.', '-' and '_' become %XX: two serials never share a file. */
err_t token_file_path(const char *dir, const char *prefix, const char *serial, const char *suffix,
                      char **ret);

/* Opens (makes, 0600) the file and takes flock(2) on it, waiting so long; close ends it. Serialises
 * what the processes of this host do to one token. ERR_TOKEN_DOWN: another one holds it, which may
 * hang in the token. */
err_t token_file_lock(const char *path, unsigned ms, int *ret_fd);
