#include "broker/api/appraiser_internal.h"

#include "broker/api/policy_print.h"
#include "broker/api/release.h"
#include "broker/attest/default_policy.h"
#include "broker/attest/verdict.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/builtins/builtins.h"
#include "policy/errors.h"
#include "policy/value.h"

#include <stdio.h>
#include <string.h>

const char *const appraiser_devices[APPRAISER_DEVICES] = {"cpu", "gpu"};

/* ---- one policy ---------------------------------------------------------------------------- */

static void policy_gone(struct made *m)
{
    struct slot_policy *p = (struct slot_policy *) m;
    appraisal_policy_free(p->policy);
    free(p);
}

void slot_policy_unref(struct slot_policy *p) { made_unref((struct made *) p); }

static struct slot_policy *policy_new(void)
{
    struct slot_policy *p = calloc(1, sizeof *p);
    if (p) p->made = (struct made){.references = 1, .free = policy_gone};
    return p;
}

struct err appraiser_compile(struct span text, struct rego_errors *errors, struct slot_policy **ret)
{
    _cleanup_(slot_policy_unrefp) struct slot_policy *p = policy_new();
    if (!p) FAIL(ERR_INTERNAL, "out of memory");
    p->policy = appraisal_policy_compile((const char *) text.data, text.len,
                                         builtins_attestation_host(), errors);
    if (!p->policy) {
        char first[ERR_TEXT];
        rego_error_print(&errors->items[0], first, sizeof first);
        FAIL(ERR_USAGE, "%s", first);
    }
    release_digest_of(text, p->digest);
    *ret = TAKE_PTR(p);
    return ERR_OK;
}

/* The stored text, or ours when none was ever set. `old` again when it is the same still. */
static err_t read_policy(struct slot *s, struct slot_policy *old, struct slot_policy **ret)
{
    _cleanup_secret_ struct secret *text = NULL;
    _cleanup_free_ struct rego_errors *errors = calloc(1, sizeof *errors);
    struct store_entry entry = {0};
    char digest[17] = "";
    if (!errors) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = store_get(s->appraiser->store, ENVELOPE_POLICY, s->name, &text, &entry);
    if (!err_ok(e) && e.code != ERR_NOTFOUND) return e;
    struct span chosen = err_ok(e) ? secret_span(text) : span_str(default_policy(s->device));
    uint64_t version = err_ok(e) ? entry.version : 0;
    release_digest_of(chosen, digest);
    if (old && old->policy && old->made.version == version && strcmp(old->digest, digest) == 0) {
        *ret = (struct slot_policy *) made_ref(&old->made);
        return ERR_OK;
    }
    TRY(appraiser_compile(chosen, errors, ret));
    (*ret)->made.version = version;
    log_info("attestation-policy.loaded", LOG_S("policy", s->name), LOG_U("version", version),
             LOG_S("digest", digest));
    return ERR_OK;
}

bool appraiser_error_lasts(struct err e)
{
    return e.code == ERR_DAMAGED || e.code == ERR_USAGE || e.code == ERR_TOOLARGE;
}

