/* Every CK_RV at every call of what changes a token: objects, the epoch; and of a signature. */
#include "tests/unit/pkcs11/rv_cases.h"

#include "pkcs11/keypair.h"
#include "pkcs11/object.h"

static const char VALUE_TEXT[] = "what must come back";
static struct buf envelope = BUF_INIT;
static struct p11_object object;

static struct span value_span(void)
{
    return span_of(VALUE_TEXT, sizeof VALUE_TEXT);
}

static void next_request(void)
{
    assert_opens(&envelope, value_span());
}

/* ---- objects ----------------------------------------------------------------------------------- */

static struct err create(void)
{
    return p11_object_create(token, "cases:new", value_span(), &object);
}

/* What it learnt of the token's taste by a refusal stays while it is open: each case begins anew. */
static void forget_taste(void)
{
    token->data_template = 0;
}

static void check_created(void)
{
    _cleanup_buf_ struct buf back = BUF_INIT;
    assert_ok(p11_object_read(token, object, &back));
    assert_true(span_eq(buf_span(&back), value_span()));
}

/* What was not acknowledged must not be there, unless the token refuses to destroy it. */
static bool remove_created(const struct fault_case *c, bool worked)
{
    size_t n = destroy_labelled("cases:new");
    return worked ? n == 1 : n == 0;
}

static void make_object(void)
{
    assert_ok(create());
}

static struct err destroy(void)
{
    return p11_object_destroy(token, object);
}

static bool remove_rest(const struct fault_case *c, bool worked)
{
    size_t n = destroy_labelled("cases:new");
    return n == (worked ? 0 : 1);
}

/* ---- the epoch --------------------------------------------------------------------------------- */

static char epoch[P11_EPOCH_TEXT];

static struct err touch(void)
{
    return p11_epoch_touch(token, epoch);
}

static void check_epoch(void)
{
    char read[P11_EPOCH_TEXT];
    assert_ok(p11_epoch_read(token, read));
    assert_string_equal(read, epoch);
}

/* The one object that is there always, however often it was replaced. */
static void forget_epoch(void)
{
    __atomic_store_n(&token->epoch_object, CK_INVALID_HANDLE, __ATOMIC_RELEASE);
}

static bool one_epoch(const struct fault_case *c, bool worked)
{
    forget_epoch(); /* who finds it removes a second one, which a label that seemed gone leaves */
    assert_ok(touch());
    check_epoch();
    return true;
}

static void remove_epoch(void)
{
    forget_taste();
    check_epoch();
    destroy_labelled(epoch);
    forget_epoch();
}

/* ---- a key pair -------------------------------------------------------------------------------- */

#define SIGNER "cases-signer"

static struct p11_pair *signer;
static const uint8_t digest[P11_PAIR_DIGEST] = {1, 2, 3};
static uint8_t signature[P11_PAIR_SIGNATURE];

static void new_signer(void)
{
    struct p11_pair_config config = {.label = SIGNER, .type = P11_PAIR_EC_P256};
    assert_ok(p11_pair_new(token, &config, &signer));
}

static struct err sign(void)
{
    memset(signature, 0, sizeof signature);
    return p11_pair_sign(signer, digest, signature);
}

static void known_signer(void)
{
    assert_ok(sign());
}

static void check_signature(void)
{
    uint8_t none[P11_PAIR_SIGNATURE] = {0};
    assert_memory_not_equal(signature, none, sizeof none);
}

/* ---- the rules ---------------------------------------------------------------------------------- */

/* The session to read back on is a nicety. Attributes that are refused are tried with less; what
 * SoftHSM says on a full disk means that, as long as the canary opens. */
static enum taken takes_create(const struct fault_case *c)
{
    if (is_call(c, "C_OpenSession") || is_call(c, "C_CloseSession")) return WORKS;
    if (is_find(c)) return FAILS;
    if (is_call(c, "C_GetAttributeValue")) {
        bool missing = c->rv == CKR_OBJECT_HANDLE_INVALID || c->rv == CKR_ATTRIBUTE_TYPE_INVALID;
        return missing || c->rv == CKR_BUFFER_TOO_SMALL ? ANYHOW : FAILS;
    }
    if (c->reaction == RV_CANARY) return FULL;
    return rv_refuses_template(c->rv) && !c->lasting ? WORKS : FAILS;
}

static enum taken takes_destroy(const struct fault_case *c)
{
    return c->rv == CKR_OBJECT_HANDLE_INVALID ? GONE : FAILS;
}

/* A token that does not relabel gets another object; a label that cannot be read is looked for. */
static enum taken takes_touch(const struct fault_case *c)
{
    if (is_call(c, "C_SetAttributeValue")) return WORKS;
    if (!is_call(c, "C_GetAttributeValue")) return FAILS;
    if (c->rv == CKR_BUFFER_TOO_SMALL) return ANYHOW;
    if (!c->lasting) return WORKS;
    bool of_one = c->reaction == RV_ITEM || c->reaction == RV_CANARY || c->reaction == RV_HANDLE;
    return of_one ? DOWN : FAILS;
}

/* Which of several looks it meets decides here. */
static enum taken takes_touch_found(const struct fault_case *c)
{
    if (is_call(c, "C_GetAttributeValue")) return ANYHOW;
    bool refused = is_call(c, "C_CreateObject") && rv_refuses_template(c->rv);
    return refused && !c->lasting ? WORKS : takes_touch(c); /* with less, as any object */
}

static enum taken takes_sign(const struct fault_case *c)
{
    if (worth_another_try(c)) return WORKS;
    return c->reaction == RV_FULL ? BUSY : FAILS;
}

static const struct op OPS[] = {
    OP("create", forget_taste, create, check_created, remove_created, takes_create),
    OP("destroy", make_object, destroy, NULL, remove_rest, takes_destroy),
    OP("touch", check_epoch, touch, check_epoch, one_epoch, takes_touch),
    OP("touch, unknown", forget_epoch, touch, check_epoch, one_epoch, takes_touch_found),
    OP("touch, first", remove_epoch, touch, check_epoch, one_epoch, takes_touch_found),
    OP("sign", known_signer, sign, check_signature, NULL, takes_sign),
};

static int setup(void **state)
{
    struct p11_pair_info info = {0};
    if (token_with_kek(state)) return -1;
    cases_begin(next_request);
    token_through_faults("");
    envelope = sealed("case/of/opening", value_span());
    assert_ok(p11_pair_create(token, SIGNER, P11_PAIR_EC_P256, 0, &info));
    p11_pair_info_done(&info);
    new_signer();
    assert_ok(touch());
    return 0;
}

static int teardown(void **state)
{
    name_case_under_way();
    buf_free(&envelope);
    p11_pair_free(signer);
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
