/* How the broker keeps pace: with a token that takes milliseconds, and with more requests than it can do.
 *
 *     bench_pace CONFIG SECONDS pace|overload     (tests/bench/run prepares the token, behind the fault module)
 *
 * pace: releases from a slow token by 64 connections that each wait for their answer, as a share of what its
 * sessions could do at most. overload: requests that come at a fixed rate whatever is answered, at half of the
 * top rate and at twice of it, the latter some times over, with the memory after each; from a slow token and a
 * fast one, over kept connections and over a fresh one each. The generator is a process of its own and asks for
 * /healthz meanwhile; under overload it and the broker have half of the cores each. */
#include "broker/base/clock.h"
#include "broker/base/rand.h"
#include "broker/cmd/broker.h"
#include "broker/cmd/guest.h"
#include "broker/http/server.h"
#include "pkcs11/pace.h"
#include "tests/bench/generator.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define VALUE 1024
#define CONNECTIONS 64u      /* of the closed loop */
#define CROWD_KEPT 4000u     /* of the open loop: nearly all that the broker takes */
#define CROWD_FRESH 10000u   /* more than it takes */
#define ROUNDS 5u            /* of overload */

static struct bench {
    struct broker broker;
    struct http_server *server;
    const char *address;
    double seconds;
    unsigned cores, sessions;
    bool overload;
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

/* By so many connections that each wait for their answer. */
static err_t closed_loop(double seconds, bool fresh, struct generator_result *ret)
{
    struct open_load load = {.address = bench.address, .request = bench.request, .fresh = fresh,
                             .connections = CONNECTIONS, .seconds = seconds};
    TRY(generator_run(&load, ret));
    if (ret->load.refused.count || ret->load.other)
        FAIL(ERR_INTERNAL, "%lu answers 503, %lu others", ret->load.refused.count, ret->load.other);
    return ERR_OK;
}

/* Until the broker has noticed what its token is like now. */
static err_t await_pace(bool slow)
{
    struct generator_result r;
    for (int i = 0; i < 100 && pace_is_slow(&token_pace) != slow; i++) TRY(closed_loop(0.5, false, &r));
    if (pace_is_slow(&token_pace) != slow) FAIL(ERR_INTERNAL, "the broker does not notice its token's pace");
    return ERR_OK;
}

/* The most there was since the last look; Linux's VmHWM. */
static double peak_mib(void)
{
    char line[128];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtod(line + 6, NULL);
    if (f) fclose(f);
    f = fopen("/proc/self/clear_refs", "we");
    if (f) fputs("5", f);
    if (f) fclose(f);
    return kib / 1024;
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

/* ---- the measures ---------------------------------------------------------------------------- */

static void print_probe(const struct probe_result *p)
{
    printf("            /healthz %lu times: median %.2f ms, p99 %.2f ms, max %.1f ms, %lu failed\n",
           p->answers.count, p->answers.median_ms, p->answers.p99_ms, p->answers.max_ms, p->failed);
}

/* Releases a second by the clock, and for each second that the broker had of a core: others on this machine
 * change the former, and the latter hardly. */
static double rate_of(const struct generator_result *r)
{
    return (double) (r->load.good.count - r->load.late) / r->load.seconds;
}

static double core_rate_of(const struct generator_result *r)
{
    return (double) r->load.good.count / r->load.core_seconds;
}

/* Of its cores, how much it had. */
static double share_of(const struct generator_result *r)
{
    return r->load.core_seconds / r->load.whole_seconds / bench.cores;
}

static err_t measure_slow(unsigned ms)
{
    struct generator_result r;
    TRY(set_latency(ms * 1000));
    TRY(await_pace(true));
    TRY(closed_loop(bench.seconds, false, &r));
    const struct latencies *health = &r.health.answers;
    double rate = rate_of(&r), most = bench.sessions * 1000.0 / ms;
    printf("token %3u ms  %.0f releases/s of %.0f with %u sessions: %.2f\n", ms, rate, most, bench.sessions,
           rate / most);
    print_probe(&r.health);
    printf("{\"latency_ms\":%u,\"releases_per_s\":%.0f,\"ratio\":%.3f,\"healthz_median_ms\":%.3f,"
           "\"healthz_p99_ms\":%.3f,\"healthz_max_ms\":%.3f}\n", ms, rate, rate / most, health->median_ms,
           health->p99_ms, health->max_ms);
    return ERR_OK;
}

static void print_open(const char *what, double asked, const struct generator_result *top,
                       const struct generator_result *g)
{
    const struct open_result *r = &g->load;
    printf("  %-9s %.0f/s asked, %.0f/s answered (%.2f of the top, %.2f by core time, of which it had "
           "%.2f): median %.2f ms, p99 %.2f ms, p99/median %.1f\n", what, asked, rate_of(g), rate_of(g) / rate_of(top),
           core_rate_of(g) / core_rate_of(top), share_of(g), r->good.median_ms, r->good.p99_ms,
           r->good.median_ms > 0 ? r->good.p99_ms / r->good.median_ms : 0);
    if (r->refused.count)
        printf("            %lu answers 503: median %.2f ms, p99 %.2f ms, max %.1f ms\n", r->refused.count,
               r->refused.median_ms, r->refused.p99_ms, r->refused.max_ms);
    if (r->other || r->unsent)
        printf("            %lu failed otherwise, %lu found no connection\n", r->other, r->unsent);
    print_probe(&g->health);
}

static void print_json(unsigned us, bool fresh, const struct generator_result *top,
                       const struct generator_result *half, const struct generator_result *twice,
                       const double rss[ROUNDS + 1])
{
    const struct latencies *h = &half->load.good;
    printf("{\"open_latency_us\":%u,\"fresh\":%s,\"top_per_s\":%.0f,\"half_p99_over_median\":%.2f,"
           "\"twice_share\":%.3f,\"twice_core_share\":%.3f,\"served_p99_ms\":%.1f,\"refused_p99_ms\":%.2f,\"probe_p99_ms\":%.1f,"
           "\"probes_failed\":%lu,\"rss_mib\":[", us, fresh ? "true" : "false", rate_of(top),
           h->median_ms > 0 ? h->p99_ms / h->median_ms : 0, rate_of(twice) / rate_of(top),
           core_rate_of(twice) / core_rate_of(top), twice->load.good.p99_ms, twice->load.refused.p99_ms, twice->health.answers.p99_ms, twice->health.failed);
    for (unsigned i = 0; i <= ROUNDS; i++) printf("%s%.1f", i ? "," : "", rss[i]);
    printf("]}\n");
}

static err_t measure_open(unsigned us, bool fresh)
{
    struct generator_result top, half, twice;
    double rss[ROUNDS + 1], peak[ROUNDS + 1];
    TRY(set_latency(us));
    TRY(await_pace(us > 0));
    TRY(closed_loop(bench.seconds, fresh, &top));
    struct open_load load = {.address = bench.address, .request = bench.request, .fresh = fresh,
                             .connections = fresh ? CROWD_FRESH : CROWD_KEPT, .rate = rate_of(&top) / 2,
                             .seconds = bench.seconds};
    printf("open loop, token %.1f ms, %s, top rate %.0f/s with %.2f of the cores, %.0f us of them each\n",
           us / 1000.0, fresh ? "a connection for each request" : "kept connections", rate_of(&top),
           share_of(&top), 1e6 / core_rate_of(&top));
    TRY(generator_run(&load, &half));
    print_open("half", load.rate, &top, &half);
    rss[0] = rss_mib();
    peak_mib();
    load.rate = 2 * rate_of(&top);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        TRY(generator_run(&load, &twice));
        print_open("twice", load.rate, &top, &twice);
        rss[i] = rss_mib();
        peak[i] = peak_mib();
    }
    printf("            memory %.1f MiB before", rss[0]);
    for (unsigned i = 1; i <= ROUNDS; i++) printf(", %.1f", rss[i]);
    printf(" after each; at most");
    for (unsigned i = 1; i <= ROUNDS; i++) printf(" %.0f", peak[i]);
    printf(" meanwhile\n");
    print_json(us, fresh, &top, &half, &twice, rss);
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
    struct http_config config = {.sockets = sockets, .socket_count = 1, .threads = b->cores};
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

static err_t measure_pace(void)
{
    TRY(measure_slow(5));
    return measure_slow(50);
}

static err_t measure_overload(void)
{
    for (int fresh = 0; fresh < 2; fresh++) {
        TRY(measure_open(20000, fresh));
        TRY(measure_open(0, fresh));
    }
    return ERR_OK;
}

static err_t measure(void)
{
    printf("%u cores for the broker, %u sessions, releases of %d bytes, %.0f s each\n", bench.cores,
           bench.sessions, VALUE, bench.seconds);
    return bench.overload ? measure_overload() : measure_pace();
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
    if (argc != 4) {
        fprintf(stderr, "usage: bench_pace CONFIG SECONDS pace|overload\n");
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench.seconds = strtod(argv[2], NULL);
    bench.overload = strcmp(argv[3], "overload") == 0;
    bench.cores = generator_take_cores(bench.overload);
    log_set_level(LOG_LEVEL_ERROR);
    _cleanup_(config_freep) struct config *config = NULL;
    struct err e = config_load(argv[1], &config);
    if (err_ok(e)) e = run(config);
    if (!err_ok(e)) fprintf(stderr, "bench: %s\n", err_text(e));
    return err_exit_code(e.code);
}
