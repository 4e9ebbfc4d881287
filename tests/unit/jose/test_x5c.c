#include "tests/unit/jose/jose_test.h"

#include "broker/jose/jws.h"
#include "broker/jose/x5c.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define NOW RECORDED_AT
#define DAY 86400

/* ---- a small authority ---------------------------------------------------------------------------- */

struct entity {
    EVP_PKEY *key;
    X509 *cert;
};

/* A certificate for a fresh key, signed by issuer (or itself). */
static struct entity certify(const char *name, const struct entity *issuer, bool ca, const EVP_MD *md)
{
    struct entity e = {0};
    X509V3_CTX ctx;
    assert_ok(key_generate_ec("P-256", &e.key));
    e.cert = X509_new();
    X509_set_version(e.cert, X509_VERSION_3);
    X509_set_pubkey(e.cert, e.key);
    ASN1_INTEGER_set(X509_get_serialNumber(e.cert), 7);
    ASN1_TIME_set(X509_getm_notBefore(e.cert), NOW - DAY);
    ASN1_TIME_set(X509_getm_notAfter(e.cert), NOW + DAY);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(e.cert), "CN", MBSTRING_UTF8,
                               (const uint8_t *) name, -1, -1, 0);
    X509_set_issuer_name(e.cert, X509_get_subject_name(issuer ? issuer->cert : e.cert));
    X509V3_set_ctx(&ctx, issuer ? issuer->cert : e.cert, e.cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints,
                                              ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    X509_add_ext(e.cert, ext, -1);
    X509_EXTENSION_free(ext);
    assert_true(X509_sign(e.cert, issuer ? issuer->key : e.key, md) > 0);
    return e;
}

static void entity_done(struct entity *e)
{
    EVP_PKEY_free(e->key);
    X509_free(e->cert);
}

static void add_pem(struct buf *out, const struct entity *e)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    PEM_write_bio_X509(bio, e->cert);
    long len = BIO_get_mem_data(bio, &text);
    buf_add(out, text, (size_t) len);
    BIO_free(bio);
}

static struct x5c_store *store_of(const struct entity *e)
{
    struct buf pem = BUF_INIT;
    struct x5c_store *s = NULL;
    add_pem(&pem, e);
    assert_ok(x5c_store_new(&s));
    assert_ok(x5c_store_add_pem(s, buf_span(&pem)));
    buf_free(&pem);
    return s;
}

/* A jwk of the first entity's key with the entities' certificates. */
static struct jwk *key_with_chain(EVP_PKEY *key, const struct entity *const *chain, size_t n)
{
    struct buf text = BUF_INIT, pem = BUF_INIT;
    struct json_out o = JSON_OUT(&text);
    struct jwk *plain = NULL, *k = NULL;
    for (size_t i = 0; i < n; i++) add_pem(&pem, chain[i]);
    assert_ok(jwk_from_pkey(key, "ES256", &plain));
    json_begin_object(&o);
    jwk_put_members(plain, &o);
    json_key(&o, "x5c");
    json_begin_array(&o);
    assert_ok(x5c_put_chain(buf_span(&pem), chain[0]->key, &o));
    json_end_array(&o);
    json_end_object(&o);
    struct json_doc *doc = parsed(buf_str(&text));
    assert_ok(jwk_from_json(json_root(doc), &k));
    assert_int_equal(jwk_x5c_count(k), n);
    json_free(doc);
    jwk_free(plain);
    buf_free(&text);
    buf_free(&pem);
    return k;
}

static struct entity root, middle, leaf, other_root;

static int make_authority(void **state)
{
    root = certify("root", NULL, true, EVP_sha256());
    middle = certify("middle", &root, true, EVP_sha256());
    leaf = certify("leaf", &middle, false, EVP_sha256());
    other_root = certify("other", NULL, true, EVP_sha256());
    return 0;
}

static int drop_authority(void **state)
{
    entity_done(&root);
    entity_done(&middle);
    entity_done(&leaf);
    entity_done(&other_root);
    return 0;
}

/* ---- tests ------------------------------------------------------------------------------------------ */

