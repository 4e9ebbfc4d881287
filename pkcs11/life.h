/* The life of the token, as one small machine that knows nothing of PKCS#11 (DESIGN 4):
 *
 *     up          looked at now and then, and at once when somebody met trouble
 *     recovering  a look failed: the steps are taken, mildest first
 *     waiting     none of them helped: again after a pause that grows; or a call of the keeper hangs
 *     human       a person must act: looked at now and then, and at once when one says so
 *
 * One thread keeps the token: it waits in life_await and says what came of what it did. The others
 * report trouble, and may wait until it was looked into. Thread-safe. */
#pragma once

#include "broker/base/cleanup.h"
#include "broker/base/err.h"
#include "pkcs11/p11.h"

struct life {
    unsigned mend_ms;          /* how long others wait for the keeper: P11_MEND_MS, or a test's */
    pthread_mutex_t lock;      /* all below; a leaf */
    pthread_cond_t news;       /* CLOCK_MONOTONIC */
    enum p11_state state;
    enum p11_step step;        /* that is being taken, or comes next */
    uint64_t since, next_at;   /* clock_mono_ns */
    int64_t since_unix;
    unsigned tries;            /* rounds that failed since it was up */
    bool came_back;            /* it was down before */
    unsigned relapses;         /* times in a row that it failed soon after it came back */
    enum err_class why;
    char reason[ERR_TEXT];
    uint64_t taken[P11_STEP_COUNT], helped[P11_STEP_COUNT];
    bool kept;                 /* there is a keeper */
    bool asked, hurried, ending;
    pthread_t keeper;
    uint64_t begun, done;      /* rounds of the keeper: the last that began, the last that found it working */
    uint64_t opening;          /* in which it was found working last; grows */
};

void life_init(struct life *l);
void life_done(struct life *l);
void life_status(struct life *l, struct p11_status *ret);

/* ---- of everybody ----------------------------------------------------------------------- */

/* Trouble was met: the keeper looks at once, unless it waits already. */
void life_ask(struct life *l);
/* The same, and waits up to mend_ms for a look that began after this call, or for an opening later than
 * that in which something failed. True: the token works (as far as the look tells), so what failed may be
 * repeated. False: it does not, time is up, nobody keeps the token, or the caller is the keeper. */
bool life_mended(struct life *l, uint64_t opening);
/* A person says that something changed: no more waiting. */
void life_hurry(struct life *l);
void life_end(struct life *l); /* life_await returns false from now on */
/* A step that others take: an operation repeated on another session. */
void life_count(struct life *l, enum p11_step step, bool helped);

/* ---- of the keeper ---------------------------------------------------------------------- */

/* Makes the caller the keeper. Waits until a look or the next try is due; false: end. */
bool life_await(struct life *l);
/* The token works; those who wait may go on. It is up with life_up only. */
void life_works(struct life *l, uint64_t opening);
/* A look failed with `why`, and `step` comes first. False: it failed too often soon after it came
 * back, so nothing is tried before a pause (life_rest). */
bool life_begin(struct life *l, enum p11_step step, struct err why);
void life_rest(struct life *l); /* waiting, and nothing was tried */
void life_hang(struct life *l); /* waiting for a call of the keeper to return */
void life_step(struct life *l, enum p11_step step); /* now this one is taken */
void life_up(struct life *l);
/* Nothing helped: human when `why` is ERR_HUMAN, else waiting. */
void life_fail(struct life *l, struct err why);
