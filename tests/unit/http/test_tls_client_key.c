/* Keys of clients' certificates that would take the server minutes to use. Nobody needs to own such a key: any
 * signature will do. */
#include "tls_peer.h"

#include <gnutls/crypto.h>

#include "broker/http/tls_internal.h"

#define LONG_BITS 200000u /* to use it takes a core minutes */

static char paths[3][160];
static const char *cas[] = {paths[2]};

static int make_all(void **state)
{
    pki_begin();
    pki_make("server", (struct pki_wish){0});
    pki_make("ca", (struct pki_wish){.ca = true});
    pki_make("rsa", (struct pki_wish){.rsa_bits = 2048});
    return 0;
}

static int remove_all(void **state)
{
    pki_end();
    return 0;
}

static int stop(void **state)
{
    stop_server(NULL);
    return 0;
}

static gnutls_datum_t odd_number(unsigned bits)
{
    gnutls_datum_t n = {malloc(bits / 8 + 1), bits / 8 + 1};
    ENSURE(n.data && gnutls_rnd(GNUTLS_RND_NONCE, n.data, n.size) == 0);
    n.data[0] = 0;
    n.data[1] |= 0x80;
    n.data[n.size - 1] |= 1;
    return n;
}

/* Of a key that nobody has. */
static gnutls_x509_crt_t made_up(unsigned modulus_bits, unsigned exponent_bits)
{
    gnutls_datum_t m = odd_number(modulus_bits), e = odd_number(exponent_bits);
    gnutls_pubkey_t key = NULL;
    gnutls_x509_crt_t crt = NULL, ca = pki_load_crt("ca");
    gnutls_x509_privkey_t ca_key = pki_load_key("ca"), other = pki_load_key("rsa");
    ENSURE(gnutls_pubkey_init(&key) == 0 && gnutls_pubkey_import_rsa_raw(key, &m, &e) == 0);
    ENSURE(gnutls_x509_crt_init(&crt) == 0);
    pki_fill(crt, other, "made-up", &(struct pki_wish){0});
    ENSURE(gnutls_x509_crt_set_pubkey(crt, key) == 0);
    ENSURE(gnutls_x509_crt_sign2(crt, ca, ca_key, GNUTLS_DIG_SHA256, 0) == 0);
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_privkey_deinit(ca_key);
    gnutls_x509_privkey_deinit(other);
    gnutls_pubkey_deinit(key);
    free(m.data);
    free(e.data);
    return crt;
}

static bool is_short(gnutls_x509_crt_t crt)
{
    gnutls_datum_t der = {0};
    ENSURE(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der) == 0);
    bool found = tls_key_is_short(&der);
    gnutls_free(der.data);
    gnutls_x509_crt_deinit(crt);
    return found;
}

static void test_key_is_short__table(void **state)
{
    static const struct {
        unsigned modulus, exponent;
        bool is_short;
    } rows[] = {{2048, 24, true},       {8192, 64, true},  {8200, 24, false}, {LONG_BITS, 24, false},
                {2048, 72, false},      {2048, 2040, false}, {8192, 8192, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(is_short(made_up(rows[i].modulus, rows[i].exponent)), rows[i].is_short);
    assert_true(is_short(pki_load_crt("ca")));
    assert_true(is_short(pki_load_crt("rsa")));
    gnutls_datum_t none = {(unsigned char *) "none", 4};
    assert_false(tls_key_is_short(&none));
}

/* ---- a client that has no such key and signs with it all the same ----------------------------- */

static int any_signature(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *arg, unsigned flags,
                         const gnutls_datum_t *in, gnutls_datum_t *signature)
{
    signature->size = LONG_BITS / 8;
    signature->data = gnutls_malloc(signature->size);
    ENSURE(signature->data);
    memset(signature->data, 0x55, signature->size);
    return 0;
}

static int about(gnutls_privkey_t key, unsigned flags, void *arg)
{
    if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) return GNUTLS_PK_RSA;
    return flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS ? (int) LONG_BITS : 1;
}

/* Until the server says no. */
static void shake_with(gnutls_certificate_credentials_t credentials, const char *priority)
{
    gnutls_session_t session = NULL;
    int fd = dial(http_server_address(server, 0)), rc;
    char byte;
    ENSURE(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL) == 0);
    ENSURE(gnutls_priority_set_direct(session, priority, NULL) == 0);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_transport_set_int(session, fd);
    do rc = gnutls_handshake(session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    while (rc >= 0) rc = (int) gnutls_record_recv(session, &byte, 1); /* TLS 1.3: the client is done first */
    gnutls_deinit(session);
    close(fd);
}

static void test_client_certificate__a_long_key_holds_nobody_up(void **state)
{
    static const char *const versions[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"};
    struct http_config config = small_config();
    gnutls_certificate_credentials_t credentials = NULL;
    gnutls_pcert_st shown;
    gnutls_privkey_t key = NULL;
    gnutls_x509_crt_t crt = made_up(LONG_BITS, LONG_BITS);
    for (size_t i = 0; i < 3; i++) {
        static const char *const files[] = {"server.crt", "server.key", "ca.crt"};
        snprintf(paths[i], sizeof paths[i], "%s/%s", pki_dir, files[i]);
    }
    config.tls = (struct tls_settings){.certificate = paths[0], .private_key = paths[1], .client_cas = cas,
                                       .client_ca_count = 1};
    config.threads = 1;
    ENSURE(gnutls_privkey_init(&key) == 0 && gnutls_pcert_import_x509(&shown, crt, 0) == 0);
    ENSURE(gnutls_privkey_import_ext4(key, NULL, any_signature, any_signature, NULL, NULL, about, 0) == 0);
    ENSURE(gnutls_certificate_allocate_credentials(&credentials) == 0);
    gnutls_certificate_set_flags(credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
    ENSURE(gnutls_certificate_set_key(credentials, NULL, 0, &shown, 1, key) >= 0);
    start_with(&config);
    for (unsigned i = 0; i < 2; i++) {
        shake_with(credentials, versions[i]);
        AWAIT(stats().handshakes_failed == i + 1 && stats().open == 0);
    }
    int fd = dial_tls(http_server_address(server, 0), &(struct tls_dial){.pair = "rsa"});
    assert_int_equal(ask(fd, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    close(fd);
    AWAIT(pumps == 0);
    gnutls_x509_crt_deinit(crt);
    gnutls_certificate_free_credentials(credentials); /* the certificate and the key are its own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_is_short__table),
        cmocka_unit_test_teardown(test_client_certificate__a_long_key_holds_nobody_up, stop),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
