#include "broker/attest/as_service.h"

#include "broker/attest/as_call.h"
#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/base/outbound.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEADER_MAX 48
#define PROBE_MS (1000 * AS_PROBE_SECONDS)

struct as_service {
    const struct as_protocol *protocol;
    struct outbound *out;
    char *url;                     /* without a slash at the end */
    unsigned call_ms;
    struct breaker breaker;
    atomic_bool stopping;          /* what fails now says nothing of the service */
    _Atomic uint64_t calls, refusals, failures;
};

/* ---- life ----------------------------------------------------------------------------------- */

void as_service_free(struct as_service *s)
{
    if (!s) return;
    outbound_free(s->out);
    breaker_done(&s->breaker);
    free(s->url);
    free(s);
}

static err_t copy_url(const char *url, char **ret)
{
    size_t len = strlen(url);
    TRYC(outbound_check_url(url), "attestation_service.as_addr");
    if (strchr(url, '?')) FAIL(ERR_USAGE, "attestation_service.as_addr: the URL has a query");
    while (len && url[len - 1] == '/') len--;
    *ret = strndup(url, len);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

/* Evidence and runtime data are no secrets, and tokens are signed; but who stands between may answer. */
static void warn_of_plain(const char *url)
{
    static const char *const here[] = {"https://", "http://127.", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++)
        if (strncasecmp(url, here[i], strlen(here[i])) == 0) return;
    log_warn("attestation-service.plain", LOG_S("url", url),
             LOG_S("what", "the attestation service is on another host and asked without TLS"));
}

struct err as_service_new(const struct as_config *config, struct as_service **ret)
{
    unsigned ms = 1000 * (config->call_seconds ? config->call_seconds : AS_CALL_SECONDS);
    _cleanup_(as_service_freep) struct as_service *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    breaker_init(&s->breaker, AS_BREAKER_FAILURES, AS_BREAKER_MS, AS_BREAKER_MAX_MS);
    s->protocol = config->kind == AS_GRPC ? &as_grpc : &as_rest;
    s->call_ms = ms;
    TRY(copy_url(config->url, &s->url));
    struct outbound_config out = {
        .ca_file = config->ca_file, .client_cert = config->client_cert,
        .client_key = config->client_key, .total_ms = ms, .answer_max = AS_ANSWER_MAX,
        .idle_max = config->pool_size ? config->pool_size : AS_POOL_DEFAULT,
        .http2 = s->protocol->http2, .direct = true,
    };
    TRYC(outbound_new(&out, &s->out), "attestation_service");
    warn_of_plain(s->url);
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

void as_service_stop_in(struct as_service *s, unsigned ms)
{
    atomic_store(&s->stopping, true);
    outbound_stop_in(s->out, ms);
}

void as_service_stats(struct as_service *s, struct as_stats *ret)
{
    *ret = (struct as_stats){.calls = s->calls, .refusals = s->refusals, .failures = s->failures};
    breaker_look(&s->breaker, clock_mono_ns(), &ret->breaker);
}

/* ---- one question --------------------------------------------------------------------------- */

/* Evaluations, challenges and queries change nothing at the service: of two tokens for the same evidence
 * one is given away and the other forgotten. What an operator sets is sent once: the same text again,
 * after somebody else's, would undo that. */
static bool is_repeatable(enum as_op op)
{
    return op == AS_EVALUATE || op == AS_CHALLENGE || op == AS_ALIVE || op == AS_QUERY;
}

static void note_header(void *arg, struct span name, struct span value)
{
    grpc_note(arg, name, value);
}

static unsigned timeout_of(const struct as_service *s, const struct as_call *call)
{
    return call->op == AS_ALIVE && s->call_ms > PROBE_MS ? PROBE_MS : s->call_ms;
}

static err_t send_call(struct as_service *s, const struct as_call *call, struct span body,
                       unsigned ms, struct grpc_head *ret_head, struct outbound_answer *ret)
{
    _cleanup_buf_ struct buf url = BUF_INIT;
    char timeout[HEADER_MAX];
    snprintf(timeout, sizeof timeout, "grpc-timeout: %um", ms);
    /* REST takes the first alone: the list ends at the NULL. */
    const char *const headers[] = {s->protocol->content_type,
                                   s->protocol->http2 ? "te: trailers" : NULL, timeout, NULL};
    buf_addf(&url, "%s%s", s->url, s->protocol->paths[call->op]);
    TRY(buf_ok(&url));
    struct outbound_request request = {
        .method = "POST", .url = buf_str(&url), .headers = headers, .body = body,
        .total_ms = ms, .repeatable = is_repeatable(call->op),
        .on_header = s->protocol->http2 ? note_header : NULL, .arg = ret_head,
    };
    return outbound_send(s->out, &request, ret);
}

/* What an answer is to who asked, and what it shows of the service. */
static const struct {
    enum err_class code;
    enum breaker_result result;
    const char *text;
} outcomes[] = {
    [AS_DONE] = {ERR_NONE, BREAKER_GOOD, NULL},
    [AS_REFUSED] = {ERR_AUTH, BREAKER_GOOD, "the attestation service refused it"},
    [AS_UNABLE] = {ERR_BUSY, BREAKER_GOOD, "the attestation service does not serve this"},
    [AS_TOO_LONG] = {ERR_AUTH, BREAKER_NEITHER, "an answer too long to be taken"},
    [AS_CUT] = {ERR_BUSY, BREAKER_BAD, "no answer of an attestation service"},
    [AS_DOWN] = {ERR_BUSY, BREAKER_BAD, "no answer of an attestation service"},
};

static err_t read_answer(const struct as_service *s, const struct as_call *call,
                         const struct as_answer *answer, struct buf *ret, enum breaker_result *ret_result,
                         bool *ret_cut)
{
    _cleanup_buf_ struct buf why = BUF_INIT;
    enum as_outcome outcome = as_read(s->protocol, call, answer, ret, &why);
    *ret_cut = outcome == AS_CUT;
    *ret_result = outcomes[outcome].result;
    if (outcome == AS_DONE) return ERR_OK;
    FAIL(outcomes[outcome].code, "%s: %s", outcomes[outcome].text, buf_str(&why));
}

/* Of a question without an answer. One that is too large is the guest's, whose evidence may have made it so. */
static err_t no_answer(const struct as_service *s, struct err e, enum breaker_result *ret_result)
{
    *ret_result = BREAKER_NEITHER;
    if (e.code == ERR_INTERNAL) return e;
    if (e.code != ERR_TOOLARGE && !atomic_load(&s->stopping)) *ret_result = BREAKER_BAD;
    e = err_add(e, __FILE__, __LINE__, __func__, "the attestation service");
    e.code = e.code == ERR_TOOLARGE ? ERR_AUTH : ERR_BUSY;
    return e;
}

static err_t attempt(struct as_service *s, const struct as_call *call, struct span body, unsigned ms,
                     struct buf *ret, enum breaker_result *ret_result, bool *ret_cut)
{
    struct outbound_answer raw = {0};
    struct as_answer answer = {0};
    struct err e = send_call(s, call, body, ms, &answer.head, &raw);
    answer.status = raw.status;
    answer.body = buf_span(&raw.body);
    e = err_ok(e) ? read_answer(s, call, &answer, ret, ret_result, ret_cut) : no_answer(s, e, ret_result);
    grpc_head_done(&answer.head);
    buf_free(&raw.body);
    return e;
}

/* Once more when the answer was cut off, where asking twice does no harm and there is time. */
static err_t ask_once(struct as_service *s, const struct as_call *call, struct span body,
                      struct buf *ret, enum breaker_result *ret_result)
{
    bool cut = false;
    unsigned ms = timeout_of(s, call);
    uint64_t began = clock_mono_ns();
    struct err e = attempt(s, call, body, ms, ret, ret_result, &cut);
    uint64_t taken = (clock_mono_ns() - began) / (CLOCK_SECOND_NS / 1000);
    if (!cut || !is_repeatable(call->op) || taken >= ms) return e;
    err_ignore(e);
    buf_reset(ret);
    return attempt(s, call, body, ms - (unsigned) taken, ret, ret_result, &cut);
}

static void log_news(const struct as_service *s, enum breaker_news news, struct err e)
{
    if (news == BREAKER_UP)
        log_info("attestation-service.up", LOG_S("url", s->url));
    if (news == BREAKER_DOWN)
        log_warn_err(e, "attestation-service.down", LOG_S("url", s->url),
                     LOG_S("effect", "evidence is answered 503 until it is back; it is tried again by itself"));
}

/* The neutral question of breaker.h. Whatever the service says to it, it is there. */
static err_t probe(struct as_service *s)
{
    static const struct as_call call = {.op = AS_ALIVE, .id = "sample", .text = SPAN_LIT("")};
    _cleanup_buf_ struct buf body = BUF_INIT, nothing = BUF_INIT;
    enum breaker_result result = BREAKER_NEITHER;
    struct err e = s->protocol->write(&call, &body);
    if (err_ok(e)) e = ask_once(s, &call, buf_span(&body), &nothing, &result);
    if (e.code == ERR_AUTH && result == BREAKER_NEITHER) { /* too long an answer: no guest made it so */
        result = BREAKER_BAD;
        e.code = ERR_BUSY;
    }
    log_news(s, breaker_probed(&s->breaker, result, clock_mono_ns()), e);
    return result == BREAKER_GOOD ? ERR_OK : e;
}

/* After a question, which came to e. */
static err_t leave(struct as_service *s, struct err e, enum breaker_result result)
{
    struct err_chain kept;
    enum breaker_news news = breaker_leave(&s->breaker, result);
    log_news(s, news, e);
    atomic_fetch_add(&s->failures, result == BREAKER_BAD);
    atomic_fetch_add(&s->refusals, result == BREAKER_GOOD && e.code == ERR_AUTH);
    if (news != BREAKER_ASK) return e;
    err_save(e, &kept);
    err_ignore(probe(s)); /* the breaker knows; who asked is told of the own question */
    return err_load(&kept);
}

static err_t ask(struct as_service *s, const struct as_call *call, struct buf *ret)
{
    _cleanup_buf_ struct buf body = BUF_INIT, value = BUF_INIT;
    enum breaker_result result = BREAKER_NEITHER;
    TRY(s->protocol->write(call, &body));
    enum breaker_pass pass = breaker_enter(&s->breaker, clock_mono_ns());
    if (pass == BREAKER_REFUSED)
        FAIL(ERR_BUSY, "the attestation service is down, and not asked for a while");
    if (pass == BREAKER_PROBE) TRYC(probe(s), "the attestation service is still down");
    atomic_fetch_add(&s->calls, 1);
    struct err e = ask_once(s, call, buf_span(&body), &value, &result);
    TRY(leave(s, e, result));
    TRY(buf_ok(&value));
    buf_add_span(ret, buf_span(&value));
    return buf_ok(ret);
}

struct err as_evaluate(struct as_service *s, const struct as_piece *pieces, size_t count,
                       struct buf *ret_token)
{
    struct as_call call = {.op = AS_EVALUATE, .pieces = pieces, .piece_count = count};
    return ask(s, &call, ret_token);
}

struct err as_challenge(struct as_service *s, const char *tee, struct span params, struct buf *ret)
{
    struct as_call call = {.op = AS_CHALLENGE, .id = tee, .text = params};
    return ask(s, &call, ret);
}

/* ---- upkeep --------------------------------------------------------------------------------- */

/* For an operator, who sent it and may know why it is refused. */
static err_t ask_for_operator(struct as_service *s, const struct as_call *call, struct buf *ret)
{
    struct err e = ask(s, call, ret);
    if (e.code == ERR_AUTH) e.code = ERR_USAGE;
    return e;
}

static err_t set_policy(void *context, const struct attest_policy *policy, uint64_t *ret_version)
{
    _cleanup_buf_ struct buf nothing = BUF_INIT;
    struct as_call call = {.op = AS_SET_POLICY, .id = policy->id, .text = policy->text};
    if (policy->has_if_match)
        FAIL(ERR_USAGE, "the attestation service keeps its policies and counts no versions; send this without "
                        "If-Match and If-None-Match");
    TRY(ask_for_operator(context, &call, &nothing));
    *ret_version = 0; /* it counts none */
    return ERR_OK;
}

static err_t check_values(const struct as_service *s)
{
    if (s->protocol->paths[AS_REGISTER]) return ERR_OK;
    FAIL(ERR_USAGE, "REST takes no reference values; set them at the RVPS, or say "
                    "attestation_service.verifier: grpc");
}

static err_t register_values(void *context, struct span message)
{
    struct as_call call = {.op = AS_REGISTER, .text = message};
    _cleanup_buf_ struct buf nothing = BUF_INIT;
    TRY(check_values(context));
    return ask_for_operator(context, &call, &nothing);
}

static err_t query_value(void *context, const char *name, struct buf *ret)
{
    struct as_call call = {.op = AS_QUERY, .id = name};
    size_t before = ret->len;
    TRY(check_values(context));
    TRY(ask_for_operator(context, &call, ret));
    if (ret->len == before)
        FAIL(ERR_NOTFOUND, "No reference value found for the given id: %s", name);
    return ERR_OK;
}

struct attest_upkeep as_service_upkeep(struct as_service *s)
{
    return (struct attest_upkeep){.context = s, .set_policy = set_policy,
                                  .register_values = register_values, .query_value = query_value};
}
