/* Generated cases: an operation of p11.h, one of the calls that it makes, and a CK_RV that this call
 * answers. What calls an operation makes is learnt from the fault module's log, so nobody has to keep
 * a list. Each case sees to four things: the reaction is the table's (the operation says which, by
 * its rules), nothing leaks (sessions, session keys, secrets, token objects), the token comes back
 * (p11_recover where the table wants it), and the next request succeeds.
 *
 * One token and one process: only the rule changes. */
#pragma once

#include "tests/unit/pkcs11/rv_codes.h"
#include "tests/unit/pkcs11/token.h"

#include "broker/base/log.h"
#include "pkcs11/cek_cache.h"
#include "pkcs11/find.h"

#include <fcntl.h>
#include <unistd.h>

#define CALLS_MAX 512
#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

/* How an operation takes a code at one of its calls. */
enum taken {
    FAILS,    /* with the class that the table gives */
    WORKS,    /* all the same: the code says nothing that matters here, or the call was repeated */
    DAMAGED,  /* the thing that was asked for is condemned, the token is not */
    DOWN,     /* as ERR_TOKEN_DOWN, whatever the table says */
    BUSY,
    REFUSED,  /* ERR_USAGE: the token is no good for us */
    HUMAN,
    FULL,
    GONE,
    CLASH,    /* ERR_CONFLICT */
    OPAQUE,   /* ERR_CRYPTO, which says nothing more */
    ANYHOW,   /* left open: two ways of seeing it are both right */
};

struct fault_case {
    const char *call;  /* C_Name */
    int nth;           /* of these calls in the operation; 0: the first */
    int of;            /* how many of them there are */
    CK_RV rv;
    enum rv_reaction reaction;
    bool lasting;      /* from this call on, until the rules change */
};

static inline bool is_call(const struct fault_case *c, const char *name)
{
    return strcmp(c->call, name) == 0;
}

/* Where the operation is repeated on another session. */
static inline bool worth_another_try(const struct fault_case *c)
{
    return (c->reaction == RV_SESSION || c->reaction == RV_HANDLE) && !c->lasting;
}

/* Whether a code speaks of the token as it is now, and not of what it can do. */
static inline bool of_the_moment(const struct fault_case *c)
{
    enum err_class class = rv_work_class(c->rv);
    return c->reaction != RV_CANARY && (class == ERR_TOKEN_DOWN || class == ERR_BUSY ||
                                        class == ERR_FULL || class == ERR_HUMAN);
}

/* An attribute that the object does not have for us. */
static inline bool hides_attribute(const struct fault_case *c)
{
    return c->reaction == RV_ITEM || c->rv == CKR_BUFFER_TOO_SMALL;
}

static inline bool starts(const struct fault_case *c, const char *name)
{
    return strncmp(c->call, name, strlen(name)) == 0;
}

static inline bool is_find(const struct fault_case *c)
{
    return starts(c, "C_FindObjects");
}

/* A mechanism that is gone for good. */
static inline bool unlearns(const struct fault_case *c)
{
    return c->lasting && (c->rv == CKR_MECHANISM_INVALID || c->rv == CKR_MECHANISM_PARAM_INVALID ||
                          c->rv == CKR_FUNCTION_NOT_SUPPORTED);
}

/* A token that removes nothing, finds nothing, or gives no session to do it, keeps what was made in vain. */
static inline bool keeps_all(const struct fault_case *c)
{
    return c->lasting && (is_call(c, "C_DestroyObject") || is_call(c, "C_OpenSession") || is_find(c));
}

struct op {
    const char *name;
    void (*prepare)(void);      /* without faults; may be NULL */
    struct err (*run)(void);
    void (*check)(void);        /* after success: what it did is right; may be NULL */
    /* Without faults: the token as before. False: a failure left something; may be NULL. */
    bool (*tidy)(const struct fault_case *c, bool worked);
    /* the rules of this operation */
    enum taken (*takes)(const struct fault_case *c);
    /* What brings the token back, without faults; NULL: p11_recover, where the table wants it. */
    void (*back)(const struct fault_case *c, struct err e);
    /* Cases begin with the first call of this name, and end before the first of that; NULL: with all.
     * What another operation has already need not be repeated. */
    const char *from, *until;
    /* For operations that take long. dear: one code at each later call, and in the sample each code once or
     * lasting, not both. brief: one code is enough at these calls, as another operation has all of them. */
    bool dear;
    bool (*brief)(const struct fault_case *c);
};

