#include "policy/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static int setup(void **state)
{
    return !(*state = arena_new(1 << 22));
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static struct num parse(struct arena *a, const char *text)
{
    struct num n = num_of(0);

    if (!num_parse(a, text, strlen(text), &n)) fail_msg("not a number: %s", text);
    return n;
}

static void expect_text(struct num n, const char *text)
{
    char buf[NUM_BUF];
    size_t len;
    const char *s = num_text(n, buf, &len);

    if (len != strlen(text) || memcmp(s, text, len) != 0) fail_msg("%.*s instead of %s", (int) len, s, text);
}

static void test_parse__keeps_the_text(void **state)
{
    static const char *const texts[] = {
        "0", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
        "18446744073709551615", "1.10", "1e3", "-0.5E-7", "123456789012345678901234567890",
    };

    for (size_t i = 0; i < LEN(texts); i++) expect_text(parse(*state, texts[i]), texts[i]);
    assert_true(num_is_int(parse(*state, "-9223372036854775808")));
    assert_false(num_is_int(parse(*state, "9223372036854775808")));
    assert_false(num_is_int(parse(*state, "1.0")));
}

static void test_parse__refuses_what_json_does(void **state)
{
    static const char *const texts[] = { "", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x10", "1 ", " 1",
                                         "NaN", "inf", "1_000", "1e1234567890", "--1", "1.5.2", "1e5.0" };
    struct num n;

    for (size_t i = 0; i < LEN(texts); i++)
        if (num_parse(*state, texts[i], strlen(texts[i]), &n)) fail_msg("accepted: %s", texts[i]);
}

static void test_parse__length_limit(void **state)
{
    static char digits[NUM_TEXT_MAX + 1];
    struct num n;

    memset(digits, '1', sizeof digits);
    assert_true(num_parse(*state, digits, NUM_TEXT_MAX, &n));
    assert_false(num_parse(*state, digits, NUM_TEXT_MAX + 1, &n));
}

static void test_compare__is_by_value(void **state)
{
    static const struct { const char *x, *y; int order; } cases[] = {
        { "1", "1.0", 0 }, { "-0", "0", 0 }, { "0", "0.000e9", 0 }, { "1e3", "1000", 0 },
        { "0.1e1", "1", 0 }, { "0.001", "1e-3", 0 }, { "2", "10", -1 }, { "-2", "-10", 1 },
        { "1.5", "1.25", 1 }, { "-1.5", "-1.25", -1 }, { "0.09", "0.1", -1 }, { "12.5", "12.50", 0 },
        { "28857836529306024611913", "28857836529306024611912", 1 },
        { "9223372036854775808", "9223372036854775807", 1 }, { "1e999999", "2", 1 }, { "-1e999999", "2", -1 },
        { "1e-999999", "0", 1 }, { "0.30000000000000004", "0.3", 1 }, { "100", "99.999", 1 },
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct num x = parse(*state, cases[i].x), y = parse(*state, cases[i].y);

        if (num_compare(x, y) != cases[i].order || num_compare(y, x) != -cases[i].order)
            fail_msg("%s against %s", cases[i].x, cases[i].y);
        if (cases[i].order == 0) assert_int_equal(num_hash(x), num_hash(y));
    }
}

static void test_to_integer__by_value(void **state)
{
    int64_t i = 0;

    assert_true(num_to_i64(parse(*state, "1e3"), &i) && i == 1000);
    assert_true(num_to_i64(parse(*state, "-12.50e1"), &i) && i == -125);
    assert_true(num_to_i64(parse(*state, "-9223372036854775808.0"), &i) && i == INT64_MIN);
    assert_false(num_to_i64(parse(*state, "9223372036854775808"), &i));
    assert_false(num_to_i64(parse(*state, "1.5"), &i));
    assert_false(num_to_i64(parse(*state, "1e-1"), &i));
    assert_true(num_is_integer(parse(*state, "1.000")) && !num_is_integer(parse(*state, "1.001")));
    assert_int_equal(num_sign(parse(*state, "-0.0")), 0);
    assert_int_equal(num_sign(parse(*state, "-0.01")), -1);
}

static void test_from__double(void **state)
{
    struct num n;

    assert_true(num_from_double(*state, 0.1, &n));
    expect_text(n, "0.1");
    assert_true(num_from_double(*state, 3.0, &n));
    expect_text(n, "3");
    assert_true(num_to_double(parse(*state, "2.5e-3")) == 2.5e-3);
    assert_false(num_from_double(*state, __builtin_inf(), &n));
    assert_false(num_from_double(*state, __builtin_nan(""), &n));
}

struct vector { const char *op, *x, *y, *want; };

/* Made with Python's integers and fractions, rounded to 64 bits. */
static const struct vector vectors[] = {
    { "div", "3185950873", "-15501686781378355951", "-2.055228516697404432e-10" },
    { "mul", "95", "57930342213091273711610504025", "5503382510243671002602997882375" },
    { "abs", "7027521676193288798", "-2147483648", "7027521676193288798" },
    { "div", "683431735706764045", "2946200824", "2.3197051950412598385e+08" },
    { "xor", "119630366", "954895212027792702", "954895211941734176" },
    { "neg", "-21756020476798729838", "-9503372741440839154", "21756020476798729838" },
    { "or", "-277901690912331500008425721221677595179", "-2766229848", "-67112963" },
    { "neg", "-1868120179", "654205503741937983", "1868120179" },
    { "shl", "4294967295", "179", "3291009113876164313876993935935527496390317139457790165605416960" },
    { "xor", "3675868048", "2", "3675868050" },
    { "rem", "-2147483648", "42737541731796212298316393960", "-2147483648" },
    { "xor", "9008286952767804453", "8864943424080885593", "433830257326580604" },
    { "not", "2131615905", "18446744073709551616", "-2131615906" },
    { "shl", "-4294967296", "137", "-748288838313422294120286634350736906063837462003712" },
    { "neg", "1549315578", "11895874082776416534", "-1549315578" },
    { "add", "-58814045812308704236176405851", "-80", "-58814045812308704236176405931" },
    { "shr", "1091738825", "236", "0" },
    { "and", "0", "-36701744721966782198", "0" },
    { "and", "340282366920938463463374607431768211456", "1", "0" },
    { "add", "1774839211", "-41787918724381344516326650176", "-41787918724381344514551810965" },
    { "add", "1255031209", "-6572641229", "-5317610020" },
    { "rem", "1695970127985890497", "36893488147419103231", "1695970127985890497" },
    { "shr", "-3909171131", "51", "-1" },
    { "div", "-16063278446826106695", "13492852958319854292", "-1.1905027421885078312" },
    { "and", "608803707724913317483775104791988854368462026938048886203861", "165", "133" },
    { "abs", "-3590291683", "4102951625500720448", "3590291683" },
    { "or", "0", "-725786741", "-725786741" },
    { "shr", "-2684865869134385499", "133", "-1" },
    { "abs", "2894416952025717256", "-559080977", "2894416952025717256" },
    { "div", "486221.145629543", "-10.960", "-44363.243214374361315" },
    { "div", "6.537333471018749e-35", "-860919.21217319", "-7.5934342950911427853e-41" },
    { "sub", "15.425064927989", "-705190030782341516.73970611346058", "7.051900307823415322e+17" },
    { "floor", "43280981827584536.3433691500271320", "-1.184560e-15", "43280981827584536" },
    { "div", "-497323946653973252.60756872972692", "3e-4", "-1657746488846577508600" },
    { "mul", "-1085628121479905890299348e-13", "-6.570874287", "7.133525908676426002e+11" },
    { "floor", "1", "719045.797161711987", "1" },
    { "add", "394290837468547152.401077", "394290837468547152.401077", "7.885816749370943048e+17" },
    { "mul", "868217.32571847659220963804219", "-1045665244891583515.8", "-907864682516526556840000" },
    { "ceil", "-506197", "-506197", "-506197" },
    { "mul", "-334421", "-950915.679249319197717", "3.1800617237023657542e+11" },
    { "sub", "-13.346052", "6.742421358937e29", "-674242135893700000000000000000" },
    { "ceil", "-2.7606014e24", "12.8880e11", "-2760601400000000000000000" },
    { "add", "-3e-32", "-14.889698685", "-14.889698685" },
    { "ceil", "78453.893", "-200334598733737691.098120357964098379887507e36", "78454" },
    { "round", "1030256566539845342220518.887826e-30", "13e-35", "0" },
    { "round", "-3511e-2", "5", "-35" },
    { "ceil", "-1", "-451637e-7", "-1" },
    { "floor", "5e-39", "5e-39", "0" },
    { "floor", "-159786", "-159786", "-159786" },
    { "ceil", "3", "108234421207958363652351e12", "3" },
    { "round", "247462", "12", "247462" },
    { "round", "-199649413138524211", "-199649413138524211", "-199649413138524211" },
    { "add", "0.1", "0.2", "0.3" },
    { "div", "10", "3", "3.3333333333333333333" },
    { "div", "6", "3", "2" },
    { "div", "-9223372036854775808", "-1", "9223372036854775808" },
    { "rem", "-9223372036854775808", "-1", "0" },
    { "rem", "10.0", "3", "1" },
    { "mul", "1e3", "1e3", "1000000" },
    { "sub", "1.5", "1.5", "0" },
    { "ceil", "-0.5", "0", "0" },
    { "floor", "-0.5", "0", "-1" },
    { "round", "-2.5", "0", "-3" },
    { "round", "0.05", "0", "0" },
    { "shr", "-1", "100000", "-1" },
    { "shl", "0", "1000000", "0" },
    { "abs", "-1.50", "0", "1.5" },
};

static const struct { const char *name; num_binary *run; } binary[] = {
    { "add", num_add }, { "sub", num_sub }, { "mul", num_mul }, { "div", num_div }, { "rem", num_rem },
    { "and", num_and }, { "or", num_or }, { "xor", num_xor }, { "shl", num_shift_left },
    { "shr", num_shift_right },
};
static const struct { const char *name; num_unary *run; } unary[] = {
    { "neg", num_neg }, { "abs", num_abs }, { "ceil", num_ceil }, { "floor", num_floor },
    { "round", num_round }, { "not", num_not },
};

static enum num_status run(struct arena *a, const struct vector *v, struct num *ret)
{
    struct num x = parse(a, v->x), y = parse(a, v->y);

    for (size_t i = 0; i < LEN(binary); i++)
        if (strcmp(v->op, binary[i].name) == 0) return binary[i].run(a, x, y, ret);
    for (size_t i = 0; i < LEN(unary); i++)
        if (strcmp(v->op, unary[i].name) == 0) return unary[i].run(a, x, ret);
    fail_msg("no operation %s", v->op);
    return NUM_OK;
}

static void test_operations__vectors(void **state)
{
    for (size_t i = 0; i < LEN(vectors); i++) {
        struct num n = num_of(0);

        assert_int_equal(run(*state, &vectors[i], &n), NUM_OK);
        expect_text(n, vectors[i].want);
    }
}

static void test_operations__failures(void **state)
{
    static const struct { struct vector v; enum num_status want; } cases[] = {
        { { "div", "1", "0", "" }, NUM_DIVIDE_BY_ZERO },   { { "div", "1", "0.0", "" }, NUM_DIVIDE_BY_ZERO },
        { { "rem", "1", "0", "" }, NUM_MODULO_BY_ZERO },   { { "rem", "1.5", "2", "" }, NUM_MODULO_FRACTION },
        { { "and", "1.5", "2", "" }, NUM_NOT_INTEGER },    { { "shl", "1", "-1", "" }, NUM_TOO_LARGE },
        { { "shl", "1", "20001", "" }, NUM_TOO_LARGE },    { { "add", "1e5001", "1", "" }, NUM_TOO_LARGE },
        { { "mul", "1e-5001", "1", "" }, NUM_TOO_LARGE },  { { "floor", "1e99999", "1", "" }, NUM_TOO_LARGE },
        { { "mul", "1e5000", "1e5000", "" }, NUM_TOO_LARGE },
    };

    for (size_t i = 0; i < LEN(cases); i++) {
        struct num n;

        if (run(*state, &cases[i].v, &n) != cases[i].want)
            fail_msg("%s %s %s", cases[i].v.op, cases[i].v.x, cases[i].v.y);
    }
}

static void test_operations__without_memory(void **state)
{
    struct arena *small = arena_new(64);
    struct num huge = parse(*state, "9223372036854775807"), n;

    assert_int_equal(num_mul(small, huge, huge, &n), NUM_NO_MEMORY);
    arena_free(small);
}

/* Wherever memory ends: no number, and the reason is memory. */
static void test_arithmetic__every_cap(void **state)
{
    static num_binary *const OPS[] = { num_add, num_sub, num_mul, num_div, num_rem, num_and, num_or, num_xor };
    const char text[] = "123456789012345678901234567890123456789";

    for (size_t op = 0; op < sizeof OPS / sizeof OPS[0]; op++) {
        enum num_status status = NUM_NO_MEMORY;
        for (size_t cap = 64; status == NUM_NO_MEMORY && cap < 100000; cap += 16) {
            struct arena *a = arena_new(cap);
            struct num x, y = num_of(987654321987654321), ret = num_of(0);
            bool read = num_parse(a, text, strlen(text), &x);
            if (read) status = OPS[op](a, x, y, &ret);
            if (!read || status == NUM_NO_MEMORY) assert_true(arena_failed(a));
            arena_free(a);
        }
        assert_int_equal(status, NUM_OK);
    }
}

static void test_digits__in_other_bases(void **state)
{
    struct arena *a = *state;
    static const struct { const char *number; unsigned bits; const char *digits; } rows[] = {
        { "0", 1, "0" }, { "5", 1, "101" }, { "-5", 1, "101" }, { "8", 3, "10" }, { "255", 4, "ff" }, { "511", 3, "777" },
        { "18446744073709551616", 4, "10000000000000000" }, { "18446744073709551615", 3, "1777777777777777777777" },
        { "340282366920938463463374607431768211455", 4, "ffffffffffffffffffffffffffffffff" }, { "2.9", 1, "10" },
    };

    for (size_t i = 0; i < LEN(rows); i++) {
        size_t len = 0;
        const char *digits = num_digits(a, parse(a, rows[i].number), rows[i].bits, &len);

        assert_string_equal(digits, rows[i].digits);
        assert_int_equal(len, strlen(digits));
    }
}

static void test_zeros__that_an_exponent_stands_for(void **state)
{
    struct arena *a = *state;
    static const struct { const char *number; uint32_t zeros; } rows[] = {
        { "7", 0 }, { "700", 0 }, { "1.25", 0 }, { "7e3", 3 }, { "1.25e2", 0 }, { "1.25e3", 1 }, { "1e-3", 2 }, { "0.001", 2 },
        { "1e999999999", 1 << 20 }, { "0e5", 0 },
    };

    for (size_t i = 0; i < LEN(rows); i++)
        if (num_zeros(parse(a, rows[i].number)) != rows[i].zeros)
            fail_msg("%s: %u", rows[i].number, num_zeros(parse(a, rows[i].number)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic__every_cap),
        cmocka_unit_test_setup_teardown(test_parse__keeps_the_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse__refuses_what_json_does, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse__length_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compare__is_by_value, setup, teardown),
        cmocka_unit_test_setup_teardown(test_to_integer__by_value, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from__double, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operations__vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operations__failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_operations__without_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_digits__in_other_bases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_zeros__that_an_exponent_stands_for, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
