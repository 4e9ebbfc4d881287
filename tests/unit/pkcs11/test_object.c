#include "tests/unit/pkcs11/token.h"

#include "pkcs11/find.h"
#include "pkcs11/object.h"

static struct p11_object create(const char *label, struct span value)
{
    struct p11_object o = {0};
    assert_ok(p11_object_create(token, label, value, &o));
    return o;
}

static void assert_reads(struct p11_object o, struct span value)
{
    struct buf b = BUF_INIT;
    buf_add_str(&b, "before");
    assert_ok(p11_object_read(token, o, &b));
    assert_int_equal(b.len, 6 + value.len);
    assert_true(span_eq(span_of(b.data + 6, value.len), value));
    buf_free(&b);
}

static size_t count(const char *label)
{
    struct p11_object found[16];
    size_t n = 0;
    assert_ok(p11_object_find(token, label, found, 16, &n));
    return n;
}

/* ---- create, read, destroy -------------------------------------------------------------- */

static void test_object__round_trip_of_every_size(void **state)
{
    static const size_t SIZES[] = {0, 1, 2047, 2048, 2049, 64 * 1024, ENVELOPE_MAX};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        uint8_t *data = calloc(1, SIZES[i] + 1);
        assert_non_null(data);
        for (size_t j = 0; j < SIZES[i]; j++) data[j] = (uint8_t) (j % 251);
        struct p11_object o = create("a/b/c", span_of(data, SIZES[i]));
        assert_reads(o, span_of(data, SIZES[i]));
        assert_ok(p11_object_destroy(token, o));
        struct buf b = BUF_INIT;
        assert_fails(p11_object_read(token, o, &b), ERR_NOTFOUND);
        assert_fails(p11_object_destroy(token, o), ERR_NOTFOUND);
        buf_free(&b);
        free(data);
    }
}

static void test_object_create__limits(void **state)
{
    static uint8_t big[ENVELOPE_MAX + 1];
    char label[P11_LABEL_MAX + 1];
    struct p11_object o;
    memset(label, 'l', sizeof label);
    label[P11_LABEL_MAX] = '\0';
    assert_fails(p11_object_create(token, label, SPAN_LIT("x"), &o), ERR_TOOLARGE);
    assert_fails(p11_object_create(token, "a", span_of(big, sizeof big), &o), ERR_TOOLARGE);
    label[P11_LABEL_MAX - 1] = '\0';
    assert_ok(p11_object_create(token, label, SPAN_LIT("x"), &o));
    assert_int_equal(count(label), 1);
}

static void test_object_create__attributes_on_the_token(void **state)
{
    struct p11_object o = create("a/b/c", SPAN_LIT("x"));
    struct p11_session s = {0};
    static const struct { CK_ATTRIBUTE_TYPE type; CK_BBOOL want; } FLAGS[] = {
        {CKA_TOKEN, 1}, {CKA_PRIVATE, 1}, {CKA_MODIFIABLE, 0},
    };
    char text[32] = "";
    size_t len = 0;
    assert_ok(session_take(token, &s));
    for (size_t i = 0; i < 3; i++) {
        CK_BBOOL is = 99;
        assert_int_equal(attribute_read(&s, o.handle, FLAGS[i].type, &is, 1, &len), CKR_OK);
        assert_int_equal(is, FLAGS[i].want);
    }
    assert_int_equal(attribute_read(&s, o.handle, CKA_APPLICATION, text, 32, &len), CKR_OK);
    assert_span(span_of(text, len), "strongroom");
    session_drop(&s);
}

static void test_object__survives_reopening_but_not_its_handle(void **state)
{
    struct p11_object old = create("a/b/c", SPAN_LIT("kept")), now;
    size_t n = 0;
    token_reopen();
    struct buf b = BUF_INIT;
    assert_fails_with(p11_object_read(token, old, &b), ERR_NOTFOUND, "earlier opening");
    assert_fails(p11_object_destroy(token, old), ERR_TOKEN_DOWN); /* it may well be there */
    assert_ok(p11_object_find(token, "a/b/c", &now, 1, &n));
    assert_int_equal(n, 1);
    assert_reads(now, SPAN_LIT("kept"));
    assert_fails(p11_object_read(token, (struct p11_object){.epoch = now.epoch}, &b),
                 ERR_NOTFOUND);
    buf_free(&b);
}

