#include "pkcs11/envelope.h"
#include "tests/lib/test.h"

/* ---- pinned bytes ----------------------------------------------------------------------- */

/* A vector as exactly sized memory, so that the sanitizer sees one byte too far. */
static struct span vector(const char *name)
{
    const char *source = getenv("STRONGROOM_SOURCE");
    char path[512], text[4096];
    snprintf(path, sizeof path, "%s/tests/vectors/envelope/%s.hex", source ? source : ".", name);
    FILE *f = fopen(path, "re");
    if (!f) fail_msg("%s: cannot be read", path);
    size_t got = fread(text, 1, sizeof text - 1, f), digits = 0;
    fclose(f);
    for (size_t i = 0; i < got; i++)
        if (text[i] != '\n') text[digits++] = text[i];
    text[digits] = '\0';
    uint8_t *bytes = malloc(digits / 2);
    assert_non_null(bytes);
    assert_true(hex_decode(text, bytes, digits / 2));
    return span_of(bytes, digits / 2);
}

static void release(struct span s) { free((void *) s.data); }

static uint8_t *counting(uint8_t *out, uint8_t from, size_t len)
{
    for (size_t i = 0; i < len; i++) out[i] = (uint8_t) (from + i);
    return out;
}

static enum envelope_flaw decode(struct span bytes, struct envelope *e, bool *has_meta)
{
    return envelope_decode(bytes, e, has_meta);
}

/* Sound vectors and what is in them. */
static const struct pinned {
    const char *file;
    enum envelope_kind kind;
    bool tombstone;
    uint64_t version;
    int64_t created;
    const char *name;
    size_t attributes, recipients, ciphertext;
    uint8_t suite;
} PINNED[] = {
    {"resource", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 0, 1, 20, 1},
    {"tombstone", ENVELOPE_RESOURCE, true, 0x0102030405060708, 0, "default/key/one", 0, 1, 0, 1},
    {"policy", ENVELOPE_POLICY, false, 2, 4102444800, "resource-policy", 3, 1, 33, 1},
    {"two-recipients", ENVELOPE_REFERENCE_VALUE, false, 1, 1763942400,
     "r\xc3\xa9" "f\xc3\xa9rence/valeur/\xe2\x82\xac", 1, 2, 1, 1},
    {"canary", ENVELOPE_CANARY, false, 1, 1763942400, "strongroom-kek-1", 0, 1, 32, 1},
    {"suite-1-kw", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 16, 1},
    {"suite-1-kwp", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 16, 1},
    {"suite-1-cbc-pad", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 16, 1},
    {"suite-2-kw", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 48, 2},
    {"suite-2-kwp", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 48, 2},
    {"suite-2-cbc-pad", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 48, 2},
    {"suite-2-tombstone", ENVELOPE_RESOURCE, true, 8, 1763942400, "default/key/one", 0, 1, 32, 2},
    {"suite-3-kw", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 16, 3},
    {"suite-3-kwp", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 16, 3},
    {"suite-3-cbc-pad", ENVELOPE_RESOURCE, false, 7, 1763942400, "default/key/one", 1, 1, 16, 3},
};
#define PINNED_COUNT (sizeof PINNED / sizeof *PINNED)

static void test_decode__pinned_vectors(void **state)
{
    for (size_t i = 0; i < PINNED_COUNT; i++) {
        const struct pinned *want = &PINNED[i];
        struct span bytes = vector(want->file);
        struct envelope e;
        bool has_meta = false;
        assert_int_equal(decode(bytes, &e, &has_meta), ENVELOPE_SOUND);
        assert_true(has_meta);
        assert_int_equal(e.meta.suite, want->suite);
        assert_int_equal(e.meta.kind, want->kind);
        assert_int_equal(e.meta.tombstone, want->tombstone);
        assert_true(e.meta.version == want->version);
        assert_true(e.meta.created == want->created);
        assert_span(e.meta.name, want->name);
        assert_int_equal(e.meta.attribute_count, want->attributes);
        assert_int_equal(e.recipient_count, want->recipients);
        assert_int_equal(e.ciphertext.len, want->ciphertext);
        release(bytes);
    }
}

