/* How the broker keeps pace: with a token that takes milliseconds, and with more requests than it can do.
 *
 *     bench_pace CONFIG SECONDS     (tests/bench/run prepares the token, behind the fault module)
 *
 * A slow token: releases by 64 connections that each wait for their answer, as a share of what its sessions
 * could do at most; /healthz is asked on a connection of its own meanwhile. Open loop: requests that come at
 * a fixed rate whatever is answered, at half of the top rate and at twice of it. */
#include "broker/base/clock.h"
#include "broker/base/rand.h"
#include "broker/cmd/broker.h"
#include "broker/cmd/guest.h"
#include "broker/http/server.h"
#include "pkcs11/pace.h"
#include "tests/bench/load.h"
#include "tests/bench/open_load.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define VALUE 1024
#define CONNECTIONS 64u      /* of the closed loop */
#define CROWD 1800u          /* of the open loop: more than a queue and the workers hold */
#define HEALTH_SAMPLES 100000u

static struct bench {
    struct broker broker;
    struct http_server *server;
    const char *address;
    double seconds;
    unsigned cores, sessions;
    char request[JOSE_MAX_TOKEN + 256];
} bench;

/* ---- the token's latency --------------------------------------------------------------------- */

static err_t set_latency(unsigned us)
{
    const char *control = getenv("P11FAULT_CONTROL");
    char fresh[4096];
    if (!control) FAIL(ERR_USAGE, "P11FAULT_CONTROL is not set");
    snprintf(fresh, sizeof fresh, "%s.new", control);
    FILE *f = fopen(fresh, "we");
    if (!f) FAIL_ERRNO(ERR_INTERNAL, "%s", fresh);
    if (us) fprintf(f, "C_Decrypt delay_us=%u\n", us);
    if (fclose(f) || rename(fresh, control)) FAIL_ERRNO(ERR_INTERNAL, "%s", control);
    return ERR_OK;
}

static err_t closed_loop(double seconds, struct load_result *ret)
{
    struct load load = {.address = bench.address, .connections = CONNECTIONS, .threads = bench.cores,
                        .seconds = seconds, .ask = load_ask_same, .context = bench.request};
    return load_run(&load, ret);
}

/* Until the broker has noticed what its token is like now. */
static err_t await_pace(bool slow)
{
    struct load_result r;
    for (int i = 0; i < 100 && pace_is_slow(&token_pace) != slow; i++) TRY(closed_loop(0.5, &r));
    if (pace_is_slow(&token_pace) != slow) FAIL(ERR_INTERNAL, "the broker does not notice its token's pace");
    return ERR_OK;
}

/* Once the connections of the run before are gone, which take most of it. */
static double rss_mib(void)
{
    struct timespec pause = {.tv_nsec = 10000000};
    struct http_stats stats = {.open = UINT_MAX};
    for (int i = 0; i < 1000 && stats.open; i++) {
        http_server_stats(bench.server, &stats);
        nanosleep(&pause, NULL);
    }
    long pages = 0, total = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%ld %ld", &total, &pages) != 2) pages = 0;
    if (f) fclose(f);
    return (double) pages * (double) sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* ---- /healthz meanwhile ---------------------------------------------------------------------- */

static struct health {
    pthread_t thread;
    atomic_bool stop;
    uint64_t ns[HEALTH_SAMPLES];
    size_t n;
    bool broken;
} health;

static void *ask_health(void *arg)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n";
    struct timespec pause = {.tv_nsec = 2000000};
    char answer[4096];
    int fd = load_connect(bench.address);
    while (!atomic_load(&health.stop) && health.n < HEALTH_SAMPLES) {
        uint64_t begun = clock_mono_ns();
        bool good = fd >= 0 && send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 &&
                    recv(fd, answer, sizeof answer, 0) > 0 && strncmp(answer, "HTTP/1.1 200", 12) == 0;
        if (!good) {
            health.broken = true;
            break;
        }
        health.ns[health.n++] = clock_mono_ns() - begun;
        nanosleep(&pause, NULL); /* a probe, no load */
    }
    if (fd >= 0) close(fd);
    return NULL;
}

static void health_begin(void)
{
    health.n = 0;
    health.broken = false;
    atomic_store(&health.stop, false);
    ENSURE(pthread_create(&health.thread, NULL, ask_health, NULL) == 0);
}

static void health_end(struct latencies *ret)
{
    atomic_store(&health.stop, true);
    pthread_join(health.thread, NULL);
    latencies_of(health.ns, health.n, ret);
}

static void print_health(const struct latencies *l)
{
    static const double bounds[] = {0.1, 0.3, 1, 3, 10, 30, 100};
    size_t at = 0;
    printf("            /healthz %lu times: median %.2f ms, p99 %.2f ms, max %.1f ms;", l->count,
           l->median_ms, l->p99_ms, l->max_ms);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        size_t before = at;
        while (at < health.n && (double) health.ns[at] <= bounds[i] * 1e6) at++;
        if (at > before) printf(" <=%g ms: %zu", bounds[i], at - before);
    }
    printf("%s\n", health.broken ? " (and then it failed)" : "");
}

/* ---- the measures ---------------------------------------------------------------------------- */

