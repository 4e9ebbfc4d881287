/* Bringing the token back: the ladder of tokens.md 6, climbed by the keeper alone, so that the module
 * is initialised again once for all threads. */
#include "pkcs11/kek.h"
#include "pkcs11/seal.h"
#include "pkcs11/watch.h"

#include <string.h>

#include "broker/base/log.h"

const char *p11_state_name(enum p11_state state)
{
    static const char *const NAMES[P11_STATE_COUNT] = {
        [P11_UP] = "up", [P11_RECOVERING] = "recovering", [P11_WAITING] = "waiting",
        [P11_HUMAN] = "human",
    };
    return NAMES[state];
}

const char *p11_step_name(enum p11_step step)
{
    static const char *const NAMES[P11_STEP_COUNT] = {
        [P11_STEP_LOOK] = "look", [P11_STEP_SESSION] = "session", [P11_STEP_LOGIN] = "login",
        [P11_STEP_RESTART] = "restart",
    };
    return NAMES[step];
}

/* ---- a look ----------------------------------------------------------------------------- */

/* Where no canary tells, being logged in comes first, and without a key must do. */
static err_t check_login(struct p11 *p, CK_RV *ret_rv)
{
    CK_SESSION_INFO info = {0};
    struct p11_token_info token = {0};
    _cleanup_session_ struct p11_session s = {0};
    p11_last_info(p, &token);
    TRY(session_take(p, &s));
    *ret_rv = session_rv(&s, p->fn->C_GetSessionInfo(s.h, &info));
    if (*ret_rv == CKR_OK && info.state != CKS_RW_USER_FUNCTIONS && token.login_required)
        *ret_rv = CKR_USER_NOT_LOGGED_IN;
    if (*ret_rv == CKR_OK) return ERR_OK;
    FAIL_RV(*ret_rv, "C_GetSessionInfo", "token %s has forgotten our login", p->label);
}

static bool newest_sound_key(struct p11 *p, struct seal_key *ret)
{
    SCOPED_LOCK(&p->kek_lock);
    for (size_t i = p->kek_count; i-- > 0;) {
        if (!p->keks[i].info.sound) continue;
        *ret = seal_key_of(&p->keks[i]);
        return true;
    }
    return false;
}

/* What is read under a key whose canary does not open depends on it all the same: then the self-test tells. */
static err_t check_suite(struct p11 *p)
{
    struct seal_key key = {0};
    bool readable = false;
    const struct suite_way *way = suite_chosen(p).way;
    _cleanup_session_ struct p11_session s = {0};
    if (!way || !newest_sound_key(p, &key)) return ERR_OK;
    TRY(session_take_at(p, key.epoch, &s)); /* the test has sessions of its own; recovery waits for this one */
    struct err e = suite_self_test(p, way, key.handle, &readable);
    if (e.code == ERR_USAGE) e.code = ERR_TOKEN_DOWN;
    return e;
}

static err_t check(struct p11 *p, CK_RV *ret_rv)
{
    if (p11_active_generation(p)) return canary_check(p, ret_rv);
    TRY(check_login(p, ret_rv));
    return check_suite(p);
}

err_t p11_check(struct p11 *p)
{
    CK_RV rv = CKR_OK;
    struct err e = check(p, &rv);
    if (e.code == ERR_TOKEN_DOWN) life_ask(&p->life);
    struct seal_key key = {0};
    if (err_ok(e) && !newest_sound_key(p, &key)) e = canary_check(p, &rv); /* says so */
    return e;
}

/* What may help against this code, mildest first. A login costs nothing but a moment; where the device
 * itself complains it would be one more command to a device that fails. */
static enum p11_step first_step(CK_RV rv)
{
    enum rv_reaction reaction = rv_reaction(rv);
    bool login = rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED ||
                 reaction == RV_LOGIN || reaction == RV_HANDLE || reaction == RV_FULL;
    return login ? P11_STEP_LOGIN : P11_STEP_RESTART;
}

static void know(struct p11 *p, const struct p11_token_info *info)
{
    SCOPED_LOCK(&p->kek_lock);
    p->known = *info;
}

/* Slots may have been renumbered: another token must not get our PIN. */
static err_t check_slot(struct p11 *p)
{
    struct p11_token_info info = {0};
    TRY(slot_info(p->fn, p->slot, &info));
    if (strcmp(info.serial, p->serial))
        FAIL(ERR_TOKEN_DOWN, "another token (%s, not %s) is in the slot of token %s", info.serial,
             p->serial, p->label);
    know(p, &info);
    return ERR_OK;
}

