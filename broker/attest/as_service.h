/* An attestation service (AS): somebody else who verifies evidence, appraises it and signs the token,
 * asked over gRPC or REST (kbs-api.md 10). Its tokens are believed as everybody's are: by
 * attestation_token, not because they came from here.
 *
 * Every function that asks waits for the network, up to call_seconds: never on an event loop.
 * Thread-safe. */
#pragma once

#include "broker/attest/attest.h"
#include "broker/base/breaker.h"

struct as_service;

enum as_kind { AS_GRPC, AS_REST };

struct as_config {
    enum as_kind kind;
    const char *url;          /* "http://127.0.0.1:50004"; a path is put before the service's own */
    const char *ca_file;      /* PEM: who may have signed its certificate; NULL: the system's */
    const char *client_cert;  /* PEM, and its key; NULL: none is shown */
    const char *client_key;
    unsigned pool_size;       /* connections kept; 0: AS_POOL_DEFAULT */
    unsigned call_seconds;    /* 0: AS_CALL_SECONDS */
};

/* Reaches for nothing yet. ERR_USAGE names what is wrong: the URL, a file. */
err_t as_service_new(const struct as_config *config, struct as_service **ret);
void as_service_free(struct as_service *s); /* when nobody asks; NULL-safe */
DEFINE_CLEANUP(struct as_service, as_service_free);

/* Calls under way end after that time, with ERR_BUSY, and later ones at once. */
void as_service_stop_in(struct as_service *s, unsigned ms);

/* Attestation policies and reference values go there. Borrows s. ERR_USAGE with what the service says
 * of it; ERR_BUSY when it is down. REST takes no reference values: ERR_USAGE says where they belong. */
struct attest_upkeep as_service_upkeep(struct as_service *s);

/* Asked by attest.c. ERR_AUTH: refused, or answered with more than is taken; the reason is for the log. ERR_BUSY:
 * it is down, answers nonsense, or does not serve us; later perhaps. ERR_TOOLARGE, ERR_INTERNAL. */
struct as_piece; /* as_call.h */
err_t as_evaluate(struct as_service *s, const struct as_piece *pieces, size_t count,
                  struct buf *ret_token);
/* A challenge of the service's own for this TEE; never empty. params: JSON text. */
err_t as_challenge(struct as_service *s, const char *tee, struct span params, struct buf *ret);

struct as_stats {
    struct breaker_view breaker;
    uint64_t calls, refusals, failures; /* of others' questions, not of those that only see whether it is there */
};
void as_service_stats(struct as_service *s, struct as_stats *ret);
