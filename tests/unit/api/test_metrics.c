#include "broker/api/metrics.h"
#include "tests/lib/test.h"

#include <ctype.h>
#include <pthread.h>

static struct metrics metrics;
static struct buf out;

static int setup(void **state)
{
    metrics = (struct metrics){0};
    buf_reset(&out);
    return 0;
}

static int teardown(void **state)
{
    buf_free(&out);
    return 0;
}

static void test_metrics_put_one__text(void **state)
{
    metrics_put_one(&out, "strongroom_x", "gauge", "What x is", UINT64_MAX);
    assert_span(buf_span(&out), "# HELP strongroom_x What x is\n# TYPE strongroom_x gauge\n"
                                "strongroom_x 18446744073709551615\n");
}

/* Three lines a counter, all of the same name, which is legal and ends in _total; no labels. */
static void test_metrics_put__text_format(void **state)
{
    static char seen[METRIC_COUNT][80];
    size_t count = 0;
    metrics_put(&metrics, &out);
    for (const char *p = buf_str(&out); *p; count++) {
        char help[80], type[80], name[80], what[16];
        unsigned long long value = 1;
        int n = 0;
        assert_true(count < METRIC_COUNT);
        assert_int_equal(sscanf(p, "# HELP %79s %*[^\n]\n# TYPE %79s %15s\n%79s %llu%n", help, type,
                                what, name, &value, &n), 5);
        assert_string_equal(help, type);
        assert_string_equal(help, name);
        assert_string_equal(what, "counter");
        assert_int_equal(value, 0);
        for (const char *c = name; *c; c++) assert_true(islower((unsigned char) *c) || *c == '_');
        assert_string_equal(name + strlen(name) - 6, "_total");
        for (size_t i = 0; i < count; i++) assert_string_not_equal(seen[i], name);
        snprintf(seen[count], sizeof seen[count], "%s", name);
        assert_int_equal(p[n], '\n');
        p += n + 1;
    }
    assert_int_equal(count, METRIC_COUNT);
}

static void test_metrics_put__names_of_the_reference(void **state)
{
    static const char *const names[] = {
        "kbs_http_requests_total", "kbs_auth_requests_total", "kbs_auth_successes_total",
        "kbs_auth_errors_total", "kbs_attestation_requests_total",
        "kbs_attestation_successes_total", "kbs_attestation_errors_total",
        "kbs_policy_evaluations_total", "kbs_policy_approvals_total",
        "kbs_policy_violations_total", "kbs_resource_reads_total", "kbs_resource_writes_total",
        "kbs_resource_deletes_total",
    };
    metrics_put(&metrics, &out);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[96];
        snprintf(line, sizeof line, "\n%s 0\n", names[i]);
        if (!strstr(buf_str(&out), line)) fail_msg("no %s", names[i]);
    }
}

static void *count_up(void *arg)
{
    for (int i = 0; i < 10000; i++) metric_add(&metrics, METRIC_RELEASES);
    return NULL;
}

static void test_metric_add__from_threads(void **state)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    metrics_put(&metrics, &out);
    assert_non_null(strstr(buf_str(&out), "\nstrongroom_releases_total 40000\n"));
    assert_non_null(strstr(buf_str(&out), "\nstrongroom_failures_total 0\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_metrics_put_one__text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics_put__text_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics_put__names_of_the_reference, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metric_add__from_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
