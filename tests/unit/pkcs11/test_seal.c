#include "tests/unit/pkcs11/token.h"

#include <pthread.h>

#include "pkcs11/cek_cache.h"
#include "pkcs11/find.h"
#include "pkcs11/seal.h"

/* ---- round trips ------------------------------------------------------------------------ */

static struct span pattern(size_t len)
{
    uint8_t *data = malloc(len + 1);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++) data[i] = (uint8_t) (i * 7 + len);
    return span_of(data, len);
}

static void test_seal__round_trip_of_every_size(void **state)
{
    static const size_t SIZES[] = {0, 1, 15, 16, 17, 1024, 64 * 1024, VALUE_MAX};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        struct span plain = pattern(SIZES[i]);
        struct buf b = sealed("default/key/one", plain);
        struct envelope e = decoded(&b);
        assert_int_equal(e.ciphertext.len, SIZES[i]);
        if (SIZES[i] > 16) assert_memory_not_equal(e.ciphertext.data, plain.data, 16);
        assert_opens(&b, plain);
        assert_opens(&b, plain); /* from the cache of content keys */
        buf_free(&b);
        free((void *) plain.data);
    }
}

static void test_verify__as_opening_but_nothing_comes_out(void **state)
{
    struct buf b = sealed("default/key/one", SPAN_LIT("value"));
    struct envelope e = decoded(&b);
    size_t before = secret_used();
    assert_ok(p11_verify(token, &e));
    b.data[b.len - 1] ^= 1;
    assert_fails(p11_verify(token, &e), ERR_DAMAGED);
    b.data[b.len - 1] ^= 1;
    b.data[e.bound.len + 5] ^= 1; /* the KEK's id */
    e = decoded(&b);
    assert_fails(p11_verify(token, &e), ERR_NOTFOUND);
    assert_int_equal(secret_used(), before);
    buf_free(&b);
}

static void test_seal__refuses_more_than_the_limit(void **state)
{
    struct span plain = pattern(VALUE_MAX + 1);
    struct buf b = BUF_INIT;
    buf_add_str(&b, "before");
    struct envelope_meta meta = meta_of("default/key/one", 1);
    assert_fails(p11_seal(token, &meta, plain, &b), ERR_TOOLARGE);
    assert_span(buf_span(&b), "before");
    buf_free(&b);
    free((void *) plain.data);
}

static void test_seal__refuses_what_the_layout_cannot_hold(void **state)
{
    struct buf b = BUF_INIT;
    struct envelope_meta meta = meta_of("", 1);
    assert_fails(p11_seal(token, &meta, SPAN_LIT("x"), &b), ERR_USAGE);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void test_seal__header_says_what_was_asked(void **state)
{
    struct envelope_meta meta = meta_of("a/b/c", 77);
    meta.tombstone = true;
    meta.attributes[0] =
        (struct envelope_attribute){ENVELOPE_CONTENT_TYPE, SPAN_LIT("text/plain")};
    meta.attribute_count = 1;
    struct buf b = BUF_INIT;
    assert_ok(p11_seal(token, &meta, SPAN_LIT(""), &b));
    struct envelope e = decoded(&b);
    assert_int_equal(e.meta.suite, 1);
    assert_int_equal(e.meta.version, 77);
    assert_true(e.meta.tombstone);
    assert_span(e.meta.name, "a/b/c");
    assert_span(envelope_attribute(&e.meta, ENVELOPE_CONTENT_TYPE)->value, "text/plain");
    assert_int_equal(e.recipient_count, 1);
    assert_int_equal(e.recipients[0].generation, 1);
    assert_int_equal(e.recipients[0].mechanism, ENVELOPE_KW);
    assert_int_equal(e.recipients[0].keys[0].len, 40);
    assert_int_equal(p11_recipient_generation(token, &e), 1);
    buf_free(&b);
}

static void test_seal__never_the_same_twice(void **state)
{
    struct buf a = sealed("a/b/c", SPAN_LIT("same")), b = sealed("a/b/c", SPAN_LIT("same"));
    struct envelope x = decoded(&a), y = decoded(&b);
    assert_false(span_eq(x.iv, y.iv));
    assert_false(span_eq(x.recipients[0].keys[0], y.recipients[0].keys[0]));
    assert_false(span_eq(x.ciphertext, y.ciphertext));
    buf_free(&a);
    buf_free(&b);
}

static void test_seal__without_a_kek(void **state)
{
    struct buf b = BUF_INIT;
    struct envelope_meta meta = meta_of("a/b/c", 1);
    assert_fails_with(p11_seal(token, &meta, SPAN_LIT("x"), &b), ERR_HUMAN, "kek create");
    buf_free(&b);
}

static CK_ULONG secret_keys_on(struct p11 *p)
{
    struct p11_session s = {0};
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}};
    CK_OBJECT_HANDLE found[64];
    CK_ULONG n = 0;
    assert_ok(session_take(p, &s));
    assert_int_equal(p->fn->C_FindObjectsInit(s.h, template, 1), CKR_OK);
    assert_int_equal(p->fn->C_FindObjects(s.h, found, 64, &n), CKR_OK);
    assert_int_equal(p->fn->C_FindObjectsFinal(s.h), CKR_OK);
    session_drop(&s);
    return n;
}

