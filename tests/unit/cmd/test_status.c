/* strongroom status, beside a broker in this process that serves its admin socket. */
#include "broker/cmd/cmd.h"

#include <sys/prctl.h>

#include "broker/base/json.h"
#include "broker/cmd/broker.h"
#include "broker/http/server.h"
#include "tests/lib/softhsm.h"
#include "tests/unit/cmd/aside.h"

static const struct command STATUS = {.name = "status", .run = cmd_status};

static struct {
    struct softhsm hsm;
    char config_file[400];
    struct config *config;
    struct broker broker;
    struct http_server *server;
    struct exchange_handler handler;
    struct aside out;
} fx;

static int setup(void **state)
{
    char text[2048];
    memset(&fx, 0, sizeof fx);
    if (softhsm_start(&fx.hsm, "asked") || softhsm_fault(&fx.hsm, "")) return -1;
    snprintf(text, sizeof text,
             "http_server: {sockets: [], admin_socket: \"%1$s/admin.sock\"}\n"
             "token: {module: \"%2$s\", uri: \"%3$s\", pin_source: \"file:%4$s\", isolation: in-process}\n"
             "admin: {authorization_mode: DenyAll}\n"
             "audit: {file: \"%1$s/audit.jsonl\"}\n"
             "process: {state_dir: \"%1$s/state\", run_dir: \"%1$s/run\", memory_lock: best-effort}\n",
             fx.hsm.dir, softhsm_fault_module(), fx.hsm.uri, fx.hsm.pin_file);
    softhsm_write(&fx.hsm, "strongroom.yaml", text, 0600, fx.config_file, sizeof fx.config_file);
    assert_ok(config_load(fx.config_file, &fx.config));
    return 0;
}

static void serve(void)
{
    struct http_config http = {.admin_socket = fx.config->http_admin_socket, .threads = 1};
    assert_ok(broker_open(fx.config, "test", false, &fx.broker));
    fx.handler = api_handler(fx.broker.api);
    assert_ok(http_server_start(&http, &fx.handler, &fx.server));
}

static int teardown(void **state)
{
    aside_end(&fx.out);
    if (fx.server) http_server_stop(fx.server, 10000);
    broker_close(&fx.broker);
    config_free(fx.config);
    prctl(PR_SET_DUMPABLE, 1); /* opening the broker took it away, and the search for leaks needs it */
    return softhsm_stop(&fx.hsm);
}

/* Runs it; what it printed is text_of(path). */
static struct err run(const char *format, char path[400])
{
    char *argv[] = {"status", "-c", fx.config_file, "--format", (char *) format, NULL};
    aside_begin(&fx.out, STDOUT_FILENO, fx.hsm.dir);
    snprintf(path, 400, "%s", fx.out.path);
    struct err e = cmd_status(&STATUS, 5, argv);
    aside_end(&fx.out);
    return e;
}

static void ignore(void *arg, const struct p11_status *now)
{
}

static struct err came_back(void *arg)
{
    return ERR_OK;
}

/* The token fails so, and was looked at; this thread keeps it. */
static void fail_with(const char *rules)
{
    const struct p11_keeper keeper = {.came_back = came_back, .changed = ignore};
    softhsm_fault(&fx.hsm, rules);
    p11_hurry(fx.broker.token);
    assert_true(p11_await(fx.broker.token));
    p11_tend(fx.broker.token, &keeper);
}

static void assert_printed(const char *path, const char *part)
{
    if (!strstr(text_of(path), part)) fail_msg("\"%s\" is not in:\n%s", part, text_of(path));
}

static void test_status__up(void **state)
{
    char path[400];
    serve();
    assert_ok(run("table", path));
    assert_printed(path, "token      asked (serial ");
    assert_printed(path, "state      up since 20");
    assert_printed(path, "policy     none, version 0\n");
    assert_printed(path, "resources  0, and 0 damaged\n");
    assert_null(strstr(text_of(path), "next "));
    assert_null(strstr(text_of(path), "reason "));
    assert_ok(run("json", path));
    struct json_doc *doc = NULL;
    const char *text = text_of(path);
    assert_ok(json_parse(span_of(text, strcspn(text, "\n")), &doc));
    assert_string_equal(json_string(json_pointer(json_root(doc), "/token/state")), "up");
    json_free(doc);
}

static void test_status__waiting(void **state)
{
    char path[400];
    serve();
    fail_with("token unplugged");
    assert_fails_with(run("table", path), ERR_TOKEN_DOWN, "brought back as soon as that goes");
    assert_printed(path, "state      waiting since 20");
    assert_printed(path, "reason     ");
    assert_printed(path, "next       restart at 20");
    assert_printed(path, ", after 1 tries\n");
    assert_fails(run("json", path), ERR_TOKEN_DOWN);
    assert_printed(path, "\"state\":\"waiting\"");
    softhsm_fault(&fx.hsm, "");
}

static void test_status__human(void **state)
{
    char path[400];
    serve();
    fail_with("sessions drop\nC_Login rv=0xa0");
    assert_fails_with(run("table", path), ERR_HUMAN, "a person must act");
    assert_printed(path, "state      human since 20");
    assert_printed(path, "PIN");
    softhsm_fault(&fx.hsm, "");
}

static void test_status__without_a_broker(void **state)
{
    char path[400];
    assert_fails_with(run("table", path), ERR_TOKEN_DOWN, "no broker answers");
    assert_string_equal(text_of(path), "");
    assert_fails(run("yaml", path), ERR_USAGE);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_status__up), CASE(test_status__waiting), CASE(test_status__human),
        CASE(test_status__without_a_broker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
