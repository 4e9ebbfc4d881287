/* What guests cost: POST auth, handshakes (auth and attest), handshakes with a GET, and releases by
 * cookie and by token, for each kind of guest's key; beside each the sum of its parts (DESIGN 9).
 * Broker and load generator share the cores and this process; their core time is told apart.
 *
 *     bench_handshake CONFIG SECONDS     (tests/bench/run prepares the token)
 */
#include "broker/api/appraiser.h"
#include "broker/base/digest.h"
#include "broker/attest/issuer.h"
#include "broker/attest/report_data.h"
#include "broker/attest/request.h"
#include "broker/attest/verifier.h"
#include "broker/base/clock.h"
#include "broker/base/rand.h"
#include "broker/cmd/broker.h"
#include "broker/http/server.h"
#include "broker/jose/jws.h"
#include "policy/policy.h"
#include "tests/bench/guests.h"
#include "tests/bench/parts.h"

#include <stdio.h>
#include <string.h>

#define CONNECTIONS 16
#define VALUE 1024
#define RESOURCE "bench/value/0"
#define SECONDS_MAX 5.0 /* the sessions of so long are kept, and must fit */

static struct bench {
    struct broker broker;
    struct http_server *server, *plain;
    double seconds;
    unsigned cores;
    /* what the parts work on */
    struct appraiser *appraiser;
    struct issuer *issuer;
    struct verifier *verifier;
    struct policy *allow_all;
    struct buf envelope, auth, attestation, bound, evidence, claims, jwk;
    struct buf heard[GUESTS_STEPS]; /* the constant answers */
    char cookie[96];
    struct jwe_key *key;
    struct policy_claims *guest_claims;
} bench;

/* ---- parts ---------------------------------------------------------------------------------- */

static err_t part_request(void)
{
    const char *tee = NULL;
    return request_parse(buf_span(&bench.auth), &tee);
}

static err_t part_random(void)
{
    uint8_t id[16];
    return rand_bytes(id, sizeof id);
}

static err_t part_parse(void)
{
    _cleanup_(attestation_done) struct attestation t = {0};
    return attestation_parse(buf_span(&bench.attestation), &t);
}

static err_t part_bind(void)
{
    struct digest d = {0};
    return digest_compute(DIGEST_SHA384, buf_span(&bench.bound), &d);
}

static err_t part_appraise(void)
{
    _cleanup_(ear_verdict_done) struct ear_verdict v = {0};
    struct attest_appraiser a = appraiser_of(bench.appraiser);
    return a.appraise(a.context, "cpu", buf_span(&bench.evidence), &v);
}

static err_t part_sign(void)
{
    _cleanup_buf_ struct buf token = BUF_INIT;
    return issuer_sign(bench.issuer, buf_span(&bench.claims), &token);
}

static err_t part_claims(void)
{
    _cleanup_(verified_token_done) struct verified_token v = {0};
    struct span text = buf_span(&bench.claims);
    TRY(verifier_read_claims(bench.verifier, text, clock_now(), &v));
    struct policy_claims *c = policy_claims_new((const char *) text.data, text.len, NULL);
    policy_claims_free(c);
    return c ? ERR_OK : ERR_MAKE(ERR_INTERNAL, "no claims");
}

static err_t part_key(void)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    _cleanup_(jwe_key_freep) struct jwe_key *key = NULL;
    TRY(json_parse(buf_span(&bench.jwk), &doc));
    return jwe_key_from_json(json_root(doc), false, &key);
}

static err_t part_audit(void)
{
    struct audit_event e = {.action = "attest", .decision = "allow", .request_id = 1,
                            .principal = "session:01234567", .peer = "127.0.0.1:50000",
                            .reason = "sample"};
    return audit_write(bench.broker.audit, &e);
}

static _Thread_local struct policy_run *policy_run;

static err_t part_policy(void)
{
    static const char *const path[] = {"bench", "value", "0"};
    struct policy_request request = {.claims = bench.guest_claims, .plugin = "resource",
                                     .path = path, .path_count = 3};
    struct policy_decision d;
    if (!policy_run && !(policy_run = policy_run_new())) FAIL(ERR_INTERNAL, "out of memory");
    policy_decide(bench.allow_all, policy_run, &request, &d);
    return d.allow ? ERR_OK : ERR_MAKE(ERR_INTERNAL, "the policy denied");
}

