/* Inside the TLS side: what a snapshot holds. */
#pragma once

#include "broker/http/tls.h"

#include <gnutls/x509.h>
#include <stdatomic.h>

struct tls {
    atomic_uint refs;
    gnutls_priority_t priority;
    gnutls_pcert_st chain[TLS_MAX_CHAIN]; /* leaf first */
    unsigned chain_len;
    gnutls_privkey_t key;
    gnutls_x509_trust_list_t clients; /* NULL: no client is asked for a certificate */
    int64_t not_after;
    char subject[PEER_SUBJECT_MAX];
};

/* Printable, cut to fit. */
void tls_subject_of(gnutls_x509_crt_t crt, char out[PEER_SUBJECT_MAX]);

/* tls_session.c: whether using the key of this certificate takes no long time (TLS_MAX_KEY_BITS, TLS_MAX_RSA_E).
 * False also for what is no certificate. */
bool tls_key_is_short(const gnutls_datum_t *der);
