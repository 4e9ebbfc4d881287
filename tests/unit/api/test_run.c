/* Calls whose work is the token's, on a token that does as the fault module is told. */
#include "tests/unit/api/kit.h"
#include "pkcs11/pace.h"
#include "pkcs11/watch.h"

#include <sched.h>

#define TARGET "/kbs/v0/resource/a/b/c"

static struct visit pending[2];

static struct token_pool_config jobs;

static void open_jobs(void)
{
    assert_ok(job_pool_new_token(&jobs, &kit.jobs));
}

/* Calls beyond so many milliseconds are given up. */
static void open_token_pool(unsigned crypto_ms, unsigned object_ms, bool adaptive)
{
    jobs = (struct token_pool_config){.workers = 2, .adaptive = adaptive, .queue_max = 8,
                                      .crypto_ms = crypto_ms, .object_ms = object_ms};
    put("a/b/c", "value");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    kit_open((struct kit_options){.open_jobs = open_jobs});
    guest_attest();
}

/* However busy this machine is. */
static void seem_fast(void)
{
    token_pace = (struct pace) PACE_INIT;
}

static int setup(void **state)
{
    seem_fast();
    kit_faults("");
    return kit_setup(state);
}

static int teardown(void **state)
{
    if (softhsm_fault_module()) softhsm_fault(&kit.hsm, "");
    assert_true(watch_await_calls(WAIT_SECONDS * 1000));
    job_pool_free(TAKE_PTR(kit.jobs));
    for (size_t i = 0; i < COUNT(pending); i++) kit_visit_end(&pending[i]);
    return kit_teardown(state);
}

static struct ask guests_get(const char *target)
{
    return (struct ask){.target = target, .headers = {kit.cookie}};
}

static void test_call_run__a_fast_token_answers_at_once(void **state)
{
    struct job_stats stats;
    open_token_pool(20000, 20000, true);
    seem_fast();
    assert_true(visit_start(&pending[0], guests_get(TARGET)));
    assert_int_equal(pending[0].x.resp.status, 200);
    seem_fast();
    assert_int_equal(guest_get("/kbs/v0/resource/no/such/thing"), 404);
    job_pool_stats(kit.jobs, &stats);
    assert_int_equal(stats.here, 2);
    assert_int_equal(stats.queued, 0);
}

/* What goes through objects is done by a worker, whatever the token; its body goes along. */
static void test_call_run__writes_go_to_a_worker(void **state)
{
    open_token_pool(20000, 20000, true);
    assert_false(visit_start(&pending[0], (struct ask){.method = "POST", .target = TARGET,
                                                       .local = true, BODY("new")}));
    assert_true(kit_wait(&pending[0].resumed, 1));
    assert_int_equal(pending[0].x.resp.status, 200);
    assert_int_equal(guest_get(TARGET), 200);
    check_released("new");
    assert_int_equal(request_body(&pending[0].x.req).len, 3); /* it came back */
}

static void test_call_run__a_slow_token_answers_later(void **state)
{
    open_token_pool(20000, 20000, true);
    pace_stumble(&token_pace);
    assert_false(visit_start(&pending[0], guests_get(TARGET)));
    assert_true(kit_wait(&pending[0].resumed, 1));
    assert_int_equal(pending[0].x.resp.status, 200);
}

/* The request is answered while its work hangs; what work still holds is gone when it ends. */
static void test_call_run__a_call_that_hangs_is_given_up(void **state)
{
    open_token_pool(50, 50, false);
    kit_faults("C_Decrypt hang\n");
    assert_false(visit_start(&pending[0], guests_get(TARGET)));
    assert_true(kit_wait(&pending[0].resumed, 1));
    assert_int_equal(pending[0].x.resp.status, 503);
    while (!watch_lost()) sched_yield(); /* an earlier call may have been late, and come back */
    check_record("release", "error", "timeout");
    kit_visit_end(&pending[0]); /* the transport forgets it */
    assert_int_equal(ASK("GET", "/healthz"), 200);
    assert_true(metric_now("strongroom_token_calls_hanging") >= 1);
    kit_faults("");
    assert_true(watch_await_calls(WAIT_SECONDS * 1000));
    jobs.crypto_ms = jobs.object_ms = 20000;
    kit_open((struct kit_options){.open_jobs = open_jobs});
    guest_attest();
    assert_int_equal(guest_get(TARGET), 200);
}

static void test_call_run__a_write_that_hangs_keeps_its_body(void **state)
{
    open_token_pool(50, 50, false);
    kit_faults("C_CreateObject hang\n");
    assert_false(visit_start(&pending[0], (struct ask){.method = "POST", .target = TARGET,
                                                       .local = true, BODY("slow")}));
    assert_true(kit_wait(&pending[0].resumed, 1));
    assert_int_equal(pending[0].x.resp.status, 503);
    kit_visit_end(&pending[0]);
    kit_faults("");
    assert_true(watch_await_calls(WAIT_SECONDS * 1000));
    kit_open((struct kit_options){0}); /* the worker has ended by then */
    guest_attest();
    assert_int_equal(guest_get(TARGET), 200);
    check_released("slow");
}

static bool is_record(const char *action, const char *decision)
{
    return strcmp(audit_text("action"), action) == 0 && strcmp(audit_text("decision"), decision) == 0;
}

static bool await_record(const char *action, const char *decision)
{
    uint64_t end = clock_mono_ns() + WAIT_SECONDS * CLOCK_SECOND_NS;
    while (!is_record(action, decision) && clock_mono_ns() < end) sched_yield();
    return is_record(action, decision);
}

/* What is stored after all is in force here as it is for everybody, and recorded. */
static void late_policy(struct ask ask, const char *action)
{
    kit_faults("C_CreateObject hang\n");
    assert_false(visit_start(&pending[0], ask));
    assert_true(kit_wait(&pending[0].resumed, 1));
    assert_int_equal(pending[0].x.resp.status, 503);
    check_record(action, "error", "timeout");
    kit_visit_end(&pending[0]);
    kit_faults("");
    assert_true(await_record(action, "done"));
}

static void test_call_run__a_policy_that_hangs_comes_into_force(void **state)
{
    struct buf body = BUF_INIT;
    policy_body("package policy\ndefault allow = false\n", &body);
    open_token_pool(20000, 50, false);
    late_policy((struct ask){.method = "POST", .target = "/kbs/v0/resource-policy", .local = true,
                             .body = buf_span(&body)}, "set-policy");
    buf_free(&body);
    assert_int_equal(guest_get(TARGET), 403);
    late_policy((struct ask){.method = "POST", .target = "/strongroom/v1/policy/rollback", .local = true,
                             BODY("{\"version\":1}")}, "rollback-policy");
    assert_int_equal(guest_get(TARGET), 200);
}

/* Work that could not write its record has made an error body of its own, which goes with it. */
static void test_call_run__work_without_a_record(void **state)
{
    open_token_pool(20000, 20000, true);
    audit_break();
    assert_false(visit_start(&pending[0], (struct ask){.method = "POST", .target = "/strongroom/v1/keks?next=true",
                                                       .local = true}));
    assert_true(kit_wait(&pending[0].resumed, 1));
    audit_heal();
    assert_int_equal(pending[0].x.resp.status, 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_call_run__a_fast_token_answers_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_run__writes_go_to_a_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_run__a_slow_token_answers_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_run__a_call_that_hangs_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_run__a_write_that_hangs_keeps_its_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_run__a_policy_that_hangs_comes_into_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call_run__work_without_a_record, setup, teardown),
    };
    return cmocka_run_group_tests(tests, kit_token_faults, kit_token_end);
}
