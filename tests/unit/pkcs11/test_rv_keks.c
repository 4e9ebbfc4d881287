/* Every CK_RV at every call of what makes, removes and loads KEKs. What failed can be asked for again, and
 * what could be opened before can be opened after. */
#include "tests/unit/pkcs11/rv_cases.h"

#include "pkcs11/kek.h"
#include "pkcs11/suite.h"

static const char VALUE_TEXT[] = "what must come back";
static struct buf envelope = BUF_INIT; /* under the oldest KEK that must stay */

static struct span value_span(void)
{
    return span_of(VALUE_TEXT, sizeof VALUE_TEXT);
}

static void seal_again(void)
{
    buf_free(&envelope);
    envelope = sealed("case/of/keys", value_span());
}

/* Seals, and opens what is there. */
static void next_request(void)
{
    struct buf b = sealed("case/of/request", value_span());
    assert_opens(&b, value_span());
    buf_free(&b);
    if (envelope.len) assert_opens(&envelope, value_span());
}

/* ---- KEKs --------------------------------------------------------------------------------------- */

static size_t keks(void)
{
    const CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    const CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = {ATTR(CKA_CLASS, class), ATTR(CKA_TOKEN, yes)};
    struct p11_session s = {0};
    struct handles found = {0};
    assert_ok(session_take(token, &s));
    assert_ok(find_objects(&s, template, 2, 100, "keys", &found));
    size_t n = found.n;
    session_drop(&s);
    handles_free(&found);
    return n;
}

/* As if another had done it. */
static void remove_generation(uint32_t generation)
{
    char label[64];
    snprintf(label, sizeof label, KEK_LABEL "%u", generation);
    if (destroy_labelled(label) == 0) return;
    snprintf(label, sizeof label, CANARY_LABEL "%u", generation);
    destroy_labelled(label);
}

static void forget_keys_of_cache(void)
{
    cek_cache_free(token);
    assert_ok(cek_cache_new(token, token->cek_cache_max));
}

static void forget_keks(void)
{
    forget_keys_of_cache();
    for (uint32_t g = 1; keks(); g++) remove_generation(g);
    token->data_template = 0; /* what it learnt of the token's taste */
    SCOPED_LOCK(&token->kek_lock);
    token->kek_count = 0;
    token->active = NULL;
    token->way = NULL;
}

static struct err reload(void)
{
    return p11_kek_reload(token);
}

static const struct suite_way *usual_way;

/* A token that has unlearnt its suite for a while gets another, until the program is started again. */
static void forget_suite(const struct fault_case *c)
{
    if (unlearns(c)) suite_choose(token, (struct suite_choice){usual_way, false});
    assert_ptr_equal(token->way, usual_way);
}

static void load_again(const struct fault_case *c, struct err e)
{
    forget_suite(c);
    assert_ok(once_more(reload));
}

static struct p11_kek_info made;

static struct err create_first(void)
{
    return p11_kek_create(token, false, &made);
}

static void check_made(void)
{
    assert_true(made.sound && made.canary_ok && made.active);
    assert_int_equal(p11_active_generation(token), made.generation);
}

/* One that could not even be removed is found by the next try, and is good. */
static void create_first_again(const struct fault_case *c, struct err e)
{
    if (err_ok(e)) {
        assert_ok(once_more(reload)); /* a canary that was not stored is, now */
        return;
    }
    struct err again = once_more(create_first);
    if (again.code != ERR_CONFLICT) assert_ok(again);
    assert_int_equal(p11_active_generation(token), 1);
}

static bool is_only_one(const struct fault_case *c, bool worked)
{
    return keks() == 1;
}

static uint32_t base; /* the generation in force between the cases */

static struct err create_next(void)
{
    return p11_kek_create(token, true, &made);
}

static void create_next_again(const struct fault_case *c, struct err e)
{
    forget_suite(c);
    if (err_ok(e)) return;
    assert_opens(&envelope, value_span());
    assert_ok(once_more(create_next));
    check_made();
}

/* Back to the one of before. */
static bool remove_next(const struct fault_case *c, bool worked)
{
    size_t n = keks();
    for (uint32_t g = base + 1; keks() > 1; g++) remove_generation(g);
    forget_keys_of_cache();
    token->data_template = 0;
    assert_ok(once_more(reload));
    assert_int_equal(p11_active_generation(token), base);
    return n == 2 || (n == 3 && keeps_all(c));
}