static void test_object__handles_end_with_recovery(void **state)
{
    struct p11_object old = create("a/b/c", SPAN_LIT("kept"));
    struct buf b = BUF_INIT;
    assert_ok(p11_recover(token));
    assert_fails(p11_object_read(token, old, &b), ERR_NOTFOUND);
    assert_int_equal(count("a/b/c"), 1);
    buf_free(&b);
}

/* ---- find and scan ---------------------------------------------------------------------- */

static void test_object_find__exactly_this_label(void **state)
{
    struct p11_object found[2];
    size_t n = 99;
    create("a/b/c", SPAN_LIT("1"));
    create("a/b/c", SPAN_LIT("2"));
    create("a/b/c", SPAN_LIT("3"));
    create("a/b/cd", SPAN_LIT("4"));
    create("a/b", SPAN_LIT("5"));
    assert_int_equal(count("a/b/c"), 3);
    assert_int_equal(count("a/b/cd"), 1);
    assert_int_equal(count("none"), 0);
    assert_ok(p11_object_find(token, "a/b/c", found, 2, &n));
    assert_int_equal(n, 2); /* no more than there is room for */
}

static void make_foreign(const char *application, const char *label, size_t label_len)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class), ATTR(CKA_TOKEN, yes),
                        {CKA_APPLICATION, (void *) application, strlen(application)},
                        {CKA_LABEL, (void *) label, label_len}, {CKA_VALUE, "v", 1}};
    struct p11_session s = {0};
    CK_OBJECT_HANDLE h;
    assert_ok(session_take(token, &s));
    assert_int_equal(token->fn->C_CreateObject(s.h, t, ATTR_COUNT(t), &h), CKR_OK);
    session_drop(&s);
}

struct tally { size_t n, bytes, until; uint64_t sum; };

static err_t tally(void *arg, const struct p11_seen *seen)
{
    struct tally *t = arg;
    if (strncmp(seen->label, "scan/", 5) != 0) return ERR_OK; /* the canary */
    t->n++;
    t->bytes += seen->value.len;
    t->sum += strtoull(seen->label + strlen("scan/key/"), NULL, 10);
    if (t->until && t->n == t->until) FAIL(ERR_TIMEOUT, "enough");
    return ERR_OK;
}

static void test_object_scan__300_objects(void **state)
{
    enum { N = 300 };
    for (unsigned i = 0; i < N; i++) {
        char label[32];
        uint8_t value[10] = {0};
        struct p11_session s = {0};
        CK_OBJECT_HANDLE h;
        snprintf(label, sizeof label, "scan/key/%u", i);
        assert_ok(session_take(token, &s)); /* without reading back, which is linear */
        assert_int_equal(object_create_locked(&s, label, span_of(value, 10), false, &h), CKR_OK);
        session_drop(&s);
    }
    make_foreign("another", "scan/key/1000000", 16);
    make_foreign("strongroom", "scan/key/9\0", 11);
    struct tally t = {0};
    assert_ok(p11_object_scan(token, true, tally, &t));
    assert_int_equal(t.n, N);
    assert_int_equal(t.bytes, N * 10);
    assert_int_equal(t.sum, N * (N - 1) / 2);
    t = (struct tally){0};
    assert_ok(p11_object_scan(token, false, tally, &t));
    assert_int_equal(t.n, N);
    assert_int_equal(t.bytes, 0);
    t = (struct tally){.until = 5};
    assert_fails(p11_object_scan(token, true, tally, &t), ERR_TIMEOUT);
    assert_int_equal(t.n, 5);
}

