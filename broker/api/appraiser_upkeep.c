/* What operators set: a policy before it is set, and the upkeep that ends in the store. */
#include "broker/api/appraiser_internal.h"

#include "broker/api/policy_lint.h"
#include "broker/base/clock.h"
#include "policy/errors.h"

#include <stdio.h>
#include <string.h>

#define REGISTER_TRIES 8 /* when others register at the same moment */

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
    for (size_t i = 0; i < APPRAISER_DEVICES; i++) {
        snprintf(name, sizeof name, ATTEST_POLICY_ID "_%s", appraiser_devices[i]);
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
    struct err e = nothing && run ? appraiser_ask(p, run, nothing, NULL, &verdict)
                                  : ERR_MAKE(ERR_INTERNAL, "out of memory");
    policy_run_free(run);
    policy_claims_free(nothing);
    return e;
}

struct err appraiser_check_text(struct span text, struct rego_errors *ret_errors,
                                struct rego_errors *ret_warnings, bool *ret_unusable)
{
    _cleanup_(slot_policy_unrefp) struct slot_policy *p = NULL;
    const struct rego_module module = {POLICY_MODULE, (const char *) text.data, text.len};
    *ret_errors = *ret_warnings = (struct rego_errors){0};
    *ret_unusable = false;
    TRY(appraiser_compile(text, ret_errors, &p));
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

/* Takes the reference. */
static void put_in_force(struct appraiser *a, const char *name, struct slot_policy *p, uint64_t version)
{
    _cleanup_(slot_policy_unrefp) struct slot_policy *fresh = p;
    for (size_t i = 0; i < APPRAISER_DEVICES; i++)
        if (strcmp(a->slots[i].name, name) == 0)
            stored_set_take(a->slots[i].policy, &TAKE_PTR(fresh)->made, version);
}

static err_t set_policy(void *context, const struct attest_policy *policy, uint64_t *ret_version)
{
    struct appraiser *a = context;
    char name[sizeof ATTESTATION_POLICY_PREFIX + ATTESTATION_POLICY_ID_MAX];
    _cleanup_free_ struct rego_errors *errors = calloc(1, sizeof *errors);
    _cleanup_(slot_policy_unrefp) struct slot_policy *p = NULL;
    if (!errors) FAIL(ERR_INTERNAL, "out of memory");
    TRY(appraiser_check_id(policy->id));
    TRY(appraiser_compile(policy->text, errors, &p));
    snprintf(name, sizeof name, ATTESTATION_POLICY_PREFIX "%s", policy->id);
    struct counting c = {.name = name};
    const struct store_listing policies = {.kind = ENVELOPE_POLICY, .prefix = ATTESTATION_POLICY_PREFIX};
    TRY(store_list(a->store, &policies, count_other, &c, NULL));
    if (c.others >= ATTESTATION_POLICIES_MAX)
        FAIL(ERR_USAGE, "there are %u attestation policies already", ATTESTATION_POLICIES_MAX);
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = name, .value = policy->text,
                            .has_if_match = policy->has_if_match, .if_match = policy->if_match};
    TRY(store_put(a->store, &put, ret_version));
    put_in_force(a, name, TAKE_PTR(p), *ret_version);
    return ERR_OK;
}

/* ---- an older one again -------------------------------------------------------------------- */

struct restoring {
    struct appraiser_restore *r;
    struct slot_policy *policy;
};

static err_t check_restored(void *arg, struct span text)
{
    struct restoring *restoring = arg;
    struct appraiser_restore *r = restoring->r;
    bool unusable = false;
    TRY(appraiser_check_text(text, r->errors, r->warnings, &unusable));
    if (unusable) *r->errors = *r->warnings; /* the last says why */
    if (unusable) FAIL(ERR_USAGE, "version %ju fails every attestation", (uintmax_t) r->version);
    slot_policy_unref(TAKE_PTR(restoring->policy));
    TRY(appraiser_compile(text, r->errors, &restoring->policy));
    snprintf(r->digest, sizeof r->digest, "%s", restoring->policy->digest);
    return ERR_OK;
}

struct err appraiser_restore_policy(struct appraiser *a, struct appraiser_restore *r, uint64_t *ret_version)
{
    struct restoring restoring = {.r = r};
    struct store_restore restore = {
        .kind = ENVELOPE_POLICY, .name = r->name, .version = r->version, .check = check_restored,
        .arg = &restoring, .has_if_match = r->has_if_match, .if_match = r->if_match,
    };
    struct err e = store_restore(a->store, &restore, ret_version);
    if (err_ok(e)) put_in_force(a, r->name, restoring.policy, *ret_version);
    else slot_policy_unref(restoring.policy);
    return e;
}

/* Reads what is stored, not what is in force: what is written replaces exactly that. */
static err_t try_register(struct appraiser *a, struct span message, struct value_set **ret)
{
    _cleanup_(value_set_unrefp) struct value_set *old = NULL;
    _cleanup_buf_ struct buf text = {.max = 2u * REFERENCE_VALUES_BYTES};
    struct err e = appraiser_read_values(a, &old);
    if (!err_ok(e) && !appraiser_error_lasts(e)) return e;
    TRY(reference_values_register(old ? old->values : NULL, message, clock_now(), &text));
    struct span next = buf_span(&text);
    TRY(value_set_new(&next, ret));
    struct store_put put = {.kind = ENVELOPE_REFERENCE_VALUE, .name = REFERENCE_VALUES_NAME,
                            .value = next, .content_type = "application/json",
                            .has_if_match = old != NULL, .if_match = old ? old->made.version : 0};
    e = store_put(a->store, &put, &(*ret)->made.version);
    if (err_ok(e)) return e;
    value_set_unref(TAKE_PTR(*ret));
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
    _cleanup_(value_set_unrefp) struct value_set *v = NULL;
    TRY(appraiser_current_values(context, &v));
    return reference_values_query(v->values, name, clock_now(), ret);
}

struct attest_upkeep appraiser_upkeep(struct appraiser *a)
{
    return (struct attest_upkeep){.context = a, .set_policy = set_policy,
                                  .register_values = register_values, .query_value = query_value};
}
