/* A policy's versions as the vault tells of them; for the commands of `policy`. id: an attestation policy, NULL
 * the release policy; ERR_USAGE when it is none. */
#pragma once

#include "broker/cmd/vault.h"

/* The text of a version, 0 for the one in force. The caller frees the answer; its etag is the
 * version. ERR_NOTFOUND, ERR_DAMAGED. */
err_t policy_fetch(struct vault *v, const char *id, uint64_t version, struct http_answer *ret);

/* The newest version before the one that decides that can be restored and says something else.
 * ret_if_match says at which version that was seen. ERR_NOTFOUND. */
err_t policy_find_previous(struct vault *v, const char *id, uint64_t *ret, char ret_if_match[32]);
