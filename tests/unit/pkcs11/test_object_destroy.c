/* Removing an object when the answer is lost, by a token that gives a handle to the next object. */
#include "tests/unit/pkcs11/keeper.h"

#include "pkcs11/object.h"

/* The module, but that it works so: what is made after `removed` went has its handle. */
static CK_FUNCTION_LIST reusing, *real;
static struct {
    CK_OBJECT_HANDLE shown, is; /* a handle that was given again, and whose it is by now */
    CK_RV answer;               /* of the first removal of `shown`, which is done all the same */
    bool refused;               /* that one is not done */
    unsigned calls;             /* removals of `shown` */
} reuse;

static CK_RV make_next(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *ret)
{
    struct span label = SPAN_LIT("another's"), value = SPAN_LIT("value");
    CK_ATTRIBUTE template[] = {OBJECT_OURS, ATTR_SPAN(CKA_LABEL, label), ATTR_SPAN(CKA_VALUE, value)};
    return real->C_CreateObject(s, template, ATTR_COUNT(template), ret);
}

static CK_RV destroy(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o)
{
    if (o != reuse.shown) return real->C_DestroyObject(s, o);
    CK_RV answer = reuse.calls++ ? CKR_OK : reuse.answer;
    if (answer != CKR_OK && reuse.refused) return answer;
    CK_RV rv = real->C_DestroyObject(s, reuse.is ? reuse.is : o);
    if (rv == CKR_OK && !reuse.is) rv = make_next(s, &reuse.is);
    return rv == CKR_OK ? answer : rv;
}

static size_t count(const char *label)
{
    struct p11_object found[4];
    size_t n = 0;
    assert_ok(p11_object_find(token, label, found, 4, &n));
    return n;
}

static struct p11_object start(CK_RV answer, bool refused, bool unique)
{
    struct p11_object o = {0};
    assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("value"), &o));
    real = token->fn;
    reusing = *real;
    reusing.C_DestroyObject = destroy;
    memset(&reuse, 0, sizeof reuse);
    reuse.shown = o.handle;
    reuse.answer = answer;
    reuse.refused = refused;
    token->fn = &reusing;
    token->handles_unique = unique;
    keeper_start();
    return o;
}

/* It was removed, and another has its handle when we hear that something went wrong. */
static void test_destroy__never_what_came_after_it(void **state)
{
    struct p11_object o = start(CKR_DEVICE_ERROR, false, false);
    assert_fails(p11_object_destroy(token, o), ERR_TOKEN_DOWN);
    assert_int_equal(reuse.calls, 1);
    assert_int_equal(count("a/b/c"), 0);
    assert_int_equal(count("another's"), 1);
}

/* A session that the token forgot cannot have removed anything. */
static void test_destroy__again_on_another_session(void **state)
{
    struct p11_object o = start(CKR_SESSION_HANDLE_INVALID, true, false);
    assert_ok(p11_object_destroy(token, o));
    assert_int_equal(reuse.calls, 2);
    assert_int_equal(count("a/b/c"), 0);
}

/* Where each handle names one object for ever, a second try does no harm. */
static void test_destroy__again_where_handles_are_unique(void **state)
{
    struct p11_object o = start(CKR_DEVICE_ERROR, true, true);
    assert_ok(p11_object_destroy(token, o));
    assert_int_equal(reuse.calls, 2);
    assert_int_equal(count("a/b/c"), 0);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, token_with_kek, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_destroy__never_what_came_after_it),
        CASE(test_destroy__again_on_another_session),
        CASE(test_destroy__again_where_handles_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
