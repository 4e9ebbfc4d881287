/* The way of a call: the rules, then the gate, then the real module, then the rules again. */
#include "tests/fault/fault.h"

#include <time.h>

/* Calls go through it side by side. Who changes what they stand on (closes sessions, logs out)
 * holds it alone: SoftHSM frees a session under a thread that uses it. Comes before the lock of
 * control.c. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_INITIALIZER;

static void pause_us(unsigned long us)
{
    struct timespec t = {.tv_sec = (time_t) (us / 1000000),
                         .tv_nsec = (long) (us % 1000000) * 1000};
    while (nanosleep(&t, &t)) continue;
}

/* ---- acts --------------------------------------------------------------------------------- */

static void act(unsigned effects, CK_SESSION_HANDLE session)
{
    if (!(effects & (DROP | DROP_ALL | FORGET | UNPLUG | FINALIZE))) return;
    pthread_rwlock_wrlock(&gate);
    if (effects & UNPLUG) powers_unplug();
    if (effects & FORGET) real->C_Logout(session);
    if (effects & DROP) close_session(session);
    if (effects & (DROP_ALL | UNPLUG)) close_all_sessions();
    if (effects & FINALIZE) finalize();
    pthread_rwlock_unlock(&gate);
}

/* A token that is away, or whose module must be initialised again. */
static bool is_away(const struct call *c, CK_RV *ret_rv)
{
    struct powers p = powers_now();
    bool module = c->fn == FN_C_Initialize || c->fn == FN_C_Finalize || c->fn == FN_C_GetInfo;
    if ((p.stale || p.spoiled) && !module) {
        *ret_rv = p.spoiled ? p.spoiled : p.stale;
        return true;
    }
    if (p.unplugged && c->session != NO_SESSION) {
        *ret_rv = CKR_DEVICE_REMOVED;
        return true;
    }
    return false;
}

/* ---- begin and end ------------------------------------------------------------------------ */

bool call_begin(struct call *c, CK_RV *ret_rv)
{
    unsigned once = 0;
    control_look(c, &once);
    act(once, c->session);
    if (c->delay_us) pause_us(c->delay_us);
    while (c->effects & HANG && rules_are(c->rules)) pause_us(2000);
    bool before = !(c->effects & DONE);
    if (before && !c->within) die(c->effects);
    act(c->effects, c->session);
    if (before && c->effects & ANSWER) {
        *ret_rv = c->rv;
        return false;
    }
    pthread_rwlock_rdlock(&gate);
    if (is_away(c, ret_rv)) {
        pthread_rwlock_unlock(&gate);
        return false;
    }
    death_within(c->within);
    return true;
}

CK_RV call_end(struct call *c, CK_RV rv)
{
    death_within(0);
    pthread_rwlock_unlock(&gate);
    if (rv == CKR_OK && c->length && c->short_by)
        *c->length -= c->short_by < *c->length ? c->short_by : *c->length;
    if (!(c->effects & DONE)) return rv;
    die(c->effects);
    return c->effects & ANSWER ? c->rv : rv;
}
