#include "tests/unit/pkcs11/token.h"

#include "tests/lib/vectors.h"

static void seal_in(uint8_t suite, uint8_t mechanism)
{
    token->way = suite_way_find(suite, mechanism);
    assert_non_null(token->way);
}

static void test_suites__round_trip_every_size(void **state)
{
    static const size_t SIZES[] = {0, 1, 15, 16, 17, 32, 1000, VALUE_MAX};
    static uint8_t plain[VALUE_MAX];
    for (size_t i = 0; i < sizeof plain; i++) plain[i] = (uint8_t) (i * 7);
    for (uint8_t suite = 1; suite <= 3; suite++) {
        seal_in(suite, ENVELOPE_KW);
        for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
            struct buf b = sealed("a/b/c", span_of(plain, SIZES[i]));
            struct envelope e = decoded(&b);
            assert_int_equal(e.meta.suite, suite);
            assert_int_equal(e.recipients[0].key_count, suite == 2 ? 2 : 1);
            size_t padded = 16 + (SIZES[i] / 16 + 1) * 16;
            assert_int_equal(e.ciphertext.len, suite == 2 ? padded : SIZES[i]);
            if (SIZES[i] >= 16) assert_memory_not_equal(e.ciphertext.data, plain, 16);
            assert_opens(&b, span_of(plain, SIZES[i]));
            buf_free(&b);
        }
    }
}

/* Each byte of what is bound, of IV, tag, wrapped keys and the ends of the ciphertext. */
static void test_suites__every_change_is_refused(void **state)
{
    for (uint8_t suite = 1; suite <= 3; suite++) {
        seal_in(suite, ENVELOPE_KW);
        struct buf b = sealed("a/b/c", SPAN_LIT("the secret value"));
        for (size_t i = 0; i < b.len; i++) {
            struct envelope e;
            bool has_meta = false;
            struct secret *s = NULL;
            b.data[i] ^= 0x01;
            if (envelope_decode(buf_span(&b), &e, &has_meta) == ENVELOPE_SOUND &&
                p11_recipient_generation(token, &e)) {
                struct err opened = p11_unseal(token, &e, &s);
                if (opened.code != ERR_DAMAGED)
                    fail_msg("suite %u, byte %zu: %s", suite, i,
                             err_ok(opened) ? "opens" : err_text(opened));
            }
            b.data[i] ^= 0x01;
        }
        assert_opens(&b, SPAN_LIT("the secret value"));
        buf_free(&b);
    }
}

/* Another genuine key in the place of the one that encrypted: the tag is still right. */
static void test_suite_2__another_key_beside_a_good_tag(void **state)
{
    seal_in(2, ENVELOPE_KW);
    struct buf a = sealed("a/b/c", SPAN_LIT("the secret value")), moved = BUF_INIT;
    struct buf b = sealed("a/b/c", SPAN_LIT("another"));
    struct envelope x = decoded(&a), y = decoded(&b);
    struct secret *s = NULL;
    x.recipients[0].keys[0] = y.recipients[0].keys[0];
    buf_add_span(&moved, x.bound);
    put_rest_of(&moved, &x);
    assert_fails(unsealed(&moved, &s), ERR_DAMAGED);
    /* and the two keys of one envelope in each other's place */
    x = decoded(&a);
    struct span first = x.recipients[0].keys[0];
    x.recipients[0].keys[0] = x.recipients[0].keys[1];
    x.recipients[0].keys[1] = first;
    buf_reset(&moved);
    buf_add_span(&moved, x.bound);
    put_rest_of(&moved, &x);
    assert_fails(unsealed(&moved, &s), ERR_DAMAGED);
    buf_free(&a);
    buf_free(&b);
    buf_free(&moved);
}

