#include "broker/cmd/supervisor.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

struct supervisor {
    pthread_t thread;
    struct p11 *token;
    struct store *store;
    struct audit *audit;
    uint64_t down_at; /* clock_mono_ns; of the thread alone */
};

/* How each state is told. What a person must do is an error, and so is that nobody is served. */
static const struct {
    const char *event, *action, *decision, *effect;
} TELL[P11_STATE_COUNT] = {
    [P11_UP] = {"token.back", "token-back", "done", "releases and writes are served again"},
    [P11_RECOVERING] = {"token.down", "token-down", "error", "releases and writes wait for it a moment"},
    [P11_WAITING] = {"token.waiting", "token-waiting", "error",
                     "releases and writes are answered 503 until it is back"},
    [P11_HUMAN] = {"token.needs-a-person", "token-login", "deny",
                   "releases and writes are answered 503 until somebody acts"},
};

/* What happens to the token decides over every release, so it stands in the record as well. Nothing
 * waits for it: without a record the requests themselves are refused. */
static void record(struct supervisor *s, const struct p11_status *now)
{
    struct audit_event event = {
        .action = TELL[now->state].action, .decision = TELL[now->state].decision,
        .reason = now->why ? err_class_name(now->why) : "",
    };
    struct err e = audit_write(s->audit, &event);
    if (!err_ok(e)) log_err(e, "audit.failed", LOG_S("action", event.action));
}

static void changed(void *arg, const struct p11_status *now)
{
    struct supervisor *s = arg;
    bool up = now->state == P11_UP;
    if (now->state == P11_RECOVERING) s->down_at = clock_mono_ns();
    if (up)
        log_info(TELL[P11_UP].event, LOG_S("token", p11_label(s->token)),
                 LOG_U("away_ms", (clock_mono_ns() - s->down_at) / 1000000),
                 LOG_S("effect", TELL[P11_UP].effect));
    else
        log_error(TELL[now->state].event, LOG_S("token", p11_label(s->token)),
                  LOG_S("why", now->reason), LOG_S("next", p11_step_name(now->next)),
                  LOG_U("next_in_ms", now->next_ms), LOG_S("effect", TELL[now->state].effect));
    record(s, now);
}

/* Objects have new handles. A store that cannot be read for reasons of its own says so when it is
 * asked; starting the module anew would not help it. */
static struct err came_back(void *arg)
{
    struct supervisor *s = arg;
    struct err e = store_refresh(s->store);
    if (err_ok(e) || e.code == ERR_TOKEN_DOWN) return e;
    log_err(e, "store.not-read");
    return ERR_OK;
}

static void *keep(void *arg)
{
    struct supervisor *s = arg;
    const struct p11_keeper keeper = {.came_back = came_back, .changed = changed, .arg = s};
    while (p11_await(s->token)) p11_tend(s->token, &keeper);
    return NULL;
}

struct err supervisor_start(struct p11 *token, struct store *store, struct audit *audit,
                            struct supervisor **ret)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    *s = (struct supervisor){.token = token, .store = store, .audit = audit,
                             .down_at = clock_mono_ns()};
    if (pthread_create(&s->thread, NULL, keep, s) != 0) {
        free(s);
        FAIL(ERR_INTERNAL, "cannot start the thread that keeps the token");
    }
    *ret = s;
    return ERR_OK;
}

void supervisor_stop(struct supervisor *s)
{
    if (!s) return;
    p11_keep_end(s->token);
    pthread_join(s->thread, NULL);
    free(s);
}
