/* What a release costs, part by part, and how near to the sum of the parts the broker comes
 * (DESIGN 9). Each part is a loop on all cores at once; the HTTP part is a constant answer of the
 * same size under the same load generator, which shares the cores in both measurements.
 *
 *     bench_release CONFIG SECONDS RESOURCES     (tests/bench/run prepares the token)
 */
#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/rand.h"
#include "broker/cmd/broker.h"
#include "broker/cmd/guest.h"
#include "broker/http/server.h"
#include "policy/policy.h"
#include "tests/bench/load.h"
#include "tests/bench/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last one's ratio is the figure that counts. */
static const unsigned CONNECTIONS[] = {8, 64};
#define VALUE 1024
#define TURNS 15 /* at most PART_RUNS_MAX */
#define LOAD_SHARE 5.0 /* how much longer a load is measured than a part */

static struct bench {
    struct broker broker;
    struct http_server *server;
    struct buf token;
    struct guest *guest;
    double seconds;
    unsigned cores, resources;
    char request[JOSE_MAX_TOKEN + 256];
} bench;

static err_t put_resources(struct bench *b)
{
    uint8_t value[VALUE];
    TRY(rand_bytes(value, sizeof value));
    for (unsigned i = 0; i < b->resources; i++) {
        char name[64];
        struct secret *there = NULL;
        uint64_t version = 0;
        snprintf(name, sizeof name, "bench/value/%u", i);
        struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = name,
                                .value = span_of(value, sizeof value)};
        if (err_ok(store_get(b->broker.store, ENVELOPE_RESOURCE, name, &there, NULL)))
            secret_free(there);
        else TRY(store_put(b->broker.store, &put, &version));
    }
    return ERR_OK;
}

static err_t start_server(const struct exchange_handler *handler, struct http_server **ret)
{
    static const char *const sockets[] = {"127.0.0.1:0"};
    struct http_config config = {.sockets = sockets, .socket_count = 1};
    return http_server_start(&config, handler, ret);
}

static err_t attest(struct bench *b)
{
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    char url[96];
    snprintf(url, sizeof url, "http://%s", http_server_address(b->server, 0));
    TRY(http_client_new(url, NULL, NULL, &client));
    TRY(key_generate_ec("P-256", &key));
    TRY(guest_attest(client, key, span_of(NULL, 0), &b->token));
    snprintf(b->request, sizeof b->request,
             "GET /kbs/v0/resource/bench/value/%u HTTP/1.1\r\nHost: bench\r\n"
             "Authorization: Bearer %s\r\n\r\n", b->resources / 2, buf_str(&b->token));
    return attest_by_token(b->broker.attest, buf_span(&b->token), &b->guest);
}

/* ---- the parts ----------------------------------------------------------------------------- */

static err_t part_caller(void)
{
    struct guest *g = NULL;
    TRY(attest_by_token(bench.broker.attest, buf_span(&bench.token), &g));
    guest_unref(g);
    return ERR_OK;
}

static struct policy *allow_all;
static _Thread_local struct policy_run *policy_run;

static err_t part_policy(void)
{
    static const char *const path[] = {"bench", "value", "1"};
    struct policy_request request = {.claims = guest_claims(bench.guest), .plugin = "resource",
                                     .path = path, .path_count = 3};
    struct policy_decision d;
    if (!policy_run && !(policy_run = policy_run_new())) FAIL(ERR_INTERNAL, "out of memory");
    policy_decide(allow_all, policy_run, &request, &d);
    return d.allow ? ERR_OK : ERR_MAKE(ERR_INTERNAL, "the policy denied");
}

static struct buf envelope;

static err_t part_open(void)
{
    _cleanup_secret_ struct secret *value = NULL;
    struct envelope e;
    bool has_meta = false;
    if (envelope_decode(buf_span(&envelope), &e, &has_meta) != ENVELOPE_SOUND)
        FAIL(ERR_INTERNAL, "the envelope is not sound");
    return p11_unseal(bench.broker.token, &e, &value);
}

static err_t part_close(void)
{
    static const uint8_t value[VALUE];
    _cleanup_buf_ struct buf jwe = BUF_INIT;
    const struct jwe_key *key = NULL;
    TRY(guest_key(bench.guest, &key));
    return jwe_encrypt(key, span_of(value, sizeof value), &jwe);
}

