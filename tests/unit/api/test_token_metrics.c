#include "tests/lib/test.h"

#include "broker/api/token_metrics.h"
#include "pkcs11/watch.h"

static struct buf text;

static uint64_t value(const char *name)
{
    const char *at = strstr(buf_str(&text), name);
    if (!at) fail_msg("%s is missing: %s", name, buf_str(&text));
    return strtoull(at + strlen(name), NULL, 10);
}

static void run(struct job *job) { }

static void tell(struct job_pool *pool)
{
    buf_reset(&text);
    token_metrics_put(pool, &text);
    assert_ok(buf_ok(&text));
}

static void test_token_metrics_put__counts_jobs_and_calls(void **state)
{
    struct job job = {.run = run};
    struct job_pool *pool = NULL;
    assert_ok(job_pool_new(0, 1, &pool));
    tell(pool);
    uint64_t calls = value("strongroom_token_object_seconds_count ");
    assert_true(job_run_here(pool, &job));
    watch_begin(WATCH_OBJECT);
    watch_end();
    tell(pool);
    assert_int_equal(value("strongroom_jobs_total{where=\"here\"} "), 1);
    assert_int_equal(value("strongroom_jobs_total{where=\"worker\"} "), 0);
    assert_int_equal(value("strongroom_jobs_waiting "), 0);
    assert_int_equal(value("strongroom_token_object_seconds_count "), calls + 1);
    assert_int_equal(value("strongroom_token_object_seconds_bucket{le=\"+Inf\"} "), calls + 1);
    assert_int_equal(value("strongroom_token_calls_hanging "), 0);
    job_pool_free(pool);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_token_metrics_put__counts_jobs_and_calls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
