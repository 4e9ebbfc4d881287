/* Every CK_RV at every call of what makes, lists and uses key pairs. */
#include "tests/unit/pkcs11/pairs.h"
#include "tests/unit/pkcs11/rv_cases.h"

#include "pkcs11/object.h"

static const char VALUE_TEXT[] = "what must come back";
static struct buf envelope = BUF_INIT;

static struct span value_span(void)
{
    return span_of(VALUE_TEXT, sizeof VALUE_TEXT);
}

static void next_request(void)
{
    assert_opens(&envelope, value_span());
}

/* ---- key pairs ---------------------------------------------------------------------------------- */

#define MADE "cases-made"
#define RSA "cases-rsa"
#define EC "cases-ec"

static struct p11_pair *pair;
static struct buf wrapped = BUF_INIT, wrapped_sha1 = BUF_INIT;

static void use_pair(const char *label, enum p11_pair_type type, bool sha1)
{
    struct p11_pair_config config = {.label = label, .type = type, .oaep_sha1 = sha1};
    p11_pair_free(TAKE_PTR(pair));
    assert_ok(p11_pair_new(token, &config, &pair));
}

static struct err create_ec(void)
{
    _cleanup_pair_info_ struct p11_pair_info info = {0};
    return p11_pair_create(token, MADE, P11_PAIR_EC_P256, 0, &info);
}

static struct err create_rsa(void)
{
    _cleanup_pair_info_ struct p11_pair_info info = {0};
    return p11_pair_create(token, MADE, P11_PAIR_RSA, 2048, &info);
}

static void make_again(const struct fault_case *c, struct err e, struct err (*make)(void))
{
    if (err_ok(e)) return;
    struct err again = once_more(make);
    if (!keeps_all(c) || again.code != ERR_CONFLICT) assert_ok(again);
}

static void create_ec_again(const struct fault_case *c, struct err e)
{
    make_again(c, e, create_ec);
}

static void create_rsa_again(const struct fault_case *c, struct err e)
{
    make_again(c, e, create_rsa);
}

static bool remove_pair(const struct fault_case *c, bool worked)
{
    size_t private = keys_labelled(CKO_PRIVATE_KEY, MADE, true);
    return keys_labelled(CKO_PUBLIC_KEY, MADE, true) == 1 && private == 1;
}

static struct err visit(void *arg, const struct p11_pair_info *info)
{
    *(size_t *) arg += info->sound;
    return ERR_OK;
}

static struct err list(void)
{
    size_t n = 0;
    return p11_pair_list(token, visit, &n);
}

static struct err unwrap_it(const struct buf *b)
{
    _cleanup_secret_ struct secret *plain = NULL;
    TRY(p11_pair_unwrap(pair, buf_span(b), &plain));
    assert_true(secret_equal(secret_span(plain), value_span()));
    return ERR_OK;
}

static struct err unwrap(void)
{
    return unwrap_it(&wrapped);
}

static struct err unwrap_sha1(void)
{
    return unwrap_it(&wrapped_sha1);
}

static void find_rsa(void)
{
    use_pair(RSA, P11_PAIR_RSA, false);
}

static void find_rsa_sha1(void)
{
    use_pair(RSA, P11_PAIR_RSA, true);
}

static void know_rsa(void)
{
    if (!pair) find_rsa();
    assert_ok(unwrap());
}

static void know_rsa_sha1(void)
{
    if (!pair) find_rsa_sha1();
    assert_ok(unwrap_sha1());
}

static void find_ec(void)
{
    use_pair(EC, P11_PAIR_EC_P256, false);
}

static struct err sign(void)
{
    static const uint8_t digest[P11_PAIR_DIGEST] = {1, 2, 3};
    uint8_t signature[P11_PAIR_SIGNATURE];
    return p11_pair_sign(pair, digest, signature);
}

/* ---- the rules ---------------------------------------------------------------------------------- */

/* What finds and reads a key. */
static enum taken takes_look(const struct fault_case *c)
{
    if (is_call(c, "C_CloseSession")) return WORKS;
    return is_call(c, "C_GetAttributeValue") && hides_attribute(c) ? ANYHOW : FAILS;
}

static bool is_trial(const struct fault_case *c)
{
    return starts(c, "C_Sign") || starts(c, "C_Decrypt");
}