static err_t destroy_visited(void *arg, const struct p11_seen *seen)
{
    /* With one session in all: a visitor that uses the token must not wait for the scan. */
    TRY(p11_object_destroy(token, seen->object));
    ++*(int *) arg;
    return ERR_OK;
}

static void test_object_scan__visitor_may_use_the_token(void **state)
{
    int n = 0;
    token_close();
    token_open(1, 0);
    create("a/b/c", SPAN_LIT("1"));
    create("a/b/d", SPAN_LIT("2"));
    assert_ok(p11_object_scan(token, true, destroy_visited, &n));
    assert_int_equal(n, 3); /* and the canary */
    assert_int_equal(count("a/b/c"), 0);
}

/* ---- tokens that refuse, are full, or lie ----------------------------------------------- */

static void test_object_create__codes_and_classes(void **state)
{
    static const struct { const char *rule; enum err_class class; const char *says; } CASES[] = {
        {"C_CreateObject rv=0x31", ERR_FULL, "purge deleted"},      /* DEVICE_MEMORY */
        {"C_CreateObject rv=0x2", ERR_FULL, "purge deleted"},       /* HOST_MEMORY */
        {"C_CreateObject rv=0x5", ERR_FULL, "purge deleted"},       /* but the canary opens */
        {"C_CreateObject rv=0x5\nC_UnwrapKey rv=0x5", ERR_TOKEN_DOWN, "does not store"},
        {"C_CreateObject rv=0x30", ERR_TOKEN_DOWN, "CKR_DEVICE_ERROR"},
        {"C_CreateObject rv=0xe2", ERR_READONLY, "does not store"}, /* WRITE_PROTECTED */
    };
    token_through_faults("");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct p11_object o;
        softhsm_fault(&hsm, CASES[i].rule);
        struct err e = p11_object_create(token, "a/b/c", SPAN_LIT("x"), &o);
        if (e.code != CASES[i].class || !strstr(err_text(e), CASES[i].says))
            fail_msg("%s: %s", CASES[i].rule, err_ok(e) ? "stored" : err_text(e));
    }
    softhsm_fault(&hsm, "");
    assert_int_equal(count("a/b/c"), 0);
}

static CK_FUNCTION_LIST lying;
static CK_FUNCTION_LIST *honest;
static int calls;

static CK_FUNCTION_LIST *lies_begin(void)
{
    honest = token->fn;
    lying = *honest;
    token->fn = &lying;
    calls = 0;
    return &lying;
}

static int lies_gone(void **state)
{
    if (honest) token->fn = honest;
    honest = NULL;
    return token_gone(state);
}

static struct err create_lied_to(void)
{
    struct p11_object o;
    struct err e = p11_object_create(token, "a/b/c", SPAN_LIT("value"), &o);
    token->fn = honest;
    return e;
}

/* SoftHSM on a full disk: CKR_OK, and an object of no bytes, or none at all (tokens.md 2.2). */
static CK_RV create_nothing(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n,
                            CK_OBJECT_HANDLE *ret)
{
    *ret = 4711;
    return CKR_OK;
}

static CK_RV create_empty(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
    for (CK_ULONG i = 0; i < n; i++)
        if (t[i].type == CKA_VALUE) t[i].ulValueLen = 0;
    return honest->C_CreateObject(s, t, n, ret);
}

static CK_RV create_changed(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n,
                            CK_OBJECT_HANDLE *ret)
{
    for (CK_ULONG i = 0; i < n; i++)
        if (t[i].type == CKA_VALUE) t[i].pValue = "vALUE";
    return honest->C_CreateObject(s, t, n, ret);
}

static CK_RV create_longer(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n,
                           CK_OBJECT_HANDLE *ret)
{
    for (CK_ULONG i = 0; i < n; i++)
        if (t[i].type == CKA_VALUE) t[i] = (CK_ATTRIBUTE){CKA_VALUE, "value and more", 14};
    return honest->C_CreateObject(s, t, n, ret);
}

