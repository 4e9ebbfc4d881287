/* Certificates for tests, made on the spot and written as PEM files. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "broker/base/err.h"

#define DAY 86400

static char pki_dir[64];

static inline const char *pki_path(const char *name)
{
    static __thread char path[4][160];
    static __thread unsigned next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", pki_dir, name);
    return out;
}

static inline void pki_write(const char *name, const void *data, size_t len, unsigned mode)
{
    FILE *f = fopen(pki_path(name), "w");
    ENSURE(f && fwrite(data, 1, len, f) == len && fclose(f) == 0);
    ENSURE(chmod(pki_path(name), mode) == 0);
}

struct pki_wish {
    const char *issuer;  /* name of a pair made before; NULL signs itself */
    bool ca;
    const char *purpose; /* OID, or NULL */
    time_t begin, end;   /* 0: yesterday, in 30 days */
    unsigned rsa_bits;   /* 0: EC P-256 */
};

static inline gnutls_x509_crt_t pki_load_crt(const char *name)
{
    char file[64];
    gnutls_x509_crt_t crt = NULL;
    gnutls_datum_t pem = {0};
    snprintf(file, sizeof file, "%s.crt", name);
    ENSURE(gnutls_load_file(pki_path(file), &pem) == 0 && gnutls_x509_crt_init(&crt) == 0);
    ENSURE(gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM) == 0);
    gnutls_free(pem.data);
    return crt;
}

static inline gnutls_x509_privkey_t pki_load_key(const char *name)
{
    char file[64];
    gnutls_x509_privkey_t key = NULL;
    gnutls_datum_t pem = {0};
    snprintf(file, sizeof file, "%s.key", name);
    ENSURE(gnutls_load_file(pki_path(file), &pem) == 0 && gnutls_x509_privkey_init(&key) == 0);
    ENSURE(gnutls_x509_privkey_import(key, &pem, GNUTLS_X509_FMT_PEM) == 0);
    gnutls_free(pem.data);
    return key;
}

static inline void pki_fill(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *name,
                            const struct pki_wish *w)
{
    static unsigned char serial;
    char dn[80];
    serial++;
    snprintf(dn, sizeof dn, "CN=%s", name);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, &serial, 1);
    gnutls_x509_crt_set_dn(crt, dn, NULL);
    gnutls_x509_crt_set_key(crt, key);
    gnutls_x509_crt_set_activation_time(crt, w->begin ? w->begin : time(NULL) - DAY);
    gnutls_x509_crt_set_expiration_time(crt, w->end ? w->end : time(NULL) + 30 * DAY);
    gnutls_x509_crt_set_basic_constraints(crt, w->ca, -1);
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9, 0);
    if (w->ca) gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN);
    if (w->purpose) gnutls_x509_crt_set_key_purpose_oid(crt, w->purpose, 0);
}

/* NAME.crt and NAME.key. */
static inline void pki_make(const char *name, struct pki_wish w)
{
    gnutls_x509_crt_t crt = NULL;
    gnutls_x509_privkey_t key = NULL;
    gnutls_datum_t pem = {0};
    char file[64];
    ENSURE(gnutls_x509_crt_init(&crt) == 0 && gnutls_x509_privkey_init(&key) == 0);
    ENSURE(gnutls_x509_privkey_generate(key, w.rsa_bits ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA,
                                        w.rsa_bits ? w.rsa_bits
                                                   : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                                        0) == 0);
    pki_fill(crt, key, name, &w);
    gnutls_x509_crt_t issuer = w.issuer ? pki_load_crt(w.issuer) : crt;
    gnutls_x509_privkey_t issuer_key = w.issuer ? pki_load_key(w.issuer) : key;
    ENSURE(gnutls_x509_crt_sign2(crt, issuer, issuer_key, GNUTLS_DIG_SHA256, 0) == 0);
    ENSURE(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem) == 0);
    snprintf(file, sizeof file, "%s.crt", name);
    pki_write(file, pem.data, pem.size, 0644);
    gnutls_free(pem.data);
    ENSURE(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                             &pem) == 0);
    snprintf(file, sizeof file, "%s.key", name);
    pki_write(file, pem.data, pem.size, 0600);
    gnutls_free(pem.data);
    if (w.issuer) {
        gnutls_x509_crt_deinit(issuer);
        gnutls_x509_privkey_deinit(issuer_key);
    }
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

/* One file of several. */
static inline void pki_join(const char *out, const char *const *names)
{
    char text[32768] = "";
    size_t len = 0;
    for (; *names; names++) {
        FILE *f = fopen(pki_path(*names), "r");
        ENSURE(f);
        len += fread(text + len, 1, sizeof text - len, f);
        fclose(f);
    }
    pki_write(out, text, len, 0600);
}

static inline void pki_begin(void)
{
    snprintf(pki_dir, sizeof pki_dir, "%s/strongroom-pki-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    ENSURE(mkdtemp(pki_dir));
}

static inline void pki_end(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", pki_dir);
    ENSURE(system(command) == 0);
}
