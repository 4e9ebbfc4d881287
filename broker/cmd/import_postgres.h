/* A KBS's store in PostgreSQL: a table for each namespace (kbs-api.md 8.4). Read in one read-only
 * transaction. */
#pragma once

#include "broker/cmd/import_item.h"

/* ERR_USAGE when a connection URL (postgresql://...) holds a password, which others would see in
 * the list of processes, or is no URL. The sentence says where a password belongs. */
err_t import_postgres_check_url(const char *url);

struct sockaddr;

/* What a way to the server is good for: secrets come along it. Pure. */
enum import_way {
    IMPORT_WAY_GOOD,       /* it does not leave this host, or the server has shown its certificate */
    IMPORT_WAY_UNVERIFIED, /* TLS, with whoever answered */
    IMPORT_WAY_OPEN        /* a network, in clear */
};

/* peer: what the connection leads to. sslmode: as libpq has it, or NULL. */
enum import_way import_postgres_way(const struct sockaddr *peer, bool tls, const char *sslmode);

struct import_postgres;

/* conninfo: a URL, or keywords and values, as libpq has them; further settings (service, password
 * file, sslmode) come from where libpq finds them. ERR_USAGE: PGPASSWORD is set, or the way is
 * IMPORT_WAY_OPEN, in which case no password has gone along it. ERR_TOKEN_DOWN: the server does not
 * answer (connect_timeout is for all hosts of a list together), or does not let us in. *ret_warning: a sentence for
 * the user, or NULL; of static storage. The caller closes. Values pass through libpq's own buffer, which
 * is not wiped. */
err_t import_postgres_open(const char *conninfo, struct import_postgres **ret,
                           const char **ret_warning);
void import_postgres_close(struct import_postgres *p);
DEFINE_CLEANUP(struct import_postgres, import_postgres_close);

/* Whether there is a table for it. */
err_t import_postgres_has(struct import_postgres *p, enum kbs_space space, bool *ret);

/* One namespace in the order of its keys. ERR_NOTFOUND: there is no such table. ERR_TOOLARGE over
 * IMPORT_MAX_ENTRIES rows. */
err_t import_postgres_walk(struct import_postgres *p, enum kbs_space space,
                           const struct import_walk *walk);
