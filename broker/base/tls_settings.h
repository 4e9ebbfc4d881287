/* What the configuration says of TLS: filled by config, used by http. */
#pragma once

#include <stddef.h>

enum tls_profile { TLS_INTERMEDIATE, TLS_OLD, TLS_MODERN, TLS_CUSTOM };
enum tls_version { TLS_ANY, TLS_1_2, TLS_1_3 };

struct tls_settings {
    const char *certificate, *private_key; /* PEM files, leaf first; both NULL: plain HTTP */
    const char **client_cas;               /* PEM files: operators need a certificate of theirs */
    size_t client_ca_count;                /* 0: nobody is asked for one */
    enum tls_profile profile;
    const char *priority;                  /* of GnuTLS, for TLS_CUSTOM; else NULL */
    enum tls_version min_version, max_version;
};
