/* What many resources cost: the start, memory, and releases. tests/bench/scale.py runs it on tokens of its
 * own and compares.
 *
 *     bench_scale fill CONFIG COUNT SIZE            resources bench/value/0, 1, 2, ... to the token
 *     bench_scale measure CONFIG COUNT HOT SECONDS  a line of JSON; HOT: how many of them are asked for
 *     bench_scale rescan CONFIG TURNS               a line of JSON: reading the token again, as after another's write
 */
#include "broker/base/clock.h"
#include "broker/base/rand.h"
#include "broker/cmd/broker.h"
#include "broker/cmd/guest.h"
#include "broker/http/server.h"
#include "tests/bench/load.h"

#include <dlfcn.h>
#include <jemalloc/jemalloc.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CONNECTIONS 16
#define CONNECTIONS_ASKED 64
#define TURNS_MAX 64

/* ---- filling: objects as the store makes them, without reading each one back ------------------ */

static err_t open_token(const struct config *config, struct p11 *token, CK_FUNCTION_LIST **ret_fn,
                        CK_SESSION_HANDLE *ret)
{
    struct p11_token_info info;
    p11_last_info(token, &info);
    void *module = dlopen(config->token_module, RTLD_NOW);
    CK_RV (*list)(CK_FUNCTION_LIST **) = NULL;
    if (module) *(void **) &list = dlsym(module, "C_GetFunctionList");
    if (!list || list(ret_fn) != CKR_OK) FAIL(ERR_USAGE, "%s is no module", config->token_module);
    /* The login is the process's: the broker's counts here too. */
    CK_RV rv = (*ret_fn)->C_OpenSession(info.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, ret);
    if (rv != CKR_OK) FAIL(ERR_TOKEN_DOWN, "C_OpenSession: 0x%lx", rv);
    return ERR_OK;
}

static err_t create(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE session, const char *label, struct span value)
{
    static CK_OBJECT_CLASS data = CKO_DATA;
    static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    static char application[] = "strongroom";
    CK_ATTRIBUTE all[] = {
        {CKA_CLASS, &data, sizeof data}, {CKA_TOKEN, &yes, sizeof yes}, {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_MODIFIABLE, &no, sizeof no}, {CKA_APPLICATION, application, sizeof application - 1},
        {CKA_LABEL, (void *) (uintptr_t) label, strlen(label)},
        {CKA_VALUE, (void *) (uintptr_t) value.data, value.len},
    };
    CK_OBJECT_HANDLE made = 0;
    CK_RV rv = fn->C_CreateObject(session, all, sizeof all / sizeof *all, &made);
    if (rv != CKR_OK) FAIL(ERR_TOKEN_DOWN, "C_CreateObject of %s: 0x%lx", label, rv);
    return ERR_OK;
}

static err_t fill(const struct config *config, unsigned count, size_t size)
{
    struct broker b = {0};
    CK_FUNCTION_LIST *fn = NULL;
    CK_SESSION_HANDLE session = 0;
    _cleanup_free_ uint8_t *value = malloc(size);
    if (!value) FAIL(ERR_INTERNAL, "out of memory");
    TRY(broker_open(config, "bench", true, &b));
    TRY(open_token(config, b.token, &fn, &session));
    for (unsigned i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "bench/value/%u", i);
        _cleanup_buf_ struct buf sealed = {.max = ENVELOPE_MAX};
        struct envelope_meta meta = {.kind = ENVELOPE_RESOURCE, .version = 1, .created = clock_now(),
                                     .name = span_str(name)};
        TRY(rand_bytes(value, size));
        TRY(p11_seal(b.token, &meta, span_of(value, size), &sealed));
        TRY(buf_ok(&sealed));
        TRY(create(fn, session, name, buf_span(&sealed)));
    }
    fn->C_CloseSession(session);
    broker_close(&b);
    return ERR_OK;
}

/* ---- measuring --------------------------------------------------------------------------------- */

static struct bench {
    struct broker broker;
    struct http_server *server;
    struct exchange_handler api; /* the server keeps its address */
    struct buf token;
    unsigned count, hot;
    double seconds;
    unsigned asked[CONNECTIONS_ASKED]; /* by each connection, so that they go round apart */
} bench;

static bool ask_next(void *context, unsigned connection, struct buf *request)
{
    /* The hot ones lie evenly among all; each connection begins elsewhere. */
    unsigned turn = bench.asked[connection]++ + connection * (bench.hot / CONNECTIONS);
    unsigned number = turn % bench.hot * (bench.count / bench.hot);
    char name[64];
    snprintf(name, sizeof name, "%u", number);
    buf_add_str(request, "GET /kbs/v0/resource/bench/value/");
    buf_add_str(request, name);
    buf_add_str(request, " HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ");
    buf_add_span(request, buf_span(&bench.token));
    buf_add_str(request, "\r\n\r\n");
    return true;
}

static err_t attest(void)
{
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    char url[96];
    snprintf(url, sizeof url, "http://%s", http_server_address(bench.server, 0));
    TRY(http_client_new(url, NULL, NULL, &client));
    TRY(key_generate_ec("P-256", &key));
    return guest_attest(client, key, span_of(NULL, 0), &bench.token);
}

