#include "broker/api/release.h"

#include "broker/api/policy_print.h"
#include "broker/api/policy_runs.h"
#include "broker/api/stored.h"
#include "broker/base/clock.h"
#include "broker/base/digest.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/builtins/builtins.h"
#include "policy/errors.h"
#include "policy/explain.h"

#include <stdio.h>
#include <string.h>

struct release_policy {
    struct made made;      /* first: cast back and forth */
    struct policy *policy; /* NULL: denies all, because of `why` */
    const char *state, *why;
    bool broken;           /* only a new one helps */
    bool unread;           /* nobody knows what it says */
    char digest[17];
};

struct release {
    struct store *store;
    struct policy_runs *runs;
    struct stored *stored;
};

/* ---- one policy ------------------------------------------------------------------------------ */

static void policy_gone(struct made *m)
{
    struct release_policy *p = (struct release_policy *) m;
    policy_free(p->policy);
    free(p);
}

static struct release_policy *policy_new(const char *state, const char *why)
{
    struct release_policy *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->made = (struct made){.references = 1, .free = policy_gone};
    p->state = state;
    p->why = why;
    return p;
}

void release_policy_ref(struct release_policy *p)
{
    made_ref(&p->made);
}

void release_policy_unref(struct release_policy *p)
{
    made_unref((struct made *) p);
}
DEFINE_CLEANUP(struct release_policy, release_policy_unref);

void release_digest_of(struct span text, char out[17])
{
    struct digest d = {0};
    out[0] = '\0';
    if (err_ok(digest_compute(DIGEST_SHA256, text, &d))) digest_hex(&d, 8, out);
}

struct err release_compile(struct span text, struct rego_errors *ret_errors,
                           struct release_policy **ret)
{
    *ret_errors = (struct rego_errors){0};
    _cleanup_(release_policy_unrefp) struct release_policy *p = policy_new("set", "");
    if (!p) FAIL(ERR_INTERNAL, "out of memory");
    p->policy = policy_compile((const char *) text.data, text.len, builtins_host(),
                               ret_errors);
    if (!p->policy) {
        char first[ERR_TEXT];
        rego_error_print(&ret_errors->items[0], first, sizeof first);
        FAIL(ERR_USAGE, "%s", first);
    }
    release_digest_of(text, p->digest);
    *ret = TAKE_PTR(p);
    return ERR_OK;
}

/* ---- what the store holds -------------------------------------------------------------------- */

/* `old` again when the store still holds that one: another writer's resource costs no compilation. */
static err_t read_stored(struct release *r, struct release_policy *old, struct release_policy **ret)
{
    _cleanup_secret_ struct secret *text = NULL;
    _cleanup_free_ struct rego_errors *errors = calloc(1, sizeof *errors);
    struct store_entry entry = {0};
    char digest[17] = "";
    if (!errors) FAIL(ERR_INTERNAL, "out of memory");
    TRY(store_get(r->store, ENVELOPE_POLICY, RELEASE_POLICY_NAME, &text, &entry));
    release_digest_of(secret_span(text), digest);
    if (old && old->policy && old->made.version == entry.version && strcmp(old->digest, digest) == 0) {
        *ret = (struct release_policy *) made_ref(&old->made);
        return ERR_OK;
    }
    TRY(release_compile(secret_span(text), errors, ret));
    (*ret)->made.version = entry.version;
    return ERR_OK;
}

static const struct trouble {
    enum err_class code;
    bool broken;  /* only a new policy helps, as far as can be seen */
    bool passing; /* it may be another trouble soon, or none: who asks next looks again */
    const char *event, *state, *why, *effect;
} troubles[] = {
    {ERR_NOTFOUND, false, false, "policy.none", "none", "no policy is set",
     "every release is denied until a policy is set"},
    {ERR_DAMAGED, true, true, "policy.damaged", "damaged", "the policy is damaged",
     "every release is denied; set the policy again or roll it back"},
    {ERR_USAGE, true, false, "policy.refused", "refused", "the policy does not compile",
     "every release is denied; correct the policy and set it again"},
    {ERR_NONE, false, true, "policy.unreadable", "unreadable", "the policy cannot be read",
     "no release until it is read"},
};

/* The policy that the store holds now; one that denies all when there is none that can be used, or
 * it cannot be read at the moment. */