static err_t part_open(void)
{
    _cleanup_secret_ struct secret *value = NULL;
    struct envelope e;
    bool has_meta = false;
    if (envelope_decode(buf_span(&bench.envelope), &e, &has_meta) != ENVELOPE_SOUND)
        FAIL(ERR_INTERNAL, "the envelope is not sound");
    return p11_unseal(bench.broker.token, &e, &value);
}

static err_t part_close(void)
{
    static const uint8_t value[VALUE];
    _cleanup_buf_ struct buf jwe = BUF_INIT;
    return jwe_encrypt(bench.key, span_of(value, sizeof value), &jwe);
}

/* In the order of the steps that need them. */
static const struct part parts[] = {
    {"request", "the body of auth", part_request},
    {"random", "a session's id", part_random},
    {"parse", "the body of attest", part_parse},
    {"bind", "SHA-384 of nonce and key", part_bind},
    {"appraise", "the attestation policy", part_appraise},
    {"sign", "ES256 over the token", part_sign},
    {"claims", "of the token, as policies see them", part_claims},
    {"key", "the guest's, checked", part_key},
    {"audit", "one record of attest", part_audit},
    {"policy", "the release policy", part_policy},
    {"open", "C_Decrypt with a cached content key", part_open},
    {"close", "JWE of 1 KiB to the guest", part_close},
    {"audit", "one record of release", part_audit},
};
#define PARTS (sizeof parts / sizeof *parts)
static const size_t parts_until[GUESTS_STEPS] = {2, 9, PARTS};

static double sum_of(const struct part_cost *us, const struct guests_mode *mode)
{
    double sum = 0;
    for (size_t i = mode->first ? parts_until[mode->first - 1] : 0; i < parts_until[mode->last]; i++)
        sum += part_cheaper(us[i]);
    return sum;
}

/* ---- the constant server: the same answers, nothing done for them ----------------------------- */

static void constant_head(void *ctx, struct exchange *x)
{
    x->body_limit = VALUE_MAX;
    x->body_public = true;
}

static bool constant_serve(void *ctx, struct exchange *x)
{
    enum guests_step step = span_eq_str(x->req.path, "/kbs/v0/auth")     ? GUESTS_AUTH
                            : span_eq_str(x->req.path, "/kbs/v0/attest") ? GUESTS_ATTEST
                                                                         : GUESTS_GET;
    buf_add_span(&x->resp.body, buf_span(&bench.heard[step]));
    x->resp.status = 200;
    x->resp.content_type = "application/json";
    if (step != GUESTS_GET)
        response_header(&x->resp, "Set-Cookie", "%s; Expires=Thu, 01 Jan 2026 00:00:00 GMT",
                        bench.cookie);
    return true;
}

static void constant_refuse(void *ctx, struct exchange *x, int status) { x->resp.status = status; }

static err_t start_server(const struct exchange_handler *handler, struct http_server **ret)
{
    static const char *const sockets[] = {"127.0.0.1:0"};
    struct http_config config = {.sockets = sockets, .socket_count = 1};
    return http_server_start(&config, handler, ret);
}

/* ---- rounds ----------------------------------------------------------------------------------- */

struct rounds {
    double broker, client, rate, busy; /* microseconds of core time; rounds a second; share of the cores */
};

static err_t run_guests(const struct http_server *server, struct guests *guests,
                        const struct guests_mode *mode, double seconds, struct rounds *ret)
{
    struct load load = {.address = http_server_address(server, 0), .connections = CONNECTIONS,
                        .threads = bench.cores, .seconds = seconds, .ask = guests_ask,
                        .hear = guests_hear, .context = guests};
    struct load_result r;
    TRY(load_run(&load, &r));
    double rounds = (double) r.answers / guests_requests(mode);
    *ret = (struct rounds){
        .broker = r.server_seconds * 1e6 / rounds, .client = r.client_seconds * 1e6 / rounds,
        .rate = rounds / r.seconds,
        .busy = (r.server_seconds + r.client_seconds) / r.seconds / bench.cores};
    return ERR_OK;
}

static err_t keep(struct buf *to, struct span s)
{
    buf_reset(to);
    buf_add_span(to, s);
    return buf_ok(to);
}

