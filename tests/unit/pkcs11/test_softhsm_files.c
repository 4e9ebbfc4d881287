#include "tests/unit/pkcs11/token.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/base/file.h"
#include "pkcs11/softhsm_files.h"

static struct {
    unsigned n;
    char path[600]; /* the last one */
} met;

static err_t meet(void *arg, const char *path)
{
    met.n++;
    snprintf(met.path, sizeof met.path, "%s", path);
    return ERR_OK;
}

static unsigned leftovers(void)
{
    met.n = 0;
    assert_ok(p11_leftovers(token, meet, NULL));
    return met.n;
}

/* A file beside token.object, written so many seconds ago. */
static void place(const char *name, struct span content, int age, char ret[600])
{
    char own[400];
    assert_true(softhsm_find_file(&hsm, "token.object", own, sizeof own));
    *strrchr(own, '/') = '\0';
    snprintf(ret, 600, "%s/%s", own, name);
    FILE *f = fopen(ret, "we");
    assert_non_null(f);
    if (content.len) assert_int_equal(fwrite(content.data, 1, content.len, f), content.len);
    assert_int_equal(fclose(f), 0);
    struct timespec at[2] = {{.tv_sec = clock_now() - age}, {.tv_sec = clock_now() - age}};
    assert_int_equal(utimensat(AT_FDCWD, ret, at, 0), 0);
}

static void test_softhsm_leftovers__empty_and_cut_files(void **state)
{
    static const uint8_t cut[] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    char empty[600], half[600];
    assert_int_equal(leftovers(), 0);
    place("11111111-1111-1111-1111-111111111111.object", span_of(NULL, 0), 100, empty);
    assert_int_equal(leftovers(), 1);
    assert_string_equal(met.path, empty);
    place("22222222-1111-1111-1111-111111111111.object", span_of(cut, sizeof cut), 100, half);
    assert_int_equal(leftovers(), 2);
    unlink(empty);
    unlink(half);
    assert_int_equal(leftovers(), 0);
}

static void test_softhsm_leftovers__not_what_may_be_in_the_making(void **state)
{
    char path[600];
    place("11111111-1111-1111-1111-111111111111.object", span_of(NULL, 0),
          (int) LEFTOVER_SECONDS - 30, path);
    assert_int_equal(leftovers(), 0);
    place("11111111-1111-1111-1111-111111111111.object", span_of(NULL, 0),
          (int) LEFTOVER_SECONDS + 1, path);
    assert_int_equal(leftovers(), 1);
    unlink(path);
}

static void test_softhsm_leftovers__not_what_is_whole_however_old(void **state)
{
    char own[400], path[600];
    _cleanup_buf_ struct buf file = BUF_INIT;
    assert_true(softhsm_find_file(&hsm, "token.object", own, sizeof own));
    assert_ok(file_read(own, 1 << 20, &file));
    place("11111111-1111-1111-1111-111111111111.object", buf_span(&file), 100000, path);
    assert_int_equal(leftovers(), 0);
    unlink(path);
}

static err_t stop(void *arg, const char *path)
{
    FAIL(ERR_INTERNAL, "enough");
}

static void test_p11_leftovers__errors_and_a_token_that_lies_elsewhere(void **state)
{
    char path[600], *conf = strdup(getenv("SOFTHSM2_CONF"));
    place("11111111-1111-1111-1111-111111111111.object", span_of(NULL, 0), 100, path);
    assert_fails(p11_leftovers(token, stop, NULL), ERR_INTERNAL);
    assert_int_equal(leftovers(), 1);
    setenv("SOFTHSM2_CONF", "/nonexistent", 1);
    assert_int_equal(leftovers(), 0);
    setenv("SOFTHSM2_CONF", conf, 1);
    free(conf);
    unlink(path);
}

static void test_softhsm_leftovers__no_such_token(void **state)
{
    assert_fails(softhsm_leftovers(hsm.tokens, "0123456789abcdef", meet, NULL), ERR_NOTFOUND);
    assert_fails(softhsm_leftovers("/nonexistent", p11_serial(token), meet, NULL), ERR_NOTFOUND);
}

static bool is_whole(struct span file)
{
    return softhsm_object_judge(file) == SOFTHSM_WHOLE;
}

/* Whatever SoftHSM wrote is whole; cut anywhere but between two attributes it is not. */
static void test_softhsm_object_judge__real_files_and_their_cuts(void **state)
{
    char path[400];
    _cleanup_buf_ struct buf file = BUF_INIT;
    assert_true(softhsm_find_file(&hsm, "token.object", path, sizeof path));
    assert_ok(file_read(path, 1 << 20, &file));
    assert_true(is_whole(buf_span(&file)));
    size_t whole = 0;
    for (size_t len = 0; len < file.len; len++)
        whole += is_whole(span_of(file.data, len));
    assert_true(whole > 0 && whole < 12); /* it has as many attributes at most */
}