/* The one that was made extractable must be gone, on the path of failure too. */
static void test_seal__leaves_no_content_key_behind(void **state)
{
    token_close();
    token_open(1, 0);
    assert_int_equal(secret_keys_on(token), 1);
    struct buf b = sealed("a/b/c", SPAN_LIT("x"));
    assert_opens(&b, SPAN_LIT("x"));
    assert_int_equal(secret_keys_on(token), 1);
    struct secret *s = NULL;
    struct envelope e = decoded(&b);
    b.data[e.tag.data - b.data] ^= 1;
    assert_fails(unsealed(&b, &s), ERR_DAMAGED);
    assert_int_equal(secret_keys_on(token), 1);
    buf_free(&b);
}

/* ---- what does not open ----------------------------------------------------------------- */

enum region { IN_HEADER, IN_NAME, IN_WRAPPED_KEY, IN_IV, IN_TAG, IN_CIPHERTEXT, REGION_COUNT };

static size_t offset_of(const struct envelope *e, enum region r, const uint8_t *base)
{
    const uint8_t *const at[] = {
        [IN_HEADER] = e->bound.data + 23, [IN_NAME] = e->meta.name.data,
        [IN_WRAPPED_KEY] = e->recipients[0].keys[0].data + 11, [IN_IV] = e->iv.data,
        [IN_TAG] = e->tag.data + 15, [IN_CIPHERTEXT] = e->ciphertext.data,
    };
    return (size_t) (at[r] - base);
}

static void tamper_each_region(void)
{
    for (enum region r = 0; r < REGION_COUNT; r++) {
        struct buf b = sealed("default/key/one", SPAN_LIT("sixteen bytes...and more"));
        struct secret *s = NULL;
        assert_ok(unsealed(&b, &s)); /* its content key is cached now */
        secret_free(s);
        s = NULL;
        struct envelope e = decoded(&b);
        b.data[offset_of(&e, r, b.data)] ^= 1;
        assert_fails(unsealed(&b, &s), ERR_DAMAGED);
        assert_null(s);
        buf_free(&b);
    }
}

static void test_unseal__tampered_in_each_region(void **state)
{
    tamper_each_region();
    /* The token did not suffer. */
    assert_ok(p11_check(token));
}

static void test_unseal__tampered_without_cache_and_with_one_session(void **state)
{
    token_close();
    token_open(1, 0);
    tamper_each_region();
}

