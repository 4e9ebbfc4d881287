#include "tests/unit/api/kit.h"

#define TARGET "/kbs/v0/resource/a/b/c"

/* ---- every row of the table, in both ways to tell a status --------------------------------- */

static const char *method_text(enum http_method m)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};
    return names[m];
}

static const char *row_target(const struct endpoint *e)
{
    static char target[64];
    snprintf(target, sizeof target, "%s%s", e->prefix, e->name);
    return target;
}

/* What who shows nothing gets, by the row's access. */
static void check_stranger(const struct endpoint *e)
{
    switch (e->access) {
    case ACCESS_OPEN:
        assert_int_not_equal(response()->status, 404);
        assert_int_not_equal(response()->status, 405);
        break;
    case ACCESS_GUEST: check_error(401, "TokenNotFound", NULL); break;
    case ACCESS_ADMIN_PLUGIN: check_error(401, "AdminAuthInitialization", NULL); break;
    case ACCESS_ADMIN_BUILTIN: check_error(401, "AdminAuthAccess", NULL); break;
    case ACCESS_LOCAL: check_error(404, "InvalidRequestPath", NULL); break;
    }
}

static void test_endpoints__strangers(void **state)
{
    for (int reference = 0; reference < 2; reference++) {
        kit_open((struct kit_options){.reference = reference});
        for (size_t i = 0; i < endpoint_count; i++) {
            ASK(method_text(endpoints[i].method), row_target(&endpoints[i]));
            check_stranger(&endpoints[i]);
        }
    }
}

/* Who may not is told so before a byte of the body is read. */
static void test_endpoints__bodies_of_strangers_are_not_wanted(void **state)
{
    char *big = calloc(1, VALUE_MAX + 1);
    for (size_t i = 0; i < endpoint_count; i++) {
        const struct endpoint *e = &endpoints[i];
        if (e->access == ACCESS_OPEN || e->access == ACCESS_GUEST) continue;
        ASK(method_text(e->method), row_target(e), .body = span_of(big, VALUE_MAX + 1));
        check_stranger(e);
        assert_int_equal(kit.visit.x.body_limit, 0);
    }
    free(big);
}

static void test_endpoints__body_limits(void **state)
{
    char *big = calloc(1, BODY_MESSAGE + 1);
    assert_non_null(big);
    for (int reference = 0; reference < 2; reference++) {
        kit_open((struct kit_options){.reference = reference, .value_max = 200000});
        for (size_t i = 0; i < endpoint_count; i++) {
            const struct endpoint *e = &endpoints[i];
            size_t limit = e->body_limit == BODY_VALUE ? 200000 : e->body_limit;
            ASK(method_text(e->method), row_target(e), .local = true,
                .body = span_of(big, limit + 1));
            check_error(413, "PayloadTooLarge", "payload reached size limit");
            ASK(method_text(e->method), row_target(e), .local = true, .body = span_of(big, limit));
            assert_int_not_equal(response()->status, 413);
            assert_int_equal(kit.visit.x.body_limit, limit);
            /* What strangers may send takes none of the locked memory. */
            assert_int_equal(kit.visit.x.body_public,
                             e->access == ACCESS_OPEN || e->access == ACCESS_GUEST);
        }
    }
    free(big);
}

static void test_endpoints__each_is_found_by_itself(void **state)
{
    for (size_t i = 0; i < endpoint_count; i++) {
        assert_non_null(endpoints[i].decide);
        assert_int_equal(endpoints[i].work != NULL, endpoints[i].finish != NULL);
        for (size_t k = 0; k < i; k++)
            assert_false(endpoints[i].method == endpoints[k].method &&
                         strcmp(endpoints[i].prefix, endpoints[k].prefix) == 0 &&
                         strcmp(endpoints[i].name, endpoints[k].name) == 0);
    }
}

/* ---- what is not in the table -------------------------------------------------------------- */

