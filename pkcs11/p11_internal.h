/* What the files of pkcs11/ share. Nobody outside this folder includes it: CK_* stays in here.
 *
 * Locks, and their order: a pool session first, then object_lock, then key_lock. Who holds a lock
 * never waits for a session, since its holder may wait for that lock. pool.lock is a leaf. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "pkcs11/job.h"
#include "pkcs11/life.h"
#include "pkcs11/p11.h"
#include "pkcs11/rv.h"

#include <p11-kit/pkcs11.h>
#include <stdatomic.h>

/* ---- module.c: the loaded library ------------------------------------------------------- */

struct p11_module;

/* Loads by path and initialises, or takes another reference to the one that is loaded.
 * ERR_USAGE when there is no such file; ERR_TOKEN_DOWN when C_Initialize fails. Thread-safe. */
err_t module_load(const char *path, struct p11_module **ret);
/* The same in a helper (wall_open); NULL: in this process. init_args: a text for C_Initialize, as NSS
 * wants one; NULL for all others, which refuse it. ERR_CONFLICT when it was loaded with another. */
err_t module_load_in(const struct p11_helper *helper, const char *path, const char *init_args,
                     struct p11_module **ret);
/* C_Initialize with this text. */
CK_RV module_initialize(CK_FUNCTION_LIST *fn, const char *init_args);
/* Loads the library into this process, and nothing else. */
err_t module_functions(const char *path, CK_FUNCTION_LIST **ret);
struct wall *module_wall(struct p11_module *m); /* NULL: it is in this process */
void module_unref(struct p11_module *m); /* the last one: C_Finalize, unload */
DEFINE_CLEANUP(struct p11_module, module_unref);
#define _cleanup_module_ _cleanup_(module_unrefp)
CK_FUNCTION_LIST *module_fn(struct p11_module *m);
const char *module_path(const struct p11_module *m);
/* C_Finalize and C_Initialize in place, or with `renew` in another helper if it is in one; no session may
 * be in use. When others in this process use the
 * module too it is initialised only if they finalized it; otherwise, or when it does not stop, ERR_CONFLICT. */
err_t module_restart(struct p11_module *m, bool renew);
bool module_shared(const struct p11_module *m); /* more than one opening in this process */
/* Aborts in a forked child: SoftHSM, NSS and tpm2 hand it the parent's login (tokens.md 1.11). */
void module_guard(const struct p11_module *m);
/* p11-kit would print the PIN (style: log-calls): ERR_USAGE when its option is on. */
err_t module_check_log_calls(void);

/* ---- slot.c: choosing the token --------------------------------------------------------- */

/* A parsed RFC 7512 URI. uri is a P11KitUri. */
struct p11_uri {
    void *uri;
    const char *module_path; /* or NULL; owned by uri */
    const char *pin_source;  /* or NULL; owned by uri */
};
err_t uri_parse(const char *text, struct p11_uri *ret);
void uri_done(struct p11_uri *u);
#define _cleanup_uri_ _cleanup_(uri_done)

/* The one token that matches. ERR_NOTFOUND lists those there are, ERR_CONFLICT those that match;
 * ERR_TOKEN_DOWN: one does not say which it is. */
err_t slot_find(CK_FUNCTION_LIST *fn, const struct p11_uri *uri, CK_SLOT_ID *ret_slot,
                struct p11_token_info *ret_info);
/* The slots that hold a token; *ret is malloc'ed. */
err_t slot_list(CK_FUNCTION_LIST *fn, CK_SLOT_ID **ret, CK_ULONG *ret_n);
err_t slot_info(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, struct p11_token_info *ret);
/* The token's flags and numbers as they are now, raw. */
err_t slot_token_info(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, CK_TOKEN_INFO *ret);

/* ---- session.c: the pool ---------------------------------------------------------------- */

struct p11_pool {
    pthread_mutex_t lock;
    pthread_cond_t free;             /* a session came back, or the cap allows one more */
    CK_SESSION_HANDLE idle[P11_SESSIONS_MAX];
    unsigned idle_n, open_n, cap;    /* open_n counts idle ones, those in use and those opening */
    unsigned wanted;                 /* the cap, unless the token gives fewer at the moment */
    uint64_t grow_at;                /* clock_mono_ns: when it is asked for more again */
    unsigned lost_n;                 /* written off: their calls hang, and they count no more */
    unsigned wait_ms;                /* how long a getter waits: P11_JOB_SECONDS; for recovery P11_MEND_MS */
    bool stopped;                    /* recovery: only its own thread gets one */
    pthread_t stopper;
    enum err_class down;             /* recovery failed so: getters fail at once, until it works */
};

