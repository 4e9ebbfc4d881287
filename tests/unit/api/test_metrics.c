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

/* Three lines a counter, all of the same name, which is legal and of its type; no labels. What comes
 * behind them is read by tests/lib/exposition.py. */
static void test_metrics_put__text_format(void **state)
{
    static char seen[METRIC_COUNT][80];
    const char *p;
    metrics_put(&metrics, &out);
    p = buf_str(&out);
    for (size_t count = 0; count < METRIC_COUNT; count++) {
        char help[80], type[80], name[80], what[16];
        unsigned long long value = 1;
        int n = 0;
        assert_int_equal(sscanf(p, "# HELP %79s %*[^\n]\n# TYPE %79s %15s\n%79s %llu%n", help, type,
                                what, name, &value, &n), 5);
        assert_string_equal(help, type);
        assert_string_equal(help, name);
        assert_string_equal(what, count == METRIC_HTTP_ACTIVE ? "gauge" : "counter");
        assert_int_equal(value, 0);
        for (const char *c = name; *c; c++) assert_true(islower((unsigned char) *c) || *c == '_');
        if (count != METRIC_HTTP_ACTIVE) assert_string_equal(name + strlen(name) - 6, "_total");
        for (size_t i = 0; i < count; i++) assert_string_not_equal(seen[i], name);
        snprintf(seen[count], sizeof seen[count], "%s", name);
        assert_int_equal(p[n], '\n');
        p += n + 1;
    }
}

static const char *text(void)
{
    buf_reset(&out);
    metrics_put(&metrics, &out);
    return buf_str(&out);
}

static void check_there(const char *lines)
{
    if (!strstr(text(), lines)) fail_msg("no %s in:\n%s", lines, buf_str(&out));
}

/* Each bound belongs to its bucket; each bucket counts all below it. */
static void test_metric_observe__bounds(void **state)
{
    static const uint64_t sizes[] = {0, 32, 33, 128, 2048, 2049, 8192, 8193, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        metric_observe(&metrics, METRIC_RESPONSE_BYTES, sizes[i]);
    check_there("# TYPE kbs_http_response_size_bytes histogram\n"
                "kbs_http_response_size_bytes_bucket{le=\"32\"} 2\n"
                "kbs_http_response_size_bytes_bucket{le=\"128\"} 4\n"
                "kbs_http_response_size_bytes_bucket{le=\"512\"} 4\n"
                "kbs_http_response_size_bytes_bucket{le=\"2048\"} 5\n"
                "kbs_http_response_size_bytes_bucket{le=\"8192\"} 7\n"
                "kbs_http_response_size_bytes_bucket{le=\"+Inf\"} 9\n"
                "kbs_http_response_size_bytes_sum 4294987970\n"
                "kbs_http_response_size_bytes_count 9\n");
    check_there("kbs_http_request_size_bytes_count 0\n"); /* not where the reference puts them */
}

static void test_metric_observe__nanoseconds_are_told_as_seconds(void **state)
{
    static const uint64_t times[] = {1, 500000, 500001, 999999999, 1000000000, 1000000001};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        metric_observe(&metrics, METRIC_REQUEST_NS, times[i]);
    check_there("kbs_http_request_duration_seconds_bucket{le=\"0.0005\"} 2\n"
                "kbs_http_request_duration_seconds_bucket{le=\"0.001\"} 3\n"
                "kbs_http_request_duration_seconds_bucket{le=\"0.005\"} 3\n"
                "kbs_http_request_duration_seconds_bucket{le=\"0.01\"} 3\n"
                "kbs_http_request_duration_seconds_bucket{le=\"0.05\"} 3\n"
                "kbs_http_request_duration_seconds_bucket{le=\"0.5\"} 3\n"
                "kbs_http_request_duration_seconds_bucket{le=\"1\"} 5\n"
                "kbs_http_request_duration_seconds_bucket{le=\"+Inf\"} 6\n"
                "kbs_http_request_duration_seconds_sum 3.001000002\n"
                "kbs_http_request_duration_seconds_count 6\n");
}

static void test_metric_attested__by_tee(void **state)
{
    metric_attested(&metrics, "sample", true);
    metric_attested(&metrics, "sample", true);
    metric_attested(&metrics, "tdx", false);
    metric_attested(&metrics, "whatever a guest says", false); /* no series of its own */
    check_there("kbs_attestation_successes_total{tee_type=\"sample\"} 2\n");
    check_there("kbs_attestation_successes_total{tee_type=\"tdx\"} 0\n");
    check_there("kbs_attestation_failures_total{tee_type=\"tdx\"} 1\n");
    check_there("kbs_attestation_failures_total{tee_type=\"sample\"} 0\n");
    size_t series = 0;
    for (const char *p = text(); (p = strstr(p, "{tee_type=")); p++) series++;
    assert_int_equal(series, 2 * TEE_COUNT);
    assert_null(strstr(text(), "whatever"));
}

static void test_metrics_put__names_of_the_reference(void **state)
{
    static const char *const names[] = {
        "kbs_http_requests_total", "kbs_auth_requests_total", "kbs_auth_successes_total",
        "kbs_auth_errors_total", "kbs_attestation_requests_total",
        "kbs_attestation_errors_total", "kbs_http_active_connections",
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
    for (int i = 0; i < 10000; i++) {
        metric_add(&metrics, METRIC_RELEASES);
        metric_add(&metrics, METRIC_HTTP_ACTIVE);
        metric_observe(&metrics, METRIC_REQUEST_BYTES, 100);
    }
    return NULL;
}

static void test_metric_add__from_threads(void **state)
{
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (int i = 0; i < 100; i++) { /* a reader meanwhile sees a count that is its last bucket */
        unsigned long long all = 0, count = 1;
        const char *at = strstr(text(), "kbs_http_request_size_bytes_bucket{le=\"+Inf\"}");
        assert_int_equal(sscanf(at, "%*s %llu\n%*s %*u\nkbs_http_request_size_bytes_count %llu",
                                &all, &count), 2);
        assert_int_equal(all, count);
    }
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 39999; i++) metric_take(&metrics, METRIC_HTTP_ACTIVE); /* of other shards */
    assert_non_null(strstr(text(), "\nkbs_http_active_connections 1\n"));
    assert_non_null(strstr(text(), "\nkbs_http_request_size_bytes_count 40000\n"));
    assert_non_null(strstr(buf_str(&out), "\nstrongroom_releases_total 40000\n"));
    assert_non_null(strstr(buf_str(&out), "\nstrongroom_failures_total 0\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_metrics_put_one__text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics_put__text_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics_put__names_of_the_reference, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metric_observe__bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metric_observe__nanoseconds_are_told_as_seconds, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_metric_attested__by_tee, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metric_add__from_threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
