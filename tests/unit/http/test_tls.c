/* Certificate, key and CA files: what is taken, and what is said of the rest. */
#include "tls_peer.h"

#include "broker/http/tls.h"

static struct tls_settings wish;

static int set_up(void **state)
{
    pki_begin();
    pki_make("ca", (struct pki_wish){.ca = true});
    pki_make("server", (struct pki_wish){.issuer = "ca"});
    pki_make("other", (struct pki_wish){0});
    return 0;
}

static int tear_down(void **state)
{
    clock_test_set(0);
    pki_end();
    return 0;
}

static struct tls_settings config_of(const char *certificate, const char *key)
{
    static char path[2][160];
    snprintf(path[0], sizeof path[0], "%s", pki_path(certificate));
    snprintf(path[1], sizeof path[1], "%s", pki_path(key));
    return (struct tls_settings){.certificate = path[0], .private_key = path[1]};
}

static void expect_error(const struct tls_settings *c, enum err_class code, const char *file,
                         const char *words)
{
    struct err e = http_tls_check(c);
    if (e.code != code || !strstr(err_text(e), words) || !strstr(err_text(e), file))
        fail_msg("%d \"%s\" without \"%s\" and \"%s\"", e.code, err_text(e), words, file);
}

static void expect_fine(const struct tls_settings *c)
{
    struct err e = http_tls_check(c);
    if (!err_ok(e)) fail_msg("%s", err_text(e));
}

static void test_tls_load__pair_and_chain(void **state)
{
    static const char *const chain[] = {"server.crt", "ca.crt", NULL};
    struct tls *t = NULL;
    pki_join("chain.crt", chain);
    wish = config_of("chain.crt", "server.key");
    assert_true(err_ok(tls_load(&wish, &t)));
    assert_string_equal(tls_subject(t), "CN=server");
    assert_true(tls_not_after(t) > time(NULL) + 29 * DAY && tls_not_after(t) < time(NULL) + 31 * DAY);
    assert_false(tls_wants_clients(t));
    tls_unref(tls_ref(t));
    tls_unref(t);
    tls_unref(NULL);
}

/* The chain ends with whichever of its certificates ends first. */
static void test_tls_load__first_end_counts(void **state)
{
    static const char *const chain[] = {"leaf.crt", "short.crt", NULL};
    struct tls *t = NULL;
    pki_make("short", (struct pki_wish){.ca = true, .end = time(NULL) + 5 * DAY});
    pki_make("leaf", (struct pki_wish){.issuer = "short"});
    pki_join("chain.crt", chain);
    wish = config_of("chain.crt", "leaf.key");
    assert_true(err_ok(tls_load(&wish, &t)));
    assert_true(tls_not_after(t) < time(NULL) + 6 * DAY);
    tls_unref(t);
}

static void test_tls_load__files_that_do_not_do(void **state)
{
    pki_write("empty.crt", "", 0, 0644);
    pki_write("text.crt", "hello\n", 6, 0644);
    pki_write("text.key", "hello\n", 6, 0600);
    static const struct {
        const char *certificate, *key;
        enum err_class code;
        const char *file, *words;
    } rows[] = {
        {"none.crt", "server.key", ERR_NOTFOUND, "none.crt", "cannot read the certificate file"},
        {"server.crt", "none.key", ERR_NOTFOUND, "none.key", "cannot read the private key file"},
        {"empty.crt", "server.key", ERR_USAGE, "empty.crt", "no certificate in PEM"},
        {"text.crt", "server.key", ERR_USAGE, "text.crt", "no certificate in PEM"},
        {"server.key", "server.key", ERR_USAGE, "server.key", "no certificate in PEM"},
        {"server.crt", "text.key", ERR_USAGE, "text.key", "no private key in PEM"},
        {"server.crt", "server.crt", ERR_USAGE, "server.crt", "chmod 600"},
        {"server.crt", "other.key", ERR_USAGE, "other.key", "is not that of the first certificate"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wish = config_of(rows[i].certificate, rows[i].key);
        expect_error(&wish, rows[i].code, rows[i].file, rows[i].words);
    }
    assert_int_equal(secret_used(), 0);
}

static void test_tls_load__ca_before_the_leaf(void **state)
{
    static const char *const wrong[] = {"ca.crt", "server.crt", NULL};
    pki_join("wrong.crt", wrong);
    wish = config_of("wrong.crt", "server.key");
    expect_error(&wish, ERR_USAGE, "wrong.crt", "stands first");
}

static void test_tls_load__key_open_to_others(void **state)
{
    wish = config_of("server.crt", "server.key");
    static const unsigned modes[] = {0640, 0604, 0660};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(chmod(pki_path("server.key"), modes[i]), 0);
        expect_error(&wish, ERR_USAGE, "server.key", "chmod 600");
    }
    assert_int_equal(chmod(pki_path("server.key"), 0400), 0);
    expect_fine(&wish);
}

