/* Every CK_RV at every call of what a release and its neighbours need: opening, looking, checking. */
#include "tests/unit/pkcs11/rv_cases.h"

static const char VALUE_TEXT[] = "what must come back";
static struct buf envelope = BUF_INIT, old_envelope = BUF_INIT, moved_envelope = BUF_INIT;
static struct p11_object object, large;
static uint8_t large_value[130000]; /* more than is ever offered room for unasked */

static struct span value_span(void)
{
    return span_of(VALUE_TEXT, sizeof VALUE_TEXT);
}

static void next_request(void)
{
    assert_opens(&envelope, value_span());
}

/* ---- opening ---------------------------------------------------------------------------------- */

static struct secret *opened;

static struct err unseal(void)
{
    return unsealed(&envelope, &opened);
}

static void check_opened(void)
{
    assert_true(secret_equal(secret_span(opened), value_span()));
    secret_free(TAKE_PTR(opened));
}

static void cold_cache(void)
{
    cek_cache_free(token);
    assert_ok(cek_cache_new(token, token->cek_cache_max));
}

static void no_cache(void)
{
    cek_cache_free(token);
}

static bool back_to_cache(const struct fault_case *c, bool worked)
{
    cold_cache();
    return true;
}

static void warm_cache(void)
{
    cold_cache();
    next_request();
}

/* SoftHSM's code for a bad tag, while the canary opens, condemns the envelope; while it does not, the
 * token. A token that is full of our keys makes room by dropping those that are cached. */
static enum taken takes_open(const struct fault_case *c)
{
    if (is_call(c, "C_DestroyObject") || worth_another_try(c)) return WORKS;
    if (c->reaction == RV_ITEM) return DAMAGED;
    if (c->reaction == RV_CANARY) return c->lasting ? DOWN : DAMAGED;
    /* A key of the cache may be another object's by now, so that is looked at again. */
    if (c->reaction == RV_CALLER && !c->lasting) return WORKS;
    /* The cache makes room. */
    if (c->reaction != RV_FULL && c->reaction != RV_WAIT) return FAILS;
    return is_call(c, "C_UnwrapKey") && !c->lasting && token->cek_cache ? WORKS : BUSY;
}

static enum taken takes_check(const struct fault_case *c)
{
    return is_call(c, "C_DestroyObject") || worth_another_try(c) ? WORKS : DOWN;
}

/* Sealing makes keys of a session: no room for them is no full token. */
static enum taken takes_seal(const struct fault_case *c)
{
    if (worth_another_try(c)) return WORKS;
    return c->reaction == RV_FULL ? BUSY : FAILS;
}

static enum taken takes_rewrap(const struct fault_case *c)
{
    if (!is_call(c, "C_UnwrapKey")) return takes_seal(c);
    if (c->rv == CKR_ATTRIBUTE_READ_ONLY) return ANYHOW; /* tried otherwise, which SoftHSM refuses */
    if (c->reaction == RV_ITEM) return DAMAGED;
    if (c->reaction == RV_CANARY) return c->lasting ? DOWN : DAMAGED;
    return takes_seal(c);
}

/* ---- the rules of looking: finds are not repeated, who asks comes again -------------------------- */

static enum taken takes_find(const struct fault_case *c)
{
    return FAILS;
}

/* A token that shows nothing at all condemns no object. */
static enum taken takes_read(const struct fault_case *c)
{
    if (c->rv == CKR_BUFFER_TOO_SMALL || c->rv == CKR_DATA_LEN_RANGE) return ANYHOW; /* sizes */
    if (c->rv == CKR_OBJECT_HANDLE_INVALID) return GONE;
    if (c->reaction == RV_SESSION && !c->lasting) return WORKS;
    if (c->reaction != RV_ITEM && c->reaction != RV_CANARY) return FAILS;
    return c->lasting ? DOWN : DAMAGED;
}

static enum taken takes_scan(const struct fault_case *c)
{
    if (!is_call(c, "C_GetAttributeValue")) return FAILS;
    if (c->rv == CKR_BUFFER_TOO_SMALL || c->rv == CKR_DATA_LEN_RANGE) return ANYHOW;
    if (c->reaction == RV_SESSION && !c->lasting) return WORKS;
    bool of_one = c->reaction == RV_ITEM || c->reaction == RV_CANARY ||
                  c->rv == CKR_OBJECT_HANDLE_INVALID;
    if (!of_one) return FAILS;
    return c->lasting ? DOWN : WORKS;
}