static struct made *load_policy(void *arg, struct made *old, bool *ret_certain)
{
    struct slot *s = arg;
    struct slot_policy *p = NULL;
    struct err e = read_policy(s, (struct slot_policy *) old, &p);
    *ret_certain = err_ok(e) || appraiser_error_lasts(e);
    if (err_ok(e)) return &p->made;
    struct slot_policy *was = (struct slot_policy *) old;
    if (!was || was->policy || was->broken != *ret_certain) /* once, not each time that it is tried */
        log_err(e, "attestation-policy.unusable", LOG_S("policy", s->name),
                LOG_S("effect", *ret_certain ? "every attestation with such evidence fails until it is set again"
                                             : "no attestation with such evidence until it is read"));
    char why[ERR_TEXT];
    snprintf(why, sizeof why, "attestation policy %s: %s", s->name, err_reason(e));
    if ((p = policy_new())) {
        memcpy(p->why, why, sizeof p->why);
        p->broken = *ret_certain;
    }
    return (struct made *) p;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct err appraiser_new(struct store *store, struct appraiser **ret)
{
    _cleanup_(appraiser_freep) struct appraiser *a = calloc(1, sizeof *a);
    if (!a) FAIL(ERR_INTERNAL, "out of memory");
    a->store = store;
    TRY(policy_runs_new(&a->runs));
    struct stored_kind values = {.load = appraiser_load_values, .arg = a};
    TRY(stored_new(store, &values, &a->values));
    for (size_t i = 0; i < APPRAISER_DEVICES; i++) {
        struct slot *s = &a->slots[i];
        struct stored_kind kind = {.load = load_policy, .arg = s};
        s->appraiser = a;
        s->device = appraiser_devices[i];
        snprintf(s->name, sizeof s->name, ATTESTATION_POLICY_PREFIX ATTEST_POLICY_ID "_%s", appraiser_devices[i]);
        TRY(stored_new(store, &kind, &s->policy));
    }
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

void appraiser_free(struct appraiser *a)
{
    if (!a) return;
    for (size_t i = 0; i < APPRAISER_DEVICES; i++) stored_free(a->slots[i].policy);
    stored_free(a->values);
    policy_runs_free(a->runs);
    free(a);
}

const char *appraiser_broken(struct appraiser *a)
{
    bool policies = false;
    for (size_t i = 0; i < APPRAISER_DEVICES; i++) {
        struct slot_policy *p = (struct slot_policy *) stored_current(a->slots[i].policy);
        policies = policies || p->broken;
        slot_policy_unref(p);
    }
    struct value_set *v = (struct value_set *) stored_current(a->values);
    bool values = v->broken;
    value_set_unref(v);
    return policies ? "attestation-policy" : values ? "reference-values" : NULL;
}

/* ---- asking -------------------------------------------------------------------------------- */

/* The context of one evaluation. */
struct asking {
    struct reference_source source; /* first: found again by it */
    unsigned lines;
    const struct reference_values *values;
    int64_t now;
};

static const struct value *find_value(const struct reference_source *self, const struct value *name)
{
    const struct asking *a = (const struct asking *) self;
    return a->values ? reference_values_find(a->values, name->string, name->count, a->now) : NULL;
}

static void print_line(void *context, const char *line, size_t len)
{
    policy_print_line(&((struct asking *) context)->lines, line, len);
}

struct err appraiser_ask(const struct appraisal_policy *policy, struct policy_run *run,
                 const struct policy_claims *evidence, const struct reference_values *values,
                 struct ear_verdict *ret)
{
    struct asking context = {.source.find = find_value, .lines = POLICY_PRINT_LINES + 1,
                             .values = values, .now = clock_now()};
    struct appraisal_question question = {
        .evidence = evidence, .now_ns = clock_now_ns(), .context = &context,
        .print = log_enabled(LOG_LEVEL_DEBUG) ? print_line : NULL};
    struct appraisal_answer answer;
    if (!appraisal_policy_ask(policy, run, &question, &answer))
        FAIL(ERR_USAGE, "the attestation policy failed: %s", answer.reason);
    return verdict_from(answer.trust_claims, answer.extensions, ret);
}

static err_t appraise(void *context, const char *device, struct span evidence,
                      struct ear_verdict *ret)
{
    struct appraiser *a = context;
    struct policy_claims_error why = {0};
    size_t i = 0;
    while (i < APPRAISER_DEVICES && strcmp(appraiser_devices[i], device) != 0) i++;
    if (i == APPRAISER_DEVICES) FAIL(ERR_USAGE, "there is no attestation policy for a %.20s", device);
    _cleanup_(slot_policy_unrefp) struct slot_policy *p =
        (struct slot_policy *) stored_current(a->slots[i].policy);
    if (!p->policy) FAIL(p->broken ? ERR_DAMAGED : ERR_BUSY, "%s", p->why);
    _cleanup_(value_set_unrefp) struct value_set *values = NULL;
    TRY(appraiser_current_values(a, &values));
    struct policy_claims *claims =
        policy_claims_new((const char *) evidence.data, evidence.len, &why);
    if (!claims) FAIL(ERR_USAGE, "the evidence, byte %zu: %s", why.offset, why.text);
    struct policy_run *run = policy_runs_take(a->runs);
    struct err e = run ? appraiser_ask(p->policy, run, claims, values->values, ret)
                       : ERR_MAKE(ERR_INTERNAL, "out of memory");
    policy_runs_put(a->runs, run);
    policy_claims_free(claims);
    return e;
}

struct attest_appraiser appraiser_of(struct appraiser *a)
{
    return (struct attest_appraiser){.context = a, .appraise = appraise};
}