/* Behind a long object call the old words must do. */
static void note_info(struct p11 *p)
{
    if (pthread_mutex_trylock(&p->object_lock) != 0) return;
    err_ignore(check_slot(p)); /* the canary tells whether it works */
    pthread_mutex_unlock(&p->object_lock);
}

/* Busy (sessions, locked memory) is not away: starting the module anew would only hurt those whom it
 * serves. */
static bool is_away(struct err e)
{
    return !err_ok(e) && e.code != ERR_BUSY;
}

/* *ret_step: P11_STEP_LOOK when there is nothing to repair. */
static err_t look(struct p11 *p, enum p11_step *ret_step)
{
    CK_RV rv = CKR_OK;
    struct err e = check(p, &rv);
    *ret_step = is_away(e) ? first_step(rv) : P11_STEP_LOOK;
    if (*ret_step == P11_STEP_LOOK) note_info(p);
    return e;
}

/* ---- the steps -------------------------------------------------------------------------- */

/* The KEKs stay listed, so that envelopes do not look foreign meanwhile; their handles are of the
 * old epoch, so that nobody uses them. keys_load replaces them. */
static void forget_handles(struct p11 *p)
{
    cek_cache_free(p);
    __atomic_store_n(&p->epoch_object, CK_INVALID_HANDLE, __ATOMIC_RELEASE);
    SCOPED_LOCK(&p->kek_lock);
    p->epoch = next_epoch();
}

/* Somebody may have corrected it. What cannot be read again stays as it is. */
static void renew_pin(struct p11 *p)
{
    _cleanup_secret_ struct secret *pin = NULL;
    if (!p->pin || !p->pin_source || strcmp(p->pin_source, "prompt") == 0) return;
    if (!err_ok(p11_pin_read(p->pin_source, "PIN", &pin))) return;
    if (secret_equal(secret_span(pin), secret_span(p->pin))) return;
    secret_free(p->pin);
    p->pin = TAKE_PTR(pin);
    atomic_store(&p->pin_spent, false);
}

static err_t log_in_again(struct p11 *p)
{
    own_sessions_close(p);
    TRY(check_slot(p));
    return own_sessions_open(p);
}

#define RESTARTS_IN_PLACE 2 /* that failed; then a helper is ended, for what a module keeps in it */

/* The module may have lost the token, or the token its slot; and another one may be in it. */
static err_t restart(struct p11 *p)
{
    struct p11_token_info info = {0};
    struct p11_status now = {0};
    own_sessions_close(p);
    life_status(&p->life, &now);
    bool renew = now.tries >= RESTARTS_IN_PLACE && now.why == ERR_TOKEN_DOWN;
    struct err restarted = module_restart(p->module, renew);
    /* Used elsewhere too, or not to be stopped: then new sessions and a new login must do. */
    if (!err_ok(restarted) && restarted.code != ERR_CONFLICT) return restarted;
    TRY(slot_find(p->fn, &p->uri, &p->slot, &info));
    if (strcmp(info.serial, p->serial))
        FAIL(ERR_HUMAN, "token %s came back with another serial number (%s, not %s); if that is "
             "meant, restart the program", p->label, info.serial, p->serial);
    know(p, &info);
    return own_sessions_open(p);
}

static err_t take_step(struct p11 *p, err_t (*step)(struct p11 *p))
{
    CK_RV rv = CKR_OK;
    {
        /* Making a key works on sessions of its own, and p11_leftovers on none: their locks keep both away. */
        SCOPED_JOB_LOCK(&p->keys_lock);
        SCOPED_OBJECTS(p);
        pool_close_idle(p); /* a step before this one may have left some, which a restart ends */
        forget_handles(p);
        TRY(step(p));
    }
    TRY(upper_half_load(p));
    return check(p, &rv);
}

/* From this step on, until one helps or a person must act. The pool is stopped. */
static err_t climb(struct p11 *p, enum p11_step from)
{
    static const struct {
        enum p11_step step;
        err_t (*take)(struct p11 *p);
    } LADDER[] = {{P11_STEP_LOGIN, log_in_again}, {P11_STEP_RESTART, restart}};
    struct err e = ERR_OK;
    renew_pin(p);
    for (size_t i = 0; i < sizeof LADDER / sizeof *LADDER; i++) {
        if (LADDER[i].step < from) continue;
        life_step(&p->life, LADDER[i].step);
        e = take_step(p, LADDER[i].take);
        life_count(&p->life, LADDER[i].step, err_ok(e));
        if (err_ok(e) || e.code == ERR_HUMAN) return e;
        log_debug_err(e, "token.step", LOG_S("step", p11_step_name(LADDER[i].step)));
    }
    /* Whatever it was that failed ("no such token" is the ordinary way of being away), it may pass. */
    e.code = ERR_TOKEN_DOWN;
    return e;
}