static void test_object_create__read_back_differs(void **state)
{
    static const struct {
        CK_RV (*create)(CK_SESSION_HANDLE, CK_ATTRIBUTE *, CK_ULONG, CK_OBJECT_HANDLE *);
        enum err_class class;
    } CASES[] = {
        {create_nothing, ERR_FULL}, {create_empty, ERR_FULL},
        {create_changed, ERR_TOKEN_DOWN}, {create_longer, ERR_TOKEN_DOWN},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        lies_begin()->C_CreateObject = CASES[i].create;
        struct err e = create_lied_to();
        if (e.code != CASES[i].class)
            fail_msg("case %zu: %s", i, err_ok(e) ? "stored" : err_text(e));
        assert_int_equal(count("a/b/c"), 0); /* nothing half-made stays */
    }
}

/* YubiHSM knows no MODIFIABLE; the smallest tokens keep no private data. */
static CK_RV create_picky(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
    calls++;
    for (CK_ULONG i = 0; i < n; i++) {
        if (t[i].type == CKA_MODIFIABLE) return CKR_ATTRIBUTE_TYPE_INVALID;
        if (t[i].type == CKA_PRIVATE && *(CK_BBOOL *) t[i].pValue)
            return CKR_ATTRIBUTE_VALUE_INVALID;
    }
    return honest->C_CreateObject(s, t, n, ret);
}

static void test_object_create__falls_back_and_remembers(void **state)
{
    struct p11_object o;
    lies_begin()->C_CreateObject = create_picky;
    assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("1"), &o));
    assert_int_equal(calls, 3);
    assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("2"), &o));
    assert_int_equal(calls, 4);
    assert_int_equal(count("a/b/c"), 2);
}

static CK_RV create_never(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
    calls++;
    return CKR_TEMPLATE_INCONSISTENT;
}

static void test_object_create__no_template_will_do(void **state)
{
    lies_begin()->C_CreateObject = create_never;
    assert_fails_with(create_lied_to(), ERR_INTERNAL, "CKR_TEMPLATE_INCONSISTENT");
    assert_int_equal(calls, 3);
    assert_int_equal(token->data_template, 0);
}

/* ---- objects that the token cannot show any more ---------------------------------------- */

/* Reading this attribute of this object fails with `rv`, `times` times. */
static struct { CK_OBJECT_HANDLE object; CK_ATTRIBUTE_TYPE type; CK_RV rv; int times; } spoilt;

static CK_RV get_spoilt(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *a, CK_ULONG n)
{
    bool asked = false;
    for (CK_ULONG i = 0; i < n; i++) asked = asked || a[i].type == spoilt.type;
    if (o != spoilt.object || !asked || !spoilt.times) return honest->C_GetAttributeValue(s, o, a, n);
    spoilt.times--;
    return spoilt.rv;
}

static CK_RV decrypt_never(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out,
                           CK_ULONG *out_len)
{
    return CKR_GENERAL_ERROR;
}

#define ALWAYS 1000

/* How the scan below shows it: by label and flag. */
struct sight { size_t n, readable, unreadable, nameless; };

static err_t look(void *arg, const struct p11_seen *seen)
{
    struct sight *s = arg;
    bool ours = strcmp(seen->label, "a/b/c") == 0;
    s->n++;
    s->readable += ours && !seen->unreadable;
    s->unreadable += ours && seen->unreadable;
    s->nameless += !*seen->label && seen->unreadable;
    return ERR_OK;
}

static struct err scan_spoilt(CK_ATTRIBUTE_TYPE type, CK_RV rv, int times, struct sight *ret)
{
    *ret = (struct sight){0};
    spoilt.type = type;
    spoilt.rv = rv;
    spoilt.times = times;
    lies_begin()->C_GetAttributeValue = get_spoilt;
    struct err e = p11_object_scan(token, true, look, ret);
    token->fn = honest;
    return e;
}