/* What the tag does not cover is not decrypted: no padding is ever looked at for a stranger. */
static void test_suite_2__tag_first(void **state)
{
    token_through_faults("");
    seal_in(2, ENVELOPE_KW);
    struct buf b = sealed("a/b/c", SPAN_LIT("the secret value"));
    struct secret *s = NULL;
    softhsm_fault_clear_log(&hsm);
    assert_opens(&b, SPAN_LIT("the secret value"));
    assert_int_equal(softhsm_fault_count(&hsm, "C_Verify"), 1);
    int decrypts = softhsm_fault_count(&hsm, "C_Decrypt");
    assert_int_equal(decrypts, 1);
    b.data[b.len - 1] ^= 1;
    assert_fails(unsealed(&b, &s), ERR_DAMAGED);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Decrypt"), decrypts);
    buf_free(&b);
}

/* The token's functions, with lengths that are wrong by this. */
static CK_FUNCTION_LIST *honest;
static CK_ULONG encrypts_off, signs_off, decrypts_off;

static CK_RV encrypt_wrong(CK_SESSION_HANDLE h, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len)
{
    CK_RV rv = honest->C_Encrypt(h, in, n, out, len);
    *len += encrypts_off;
    return rv;
}

static CK_RV sign_wrong(CK_SESSION_HANDLE h, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len)
{
    CK_RV rv = honest->C_Sign(h, in, n, out, len);
    *len += signs_off;
    return rv;
}

static CK_RV decrypt_wrong(CK_SESSION_HANDLE h, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len)
{
    CK_RV rv = honest->C_Decrypt(h, in, n, out, len);
    *len += decrypts_off;
    return rv;
}

/* What would not open is not sealed; what is said to be longer than its room is not read. */
static void test_suites__lengths_that_a_module_gets_wrong(void **state)
{
    static const struct { uint8_t suite; CK_ULONG encrypts, signs, decrypts; } ROWS[] = {
        {1, (CK_ULONG) -1, 0, 0}, {1, 1, 0, 0}, {1, 0, 0, (CK_ULONG) -1}, {1, 0, 0, 1}, {1, 0, 0, 1 << 20},
        {2, (CK_ULONG) -16, 0, 0}, {2, 0, (CK_ULONG) -1, 0}, {2, 0, 0, 17}, {2, 0, 0, 1 << 20},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct secret *s = NULL;
        struct buf made = BUF_INIT;
        struct envelope_meta meta = meta_of("a/b/c", 1);
        seal_in(ROWS[i].suite, ENVELOPE_KW);
        struct buf b = sealed("a/b/c", SPAN_LIT("the secret value"));
        CK_FUNCTION_LIST lying = *(honest = token->fn);
        encrypts_off = ROWS[i].encrypts;
        signs_off = ROWS[i].signs;
        decrypts_off = ROWS[i].decrypts;
        lying.C_Encrypt = encrypt_wrong;
        lying.C_Sign = sign_wrong;
        lying.C_Decrypt = decrypt_wrong;
        token->fn = &lying;
        struct err sealing = p11_seal(token, &meta, SPAN_LIT("the secret value"), &made);
        struct err opening = unsealed(&b, &s);
        token->fn = honest;
        if (err_ok(sealing) != !(ROWS[i].encrypts || ROWS[i].signs) || err_ok(opening) != !ROWS[i].decrypts)
            fail_msg("row %zu", i);
        secret_free(s);
        buf_free(&made);
        buf_free(&b);
    }
}

/* A suite fixes how many keys there are: one with too many or too few is for nobody. */
static void test_open__number_of_keys(void **state)
{
    for (uint8_t suite = 1; suite <= 3; suite++) {
        seal_in(suite, ENVELOPE_KW);
        struct buf b = sealed("a/b/c", SPAN_LIT("x"));
        struct envelope e = decoded(&b);
        e.recipients[0].keys[1] = e.recipients[0].keys[0];
        e.recipients[0].key_count = 3 - e.recipients[0].key_count;
        assert_int_equal(p11_recipient_generation(token, &e), 0);
        buf_free(&b);
    }
}