#define OP(name_, prepare_, run_, check_, tidy_, takes_, ...)                                 \
    {.name = name_, .prepare = prepare_, .run = run_, .check = check_, .tidy = tidy_,         \
     .takes = takes_, __VA_ARGS__}

static int cases_run, cases_wrong;

/* ---- what must not grow -------------------------------------------------------------------- */

static char counts_path[320];
static const char *standing_rules = ""; /* beside those of each case */

/* Without the log, which thousands of cases would fill. */
static inline void set_rules(const char *text)
{
    char all[512], made[300];
    snprintf(all, sizeof all, "count %s\n%s\n%s\n", counts_path, standing_rules, text);
    assert_int_equal(softhsm_write(&hsm, "control.new", all, 0600, made, sizeof made), 0);
    assert_int_equal(rename(made, hsm.control), 0);
}

/* The number of this line of the file of counts: how often a call was made since the rules were set. */
static inline unsigned long counted(const char *name)
{
    char text[8192];
    int fd = open(counts_path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    assert_in_range(n, 1, sizeof text - 2);
    close(fd);
    text[n] = '\0';
    const char *line = strstr(text, name);
    assert_non_null(line);
    return strtoul(line + strlen(name), NULL, 10);
}

/* The module writes it when it next reads its rules. */
static inline unsigned long sessions_open(void)
{
    CK_INFO info;
    token->fn->C_GetInfo(&info);
    return counted("sessions");
}

static inline size_t objects_on_token(CK_BBOOL token_objects)
{
    CK_ATTRIBUTE template[] = {ATTR(CKA_TOKEN, token_objects)};
    _cleanup_session_ struct p11_session s = {0};
    struct handles found = {0};
    assert_ok(session_take(token, &s));
    assert_ok(find_objects(&s, template, 1, 1000, "objects", &found));
    size_t n = found.n;
    handles_free(&found);
    return n;
}

struct state {
    unsigned long extra_sessions; /* beside the pool's and our own two */
    size_t keys, objects, secrets;
};

static struct state before; /* of the token at rest */

/* whole: looks at the token's objects too. */
static inline struct state state_now(bool whole)
{
    struct cek_cache_stats stats;
    cek_cache_stats(token, &stats);
    size_t keys = whole ? objects_on_token(CK_FALSE) - stats.held : before.keys;
    unsigned long ours = token->pool.open_n + (token->idle_session != CK_INVALID_HANDLE) +
                         (token->key_session != CK_INVALID_HANDLE);
    return (struct state){.extra_sessions = sessions_open() - ours, .keys = keys,
                          .objects = whole ? objects_on_token(CK_TRUE) : before.objects,
                          .secrets = secret_used()};
}

/* ---- judging -------------------------------------------------------------------------------- */

static inline const char *describe(const struct op *op, const struct fault_case *c)
{
    static char text[160];
    char name[RV_NAME];
    snprintf(text, sizeof text, "%s: %s #%d of %d %s%s", op->name, c->call, c->nth + 1, c->of,
             rv_name(c->rv, name), c->lasting ? " from then on" : "");
    return text;
}

static inline void wrong(const struct op *op, const struct fault_case *c, const char *what)
{
    if (cases_wrong++ < 40) printf("%s: %s\n", describe(op, c), what);
}

static const struct { const char *text; enum err_class class; } TAKEN[] = {
    [FAILS] = {"the table's class", ERR_NONE}, [WORKS] = {"success", ERR_NONE},
    [DAMAGED] = {"damaged", ERR_DAMAGED}, [DOWN] = {"token down", ERR_TOKEN_DOWN},
    [BUSY] = {"busy", ERR_BUSY}, [REFUSED] = {"refused", ERR_USAGE},
    [HUMAN] = {"human", ERR_HUMAN}, [FULL] = {"full", ERR_FULL},
    [GONE] = {"not found", ERR_NOTFOUND}, [CLASH] = {"conflict", ERR_CONFLICT},
    [OPAQUE] = {"opaque", ERR_CRYPTO},
};

static inline enum err_class class_wanted(const struct fault_case *c, enum taken taken)
{
    return taken == FAILS ? rv_work_class(c->rv) : TAKEN[taken].class;
}

static inline void judge(const struct op *op, const struct fault_case *c, struct err e)
{
    char name[RV_NAME], text[400];
    enum taken taken = op->takes(c);
    if (taken != ANYHOW && e.code != class_wanted(c, taken)) {
        snprintf(text, sizeof text, "wanted %s (%s), got %s: %s", TAKEN[taken].text,
                 err_class_name(class_wanted(c, taken)), err_class_name(e.code),
                 err_ok(e) ? "" : err_text(e));
        wrong(op, c, text);
    }
    /* An operator must be able to see what the token said. */
    bool tells = taken != ANYHOW && taken != OPAQUE;
    if (tells && !err_ok(e) && !strstr(err_text(e), rv_name(c->rv, name))) {
        snprintf(text, sizeof text, "its error does not name the code: %s", err_text(e));
        wrong(op, c, text);
    }
}

/* Destroys what has this label; how many there were. */
static inline size_t destroy_labelled(const char *label)
{
    CK_ATTRIBUTE template[] = {{CKA_LABEL, (void *) label, strlen(label)}};
    struct p11_session s = {0};
    struct handles found = {0};
    assert_ok(session_take(token, &s));
    assert_ok(find_objects(&s, template, 1, 100, "objects", &found));
    size_t n = found.n;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(token->fn->C_DestroyObject(s.h, found.at[i]), CKR_OK);
    handles_free(&found);
    session_drop(&s);
    return n;
}

/* The first session that is taken afterwards may be in an operation still that a fault cut off. */
static inline struct err once_more(struct err (*run)(void))
{
    struct err e = run();
    return e.code == ERR_TOKEN_DOWN ? run() : e;
}

/* ---- one case ------------------------------------------------------------------------------- */

static void (*request)(void); /* the next request, which must succeed */
static char under_way[160];

/* Of a setup. */
static inline void cases_begin(void (*next_request)(void))
{
    snprintf(counts_path, sizeof counts_path, "%s/counts", hsm.dir);
    log_set_level(LOG_LEVEL_ERROR);
    request = next_request;
}

/* For teardown: an assertion that failed does not say in which case. */
static inline void name_case_under_way(void)
{
    if (under_way[0]) printf("in %s\n", under_way);
}

static inline void check_state(const struct op *op, const struct fault_case *c, bool whole)
{
    struct state now = state_now(whole);
    char text[200];
    /* What the token does not close stays open, until the module starts again. */
    bool fewer = (long) now.extra_sessions < (long) before.extra_sessions; /* a recovery closed it */
    if (fewer || strcmp(c->call, "C_CloseSession") == 0) before.extra_sessions = now.extra_sessions;
    bool same = now.extra_sessions == before.extra_sessions && now.keys == before.keys &&
                now.objects == before.objects && now.secrets == before.secrets &&
                token->pool.open_n == token->pool.idle_n;
    if (same) return;
    snprintf(text, sizeof text, "left behind: %ld sessions, %ld session keys, %ld objects, %ld "
             "bytes of secrets, %d sessions in use", (long) (now.extra_sessions - before.extra_sessions),
             (long) (now.keys - before.keys), (long) (now.objects - before.objects),
             (long) (now.secrets - before.secrets), (int) (token->pool.open_n - token->pool.idle_n));
    wrong(op, c, text);
    before = now; /* told once, not at every case from here */
}

static bool recovered[RV_HUMAN + 1]; /* after this operation */

/* What the broker's supervisor does about such an answer; once for each reaction, as it takes longer
 * than a hundred cases. */
static inline void recover(const struct op *op, const struct fault_case *c, struct err e)
{
    if (op->back) {
        op->back(c, e);
        return;
    }
    if (e.code != ERR_TOKEN_DOWN || c->reaction < RV_LOGIN || recovered[c->reaction]) return;
    recovered[c->reaction] = true;
    struct err back = p11_recover(token);
    if (!err_ok(back)) wrong(op, c, err_text(back));
}

/* whole: with a look at the token's objects. The first case of each reaction at each call is. */
static inline void run_case(const struct op *op, const struct fault_case *c, bool whole)
{
    char rule[128];
    snprintf(under_way, sizeof under_way, "%s", describe(op, c));
    if (op->prepare) op->prepare();
    snprintf(rule, sizeof rule, "%s rv=0x%lx after=%d%s", c->call, c->rv, c->nth,
             c->lasting ? "" : " count=1");
    set_rules(rule);
    struct err e = op->run();
    set_rules("");
    judge(op, c, e);
    if (err_ok(e) && op->check) op->check();
    recover(op, c, e);
    request();
    if (op->tidy && !op->tidy(c, err_ok(e))) wrong(op, c, "half-made things stay");
    check_state(op, c, whole);
    under_way[0] = '\0';
    cases_run++;
}

/* ---- all cases of an operation ---------------------------------------------------------------- */

struct sequence {
    char calls[CALLS_MAX][64];
    int n;
};

static inline struct sequence learn(const struct op *op)
{
    struct sequence s = {.n = 0};
    char line[64];
    if (op->prepare) op->prepare();
    assert_int_equal(softhsm_fault(&hsm, standing_rules), 0);
    softhsm_fault_clear_log(&hsm);
    assert_ok(op->run());
    set_rules("");
    FILE *f = fopen(hsm.fault_log, "re");
    assert_non_null(f);
    while (s.n < CALLS_MAX && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(s.calls[s.n++], sizeof *s.calls, "%s", line);
    }
    fclose(f);
    assert_in_range(s.n, 1, CALLS_MAX - 1);
    if (op->check) op->check();
    if (op->tidy) op->tidy(&(struct fault_case){.call = ""}, true);
    return s;
}

/* Every code: STRONGROOM_ALL_CODES, which make check-codes sets. Otherwise one of each reaction. */
static inline bool all_codes(void)
{
    return getenv("STRONGROOM_ALL_CODES") != NULL;
}

/* The first call of a function meets every code; later ones meet a code of each reaction, another
 * one at each call. Lasting are one of each reaction and all that are worth a second try. */
static inline void run_call(const struct op *op, struct fault_case c)
{
    static unsigned turn;
    unsigned seen[RV_HUMAN + 1] = {0};
    turn++;
    for (size_t i = 0; i < CODE_COUNT; i++) {
        c.rv = CODES[(i + 7 * turn) % CODE_COUNT];
        c.reaction = rv_reaction(c.rv);
        bool again = seen[c.reaction]++;
        bool tried_twice = c.reaction == RV_SESSION || c.reaction == RV_HANDLE;
        if (again && (c.nth || !all_codes())) continue;
        bool one = op->dear && (c.nth || (op->brief && op->brief(&c)));
        bool either = one || (op->dear && !all_codes());
        c.lasting = either && (turn + i) % 2;
        run_case(op, &c, !again);
        if (one) return;
        if (either) continue;
        if (again && !tried_twice) continue;
        c.lasting = true;
        run_case(op, &c, !again);
    }
}

static inline int count_calls(const struct sequence *s, int until, const char *call)
{
    int n = 0;
    for (int i = 0; i < until; i++) n += strcmp(s->calls[i], call) == 0;
    return n;
}

static inline void run_op(const struct op *op)
{
    struct sequence s = learn(op);
    int cases = cases_run, bad = cases_wrong;
    uint64_t began = clock_mono_ns();
    before = state_now(true);
    memset(recovered, 0, sizeof recovered);
    bool begun = !op->from;
    for (int i = 0; i < s.n; i++) {
        begun = begun || strcmp(s.calls[i], op->from) == 0;
        if (!begun) continue;
        if (op->until && strcmp(s.calls[i], op->until) == 0) break;
        if (count_calls(&s, i, s.calls[i]) && !all_codes()) continue;
        struct fault_case c = {.call = s.calls[i], .nth = count_calls(&s, i, s.calls[i]),
                               .of = count_calls(&s, s.n, s.calls[i])};
        run_call(op, c);
    }
    printf("%s: %d calls, %d cases, %d wrong, %.1f s\n", op->name, s.n, cases_run - cases,
           cases_wrong - bad, (double) (clock_mono_ns() - began) / 1e9);
    fflush(stdout);
}
