#include "broker/cmd/daemon.h"

#include "broker/api/metrics.h"
#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/cmd/broker.h"
#include "broker/cmd/early_stop.h"
#include "broker/cmd/stop_limit.h"
#include "broker/cmd/supervisor.h"
#include "broker/config/config_check.h"
#include "broker/http/server.h"
#include "broker/store/scrub.h"
#include "pkcs11/watch.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#define NOTIFY(text) sd_notify(0, text)
#else
#define NOTIFY(text) ((void) 0)
#endif

#define GRACE_MS 10000u /* for requests under way when the broker is told to stop */

void daemon_warn_of_plain(const struct config *c)
{
    for (size_t i = 0; i < c->http_socket_count && !c->http_tls.certificate; i++)
        if (!c->http_insecure && !config_is_loopback(c->http_sockets[i]))
            log_warn("http.plain", LOG_S("socket", c->http_sockets[i]),
                     LOG_S("what", "PLAIN HTTP on an address that others can reach: operators' "
                                   "tokens and what they upload can be read on the way"),
                     LOG_S("hint", "give http_server.private_key and certificate, or say "
                                   "insecure_http: true where a TLS terminator stands before it"));
}

static err_t start_server(const struct config *c, struct broker *b,
                          struct exchange_handler *handler, struct http_server **ret)
{
    struct http_config config = {
        .sockets = (const char *const *) c->http_sockets, .socket_count = c->http_socket_count,
        .probe_sockets = (const char *const *) c->http_probe_sockets,
        .probe_socket_count = c->http_probe_socket_count,
        .admin_socket = c->http_admin_socket, .threads = c->http_threads,
        .max_connections = c->http_max_connections,
        .max_connections_per_ip = c->http_max_connections_per_ip,
        .head_seconds = c->http_head_seconds, .body_seconds = c->http_body_seconds,
        .idle_seconds = c->http_idle_seconds, .request_seconds = c->http_request_seconds,
        .handshake_seconds = c->http_handshake_seconds, .head_bytes = c->http_head_bytes, .tls = c->http_tls,
    };
    daemon_warn_of_plain(c);
    *handler = api_handler(b->api);
    return http_server_start(&config, handler, ret);
}

static void put_connections(void *server, struct buf *out)
{
    struct http_stats s = {0};
    http_server_stats(server, &s);
    metrics_put_one(out, "strongroom_connections", "gauge", "Open connections", s.open);
    metrics_put_one(out, "strongroom_connections_total", "counter", "Connections accepted",
                    s.accepted);
    metrics_put_one(out, "strongroom_connections_refused_total", "counter",
                    "Connections beyond the limits, answered 503", s.refused_busy);
    metrics_put_one(out, "strongroom_malformed_requests_total", "counter",
                    "Requests refused for their form", s.refused_malformed);
    metrics_put_one(out, "strongroom_timeouts_total", "counter",
                    "Requests and connections cut for being late", s.timed_out);
    metrics_put_one(out, "strongroom_token_helper_starts_total", "counter",
                    "Helper processes of the token that were started; 0 without isolation",
                    p11_helper_stats().starts);
}

static void rotate_audit(struct audit *a)
{
    bool changed = false;
    struct err e = audit_reopen(a, &changed);
    if (!err_ok(e)) log_err(e, "audit.not-rotated", LOG_S("effect", "the old file stays in use"));
}

static void wait_for_end(struct broker *b, struct http_server *server, const sigset_t *signals,
                         const struct daemon_hooks *hooks)
{
    for (;;) {
        int signal = 0;
        sigwait(signals, &signal);
        /* Without anything to reload, SIGHUP is that of a terminal that was closed. */
        if (signal != SIGHUP || !hooks->reload) {
            log_info("stopping", LOG_S("signal", signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : "SIGHUP"));
            return;
        }
        NOTIFY("RELOADING=1");
        rotate_audit(b->audit);
        broker_refresh_keys(b);
        p11_hurry(b->token); /* a PIN may have been corrected, or a token unlocked */
        hooks->reload(hooks->arg, server);
        NOTIFY("READY=1");
    }
}

/* The record of the start is written by audit_open. */
static void record_stop(struct audit *a, const char *decision)
{
    struct audit_event event = {.action = "stop", .decision = decision};
    struct err e = audit_write(a, &event);
    if (!err_ok(e)) log_err(e, "audit.failed", LOG_S("action", "stop"));
}

static atomic_flag recorded = ATOMIC_FLAG_INIT; /* how it stops, or is about to be */

/* Requests still run, in a token that does not answer, or threads of our own: what they use cannot be freed
 * under them, nor can anybody be waited for who asks that token too. The kernel takes everything back, the
 * lock included. `a` NULL: it is not open yet. */
static _Noreturn void end_at_once(struct audit *a)
{
    if (a && !atomic_flag_test_and_set(&recorded)) record_stop(a, "error");
    log_error("stop.unfinished", LOG_S("why", "calls do not end; does the token hang?"),
              LOG_S("effect", "the process ends at once, requests under way are not answered"));
    _exit(err_exit_code(ERR_TOKEN_DOWN));
}

static void end_in_order(struct broker *b)
{
    broker_stop(b);
    while (atomic_flag_test_and_set(&recorded)) pause(); /* another thread ends the process */
    record_stop(b->audit, "done");
    broker_close(b);
    stop_limit_end();
}

