/* The TLS side of the server: certificate, key, versions and clients' CAs as one immutable snapshot.
 *
 * A connection holds the snapshot that it began with, so a reload touches no connection that
 * exists. What a client's certificate is worth is asked of the snapshot in force. */
#pragma once

#include "broker/base/exchange.h"
#include "broker/http/conn.h"

#include <gnutls/abstract.h>

/* Reads and checks the files. ERR_USAGE, ERR_NOTFOUND or ERR_TOOLARGE, whose text names the file and
 * the way out: key readable by others, key of another certificate, a weak key, no certificate in
 * the file, no version left. A certificate out of its time is loud in the log, and served. The caller
 * owns one reference. */
err_t tls_load(const struct tls_settings *config, struct tls **ret);
struct tls *tls_ref(struct tls *t); /* references are counted thread-safe; the rest is constant */
void tls_unref(struct tls *t);      /* NULL-safe */
DEFINE_CLEANUP(struct tls, tls_unref);

int64_t tls_not_after(const struct tls *t);  /* the first end in our chain, Unix seconds */
const char *tls_subject(const struct tls *t);
bool tls_wants_clients(const struct tls *t); /* there are CAs for clients' certificates */

/* ---- tls_session.c: a connection's session; on its event loop -------------------------------- */

/* Gives the session the versions and ciphers of the connection's snapshot (c->tls), asks for a
 * client's certificate where the snapshot wants one, and calls conn_ready when the handshake is
 * over, request_read_on when the client changed its key: its transport is a struct txn. False:
 * GnuTLS does not want to. */
bool tls_begin(gnutls_session_t session, struct conn *c);

/* The chain and key of the session's snapshot. */
gnutls_certificate_retrieve_function3 tls_certificate;

/* The client's certificate, judged now by t. False: it showed none. */
struct tls_verdict {
    struct peer_certificate certificate;
    int64_t until; /* Unix seconds: the verdict holds so long */
};
bool tls_judge(const struct tls *t, gnutls_session_t session, struct tls_verdict *ret);