/* The recorded token: its key, its chain, its times. */
static void test_x5c_verify__recorded_token(void **state)
{
    struct json_doc *doc = vector_json("kbs/new-attest-p256.json");
    struct json_doc *body = parsed(exchange_body(doc, "/attest", 0, "response"));
    const char *compact = json_string(json_get(json_root(body), "token"));
    struct jws *t = NULL;
    struct jwk *key = NULL;
    struct buf pem = BUF_INIT;
    struct x5c_store *s = NULL;
    struct json_doc *claims = NULL;
    assert_ok(jws_parse(span_str(compact), &t));
    assert_ok(jwk_from_json(json_get(jws_header(t), "jwk"), &key));
    assert_ok(jws_verify(t, key));
    vector_read("kbs/keys/token-signer.crt", &pem);
    assert_ok(x5c_store_new(&s));
    assert_ok(x5c_store_add_pem(s, buf_span(&pem)));
    assert_int_equal(x5c_store_count(s), 1);
    assert_ok(x5c_verify(s, key, RECORDED_AT, NULL));
    assert_fails_with(x5c_verify(s, key, RECORDED_AT - 365 * DAY, NULL), ERR_CRYPTO, "not yet valid");
    assert_fails_with(x5c_verify(s, key, RECORDED_AT + 366 * DAY, NULL), ERR_CRYPTO, "expired");
    assert_ok(json_parse(jws_payload(t), &claims));
    assert_ok(jwt_check_times(json_root(claims), RECORDED_AT, 60, NULL));
    assert_fails(jwt_check_times(json_root(claims), RECORDED_AT + DAY, 60, NULL), ERR_CRYPTO);
    json_free(claims);
    json_free(body);
    json_free(doc);
    jws_free(t);
    jwk_free(key);
    buf_free(&pem);
    x5c_store_free(s);
}

static void test_x5c_verify__chains(void **state)
{
    const struct { const struct entity *chain[3]; size_t n; const struct entity *trusted; bool good; }
    CASES[] = {
        {{&leaf, &middle}, 2, &root, true},
        {{&leaf, &middle, &root}, 3, &root, true},
        {{&leaf, &root, &middle}, 3, &root, true}, /* order of the others does not matter */
        {{&leaf}, 1, &root, false},                /* a link is missing */
        {{&leaf, &middle}, 2, &middle, false},     /* no partial chains */
        {{&leaf, &middle, &root}, 3, &other_root, false},
        {{&other_root}, 1, &root, false},          /* self-signed, trusted by nobody */
        {{&other_root}, 1, &other_root, true},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct x5c_store *s = store_of(CASES[i].trusted);
        struct jwk *k = key_with_chain(CASES[i].chain[0]->key, CASES[i].chain, CASES[i].n);
        struct err e = x5c_verify(s, k, NOW, NULL);
        if (e.code != (CASES[i].good ? ERR_NONE : ERR_CRYPTO)) fail_msg("case %zu", i);
        assert_fails(x5c_verify(s, k, NOW + 2 * DAY, NULL), ERR_CRYPTO);
        assert_fails(x5c_verify(s, k, NOW - 2 * DAY, NULL), ERR_CRYPTO);
        jwk_free(k);
        x5c_store_free(s);
    }
}

/* One link that ended among others that did not: signer, intermediate, root. */
/* Whichever ends first is the end of all. */
static void test_x5c_verify__one_link_expired(void **state)
{
    for (size_t expired = 0; expired < 3; expired++) {
        int64_t end = 0;
        struct entity top = certify("top", NULL, true, EVP_sha256());
        struct entity between = certify("between", &top, true, EVP_sha256());
        struct entity signer = certify("signer", &between, false, EVP_sha256());
        const struct { struct entity *e, *issuer; } links[] = {
            {&signer, &between}, {&between, &top}, {&top, &top}};
        const struct entity *chain[] = {&signer, &between};
        struct x5c_store *s = store_of(&top);
        struct jwk *k = key_with_chain(signer.key, chain, 2);
        assert_ok(x5c_verify(s, k, NOW, &end));
        assert_int_equal(end, NOW + DAY);
        jwk_free(k);
        x5c_store_free(s);
        ASN1_TIME_set(X509_getm_notAfter(links[expired].e->cert), NOW + 60);
        assert_true(X509_sign(links[expired].e->cert, links[expired].issuer->key, EVP_sha256()) > 0);
        s = store_of(&top);
        k = key_with_chain(signer.key, chain, 2);
        assert_ok(x5c_verify(s, k, NOW, &end));
        assert_int_equal(end, NOW + 60);
        assert_ok(x5c_verify(s, k, end - 1, NULL));
        assert_fails_with(x5c_verify(s, k, end, &end), ERR_CRYPTO, "expired");
        assert_int_equal(end, NOW + 60);
        jwk_free(k);
        x5c_store_free(s);
        entity_done(&signer);
        entity_done(&between);
        entity_done(&top);
    }
}

