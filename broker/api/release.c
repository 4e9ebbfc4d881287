#include "broker/api/release.h"

#include "broker/base/json.h"
#include "broker/base/log.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>

struct release_policy {
    _Atomic int references;
    struct policy *policy; /* NULL: denies all, because of `why` */
    const char *name, *why;
    uint64_t version;      /* in the store, once it lies there */
    char digest[17];
};

struct release {
    pthread_mutex_t lock; /* guards current, seen and certain */
    struct store *store;
    struct release_policy *current;
    uint64_t seen;        /* store_rescans() when `current` was read */
    bool certain;         /* false: the store could not be read then, so ask again */
};

static struct release_policy *policy_new(const char *name, const char *why)
{
    struct release_policy *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->references = 1;
    p->name = name;
    p->why = why;
    return p;
}

void release_policy_unref(struct release_policy *p)
{
    if (!p || atomic_fetch_sub(&p->references, 1) != 1) return;
    policy_free(p->policy);
    free(p);
}

static void put_digest(struct span text, char out[17])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_Digest(text.data, text.len, hash, &len, EVP_sha256(), NULL) != 1) return;
    for (int i = 0; i < 8; i++) snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

struct err release_compile(struct span text, struct release_policy **ret)
{
    if (!utf8_valid(text)) FAIL(ERR_USAGE, "the policy is not UTF-8");
    struct release_policy *p = policy_new("", "");
    if (!p) FAIL(ERR_INTERNAL, "out of memory");
    struct policy_error why = {0};
    p->policy = policy_compile((const char *) text.data, text.len, &why);
    if (!p->policy) {
        release_policy_unref(p);
        FAIL(ERR_USAGE, "line %u, column %u: %s", why.line, why.column, why.text);
    }
    p->name = policy_name(p->policy);
    put_digest(text, p->digest);
    *ret = p;
    return ERR_OK;
}

static err_t read_stored(struct store *store, struct release_policy **ret)
{
    _cleanup_secret_ struct secret *text = NULL;
    struct store_entry entry = {0};
    TRY(store_get(store, ENVELOPE_POLICY, RELEASE_POLICY_NAME, &text, &entry));
    TRY(release_compile(secret_span(text), ret));
    (*ret)->version = entry.version;
    return ERR_OK;
}

/* The policy that the store holds now; one that denies all when there is none or it is damaged, or
 * cannot be read at the moment (then *ret_certain is false). */
static struct release_policy *load(struct store *store, bool *ret_certain)
{
    struct release_policy *p = NULL;
    struct err e = read_stored(store, &p);
    bool damaged = e.code == ERR_DAMAGED || e.code == ERR_USAGE;
    *ret_certain = err_ok(e) || e.code == ERR_NOTFOUND || damaged;
    if (err_ok(e)) {
        log_info("policy.loaded", LOG_S("name", p->name), LOG_S("digest", p->digest));
        return p;
    }
    if (e.code == ERR_NOTFOUND) {
        log_info("policy.none", LOG_S("effect", "every release is denied until a policy is set"));
        return policy_new("none", "no policy is set");
    }
    if (!damaged) {
        log_err(e, "policy.unreadable", LOG_S("effect", "every release is denied until it is read"));
        return policy_new("unreadable", "the policy cannot be read");
    }
    log_err(e, "policy.damaged", LOG_S("effect", "every release is denied; set the policy again"));
    return policy_new("damaged", "the policy is damaged");
}

struct err release_new(struct store *store, struct release **ret)
{
    struct release *r = calloc(1, sizeof *r);
    if (!r) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&r->lock, NULL);
    r->store = store;
    r->seen = store_rescans(store);
    r->current = load(store, &r->certain);
    if (!r->current) {
        release_free(r);
        FAIL(ERR_INTERNAL, "out of memory");
    }
    *ret = r;
    return ERR_OK;
}

void release_free(struct release *r)
{
    if (!r) return;
    release_policy_unref(r->current);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct release_policy *release_current(struct release *r)
{
    uint64_t rescans = store_rescans(r->store);
    SCOPED_LOCK(&r->lock);
    if (rescans != r->seen || !r->certain) {
        bool certain = false;
        struct release_policy *fresh = load(r->store, &certain);
        if (fresh) {
            release_policy_unref(r->current);
            r->current = fresh;
            r->seen = rescans;
            r->certain = certain;
        }
    }
    atomic_fetch_add(&r->current->references, 1);
    return r->current;
}

void release_set_take(struct release *r, struct release_policy *p, uint64_t version)
{
    SCOPED_LOCK(&r->lock);
    struct release_policy *old = p;
    if (version > r->current->version) {
        old = r->current;
        p->version = version;
        r->current = p;
        r->certain = true;
    }
    release_policy_unref(old);
}

bool release_decide(const struct release_policy *p, const struct policy_input *input,
                    const char **ret_reason)
{
    if (!p->policy) {
        *ret_reason = p->why;
        return false;
    }
    struct policy_decision d = {0};
    policy_evaluate(p->policy, input, &d);
    *ret_reason = d.reason ? d.reason : "";
    return d.allow;
}

const char *release_digest(const struct release_policy *p) { return p ? p->digest : ""; }
const char *release_name(const struct release_policy *p) { return p->name; }
