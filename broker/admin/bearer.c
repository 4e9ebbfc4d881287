#include "broker/admin/bearer.h"

#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/log.h"
#include "broker/jose/jws.h"

#include <stdio.h>
#include <string.h>

#define ADMIN_LEEWAY_SECONDS 60
#define PUBLIC_KEY_FILE_MAX (64u << 10) /* bytes */

struct provider {
    char *issuer, *audience, *default_role; /* each may be NULL */
    struct jwk *key;
};

struct bearer {
    struct provider *providers;
    size_t count;
};

/* ---- making ------------------------------------------------------------------------------- */

void bearer_free(struct bearer *b)
{
    if (!b) return;
    for (size_t i = 0; i < b->count; i++) {
        free(b->providers[i].issuer);
        free(b->providers[i].audience);
        free(b->providers[i].default_role);
        jwk_free(b->providers[i].key);
    }
    free(b->providers);
    free(b);
}

static err_t copy_text(const char *text, char **ret)
{
    if (text && !(*ret = strdup(text))) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t add_provider(const struct admin_provider *from, struct provider *p)
{
    _cleanup_buf_ struct buf pem = BUF_INIT;
    if (!from->public_key_file) FAIL(ERR_USAGE, "public_key_file is missing");
    if (from->default_role &&
        (!*from->default_role || strlen(from->default_role) >= ADMIN_ROLE_MAX))
        FAIL(ERR_USAGE, "default_role must have 1 to %u bytes", ADMIN_ROLE_MAX - 1);
    TRYC(file_read(from->public_key_file, PUBLIC_KEY_FILE_MAX, &pem), "public_key_file %s",
         from->public_key_file);
    TRYC(jwk_from_pem(buf_span(&pem), &p->key), "public_key_file %s", from->public_key_file);
    TRY(copy_text(from->issuer, &p->issuer));
    TRY(copy_text(from->audience, &p->audience));
    return copy_text(from->default_role, &p->default_role);
}

struct err bearer_new(const struct admin_provider *providers, size_t count, struct bearer **ret)
{
    if (count == 0)
        FAIL(ERR_USAGE, "AuthenticatedAuthorization needs at least one identity provider");
    _cleanup_(bearer_freep) struct bearer *b = calloc(1, sizeof *b);
    if (!b || !(b->providers = calloc(count, sizeof *b->providers)))
        FAIL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++) {
        b->count++; /* first, so that bearer_free finds a half-made one */
        TRYC(add_provider(&providers[i], &b->providers[i]), "identity provider %zu", i + 1);
    }
    *ret = TAKE_PTR(b);
    return ERR_OK;
}

/* ---- asking ------------------------------------------------------------------------------- */

/* Signature and times. The key is the provider's: a jwk in the header is the caller's word and is
 * not looked at. */
static err_t check_token(const struct provider *p, const struct jws *t, struct json_doc **ret_claims)
{
    _cleanup_json_ struct json_doc *claims = NULL;
    int64_t exp = 0;
    TRY(jws_verify(t, p->key));
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

static bool equals(struct json j, const char *wanted)
{
    const char *text = json_string(j);
    return text && strcmp(text, wanted) == 0;
}

/* aud is one string or a list of them (RFC 7519 4.1.3). */
static bool fits(const struct provider *p, struct json claims)
{
    if (p->issuer && !equals(json_get(claims, "iss"), p->issuer)) return false;
    if (!p->audience) return true;
    struct json aud = json_get(claims, "aud");
    if (json_type(aud) != JSON_ARRAY) return equals(aud, p->audience);
    for (struct json a = json_first(aud); json_present(a); a = json_next(a))
        if (equals(a, p->audience)) return true;
    return false;
}

/* ERR_NOTFOUND: not this provider's, the next may be asked. A good signature without a role ends
 * the search (kbs-api.md 6.1). */
static err_t ask_provider(const struct provider *p, const struct jws *t,
                          struct admin_principal *ret)
{
    _cleanup_json_ struct json_doc *claims = NULL;
    const char *role = NULL;
    struct err e = check_token(p, t, &claims);
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
    for (size_t i = 0; t && i < b->count && e.code == ERR_NOTFOUND; i++)
        e = ask_provider(&b->providers[i], t, &found);
    if (err_ok(e)) *ret = found;
    if (err_ok(e) || e.code == ERR_AUTH || e.code == ERR_INTERNAL) return e;
    FAIL(ERR_AUTH, "Admin access denied: Cannot verify token with any of the issuers");
}
