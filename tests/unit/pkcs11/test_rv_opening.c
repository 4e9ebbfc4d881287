/* Every CK_RV at every call of opening a token, and of closing it: a PIN that was refused is not sent
 * again, and what does not open opens when the fault is gone. */
#include "tests/unit/pkcs11/rv_cases.h"

#include "pkcs11/token_file.h"

static const char VALUE_TEXT[] = "what must come back";
static struct buf envelope = BUF_INIT;
static const struct suite_way *usual_way;
static char *marker;         /* of a PIN that was refused */
static struct p11 *bystander; /* of the same process: it keeps the login while others come and go */

static struct span value_span(void)
{
    return span_of(VALUE_TEXT, sizeof VALUE_TEXT);
}

static void next_request(void)
{
    assert_opens(&envelope, value_span());
}

static struct err open_token(void)
{
    return token_open_with(softhsm_fault_module(), 0, 64);
}

/* What new envelopes are made with is as ever. */
static bool usual(void)
{
    return (!token->way || token->way == usual_way) && !token->readable;
}

/* ---- what is done about it ---------------------------------------------------------------------- */

static bool refuses_pin(const struct fault_case *c)
{
    return is_call(c, "C_Login") && (c->rv == CKR_PIN_INCORRECT || c->rv == CKR_PIN_INVALID ||
                                     c->rv == CKR_PIN_LEN_RANGE);
}

/* Whoever starts the program again sends no PIN; then a person corrects it. */
static void refuse_once_more(void)
{
    assert_fails(open_token(), ERR_HUMAN);
    assert_int_equal(counted("C_Login"), 0);
    assert_int_equal(unlink(marker), 0);
}

static struct err look_at_keys(void)
{
    return p11_kek_reload(token);
}

static void open_again(const struct fault_case *c, struct err e)
{
    /* One bad moment changes nothing. A token that can do less as long as it is looked at gets less. */
    if (err_ok(e) && !usual()) {
        assert_true(c->lasting);
        token_close();
    }
    if (refuses_pin(c)) refuse_once_more();
    if (!token) assert_ok(open_token());
    /* A key whose attributes were not as they must be was left out. */
    if (!p11_active_generation(token)) assert_ok(once_more(look_at_keys));
    assert_true(usual());
}

/* ---- operations --------------------------------------------------------------------------------- */

static struct err open_counted_token(void)
{
    struct err e = open_token();
    if (access(counts_path, R_OK) == 0) assert_true(counted("C_Login") <= 1);
    return e;
}

static struct err close_it(void)
{
    token_close();
    return ERR_OK;
}

/* A module that was not finalized is found as it was left. */
static void open_closed(const struct fault_case *c, struct err e)
{
    assert_ok(open_token());
    assert_true(usual());
    if (!is_call(c, "C_Finalize")) return;
    next_request();
    token->fn->C_Finalize(NULL);
    token_close();
    assert_ok(open_token());
}

static bool is_open(const struct fault_case *c, bool worked)
{
    if (!token) assert_ok(open_token());
    return true;
}

/* ---- the rules ---------------------------------------------------------------------------------- */

/* The fifth look at the tokens is ours, one of which is not initialised. */
static enum taken takes_slots(const struct fault_case *c)
{
    if (is_call(c, "C_GetTokenInfo") && c->nth == 1 && !c->lasting) return WORKS;
    bool counted_again = is_call(c, "C_GetSlotList") && c->nth == 1 && !c->lasting;
    return counted_again && c->rv == CKR_BUFFER_TOO_SMALL ? WORKS : DOWN;
}

static enum taken takes_login(const struct fault_case *c)
{
    if (is_call(c, "C_OpenSession")) return FAILS;
    if (is_call(c, "C_Login")) return c->rv == CKR_USER_ALREADY_LOGGED_IN ? CLASH : FAILS;
    /* Somebody else started it; then it says itself that nobody did. */
    bool started = is_call(c, "C_Initialize") && c->rv == CKR_CRYPTOKI_ALREADY_INITIALIZED;
    return started ? ANYHOW : takes_slots(c);
}

static enum taken takes_keys(const struct fault_case *c)
{
    if (is_call(c, "C_CloseSession") || is_call(c, "C_DestroyObject")) return WORKS;
    if (is_call(c, "C_OpenSession") || is_find(c)) return FAILS;
    if (is_call(c, "C_GetAttributeValue")) {
        bool of_key = hides_attribute(c) || c->reaction == RV_HANDLE;
        return c->nth ? ANYHOW : of_key ? WORKS : FAILS;
    }
    /* What opens the bytes that were tampered with must fail. */
    bool opens = is_call(c, "C_UnwrapKey") || starts(c, "C_Decrypt");
    if (c->nth && opens) return ANYHOW;
    if (of_the_moment(c)) return FAILS;
    /* One that neither encrypts nor decrypts has it done on the host; then the canary, which it does not
     * open either, condemns its key. */
    bool refused = c->reaction == RV_CALLER && starts(c, "C_Decrypt");
    bool wraps = is_call(c, "C_GenerateKey") || is_call(c, "C_WrapKey") || is_call(c, "C_UnwrapKey");
    return c->lasting && (refused || wraps) ? REFUSED : WORKS;
}

/* What it answers to closing is not even looked at. */
static bool in_sample(const struct fault_case *c)
{
    return !all_codes();
}

static enum taken takes_nothing(const struct fault_case *c)
{
    return WORKS;
}

static const struct op ALONE[] = {
    OP("open, the login", token_close, open_counted_token, NULL, NULL, takes_login,
       .back = open_again, .until = "C_FindObjectsInit", .dear = true),
    OP("close", next_request, close_it, NULL, is_open, takes_nothing, .back = open_closed,
       .dear = true, .brief = in_sample),
};

/* The login stands, so that thousands of cases do not wait for the hash of a PIN. */
static const struct op LOGGED_IN[] = {
    OP("open, the keys", token_close, open_counted_token, NULL, NULL, takes_keys,
       .back = open_again, .from = "C_FindObjectsInit"),
};

static int setup(void **state)
{
    if (token_with_kek(state)) return -1;
    cases_begin(next_request);
    assert_ok(token_file_path(hsm.state, "pin-failed-", p11_serial(token), "", &marker));
    token_through_faults("");
    envelope = sealed("case/of/opening", value_span());
    usual_way = token->way;
    return 0;
}

static int teardown(void **state)
{
    name_case_under_way();
    buf_free(&envelope);
    free(marker);
    softhsm_fault(&hsm, "");
    p11_close(bystander);
    return token_gone(state);
}

static void test_every_code_at_every_call(void **state)
{
    for (size_t i = 0; i < COUNT_OF(ALONE); i++) run_op(&ALONE[i]);
    bystander = token;
    standing_rules = "tokeninfo clear=0x4"; /* CKF_LOGIN_REQUIRED */
    set_rules("");
    assert_ok(open_token());
    for (size_t i = 0; i < COUNT_OF(LOGGED_IN); i++) run_op(&LOGGED_IN[i]);
    assert_int_equal(cases_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_at_every_call),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
