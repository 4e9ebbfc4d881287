/* Finds of a module that counts wrongly; what it answers else is in test_object.c. */
#include "tests/unit/pkcs11/token.h"

#include "pkcs11/object.h"
#include "pkcs11/p11_internal.h"

static CK_FUNCTION_LIST lying, *honest;

static int setup(void **state)
{
    if (token_bare(state)) return -1;
    honest = token->fn;
    lying = *honest;
    return 0;
}

static int teardown(void **state)
{
    token->fn = honest;
    return token_gone(state);
}

static void lie(CK_C_FindObjects how)
{
    lying.C_FindObjects = how;
    token->fn = &lying;
}

static void create(const char *label)
{
    struct p11_object o;
    assert_ok(p11_object_create(token, label, SPAN_LIT("value"), &o));
}

static CK_RV find_too_many(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *h, CK_ULONG n, CK_ULONG *got)
{
    for (CK_ULONG i = 0; i < n; i++) h[i] = i + 1;
    *got = n + 44;
    return CKR_OK;
}

/* They would be read, and the next ones written, behind the room for them. */
static void test_find__more_than_was_asked_for(void **state)
{
    struct p11_object o;
    size_t n = 0;
    lie(find_too_many);
    assert_fails(p11_object_find(token, "a/b/c", &o, 1, &n), ERR_TOKEN_DOWN);
}

static CK_RV find_twice(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *h, CK_ULONG n, CK_ULONG *got)
{
    CK_RV rv = honest->C_FindObjects(s, h, n / 2, got);
    for (CK_ULONG i = 0; rv == CKR_OK && i < *got; i++) h[*got + i] = h[i];
    *got *= 2;
    return rv;
}

static err_t count(void *arg, const struct p11_seen *seen)
{
    size_t *n = arg;
    if (!seen->unreadable) ++*n;
    return ERR_OK;
}

/* Else it would pass for two copies of a version, one of which may go: with it went the only one. */
static void test_scan__a_handle_that_comes_twice(void **state)
{
    size_t n = 0;
    create("a/b/c");
    create("a/b/d");
    lie(find_twice);
    assert_ok(p11_object_scan(token, true, count, &n));
    assert_int_equal(n, 2);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_find__more_than_was_asked_for),
        CASE(test_scan__a_handle_that_comes_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