static void test_softhsm_object_judge__lengths_beyond_the_end(void **state)
{
    struct buf b = BUF_INIT;
    static const uint64_t kinds[] = {3, 4, 5};
    for (size_t i = 0; i < 3; i++) {
        buf_reset(&b);
        buf_add_u64(&b, 1);
        buf_add_u64(&b, 0x11);
        buf_add_u64(&b, kinds[i]);
        buf_add_u64(&b, UINT64_C(1) << 61); /* times 8 it would be nothing */
        assert_false(is_whole(buf_span(&b)));
        memset(b.data + b.len - 8, 0, 8);
        assert_true(is_whole(buf_span(&b)));
    }
    buf_free(&b);
}

static void test_softhsm_object_judge__a_length_that_is_damaged(void **state)
{
    static const struct {
        uint64_t kind, length;
        enum softhsm_object is;
    } rows[] = {
        {3, SOFTHSM_VALUE_MAX, SOFTHSM_CUT},
        {3, SOFTHSM_VALUE_MAX + 1, SOFTHSM_DEADLY},
        {3, UINT64_MAX, SOFTHSM_DEADLY},
        {4, UINT64_MAX, SOFTHSM_CUT},
        {5, UINT64_MAX, SOFTHSM_CUT},
    };
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_reset(&b);
        buf_add_u64(&b, 1);
        buf_add_u64(&b, 0x11);
        buf_add_u64(&b, rows[i].kind);
        buf_add_u64(&b, rows[i].length);
        assert_int_equal(softhsm_object_judge(buf_span(&b)), rows[i].is);
    }
    buf_free(&b);
}

static void test_softhsm_check_objects__names_the_file_that_ends_programs(void **state)
{
    static const uint8_t deadly[] = {0, 0, 0, 0, 0, 0, 0, 1,    0, 0, 0, 0, 0, 0, 0, 0x11,
                                     0, 0, 0, 0, 0, 0, 0, 3, 0xff, 0, 0, 0, 0, 0, 0, 1};
    char path[600];
    place("33333333-1111-1111-1111-111111111111.object", span_of(deadly, sizeof deadly), 0, path);
    struct err e = softhsm_check_objects("/usr/lib/softhsm/libsofthsm2.so");
    assert_int_equal(e.code, ERR_DAMAGED);
    assert_non_null(strstr(err_text(e), path));
    assert_ok(softhsm_check_objects("/usr/lib/softhsm.d/libother.so"));
    unlink(path);
    assert_ok(softhsm_check_objects("/usr/lib/softhsm/libsofthsm2.so"));
}

/* It goes on with what it has read. */
static void test_module_restart__not_beside_such_a_file(void **state)
{
    static const uint8_t deadly[] = {0, 0, 0, 0, 0, 0, 0, 1,    0, 0, 0, 0, 0, 0, 0, 0x11,
                                     0, 0, 0, 0, 0, 0, 0, 3, 0xff, 0, 0, 0, 0, 0, 0, 1};
    struct p11_module *m = NULL;
    CK_INFO info;
    char path[600];
    assert_ok(module_load(hsm.module, &m));
    place("33333333-1111-1111-1111-111111111111.object", span_of(deadly, sizeof deadly), 0, path);
    struct err e = module_restart(m, false);
    unlink(path);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(err_text(e), path));
    assert_int_equal(module_fn(m)->C_GetInfo(&info), CKR_OK);
    module_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_softhsm_leftovers__empty_and_cut_files),
        cmocka_unit_test(test_softhsm_leftovers__not_what_may_be_in_the_making),
        cmocka_unit_test(test_softhsm_leftovers__not_what_is_whole_however_old),
        cmocka_unit_test(test_p11_leftovers__errors_and_a_token_that_lies_elsewhere),
        cmocka_unit_test(test_softhsm_leftovers__no_such_token),
        cmocka_unit_test(test_softhsm_object_judge__real_files_and_their_cuts),
        cmocka_unit_test(test_softhsm_object_judge__lengths_beyond_the_end),
        cmocka_unit_test(test_softhsm_object_judge__a_length_that_is_damaged),
        cmocka_unit_test(test_softhsm_check_objects__names_the_file_that_ends_programs),
        cmocka_unit_test(test_module_restart__not_beside_such_a_file),
    };
    return cmocka_run_group_tests(tests, token_bare, token_gone);
}