static err_t measure_slow(unsigned ms)
{
    struct load_result r;
    struct latencies l;
    TRY(set_latency(ms * 1000));
    TRY(await_pace(true));
    health_begin();
    struct err e = closed_loop(bench.seconds, &r);
    health_end(&l);
    TRY(e);
    double rate = (double) r.answers / r.seconds, most = bench.sessions * 1000.0 / ms;
    printf("token %3u ms  %.0f releases/s of %.0f with %u sessions: %.2f\n", ms, rate, most, bench.sessions,
           rate / most);
    print_health(&l);
    printf("{\"latency_ms\":%u,\"releases_per_s\":%.0f,\"ratio\":%.3f,\"healthz_median_ms\":%.3f,"
           "\"healthz_p99_ms\":%.3f,\"healthz_max_ms\":%.3f}\n", ms, rate, rate / most, l.median_ms,
           l.p99_ms, l.max_ms);
    return ERR_OK;
}

static void print_open(const char *what, double asked, double top, const struct open_result *r)
{
    double rate = (double) r->good.count / r->seconds;
    printf("  %-9s %.0f/s asked, %.0f/s answered (%.2f of the top): median %.2f ms, p99 %.2f ms, "
           "p99/median %.1f\n", what, asked, rate, rate / top, r->good.median_ms, r->good.p99_ms,
           r->good.median_ms > 0 ? r->good.p99_ms / r->good.median_ms : 0);
    if (r->refused.count)
        printf("            %lu answers 503: median %.2f ms, p99 %.2f ms, max %.1f ms\n", r->refused.count,
               r->refused.median_ms, r->refused.p99_ms, r->refused.max_ms);
    if (r->other || r->unsent)
        printf("            %lu failed otherwise, %lu found no connection\n", r->other, r->unsent);
}

static err_t measure_open(unsigned us)
{
    struct load_result closed;
    struct open_result half, twice;
    TRY(set_latency(us));
    TRY(await_pace(us > 0));
    TRY(closed_loop(bench.seconds, &closed));
    double top = (double) closed.answers / closed.seconds;
    struct open_load load = {.address = bench.address, .request = bench.request, .connections = CROWD,
                             .rate = top / 2, .seconds = bench.seconds};
    TRY(open_load_run(&load, &half));
    double before = rss_mib();
    load.rate = 2 * top;
    TRY(open_load_run(&load, &twice));
    double after = rss_mib();
    TRY(open_load_run(&load, &twice)); /* again: what the first one took is there to be used again */
    double again = rss_mib();
    printf("open loop, token %.1f ms, top rate %.0f/s\n", us / 1000.0, top);
    print_open("half", top / 2, top, &half);
    print_open("twice", 2 * top, top, &twice);
    printf("            memory %.1f MiB before, %.1f after, %.1f after as much again (broker and generator)\n",
           before, after, again);
    printf("{\"open_latency_us\":%u,\"top_per_s\":%.0f,\"half_p99_over_median\":%.2f,\"twice_share\":%.3f,"
           "\"refused_p99_ms\":%.2f,\"rss_mib\":[%.1f,%.1f,%.1f]}\n", us, top,
           half.good.median_ms > 0 ? half.good.p99_ms / half.good.median_ms : 0,
           (double) twice.good.count / twice.seconds / top, twice.refused.p99_ms, before, after, again);
    return ERR_OK;
}

/* ---- the broker ------------------------------------------------------------------------------ */

static err_t attest(struct bench *b)
{
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    _cleanup_buf_ struct buf token = BUF_INIT;
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    char url[96];
    snprintf(url, sizeof url, "http://%s", b->address);
    TRY(http_client_new(url, NULL, NULL, &client));
    TRY(key_generate_ec("P-256", &key));
    TRY(guest_attest(client, key, span_of(NULL, 0), &token));
    snprintf(b->request, sizeof b->request,
             "GET /kbs/v0/resource/bench/value/1 HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n",
             buf_str(&token));
    return ERR_OK;
}

static err_t start(struct bench *b, struct exchange_handler *handler)
{
    static const char *const sockets[] = {"127.0.0.1:0"};
    struct http_config config = {.sockets = sockets, .socket_count = 1};
    uint8_t value[VALUE];
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "bench/value/1",
                            .value = span_of(value, sizeof value)};
    TRY(rand_bytes(value, sizeof value));
    TRY(store_put(b->broker.store, &put, NULL));
    *handler = api_handler(b->broker.api);
    TRY(http_server_start(&config, handler, &b->server));
    b->address = http_server_address(b->server, 0);
    b->sessions = p11_sessions(b->broker.token);
    return attest(b);
}

static err_t measure(void)
{
    printf("%u cores, %u sessions, releases of %d bytes, %.0f s each; generator and broker share the cores\n",
           bench.cores, bench.sessions, VALUE, bench.seconds);
    TRY(measure_slow(5));
    TRY(measure_slow(50));
    TRY(measure_open(5000));
    return measure_open(0);
}

static err_t run(const struct config *config)
{
    struct exchange_handler handler;
    TRY(broker_open(config, "bench", false, &bench.broker));
    TRY(start(&bench, &handler));
    struct err e = measure();
    http_server_stop(bench.server, 1000);
    broker_close(&bench.broker);
    return e;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bench_pace CONFIG SECONDS\n");
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench.seconds = strtod(argv[2], NULL);
    bench.cores = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);
    log_set_level(LOG_LEVEL_ERROR);
    _cleanup_(config_freep) struct config *config = NULL;
    struct err e = config_load(argv[1], &config);
    if (err_ok(e)) e = run(config);
    if (!err_ok(e)) fprintf(stderr, "bench: %s\n", err_text(e));
    return err_exit_code(e.code);
}
