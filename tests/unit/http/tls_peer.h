/* A TLS client that looks like a bare socket: a thread passes on what goes in and out. So the tests
 * of requests run over TLS as they stand. */
#pragma once

#include <pthread.h>

#include "peer.h"
#include "pki.h"

struct tls_dial {
    const char *pair;     /* client certificate, "NAME" of pki_make; NULL: none */
    const char *priority; /* NULL: "NORMAL" */
    size_t record_max;    /* bytes of a record that the server may send, 512 at least; 0: as many as there may be */
};

struct pump {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int tcp, inner;
};

static atomic_uint pumps;

static inline void pump_free(struct pump *p)
{
    gnutls_deinit(p->session);
    gnutls_certificate_free_credentials(p->credentials);
    close(p->tcp);
    close(p->inner);
    free(p);
}

/* False at the end. */
static inline bool pump_in(struct pump *p)
{
    char block[8192];
    ssize_t n;
    do n = gnutls_record_recv(p->session, block, sizeof block);
    while (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
    return n > 0 && put(p->inner, block, (size_t) n);
}

static inline bool pump_out(struct pump *p)
{
    char block[8192];
    ssize_t n = recv(p->inner, block, sizeof block, 0);
    for (ssize_t at = 0; at < n;) {
        ssize_t sent = gnutls_record_send(p->session, block + at, (size_t) (n - at));
        if (sent <= 0) return pump_in(p); /* it hung up: but first what it has said */
        at += sent;
    }
    return n > 0;
}

static inline void *pump_run(void *arg)
{
    struct pump *p = arg;
    for (bool on = true; on;) {
        struct pollfd fds[] = {{.fd = p->tcp, .events = POLLIN}, {.fd = p->inner, .events = POLLIN}};
        if (gnutls_record_check_pending(p->session)) on = pump_in(p);
        else if (poll(fds, 2, -1) < 0) on = errno == EINTR;
        else if (fds[0].revents) on = pump_in(p);
        else on = pump_out(p);
    }
    pump_free(p);
    pumps--;
    return NULL;
}

/* The handshake alone; false when it fails. Who gets it calls pump_free. */
static inline struct pump *tls_shake(const char *address, const struct tls_dial *o)
{
    struct pump *p = calloc(1, sizeof *p);
    ENSURE(p);
    p->tcp = dial(address);
    p->inner = -1;
    char crt[64], key[64];
    ENSURE(gnutls_certificate_allocate_credentials(&p->credentials) == 0);
    if (o->pair) {
        snprintf(crt, sizeof crt, "%s.crt", o->pair);
        snprintf(key, sizeof key, "%s.key", o->pair);
        ENSURE(gnutls_certificate_set_x509_key_file(p->credentials, pki_path(crt), pki_path(key),
                                                    GNUTLS_X509_FMT_PEM) == 0);
    }
    ENSURE(gnutls_init(&p->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL) == 0);
    ENSURE(gnutls_priority_set_direct(p->session, o->priority ? o->priority : "NORMAL", NULL) == 0);
    gnutls_credentials_set(p->session, GNUTLS_CRD_CERTIFICATE, p->credentials);
    gnutls_transport_set_int(p->session, p->tcp);
    gnutls_handshake_set_timeout(p->session, PATIENCE_MS);
    if (o->record_max) ENSURE(gnutls_record_set_max_recv_size(p->session, o->record_max) == 0);
    int rc;
    do rc = gnutls_handshake(p->session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    if (rc == 0) return p;
    pump_free(p);
    return NULL;
}

static inline void put_record(struct pump *p, const char *text)
{
    assert_int_equal(gnutls_record_send(p->session, text, strlen(text)), strlen(text));
}

static inline size_t get_record(struct pump *p, char *out, size_t len)
{
    struct pollfd fd = {.fd = p->tcp, .events = POLLIN};
    ssize_t n;
    do {
        if (!gnutls_record_check_pending(p->session) && poll(&fd, 1, PATIENCE_MS) != 1)
            fail_msg("no record and no end within %d ms", PATIENCE_MS);
        n = gnutls_record_recv(p->session, out, len);
    } while (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
    assert_true(n > 0);
    return (size_t) n;
}

static inline void expect_record(struct pump *p, const char *begin)
{
    char block[64];
    assert_true(get_record(p, block, sizeof block) >= strlen(begin));
    assert_memory_equal(block, begin, strlen(begin));
}

/* A descriptor that speaks for a TLS connection. */
static inline int dial_tls(const char *address, const struct tls_dial *o)
{
    int pair[2];
    pthread_t thread;
    struct pump *p = tls_shake(address, o);
    if (!p) fail_msg("no TLS handshake with %s", address);
    ENSURE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    p->inner = pair[1];
    pumps++;
    ENSURE(pthread_create(&thread, NULL, pump_run, p) == 0);
    pthread_detach(thread);
    return pair[0];
}

static inline int dial_tls_plainly(const char *address)
{
    static const struct tls_dial any = {0};
    return dial_tls(address, &any);
}

/* For a group of tests that all run over TLS. */
static inline int tls_on(void **state)
{
    static char certificate[160], key[160];
    pki_begin();
    pki_make("server", (struct pki_wish){0});
    snprintf(certificate, sizeof certificate, "%s", pki_path("server.crt"));
    snprintf(key, sizeof key, "%s", pki_path("server.key"));
    small_tls = (struct tls_settings){.certificate = certificate, .private_key = key};
    dial_client = dial_tls_plainly;
    return 0;
}

static inline int tls_off(void **state)
{
    small_tls = (struct tls_settings){0};
    dial_client = dial;
    AWAIT(pumps == 0);
    pki_end();
    return 0;
}