static void test_object_scan__shows_what_cannot_be_read(void **state)
{
    /* SoftHSM says GENERAL_ERROR when the file is damaged, and while an object is destroyed. */
    static const struct {
        CK_ATTRIBUTE_TYPE type;
        CK_RV rv;
        int times;
        struct sight want;
    } CASES[] = {
        {CKA_VALUE, CKR_GENERAL_ERROR, ALWAYS, {2, 0, 1, 0}},
        {CKA_VALUE, CKR_GENERAL_ERROR, 1, {2, 1, 0, 0}},
        {CKA_VALUE, CKR_ATTRIBUTE_SENSITIVE, ALWAYS, {2, 0, 1, 0}},
        {CKA_VALUE, CKR_ATTRIBUTE_TYPE_INVALID, ALWAYS, {2, 0, 1, 0}},
        {CKA_LABEL, CKR_GENERAL_ERROR, ALWAYS, {2, 0, 0, 1}},
        {CKA_LABEL, CKR_ATTRIBUTE_TYPE_INVALID, ALWAYS, {2, 0, 0, 1}},
        {CKA_LABEL, CKR_OBJECT_HANDLE_INVALID, ALWAYS, {1, 0, 0, 0}}, /* gone meanwhile */
    };
    spoilt.object = create("a/b/c", SPAN_LIT("value")).handle;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct sight is;
        assert_ok(scan_spoilt(CASES[i].type, CASES[i].rv, CASES[i].times, &is));
        if (memcmp(&is, &CASES[i].want, sizeof is) != 0)
            fail_msg("case %zu: %zu seen, %zu readable, %zu unreadable, %zu nameless", i, is.n,
                     is.readable, is.unreadable, is.nameless);
    }
}

/* The canary opens, as that reads no attribute; but nothing of the catalog may be lost. */
static void test_object_scan__a_token_that_shows_nothing(void **state)
{
    static const char *const RULES[] = {
        "C_GetAttributeValue rv=0x5", "C_GetAttributeValue rv=0x12",
        "C_GetAttributeValue rv=0x82", "C_GetAttributeValue rv=0x40",
    };
    struct sight is = {0};
    _cleanup_buf_ struct buf value = BUF_INIT;
    token_through_faults("");
    struct p11_object o = create("a/b/c", SPAN_LIT("value"));
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        softhsm_fault(&hsm, RULES[i]);
        assert_ok(p11_check(token));
        assert_fails(p11_object_scan(token, true, look, &is), ERR_TOKEN_DOWN);
        assert_int_equal(is.n, 0);
        assert_int_not_equal(p11_object_read(token, o, &value).code, ERR_DAMAGED);
    }
    softhsm_fault(&hsm, "");
    assert_ok(p11_object_scan(token, true, look, &is));
    assert_int_equal(is.readable, 1);
}

static void test_object_scan__a_failing_token_is_no_damaged_object(void **state)
{
    struct sight is;
    spoilt.object = create("a/b/c", SPAN_LIT("value")).handle;
    assert_fails(scan_spoilt(CKA_VALUE, CKR_DEVICE_ERROR, ALWAYS, &is), ERR_TOKEN_DOWN);
    spoilt.rv = CKR_GENERAL_ERROR;
    spoilt.times = ALWAYS;
    lies_begin()->C_GetAttributeValue = get_spoilt;
    lying.C_Decrypt = decrypt_never;
    assert_fails(p11_object_scan(token, true, look, &is), ERR_TOKEN_DOWN);
}