/* The header of one under the payload of another: what moving an object to a new name would do. */
static void test_unseal__moved_to_another_name(void **state)
{
    struct buf b = sealed("default/key/one", SPAN_LIT("x")), moved = BUF_INIT;
    struct envelope e = decoded(&b);
    struct envelope_meta meta = e.meta;
    meta.name = span_str("default/key/two");
    assert_ok(envelope_put_bound(&moved, &meta));
    put_rest_of(&moved, &e);
    struct secret *s = NULL;
    assert_fails_with(unsealed(&moved, &s), ERR_DAMAGED, "default/key/two");
    buf_free(&b);
    buf_free(&moved);
}

/* A whole and genuine envelope under an AES-128 key, such as only who has the PIN can make. */
static struct buf sealed_under_aes128(void)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE aes = CKK_AES;
    CK_ULONG bytes = 16, len = 64;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class), ATTR(CKA_KEY_TYPE, aes),
                        ATTR(CKA_VALUE_LEN, bytes), ATTR(CKA_TOKEN, no), ATTR(CKA_ENCRYPT, yes),
                        ATTR(CKA_EXTRACTABLE, yes)};
    CK_MECHANISM make = {.mechanism = CKM_AES_KEY_GEN}, wrap = {.mechanism = CKM_AES_KEY_WRAP};
    struct p11_session s = {0};
    CK_OBJECT_HANDLE cek = 0;
    uint8_t wrapped[64], iv[12] = {1}, out[1 + PAYLOAD_EXTRA];
    struct buf b = BUF_INIT;
    struct envelope_meta meta = meta_of("a/b/c", 1);
    meta.suite = 1;
    assert_ok(envelope_put_bound(&b, &meta));
    struct payload x = {.iv = span_of(iv, sizeof iv), .aad = buf_span(&b), .plain = SPAN_LIT("x")};
    size_t out_len = 0;
    assert_ok(session_take(token, &s));
    struct cek_op op = {.fn = token->fn, .h = s.h};
    assert_int_equal(op.fn->C_GenerateKey(s.h, &make, t, ATTR_COUNT(t), &cek), CKR_OK);
    assert_int_equal(suite_find(1)->seal(&op, &cek, &x, out, &out_len), CKR_OK);
    assert_int_equal(op.fn->C_WrapKey(s.h, &wrap, token->active->handle, cek, wrapped, &len),
                     CKR_OK);
    assert_int_equal(cek_destroy(&op, cek), CKR_OK);
    session_drop(&s);
    struct envelope_recipient r = {.generation = 1, .mechanism = ENVELOPE_KW, .key_count = 1,
                                   .keys = {span_of(wrapped, len)}};
    memcpy(r.kek_id, token->active->id, sizeof r.kek_id);
    struct envelope_rest rest = {&r, 1, x.iv, span_of(out + 1, 16), span_of(out, 1)};
    assert_ok(envelope_put_rest(&b, 1, &rest));
    return b;
}

static void test_unseal__weaker_content_key(void **state)
{
    struct buf b = sealed_under_aes128();
    struct secret *s = NULL;
    assert_int_equal(decoded(&b).recipients[0].keys[0].len, 24);
    assert_fails(unsealed(&b, &s), ERR_DAMAGED);
    buf_free(&b);
}

static void test_unseal__foreign(void **state)
{
    struct buf b = sealed("a/b/c", SPAN_LIT("x"));
    struct secret *s = NULL;
    struct envelope e = decoded(&b);
    e.recipients[0].kek_id[0] ^= 1;
    assert_int_equal(p11_recipient_generation(token, &e), 0);
    assert_fails_with(p11_unseal(token, &e, &s), ERR_NOTFOUND, "another token");
    e = decoded(&b);
    e.recipients[0].generation++;
    assert_int_equal(p11_recipient_generation(token, &e), 0);
    e = decoded(&b);
    e.recipients[0].mechanism = ENVELOPE_OAEP_SHA256;
    assert_int_equal(p11_recipient_generation(token, &e), 0);
    buf_free(&b);
}

