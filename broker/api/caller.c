/* Who asks: a guest by session cookie or bearer token, an operator by admin token or socket. */
#include "broker/api/cookie.h"
#include "broker/api/endpoint.h"

#include "broker/base/log.h"

#include <stdio.h>
#include <string.h>

/* The token behind "Bearer ", or an empty span: another scheme or none counts as no token, and so does
 * the same in small letters (kbs-api.md 15.8). */
static struct span bearer_token(const struct request *r)
{
    const char *value = request_header(r, "Authorization");
    if (!value || strncmp(value, "Bearer ", 7) != 0) return (struct span){NULL, 0};
    return span_str(value + 7);
}

static err_t find_guest(struct call *c)
{
    struct attest *attest = c->api->config.attest;
    char session[SESSION_COOKIE_TEXT];
    /* A good cookie wins over a bearer token; any trouble with it is as if there were none. */
    if (cookie_read(&c->x->req, session) &&
        err_ok(attest_by_session(attest, session, &c->guest)))
        return ERR_OK;
    struct span token = bearer_token(&c->x->req);
    if (token.len == 0) FAIL(ERR_NOTFOUND, "neither an attested session nor a bearer token");
    return attest_by_token(attest, token, &c->guest);
}

bool caller_guest(struct call *c)
{
    struct err e = find_guest(c);
    if (err_ok(e)) {
        snprintf(c->principal, sizeof c->principal, "guest:%s", guest_fingerprint(c->guest));
        return true;
    }
    if (e.code == ERR_NOTFOUND) call_error(c, KBS_TOKEN_NOT_FOUND, NULL);
    else {
        metric_add(&c->api->metrics, METRIC_REFUSED_TOKENS);
        log_debug_err(e, "guest.token-refused", LOG_S("peer", c->x->req.peer));
        if (call_audit(c, "release", "deny", "attestation token refused"))
            call_error(c, KBS_TOKEN_VERIFIER, NULL);
    }
    return false;
}

/* The decoded path as the store will see it: what an ACL is held against (DESIGN 5). */
static void decoded_path(const struct call *c, char *out, size_t size)
{
    char rest[1024];
    bool below = c->route.segment_count > c->path_first;
    bool fits = route_join(&c->route, c->path_first, rest, sizeof rest);
    snprintf(out, size, "%s%s%s%s", c->endpoint->prefix, c->endpoint->name, below ? "/" : "",
             fits ? rest : "(too long)");
}

static void refuse_admin(struct call *c, struct err e, const char *path)
{
    char detail[512], inner[ERR_TEXT];
    bool denied = e.code == ERR_DENIED;
    snprintf(inner, sizeof inner, "%s", err_reason(e));
    metric_add(&c->api->metrics, METRIC_REFUSED_ADMINS);
    const struct peer_certificate *shown = c->x->req.certificate;
    log_warn_err(e, "admin.refused", LOG_S("peer", c->x->req.peer), LOG_S("path", path),
                 LOG_S("certificate", shown ? shown->subject : "none"));
    if (!call_audit(c, "admin", "deny", denied ? "role not allowed" : "not an operator")) return;
    if (c->endpoint->access == ACCESS_ADMIN_BUILTIN) {
        snprintf(detail, sizeof detail, "admin access denied for endpoint %s: %s",
                 c->endpoint->name, inner);
        call_error(c, denied ? KBS_ADMIN_BUILTIN_DENIED : KBS_ADMIN_BUILTIN, detail);
    } else {
        snprintf(detail, sizeof detail, "failed to initialize [admin] configuration: %s", inner);
        call_error(c, denied ? KBS_ADMIN_DENIED : KBS_ADMIN_PLUGIN, detail);
    }
}

/* Beside the token, never instead of it. First of all, so that nobody tries tokens without one. */
static err_t check_certificate(const struct request *r)
{
    if (!r->certificate_wanted) return ERR_OK;
    if (!r->certificate)
        FAIL(ERR_AUTH, "Admin access denied: a client certificate is needed");
    if (!r->certificate->verified)
        FAIL(ERR_AUTH, "Admin access denied: the client certificate is not one of a trusted CA for "
             "clients, or out of its time");
    return ERR_OK;
}

bool caller_admin(struct call *c)
{
    const struct request *r = &c->x->req;
    if (r->local_admin) { /* the socket's mode is the authorisation */
        snprintf(c->principal, sizeof c->principal, "local:%s", r->peer);
        return true;
    }
    char path[1400] = "";
    decoded_path(c, path, sizeof path);
    struct admin_principal who = {0};
    struct err e = check_certificate(r);
    if (err_ok(e))
        e = admin_authorize(c->api->config.admin, request_header(r, "Authorization"),
                            r->method_name, path, &who);
    if (!err_ok(e)) {
        refuse_admin(c, e, path);
        return false;
    }
    snprintf(c->principal, sizeof c->principal, "admin:%s%s%s", who.role,
             who.subject[0] ? ":" : "", who.subject);
    return true;
}