static void two_keks(void)
{
    if (keks() == 2) return;
    assert_ok(once_more(create_next));
    base = made.generation;
    seal_again();
}

static struct err destroy_old(void)
{
    return p11_kek_destroy(token, base - 1);
}

static void destroy_old_again(const struct fault_case *c, struct err e)
{
    forget_suite(c);
    if (err_ok(e)) return;
    assert_opens(&envelope, value_span());
    struct err again = once_more(destroy_old);
    if (again.code != ERR_NOTFOUND) assert_ok(again);
}

static bool is_gone(const struct fault_case *c, bool worked)
{
    return keks() == 1;
}

/* ---- the rules ---------------------------------------------------------------------------------- */

static enum taken takes_load(const struct fault_case *c)
{
    if (is_call(c, "C_CloseSession") || is_call(c, "C_DestroyObject")) return WORKS;
    /* Which of several calls it meets decides here; what becomes of it is checked all the same. */
    if (c->nth) return ANYHOW;
    if (is_call(c, "C_GetAttributeValue")) {
        bool of_key = hides_attribute(c) || c->reaction == RV_HANDLE;
        return !of_key ? FAILS : c->lasting ? ANYHOW : WORKS;
    }
    if (is_call(c, "C_OpenSession") || is_find(c) || of_the_moment(c)) return FAILS;
    if (!c->lasting) return WORKS;
    if (unlearns(c)) return starts(c, "C_Encrypt") ? WORKS : REFUSED;
    return DOWN;
}

/* The key itself, then all keys are loaded; a canary that is not stored is one that is kept in mind. */
static enum taken takes_create(const struct fault_case *c)
{
    if (is_call(c, "C_CreateObject")) return WORKS;
    if (is_call(c, "C_DestroyObject")) return ANYHOW;
    if (is_call(c, "C_GenerateKey") && !c->nth) return FAILS;
    return takes_load(c);
}

/* No way of before would have to be kept: one that neither wraps nor unwraps is refused. */
static enum taken takes_create_first(const struct fault_case *c)
{
    if (c->nth) return ANYHOW;
    if (is_call(c, "C_GetAttributeValue") && c->reaction == RV_HANDLE) return FAILS;
    bool payload = starts(c, "C_Encrypt") || starts(c, "C_Decrypt");
    bool key = is_call(c, "C_WrapKey") || is_call(c, "C_UnwrapKey");
    if (!c->lasting || of_the_moment(c) || (!payload && !key)) return takes_create(c);
    return payload ? WORKS : REFUSED;
}

static enum taken takes_destroy(const struct fault_case *c)
{
    return is_call(c, "C_DestroyObject") && (c->lasting || c->nth) ? ANYHOW : takes_load(c);
}

/* The self-test and the canary, which loading has in full. */
static bool is_of_load(const struct fault_case *c)
{
    return starts(c, "C_Encrypt") || starts(c, "C_Decrypt") || is_call(c, "C_WrapKey") ||
           is_call(c, "C_UnwrapKey") || is_call(c, "C_CloseSession");
}

/* The sample makes the next one in full. */
static bool is_of_next(const struct fault_case *c)
{
    return is_of_load(c) || (!all_codes() && !is_call(c, "C_GenerateKey") && !is_call(c, "C_CreateObject"));
}

static const struct op FIRST =
    OP("first kek", forget_keks, create_first, check_made, is_only_one, takes_create_first,
       .back = create_first_again, .dear = true, .brief = is_of_next);
static const struct op OPS[] = {
    OP("next kek", NULL, create_next, check_made, remove_next, takes_create,
       .back = create_next_again, .dear = true, .brief = is_of_load),
    OP("destroy kek", two_keks, destroy_old, NULL, is_gone, takes_destroy,
       .back = destroy_old_again, .dear = true, .brief = is_of_load),
    OP("load keks", NULL, reload, NULL, NULL, takes_load, .back = load_again, .dear = true),
};

static int setup(void **state)
{
    if (token_bare(state)) return -1;
    cases_begin(next_request);
    token_through_faults("");
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
    run_op(&FIRST);
    base = 1;
    usual_way = token->way;
    seal_again();
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
