#include "broker/api/appraiser.h"

#include "broker/api/policy_lint.h"
#include "broker/api/policy_print.h"
#include "broker/api/policy_runs.h"
#include "broker/api/release.h"
#include "broker/api/stored.h"
#include "broker/attest/default_policy.h"
#include "broker/attest/reference_values.h"
#include "broker/attest/verdict.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/builtins/builtins.h"
#include "policy/appraisal.h"
#include "policy/errors.h"
#include "policy/value.h"

#include <stdio.h>
#include <string.h>

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define REGISTER_TRIES 8 /* when others register at the same moment */

/* The classes of devices whose evidence we can verify. */
static const char *const devices[] = {"cpu", "gpu"};
#define DEVICES LENGTH(devices)

struct slot {
    struct appraiser *appraiser;
    const char *device;
    char name[64]; /* in the store */
    struct stored *policy;
};

struct appraiser {
    struct store *store;
    struct policy_runs *runs;
    struct slot slots[DEVICES];
    struct stored *values;
};

/* What lies in a slot. When it cannot be used the pointer is NULL, and why says so. */
struct slot_policy {
    struct made made;
    struct appraisal_policy *policy;
    char digest[17], why[ERR_TEXT];
};

struct value_set {
    struct made made;
    struct reference_values *values;
    char why[ERR_TEXT];
};

/* ---- one policy ---------------------------------------------------------------------------- */

static void policy_gone(struct made *m)
{
    struct slot_policy *p = (struct slot_policy *) m;
    appraisal_policy_free(p->policy);
    free(p);
}

static void policy_unref(struct slot_policy *p) { made_unref((struct made *) p); }
DEFINE_CLEANUP(struct slot_policy, policy_unref);

static struct slot_policy *policy_new(void)
{
    struct slot_policy *p = calloc(1, sizeof *p);
    if (p) p->made = (struct made){.references = 1, .free = policy_gone};
    return p;
}

static err_t compile(struct span text, struct rego_errors *errors, struct slot_policy **ret)
{
    _cleanup_(policy_unrefp) struct slot_policy *p = policy_new();
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
    TRY(compile(chosen, errors, ret));
    (*ret)->made.version = version;
    log_info("attestation-policy.loaded", LOG_S("policy", s->name), LOG_U("version", version),
             LOG_S("digest", digest));
    return ERR_OK;
}

/* Errors that only a new write ends; of all others nobody knows how long they last. */
static bool is_lasting(struct err e)
{
    return e.code == ERR_DAMAGED || e.code == ERR_USAGE || e.code == ERR_TOOLARGE;
}

static struct made *load_policy(void *arg, struct made *old, bool *ret_certain)
{
    struct slot *s = arg;
    struct slot_policy *p = NULL;
    struct err e = read_policy(s, (struct slot_policy *) old, &p);
    *ret_certain = err_ok(e) || is_lasting(e);
    if (err_ok(e)) return &p->made;
    log_err(e, "attestation-policy.unusable", LOG_S("policy", s->name),
            LOG_S("effect", "every attestation with such evidence fails until it is set again"));
    if ((p = policy_new()))
        snprintf(p->why, sizeof p->why, "attestation policy %s: %s", s->name, err_reason(e));
    return (struct made *) p;
}

/* ---- reference values ---------------------------------------------------------------------- */

static void values_gone(struct made *m)
{
    struct value_set *v = (struct value_set *) m;
    reference_values_free(v->values);
    free(v);
}

static void values_unref(struct value_set *v) { made_unref((struct made *) v); }
DEFINE_CLEANUP(struct value_set, values_unref);