static void test_route__unknown(void **state)
{
    static const struct { const char *method, *target; int status; const char *detail; } rows[] = {
        {"GET", "/", 404, "no such path"},
        {"GET", "/kbs", 404, "no such path"},
        {"GET", "/kbs/v0", 404, "no such path"},
        {"GET", "/kbs/v1/resource/a/b/c", 404, "no such path"},
        {"GET", "/kbs%2Fv0/resource/a/b/c", 404, "no such path"},
        {"GET", "//kbs/v0/resource/a/b/c", 404, "no such path"},
        {"GET", "/%00", 404, "no such path"},
        {"GET", "/healthz%00", 404, "no such path"},
        {"GET", "/kbs/v0/", 404, "Plugin  not found"},
        {"GET", "/kbs/v0/nebula-ca/x", 404, "Plugin nebula-ca not found"},
        {"POST", "/kbs/v0/sample", 404, "Plugin sample not found"},
        {"GET", "/kbs/v0/Resource/a/b/c", 404, "Plugin Resource not found"},
        {"GET", "/kbs/v0/x%0d%0ay", 404, "Plugin x\\x0d\\x0ay not found"},
        {"GET", "/kbs/v0/x%22", 404, "Plugin x\" not found"},
        /* A built-in with another method falls to the plugins (6.3). */
        {"GET", "/kbs/v0/auth", 404, "Plugin auth not found"},
        {"PUT", "/kbs/v0/resource-policy", 404, "Plugin resource-policy not found"},
        {"DELETE", "/kbs/v0/attest", 404, "Plugin attest not found"},
    };
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        size_t row = i % COUNT(rows);
        if (i == COUNT(rows)) kit_open((struct kit_options){.reference = true});
        ASK(rows[row].method, rows[row].target);
        bool plugin = rows[row].detail[0] == 'P';
        check_error(rows[row].status, plugin ? "PluginNotFound" : "InvalidRequestPath",
                    rows[row].detail);
    }
}

/* The reference's framework answers these, not a plugin (9.2, 15.17). */
static void test_route__other_methods(void **state)
{
    static const struct { const char *method, *target, *allow; int reference; } rows[] = {
        {"HEAD", TARGET, "GET, POST, PUT, DELETE", 405},  {"OPTIONS", TARGET, "GET, POST, PUT, DELETE", 405},
        {"PATCH", TARGET, "GET, POST, PUT, DELETE", 405}, {"get", TARGET, "GET, POST, PUT, DELETE", 405},
        {"POST", "/metrics", "GET", 405},                 {"POST", "/readyz", "GET", 405},
        {"POST", "/strongroom/v1/status", "GET", 405},    {"HEAD", "/healthz", "GET", 404},
        {"POST", "/healthz", "GET", 404},                 {"PATCH", "/healthz", "GET", 404},
    };
    for (int reference = 0; reference < 2; reference++) {
        kit_open((struct kit_options){.reference = reference});
        for (size_t i = 0; i < COUNT(rows); i++) {
            int status = reference ? rows[i].reference : 405;
            ASK(rows[i].method, rows[i].target);
            check_error(status, status == 404 ? "InvalidRequestPath" : "PluginInternalError", NULL);
            if (status == 405) assert_string_equal(header("Allow"), rows[i].allow);
            else assert_null(header("Allow"));
        }
        ASK("HEAD", "/healthz", .local = true); /* told the truth, whatever is configured */
        check_error(405, "PluginInternalError", NULL);
    }
}

static void test_route__a_long_plugin_name_is_cut(void **state)
{
    char target[5000] = "/kbs/v0/";
    memset(target + 8, 'x', sizeof target - 9);
    ASK("GET", target);
    check_error(404, "PluginNotFound", NULL);
    assert_true(strlen(text_at("/detail")) < 200);
}

#define SEGMENTS_TOO_MANY                                                                         \
    "/kbs/v0/resource/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28" \
    "/29/30/31/32"

/* A path that cannot be decoded is no name; but a guest gets its 401 first, or it would never
 * attest (2.7). */