static double core_ms(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static err_t start(const struct config *config, double *ret_ms, double *ret_core_ms)
{
    static const char *const sockets[] = {"127.0.0.1:0"};
    struct http_config http = {.sockets = sockets, .socket_count = 1};
    uint64_t begun = clock_mono_ns();
    double core_begun = core_ms();
    TRY(broker_open(config, "bench", false, &bench.broker));
    bench.api = api_handler(bench.broker.api);
    TRY(http_server_start(&http, &bench.api, &bench.server));
    *ret_ms = (double) (clock_mono_ns() - begun) / 1e6;
    *ret_core_ms = core_ms() - core_begun;
    return ERR_OK;
}

/* Bytes in use, as the program's heap counts them: with what each size was rounded up by. */
static size_t heap(void)
{
    uint64_t epoch = 1;
    size_t used = 0, size = sizeof used;
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0); /* what this thread freed is free */
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    if (mallctl("stats.allocated", &used, &size, NULL, 0) != 0) used = 0;
    return used;
}

static size_t rss_kib(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%lu %lu", &pages, &resident) != 2) resident = 0;
    if (f) fclose(f);
    return resident * (size_t) sysconf(_SC_PAGESIZE) / 1024;
}

/* What goes back to the heap when the store goes, and nothing else does, is the store's own: neither the
 * module's memory nor anybody else's is in it. */
static size_t weigh_store(struct store_stats *ret)
{
    store_stats(bench.broker.store, ret);
    http_server_stop(TAKE_PTR(bench.server), 1000);
    job_pool_free(TAKE_PTR(bench.broker.jobs));
    api_free(TAKE_PTR(bench.broker.api));
    size_t before = heap();
    store_close(TAKE_PTR(bench.broker.store));
    return before - heap();
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static err_t measure(const struct config *config)
{
    double start_ms = 0, start_core_ms = 0;
    struct load load = {.connections = CONNECTIONS, .seconds = bench.seconds, .ask = ask_next,
                        .threads = (unsigned) sysconf(_SC_NPROCESSORS_ONLN)};
    struct load_result r, warm;
    struct store_stats stats;
    TRY(start(config, &start_ms, &start_core_ms));
    TRY(attest());
    load.address = http_server_address(bench.server, 0);
    struct load first = load; /* each of them once, and what is remembered is remembered */
    first.seconds = 0;
    first.answers = bench.hot + CONNECTIONS;
    TRY(load_run(&first, &warm));
    TRY(load_run(&load, &r));
    double us = (r.client_seconds + r.server_seconds) * 1e6 / (double) r.answers;
    size_t rss = rss_kib(), store = weigh_store(&stats);
    printf("{\"resources\":%u,\"hot\":%u,\"start_ms\":%.0f,\"start_core_ms\":%.0f,\"release_us\":%.1f,\"release_per_s\":%.0f,"
           "\"rss_kib\":%zu,\"live\":%zu,\"store_bytes\":%zu,\"envelope_bytes\":%zu}\n", bench.count, bench.hot,
           start_ms, start_core_ms, us, (double) r.answers / r.seconds, rss, stats.live, store, stats.cached_bytes);
    buf_free(&bench.token);
    broker_close(&bench.broker);
    return ERR_OK;
}

/* The first scan, and the least and the middle of those after it. */
static err_t rescan(const struct config *config, unsigned turns)
{
    struct broker b = {0};
    double clock_ms[TURNS_MAX], core[TURNS_MAX], first = core_ms();
    uint64_t begun = clock_mono_ns();
    if (!turns || turns > TURNS_MAX) FAIL(ERR_USAGE, "between 1 and %u turns", TURNS_MAX);
    TRY(broker_open(config, "bench", true, &b));
    double start_ms = (double) (clock_mono_ns() - begun) / 1e6;
    first = core_ms() - first;
    for (unsigned i = 0; i < turns; i++) {
        char epoch[P11_EPOCH_TEXT];
        TRY(p11_epoch_touch(b.token, epoch));
        double core_begun = core_ms();
        begun = clock_mono_ns();
        TRY(store_refresh(b.store));
        clock_ms[i] = (double) (clock_mono_ns() - begun) / 1e6;
        core[i] = core_ms() - core_begun;
    }
    qsort(clock_ms, turns, sizeof *clock_ms, ascending);
    qsort(core, turns, sizeof *core, ascending);
    printf("{\"start_ms\":%.0f,\"start_core_ms\":%.0f,\"rescan_ms\":%.0f,\"rescan_core_ms\":%.0f,"
           "\"rescan_core_ms_least\":%.0f}\n", start_ms, first, clock_ms[turns / 2], core[turns / 2], core[0]);
    broker_close(&b);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    bool filling = argc == 5 && strcmp(argv[1], "fill") == 0, again = argc == 4 && strcmp(argv[1], "rescan") == 0;
    if (!filling && !again && (argc != 6 || strcmp(argv[1], "measure") != 0)) {
        fprintf(stderr, "usage: bench_scale fill CONFIG COUNT SIZE\n"
                        "       bench_scale measure CONFIG COUNT HOT SECONDS\n"
                        "       bench_scale rescan CONFIG TURNS\n");
        return 2;
    }
    log_set_level(LOG_LEVEL_ERROR);
    _cleanup_(config_freep) struct config *config = NULL;
    struct err e = config_load(argv[2], &config);
    bench.count = (unsigned) strtoul(argv[3], NULL, 10);
    if (!filling && !again) {
        bench.hot = (unsigned) strtoul(argv[4], NULL, 10);
        bench.seconds = strtod(argv[5], NULL);
    }
    if (err_ok(e) && again) e = rescan(config, bench.count);
    else if (err_ok(e)) e = filling ? fill(config, bench.count, strtoul(argv[4], NULL, 10)) : measure(config);
    if (!err_ok(e)) fprintf(stderr, "bench: %s\n", err_text(e));
    return err_exit_code(e.code);
}