/* A label that cannot be read is looked for. */
static enum taken takes_epoch(const struct fault_case *c)
{
    return c->lasting ? takes_scan(c) : WORKS;
}

/* ---- checking ---------------------------------------------------------------------------------- */

static struct err check_token(void)
{
    return p11_check(token);
}

static struct err rewrap(void)
{
    _cleanup_buf_ struct buf moved = BUF_INIT;
    struct envelope e = decoded(&old_envelope);
    TRY(p11_rewrap(token, &e, &moved));
    moved_envelope = moved;
    moved = BUF_INIT;
    return ERR_OK;
}

static void check_moved(void)
{
    assert_opens(&moved_envelope, value_span());
    buf_free(&moved_envelope);
}

static struct err seal(void)
{
    _cleanup_buf_ struct buf b = BUF_INIT;
    struct envelope_meta meta = meta_of("case/of/sealing", 1);
    return p11_seal(token, &meta, value_span(), &b);
}

/* ---- looking ----------------------------------------------------------------------------------- */

static struct buf shown = BUF_INIT;

/* Handles are of an opening: after a recovery they must be looked up again. */
static void find_again(void)
{
    buf_reset(&shown);
    size_t n = 0;
    assert_ok(p11_object_find(token, "cases:object", &object, 1, &n));
    assert_ok(p11_object_find(token, "cases:large", &large, 1, &n));
}

static struct err read_object(void)
{
    return p11_object_read(token, object, &shown);
}

static struct err read_large(void)
{
    return p11_object_read(token, large, &shown);
}

static struct err find_object(void)
{
    struct p11_object found[4];
    size_t n = 0;
    TRY(p11_object_find(token, "cases:object", found, 4, &n));
    assert_int_equal(n, 1);
    return ERR_OK;
}

static struct err count_seen(void *arg, const struct p11_seen *seen)
{
    *(size_t *) arg += !seen->unreadable;
    return ERR_OK;
}

static struct err scan(void)
{
    size_t n = 0;
    return p11_object_scan(token, true, count_seen, &n);
}

static void forget_epoch(void)
{
    __atomic_store_n(&token->epoch_object, CK_INVALID_HANDLE, __ATOMIC_RELEASE);
}

static char epoch[P11_EPOCH_TEXT];

static struct err read_epoch(void)
{
    return p11_epoch_read(token, epoch);
}

static void know_epoch(void)
{
    assert_ok(read_epoch());
}

static const struct op OPS[] = {
    OP("open, cold", cold_cache, unseal, check_opened, NULL, takes_open),
    OP("open, warm", warm_cache, unseal, check_opened, NULL, takes_open),
    OP("open, uncached", no_cache, unseal, check_opened, back_to_cache, takes_open),
    OP("check", NULL, check_token, NULL, NULL, takes_check),
    OP("seal", NULL, seal, NULL, NULL, takes_seal),
    OP("rewrap", NULL, rewrap, check_moved, NULL, takes_rewrap),
    OP("read", find_again, read_object, NULL, NULL, takes_read),
    OP("read large", find_again, read_large, NULL, NULL, takes_read),
    OP("find", NULL, find_object, NULL, NULL, takes_find),
    OP("scan", NULL, scan, NULL, NULL, takes_scan),
    OP("epoch, known", know_epoch, read_epoch, NULL, NULL, takes_epoch),
    OP("epoch, found", forget_epoch, read_epoch, NULL, NULL, takes_scan),
};

static int setup(void **state)
{
    struct p11_kek_info kek;
    char text[P11_EPOCH_TEXT];
    if (token_with_kek(state)) return -1;
    cases_begin(next_request);
    token_through_faults("");
    old_envelope = sealed("case/of/rewrap", value_span());
    assert_ok(p11_kek_create(token, true, &kek));
    envelope = sealed("case/of/opening", value_span());
    assert_ok(p11_object_create(token, "cases:object", SPAN_LIT("object"), &object));
    assert_ok(p11_object_create(token, "cases:large", span_of(large_value, sizeof large_value), &large));
    assert_ok(p11_epoch_touch(token, text));
    return 0;
}

static int teardown(void **state)
{
    name_case_under_way();
    buf_free(&envelope);
    buf_free(&old_envelope);
    buf_free(&shown);
    softhsm_fault(&hsm, "");
    return token_gone(state);
}

static void test_every_code_at_every_call(void **state)
{
    for (size_t i = 0; i < COUNT_OF(OPS); i++) run_op(&OPS[i]);
    assert_int_equal(cases_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_at_every_call),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