static void stop_is_over(void *audit)
{
    end_at_once(audit);
}

static void start_is_over(void)
{
    end_at_once(NULL);
}

/* Nothing gives up a call of a start: somebody may be at the token's key pad. */
static void start_takes_long(void)
{
    const char *what = NULL;
    uint64_t ms = watch_longest(&what) / (CLOCK_SECOND_NS / 1000);
    if (ms < START_TELL_SECONDS * 1000) log_info("starting", LOG_S("effect", "not ready yet"));
    else
        log_warn("starting", LOG_S("call", what), LOG_U("ms", ms),
                 LOG_S("why", "the PKCS#11 module does not return from this call"));
}

static void limit_stop(struct broker *b)
{
    struct err e = stop_limit_start(STOP_SECONDS * 1000, stop_is_over, b->audit);
    if (!err_ok(e)) log_warn_err(e, "stop.unlimited");
}

/* systemd.exec(5). A shell of a terminal inherits both from the service that the terminal is of; only a service
 * finds itself in the second, which systemd before 248 does not set. */
static bool is_service(void)
{
    const char *pid = getenv("SYSTEMD_EXEC_PID");
    return getenv("INVOCATION_ID") && (!pid || strtol(pid, NULL, 10) == getpid());
}

/* Who starts this program again when it ends: a service manager, or the runtime of a container that it is
 * the first process of. */
static bool is_started_again(void)
{
    return getenv("NOTIFY_SOCKET") || is_service() || getpid() == 1;
}

static atomic_bool hopeless;

/* By the watcher of calls. Without anybody who starts the program again it goes on, since what needs no token
 * is still served. */
static void token_hangs(void *arg)
{
    if (!is_started_again()) {
        log_error("restart-needed", LOG_S("what", "requests for the token are answered 503 until its module "
                                                  "returns; restart this program"));
        return;
    }
    atomic_store(&hopeless, true);
    kill(getpid(), SIGTERM);
}

static err_t serve(const struct config *config, struct broker *b, const sigset_t *signals,
                   const struct daemon_hooks *hooks)
{
    struct exchange_handler handler;
    struct http_server *server = NULL;
    struct supervisor *supervisor = NULL;
    TRY(start_server(config, b, &handler, &server));
    const struct api_source connections = {put_connections, server}; /* asked by the server alone */
    api_add_metrics(b->api, &connections);
    char url[128];
    const char *address = http_server_address(server, 0);
    const char *scheme = config->http_tls.certificate ? "https://" : "http://";
    snprintf(url, sizeof url, "%s%s", address ? scheme : "unix:",
             address ? address : config->http_admin_socket);
    for (size_t i = 0; (address = http_server_address(server, config->http_socket_count + i)); i++)
        log_info("serving.probes", LOG_S("socket", address));
    log_info("serving", LOG_S("url", url), LOG_S("token", p11_label(b->token)),
             LOG_S("serial", p11_serial(b->token)), LOG_S("suite", p11_suite_text(b->token)),
             LOG_S("store", p11_place_text(b->token)));
    watch_on_hopeless(token_hangs, NULL);
    struct err e = supervisor_start(b->token, b->store, b->audit, &supervisor);
    const struct scrub_config scrub = {.rate = config->storage_scrub_rate,
                                       .pause_seconds = config->storage_scrub_pause_seconds};
    if (err_ok(e)) e = scrub_start(b->store, &scrub);
    if (err_ok(e) && hooks->ready) e = hooks->ready(hooks->arg, url);
    if (err_ok(e)) {
        NOTIFY("READY=1");
        wait_for_end(b, server, signals, hooks);
    }
    NOTIFY("STOPPING=1");
    limit_stop(b);
    if (b->service) as_service_stop_in(b->service, GRACE_MS); /* its time may be longer than ours */
    bool ended = http_server_stop(server, GRACE_MS);
    watch_on_hopeless(NULL, NULL);
    /* A call that hangs may be of any thread, and would be waited for. */
    if (!ended || atomic_load(&hopeless) || !watch_await_calls(P11_STOP_MS)) end_at_once(b->audit);
    if (!scrub_stop(b->store, HTTP_STOP_SECONDS * 1000)) end_at_once(b->audit);
    supervisor_stop(supervisor);
    return e;
}

/* Start: signals blocked, broker (secrets, lock, token, store, ...), server. Stop: the server
 * first, so that nothing asks any more, then the broker in reverse. */
struct err daemon_run(const struct config *config, const char *who,
                      const struct daemon_hooks *hooks)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct broker b = {0};
    static const struct early_stop early = {STOP_SECONDS * 1000, start_is_over, START_TELL_SECONDS * 1000,
                                            start_takes_long};
    TRY(early_stop_listen(&early));
    struct err e = broker_open(config, who, false, &b);
    bool stops = early_stop_end();
    TRY(e);
    if (stops) limit_stop(&b);
    else e = serve(config, &b, &signals, hooks);
    struct err_chain chain;
    if (!err_ok(e)) err_save(e, &chain);
    end_in_order(&b);
    if (err_ok(e)) {
        log_info("stopped");
        return e;
    }
    return err_load(&chain);
}