/* Rotation adds a recipient without touching the payload; a stranger's comes first. */
static void test_unseal__second_recipient_is_ours(void **state)
{
    struct buf b = sealed("a/b/c", SPAN_LIT("x")), two = BUF_INIT;
    struct envelope e = decoded(&b);
    struct envelope_recipient both[2] = {e.recipients[0], e.recipients[0]};
    both[0].kek_id[3] ^= 0xff;
    buf_add_span(&two, e.bound);
    memcpy(e.recipients, both, sizeof both);
    e.recipient_count = 2;
    put_rest_of(&two, &e);
    assert_opens(&two, SPAN_LIT("x"));
    buf_free(&b);
    buf_free(&two);
}

static void test_unseal__two_generations(void **state)
{
    struct p11_kek_info kek;
    struct buf old = sealed("a/b/c", SPAN_LIT("old"));
    assert_ok(p11_kek_create(token, true, &kek));
    assert_int_equal(kek.generation, 2);
    struct buf new = sealed("a/b/c", SPAN_LIT("new"));
    struct envelope o = decoded(&old), n = decoded(&new);
    assert_int_equal(p11_recipient_generation(token, &o), 1);
    assert_int_equal(p11_recipient_generation(token, &n), 2);
    assert_opens(&old, SPAN_LIT("old"));
    assert_opens(&new, SPAN_LIT("new"));
    token_reopen();
    assert_opens(&old, SPAN_LIT("old"));
    assert_opens(&new, SPAN_LIT("new"));
    buf_free(&old);
    buf_free(&new);
}

/* ---- the token's failures --------------------------------------------------------------- */

static void test_unseal__general_error_and_the_canary_fails_too(void **state)
{
    token_through_faults("");
    struct buf b = sealed("a/b/c", SPAN_LIT("x"));
    struct secret *s = NULL;
    softhsm_fault(&hsm, "C_Decrypt rv=0x5");
    assert_fails(unsealed(&b, &s), ERR_TOKEN_DOWN);
    /* Only the item's own call fails: the canary opens. */
    softhsm_fault(&hsm, "C_Decrypt rv=0x5 count=1");
    assert_fails(unsealed(&b, &s), ERR_DAMAGED);
    softhsm_fault(&hsm, "");
    assert_opens(&b, SPAN_LIT("x"));
    buf_free(&b);
}

static void test_unseal__codes_and_classes(void **state)
{
    static const struct { const char *rule; enum err_class class; } CASES[] = {
        {"C_Decrypt rv=0x40", ERR_DAMAGED},            /* ENCRYPTED_DATA_INVALID */
        {"C_Decrypt rv=0xb3 count=1", ERR_NONE},       /* SESSION_HANDLE_INVALID, once */
        {"C_Decrypt rv=0xb3", ERR_TOKEN_DOWN},
        {"C_DecryptInit rv=0x60 count=1", ERR_NONE},   /* KEY_HANDLE_INVALID: unwrapped again */
        {"C_DecryptInit rv=0x60", ERR_TOKEN_DOWN},
        {"C_DecryptInit rv=0x82 count=1", ERR_NONE},   /* OBJECT_HANDLE_INVALID */
        {"C_DecryptInit rv=0x82", ERR_TOKEN_DOWN},
        {"C_Decrypt rv=0x32", ERR_TOKEN_DOWN},         /* DEVICE_REMOVED */
        {"C_Decrypt rv=0x101", ERR_TOKEN_DOWN},        /* USER_NOT_LOGGED_IN */
        {"C_Decrypt rv=0x80000384", ERR_TOKEN_DOWN},   /* a vendor's */
    };
    token_through_faults("");
    struct buf b = sealed("a/b/c", SPAN_LIT("x"));
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct secret *s = NULL;
        softhsm_fault(&hsm, "");
        assert_opens(&b, SPAN_LIT("x"));
        softhsm_fault(&hsm, CASES[i].rule);
        struct err e = unsealed(&b, &s);
        if (e.code != CASES[i].class)
            fail_msg("%s: %s", CASES[i].rule, err_ok(e) ? "opened" : err_text(e));
        secret_free(s);
    }
    softhsm_fault(&hsm, "");
    assert_opens(&b, SPAN_LIT("x"));
    buf_free(&b);
}