static void test_object_read__damaged_or_the_token_down(void **state)
{
    struct p11_object o = create("a/b/c", SPAN_LIT("value"));
    struct buf b = BUF_INIT;
    spoilt.object = o.handle;
    spoilt.type = CKA_VALUE;
    spoilt.rv = CKR_GENERAL_ERROR;
    spoilt.times = ALWAYS;
    lies_begin()->C_GetAttributeValue = get_spoilt;
    assert_fails(p11_object_read(token, o, &b), ERR_DAMAGED);
    lying.C_Decrypt = decrypt_never;
    assert_fails(p11_object_read(token, o, &b), ERR_TOKEN_DOWN);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

/* So many objects take too long to make. */
static size_t still_found;

static CK_RV find_many(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *h, CK_ULONG n, CK_ULONG *got)
{
    *got = n < still_found ? n : still_found;
    for (CK_ULONG i = 0; i < *got; i++) h[i] = still_found - i;
    still_found -= *got;
    return CKR_OK;
}

static void test_find__all_that_may_be_written(void **state)
{
    struct p11_object found[1];
    size_t n = 0;
    lies_begin()->C_FindObjects = find_many;
    still_found = STORE_READ_MAX;
    assert_ok(p11_object_find(token, "a/b/c", found, 1, &n));
    still_found = STORE_READ_MAX + 1;
    assert_fails(p11_object_find(token, "a/b/c", found, 1, &n), ERR_TOOLARGE);
}

/* What fails in the middle of a find must not leave it open. */
static CK_RV find_fails(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *h, CK_ULONG n, CK_ULONG *got)
{
    return CKR_ATTRIBUTE_VALUE_INVALID; /* keeps the session in the pool */
}

static void test_find__ends_on_failure(void **state)
{
    struct p11_object o;
    size_t n = 0;
    token_close();
    token_open(1, 0);
    lies_begin()->C_FindObjects = find_fails;
    assert_fails(p11_object_find(token, "a/b/c", &o, 1, &n), ERR_INTERNAL);
    token->fn = honest;
    assert_ok(p11_object_find(token, "a/b/c", &o, 1, &n));
}

static void test_find__over_its_limit(void **state)
{
    struct p11_session s = {0};
    struct handles found = {0};
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_ATTRIBUTE t[] = {ATTR(CKA_CLASS, class)};
    create("a/b/c", SPAN_LIT("1")); /* and the canary: two */
    assert_ok(session_take(token, &s));
    assert_ok(find_objects(&s, t, 1, 2, "objects", &found));
    assert_int_equal(found.n, 2);
    handles_free(&found);
    assert_fails_with(find_objects(&s, t, 1, 1, "objects", &found), ERR_TOOLARGE, "objects");
    handles_free(&found);
    session_drop(&s);
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)
/* One call for a value, large ones too: each costs the token all of it. */
static void test_object_read__large_values_in_one_call(void **state)
{
    static const uint8_t large[60000];
    struct p11_object o;
    token_through_faults("");
    assert_ok(p11_object_create(token, "a/b/c", span_of(large, sizeof large), &o));
    for (int i = 0; i < 2; i++) {
        struct buf b = {.max = ENVELOPE_MAX};
        softhsm_fault_clear_log(&hsm);
        assert_ok(p11_object_read(token, o, &b));
        assert_int_equal(b.len, sizeof large);
        buf_free(&b);
    }
    assert_int_equal(softhsm_fault_count(&hsm, "C_GetAttributeValue"), 1);
}

#define LIES(test) cmocka_unit_test_setup_teardown(test, token_with_kek, lies_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_object_read__large_values_in_one_call),
        KEK(test_object__round_trip_of_every_size),
        KEK(test_object_create__limits),
        KEK(test_object_create__attributes_on_the_token),
        KEK(test_object__survives_reopening_but_not_its_handle),
        KEK(test_object__handles_end_with_recovery),
        KEK(test_object_find__exactly_this_label),
        KEK(test_object_scan__300_objects),
        KEK(test_object_scan__visitor_may_use_the_token),
        KEK(test_object_create__codes_and_classes),
        LIES(test_object_create__read_back_differs),
        LIES(test_object_create__falls_back_and_remembers),
        LIES(test_object_create__no_template_will_do),
        LIES(test_object_scan__shows_what_cannot_be_read),
        LIES(test_object_scan__a_token_that_shows_nothing),
        LIES(test_object_scan__a_failing_token_is_no_damaged_object),
        LIES(test_object_read__damaged_or_the_token_down),
        LIES(test_find__all_that_may_be_written),
        LIES(test_find__ends_on_failure),
        KEK(test_find__over_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