static void test_tls_load__encrypted_key(void **state)
{
    gnutls_x509_privkey_t key = pki_load_key("server");
    gnutls_datum_t pem = {0};
    assert_int_equal(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, "word",
                                                       GNUTLS_PKCS_PBES2_AES_256, &pem), 0);
    pki_write("locked.key", pem.data, pem.size, 0600);
    gnutls_free(pem.data);
    gnutls_x509_privkey_deinit(key);
    wish = config_of("server.crt", "locked.key");
    expect_error(&wish, ERR_USAGE, "locked.key", "is encrypted");
}

static void test_tls_load__weak_key(void **state)
{
    pki_make("weak", (struct pki_wish){.rsa_bits = 1024});
    wish = config_of("weak.crt", "weak.key");
    expect_error(&wish, ERR_USAGE, "weak.crt", "too weak");
    pki_make("strong", (struct pki_wish){.rsa_bits = 2048});
    wish = config_of("strong.crt", "strong.key");
    expect_fine(&wish);
}

/* Loud, but served: a clock may be wrong, and clients may pin the key. */
static void test_tls_load__out_of_its_time(void **state)
{
    struct tls *t = NULL;
    wish = config_of("server.crt", "server.key");
    clock_test_set(time(NULL) + 40 * DAY);
    assert_true(err_ok(tls_load(&wish, &t)));
    assert_true(tls_not_after(t) < clock_now());
    tls_unref(t);
    clock_test_set(time(NULL) - 40 * DAY);
    expect_fine(&wish);
}

static void test_tls_load__limits(void **state)
{
    static const char *names[TLS_MAX_CHAIN + 2] = {"server.crt"};
    for (size_t i = 1; i < TLS_MAX_CHAIN; i++) names[i] = "ca.crt";
    pki_join("long.crt", names);
    wish = config_of("long.crt", "server.key");
    expect_fine(&wish);
    names[TLS_MAX_CHAIN] = "ca.crt";
    pki_join("long.crt", names);
    expect_error(&wish, ERR_TOOLARGE, "long.crt", "the limit is 8");

    static char large[TLS_MAX_PEM + 1];
    memset(large, '\n', sizeof large);
    pki_write("large.crt", large, sizeof large, 0644);
    pki_write("large.key", large, sizeof large, 0600);
    wish = config_of("large.crt", "server.key");
    expect_error(&wish, ERR_TOOLARGE, "large.crt", "limit");
    wish = config_of("server.crt", "large.key");
    expect_error(&wish, ERR_TOOLARGE, "large.key", "limit");
}

static void test_tls_load__client_cas(void **state)
{
    static const char *names[TLS_MAX_CAS + 2];
    struct tls *t = NULL;
    char ca[160], more[160];
    snprintf(ca, sizeof ca, "%s", pki_path("ca.crt"));
    snprintf(more, sizeof more, "%s", pki_path("more.crt"));
    const char *cas[] = {ca, more};
    wish = config_of("server.crt", "server.key");
    wish.client_cas = cas;
    wish.client_ca_count = 1;
    assert_true(err_ok(tls_load(&wish, &t)));
    assert_true(tls_wants_clients(t));
    tls_unref(t);

    wish.client_ca_count = 2;
    expect_error(&wish, ERR_NOTFOUND, "more.crt", "cannot read the certificate file");
    for (size_t i = 0; i < TLS_MAX_CAS - 1; i++) names[i] = "other.crt";
    pki_join("more.crt", names);
    expect_fine(&wish);
    names[TLS_MAX_CAS - 1] = "other.crt";
    pki_join("more.crt", names);
    expect_error(&wish, ERR_TOOLARGE, "more.crt", "the limit is 63");
}

static void test_tls_load__versions(void **state)
{
    wish = config_of("server.crt", "server.key");
    for (enum tls_profile p = TLS_INTERMEDIATE; p <= TLS_MODERN; p++) {
        wish.profile = p;
        expect_fine(&wish);
    }
    wish.max_version = TLS_1_2; /* of modern, which is 1.3 alone */
    expect_error(&wish, ERR_USAGE, "tls_profile", "no TLS version is left");
    wish.profile = TLS_OLD;
    wish.min_version = TLS_1_3;
    expect_error(&wish, ERR_USAGE, "tls_max_version", "no TLS version is left");

    wish = config_of("server.crt", "server.key");
    wish.profile = TLS_CUSTOM;
    wish.priority = "NORMAL:-VERS-ALL:+VERS-TLS1.1"; /* older than 1.2 is never spoken */
    expect_error(&wish, ERR_USAGE, "tls_profile", "no TLS version is left");
    wish.priority = "SECURE192";
    expect_fine(&wish);
    wish.priority = "SECURE192:+NONSENSE";
    expect_error(&wish, ERR_USAGE, "tls_priority", "character 11");
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tls_load__pair_and_chain),
        TEST(test_tls_load__first_end_counts),
        TEST(test_tls_load__files_that_do_not_do),
        TEST(test_tls_load__ca_before_the_leaf),
        TEST(test_tls_load__key_open_to_others),
        TEST(test_tls_load__encrypted_key),
        TEST(test_tls_load__weak_key),
        TEST(test_tls_load__out_of_its_time),
        TEST(test_tls_load__limits),
        TEST(test_tls_load__client_cas),
        TEST(test_tls_load__versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
