#include "broker/api/key_health.h"
#include "tests/lib/vectors.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/jose/key_source.h"

#include <unistd.h>

/* One set in a file, one server that is not there, and an operator's key: two of three are read. */
static struct attest *attest;
static struct admin *admin;
static struct api_config config;
static struct buf out;

static int setup(void **state)
{
    char set[] = "/tmp/strongroom-set-XXXXXX", pem[512];
    static const char text[] = "{\"keys\":[]}";
    int fd = mkstemp(set);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    log_set_level(LOG_LEVEL_ERROR);
    const char *sets[] = {set, "http://127.0.0.1:1/jwks"};
    struct attest_config guests = {.trusted_jwk_sets = sets, .trusted_jwk_set_count = 2};
    struct admin_provider provider = {
        .public_key_uri = vector_path("kbs/keys/admin-ed25519.pub", pem)};
    struct admin_config operators = {.mode = ADMIN_AUTHENTICATED, .providers = &provider,
                                     .provider_count = 1};
    assert_ok(attest_new(&guests, &attest));
    assert_ok(admin_new(&operators, &admin));
    unlink(set);
    key_sources_wait(attest_keys(attest), clock_mono_ns() + 60 * CLOCK_SECOND_NS);
    config = (struct api_config){.attest = attest, .admin = admin};
    return 0;
}

static int teardown(void **state)
{
    admin_free(admin);
    attest_free(attest);
    buf_free(&out);
    return 0;
}

static void has_line(const char *line)
{
    if (!strstr(buf_str(&out), line)) fail_msg("no line \"%s\" in:\n%s", line, buf_str(&out));
}

static void test_key_health_metrics__series(void **state)
{
    key_health_metrics(&config, &out);
    has_line("# TYPE strongroom_key_refreshes_total counter\n");
    has_line("strongroom_key_refreshes_total{source=\"attestation_token.trusted_jwk_sets[0]\"} 1\n");
    has_line("strongroom_key_refreshes_total{source=\"identity_providers[0].public_key_uri\"} 1\n");
    has_line("strongroom_key_failures_total{source=\"attestation_token.trusted_jwk_sets[0]\"} 0\n");
    has_line("strongroom_key_failures_total{source=\"attestation_token.trusted_jwk_sets[1]\"} 1\n");
    has_line("strongroom_keys{source=\"attestation_token.trusted_jwk_sets[0]\"} 0\n");
    has_line("strongroom_keys{source=\"identity_providers[0].public_key_uri\"} 1\n");
    has_line("strongroom_key_age_seconds{source=\"attestation_token.trusted_jwk_sets[0]\"} ");
    /* What was never read has no age. */
    assert_null(strstr(buf_str(&out), "age_seconds{source=\"attestation_token.trusted_jwk_sets[1]"));
    const char *type = strstr(buf_str(&out), "# TYPE strongroom_keys ");
    assert_non_null(type);
    assert_null(strstr(type + 1, "# TYPE strongroom_keys ")); /* once, before its series */
}

static void test_key_health_metrics__no_source(void **state)
{
    key_health_metrics(&(struct api_config){0}, &out);
    assert_int_equal(out.len, 0);
    assert_int_equal(key_health_missing(&(struct api_config){0}), 0);
}

static void test_key_health_missing__counts(void **state)
{
    assert_int_equal(key_health_missing(&config), 1);
    assert_int_equal(key_health_missing(&(struct api_config){.admin = admin}), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_key_health_metrics__series),
        TEST(test_key_health_metrics__no_source),
        TEST(test_key_health_missing__counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