static void test_x5c_verify__not_a_ca(void **state)
{
    struct entity below = certify("below", &leaf, false, EVP_sha256());
    const struct entity *chain[] = {&below, &leaf, &middle};
    struct x5c_store *s = store_of(&root);
    struct jwk *k = key_with_chain(below.key, chain, 3);
    assert_fails(x5c_verify(s, k, NOW, NULL), ERR_CRYPTO);
    jwk_free(k);
    x5c_store_free(s);
    entity_done(&below);
}

static void test_x5c_verify__weak_signature(void **state)
{
    struct entity weak = certify("weak", &root, false, EVP_sha1());
    const struct entity *chain[] = {&weak};
    struct x5c_store *s = store_of(&root);
    struct jwk *k = key_with_chain(weak.key, chain, 1);
    assert_fails(x5c_verify(s, k, NOW, NULL), ERR_CRYPTO);
    jwk_free(k);
    x5c_store_free(s);
    entity_done(&weak);
}

static void test_x5c_verify__other_key(void **state)
{
    const struct entity *chain[] = {&leaf, &middle};
    struct x5c_store *s = store_of(&root);
    struct jwk *k = key_with_chain(other_root.key, chain, 2);
    assert_fails_with(x5c_verify(s, k, NOW, NULL), ERR_CRYPTO, "another key");
    jwk_free(k);
    assert_ok(jwk_from_pkey(leaf.key, NULL, &k));
    assert_fails_with(x5c_verify(s, k, NOW, NULL), ERR_CRYPTO, "x5c");
    jwk_free(k);
    x5c_store_free(s);
}

/* One key of all that the trusted ones certify. */
static void test_x5c_store_only_key__others_are_refused(void **state)
{
    struct entity sister = certify("sister", &middle, false, EVP_sha256());
    const struct entity *ours[] = {&leaf, &middle}, *hers[] = {&sister, &middle};
    struct buf pem = BUF_INIT;
    struct x5c_store *s = store_of(&root);
    struct jwk *own = key_with_chain(leaf.key, ours, 2), *other = key_with_chain(sister.key, hers, 2);
    assert_ok(x5c_verify(s, other, NOW, NULL));
    add_pem(&pem, &leaf);
    add_pem(&pem, &middle);
    assert_fails(x5c_store_only_key(s, SPAN_LIT("nothing")), ERR_USAGE);
    assert_ok(x5c_store_only_key(s, buf_span(&pem)));
    assert_ok(x5c_verify(s, own, NOW, NULL));
    assert_fails_with(x5c_verify(s, other, NOW, NULL), ERR_CRYPTO, "own signer");
    assert_fails_with(x5c_verify(s, own, NOW + 2 * DAY, NULL), ERR_CRYPTO, "expired");
    add_pem(&pem, &sister);
    assert_ok(x5c_store_only_key(s, buf_span(&pem))); /* the first is the one */
    assert_fails(x5c_verify(s, other, NOW, NULL), ERR_CRYPTO);
    jwk_free(own);
    jwk_free(other);
    x5c_store_free(s);
    buf_free(&pem);
    entity_done(&sister);
}

