#include "broker/base/secret.h"
#include "tests/lib/test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUDGET (64u * 1024)

static int setup(void **state)
{
    return err_ok(secret_init(BUDGET, true, true)) ? 0 : -1;
}

static int teardown(void **state)
{
    secret_shutdown(); /* aborts when a test leaves a block behind */
    return 0;
}

static void test_new__zeroed_and_reused_wiped(void **state)
{
    struct secret *s = NULL;
    assert_ok(secret_copy(SPAN_LIT("top secret"), &s));
    uint8_t *at = secret_data(s);
    secret_free(s);
    assert_int_equal(at[0], 0); /* the arena stays mapped: what was there is gone */
    assert_int_equal(at[9], 0);
    for (int i = 0; i < 200; i++) {
        assert_ok(secret_new(1000, &s));
        for (size_t k = 0; k < 1000; k++) assert_int_equal(secret_data(s)[k], 0);
        secret_data(s)[i] = 0xff;
        secret_free(s);
    }
}

static void test_shrink__wipes_the_tail(void **state)
{
    struct secret *s = NULL;
    assert_ok(secret_copy(SPAN_LIT("0123456789"), &s));
    secret_shrink(s, 3);
    assert_span(secret_span(s), "012");
    for (int i = 3; i < 10; i++) assert_int_equal(secret_data(s)[i], 0);
    secret_free(s);
}

static void test_budget__spent_is_busy_and_comes_back(void **state)
{
    struct secret *all[200];
    int n = 0;
    struct err e = ERR_OK;
    while (n < 200 && err_ok(e = secret_new(511, &all[n]))) n++;
    assert_int_equal(e.code, ERR_BUSY);
    assert_int_equal(n, BUDGET / 512);
    assert_int_equal(secret_used(), BUDGET);
    secret_free(all[--n]);
    assert_ok(secret_new(1, &all[n++]));
    while (n > 0) secret_free(all[--n]);
    assert_int_equal(secret_used(), 0);
    struct secret *big = NULL;
    assert_ok(secret_new(BUDGET - 1, &big)); /* one run again, nothing is fragmented for good */
    secret_free(big);
    assert_fails(secret_new(BUDGET, &big), ERR_BUSY);
}

static void test_empty__is_legal(void **state)
{
    struct secret *s = NULL;
    assert_ok(secret_new(0, &s));
    assert_int_equal(secret_len(s), 0);
    secret_free(s);
    secret_free(NULL);
    assert_int_equal(secret_span(NULL).len, 0);
}

static void test_fork__child_sees_zeros(void **state)
{
    struct secret *s = NULL;
    assert_ok(secret_copy(SPAN_LIT("parent only"), &s));
    pid_t pid = fork();
    if (pid == 0) _exit(secret_data(s)[0] == 0 ? 0 : 1);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_span(secret_span(s), "parent only");
    secret_free(s);
}

static void test_equal(void **state)
{
    assert_true(secret_equal(SPAN_LIT("abc"), SPAN_LIT("abc")));
    assert_false(secret_equal(SPAN_LIT("abc"), SPAN_LIT("abd")));
    assert_false(secret_equal(SPAN_LIT("abc"), SPAN_LIT("ab")));
    assert_true(secret_equal(span_of(NULL, 0), span_of(NULL, 0)));
}

static void test_buf__grows_to_its_limit(void **state)
{
    struct secret_buf b = {.max = 10000};
    char block[1000];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 10; i++) assert_ok(secret_buf_add(&b, block, sizeof block));
    assert_fails(secret_buf_add(&b, block, 1), ERR_TOOLARGE);
    struct secret *s = secret_buf_steal(&b);
    assert_int_equal(secret_len(s), 10000);
    secret_free(s);
    s = secret_buf_steal(&b); /* nothing was added: empty, not NULL */
    assert_int_equal(secret_len(s), 0);
    secret_free(s);
    assert_fails(secret_buf_reserve(&b, 10001), ERR_TOOLARGE);
    secret_buf_free(&b);
}

/* Beside the 16 KiB that are there, 32 KiB more fit nowhere; the few bytes that are needed do. */
static void test_buf__grows_by_less_when_memory_is_short(void **state)
{
    struct secret_buf b = {.max = BUDGET};
    struct secret *other = NULL;
    uint8_t block[500];
    memset(block, 'g', sizeof block);
    secret_shutdown(); /* so that it is known which places are tried */
    assert_ok(secret_init(BUDGET, true, true));
    assert_ok(secret_new(15000, &other));
    while (b.len < 17000) assert_ok(secret_buf_add(&b, block, sizeof block));
    while (err_ok(secret_buf_add(&b, block, sizeof block))) assert_true(b.len < BUDGET);
    assert_true(b.len >= 17000); /* a failure leaves what is there */
    for (size_t i = 0; i < b.len; i++) assert_int_equal(secret_data(b.block)[i], 'g');
    secret_free(other);
    secret_buf_free(&b);
}

static void *churn(void *arg)
{
    for (int i = 0; i < 500; i++) {
        struct secret *s = NULL;
        if (!err_ok(secret_new((size_t) (i % 3) * 600, &s))) continue; /* another took the last */
        if (secret_len(s)) secret_data(s)[0] = 1;
        secret_free(s);
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    assert_int_equal(secret_used(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new__zeroed_and_reused_wiped),
        cmocka_unit_test(test_shrink__wipes_the_tail),
        cmocka_unit_test(test_budget__spent_is_busy_and_comes_back),
        cmocka_unit_test(test_empty__is_legal),
        cmocka_unit_test(test_fork__child_sees_zeros),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_buf__grows_to_its_limit),
        cmocka_unit_test(test_buf__grows_by_less_when_memory_is_short),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
