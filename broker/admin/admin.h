/* Who may operate (kbs-api.md 6.1, 6.2): modes, bearer JWT, role and ACL. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/limits.h"
#include "broker/base/operators.h"

struct admin;
struct key_sources; /* jose/key_source.h */

struct admin_config {
    enum admin_mode mode;
    const struct admin_provider *providers;
    size_t provider_count;
    const struct admin_acl *acls;
    size_t acl_count;
};

/* Reads the key files (ERR_USAGE names the entry that is wrong) and begins to ask the servers of keys.
 * Thread-safe; only the keys change. */
err_t admin_new(const struct admin_config *config, struct admin **ret);
void admin_free(struct admin *a);

/* Where operators' keys come from, to look at them anew and to tell of them. Borrowed; NULL when the
 * mode needs none. */
struct key_sources *admin_keys(const struct admin *a);

struct admin_principal {
    char role[ADMIN_ROLE_MAX];
    char subject[128]; /* sub claim, or "" */
};

/* authorization: the Authorization header's value or NULL. path: decoded, as the store will see
 * it. ERR_AUTH with the inner text of kbs-api.md 6.1 as reason ("Failed to parse HTTP Auth Bearer
 * header", "Admin access denied: Cannot verify token with any of the issuers", ...), or ERR_DENIED
 * ("Admin access denied: Role <r> not allowed for path <uri>"). */
err_t admin_authorize(const struct admin *a, const char *authorization, const char *method,
                      const char *path, struct admin_principal *ret);

bool admin_mode_from(const char *name, enum admin_mode *ret); /* kbs-api.md 6.1 names */