/* ---- bytes made elsewhere --------------------------------------------------------------- */

/* The KEK of tests/vectors/envelope/suite-*: 00 01 02 ... 1f, id 10 11 ... 1f, generation 1. */
static void import_kek(void)
{
    static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static const CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    static const CK_KEY_TYPE aes = CKK_AES;
    uint8_t value[32], id[16];
    for (uint8_t i = 0; i < 32; i++) value[i] = i;
    for (uint8_t i = 0; i < 16; i++) id[i] = (uint8_t) (0x10 + i);
    CK_ATTRIBUTE t[] = {
        {CKA_CLASS, (void *) &class, sizeof class}, {CKA_KEY_TYPE, (void *) &aes, sizeof aes},
        {CKA_VALUE, value, sizeof value}, {CKA_ID, id, sizeof id},
        {CKA_LABEL, (void *) "strongroom-kek-1", 16}, {CKA_TOKEN, (void *) &yes, 1},
        {CKA_PRIVATE, (void *) &yes, 1}, {CKA_SENSITIVE, (void *) &yes, 1},
        {CKA_EXTRACTABLE, (void *) &no, 1}, {CKA_MODIFIABLE, (void *) &no, 1},
        {CKA_WRAP, (void *) &yes, 1}, {CKA_UNWRAP, (void *) &yes, 1},
        {CKA_ENCRYPT, (void *) &no, 1}, {CKA_DECRYPT, (void *) &no, 1},
        {CKA_SIGN, (void *) &no, 1}, {CKA_VERIFY, (void *) &no, 1}, {CKA_DERIVE, (void *) &no, 1},
    };
    struct p11_session s = {0};
    CK_OBJECT_HANDLE made = 0;
    assert_ok(session_take(token, &s));
    assert_int_equal(token->fn->C_CreateObject(s.h, t, sizeof t / sizeof *t, &made), CKR_OK);
    session_drop(&s);
    assert_ok(p11_kek_reload(token));
    assert_int_equal(p11_active_generation(token), 1);
}

static struct buf vector(const char *name)
{
    char file[64];
    struct buf text = BUF_INIT, bytes = BUF_INIT;
    snprintf(file, sizeof file, "envelope/%s.hex", name);
    vector_read(file, &text);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '\n') text.data[n++] = text.data[i];
    text.len = n;
    uint8_t *at = buf_extend(&bytes, n / 2);
    assert_non_null(at);
    assert_true(hex_decode(buf_str(&text), at, n / 2));
    buf_free(&text);
    return bytes;
}

/* Sealed by another implementation (Python's cryptography) with a KEK that is known. */
static void test_open__vectors_made_elsewhere(void **state)
{
    static const char *const FILES[] = {"suite-1-kw", "suite-2-kw", "suite-3-kw"};
    import_kek();
    for (size_t i = 0; i < 3; i++) {
        struct buf b = vector(FILES[i]);
        assert_opens(&b, SPAN_LIT("the secret value"));
        buf_free(&b);
    }
    struct buf b = vector("suite-2-tombstone");
    assert_opens(&b, span_of(NULL, 0));
    buf_free(&b);
}

/* NSS softokn has all three mechanisms, and is an implementation of its own. */
#define NSS "/usr/lib/x86_64-linux-gnu/libsoftokn3.so"

static void open_nss(void)
{
    char command[1024], args[512];
    snprintf(command, sizeof command, "mkdir '%s/nss' && certutil -N -d 'sql:%s/nss' -f '%s'", hsm.dir,
             hsm.dir, hsm.pin_file);
    assert_int_equal(system(command), 0); /* libnss3-tools: scripts/bootstrap --test */
    snprintf(args, sizeof args, "configdir='sql:%s/nss' certPrefix='' keyPrefix='' secmod='secmod.db' "
             "flags=", hsm.dir);
    struct p11_config config = {
        .module = NSS, .init_args = args, .token_uri = "pkcs11:token=NSS%20Certificate%20DB",
        .pin_source = hsm.pin_file, .state_dir = hsm.state, .cek_cache = 64,
    };
    token_close();
    assert_ok(p11_open(&config, &token));
}

