#include "broker/http/tls_internal.h"

#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/log.h"

#include <string.h>
#include <time.h>

#define TLS_FAIL(rc, fmt, ...) \
    return err_start(ERR_USAGE, gnutls_strerror(rc), __FILE__, __LINE__, __func__, fmt, __VA_ARGS__)

/* ---- life ----------------------------------------------------------------------------------- */

struct tls *tls_ref(struct tls *t)
{
    t->refs++;
    return t;
}

void tls_unref(struct tls *t)
{
    if (!t || --t->refs > 0) return;
    for (unsigned i = 0; i < t->chain_len; i++) gnutls_pcert_deinit(&t->chain[i]);
    if (t->key) gnutls_privkey_deinit(t->key);
    if (t->clients) gnutls_x509_trust_list_deinit(t->clients, 1);
    if (t->priority) gnutls_priority_deinit(t->priority);
    free(t);
}

int64_t tls_not_after(const struct tls *t)
{
    return t->not_after;
}

const char *tls_subject(const struct tls *t)
{
    return t->subject;
}

bool tls_wants_clients(const struct tls *t)
{
    return t->clients != NULL;
}

/* ---- versions and ciphers ------------------------------------------------------------------- */

/* The reference's profiles, as GnuTLS says it. TLS 1.2 is the least in all of them: MHD's daemon and
 * every session get the versions below, whatever stands before. */
#define INTERMEDIATE "NORMAL:+VERS-TLS1.2:+VERS-TLS1.3:-RSA:-DHE-RSA:-CIPHER-ALL:" \
                     "+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD"
static const char *const profiles[] = {
    [TLS_OLD] = "NORMAL:+VERS-TLS1.2:+VERS-TLS1.3",
    [TLS_INTERMEDIATE] = INTERMEDIATE,
    [TLS_MODERN] = "NORMAL:+VERS-TLS1.3:-VERS-TLS1.2",
};
#define NEVER ":-VERS-SSL3.0:-VERS-TLS1.0:-VERS-TLS1.1:-VERS-DTLS-ALL"

static err_t make_priority(const struct tls_settings *c, gnutls_priority_t *ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    const char *wrong = NULL;
    const unsigned *versions = NULL;
    bool custom = c->profile == TLS_CUSTOM;
    buf_addf(&text, "%s%s%s" NEVER, custom ? c->priority : profiles[c->profile],
             c->min_version == TLS_1_3 ? ":-VERS-TLS1.2" : "",
             c->max_version == TLS_1_2 ? ":-VERS-TLS1.3" : "");
    TRY(buf_ok(&text));
    int rc = gnutls_priority_init(ret, buf_str(&text), &wrong);
    if (rc == GNUTLS_E_NO_PRIORITIES_WERE_SET ||
        (rc == 0 && gnutls_priority_protocol_list(*ret, &versions) <= 0))
        FAIL(ERR_USAGE, "no TLS version is left: look at http_server.tls_profile, tls_min_version "
             "and tls_max_version; 1.2 and 1.3 are spoken");
    if (rc < 0 && custom)
        TLS_FAIL(rc, "http_server.tls_priority is no priority string of GnuTLS, from character %zu "
                 "on", (size_t) (wrong - buf_str(&text)) + 1);
    if (rc < 0) TLS_FAIL(rc, "cannot set TLS versions and ciphers by \"%s\"", buf_str(&text));
    return ERR_OK;
}

/* ---- certificate and key --------------------------------------------------------------------- */

struct pem_list {
    gnutls_x509_crt_t *crts;
    unsigned count;
};

static void pem_list_done(struct pem_list *l)
{
    for (unsigned i = 0; i < l->count; i++) gnutls_x509_crt_deinit(l->crts[i]);
    gnutls_free(l->crts);
}

static gnutls_datum_t datum_of(struct span s)
{
    return (gnutls_datum_t){(unsigned char *) (uintptr_t) s.data, (unsigned) s.len};
}