static void test_decode__every_field_of_a_vector(void **state)
{
    struct span bytes = vector("two-recipients");
    struct envelope e;
    bool has_meta = false;
    uint8_t want[64];
    assert_int_equal(decode(bytes, &e, &has_meta), ENVELOPE_SOUND);
    assert_int_equal(e.meta.attributes[0].type, 0x7fff); /* unknown and plain: kept */
    assert_int_equal(e.recipients[0].generation, 1);
    assert_int_equal(e.recipients[0].mechanism, ENVELOPE_KW);
    assert_memory_equal(e.recipients[0].kek_id, counting(want, 0x10, 16), 16);
    assert_int_equal(e.recipients[0].key_count, 1);
    assert_memory_equal(e.recipients[0].keys[0].data, counting(want, 0x40, 40), 40);
    assert_true(e.recipients[1].generation == 0xfffffffe);
    assert_int_equal(e.recipients[1].mechanism, ENVELOPE_CBC_PAD);
    assert_int_equal(e.recipients[1].key_count, 2);
    assert_memory_equal(e.recipients[1].keys[1].data, counting(want, 2, 48), 48);
    assert_memory_equal(e.iv.data, counting(want, 0xa0, 12), 12);
    assert_memory_equal(e.tag.data, counting(want, 0xb0, 16), 16);
    assert_ptr_equal(e.bound.data, bytes.data);
    assert_int_equal(e.bound.len, 24 + 2 + e.meta.name.len + 1 + 4);
    release(bytes);
}

static void test_encode__gives_the_pinned_bytes(void **state)
{
    for (size_t i = 0; i < PINNED_COUNT; i++) {
        struct span bytes = vector(PINNED[i].file);
        struct envelope e;
        struct buf b = BUF_INIT;
        bool has_meta = false;
        assert_int_equal(decode(bytes, &e, &has_meta), ENVELOPE_SOUND);
        assert_ok(envelope_put_bound(&b, &e.meta));
        assert_true(span_eq(buf_span(&b), e.bound));
        struct envelope_rest rest = {e.recipients, e.recipient_count, e.iv, e.tag, e.ciphertext};
        assert_ok(envelope_put_rest(&b, e.meta.suite, &rest));
        assert_true(span_eq(buf_span(&b), bytes));
        buf_free(&b);
        release(bytes);
    }
}

/* ---- cut off ---------------------------------------------------------------------------- */

static void test_decode__every_truncation_is_torn(void **state)
{
    for (size_t i = 0; i < PINNED_COUNT; i++) {
        struct span whole = vector(PINNED[i].file);
        struct envelope full;
        bool has_meta = false;
        assert_int_equal(decode(whole, &full, &has_meta), ENVELOPE_SOUND);
        for (size_t len = 0; len < whole.len; len++) {
            uint8_t *cut = malloc(len); /* exactly: the sanitizer stands behind it */
            struct envelope e;
            if (len) memcpy(cut, whole.data, len);
            assert_int_equal(decode(span_of(cut, len), &e, &has_meta), ENVELOPE_TORN);
            assert_int_equal(has_meta, len >= full.bound.len);
            if (has_meta) {
                assert_span(e.meta.name, PINNED[i].name);
                assert_true(e.meta.version == PINNED[i].version);
            }
            free(cut);
        }
        release(whole);
    }
}

/* ---- changed ---------------------------------------------------------------------------- */

/* Offsets in "resource": name at 26 (15 bytes), attribute count 41, recipients length 42,
 * recipient count 46, KEK id 47, generation 63, mechanism 67, key count 68, key length 69,
 * key 71, IV length 111, tag length 112, IV 113, tag 125, ciphertext length 141, it 145. */