struct p11;

void pool_init(struct p11_pool *pool, unsigned cap);
void pool_done(struct p11_pool *pool);
/* min(wanted or the default, P11_SESSIONS_MAX, what the token allows less the two of our own). */
unsigned pool_cap(unsigned wanted, CK_ULONG token_max);

/* A read-write session for one thread; waits up to P11_JOB_SECONDS (ERR_BUSY). */
err_t session_get(struct p11 *p, CK_SESSION_HANDLE *ret);
/* last_rv decides: kept after CKR_OK and plain data errors, closed after all else. */
void session_put(struct p11 *p, CK_SESSION_HANDLE h, CK_RV last_rv);
/* A session outside the pool (idle login, session keys, token init). */
err_t session_open(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, CK_SESSION_HANDLE *ret);

/* The same with scope:
 *     _cleanup_session_ struct p11_session s = {0};
 *     TRY(session_take(p, &s));
 *     CK_RV rv = session_rv(&s, p->fn->C_Encrypt(s.h, ...)); */
struct p11_session {
    struct p11 *p; /* NULL: nothing held */
    CK_SESSION_HANDLE h;
    bool broken; /* closed instead of returned */
    bool gone;   /* the token forgot it, and most likely those that idle in the pool too */
};
err_t session_take(struct p11 *p, struct p11_session *ret);
/* For who got a handle before the session: ERR_TOKEN_DOWN when the token was opened again in
 * between. SoftHSM numbers handles anew then, and the same number may be another key. */
err_t session_take_at(struct p11 *p, uint64_t epoch, struct p11_session *ret);
void session_drop(struct p11_session *s);
#define _cleanup_session_ _cleanup_(session_drop)
/* Notes whether this code breaks the session, and wakes the keeper when no session can help; gives it
 * back. */
void session_spoil(struct p11_session *s, CK_RV rv);
static inline CK_RV session_rv(struct p11_session *s, CK_RV rv)
{
    if (!rv_keeps_session(rv)) session_spoil(s, rv);
    return rv;
}
/* For loops over operations that may be repeated (tokens.md 6): whether the same may go well on another
 * session, once. handles: also when it used the handle of a session key, which may be stale. */
bool session_again(struct p11 *p, CK_RV rv, unsigned attempt, bool handles);
/* Until pool_resume only this thread gets sessions; waits until none is in use (ERR_BUSY), closes
 * all. down: ERR_NONE, or what getters hear from now on. */
err_t pool_stop(struct p11 *p);
void pool_resume(struct p11 *p, enum err_class down);
void pool_close_idle(struct p11 *p);

/* ---- login.c: the gate ------------------------------------------------------------------ */

/* Logs `h` (and so this process) in as user, once, unless the token's flags or a PIN that failed
 * before forbid it. `pin` may be NULL for a token with its own key pad. state_dir NULL: no marker
 * is kept. ERR_HUMAN says what to do; *ret_sent whether the token was asked. */
err_t login_gate(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, CK_SESSION_HANDLE h, struct secret *pin,
                 const char *state_dir, bool *ret_sent);
/* Of a token that wanted a person at the last try, with this very PIN. */
#define PIN_SPENT "token %s did not let us in, so it is not asked again with the same PIN; put it in order, " \
                  "then correct the PIN where pin-source points, or send SIGHUP"

/* The PIN of this token from pin_source (p11_pin_read); none for a token that wants none from us. */
err_t login_pin(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, const char *pin_source, struct secret **ret);

/* ---- the opened token ------------------------------------------------------------------- */

struct cek_cache; /* cek_cache.c */
struct suite_way; /* suite.c */

/* One key-encryption key on the token; filled by keys_load (kek.c). */
struct p11_kek {
    CK_OBJECT_HANDLE handle;
    uint64_t epoch;                 /* of the handle; see session_take_at */
    uint8_t id[ENVELOPE_KEK_ID];
    uint32_t generation;
    struct p11_kek_info info;
    uint8_t canary[KEK_CANARY_MAX]; /* its envelope (no secret), so that a check is two calls */
    size_t canary_len;              /* 0: none */
};

struct p11 {
    /* fixed after p11_open, changed only by recovery while the pool is stopped */
    struct p11_module *module;
    CK_FUNCTION_LIST *fn;
    CK_SLOT_ID slot;
    struct p11_uri uri;
    char *label, *serial;    /* without padding */
    char *state_dir;
    char *pin_source;        /* read again for each login; NULL or "prompt": the terminal, once */
    struct secret *pin;      /* kept for logging in again after the token went away; NULL when there is
                              * none, or a helper has it */
    atomic_bool pin_spent;   /* the token was asked with it and wants a person: not sent again */
    unsigned max_sessions, cek_cache_max;
    bool serialize_all;      /* quirk: cryptography takes object_lock too */
    bool handles_unique;     /* no handle is given to a second object in one opening; see p11_object_rescan */
    uint64_t epoch;          /* of all handles; a new one after each (re)opening. Written under
                              * kek_lock while the pool is stopped: read under either. */

