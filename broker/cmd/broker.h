/* The broker put together from its configuration, in the order that main paths share: secrets,
 * token, lock, store, guests, operators, audit, api. `serve` and `dev` put a server in front of
 * it; the other commands ask its api directly when no broker runs. */
#pragma once

#include "broker/api/api.h"
#include "broker/config/config.h"
#include "broker/store/directory.h"
#include "pkcs11/writer_lock.h"

struct broker {
    struct p11 *token;
    struct directory *directory; /* for envelopes beside the token */
    struct p11_pair *wrap_key, *signer; /* signer NULL: not on the token */
    struct writer_lock *lock; /* NULL for a reader */
    struct store *store;
    struct as_service *service;   /* NULL: evidence is verified here, or by nobody */
    struct job_pool *service_jobs;
    struct attest *attest;
    struct admin *admin;
    struct audit *audit;
    struct job_pool *jobs;
    struct api *api;
};

/* who: for the one who finds the lock taken ("strongroom serve"). offline: a command of its own,
 * which needs neither guests nor operators of the network: the settings for those are not read and
 * nothing is said of them. */
err_t broker_open(const struct config *config, const char *who, bool offline, struct broker *ret);
/* Whether what the configuration names beside the token does: the module's file, the PIN, keys and certificates of
 * operators, of the attestation service, of those whose tokens are believed. Files are read as at a start; of
 * servers only that their URLs can be asked. With a signing key on the token the last are left to the start. */
err_t broker_check(const struct config *config);
/* Looks at all sources of keys anew, in the background (SIGHUP); not for an offline one. */
void broker_refresh_keys(struct broker *b);
/* Ends all that may ask the token, in the reverse order; half-open brokers too. The record and the lock stay. */
void broker_stop(struct broker *b);
void broker_close(struct broker *b); /* the same, if it was not done, and the rest */
