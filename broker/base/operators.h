/* Who may operate, as the configuration says it (kbs-api.md 6.1): filled by config, used by admin. */
#pragma once

enum admin_mode { ADMIN_DENY_ALL, ADMIN_INSECURE_ALLOW_ALL, ADMIN_AUTHENTICATED };

struct admin_provider {
    const char *issuer;          /* NULL: not checked */
    const char *audience;        /* NULL: not checked */
    const char *public_key_file; /* PEM, Ed25519, EC or RSA */
    const char *default_role;    /* given to tokens without role (old clients); NULL: refused */
};

struct admin_acl {
    const char *role;
    const char *allowed_endpoints; /* regular expression over the decoded path, ^/kbs ... $ */
    const char *methods;           /* "GET,POST", NULL: all */
};