static void test_route__undecodable_paths(void **state)
{
    static const char *const targets[] = {
        TARGET "%00", "/kbs/v0/%00", "/kbs/v0/pkcs11/resource/a/b/%00c", TARGET "?x=%00",
        SEGMENTS_TOO_MANY,
    };
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
    for (size_t i = 0; i < COUNT(targets); i++) {
        ASK("GET", targets[i]);
        check_error(401, "TokenNotFound", NULL);
        guest_get(targets[i]);
        check_error(400, "InvalidRequestPath", NULL);
        ASK("POST", targets[i], .local = true, BODY("v"));
        check_error(400, "InvalidRequestPath", NULL);
        ASK("DELETE", targets[i]);
        check_error(400, "InvalidRequestPath", NULL);
    }
}

static void test_refuse__by_the_server(void **state)
{
    static const struct { int status; const char *variant; int answered; } rows[] = {
        {413, "PayloadTooLarge", 413}, {408, "RequestTimeout", 408}, {503, "Unavailable", 503},
        {0, "Unavailable", 503},
    };
    struct exchange_handler api = api_handler(kit.api);
    for (size_t i = 0; i < COUNT(rows); i++) {
        kit_visit_end(&kit.visit);
        json_free(TAKE_PTR(kit.doc));
        api.refuse(api.ctx, &kit.visit.x, rows[i].status); /* a head was never seen */
        check_error(rows[i].answered, rows[i].variant, NULL);
    }
}

static void test_http_requests__counted_below_kbs(void **state)
{
    ASK("GET", TARGET);
    ASK("GET", "/kbs/v0/unknown");
    ASK("GET", "/kbs");
    ASK("GET", "/healthz");
    ASK("GET", "/strongroom/v1/status");
    assert_int_equal(metric_now("kbs_http_requests_total"), 3);
}

/* ---- jobs on other threads ---------------------------------------------------------------- */

#define WORKERS 2

/* Jobs that hold the workers until they are let go. */
static struct {
    struct job jobs[WORKERS];
    unsigned started, gone;
    bool open;
} gate;
static struct visit visits[8];

static void gate_run(struct job *job)
{
    SCOPED_LOCK(&kit.lock);
    gate.started++;
    pthread_cond_broadcast(&kit.changed);
    while (!gate.open) pthread_cond_wait(&kit.changed, &kit.lock);
}

static void gate_done(struct job *job)
{
    SCOPED_LOCK(&kit.lock);
    gate.gone++;
    pthread_cond_broadcast(&kit.changed);
}

static void gate_close(void)
{
    memset(&gate, 0, sizeof gate);
    for (size_t i = 0; i < WORKERS; i++) {
        gate.jobs[i] = (struct job){.run = gate_run, .done = gate_done};
        assert_int_equal(job_queue(kit.jobs, &gate.jobs[i]), JOB_PENDING);
        assert_true(kit_wait(&gate.started, (unsigned) i + 1));
    }
}

static void gate_open(void)
{
    SCOPED_LOCK(&kit.lock);
    gate.open = true;
    pthread_cond_broadcast(&kit.changed);
}

static void forget_visits(void)
{
    for (size_t i = 0; i < COUNT(visits); i++) kit_visit_end(&visits[i]);
}

static int end_visits(void **state)
{
    gate_open(); /* a failed test may have left it closed */
    job_pool_free(TAKE_PTR(kit.jobs));
    forget_visits();
    return kit_teardown(state);
}

static void open_with_workers(unsigned queue_max)
{
    put("a/b/c", "value");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    kit_open((struct kit_options){.workers = WORKERS, .queue_max = queue_max});
    guest_attest();
}

static unsigned resumed(const struct visit *v)
{
    SCOPED_LOCK(&kit.lock);
    return v->resumed;
}

static struct ask guests_get(const char *target)
{
    return (struct ask){.method = "GET", .target = target, .headers = {kit.cookie}};
}

/* The pool is ended: whatever still wanted to resume has. */
static void check_resumed_once(size_t count)
{
    job_pool_free(TAKE_PTR(kit.jobs));
    for (size_t i = 0; i < count; i++) assert_int_equal(resumed(&visits[i]), 1);
}

