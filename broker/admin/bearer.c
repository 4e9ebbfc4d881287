#include "broker/admin/bearer.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/jose/jws.h"

#include <stdio.h>
#include <string.h>

#define ADMIN_LEEWAY_SECONDS 60

struct provider {
    char *issuer, *audience, *default_role;  /* each may be NULL */
    struct key_source *public_key, *jwk_set; /* one of them may be NULL */
};

struct bearer {
    struct key_sources *keys;
    struct provider *providers;
    size_t count;
};

/* ---- making ------------------------------------------------------------------------------- */

void bearer_free(struct bearer *b)
{
    if (!b) return;
    key_sources_free(b->keys);
    for (size_t i = 0; i < b->count; i++) {
        free(b->providers[i].issuer);
        free(b->providers[i].audience);
        free(b->providers[i].default_role);
    }
    free(b->providers);
    free(b);
}

struct key_sources *bearer_keys(const struct bearer *b) { return b->keys; }

static err_t copy_text(const char *text, char **ret)
{
    if (text && !(*ret = strdup(text))) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t add_source(struct bearer *b, const char *what, const char *place, enum key_form form,
                        const char *ca_file, struct key_source **ret)
{
    char name[64];
    if (!place) return ERR_OK;
    snprintf(name, sizeof name, "identity_providers[%zu].%s", b->count - 1, what);
    struct key_source_config source = {.name = name, .place = place, .form = form,
                                       .ca_file = ca_file};
    return key_sources_add(b->keys, &source, ret);
}

static err_t add_provider(struct bearer *b, const struct admin_provider *from, struct provider *p)
{
    if (!from->public_key_uri && !from->jwk_set_uri)
        FAIL(ERR_USAGE, "needs public_key_uri, or jwk_set_uri, or both");
    if (from->default_role &&
        (!*from->default_role || strlen(from->default_role) >= ADMIN_ROLE_MAX))
        FAIL(ERR_USAGE, "default_role must have 1 to %u bytes", ADMIN_ROLE_MAX - 1);
    TRY(copy_text(from->issuer, &p->issuer));
    TRY(copy_text(from->audience, &p->audience));
    TRY(copy_text(from->default_role, &p->default_role));
    TRY(add_source(b, "public_key_uri", from->public_key_uri, KEY_FORM_PEM, from->uri_ca,
                   &p->public_key));
    return add_source(b, "jwk_set_uri", from->jwk_set_uri, KEY_FORM_SET, from->uri_ca, &p->jwk_set);
}

struct err bearer_new(const struct admin_provider *providers, size_t count, struct bearer **ret)
{
    if (count == 0)
        FAIL(ERR_USAGE, "AuthenticatedAuthorization needs at least one identity provider");
    _cleanup_(bearer_freep) struct bearer *b = calloc(1, sizeof *b);
    if (!b || !(b->providers = calloc(count, sizeof *b->providers)))
        FAIL(ERR_INTERNAL, "out of memory");
    TRY(key_sources_new(&b->keys));
    for (size_t i = 0; i < count; i++) {
        b->count++; /* first, so that bearer_free finds a half-made one */
        TRYC(add_provider(b, &providers[i], &b->providers[i]), "identity provider %zu", i + 1);
    }
    *ret = TAKE_PTR(b);
    return ERR_OK;
}

/* ---- asking ------------------------------------------------------------------------------- */

/* The provider's key for this token: of its set by kid, else its PEM key. A jwk in the header is the
 * caller's word and never looked at, except that with one the set is not asked (kbs-api.md 6.1). */
static err_t check_signature(const struct provider *p, const struct jws *t)
{
    _cleanup_jwk_set_ struct jwk_set *set = p->jwk_set ? key_source_get(p->jwk_set) : NULL;
    _cleanup_jwk_set_ struct jwk_set *pem = p->public_key ? key_source_get(p->public_key) : NULL;
    bool by_kid = !json_present(json_get(jws_header(t), "jwk"));
    const struct jwk *key = NULL;
    if (by_kid) key = jwk_set_find(set, json_string(json_get(jws_header(t), "kid")));
    if (!key) key = jwk_set_alone(pem);
    if (!key) FAIL(ERR_CRYPTO, "the provider has no key for this token");
    return jws_verify(t, key);
}

static err_t read_claims(const struct jws *t, struct json_doc **ret_claims)
{
    _cleanup_json_ struct json_doc *claims = NULL;
    int64_t exp = 0;
    TRY(json_parse(jws_payload(t), &claims));
    TRY(jwt_check_times(json_root(claims), clock_now(), ADMIN_LEEWAY_SECONDS, &exp));
    *ret_claims = TAKE_PTR(claims);
    return ERR_OK;
}

/* Tokens of clients before 0.21 have no role; the provider's default_role is for them. A role of
 * another type than string is never that. */
static err_t read_role(const struct provider *p, struct json claims, const char **ret)
{
    struct json role = json_get(claims, "role");
    const char *text = json_present(role) ? json_string(role) : p->default_role;
    if (!text)
        FAIL(ERR_AUTH, "Admin access denied: Failed to parse claims from token: "
             "Missing required `role` claim in JWT");
    if (!*text || strlen(text) >= ADMIN_ROLE_MAX)
        FAIL(ERR_AUTH, "Admin access denied: Failed to parse claims from token: "
             "`role` claim must have 1 to %u bytes", ADMIN_ROLE_MAX - 1);
    *ret = text;
    return ERR_OK;
}

static bool fits(const struct provider *p, struct json claims)
{
    return (!p->issuer || jwt_iss_is(claims, p->issuer)) &&
           (!p->audience || jwt_aud_has(claims, p->audience));
}

/* ERR_NOTFOUND: not this provider's, the next may be asked. A good signature without a role ends
 * the search (kbs-api.md 6.1). *ret_signed: the signature is the provider's. */
static err_t ask_provider(const struct provider *p, const struct jws *t, bool *ret_signed,
                          struct admin_principal *ret)
{
    _cleanup_json_ struct json_doc *claims = NULL;
    const char *role = NULL;
    struct err e = check_signature(p, t);
    *ret_signed = err_ok(e);
    if (err_ok(e)) e = read_claims(t, &claims);
    if (e.code == ERR_INTERNAL) return e;
    if (!err_ok(e)) FAIL(ERR_NOTFOUND, "not of this provider");
    struct json root = json_root(claims);
    TRY(read_role(p, root, &role));
    if (!fits(p, root)) FAIL(ERR_NOTFOUND, "issuer or audience is another one");

    const char *subject = json_string(json_get(root, "sub"));
    snprintf(ret->role, sizeof ret->role, "%s", role);
    log_escape(ret->subject, sizeof ret->subject, span_str(subject ? subject : ""));
    return ERR_OK;
}

/* Nobody knows the signer: a provider may have a new key. */
static void look_again(const struct bearer *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->providers[i].jwk_set) key_source_want(b->providers[i].jwk_set);
        if (b->providers[i].public_key) key_source_want(b->providers[i].public_key);
    }
}

struct err bearer_identify(const struct bearer *b, const char *authorization,
                           struct admin_principal *ret)
{
    static const char scheme[] = "Bearer ";
    _cleanup_jws_ struct jws *t = NULL;
    struct admin_principal found = {0};
    if (!authorization || strncmp(authorization, scheme, strlen(scheme)) != 0)
        FAIL(ERR_AUTH, "Failed to parse HTTP Auth Bearer header");
    struct err e = jws_parse(span_str(authorization + strlen(scheme)), &t);
    if (err_ok(e)) e = ERR_MAKE(ERR_NOTFOUND, "no provider was asked");
    bool known = !t;
    for (size_t i = 0; t && i < b->count && e.code == ERR_NOTFOUND; i++) {
        bool is_signed = false;
        e = ask_provider(&b->providers[i], t, &is_signed, &found);
        known |= is_signed;
    }
    if (!known) look_again(b);
    if (err_ok(e)) *ret = found;
    if (err_ok(e) || e.code == ERR_AUTH || e.code == ERR_INTERNAL) return e;
    FAIL(ERR_AUTH, "Admin access denied: Cannot verify token with any of the issuers");
}