static err_t read_certificates(const char *path, unsigned max, struct pem_list *ret)
{
    _cleanup_buf_ struct buf pem = BUF_INIT;
    TRYC(file_read(path, TLS_MAX_PEM, &pem), "cannot read the certificate file %s", path);
    gnutls_datum_t text = datum_of(buf_span(&pem));
    int rc = gnutls_x509_crt_list_import2(&ret->crts, &ret->count, &text, GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0) {
        *ret = (struct pem_list){0};
        TLS_FAIL(rc, "%s holds no certificate in PEM (-----BEGIN CERTIFICATE-----)", path);
    }
    if (ret->count > max)
        FAIL(ERR_TOOLARGE, "%s holds %u certificates, the limit is %u", path, ret->count, max);
    return ERR_OK;
}

void tls_subject_of(gnutls_x509_crt_t crt, char out[PEER_SUBJECT_MAX])
{
    gnutls_datum_t dn = {0};
    bool known = gnutls_x509_crt_get_dn3(crt, &dn, 0) == 0;
    log_escape(out, PEER_SUBJECT_MAX, known ? span_of(dn.data, dn.size) : SPAN_LIT("?"));
    gnutls_free(dn.data);
}

/* Whoever trusts it will say so as well, but their log is not ours. */
static void warn_of_time(const char *path, gnutls_x509_crt_t crt)
{
    char subject[PEER_SUBJECT_MAX], date[CLOCK_TEXT];
    int64_t now = clock_now(), end = gnutls_x509_crt_get_expiration_time(crt);
    int64_t begin = gnutls_x509_crt_get_activation_time(crt);
    const char *what = now > end     ? "it has EXPIRED: clients that check it refuse us; put a new "
                                       "one there and send SIGHUP"
                       : now < begin ? "it is NOT YET VALID: clients that check it refuse us"
                       : end - now < (int64_t) TLS_SOON_DAYS * 86400 ? "it ends soon"
                                                                     : NULL;
    tls_subject_of(crt, subject);
    if (what)
        log_warn("tls.certificate-time", LOG_S("file", path), LOG_S("subject", subject),
                 LOG_S(now < begin ? "from" : "end", clock_rfc3339(now < begin ? begin : end, date)),
                 LOG_S("what", what));
}

/* GnuTLS keeps its own copy of the key, which it wipes; the text is ours, and gone here. */
static err_t read_key(const char *path, gnutls_privkey_t *ret)
{
    _cleanup_secret_ struct secret *pem = NULL;
    TRYC(file_read_secret(path, TLS_MAX_PEM, &pem), "cannot read the private key file %s", path);
    gnutls_datum_t text = datum_of(secret_span(pem));
    if (gnutls_privkey_init(ret) < 0) FAIL(ERR_INTERNAL, "out of memory");
    int rc = gnutls_privkey_import_x509_raw(*ret, &text, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc == GNUTLS_E_DECRYPTION_FAILED)
        FAIL(ERR_USAGE, "the private key in %s is encrypted, and nobody is there to type its "
             "passphrase; store it without one (openssl pkey -in %s -out FILE), mode 0600", path,
             path);
    if (rc < 0) TLS_FAIL(rc, "%s holds no private key in PEM (-----BEGIN PRIVATE KEY-----)", path);
    return ERR_OK;
}

static void cleanup_pubkey(gnutls_pubkey_t *key)
{
    if (*key) gnutls_pubkey_deinit(*key);
}