static void test_pending__resumed_once_with_the_answer(void **state)
{
    open_with_workers(8);
    gate_close();
    assert_false(visit_start(&visits[0], guests_get(TARGET)));
    assert_false(visit_start(&visits[1], guests_get("/kbs/v0/resource/no/such/thing")));
    assert_false(visit_start(&visits[2], (struct ask){.method = "POST", .target = TARGET,
                                                      .local = true, BODY("new")}));
    assert_int_equal(job_pool_depth(kit.jobs), 3);
    /* What needs no token does not wait for one: refusals, denials, health. */
    ASK("GET", TARGET);
    check_error(401, "TokenNotFound", NULL);
    guest_get("/kbs/v0/resource/bad");
    check_error(400, "InvalidRequestPath", NULL);
    assert_int_equal(ASK("GET", "/healthz"), 200);
    assert_int_equal(metric_now("strongroom_jobs_waiting"), 3);
    for (size_t i = 0; i < 3; i++) assert_int_equal(resumed(&visits[i]), 0);
    gate_open();
    for (size_t i = 0; i < 3; i++) assert_true(kit_wait(&visits[i].resumed, 1));
    assert_int_equal(visits[0].x.resp.status, 200);
    assert_int_equal(visits[1].x.resp.status, 404);
    assert_int_equal(visits[2].x.resp.status, 200);
    check_resumed_once(3);
}

static void test_pending__full_queue_is_503(void **state)
{
    open_with_workers(1);
    gate_close();
    assert_false(visit_start(&visits[0], guests_get(TARGET)));
    json_free(TAKE_PTR(kit.doc));
    assert_true(visit_start(&kit.visit, guests_get(TARGET)));
    check_error(503, "Unavailable", NULL);
    assert_string_equal(header("Retry-After"), "1");
    assert_int_equal(kit.visit.resumed, 0);
    gate_open();
    assert_true(kit_wait(&visits[0].resumed, 1));
    assert_int_equal(visits[0].x.resp.status, 200);
    check_resumed_once(1);
}

/* The deadline is P11_JOB_SECONDS from now; here it is turned back while no worker can look. */
static void test_pending__expired_is_503_and_not_run(void **state)
{
    open_with_workers(8);
    gate_close();
    uint64_t before = clock_mono_ns();
    assert_false(visit_start(&visits[0], (struct ask){.method = "POST", .target = TARGET,
                                                      .local = true, BODY("too late")}));
    struct call *call = visits[0].x.user;
    assert_true(call->job.deadline >= before + P11_JOB_SECONDS * CLOCK_SECOND_NS);
    call->job.deadline = 1;
    assert_false(visit_start(&visits[1], guests_get(TARGET)));
    ((struct call *) visits[1].x.user)->job.deadline = 1;
    gate_open();
    assert_true(kit_wait(&visits[0].resumed, 1));
    assert_true(kit_wait(&visits[1].resumed, 1));
    assert_int_equal(visits[0].x.resp.status, 503);
    assert_int_equal(visits[1].x.resp.status, 503);
    check_resumed_once(2);
    forget_visits();
    kit_open((struct kit_options){0});
    assert_int_equal(ASK("GET", "/strongroom/v1/resource/a/b/c", .local = true), 200);
    assert_span(secret_span(response()->secret_body), "value"); /* nothing was written */
    assert_int_equal(metric_now("kbs_resource_writes_total"), 0);
}