static err_t values_new(struct span text, struct value_set **ret)
{
    _cleanup_(values_unrefp) struct value_set *v = calloc(1, sizeof *v);
    if (!v) FAIL(ERR_INTERNAL, "out of memory");
    v->made = (struct made){.references = 1, .free = values_gone};
    if (text.len) TRY(reference_values_parse(text, &v->values));
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

/* Without any an empty set of version 0. */
static err_t read_values(struct appraiser *a, struct value_set **ret)
{
    _cleanup_secret_ struct secret *text = NULL;
    struct store_entry entry = {0};
    struct err e = store_get(a->store, ENVELOPE_REFERENCE_VALUE, REFERENCE_VALUES_NAME, &text, &entry);
    if (e.code == ERR_NOTFOUND) return values_new(SPAN_LIT(REFERENCE_VALUES_EMPTY), ret);
    TRY(e);
    TRY(values_new(secret_span(text), ret));
    (*ret)->made.version = entry.version;
    return ERR_OK;
}

static struct made *load_values(void *arg, struct made *old, bool *ret_certain)
{
    struct value_set *v = NULL;
    struct err e = read_values(arg, &v);
    *ret_certain = err_ok(e) || is_lasting(e);
    if (err_ok(e)) return &v->made;
    log_err(e, "reference-values.unusable",
            LOG_S("effect", "every attestation fails until they are set again, all of them"));
    char why[ERR_TEXT];
    snprintf(why, sizeof why, "reference values: %s", err_reason(e));
    if (!err_ok(values_new(SPAN_LIT(""), &v))) return NULL;
    memcpy(v->why, why, sizeof v->why);
    return &v->made;
}

/* The set in force, which can be used, as a reference of the caller's. */
static err_t current_values(struct appraiser *a, struct value_set **ret)
{
    _cleanup_(values_unrefp) struct value_set *v = (struct value_set *) stored_current(a->values);
    if (!v->values) FAIL(ERR_DAMAGED, "%s", v->why);
    *ret = TAKE_PTR(v);
    return ERR_OK;
}

/* ---- life ---------------------------------------------------------------------------------- */

struct err appraiser_new(struct store *store, struct appraiser **ret)
{
    _cleanup_(appraiser_freep) struct appraiser *a = calloc(1, sizeof *a);
    if (!a) FAIL(ERR_INTERNAL, "out of memory");
    a->store = store;
    TRY(policy_runs_new(&a->runs));
    struct stored_kind values = {.load = load_values, .arg = a};
    TRY(stored_new(store, &values, &a->values));
    for (size_t i = 0; i < DEVICES; i++) {
        struct slot *s = &a->slots[i];
        struct stored_kind kind = {.load = load_policy, .arg = s};
        s->appraiser = a;
        s->device = devices[i];
        snprintf(s->name, sizeof s->name, ATTESTATION_POLICY_PREFIX ATTEST_POLICY_ID "_%s", devices[i]);
        TRY(stored_new(store, &kind, &s->policy));
    }
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

void appraiser_free(struct appraiser *a)
{
    if (!a) return;
    for (size_t i = 0; i < DEVICES; i++) stored_free(a->slots[i].policy);
    stored_free(a->values);
    policy_runs_free(a->runs);
    free(a);
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

static err_t ask(const struct appraisal_policy *policy, struct policy_run *run,
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
    while (i < DEVICES && strcmp(devices[i], device) != 0) i++;
    if (i == DEVICES) FAIL(ERR_USAGE, "there is no attestation policy for a %.20s", device);
    _cleanup_(policy_unrefp) struct slot_policy *p =
        (struct slot_policy *) stored_current(a->slots[i].policy);
    if (!p->policy) FAIL(ERR_DAMAGED, "%s", p->why);
    _cleanup_(values_unrefp) struct value_set *values = NULL;
    TRY(current_values(a, &values));
    struct policy_claims *claims =
        policy_claims_new((const char *) evidence.data, evidence.len, &why);
    if (!claims) FAIL(ERR_USAGE, "the evidence, byte %zu: %s", why.offset, why.text);
    struct policy_run *run = policy_runs_take(a->runs);
    struct err e = run ? ask(p->policy, run, claims, values->values, ret)
                       : ERR_MAKE(ERR_INTERNAL, "out of memory");
    policy_runs_put(a->runs, run);
    policy_claims_free(claims);
    return e;
}

struct attest_appraiser appraiser_of(struct appraiser *a)
{
    return (struct attest_appraiser){.context = a, .appraise = appraise};
}

/* ---- a policy before it is set ------------------------------------------------------------- */

static bool is_word(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

struct err appraiser_check_id(const char *id)
{
    size_t len = strlen(id);
    bool ok = len > 0 && len <= ATTESTATION_POLICY_ID_MAX && id[0] != '.';
    for (size_t i = 0; i < len; i++) ok = ok && (is_word(id[i]) || id[i] == '.');
    if (!ok)
        FAIL(ERR_USAGE, "a policy_id has 1 to %u letters, digits, '_', '-' and, not in front, '.'; "
             "guests are appraised by default_cpu, their devices by default_gpu",
             ATTESTATION_POLICY_ID_MAX);
    return ERR_OK;
}

bool appraiser_uses(const char *id)
{
    char name[64];
    for (size_t i = 0; i < DEVICES; i++) {
        snprintf(name, sizeof name, ATTEST_POLICY_ID "_%s", devices[i]);
        if (strcmp(name, id) == 0) return true;
    }
    return false;
}

/* What it says of evidence without claims; an error is a warning for who sets it. */
static err_t try_policy(const struct appraisal_policy *p)
{
    _cleanup_(ear_verdict_done) struct ear_verdict verdict = {0};
    struct policy_claims *nothing = policy_claims_new("{}", 2, NULL);
    struct policy_run *run = policy_run_new();
    struct err e = nothing && run ? ask(p, run, nothing, NULL, &verdict)
                                  : ERR_MAKE(ERR_INTERNAL, "out of memory");
    policy_run_free(run);
    policy_claims_free(nothing);
    return e;
}

struct err appraiser_check_text(struct span text, struct rego_errors *ret_errors,
                                struct rego_errors *ret_warnings, bool *ret_unusable)
{
    _cleanup_(policy_unrefp) struct slot_policy *p = NULL;
    const struct rego_module module = {POLICY_MODULE, (const char *) text.data, text.len};
    *ret_errors = *ret_warnings = (struct rego_errors){0};
    *ret_unusable = false;
    TRY(compile(text, ret_errors, &p));
    policy_lint_attestation(&module, ret_warnings);
    struct err e = try_policy(p->policy);
    *ret_unusable = e.code == ERR_USAGE;
    if (*ret_unusable)
        rego_error_add(ret_warnings, "attestation_policy", NULL, NULL, "%s", err_reason(e));
    return e.code == ERR_INTERNAL ? e : ERR_OK;
}

/* ---- upkeep -------------------------------------------------------------------------------- */

struct counting {
    const char *name;
    size_t others;
};

static err_t count_other(void *arg, const struct store_entry *e)
{
    struct counting *c = arg;
    c->others += strcmp(e->name, c->name) != 0;
    return ERR_OK;
}

static err_t set_policy(void *context, const char *id, struct span text, uint64_t *ret_version)
{
    struct appraiser *a = context;
    char name[sizeof ATTESTATION_POLICY_PREFIX + ATTESTATION_POLICY_ID_MAX];
    _cleanup_free_ struct rego_errors *errors = calloc(1, sizeof *errors);
    _cleanup_(policy_unrefp) struct slot_policy *p = NULL;
    if (!errors) FAIL(ERR_INTERNAL, "out of memory");
    TRY(appraiser_check_id(id));
    TRY(compile(text, errors, &p));
    snprintf(name, sizeof name, ATTESTATION_POLICY_PREFIX "%s", id);
    struct counting c = {.name = name};
    TRY(store_list(a->store, ENVELOPE_POLICY, ATTESTATION_POLICY_PREFIX, false, count_other, &c));
    if (c.others >= ATTESTATION_POLICIES_MAX)
        FAIL(ERR_USAGE, "there are %u attestation policies already", ATTESTATION_POLICIES_MAX);
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = name, .value = text};
    TRY(store_put(a->store, &put, ret_version));
    for (size_t i = 0; i < DEVICES; i++)
        if (strcmp(a->slots[i].name, name) == 0)
            stored_set_take(a->slots[i].policy, &TAKE_PTR(p)->made, *ret_version);
    return ERR_OK;
}

/* Reads what is stored, not what is in force: what is written replaces exactly that. */
static err_t try_register(struct appraiser *a, struct span message, struct value_set **ret)
{
    _cleanup_(values_unrefp) struct value_set *old = NULL;
    _cleanup_buf_ struct buf text = {.max = 2u * REFERENCE_VALUES_BYTES};
    struct err e = read_values(a, &old);
    if (!err_ok(e) && !is_lasting(e)) return e;
    TRY(reference_values_register(old ? old->values : NULL, message, clock_now(), &text));
    TRY(values_new(buf_span(&text), ret));
    struct store_put put = {.kind = ENVELOPE_REFERENCE_VALUE, .name = REFERENCE_VALUES_NAME,
                            .value = buf_span(&text), .content_type = "application/json",
                            .has_if_match = old != NULL, .if_match = old ? old->made.version : 0};
    e = store_put(a->store, &put, &(*ret)->made.version);
    if (err_ok(e)) return e;
    values_unref(TAKE_PTR(*ret));
    return e;
}

static err_t register_values(void *context, struct span message)
{
    struct appraiser *a = context;
    struct value_set *v = NULL;
    struct err e = ERR_OK;
    for (int i = 0; i < REGISTER_TRIES; i++)
        if ((e = try_register(a, message, &v)).code != ERR_PRECONDITION) break;
    if (e.code == ERR_PRECONDITION) FAIL(ERR_BUSY, "others register reference values all the time");
    TRY(e);
    stored_set_take(a->values, &v->made, v->made.version);
    return ERR_OK;
}

static err_t query_value(void *context, const char *name, struct buf *ret)
{
    _cleanup_(values_unrefp) struct value_set *v = NULL;
    TRY(current_values(context, &v));
    return reference_values_query(v->values, name, clock_now(), ret);
}

struct err appraiser_list_values(struct appraiser *a, struct buf *ret)
{
    _cleanup_(values_unrefp) struct value_set *v = NULL;
    TRY(current_values(a, &v));
    return reference_values_list(v->values, clock_now(), ret);
}

struct attest_upkeep appraiser_upkeep(struct appraiser *a)
{
    return (struct attest_upkeep){.context = a, .set_policy = set_policy,
                                  .register_values = register_values, .query_value = query_value};
}