static const struct change {
    const char *what;
    size_t at;
    uint8_t bytes[8];
    size_t n;
    enum envelope_flaw flaw;
    bool has_meta;
} CHANGES[] = {
    {"magic", 0, {'X'}, 1, ENVELOPE_FOREIGN_BYTES, false},
    {"end of magic", 3, {'2'}, 1, ENVELOPE_FOREIGN_BYTES, false},
    {"format 0", 4, {0}, 1, ENVELOPE_MALFORMED, false},
    {"format 2", 4, {2}, 1, ENVELOPE_NEWER, false},
    {"suite 0", 5, {0}, 1, ENVELOPE_MALFORMED, false},
    {"suite 2, in suite 1's form", 5, {2}, 1, ENVELOPE_MALFORMED, true},
    {"suite 4", 5, {4}, 1, ENVELOPE_NEWER, true},
    {"kind 0", 6, {0}, 1, ENVELOPE_MALFORMED, false},
    {"kind 6", 6, {6}, 1, ENVELOPE_NEWER, true},
    {"flag of bit 1", 7, {2}, 1, ENVELOPE_MALFORMED, false},
    {"flag of bit 7", 7, {0x80}, 1, ENVELOPE_MALFORMED, false},
    {"tombstone with payload", 7, {1}, 1, ENVELOPE_MALFORMED, true},
    {"version 0", 8, {0, 0, 0, 0, 0, 0, 0, 0}, 8, ENVELOPE_MALFORMED, false},
    {"created before 1970", 16, {0x80}, 1, ENVELOPE_MALFORMED, false},
    {"no name", 24, {0, 0}, 2, ENVELOPE_MALFORMED, false},
    {"name of 256", 24, {1, 0}, 2, ENVELOPE_MALFORMED, false},
    {"name of 255, cut", 24, {0, 255}, 2, ENVELOPE_TORN, false},
    {"name with NUL", 30, {0}, 1, ENVELOPE_MALFORMED, false},
    {"name not UTF-8", 30, {0xff}, 1, ENVELOPE_MALFORMED, false},
    {"17 attributes", 41, {17}, 1, ENVELOPE_MALFORMED, false},
    {"recipients a byte short", 42, {0, 0, 0, 64}, 4, ENVELOPE_MALFORMED, true},
    {"recipients a byte long", 42, {0, 0, 0, 66}, 4, ENVELOPE_MALFORMED, true},
    {"recipients of 4 GiB", 42, {0xff, 0xff, 0xff, 0xff}, 4, ENVELOPE_TORN, true},
    {"no recipient", 46, {0}, 1, ENVELOPE_MALFORMED, true},
    {"two recipients announced", 46, {2}, 1, ENVELOPE_MALFORMED, true},
    {"nine recipients", 46, {9}, 1, ENVELOPE_MALFORMED, true},
    {"mechanism 0", 67, {0}, 1, ENVELOPE_MALFORMED, true},
    {"mechanism of the future", 67, {99}, 1, ENVELOPE_SOUND, true},
    {"no key", 68, {0}, 1, ENVELOPE_MALFORMED, true},
    {"three keys", 68, {3}, 1, ENVELOPE_MALFORMED, true},
    {"empty key", 69, {0, 0}, 2, ENVELOPE_MALFORMED, true},
    {"key longer than the recipients", 69, {0, 41}, 2, ENVELOPE_MALFORMED, true},
    {"key over its limit", 69, {0x04, 0x01}, 2, ENVELOPE_MALFORMED, true},
    {"IV of 16", 111, {16}, 1, ENVELOPE_MALFORMED, true},
    {"tag of 4", 112, {4}, 1, ENVELOPE_MALFORMED, true},
    {"ciphertext a byte longer", 141, {0, 0, 0, 21}, 4, ENVELOPE_TORN, true},
    {"ciphertext a byte shorter", 141, {0, 0, 0, 19}, 4, ENVELOPE_MALFORMED, true},
    {"ciphertext over the limit", 141, {0, 0x20, 0, 1}, 4, ENVELOPE_MALFORMED, true},
    {"ciphertext at the limit, cut", 141, {0, 0x20, 0, 0}, 4, ENVELOPE_TORN, true},
    {"another IV byte", 113, {0}, 1, ENVELOPE_SOUND, true},
};

