/* A broker with a server in front of it, until a signal ends it. For `serve` and `dev`. */
#pragma once

#include "broker/config/config.h"

struct http_server;

struct daemon_hooks {
    /* After the server listens: url is where (first socket). An error ends the daemon. May be
     * NULL. */
    err_t (*ready)(void *arg, const char *url);
    /* On SIGHUP; may be NULL. */
    void (*reload)(void *arg, struct http_server *server);
    void *arg;
};

/* A loud line for each address that others can reach and that has no TLS, unless that is meant. */
void daemon_warn_of_plain(const struct config *config);

/* Blocks SIGTERM, SIGINT and SIGHUP for the threads to come and serves until SIGTERM or SIGINT;
 * then stops gracefully. Where the module hangs for good and somebody starts the program again, it ends by
 * itself. When requests or calls to the token do not end even so, it records the stop (decision "error") and ends
 * the process with the exit code of ERR_TOKEN_DOWN. */
err_t daemon_run(const struct config *config, const char *who, const struct daemon_hooks *hooks);
