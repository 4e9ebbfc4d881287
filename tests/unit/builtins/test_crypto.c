#include "tests/unit/builtins/host_bench.h"

/* Digests of "abc": RFC 1321 A.5, FIPS 180 examples; MACs: RFC 2202 and RFC 4231, test case 2. */
static void test_hashes__published_vectors(void **state)
{
    static const struct builtin_case cases[] = {
        {"crypto.md5", "[\"abc\"]", "\"900150983cd24fb0d6963f7d28e17f72\"", NULL},
        {"crypto.sha1", "[\"abc\"]", "\"a9993e364706816aba3e25717850c26c9cd0d89d\"", NULL},
        {"crypto.sha256", "[\"abc\"]",
         "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"", NULL},
        {"kbs.sha384", "[\"abc\"]",
         "\"cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
         "8086072ba1e7cc2358baeca134c825a7\"", NULL},
        {"crypto.hmac.md5", "[\"what do ya want for nothing?\", \"Jefe\"]",
         "\"750c783e6ab0b503eaa86e310a5db738\"", NULL},
        {"crypto.hmac.sha1", "[\"what do ya want for nothing?\", \"Jefe\"]",
         "\"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79\"", NULL},
        {"crypto.hmac.sha256", "[\"what do ya want for nothing?\", \"Jefe\"]",
         "\"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\"", NULL},
        {"crypto.hmac.sha512", "[\"what do ya want for nothing?\", \"Jefe\"]",
         "\"164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
         "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737\"", NULL},
        {"crypto.sha256", "[\"\"]",
         "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"", NULL},
    };
    HOST_TABLE(cases);
}

static void test_hmac_equal__whole_and_exact(void **state)
{
    static const struct builtin_case cases[] = {
        {"crypto.hmac.equal", "[\"ab\", \"ab\"]", "true", NULL},
        {"crypto.hmac.equal", "[\"ab\", \"ac\"]", "false", NULL},
        {"crypto.hmac.equal", "[\"ab\", \"abc\"]", "false", NULL},
        {"crypto.hmac.equal", "[\"\", \"\"]", "true", NULL},
    };
    HOST_TABLE(cases);
}

static void test_hashes__refuse_what_is_no_string(void **state)
{
    static const struct builtin_case cases[] = {
        {"crypto.sha256", "[1]", NULL, "crypto.sha256: operand 1 must be string but got number"},
        {"crypto.hmac.sha1", "[\"a\", null]", NULL, "operand 2 must be string but got null"},
        {"kbs.sha384", "[{}]", NULL, "kbs.sha384: operand 1 must be string but got object"},
    };
    HOST_TABLE(cases);
}

static void test_hashes__end_at_the_budget(void **state)
{
    struct builtin_bench b;
    host_open(&b);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    memset(text, 'x', 1 << 20);
    const struct value *v = value_string(b.arena, text, 1 << 20), *both[] = {v, v};
    free(text);
    budget_init(&b.budget, (1 << 20) / 16);
    assert_null(builtin_run(&b.call, builtin_find(b.call.host, "crypto.sha256", 13), &v));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    budget_init(&b.budget, (1 << 20) / 16);
    assert_null(builtin_run(&b.call, builtin_find(b.call.host, "crypto.hmac.equal", 17), both));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes__published_vectors),
        cmocka_unit_test(test_hmac_equal__whole_and_exact),
        cmocka_unit_test(test_hashes__refuse_what_is_no_string),
        cmocka_unit_test(test_hashes__end_at_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
