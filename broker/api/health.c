/* /healthz: the process lives. /readyz: the vault works. */
#include "broker/api/endpoint.h"

#include "broker/base/clock.h"
#include "broker/base/json.h"

#include <stdio.h>

#define READY_FRESH_NS (2 * CLOCK_SECOND_NS) /* probes cost the token no more than this */

bool health_live(struct call *c)
{
    reply_empty(&c->x->resp);
    return true;
}

static void answer(struct call *c)
{
    struct api *a = c->api;
    _cleanup_buf_ struct buf body = BUF_INIT;
    struct json_out o = JSON_OUT(&body);
    pthread_mutex_lock(&a->ready_lock);
    bool ready = a->ready;
    json_begin_object(&o);
    json_member_bool(&o, "ready", ready);
    if (!ready) json_member_str(&o, "reason", a->ready_reason);
    json_end_object(&o);
    pthread_mutex_unlock(&a->ready_lock);
    reply_json(&c->x->resp, &body);
    if (ready) return;
    c->x->resp.status = 503;
    response_header(&c->x->resp, "Retry-After", "2");
}

bool health_ready_decide(struct call *c)
{
    struct api *a = c->api;
    uint64_t now = clock_mono_ns();
    pthread_mutex_lock(&a->ready_lock);
    bool fresh = a->ready_checked && now - a->ready_checked < READY_FRESH_NS;
    if (!fresh) a->ready_checked = now; /* one probe asks the token, the others see its answer */
    pthread_mutex_unlock(&a->ready_lock);
    if (fresh) answer(c);
    return fresh;
}

struct err health_ready_work(struct call *c)
{
    struct p11 *token = c->api->config.token;
    if (!p11_has_kek(token))
        FAIL(ERR_HUMAN, "the token has no key-encryption key; run `strongroom kek create`");
    return p11_check(token);
}

void health_ready_finish(struct call *c, struct err e)
{
    struct api *a = c->api;
    pthread_mutex_lock(&a->ready_lock);
    a->ready = err_ok(e);
    /* Class only: /readyz is open to anybody. The log has the chain. */
    snprintf(a->ready_reason, sizeof a->ready_reason, "%s", err_class_name(e.code));
    pthread_mutex_unlock(&a->ready_lock);
    answer(c);
}