static err_t check_pair(const struct tls_settings *c, struct tls *t)
{
    uint8_t ours[64], theirs[64];
    size_t ours_len = sizeof ours, theirs_len = sizeof theirs;
    _cleanup_(cleanup_pubkey) gnutls_pubkey_t public_key = NULL;
    unsigned bits = 0;
    if (gnutls_pubkey_init(&public_key) < 0) FAIL(ERR_INTERNAL, "out of memory");
    int rc = gnutls_pubkey_import_privkey(public_key, t->key, 0, 0);
    if (rc >= 0) rc = gnutls_pubkey_get_key_id(public_key, GNUTLS_KEYID_USE_SHA256, ours, &ours_len);
    if (rc >= 0)
        rc = gnutls_pubkey_get_key_id(t->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, theirs,
                                      &theirs_len);
    if (rc < 0) TLS_FAIL(rc, "cannot compare %s with %s", c->private_key, c->certificate);
    if (!span_eq(span_of(ours, ours_len), span_of(theirs, theirs_len)))
        FAIL(ERR_USAGE, "the private key in %s is not that of the first certificate in %s; the "
             "server's own certificate stands first in its file", c->private_key, c->certificate);
    int algorithm = gnutls_pubkey_get_pk_algorithm(t->chain[0].pubkey, &bits);
    if (gnutls_pk_bits_to_sec_param((gnutls_pk_algorithm_t) algorithm, bits) <
        GNUTLS_SEC_PARAM_MEDIUM)
        FAIL(ERR_USAGE, "the key of %s is too weak (%s, %u bits): take EC P-256 or RSA with at "
             "least 2048 bits", c->certificate,
             gnutls_pk_algorithm_get_name((gnutls_pk_algorithm_t) algorithm), bits);
    return ERR_OK;
}

static err_t load_pair(const struct tls_settings *c, struct tls *t)
{
    _cleanup_(pem_list_done) struct pem_list list = {0};
    TRY(read_certificates(c->certificate, TLS_MAX_CHAIN, &list));
    t->not_after = INT64_MAX;
    for (; t->chain_len < list.count; t->chain_len++) {
        gnutls_x509_crt_t crt = list.crts[t->chain_len];
        int rc = gnutls_pcert_import_x509(&t->chain[t->chain_len], crt, 0);
        if (rc < 0) TLS_FAIL(rc, "cannot use certificate %u of %s", t->chain_len + 1, c->certificate);
        int64_t end = gnutls_x509_crt_get_expiration_time(crt);
        if (end < t->not_after) t->not_after = end;
    }
    tls_subject_of(list.crts[0], t->subject);
    TRY(read_key(c->private_key, &t->key));
    TRY(check_pair(c, t));
    for (unsigned i = 0; i < list.count; i++) warn_of_time(c->certificate, list.crts[i]);
    return ERR_OK;
}

static err_t load_clients(const struct tls_settings *c, struct tls *t)
{
    if (c->client_ca_count == 0) return ERR_OK;
    if (gnutls_x509_trust_list_init(&t->clients, 0) < 0) FAIL(ERR_INTERNAL, "out of memory");
    unsigned room = TLS_MAX_CAS;
    for (size_t i = 0; i < c->client_ca_count; i++) {
        _cleanup_(pem_list_done) struct pem_list list = {0};
        TRY(read_certificates(c->client_cas[i], room, &list));
        for (unsigned j = 0; j < list.count; j++) warn_of_time(c->client_cas[i], list.crts[j]);
        int added = gnutls_x509_trust_list_add_cas(t->clients, list.crts, list.count, 0);
        if (added < (int) list.count) FAIL(ERR_INTERNAL, "cannot take the CAs of %s", c->client_cas[i]);
        room -= list.count;
        list.count = 0; /* the list has them now, and frees them */
    }
    return ERR_OK;
}

/* One source of time for GnuTLS too. */
static time_t time_for_gnutls(time_t *ret)
{
    time_t now = (time_t) clock_now();
    if (ret) *ret = now;
    return now;
}

static void set_clock(void)
{
    gnutls_global_set_time_function(time_for_gnutls);
}

struct err tls_load(const struct tls_settings *config, struct tls **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_clock);
    _cleanup_(tls_unrefp) struct tls *t = calloc(1, sizeof *t);
    if (!t) FAIL(ERR_INTERNAL, "out of memory");
    t->refs = 1;
    TRY(make_priority(config, &t->priority));
    TRY(load_pair(config, t));
    TRY(load_clients(config, t));
    *ret = TAKE_PTR(t);
    return ERR_OK;
}