static err_t part_audit(void)
{
    struct audit_event e = {.action = "release", .decision = "allow", .request_id = 1,
                            .principal = "guest:0123456789abcdef", .peer = "127.0.0.1:50000",
                            .resource = "bench/value/1", .version = 1, .reason = "allow-all",
                            .policy = "0123456789abcdef", .tee = "sample"};
    return audit_write(bench.broker.audit, &e);
}

static const struct part parts[] = {
    {"caller", "a remembered token, known by its hash", part_caller},
    {"policy", "the release policy", part_policy},
    {"open", "C_Decrypt with a cached content key", part_open},
    {"close", "JWE to a P-256 key", part_close},
    {"audit", "one audit record", part_audit},
};
#define PARTS (sizeof parts / sizeof *parts)

/* ---- HTTP: the constant answer, and the release ---------------------------------------------- */

static size_t constant_size;

static void constant_head(void *ctx, struct exchange *x) { x->body_limit = 0; }

static bool constant_serve(void *ctx, struct exchange *x)
{
    uint8_t *at = buf_extend(&x->resp.body, constant_size);
    if (at) memset(at, 'x', constant_size);
    x->resp.status = 200;
    x->resp.content_type = "application/json";
    return true;
}

static void constant_refuse(void *ctx, struct exchange *x, int status) { x->resp.status = status; }

/* Core time of one answer, the generator's share in it, and how many there were a second. */
struct answers {
    double us, rate;
    double busy; /* share of all cores' time that generator and server had */
    size_t body;
};

static err_t measure_http(const char *address, unsigned connections, struct answers *ret)
{
    struct load load = {.address = address, .connections = connections, .threads = bench.cores,
                        .seconds = LOAD_SHARE * bench.seconds / TURNS, .ask = load_ask_same,
                        .context = bench.request};
    struct load_result r;
    TRY(load_run(&load, &r));
    double core_seconds = r.client_seconds + r.server_seconds;
    *ret = (struct answers){.us = core_seconds * 1e6 / (double) r.answers,
                            .rate = (double) r.answers / r.seconds,
                            .busy = core_seconds / r.seconds / bench.cores, .body = r.body};
    return ERR_OK;
}

/* DESIGN 9: each part as a loop on all cores at once. Beside it the stricter one, for which a part that
 * waits for others in its loop counts as it is beside other work (parts.h). */
struct floors {
    double all, cheaper;
};

static struct floors floors_of(const struct part_cost *us, double http_us)
{
    struct floors f = {http_us, http_us};
    for (size_t i = 0; i < PARTS; i++) {
        f.all += us[i].all;
        f.cheaper += part_cheaper(us[i]);
    }
    return f;
}

static void print_report(unsigned connections, const struct part_cost *us, double http_us,
                         const struct answers *release)
{
    struct floors f = floors_of(us, http_us);
    double rate = 1e6 * bench.cores / f.all, ratio = f.all / release->us, strict = f.cheaper / release->us;
    printf("core time of a release of %d bytes, %u cores, %u resources, %u connections, shared with the load\n",
           VALUE, bench.cores, bench.resources, connections);
    printf("  %-8s %10s %10s\n", "part", "all cores", "one core");
    printf("  %-8s %7.1f us %10s  %s\n", "http", http_us, "", "a constant answer of the same size");
    for (size_t i = 0; i < PARTS; i++)
        printf("  %-8s %7.1f us %7.1f us  %s\n", parts[i].name, us[i].all, us[i].one,
               parts[i].what);
    printf("  %-8s %7.1f us %7.1f us  the sum, and that of the cheaper of both: %.0f releases/s\n", "floor", f.all,
           f.cheaper, rate);
    printf("  %-8s %7.1f us  measured: %.0f releases/s by the clock, with %.0f%% of the cores\n",
           "release", release->us, release->rate, 100 * release->busy);
    printf("{\"cores\":%u,\"resources\":%u,\"connections\":%u,\"http_us\":%.1f", bench.cores, bench.resources,
           connections, http_us);
    for (size_t i = 0; i < PARTS; i++)
        printf(",\"%s_us\":%.1f,\"%s_one_core_us\":%.1f", parts[i].name, us[i].all, parts[i].name,
               us[i].one);
    printf(",\"floor_per_s\":%.0f,\"release_us\":%.1f,\"release_per_s\":%.0f,\"busy\":%.2f,"
           "\"ratio\":%.3f,\"ratio_of_cheaper\":%.3f}\n", rate, release->us, release->rate, release->busy,
           ratio, strict);
    printf("of the cheaper of both %.2f\nrelease/floor %.2f\n", strict, ratio);
}