/* Line breaks and base64url are taken, anything else is not. */
static void test_x5c_verify__encodings(void **state)
{
    uint8_t *der = NULL;
    int len = i2d_X509(other_root.cert, &der);
    struct buf std = BUF_INIT, url = BUF_INIT, broken = BUF_INIT;
    struct buf longer = BUF_INIT, trailing = BUF_INIT;
    b64_add(&std, span_of(der, (size_t) len));
    b64url_add(&url, span_of(der, (size_t) len));
    buf_add(&longer, der, (size_t) len);
    buf_add_byte(&longer, 0);
    b64url_add(&trailing, buf_span(&longer));
    for (size_t i = 0; i < std.len; i++) {
        if (i && i % 64 == 0) buf_add_str(&broken, "\\r\\n");
        buf_add_byte(&broken, std.data[i]);
    }
    const struct { const char *before, *text, *after; bool good; } CASES[] = {
        {"", buf_str(&std), "", true}, {"", buf_str(&url), "", true},
        {"", buf_str(&broken), "\\n", true}, {" ", buf_str(&std), "", false},
        {"", buf_str(&std), "AAAA", false}, {"", "", "", false}, {"", buf_str(&trailing), "", false}, {"", "MIIB", "", false},
    };
    struct x5c_store *s = store_of(&other_root);
    for (size_t i = 0; i < COUNT(CASES); i++) {
        struct buf text = jwk_text_of(other_root.key, NULL);
        struct jwk *k = NULL;
        text.len--;
        buf_addf(&text, ",\"x5c\":[\"%s%s%s\"]}", CASES[i].before, CASES[i].text, CASES[i].after);
        struct json_doc *doc = parsed(buf_str(&text));
        assert_ok(jwk_from_json(json_root(doc), &k));
        struct err e = x5c_verify(s, k, NOW, NULL);
        if (e.code != (CASES[i].good ? ERR_NONE : ERR_CRYPTO)) fail_msg("case %zu", i);
        jwk_free(k);
        json_free(doc);
        buf_free(&text);
    }
    x5c_store_free(s);
    OPENSSL_free(der);
    buf_free(&std);
    buf_free(&url);
    buf_free(&broken);
    buf_free(&longer);
    buf_free(&trailing);
}

static void test_x5c_store_add_pem__texts(void **state)
{
    struct x5c_store *s = NULL;
    struct buf pem = BUF_INIT, key = BUF_INIT;
    assert_ok(x5c_store_new(&s));
    assert_fails(x5c_store_add_pem(s, (struct span){0}), ERR_USAGE);
    assert_fails(x5c_store_add_pem(s, SPAN_LIT("nothing")), ERR_USAGE);
    assert_fails(x5c_store_add_pem(s, SPAN_LIT("-----BEGIN CERTIFICATE-----\nAAAA\n"
                                               "-----END CERTIFICATE-----\n")), ERR_USAGE);
    assert_ok(key_public_pem(root.key, &key));
    assert_fails(x5c_store_add_pem(s, buf_span(&key)), ERR_USAGE);
    assert_int_equal(x5c_store_count(s), 0);
    add_pem(&pem, &root);
    add_pem(&pem, &other_root);
    assert_ok(x5c_store_add_pem(s, buf_span(&pem)));
    assert_int_equal(x5c_store_count(s), 2);
    /* One good and one damaged: the whole text is refused. */
    buf_add_str(&pem, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_fails(x5c_store_add_pem(s, buf_span(&pem)), ERR_USAGE);
    assert_int_equal(x5c_store_count(s), 2);
    x5c_store_free(s);
    x5c_store_free(NULL);
    buf_free(&pem);
    buf_free(&key);
}

static void test_x5c_put_chain__refuses(void **state)
{
    struct buf pem = BUF_INIT, text = BUF_INIT;
    struct json_out o = JSON_OUT(&text);
    add_pem(&pem, &root);
    assert_fails_with(x5c_put_chain(buf_span(&pem), leaf.key, &o), ERR_USAGE, "another key");
    for (unsigned i = 1; i < JOSE_MAX_X5C; i++) add_pem(&pem, &root);
    json_begin_array(&o);
    assert_ok(x5c_put_chain(buf_span(&pem), root.key, &o));
    add_pem(&pem, &root);
    assert_fails_with(x5c_put_chain(buf_span(&pem), root.key, &o), ERR_USAGE, "more than 8");
    buf_free(&pem);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x5c_verify__recorded_token),
        cmocka_unit_test(test_x5c_verify__chains),
        cmocka_unit_test(test_x5c_verify__one_link_expired),
        cmocka_unit_test(test_x5c_verify__not_a_ca),
        cmocka_unit_test(test_x5c_verify__weak_signature),
        cmocka_unit_test(test_x5c_verify__other_key),
        cmocka_unit_test(test_x5c_store_only_key__others_are_refused),
        cmocka_unit_test(test_x5c_verify__encodings),
        cmocka_unit_test(test_x5c_store_add_pem__texts),
        cmocka_unit_test(test_x5c_put_chain__refuses),
    };
    return cmocka_run_group_tests(tests, make_authority, drop_authority);
}
