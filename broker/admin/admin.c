#include "broker/admin/admin.h"

#include "broker/admin/acl.h"
#include "broker/admin/bearer.h"
#include "broker/base/log.h"

#include <stdio.h>
#include <string.h>

struct admin {
    enum admin_mode mode;
    struct bearer *bearer; /* ADMIN_AUTHENTICATED only, like acl */
    struct acl *acl;
};

static const char *const mode_names[] = {
    [ADMIN_DENY_ALL] = "DenyAll",
    [ADMIN_INSECURE_ALLOW_ALL] = "InsecureAllowAll",
    [ADMIN_AUTHENTICATED] = "AuthenticatedAuthorization",
};

bool admin_mode_from(const char *name, enum admin_mode *ret)
{
    for (size_t i = 0; i < sizeof mode_names / sizeof *mode_names; i++)
        if (strcmp(name, mode_names[i]) == 0) {
            *ret = (enum admin_mode) i;
            return true;
        }
    return false;
}

void admin_free(struct admin *a)
{
    if (!a) return;
    bearer_free(a->bearer);
    acl_free(a->acl);
    free(a);
}
DEFINE_CLEANUP(struct admin, admin_free);

struct err admin_new(const struct admin_config *config, struct admin **ret)
{
    _cleanup_(admin_freep) struct admin *a = calloc(1, sizeof *a);
    if (!a) FAIL(ERR_INTERNAL, "out of memory");
    a->mode = config->mode;
    if (a->mode == ADMIN_INSECURE_ALLOW_ALL)
        log_warn("admin.insecure_allow_all",
                 LOG_S("what", "EVERY caller may operate; never in production"));
    if (a->mode == ADMIN_AUTHENTICATED) {
        TRY(bearer_new(config->providers, config->provider_count, &a->bearer));
        TRY(acl_new(config->acls, config->acl_count, &a->acl));
    }
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

struct key_sources *admin_keys(const struct admin *a)
{
    return a->bearer ? bearer_keys(a->bearer) : NULL;
}

struct err admin_authorize(const struct admin *a, const char *authorization, const char *method,
                           const char *path, struct admin_principal *ret)
{
    struct admin_principal p = {0};
    switch (a->mode) {
    case ADMIN_INSECURE_ALLOW_ALL:
        *ret = (struct admin_principal){.role = "admin", .subject = "anonymous"};
        return ERR_OK;
    case ADMIN_AUTHENTICATED:
        TRY(bearer_identify(a->bearer, authorization, &p));
        if (!acl_allows(a->acl, p.role, method, path))
            FAIL(ERR_DENIED, "Admin access denied: Role %s not allowed for path %s", p.role, path);
        *ret = p;
        return ERR_OK;
    case ADMIN_DENY_ALL:
        break;
    }
    FAIL(ERR_AUTH, "Admin access denied: Admin access denied as DenyAll authorization_mode is "
         "enabled");
}
