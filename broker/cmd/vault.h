/* How commands reach the vault: by the admin socket of the broker that serves the token, else by
 * an api of their own under the writer lock. Both speak the same endpoints, so a command is
 * written once. */
#pragma once

#include "broker/cmd/client.h"
#include "broker/config/config.h"

struct vault;

/* who: for the lock's message. ERR_CONFLICT when another command holds the token; otherwise as vault_broker. */
err_t vault_open(const struct config *config, const char *who, struct vault **ret);
void vault_close(struct vault *v);
DEFINE_CLEANUP(struct vault, vault_close);

/* The same from a configuration file, which the vault is then borrowed from; free it after. */
err_t vault_open_file(const char *config_file, const char *who, struct config **ret_config,
                      struct vault **ret);

bool vault_is_served(const struct vault *v); /* true: a broker runs, we use its socket */

struct vault_request {
    const char *method, *path;   /* method NULL: GET */
    const char *const *headers;  /* as http_client_send */
    struct span body;            /* only read */
};

/* One request, whatever its status; the answer is the caller's. */
err_t vault_send(struct vault *v, const struct vault_request *r, struct http_answer *ret);
/* The same, where anything but 200 is an error, of `what`. */
err_t vault_ask(struct vault *v, const struct vault_request *r, const char *what, struct http_answer *ret);
#define VAULT_GET(target) (&(struct vault_request){.path = (target)})
#define VAULT_POST(target) (&(struct vault_request){"POST", .path = (target)})

/* The broker that answers on the configured admin socket; *ret NULL: none does. ERR_USAGE: it serves
 * another token. ERR_DENIED: only somebody else may ask it. The caller frees. */
err_t vault_broker(const struct config *config, struct http_client **ret);