/* One handshake and one GET of this kind: what the parts and the constant server work with. */
static err_t learn(const char *key)
{
    const struct guests_mode *mode = guests_mode_named("fetch");
    _cleanup_(guests_freep) struct guests *guests = NULL;
    _cleanup_(attestation_done) struct attestation t = {0};
    TRY(guests_new(mode, key, RESOURCE, true, &guests));
    struct load load = {.address = http_server_address(bench.server, 0), .connections = 1,
                        .threads = 1, .answers = GUESTS_STEPS, .ask = guests_ask,
                        .hear = guests_hear, .context = guests};
    struct load_result ignored;
    TRY(load_run(&load, &ignored));
    for (enum guests_step s = GUESTS_AUTH; s < GUESTS_STEPS; s++)
        TRY(keep(&bench.heard[s], guests_sample(guests, s).answer));
    snprintf(bench.cookie, sizeof bench.cookie, "%s", guests_sample(guests, GUESTS_AUTH).cookie);
    TRY(keep(&bench.auth, guests_sample(guests, GUESTS_AUTH).request));
    TRY(keep(&bench.attestation, guests_sample(guests, GUESTS_ATTEST).request));

    TRY(attestation_parse(buf_span(&bench.attestation), &t));
    buf_reset(&bench.bound);
    TRY(report_data_text("", t.nonce, t.tee_pubkey, &bench.bound));
    TRY(keep(&bench.jwk, json_text(t.tee_pubkey)));
    jwe_key_free(TAKE_PTR(bench.key));
    TRY(jwe_key_from_json(t.tee_pubkey, false, &bench.key));
    struct jws *token = NULL;
    struct span text = buf_span(&bench.heard[GUESTS_ATTEST]);
    TRY(jws_parse(span_of(text.data + strlen("{\"token\":\""), text.len - strlen("{\"token\":\"\"}")),
                  &token));
    struct err e = keep(&bench.claims, jws_payload(token));
    jws_free(token);
    TRY(e);
    _cleanup_json_ struct json_doc *claims = NULL;
    TRY(json_parse(buf_span(&bench.claims), &claims));
    TRY(keep(&bench.evidence,
             json_text(json_pointer(json_root(claims),
                                    "/submods/cpu0/ear.veraison.annotated-evidence"))));
    policy_claims_free(bench.guest_claims);
    bench.guest_claims =
        policy_claims_new((const char *) bench.claims.data, bench.claims.len, NULL);
    return bench.guest_claims ? ERR_OK : ERR_MAKE(ERR_INTERNAL, "no claims");
}

/* ---- the report ------------------------------------------------------------------------------- */

/* What the reference broker (sessions in memory) did on a machine of this class: 2 cores
 * shared with its load generator; the higher end of several runs. Recorded elsewhere, not measured in
 * this run. */
static const struct {
    const char *mode;
    double per_second;
} reference[] = {{"auth", 17000}, {"handshake", 2300}, {"fetch", 940}};

static double reference_of(const char *mode)
{
    for (size_t i = 0; i < sizeof reference / sizeof *reference; i++)
        if (strcmp(reference[i].mode, mode) == 0) return reference[i].per_second;
    return 0;
}

static void print_row(const char *mode, const char *key, const struct rounds *real,
                      const struct rounds *constant, double parts_us)
{
    double sum = parts_us + constant->broker + constant->client, all = real->broker + real->client;
    double times = reference_of(mode);
    printf("  %-9s %-8s %7.0f/s %5.0f%% %7.1f us %7.1f us %7.1f us %7.1f us   %4.2f", mode, key,
           real->rate, 100 * real->busy, real->broker, real->client, all, sum, sum / all);
    if (times > 0 && strcmp(key, "RSA-2048") != 0 && strcmp(key, "P-521") != 0)
        printf("   %.1f by the clock, %.1f by core time", real->rate / times,
               1e6 * bench.cores / all / times);
    printf("\n");
}

static err_t measure_mode(const char *name, const char *key, const struct part_cost *us)
{
    const struct guests_mode *mode = guests_mode_named(name);
    _cleanup_(guests_freep) struct guests *guests = NULL;
    _cleanup_(guests_freep) struct guests *idle = NULL;
    struct rounds real, constant;
    TRY(guests_new(mode, key, RESOURCE, true, &guests));
    TRY(guests_new(mode, key, RESOURCE, false, &idle));
    TRY(run_guests(bench.server, guests, mode, bench.seconds, &real));
    TRY(run_guests(bench.plain, idle, mode, bench.seconds / 2, &constant));
    print_row(name, key, &real, &constant, sum_of(us, mode));
    return ERR_OK;
}

