/* Who may operate, as the configuration says it (kbs-api.md 6.1): filled by config, used by admin. */
#pragma once

enum admin_mode { ADMIN_DENY_ALL, ADMIN_INSECURE_ALLOW_ALL, ADMIN_AUTHENTICATED };

struct admin_provider {
    const char *issuer;          /* NULL: not checked */
    const char *audience;        /* NULL: not checked */
    const char *public_key_uri;  /* PEM, Ed25519, EC or RSA: a path or URL; NULL: none */
    const char *jwk_set_uri;     /* JWK set or OpenID issuer, keys by kid: a path or URL; NULL: none */
    const char *uri_ca;          /* PEM: who may sign for the servers of both; NULL: the system's */
    const char *default_role;    /* given to tokens without role (old clients); NULL: refused */
};

struct admin_acl {
    const char *role;
    const char *allowed_endpoints; /* regular expression over the decoded path, ^/kbs ... $ */
    const char *methods;           /* "GET,POST", NULL: all */
};