static struct made *load(void *arg, struct made *made, bool *ret_certain)
{
    struct release_policy *p = NULL, *old = (struct release_policy *) made;
    struct err e = read_stored(arg, old, &p);
    *ret_certain = true;
    if (err_ok(e)) {
        if (p != old)
            log_info("policy.loaded", LOG_U("version", p->made.version), LOG_S("digest", p->digest));
        return &p->made;
    }
    const struct trouble *t = troubles;
    while (t->code != ERR_NONE && t->code != e.code) t++;
    *ret_certain = !t->passing;
    bool news = !old || old->state != t->state; /* once, not for each who asks */
    if (news && e.code == ERR_NOTFOUND) log_info(t->event, LOG_S("effect", t->effect));
    else if (news) log_err(e, t->event, LOG_S("effect", t->effect));
    if (!(p = policy_new(t->state, t->why))) return NULL;
    p->broken = t->broken;
    p->unread = t->code == ERR_NONE;
    return (struct made *) p;
}

/* ---- the one in force ------------------------------------------------------------------------ */

struct err release_new(struct store *store, struct release **ret)
{
    _cleanup_(release_freep) struct release *r = calloc(1, sizeof *r);
    if (!r) FAIL(ERR_INTERNAL, "out of memory");
    r->store = store;
    TRY(policy_runs_new(&r->runs));
    struct stored_kind kind = {.load = load, .arg = r};
    TRY(stored_new(store, &kind, &r->stored));
    *ret = TAKE_PTR(r);
    return ERR_OK;
}

void release_free(struct release *r)
{
    if (!r) return;
    stored_free(r->stored);
    policy_runs_free(r->runs);
    free(r);
}

struct release_policy *release_current(struct release *r)
{
    return (struct release_policy *) stored_current(r->stored);
}

struct release_policy *release_last(struct release *r)
{
    return (struct release_policy *) stored_last(r->stored);
}

void release_set_take(struct release *r, struct release_policy *p, uint64_t version)
{
    stored_set_take(r->stored, &p->made, version);
}

/* ---- deciding -------------------------------------------------------------------------------- */

static void deny_all(const char *why, struct policy_decision *ret)
{
    *ret = (struct policy_decision){.outcome = POLICY_FAILED};
    snprintf(ret->reason, sizeof ret->reason, "%s", why);
}

static void log_why(const struct policy *p, struct policy_run *run,
                    const struct policy_request *request)
{
    char why[EXPLAIN_SHORT_MAX];
    policy_explain(p, run, request, why, sizeof why);
    log_debug("policy.why", LOG_S("line", why));
}

/* explain: whether a denial is explained in the log. */
static void decide(struct release *r, const struct release_policy *p, bool explain,
                   const struct policy_request *request, struct policy_decision *ret)
{
    struct policy_run *run = p->policy ? policy_runs_take(r->runs) : NULL;
    if (!run) {
        deny_all(p->policy ? "out of memory" : p->why, ret);
        return;
    }
    policy_decide(p->policy, run, request, ret);
    if (explain && !ret->allow) log_why(p->policy, run, request);
    policy_runs_put(r->runs, run);
}

void release_decide(struct release *r, const struct release_policy *p,
                    const struct policy_request *request, struct policy_decision *ret)
{
    unsigned lines = POLICY_PRINT_LINES + 1;
    struct policy_request asked = *request;
    asked.now_ns = clock_now_ns();
    asked.print = log_enabled(LOG_LEVEL_DEBUG) ? policy_print_line : NULL;
    asked.context = &lines;
    decide(r, p, log_enabled(LOG_LEVEL_DEBUG), &asked, ret);
}

void release_try(struct release *r, const struct release_policy *p,
                 const struct policy_request *request, struct policy_decision *ret)
{
    struct policy_request asked = *request;
    asked.print = NULL;
    decide(r, p, false, &asked, ret);
}

const char *release_digest(const struct release_policy *p) { return p ? p->digest : ""; }
uint64_t release_version(const struct release_policy *p) { return p->made.version; }
const char *release_state(const struct release_policy *p) { return p->state; }
bool release_broken(const struct release_policy *p) { return p->broken; }
bool release_unread(const struct release_policy *p) { return p->unread; }