static enum taken takes_trial(const struct fault_case *c, enum taken refused)
{
    if (of_the_moment(c)) return FAILS;
    /* An operation that the fault cut off goes on in its session, and bars the next. */
    if (c->reaction == RV_ITEM && (is_call(c, "C_Sign") || is_call(c, "C_Decrypt"))) return ANYHOW;
    if (!c->lasting) return WORKS;
    /* The canary decrypts, too. */
    return c->reaction == RV_CANARY && starts(c, "C_Decrypt") ? DOWN : refused;
}

static enum taken takes_make(const struct fault_case *c)
{
    if (is_trial(c)) return takes_trial(c, REFUSED);
    /* Then it is tried with fewer attributes, which SoftHSM does not take for no. */
    bool lean = is_call(c, "C_GenerateKeyPair") && rv_refuses_template(c->rv) && !c->lasting;
    return lean ? ANYHOW : takes_look(c);
}

static enum taken takes_list(const struct fault_case *c)
{
    return is_call(c, "C_GetAttributeValue") && hides_attribute(c) ? WORKS : takes_look(c);
}

/* bare: the token does RSA, and we the rest. */
static enum taken takes_decrypt(const struct fault_case *c, bool bare)
{
    if (worth_another_try(c)) return WORKS;
    if (rv_class(c->rv) == ERR_CRYPTO) return OPAQUE;
    if (c->reaction == RV_FULL) return BUSY;
    if (c->reaction != RV_CANARY || bare) return FAILS;
    return c->lasting ? DOWN : OPAQUE;
}

static enum taken takes_unwrap_bare(const struct fault_case *c)
{
    return takes_decrypt(c, true);
}

static enum taken takes_unwrap(const struct fault_case *c)
{
    return takes_decrypt(c, false);
}

static enum taken takes_found(const struct fault_case *c)
{
    if (!is_trial(c)) return takes_look(c);
    return c->nth ? ANYHOW : takes_trial(c, HUMAN);
}

/* Making an RSA key takes long, and trying one is the same when it is found. */
static bool is_any(const struct fault_case *c)
{
    return true;
}

static const struct op OPS[] = {
    OP("make ec pair", NULL, create_ec, NULL, remove_pair, takes_make, .back = create_ec_again,
       .dear = true),
    OP("make rsa pair", NULL, create_rsa, NULL, remove_pair, takes_make, .back = create_rsa_again,
       .from = "C_DecryptInit", .dear = true, .brief = is_any),
    OP("list pairs", NULL, list, NULL, NULL, takes_list),
    OP("unwrap, bare", know_rsa, unwrap, NULL, NULL, takes_unwrap_bare),
    OP("unwrap, bare, found", find_rsa, unwrap, NULL, NULL, takes_found),
    OP("unwrap", know_rsa_sha1, unwrap_sha1, NULL, NULL, takes_unwrap),
    OP("unwrap, found", find_rsa_sha1, unwrap_sha1, NULL, NULL, takes_found),
    OP("sign, found", find_ec, sign, NULL, NULL, takes_found),
};

static void make_pairs(void)
{
    struct p11_pair_info rsa = {0}, ec = {0};
    assert_ok(p11_pair_create(token, RSA, P11_PAIR_RSA, 2048, &rsa));
    assert_ok(p11_pair_create(token, EC, P11_PAIR_EC_P256, 0, &ec));
    p11_pair_info_done(&rsa);
    p11_pair_info_done(&ec);
    find_rsa();
    assert_ok(p11_pair_wrap(pair, value_span(), &wrapped));
    find_rsa_sha1();
    assert_ok(p11_pair_wrap(pair, value_span(), &wrapped_sha1));
    p11_pair_free(TAKE_PTR(pair));
}

static int setup(void **state)
{
    if (token_with_kek(state)) return -1;
    cases_begin(next_request);
    token_through_faults("");
    envelope = sealed("case/of/opening", value_span());
    make_pairs();
    return 0;
}

static int teardown(void **state)
{
    name_case_under_way();
    buf_free(&envelope);
    buf_free(&wrapped);
    buf_free(&wrapped_sha1);
    p11_pair_free(pair);
    softhsm_fault(&hsm, "");
    return token_gone(state);
}

static void test_every_code_at_every_call(void **state)
{
    for (size_t i = 0; i < COUNT_OF(OPS); i++) {
        run_op(&OPS[i]);
        p11_pair_free(TAKE_PTR(pair));
    }
    assert_int_equal(cases_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_at_every_call),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