static void test_nss__every_mechanism(void **state)
{
    static const uint8_t MECHANISMS[] = {ENVELOPE_KW, ENVELOPE_KWP, ENVELOPE_CBC_PAD};
    static const char *const NAMES[] = {"kw", "kwp", "cbc-pad"};
    open_nss();
    import_kek();
    assert_int_equal(token->way->suite, 1);
    assert_int_equal(token->way->mechanism, ENVELOPE_KWP);
    for (uint8_t suite = 1; suite <= 3; suite++)
        for (size_t i = 0; i < 3; i++) {
            char file[32];
            bool readable = true;
            snprintf(file, sizeof file, "suite-%u-%s", suite, NAMES[i]);
            struct buf made_elsewhere = vector(file);
            assert_opens(&made_elsewhere, SPAN_LIT("the secret value"));
            buf_free(&made_elsewhere);
            seal_in(suite, MECHANISMS[i]);
            assert_ok(suite_self_test(token, token->way, token->active->handle, &readable));
            assert_false(readable);
            struct buf b = sealed("a/b/c", SPAN_LIT("x"));
            assert_int_equal(decoded(&b).recipients[0].mechanism, MECHANISMS[i]);
            assert_opens(&b, SPAN_LIT("x"));
            buf_free(&b);
        }
}

/* Rotation moves between mechanisms as well; a garbled key of AES-CBC-PAD opens nothing. */
static void test_nss__rewrap_and_garbled_keys(void **state)
{
    struct p11_kek_info kek;
    open_nss();
    import_kek();
    for (uint8_t suite = 1; suite <= 3; suite++) {
        seal_in(suite, ENVELOPE_CBC_PAD);
        struct buf b = sealed("a/b/c", SPAN_LIT("value")), moved = BUF_INIT;
        struct envelope e = decoded(&b);
        for (size_t at = 0; at < 48; at += 5) { /* IV and the key's own blocks; padding may survive */
            struct secret *s = NULL;
            ((uint8_t *) e.recipients[0].keys[0].data)[at] ^= 1;
            assert_fails(unsealed(&b, &s), ERR_DAMAGED);
            ((uint8_t *) e.recipients[0].keys[0].data)[at] ^= 1;
        }
        assert_ok(p11_kek_create(token, true, &kek));
        seal_in(suite, ENVELOPE_KWP);
        assert_ok(p11_rewrap(token, &e, &moved));
        assert_int_equal(decoded(&moved).recipients[0].mechanism, ENVELOPE_KWP);
        assert_int_equal(decoded(&moved).meta.suite, suite);
        assert_opens(&moved, SPAN_LIT("value"));
        buf_free(&b);
        buf_free(&moved);
    }
}

static void test_suite_find__knows_three(void **state)
{
    for (unsigned i = 0; i < 256; i++) {
        const struct suite *s = suite_find((uint8_t) i);
        assert_int_equal(s != NULL, i >= 1 && i <= 3);
        if (s) assert_int_equal(s->keys, envelope_form((uint8_t) i)->keys);
    }
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_suites__round_trip_every_size),
        KEK(test_suites__every_change_is_refused),
        KEK(test_suite_2__another_key_beside_a_good_tag),
        KEK(test_suite_2__tag_first),
        KEK(test_suites__lengths_that_a_module_gets_wrong),
        KEK(test_open__number_of_keys),
        cmocka_unit_test_setup_teardown(test_open__vectors_made_elsewhere, token_bare, token_gone),
        cmocka_unit_test_setup_teardown(test_nss__every_mechanism, token_bare, token_gone),
        cmocka_unit_test_setup_teardown(test_nss__rewrap_and_garbled_keys, token_bare, token_gone),
        cmocka_unit_test(test_suite_find__knows_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
