/* Every CK_RV at every call of the ladder itself: the look, the login, the restart. What fails while a
 * step is taken is helped by the next one, or by the next round; a PIN is not sent again to a token that
 * wants a person. */
#include "tests/unit/pkcs11/rv_cases.h"

#include "pkcs11/suite.h"

static const char VALUE_TEXT[] = "what must come back";
static struct buf envelope = BUF_INIT;
static unsigned long logins; /* of the round with the fault */
static const struct suite_way *usual_way;

static struct span value_span(void)
{
    return span_of(VALUE_TEXT, sizeof VALUE_TEXT);
}

static void next_request(void)
{
    assert_opens(&envelope, value_span());
}

/* ---- a round of the keeper ---------------------------------------------------------------------- */

static struct err came_back(void *arg)
{
    return ERR_OK;
}

static void changed(void *arg, const struct p11_status *now)
{
}

static struct err tend(void)
{
    const struct p11_keeper keeper = {.came_back = came_back, .changed = changed};
    struct p11_status now;
    p11_tend(token, &keeper);
    p11_status(token, &now);
    if (now.state == P11_UP) return ERR_OK;
    FAIL(now.why, "%s", now.reason);
}

static struct err tend_counted(void)
{
    struct err e = tend();
    if (access(counts_path, R_OK) == 0) logins = counted("C_Login");
    return e;
}

/* As an idle time-out does it: all sessions, and the login with them. */
static void lose_login(void)
{
    token->life.came_back = false; /* each case is the first that the token knows */
    token->fn->C_CloseAllSessions(token->slot);
}

/* As after a round that did not help: the next one begins with the restart. */
static void wait_for_restart(void)
{
    lose_login();
    life_fail(&token->life, ERR_MAKE(ERR_TOKEN_DOWN, "lost"));
}

static bool wants_person(const struct fault_case *c)
{
    return is_call(c, "C_Login") && c->reaction == RV_HUMAN;
}

/* Whether the token said for good that it does not encrypt any more. */
static bool lost_suite(const struct fault_case *c)
{
    return unlearns(c) && starts(c, "C_Encrypt");
}

/* The keeper's next rounds, as the pauses between them end. */
static void tend_again(const struct fault_case *c, struct err e)
{
    /* Else no bad moment changes what new envelopes are made with. */
    if (lost_suite(c)) suite_choose(token, (struct suite_choice){usual_way, false});
    if (wants_person(c)) {
        assert_int_equal(logins, 1);
        assert_fails(tend(), ERR_HUMAN);
        assert_int_equal(counted("C_Login"), 0);
        p11_hurry(token);
    }
    /* It said that it was none, and is; then we are not the ones who started it. */
    if (is_call(c, "C_Finalize")) token->fn->C_Finalize(NULL);
    assert_ok(once_more(tend));
    assert_ptr_equal(token->way, usual_way);
    assert_false(token->readable);
}

/* ---- the rules ---------------------------------------------------------------------------------- */

static bool is_ignored(const struct fault_case *c)
{
    return is_call(c, "C_CloseSession") || is_call(c, "C_DestroyObject");
}

static bool is_info(const struct fault_case *c)
{
    return is_call(c, "C_GetTokenInfo") || is_call(c, "C_GetInfo");
}

/* The first sessions and the first key are the look's, which only tells where to begin. */
static bool is_look(const struct fault_case *c)
{
    return !c->nth && (is_call(c, "C_OpenSession") || is_call(c, "C_UnwrapKey"));
}

/* Keys that lack what they must have, and what must not open. */
static bool is_seen_otherwise(const struct fault_case *c)
{
    if (is_call(c, "C_GetAttributeValue")) return c->lasting || c->reaction == RV_HUMAN;
    return c->nth && (is_call(c, "C_UnwrapKey") || starts(c, "C_Decrypt"));
}

static enum taken takes_round(const struct fault_case *c)
{
    bool last_look = is_info(c) && c->nth == c->of - 1;
    bool busy = is_call(c, "C_OpenSession") && rv_work_class(c->rv) == ERR_BUSY;
    if (is_ignored(c) || last_look || (busy && is_look(c))) return WORKS;
    if (is_seen_otherwise(c)) return ANYHOW;
    if (lost_suite(c)) return WORKS;
    if (c->reaction == RV_HUMAN && !is_info(c) && (c->lasting || !is_look(c))) return HUMAN;
    return c->lasting ? DOWN : WORKS;
}

/* Above this step there is none. */
static enum taken takes_restart(const struct fault_case *c)
{
    if (is_ignored(c)) return WORKS;
    bool lies = (is_call(c, "C_Initialize") && c->rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) ||
                (is_call(c, "C_Finalize") && c->rv == CKR_CRYPTOKI_NOT_INITIALIZED);
    if (lies) return ANYHOW;
    if (is_call(c, "C_Finalize")) return WORKS; /* a login helps all the same */
    if (is_call(c, "C_GetTokenInfo") && c->nth == 1 && !c->lasting) return WORKS; /* of another token */
    bool counted_again = is_call(c, "C_GetSlotList") && c->nth == 1 && !c->lasting;
    if (counted_again && c->rv == CKR_BUFFER_TOO_SMALL) return WORKS;
    bool asked = is_call(c, "C_OpenSession") || is_call(c, "C_Login");
    return asked && c->reaction == RV_HUMAN ? HUMAN : DOWN;
}

static const struct op OPS[] = {
    OP("login", lose_login, tend_counted, NULL, NULL, takes_round, .back = tend_again, .dear = true),
    OP("restart", wait_for_restart, tend_counted, NULL, NULL, takes_restart, .back = tend_again,
       .until = "C_FindObjectsInit", .dear = true),
};

static int setup(void **state)
{
    if (token_with_kek(state)) return -1;
    cases_begin(next_request);
    token_through_faults("");
    envelope = sealed("case/of/recovery", value_span());
    usual_way = token->way;
    /* No marker, so that thousands of logins do not wait for the hash of a PIN: what keeps it from being
     * sent again here is what this process remembers. */
    free(TAKE_PTR(token->state_dir));
    return 0;
}

static int teardown(void **state)
{
    name_case_under_way();
    buf_free(&envelope);
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
