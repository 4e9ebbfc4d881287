/* What the files of the fault module share. */
#pragma once

#include "tests/fault/functions.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

extern CK_FUNCTION_LIST *real; /* the module behind us; set once, by C_GetFunctionList */
extern const char *const function_names[FN_COUNT];

/* Complains on stderr and aborts: a test with a typing error must not pass. */
__attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *format, ...);

/* ---- control.c: the control file ------------------------------------------------------------ */

/* What a rule does to the calls that it is for; flags of struct rule and struct call. */
enum effect {
    ANSWER = 1u << 0,   /* rv=: answer so */
    DONE = 1u << 1,     /* done: only after the token did it */
    HANG = 1u << 2,
    KILL = 1u << 3,     /* SIGKILL to this process */
    SEGV = 1u << 4,     /* SIGSEGV */
    DROP = 1u << 5,     /* the call's session is gone */
    DROP_ALL = 1u << 6, /* all sessions are gone */
    FORGET = 1u << 7,   /* nobody is logged in any more */
    UNPLUG = 1u << 8,   /* the token is away, until the rules change */
    FINALIZE = 1u << 9, /* somebody else in the process finalized the module */
};

#define FLIPS_MAX 8

/* One call, and what the rules in force do to it. */
struct call {
    enum function fn;
    CK_SESSION_HANDLE session; /* NO_SESSION where the function has none */
    CK_ULONG *length;          /* the length that it tells, or NULL */

    unsigned effects;          /* enum effect */
    CK_RV rv;                  /* with ANSWER */
    unsigned long delay_us, short_by, within;
    CK_ATTRIBUTE_TYPE flips[FLIPS_MAX];
    size_t flip_count;
    unsigned long rules;       /* those that were in force; see rules_are */
};

/* Standing powers: lines of the control file that are not about one function. A flag is 0 or 1. */
struct powers {
    CK_FLAGS info_set, info_clear;
    unsigned long info_sessions;
    unsigned long sessions_max;
    unsigned long sessions_drop, login_forget, finalized; /* once, when read */
    /* the codes that are answered until C_Initialize, and until the process ends */
    unsigned long unplugged, stale, spoiled;
    unsigned long slots_xor, slots_rotate;
    unsigned long value_max, label_max, no_data, no_private, objects_rv;
    unsigned long pin_tries;
    unsigned long gcm_in_place, gcm_appended, gcm_prepended;
};

/* Reads the rules again if they changed, logs and counts the call, and fills in what they do to it.
 * Acts that are done once when read come back in `ret_once` (as effects). Thread-safe. */
void control_look(struct call *c, unsigned *ret_once);
void control_done(void); /* that call is over */
struct powers powers_now(void);
/* Whether these rules are in force still; reads them again if they changed. */
bool rules_are(unsigned long edition);
void powers_unplug(void); /* as the line would, until the rules change */
void powers_renew(void);  /* C_Initialize ends `stale` */
void control_sessions(unsigned long n); /* how many are open now, for the file of counts */

/* ---- forward.c: the way of a call ------------------------------------------------------------- */

/* false: *ret_rv is the answer, the token is not asked. true: ask it, then call_end. */
bool call_begin(struct call *c, CK_RV *ret_rv);
CK_RV call_end(struct call *c, CK_RV rv);

/* ---- death.c ------------------------------------------------------------------------------------ */

/* Ends the process as `effects` say. */
void die(unsigned effects);
/* Puts our hook before the real module's ftruncate; `module` is its dlopen handle. */
void death_hook(void *module);
/* This thread dies after the n-th truncation of a file from now on; 0: it does not. */
void death_within(unsigned long n);

/* ---- shaped_*: slots.c, pin.c, objects.c, gcm.c ------------------------------------------------ */

#define DECLARE(name, parameters, ...) CK_RV shaped_##name(struct call *c, UNPAREN parameters);
SHAPED_FUNCTIONS(DECLARE)
#undef DECLARE

/* slots.c; while no other call is under way. */
void close_session(CK_SESSION_HANDLE session);
void close_all_sessions(void);
void finalize(void);
/* pin.c: the token's flags, made to fit the count of wrong PINs. */
CK_FLAGS pin_flags(CK_FLAGS flags);