static void test_unseal__unwrap_codes(void **state)
{
    static const struct { const char *rule; enum err_class class; } CASES[] = {
        {"C_UnwrapKey rv=0x110", ERR_DAMAGED},          /* WRAPPED_KEY_INVALID */
        {"C_UnwrapKey rv=0x5 count=1", ERR_DAMAGED},    /* then the canary's goes through */
        {"C_UnwrapKey rv=0x5", ERR_TOKEN_DOWN},
        {"C_UnwrapKey rv=0xb0 count=1", ERR_NONE},      /* SESSION_CLOSED: a new key session */
        {"C_UnwrapKey rv=0x31 count=1", ERR_NONE},      /* DEVICE_MEMORY: the cache makes room */
        {"C_UnwrapKey rv=0x31", ERR_BUSY},
        {"C_UnwrapKey rv=0xf0", ERR_TOKEN_DOWN},        /* UNWRAPPING_KEY_HANDLE_INVALID */
    };
    token_through_faults("");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct secret *s = NULL;
        softhsm_fault(&hsm, "");
        struct buf b = sealed("a/b/c", SPAN_LIT("x")); /* not in the cache */
        softhsm_fault(&hsm, CASES[i].rule);
        struct err e = unsealed(&b, &s);
        if (e.code != CASES[i].class)
            fail_msg("%s: %s", CASES[i].rule, err_ok(e) ? "opened" : err_text(e));
        secret_free(s);
        buf_free(&b);
    }
}

static void test_seal__token_failures(void **state)
{
    static const struct { const char *rule; enum err_class class; } CASES[] = {
        {"C_WrapKey rv=0xb3 count=1", ERR_NONE},
        {"C_WrapKey rv=0x30", ERR_TOKEN_DOWN},
        {"C_GenerateKey rv=0x31", ERR_BUSY},
        {"C_EncryptInit rv=0x70", ERR_INTERNAL},
        {"C_DestroyObject rv=0x30", ERR_TOKEN_DOWN}, /* a content key that stays is no success */
    };
    token_through_faults("");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct buf b = BUF_INIT;
        struct envelope_meta meta = meta_of("a/b/c", 1);
        softhsm_fault(&hsm, CASES[i].rule);
        struct err e = p11_seal(token, &meta, SPAN_LIT("x"), &b);
        if (e.code != CASES[i].class)
            fail_msg("%s: %s", CASES[i].rule, err_ok(e) ? "sealed" : err_text(e));
        if (e.code) assert_int_equal(b.len, 0);
        buf_free(&b);
    }
}

/* ---- beside each other ------------------------------------------------------------------ */

struct reader_job {
    const struct buf *envelopes;
    size_t n;
    int failures, opened;
    const int *stop;
};

static void *read_on(void *arg)
{
    struct reader_job *job = arg;
    for (size_t i = 0; !__atomic_load_n(job->stop, __ATOMIC_ACQUIRE) || i < 50; i++) {
        struct secret *s = NULL;
        struct envelope e;
        bool has_meta;
        if (envelope_decode(buf_span(&job->envelopes[i % job->n]), &e, &has_meta) ||
            !err_ok(p11_unseal(token, &e, &s)) || secret_len(s) != 8)
            job->failures++;
        secret_free(s);
        job->opened++;
    }
    return NULL;
}