static err_t prepare(struct bench *b, const struct exchange_handler *api)
{
    uint8_t value[VALUE] = {0};
    TRY(put_resources(b));
    TRY(start_server(api, &b->server));
    TRY(attest(b));
    static struct rego_errors errors;
    allow_all = policy_compile(POLICY_ALLOW_ALL_TEXT, strlen(POLICY_ALLOW_ALL_TEXT), NULL, &errors);
    struct envelope_meta meta = {.kind = ENVELOPE_RESOURCE, .version = 1,
                                 .name = SPAN_LIT("bench/part/open")};
    return p11_seal(b->broker.token, &meta, span_of(value, sizeof value), &envelope);
}

#define KINDS (sizeof CONNECTIONS / sizeof *CONNECTIONS)

/* The machine is noisy for seconds at a time, so all that is compared takes turns, and of each the one
 * in the middle counts. */
static struct turn {
    struct part_cost us[PARTS];
    struct answers http[KINDS], release[KINDS];
} turns[TURNS];

static err_t take_turn(struct turn *t, struct http_server *plain)
{
    TRY(parts_measure(parts, PARTS, part_close, bench.cores, bench.seconds / TURNS, t->us));
    for (size_t k = 0; k < KINDS; k++) {
        TRY(measure_http(http_server_address(bench.server, 0), CONNECTIONS[k], &t->release[k]));
        TRY(measure_http(http_server_address(plain, 0), CONNECTIONS[k], &t->http[k]));
    }
    return ERR_OK;
}

static int by_us(const void *a, const void *b)
{
    double x = ((const struct answers *) a)->us, y = ((const struct answers *) b)->us;
    return (x > y) - (x < y);
}

static void report(void)
{
    struct part_cost us[PARTS], runs[TURNS];
    for (size_t i = 0; i < PARTS; i++) {
        for (size_t t = 0; t < TURNS; t++) runs[t] = turns[t].us[i];
        us[i] = part_median(runs, TURNS);
    }
    for (size_t k = 0; k < KINDS; k++) {
        struct answers http[TURNS], release[TURNS];
        for (size_t t = 0; t < TURNS; t++) {
            http[t] = turns[t].http[k];
            release[t] = turns[t].release[k];
        }
        qsort(http, TURNS, sizeof *http, by_us);
        qsort(release, TURNS, sizeof *release, by_us);
        print_report(CONNECTIONS[k], us, http[TURNS / 2].us, &release[TURNS / 2]);
    }
}

static err_t run(const struct config *config)
{
    static struct exchange_handler constant = {NULL, constant_head, constant_serve, constant_refuse};
    struct bench *b = &bench;
    struct http_server *plain = NULL;
    struct answers first;
    TRY(broker_open(config, "bench", false, &b->broker));
    struct exchange_handler api = api_handler(b->broker.api);
    TRY(prepare(b, &api));
    TRY(measure_http(http_server_address(b->server, 0), CONNECTIONS[0], &first));
    constant_size = first.body;
    TRY(start_server(&constant, &plain));
    for (size_t t = 0; t < TURNS; t++) TRY(take_turn(&turns[t], plain));
    report();
    http_server_stop(plain, 1000);
    http_server_stop(b->server, 1000);
    guest_unref(b->guest);
    policy_free(allow_all);
    buf_free(&envelope);
    buf_free(&b->token);
    broker_close(&b->broker);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench_release CONFIG SECONDS RESOURCES\n");
        return 2;
    }
    bench.seconds = strtod(argv[2], NULL);
    bench.resources = (unsigned) strtoul(argv[3], NULL, 10);
    bench.cores = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);
    log_set_level(LOG_LEVEL_ERROR);
    _cleanup_(config_freep) struct config *config = NULL;
    struct err e = config_load(argv[1], &config);
    if (err_ok(e)) e = run(config);
    if (!err_ok(e)) fprintf(stderr, "bench: %s\n", err_text(e));
    return err_exit_code(e.code);
}