static void test_decode__changed_fields(void **state)
{
    for (size_t i = 0; i < sizeof CHANGES / sizeof *CHANGES; i++) {
        const struct change *c = &CHANGES[i];
        struct span bytes = vector("resource");
        struct envelope e;
        bool has_meta = !c->has_meta;
        memcpy((uint8_t *) bytes.data + c->at, c->bytes, c->n);
        enum envelope_flaw flaw = decode(bytes, &e, &has_meta);
        if (flaw != c->flaw || has_meta != c->has_meta)
            fail_msg("%s: %s, meta %d", c->what, envelope_flaw_text(flaw), has_meta);
        release(bytes);
    }
}

static void test_decode__bytes_behind_the_end(void **state)
{
    struct span bytes = vector("resource");
    struct buf b = BUF_INIT;
    struct envelope e;
    bool has_meta = false;
    buf_add_span(&b, bytes);
    buf_add_byte(&b, 0);
    assert_int_equal(decode(buf_span(&b), &e, &has_meta), ENVELOPE_MALFORMED);
    buf_free(&b);
    release(bytes);
}

static void test_decode__critical_attribute_of_the_future(void **state)
{
    struct span bytes = vector("newer-critical");
    struct envelope e;
    bool has_meta = false;
    assert_int_equal(decode(bytes, &e, &has_meta), ENVELOPE_NEWER);
    assert_true(has_meta);
    assert_span(e.meta.name, "a/b/c");
    release(bytes);
}

static void test_decode__not_ours(void **state)
{
    static const char *const OTHERS[] = {"x", "SRE2", "-----BEGIN", "SRD1\1\1\1"};
    struct envelope e;
    bool has_meta = true;
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        assert_int_equal(decode(span_str(OTHERS[i]), &e, &has_meta), ENVELOPE_FOREIGN_BYTES);
        assert_false(has_meta);
    }
    /* SoftHSM on a full disk */
    assert_int_equal(decode(span_of(NULL, 0), &e, &has_meta), ENVELOPE_TORN);
}

/* ---- attributes ------------------------------------------------------------------------- */

static struct buf with_attributes(const struct envelope_attribute *a, size_t n)
{
    struct buf b = BUF_INIT;
    buf_add_str(&b, "SRE1\1\1\1");
    buf_add_byte(&b, 0);
    buf_add_u64(&b, 1);
    buf_add_u64(&b, 1);
    buf_add_u16(&b, 1);
    buf_add_str(&b, "n");
    buf_add_u8(&b, (uint8_t) n);
    for (size_t i = 0; i < n; i++) {
        buf_add_u16(&b, a[i].type);
        buf_add_u16(&b, (uint16_t) a[i].value.len);
        buf_add_span(&b, a[i].value);
    }
    return b;
}

static void test_decode__attribute_order_and_size(void **state)
{
    static uint8_t big[ENVELOPE_MAX_ATTRIBUTE + 1];
    const struct {
        struct envelope_attribute a[2];
        enum envelope_flaw flaw;
    } CASES[] = {
        {{{1, SPAN_LIT("a")}, {2, SPAN_LIT("b")}}, ENVELOPE_TORN},      /* well so far */
        {{{2, SPAN_LIT("a")}, {1, SPAN_LIT("b")}}, ENVELOPE_MALFORMED}, /* descending */
        {{{1, SPAN_LIT("a")}, {1, SPAN_LIT("a")}}, ENVELOPE_MALFORMED}, /* twice */
        {{{1, span_of(big, ENVELOPE_MAX_ATTRIBUTE)}, {2, SPAN_LIT("")}}, ENVELOPE_TORN},
        {{{1, span_of(big, sizeof big)}, {2, SPAN_LIT("")}}, ENVELOPE_MALFORMED},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct buf b = with_attributes(CASES[i].a, 2);
        struct envelope e;
        bool has_meta = false;
        assert_int_equal(decode(buf_span(&b), &e, &has_meta), CASES[i].flaw);
        assert_int_equal(has_meta, CASES[i].flaw == ENVELOPE_TORN);
        buf_free(&b);
    }
}

