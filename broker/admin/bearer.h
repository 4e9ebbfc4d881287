/* Who an operator is: bearer tokens of configured providers (kbs-api.md 6.1, 6.2). */
#pragma once

#include "broker/admin/admin.h"
#include "broker/base/cleanup.h"
#include "broker/jose/key_source.h"

struct bearer;

/* Reads the providers' key files (at least one provider; ERR_USAGE names what is wrong) and begins to
 * ask their servers. Thread-safe; only the keys change, and nothing is remembered between calls. */
err_t bearer_new(const struct admin_provider *providers, size_t count, struct bearer **ret);
void bearer_free(struct bearer *b);
DEFINE_CLEANUP(struct bearer, bearer_free);

struct key_sources *bearer_keys(const struct bearer *b); /* borrowed */

/* The Authorization header's value or NULL -> role and subject. ERR_AUTH with the texts of
 * kbs-api.md 6.1 as reason. */
err_t bearer_identify(const struct bearer *b, const char *authorization,
                      struct admin_principal *ret);