static void read_beside_object_calls(void)
{
    enum { THREADS = 4, ENVELOPES = 12, ROUNDS = 30 };
    struct buf envelopes[ENVELOPES];
    struct reader_job jobs[THREADS];
    pthread_t threads[THREADS];
    int stop = 0;
    for (size_t i = 0; i < ENVELOPES; i++) envelopes[i] = sealed("a/b/c", SPAN_LIT("8 bytes."));
    for (size_t i = 0; i < THREADS; i++) {
        jobs[i] = (struct reader_job){.envelopes = envelopes, .n = ENVELOPES, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &jobs[i]), 0);
    }
    struct err e = ERR_OK;
    for (int i = 0; i < ROUNDS && err_ok(e); i++) {
        struct p11_object o;
        char epoch[P11_EPOCH_TEXT];
        e = p11_object_create(token, "a/b/c", buf_span(&envelopes[0]), &o);
        if (err_ok(e)) e = p11_epoch_touch(token, epoch);
        if (err_ok(e)) e = p11_object_destroy(token, o);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_ok(e);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(jobs[i].failures, 0);
        assert_true(jobs[i].opened >= 50);
    }
    for (size_t i = 0; i < ENVELOPES; i++) buf_free(&envelopes[i]);
}

static void test_unseal__beside_object_calls(void **state)
{
    token_close();
    token_open(0, 8); /* fewer than envelopes, so that keys are evicted all the time */
    read_beside_object_calls();
}

/* The most calls at one time while all that goes on. The first decryption is the last to return, so without
 * the quirk others come meanwhile; and no session is kept, so opening and closing them go on as well. */
static unsigned long most_calls_together(bool serialize_all)
{
    char counts[300], rules[700], line[128];
    unsigned long n = 0, together = 0;
    snprintf(counts, sizeof counts, "%s/counts", hsm.dir);
    snprintf(rules, sizeof rules, "count %s\nC_Decrypt rv=0xb3 done count=1\nC_Decrypt delay_us=20000 count=20\n",
             counts);
    token_close();
    softhsm_fault(&hsm, "");
    struct p11_config config = {
        .module = softhsm_fault_module(), .token_uri = hsm.uri, .pin_source = hsm.pin_file,
        .state_dir = hsm.state, .cek_cache = 4, .serialize_all = serialize_all,
    };
    assert_ok(p11_open(&config, &token));
    softhsm_fault(&hsm, rules);
    read_beside_object_calls();
    FILE *f = fopen(counts, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "together %lu", &n) == 1) together = n;
    if (f) fclose(f);
    return together;
}

static void test_unseal__one_call_at_a_time(void **state)
{
    assert_int_equal(most_calls_together(true), 1);
    assert_true(most_calls_together(false) > 1);
    assert_int_equal(most_calls_together(true), 1); /* and it does not depend on what was before */
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_seal__round_trip_of_every_size),
        KEK(test_verify__as_opening_but_nothing_comes_out),
        KEK(test_seal__refuses_more_than_the_limit),
        KEK(test_seal__refuses_what_the_layout_cannot_hold),
        KEK(test_seal__header_says_what_was_asked),
        KEK(test_seal__never_the_same_twice),
        cmocka_unit_test_setup_teardown(test_seal__without_a_kek, token_bare, token_gone),
        KEK(test_seal__leaves_no_content_key_behind),
        KEK(test_unseal__tampered_in_each_region),
        KEK(test_unseal__tampered_without_cache_and_with_one_session),
        KEK(test_unseal__moved_to_another_name),
        KEK(test_unseal__weaker_content_key),
        KEK(test_unseal__foreign),
        KEK(test_unseal__second_recipient_is_ours),
        KEK(test_unseal__two_generations),
        KEK(test_unseal__general_error_and_the_canary_fails_too),
        KEK(test_unseal__codes_and_classes),
        KEK(test_unseal__unwrap_codes),
        KEK(test_seal__token_failures),
        KEK(test_unseal__beside_object_calls),
        KEK(test_unseal__one_call_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