static void test_pending__expired_is_recorded(void **state)
{
    open_with_workers(8);
    struct { struct ask ask; const char *action; } rows[] = {
        {guests_get(TARGET), "release"},
        {{.target = "/strongroom/v1/keks", .local = true}, "keks"},
        {{.target = "/strongroom/v1/keypairs", .local = true}, "keypairs"},
        {{.method = "POST", .target = "/strongroom/v1/keks", .local = true}, "kek-create"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        gate_close();
        assert_false(visit_start(&visits[i], rows[i].ask));
        ((struct call *) visits[i].x.user)->job.deadline = 1;
        gate_open();
        assert_true(kit_wait(&visits[i].resumed, 1));
        assert_true(kit_wait(&gate.gone, WORKERS));
        check_record(rows[i].action, "error", "timeout");
    }
    assert_int_equal(metric_now("strongroom_failures_total"), COUNT(rows));
}

/* An error's chain travels from the worker to where the answer is made. */
static void test_pending__errors_of_work(void **state)
{
    open_with_workers(8);
    ASK("POST", TARGET, .local = true, BODY("v"), HEADERS("If-Match: \"7\""));
    check_error(412, "PreconditionFailed", NULL);
    ASK("GET", "/strongroom/v1/resource/no/such/thing", .local = true);
    check_error(404, "ResourceNotFound", NULL);
    assert_int_equal(ASK("GET", "/strongroom/v1/status", .local = true), 200);
    assert_int_equal(ASK("GET", "/readyz"), 200);
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    guest_get(TARGET);
    check_error(403, "PolicyDeny", NULL);
}

/* ---- many at once ------------------------------------------------------------------------- */

#define GUESTS 3
#define ROUNDS 40

static struct {
    _Atomic unsigned released, denied, other;
} tally;

/* Asserting is for the main thread. */
static void *keep_getting(void *arg)
{
    struct visit v = {0};
    for (int i = 0; i < ROUNDS; i++) {
        if (!visit_start(&v, guests_get(TARGET)) && !kit_wait(&v.resumed, 1)) {
            tally.other++;
            return NULL; /* the visit is still in use somewhere: lost, and reported */
        }
        int status = v.x.resp.status;
        if (status == 200) tally.released++;
        else if (status == 403) tally.denied++;
        else tally.other++;
    }
    kit_visit_end(&v);
    return NULL;
}

/* Guests read while an operator changes policy and value: nobody ever gets anything but the value
 * or a denial, and every answer has its record. */
static void run_storm(unsigned workers)
{
    pthread_t threads[GUESTS];
    put("a/b/c", "value");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    kit_open((struct kit_options){.workers = workers});
    guest_attest();
    memset(&tally, 0, sizeof tally);
    size_t before = audit_count(), changes = 0;
    for (size_t i = 0; i < GUESTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, keep_getting, NULL), 0);
    unsigned wrong = 0;
    for (; changes < 20; changes += 2) {
        wrong += set_policy(changes % 4 ? POLICY_ALLOW_ALL_TEXT : POLICY_DENY_ALL_TEXT) != 200;
        wrong += ASK("POST", TARGET, .local = true, BODY("value")) != 200;
    }
    for (size_t i = 0; i < GUESTS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    assert_int_equal(tally.other, 0);
    assert_int_equal(tally.released + tally.denied, GUESTS * ROUNDS);
    assert_int_equal(audit_count() - before, GUESTS * ROUNDS + changes);
    assert_int_equal(metric_now("strongroom_releases_total"), tally.released);
}

static void test_storm__inline(void **state)
{
    run_storm(0);
}

static void test_storm__on_workers(void **state)
{
    run_storm(WORKERS);
}

#define PENDING_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, end_visits)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_endpoints__strangers),
        KIT_TEST(test_endpoints__bodies_of_strangers_are_not_wanted),
        KIT_TEST(test_endpoints__body_limits),
        KIT_TEST(test_endpoints__each_is_found_by_itself),
        KIT_TEST(test_route__unknown),
        KIT_TEST(test_route__other_methods),
        KIT_TEST(test_route__a_long_plugin_name_is_cut),
        KIT_TEST(test_route__undecodable_paths),
        KIT_TEST(test_refuse__by_the_server),
        KIT_TEST(test_http_requests__counted_below_kbs),
        PENDING_TEST(test_pending__resumed_once_with_the_answer),
        PENDING_TEST(test_pending__full_queue_is_503),
        PENDING_TEST(test_pending__expired_is_503_and_not_run),
        PENDING_TEST(test_pending__expired_is_recorded),
        PENDING_TEST(test_pending__errors_of_work),
        PENDING_TEST(test_storm__inline),
        PENDING_TEST(test_storm__on_workers),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}