static err_t stop(struct p11 *p)
{
    SCOPED_JOB_LOCK(&p->keys_lock);
    return pool_stop(p);
}

static err_t recover_from(struct p11 *p, enum p11_step from)
{
    module_guard(p->module);
    TRY(stop(p));
    struct err e = climb(p, from);
    pool_resume(p, e.code);
    return e;
}

err_t p11_recover(struct p11 *p)
{
    return recover_from(p, P11_STEP_LOGIN);
}

/* ---- the keeper ------------------------------------------------------------------------- */

bool p11_await(struct p11 *p)
{
    return life_await(&p->life);
}

/* One round. The watcher of calls has a part in it only while a call of the keeper is late, and the keeper
 * waits for it then: so no lock. */
struct round {
    struct p11 *p;
    const struct p11_keeper *k;
    enum p11_state told; /* the state that was told last */
};

static void tell(struct round *r)
{
    struct p11_status now = {0};
    life_status(&r->p->life, &now);
    if (now.state != r->told) r->k->changed(r->k->arg, &now);
    r->told = now.state;
}

static err_t bring_back(struct round *r, enum p11_step from)
{
    struct p11 *p = r->p;
    TRY(recover_from(p, from));
    life_works(&p->life, p11_opening(p));
    note_info(p);
    return r->k->came_back(r->k->arg);
}

/* False: it failed too often soon after it came back. */
static bool goes_down(struct round *r, enum p11_step step, struct err why)
{
    bool go = life_begin(&r->p->life, step, why);
    tell(r);
    return go;
}

static err_t hang_error(const struct p11 *p)
{
    FAIL(ERR_TOKEN_DOWN, "a call to the module of token %s does not return", p->label);
}

/* By the watcher. Others are not kept from trying: it may be this one call alone. */
static void hangs(void *arg)
{
    struct round *r = arg;
    if (r->told == P11_UP) goes_down(r, P11_STEP_LOOK, hang_error(r->p));
    if (r->told == P11_RECOVERING) life_hang(&r->p->life);
    tell(r);
}

static void tend(struct round *r)
{
    struct p11 *p = r->p;
    enum p11_step step = P11_STEP_RESTART;
    if (r->told == P11_UP) {
        struct err e = look(p, &step);
        if (step == P11_STEP_LOOK) {
            life_works(&p->life, p11_opening(p));
            if (r->told != P11_UP) life_up(&p->life); /* it hung, and returned */
            tell(r);
            return;
        }
        if (r->told == P11_UP && !goes_down(r, step, e)) {
            life_rest(&p->life);
            pool_resume(p, ERR_TOKEN_DOWN); /* nobody tries it meanwhile */
            tell(r);
            return;
        }
    }
    struct err e = bring_back(r, step);
    if (err_ok(e)) life_up(&p->life);
    else life_fail(&p->life, e);
    tell(r);
}

void p11_tend(struct p11 *p, const struct p11_keeper *k)
{
    struct p11_status before = {0};
    struct watch_thread *me = watch_self();
    life_status(&p->life, &before);
    struct round r = {.p = p, .k = k, .told = before.state};
    me->patient = true;
    me->arg = &r;
    me->late = hangs;
    atomic_store(&me->vital, true);
    tend(&r);
    me->late = NULL;
    atomic_store(&me->vital, false);
}

void p11_hurry(struct p11 *p)
{
    atomic_store(&p->pin_spent, false);
    life_hurry(&p->life);
}

void p11_keep_end(struct p11 *p)
{
    life_end(&p->life);
}

bool p11_mended(struct p11 *p, struct err e, uint64_t epoch)
{
    /* On an event loop nobody waits: the work begins again on a worker, and waits there. */
    return e.code == ERR_TOKEN_DOWN && job_may_wait() && life_mended(&p->life, epoch);
}

void p11_status(struct p11 *p, struct p11_status *ret)
{
    life_status(&p->life, ret);
}

void p11_last_info(struct p11 *p, struct p11_token_info *ret)
{
    SCOPED_LOCK(&p->kek_lock);
    *ret = p->known;
}
