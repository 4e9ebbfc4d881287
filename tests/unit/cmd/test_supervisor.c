/* The token's life as log and record tell it, and the store that looks again. */
#include "broker/cmd/supervisor.h"

#include <sched.h>

#include "tests/lib/softhsm.h"
#include "tests/unit/cmd/aside.h"

static struct {
    struct softhsm hsm;
    struct p11 *token;
    struct store *store;
    struct audit *audit;
    struct supervisor *supervisor;
    struct aside log;
    char record[400];
} fx;

static int setup(void **state)
{
    struct p11_kek_info kek;
    memset(&fx, 0, sizeof fx);
    if (softhsm_start(&fx.hsm, "supervised") || softhsm_fault(&fx.hsm, "")) return -1;
    struct p11_config config = {.module = softhsm_fault_module(), .token_uri = fx.hsm.uri,
                                .pin_source = fx.hsm.pin_file, .state_dir = fx.hsm.state};
    assert_ok(p11_open(&config, &fx.token));
    assert_ok(p11_kek_create(fx.token, false, &kek));
    struct store_config store = {.token = fx.token, .keep_versions = 1, .writable = true};
    assert_ok(store_open(&store, &fx.store));
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("value")};
    uint64_t version = 0;
    assert_ok(store_put(fx.store, &put, &version));
    snprintf(fx.record, sizeof fx.record, "%s/audit.jsonl", fx.hsm.dir);
    assert_ok(audit_open(fx.record, AUDIT_SYNC_NONE, p11_serial(fx.token), &fx.audit));
    aside_begin(&fx.log, STDERR_FILENO, fx.hsm.dir);
    assert_ok(supervisor_start(fx.token, fx.store, fx.audit, &fx.supervisor));
    return 0;
}

static int teardown(void **state)
{
    supervisor_stop(fx.supervisor);
    aside_end(&fx.log);
    audit_close(fx.audit);
    if (fx.store) store_close(fx.store);
    p11_close(fx.token);
    return softhsm_stop(&fx.hsm);
}

static void assert_logged(const char *part)
{
    if (!strstr(text_of(fx.log.path), part)) fail_msg("\"%s\" is not in:\n%s", part, text_of(fx.log.path));
}

/* The record is written after the log line. */
static void await_record(const char *action)
{
    char part[64];
    snprintf(part, sizeof part, "\"action\":\"%s\"", action);
    while (!strstr(text_of(fx.record), part)) sched_yield();
}

/* The n-th record of the token's life, from 0 on. */
static void assert_record(int n, const char *action, const char *decision, const char *reason)
{
    char parts[3][96];
    const char *line = text_of(fx.record);
    snprintf(parts[0], sizeof parts[0], "\"action\":\"%s\"", action);
    snprintf(parts[1], sizeof parts[1], "\"decision\":\"%s\"", decision);
    snprintf(parts[2], sizeof parts[2], "\"reason\":\"%s\"", reason);
    for (int i = 0; (line = strstr(line, "\"action\":\"token-")) && i < n; i++) line++;
    if (!line) fail_msg("no record of %s", action);
    char one[1024];
    snprintf(one, sizeof one, "%.*s", (int) strcspn(line, "\n"), line);
    for (int i = 0; i < (reason[0] ? 3 : 2); i++)
        if (!strstr(one, parts[i])) fail_msg("%s is not in %s", parts[i], one);
}

static void assert_value(void)
{
    struct secret *value = NULL;
    struct store_entry entry = {0};
    assert_ok(store_get(fx.store, ENVELOPE_RESOURCE, "a/b/c", &value, &entry));
    assert_span(secret_span(value), "value");
    secret_free(value);
}

static void test_supervisor__down_and_back(void **state)
{
    uint64_t rescans = store_rescans(fx.store);
    softhsm_fault(&fx.hsm, "sessions drop");
    p11_hurry(fx.token);
    await_record("token-back");
    softhsm_fault(&fx.hsm, "");
    assert_record(0, "token-down", "error", "token-down");
    assert_record(1, "token-back", "done", "");
    assert_logged("error token.down token=supervised why=");
    assert_logged("next=login");
    assert_logged("info token.back token=supervised away_ms=");
    assert_true(store_rescans(fx.store) > rescans); /* its handles were void */
    assert_value();
}

static void test_supervisor__waits_for_the_next_try(void **state)
{
    softhsm_fault(&fx.hsm, "token unplugged");
    p11_hurry(fx.token);
    await_record("token-waiting");
    assert_record(0, "token-down", "error", "token-down");
    assert_record(1, "token-waiting", "error", "token-down");
    assert_logged("error token.waiting token=supervised");
    assert_logged("next=restart next_in_ms=");
    softhsm_fault(&fx.hsm, "");
    p11_hurry(fx.token);
    await_record("token-back");
    assert_record(2, "token-back", "done", "");
    assert_value();
}

static void test_supervisor__a_person_must_act(void **state)
{
    softhsm_fault(&fx.hsm, "sessions drop\nC_Login rv=0xa0");
    p11_hurry(fx.token);
    await_record("token-login");
    assert_record(1, "token-login", "deny", "needs-a-person");
    assert_logged("error token.needs-a-person token=supervised");
    assert_null(strstr(text_of(fx.log.path), SOFTHSM_PIN));
}

/* The keeper waits for its next try; a stop does not. */
static void test_supervisor_stop__while_the_token_is_away(void **state)
{
    softhsm_fault(&fx.hsm, "token unplugged");
    p11_hurry(fx.token);
    await_record("token-waiting");
    supervisor_stop(TAKE_PTR(fx.supervisor));
    softhsm_fault(&fx.hsm, "");
    p11_hurry(fx.token);
    assert_null(strstr(text_of(fx.record), "token-back"));
    supervisor_stop(NULL);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_supervisor__down_and_back),
        CASE(test_supervisor__waits_for_the_next_try),
        CASE(test_supervisor__a_person_must_act),
        CASE(test_supervisor_stop__while_the_token_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