    struct p11_pool pool;
    CK_SESSION_HANDLE idle_session; /* keeps the login (dies with the last session); never used */

    /* find, create, destroy, set attribute of token objects; login. SoftHSM fails and openCryptoki
     * crashes when these meet (tokens.md 2.2, 1.4). */
    pthread_mutex_t object_lock;

    /* KEKs (kek.c), under kek_lock: a leaf, never held across a call into the module. keys_lock
     * makes looking, making and publishing them one step; it comes before all others. */
    pthread_mutex_t kek_lock, keys_lock;
    struct p11_kek keks[KEK_MAX]; /* by generation, ascending */
    size_t kek_count;
    uint64_t kek_changes; /* how often they were looked at or changed */
    const struct p11_kek *active; /* highest sound generation, or NULL */

    /* what new envelopes are made with (suite.c), under kek_lock */
    const struct suite_way *way; /* NULL: none found yet */
    bool readable;               /* unwrapped content keys come out readable */

    /* unwrapped content keys (cek_cache.c): session objects of key_session, under key_lock */
    CK_SESSION_HANDLE key_session;
    pthread_mutex_t key_lock;
    struct cek_cache *cek_cache;

    const struct p11_beside *beside; /* where objects lie; NULL: on the token. Fixed after p11_open */
    unsigned data_template; /* object.c: what this token takes; under object_lock */

    struct life life;            /* up, or how it is brought back */
    struct p11_token_info known; /* as of the last look; under kek_lock */

    /* the epoch object (epoch.c); written under object_lock, read atomically without */
    CK_OBJECT_HANDLE epoch_object;
};

#define SCOPED_OBJECTS(p) SCOPED_JOB_LOCK(&(p)->object_lock)
/* Around cryptography and session keys: free, or exclusive where the module's quirk wants it. */
static inline pthread_mutex_t *crypto_lock(struct p11 *p)
{
    if (!p->serialize_all) return NULL;
    job_lock(&p->object_lock);
    return &p->object_lock;
}
/* unused: clang does not count the cleanup as a use */
#define SCOPED_CRYPTO(p)                                                         \
    __attribute__((unused)) _cleanup_(cleanup_unlock) pthread_mutex_t *          \
        SCOPED_LOCK_NAME(__LINE__) = crypto_lock(p)

/* ---- place.c: where objects lie ---------------------------------------------------------- */

/* Chooses p->beside by what is where, or by trying. ERR_USAGE: what the configuration says would hide
 * what is stored. */
err_t place_choose(struct p11 *p, enum p11_place place, const struct p11_beside *beside);
/* Whether a handle of this module names no second object as long as it is initialised; by the module's own words,
 * through whatever stands in front of it. */
bool p11_handles_unique(const struct p11_token_info *info);
/* ---- what opening and recovery share (p11.c) -------------------------------------------- */

/* Sessions of our own outside the pool. The idle one comes first and goes last: the login dies
 * with the last session (tokens.md 2.3). */
err_t own_sessions_open(struct p11 *p); /* and logs in, through the gate */
void own_sessions_close(struct p11 *p);
err_t upper_half_load(struct p11 *p);
uint64_t next_epoch(void); /* of all openings in this process; 0 is no epoch */

/* ---- recover.c -------------------------------------------------------------------------- */

/* For operations that may be repeated: whether this failure was mended, so that the same may go well
 * now. epoch: p11_opening before the operation. Waits for the keeper, so the caller holds no session
 * and none of our locks. */
bool p11_mended(struct p11 *p, struct err e, uint64_t epoch);
#define REPAIRS 2 /* rounds of `for (...) { ...; if (err_ok(e) || !p11_mended(...)) break; }` */

/* ---- the upper half, as p11_open and p11_close call it ---------------------------------- */

/* In this order, by p11_open and again by recovery; both may be called again at any time. They
 * take pool sessions and object_lock themselves. */
err_t suite_negotiate(struct p11 *p); /* live self-test */
err_t keys_load(struct p11 *p);       /* finds KEKs, checks attributes and canaries */
/* max 0: none. free destroys the session keys where the token still answers; NULL-safe. */
err_t cek_cache_new(struct p11 *p, unsigned max);
void cek_cache_free(struct p11 *p);
