#include "broker/cmd/supervisor.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <time.h>

#define WATCH_SECONDS 2u      /* between looks at a token that works; one C_Decrypt each */
#define RETRY_MAX_SECONDS 60u /* between tries to bring it back, after 1, 2, 4, ... */

struct supervisor {
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop */
    pthread_cond_t wake;
    bool stop;
    struct p11 *token;
    struct store *store;
    struct audit *audit;
};

/* What happens to the token decides over every release, so it stands in the record as well. Nothing
 * waits for it: without a record the requests themselves are refused. */
static void record(struct supervisor *s, const char *action, const char *decision, const char *reason)
{
    struct audit_event event = {.action = action, .decision = decision, .reason = reason};
    struct err e = audit_write(s->audit, &event);
    if (!err_ok(e)) log_err(e, "audit.failed", LOG_S("action", action));
}

/* False when it is time to end. */
static bool pause_seconds(struct supervisor *s, unsigned seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    SCOPED_LOCK(&s->lock);
    while (!s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0) continue;
    return !s->stop;
}

static struct err bring_back(struct supervisor *s)
{
    TRY(p11_recover(s->token));
    TRY(p11_check(s->token));
    return store_refresh(s->store); /* objects have new handles */
}

/* Until the token works again or we are told to end. */
static void recover(struct supervisor *s)
{
    uint64_t since = clock_mono_ns();
    bool told = false; /* that a person must act */
    for (unsigned pause = 1;; pause = pause * 2 < RETRY_MAX_SECONDS ? pause * 2 : RETRY_MAX_SECONDS) {
        struct err e = bring_back(s);
        if (err_ok(e)) {
            log_info("token.back", LOG_S("token", p11_label(s->token)),
                     LOG_U("away_ms", (clock_mono_ns() - since) / 1000000));
            record(s, "token-back", "done", "");
            return;
        }
        /* What a person must do is worth a line at each try; these are rare by then. */
        if (e.code == ERR_HUMAN) log_err(e, "token.needs-a-person", LOG_U("next_try_s", pause));
        else log_debug_err(e, "token.still-down", LOG_U("next_try_s", pause));
        if (e.code == ERR_HUMAN && !told) record(s, "token-login", "deny", err_class_name(e.code));
        told |= e.code == ERR_HUMAN;
        if (!pause_seconds(s, pause)) return;
    }
}

static void *watch(void *arg)
{
    struct supervisor *s = arg;
    while (pause_seconds(s, WATCH_SECONDS)) {
        if (!p11_has_kek(s->token)) continue; /* there is no canary yet */
        struct err e = p11_check(s->token);
        /* Busy (sessions, locked memory) or waiting for a person is not away: starting the module
         * anew would only hurt those whom it serves. */
        if (e.code != ERR_TOKEN_DOWN) continue;
        log_err(e, "token.down", LOG_S("token", p11_label(s->token)),
                LOG_S("effect", "releases and writes are answered 503 until it is back"));
        record(s, "token-down", "error", err_class_name(e.code));
        recover(s);
    }
    return NULL;
}

struct err supervisor_start(struct p11 *token, struct store *store, struct audit *audit,
                            struct supervisor **ret)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&s->lock, NULL);
    s->token = token;
    s->store = store;
    s->audit = audit;
    if (pthread_create(&s->thread, NULL, watch, s) != 0) {
        free(s);
        FAIL(ERR_INTERNAL, "cannot start the thread that watches the token");
    }
    *ret = s;
    return ERR_OK;
}

void supervisor_stop(struct supervisor *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