static err_t measure_key(const char *key)
{
    static const char *const modes[] = {"auth", "handshake", "fetch", "cookie", "bearer"};
    struct part_cost us[PARTS];
    TRY(learn(key));
    TRY(parts_measure(parts, PARTS, part_close, bench.cores, bench.seconds / 8, us));
    bool first = strcmp(key, "P-256") == 0; /* auth knows nothing of the key */
    for (size_t i = first ? 0 : 1; i < sizeof modes / sizeof *modes; i++)
        TRY(measure_mode(modes[i], key, us));
    printf("    parts, us:");
    for (size_t i = 0; i < PARTS; i++) printf(" %s %.1f", parts[i].name, part_cheaper(us[i]));
    printf("\n");
    return ERR_OK;
}

static void print_head(void)
{
    double load[3] = {0};
    if (getloadavg(load, 3) < 1) load[0] = -1;
    printf("guests: %u cores shared with the load generator, %d connections, load average %.2f\n"
           "  core time of a round, and of it the broker's; the sum of its parts; the reference's rate on\n"
           "  this class of machine, recorded elsewhere (auth %.0f, handshake %.0f, fetch %.0f a second)\n"
           "  %-9s %-8s %9s %6s %10s %10s %10s %10s   %4s   %s\n",
           bench.cores, CONNECTIONS, load[0], reference[0].per_second, reference[1].per_second,
           reference[2].per_second, "round", "key", "rate", "cores", "broker", "generator", "both",
           "floor", "near", "times the reference");
}

/* ---- all of it -------------------------------------------------------------------------------- */

static err_t prepare(void)
{
    static struct exchange_handler api, constant = {NULL, constant_head, constant_serve,
                                                    constant_refuse};
    static struct rego_errors errors;
    uint8_t value[VALUE];
    uint64_t version = 0;
    TRY(rand_bytes(value, sizeof value));
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = RESOURCE,
                            .value = span_of(value, sizeof value)};
    TRY(store_put(bench.broker.store, &put, &version));
    struct envelope_meta meta = {.kind = ENVELOPE_RESOURCE, .version = 1,
                                 .name = SPAN_LIT("bench/part/open")};
    TRY(p11_seal(bench.broker.token, &meta, span_of(value, sizeof value), &bench.envelope));
    TRY(appraiser_new(bench.broker.store, &bench.appraiser));
    TRY(issuer_new(NULL, NULL, &bench.issuer));
    TRY(verifier_new(&(struct attest_config){0}, issuer_chain(bench.issuer), &bench.verifier));
    bench.allow_all = policy_compile(POLICY_ALLOW_ALL_TEXT, strlen(POLICY_ALLOW_ALL_TEXT), NULL,
                                     &errors);
    if (!bench.allow_all) FAIL(ERR_INTERNAL, "the policy does not compile");
    api = api_handler(bench.broker.api);
    TRY(start_server(&api, &bench.server));
    return start_server(&constant, &bench.plain);
}

static void clean_up(void)
{
    http_server_stop(bench.plain, 1000);
    http_server_stop(bench.server, 1000);
    policy_free(bench.allow_all);
    policy_claims_free(bench.guest_claims);
    jwe_key_free(bench.key);
    if (bench.issuer) issuer_free(bench.issuer);
    appraiser_free(bench.appraiser);
    struct buf *bufs[] = {&bench.envelope, &bench.auth, &bench.attestation, &bench.bound,
                          &bench.evidence, &bench.claims, &bench.jwk, &bench.heard[0],
                          &bench.heard[1], &bench.heard[2]};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) buf_free(bufs[i]);
    broker_close(&bench.broker);
}

static err_t run(struct config *config)
{
    static const char *const keys[] = {"P-256", "P-521", "RSA-2048"};
    if (bench.seconds > SECONDS_MAX) bench.seconds = SECONDS_MAX;
    config->attestation_session_seconds = (int64_t) bench.seconds + 2;
    TRY(broker_open(config, "bench", false, &bench.broker));
    TRY(prepare());
    print_head();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) TRY(measure_key(keys[i]));
    return ERR_OK;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: bench_handshake CONFIG SECONDS\n");
        return 2;
    }
    bench.seconds = strtod(argv[2], NULL);
    bench.cores = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);
    log_set_level(LOG_LEVEL_ERROR);
    setvbuf(stdout, NULL, _IOLBF, 0);
    _cleanup_(config_freep) struct config *config = NULL;
    struct err e = config_load(argv[1], &config);
    if (err_ok(e)) e = run(config);
    if (!err_ok(e)) fprintf(stderr, "bench: %s\n", err_text(e));
    clean_up();
    return err_exit_code(e.code);
}
