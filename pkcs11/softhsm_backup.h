/* A copy of SoftHSM's token.object. Each C_Login truncates and rewrites that file, and a kill
 * within it leaves a token that calls itself uninitialised (tokens.md 2.2); with the file put back
 * it is as before. */
#pragma once

#include "broker/base/buf.h"

/* Where SoftHSM keeps its tokens, by its own configuration; malloc'ed. */
err_t softhsm_token_dir(char **ret);

/* The token directories that exist: names, each with its NUL. Empty when there is no directory yet.
 * The place is SoftHSM's own configuration: $SOFTHSM2_CONF, ~/.config, /etc. */
err_t softhsm_list_dirs(struct buf *ret);

/* Copies token.object of the one directory that is not in `before` to
 * state_dir/softhsm-<serial>-token.object, mode 0600; *ret_path is malloc'ed. */
err_t softhsm_backup(const struct buf *before, const char *serial, const char *state_dir,
                     char **ret_path);