static void test_attribute__by_type(void **state)
{
    struct span bytes = vector("policy");
    struct envelope e;
    bool has_meta = false;
    assert_int_equal(decode(bytes, &e, &has_meta), ENVELOPE_SOUND);
    assert_span(envelope_attribute(&e.meta, ENVELOPE_CONTENT_TYPE)->value, "text/rego");
    assert_span(envelope_attribute(&e.meta, ENVELOPE_ORIGIN)->value, "import");
    assert_int_equal(envelope_attribute(&e.meta, ENVELOPE_NOT_AFTER)->value.len, 8);
    assert_null(envelope_attribute(&e.meta, 2)); /* the critical bit is part of the type */
    release(bytes);
}

/* ---- what encoding refuses -------------------------------------------------------------- */

static struct envelope_meta good_meta(void)
{
    return (struct envelope_meta){.suite = 1, .kind = ENVELOPE_RESOURCE, .version = 1,
                                  .name = SPAN_LIT("a/b/c")};
}

static void test_put_bound__limits(void **state)
{
    static char name[NAME_MAX_BYTES + 1];
    static uint8_t big[ENVELOPE_MAX_ATTRIBUTE + 1];
    memset(name, 'n', sizeof name);
    struct envelope_meta good = good_meta();
    good.name = span_of(name, NAME_MAX_BYTES);
    good.attribute_count = ENVELOPE_MAX_ATTRIBUTES;
    for (uint16_t i = 0; i < ENVELOPE_MAX_ATTRIBUTES; i++)
        good.attributes[i] =
            (struct envelope_attribute){(uint16_t) (i + 100), span_of(big, ENVELOPE_MAX_ATTRIBUTE)};
    struct buf b = BUF_INIT;
    assert_ok(envelope_put_bound(&b, &good));
    assert_true(b.len < ENVELOPE_MAX - VALUE_MAX);
    buf_reset(&b);
    struct envelope_meta m = good;
    m.name.len++;
    assert_fails(envelope_put_bound(&b, &m), ERR_USAGE);
    m = good;
    m.attribute_count++;
    assert_fails(envelope_put_bound(&b, &m), ERR_USAGE);
    m = good;
    m.attributes[3].value.len++;
    assert_fails(envelope_put_bound(&b, &m), ERR_USAGE);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void test_put_bound__refuses(void **state)
{
    struct envelope_meta bad[9];
    for (size_t i = 0; i < 9; i++) bad[i] = good_meta();
    bad[0].suite = 0;
    bad[1].suite = 4;
    bad[2].kind = 0;
    bad[3].kind = 6;
    bad[4].version = 0;
    bad[5].created = -1;
    bad[6].name = span_of("a\0b", 3);
    bad[7].name = SPAN_LIT("\xc3(");
    bad[8].attributes[0].type = 0x8004; /* critical and unknown */
    bad[8].attribute_count = 1;
    for (size_t i = 0; i < 9; i++) {
        struct buf b = BUF_INIT;
        assert_fails(envelope_put_bound(&b, &bad[i]), ERR_USAGE);
        assert_int_equal(b.len, 0);
        buf_free(&b);
    }
}

static void test_put_rest__refuses(void **state)
{
    static uint8_t big[ENVELOPE_MAX_WRAPPED + 1];
    uint8_t iv[12] = {0}, tag[16] = {0};
    struct envelope_recipient r[9];
    for (size_t i = 0; i < 9; i++)
        r[i] = (struct envelope_recipient){.mechanism = 1, .key_count = 1,
                                           .keys = {span_of(big, ENVELOPE_MAX_WRAPPED)}};
    struct span i12 = span_of(iv, 12), t16 = span_of(tag, 16);
    struct envelope_rest good = {r, 8, i12, t16, span_of(NULL, 0)}, bad[11];
    struct buf b = BUF_INIT;
    assert_ok(envelope_put_rest(&b, 1, &good));
    assert_true(b.len < 32 * 1024);
    buf_reset(&b);
    r[1].mechanism = 0;
    r[2].key_count = 0;
    r[3].key_count = 3;
    r[4].keys[0].len++;
    r[5].keys[0].len = 0;
    for (size_t i = 0; i < 11; i++) bad[i] = (struct envelope_rest){r, 1, i12, t16, {NULL, 0}};
    bad[0].count = 0;
    bad[1].count = 9;
    bad[2].iv.len = 11;
    bad[3].tag.len = 4;
    bad[4].ciphertext = span_of(big, VALUE_MAX + 1);
    for (size_t i = 5; i < 10; i++) bad[i].recipients = r + i - 4;
    bad[10].tag.len = 32;
    for (size_t i = 0; i < 11; i++) assert_fails(envelope_put_rest(&b, 1, &bad[i]), ERR_USAGE);
    assert_ok(envelope_put_rest(&b, 3, &(struct envelope_rest){r, 1, i12, t16, {NULL, 0}}));
    buf_reset(&b);
    assert_fails(envelope_put_rest(&b, 4, &good), ERR_USAGE);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

/* Suite 2 has whole blocks, two at least, and an IV and a tag of its own size. */
static void test_put_rest__suite_2(void **state)
{
    static uint8_t big[VALUE_MAX + 48];
    static const struct { size_t iv, tag, len; bool fits; } CASES[] = {
        {16, 32, 32, true}, {16, 32, VALUE_MAX + 32, true}, {16, 32, 31, false},
        {16, 32, 33, false}, {16, 32, 16, false}, {16, 32, 0, false},
        {16, 32, VALUE_MAX + 48, false}, {12, 32, 32, false}, {16, 16, 32, false},
    };
    struct envelope_recipient r = {.mechanism = ENVELOPE_KWP, .key_count = 2,
                                   .keys = {span_of(big, 40), span_of(big, 40)}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct envelope_rest rest = {&r, 1, span_of(big, CASES[i].iv), span_of(big, CASES[i].tag),
                                     span_of(big, CASES[i].len)};
        struct buf b = {.max = ENVELOPE_MAX};
        assert_int_equal(err_ok(envelope_put_rest(&b, 2, &rest)), CASES[i].fits);
        buf_free(&b);
    }
}

/* A deleted name has no value, in each suite's own way of having none. */
static void test_decode__tombstone_with_a_value(void **state)
{
    static const char *const FILES[] = {"resource", "suite-2-kw", "suite-3-kw"};
    for (size_t i = 0; i < 3; i++) {
        struct span bytes = vector(FILES[i]);
        struct envelope e;
        bool has_meta = false;
        ((uint8_t *) bytes.data)[7] = 1; /* flags */
        assert_int_equal(decode(bytes, &e, &has_meta), ENVELOPE_MALFORMED);
        release(bytes);
    }
}

static void test_text__has_words_for_everything(void **state)
{
    for (enum envelope_flaw f = ENVELOPE_SOUND; f <= ENVELOPE_MALFORMED; f++)
        assert_string_not_equal(envelope_flaw_text(f), "unknown flaw");
    assert_string_equal(envelope_flaw_text((enum envelope_flaw) 77), "unknown flaw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode__pinned_vectors),
        cmocka_unit_test(test_decode__every_field_of_a_vector),
        cmocka_unit_test(test_encode__gives_the_pinned_bytes),
        cmocka_unit_test(test_decode__every_truncation_is_torn),
        cmocka_unit_test(test_decode__changed_fields),
        cmocka_unit_test(test_decode__bytes_behind_the_end),
        cmocka_unit_test(test_decode__critical_attribute_of_the_future),
        cmocka_unit_test(test_decode__not_ours),
        cmocka_unit_test(test_decode__attribute_order_and_size),
        cmocka_unit_test(test_attribute__by_type),
        cmocka_unit_test(test_put_bound__limits),
        cmocka_unit_test(test_put_bound__refuses),
        cmocka_unit_test(test_put_rest__refuses),
        cmocka_unit_test(test_put_rest__suite_2),
        cmocka_unit_test(test_decode__tombstone_with_a_value),
        cmocka_unit_test(test_text__has_words_for_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
