#include "broker/http/internal.h"
#include "broker/http/tls_internal.h"

#include "broker/base/clock.h"

/* ---- the beginning -------------------------------------------------------------------------- */

/* The client's signature is looked at with the key that it showed, whosever that is: a long one, made up by a
 * stranger, would keep the event loop for minutes. */
static int before_signature(gnutls_session_t session)
{
    unsigned count = 0;
    const gnutls_datum_t *der = gnutls_certificate_get_peers(session, &count);
    return der && count && tls_key_is_short(der) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
}

/* The client's Finished is the last message of a TLS 1.3 handshake; in TLS 1.2 only ours follows. */
static int on_message(gnutls_session_t session, unsigned type, unsigned when, unsigned incoming,
                      const gnutls_datum_t *message)
{
    if (!incoming) return 0;
    if (type == GNUTLS_HANDSHAKE_CERTIFICATE_VERIFY && when == GNUTLS_HOOK_PRE) return before_signature(session);
    if (type == GNUTLS_HANDSHAKE_FINISHED && when == GNUTLS_HOOK_POST)
        conn_ready(gnutls_session_get_ptr(session), clock_mono_ns());
    if (type == GNUTLS_HANDSHAKE_KEY_UPDATE && when == GNUTLS_HOOK_POST)
        request_read_on(gnutls_transport_get_ptr(session));
    return 0;
}

bool tls_begin(gnutls_session_t session, struct conn *c)
{
    gnutls_session_set_ptr(session, c);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, on_message);
    /* Asked for, not required: guests have none. */
    if (c->tls->clients) gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    return gnutls_priority_set(session, c->tls->priority) == 0;
}

int tls_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                    gnutls_pcert_st **certs, unsigned *certs_length, gnutls_ocsp_data_st **ocsp,
                    unsigned *ocsp_length, gnutls_privkey_t *privkey, unsigned *flags)
{
    const struct conn *c = gnutls_session_get_ptr(session);
    *certs = c->tls->chain;
    *certs_length = c->tls->chain_len;
    *ocsp = NULL;
    *ocsp_length = 0;
    *privkey = c->tls->key;
    *flags = 0; /* they stay the snapshot's */
    return 0;
}

/* ---- the client's certificate ---------------------------------------------------------------- */

struct shown {
    gnutls_x509_crt_t crts[TLS_MAX_CHAIN];
    unsigned count;
};

static void shown_done(struct shown *s)
{
    for (unsigned i = 0; i < s->count; i++) gnutls_x509_crt_deinit(s->crts[i]);
}

static bool exponent_is_short(gnutls_x509_crt_t crt)
{
    gnutls_datum_t modulus = {0}, exponent = {0};
    if (gnutls_x509_crt_get_pk_rsa_raw(crt, &modulus, &exponent) < 0) return false;
    bool is_short = exponent.size <= TLS_MAX_RSA_E + 1; /* it may begin with a zero */
    gnutls_free(modulus.data);
    gnutls_free(exponent.data);
    return is_short;
}

bool tls_key_is_short(const gnutls_datum_t *der)
{
    gnutls_x509_crt_t crt = NULL;
    unsigned bits = 0;
    if (gnutls_x509_crt_init(&crt) < 0) return false;
    int algorithm = gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER);
    if (algorithm == 0) algorithm = gnutls_x509_crt_get_pk_algorithm(crt, &bits);
    bool is_short = algorithm > 0 && bits <= TLS_MAX_KEY_BITS;
    if (algorithm == GNUTLS_PK_RSA || algorithm == GNUTLS_PK_RSA_PSS) is_short = is_short && exponent_is_short(crt);
    gnutls_x509_crt_deinit(crt);
    return is_short;
}

static bool take_shown(const gnutls_datum_t *der, unsigned count, struct shown *ret)
{
    for (; ret->count < count; ret->count++) {
        gnutls_x509_crt_t *crt = &ret->crts[ret->count];
        if (gnutls_x509_crt_init(crt) < 0) return false;
        if (gnutls_x509_crt_import(*crt, &der[ret->count], GNUTLS_X509_FMT_DER) == 0) continue;
        gnutls_x509_crt_deinit(*crt);
        return false;
    }
    return count > 0;
}

static bool verify(const struct tls *t, struct shown *s)
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *) (uintptr_t) GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned status = 0;
    int rc = gnutls_x509_trust_list_verify_crt2(t->clients, s->crts, s->count, &purpose, 1, 0,
                                                &status, NULL);
    return rc == 0 && status == 0;
}

/* A good verdict ends when the first certificate of the chain does, a bad one with the connection:
 * a certificate that is not valid yet is shown again on another. */
static int64_t good_until(const struct shown *s)
{
    int64_t until = INT64_MAX;
    for (unsigned i = 0; i < s->count; i++) {
        int64_t end = gnutls_x509_crt_get_expiration_time(s->crts[i]);
        if (end < until) until = end;
    }
    return until;
}

bool tls_judge(const struct tls *t, gnutls_session_t session, struct tls_verdict *ret)
{
    unsigned count = 0;
    const gnutls_datum_t *der = gnutls_certificate_get_peers(session, &count);
    if (!der || count == 0 || gnutls_certificate_type_get(session) != GNUTLS_CRT_X509) return false;
    _cleanup_(shown_done) struct shown s = {0};
    *ret = (struct tls_verdict){.certificate.subject = "?", .until = INT64_MAX};
    if (count > TLS_MAX_CHAIN || !take_shown(der, count, &s)) return true;
    tls_subject_of(s.crts[0], ret->certificate.subject);
    ret->certificate.verified = t->clients && verify(t, &s);
    if (ret->certificate.verified) ret->until = good_until(&s);
    return true;
}
