#include "broker/jose/key_fetch.h"

#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/jose/discovery.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool key_place_is_url(const char *place)
{
    return strncasecmp(place, "http://", 7) == 0 || strncasecmp(place, "https://", 8) == 0;
}

static err_t read_keys(struct span text, enum key_form form, struct jwk_set **ret)
{
    if (form == KEY_FORM_SET) return jwk_set_parse(text, ret);
    struct jwk *key = NULL;
    TRY(jwk_from_pem(text, &key));
    return jwk_set_of(key, ret);
}

/* ---- over the network ------------------------------------------------------------------------- */

static void note_age(void *arg, struct span name, struct span value)
{
    struct fetched_keys *f = arg;
    static const char wanted[] = "cache-control";
    if (name.len == sizeof wanted - 1 &&
        strncasecmp((const char *) name.data, wanted, name.len) == 0)
        f->has_keep |= cache_max_age(value, &f->keep_seconds);
}

/* The body of a 200, and how long it may be kept. */
static err_t get(struct outbound *peer, const char *url, struct fetched_keys *f, struct buf *ret)
{
    static const char *const headers[] = {"Accept: application/json, */*;q=0.5", NULL};
    struct outbound_request r = {.method = "GET", .url = url, .headers = headers,
                                 .on_header = note_age, .arg = f};
    struct outbound_answer a = {0};
    f->has_keep = false;
    TRY(outbound_send(peer, &r, &a));
    if (a.status == 200) {
        *ret = a.body;
        return ERR_OK;
    }
    buf_free(&a.body);
    if (a.status >= 300 && a.status < 400)
        FAIL(ERR_USAGE, "the server answers %ld; redirects are not followed, so configure where it "
             "leads to", a.status);
    FAIL(ERR_USAGE, "the server answers %ld", a.status);
}

static err_t ask(struct outbound *peer, const char *url, enum key_form form,
                 struct fetched_keys *f)
{
    _cleanup_buf_ struct buf body = BUF_INIT;
    TRY(get(peer, url, f, &body));
    return read_keys(buf_span(&body), form, &f->set);
}

static err_t ask_issuer(struct outbound *peer, const char *issuer, struct fetched_keys *f)
{
    _cleanup_free_ char *document_url = NULL;
    _cleanup_free_ char *jwks_uri = NULL;
    _cleanup_buf_ struct buf document = BUF_INIT;
    TRY(discovery_url(issuer, &document_url));
    TRY(get(peer, document_url, f, &document));
    TRY(discovery_parse(buf_span(&document), issuer, &jwks_uri));
    TRYC(ask(peer, jwks_uri, KEY_FORM_SET, f), "its jwks_uri");
    return ERR_OK;
}

static err_t ask_url(struct outbound *peer, const char *url, enum key_form form,
                     struct fetched_keys *f)
{
    struct err e = ask(peer, url, form, f);
    /* A server that does not answer will not do so at another path either. */
    if (form == KEY_FORM_PEM || e.code != ERR_USAGE) return e;
    char why[ERR_TEXT];
    snprintf(why, sizeof why, "%s", err_reason(e));
    TRYC(ask_issuer(peer, url, f), "no JWK set lies there (%.120s), and as an OpenID issuer", why);
    return ERR_OK;
}

/* ---- both --------------------------------------------------------------------------------------- */

static err_t read_file_keys(const char *path, enum key_form form, struct fetched_keys *f)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    TRY(file_read(path, KEY_SOURCE_MAX, &text));
    return read_keys(buf_span(&text), form, &f->set);
}

struct err key_fetch(struct outbound *peer, const char *place, enum key_form form,
                     struct fetched_keys *ret)
{
    struct fetched_keys f = {0};
    if (peer) TRY(ask_url(peer, place, form, &f));
    else TRYC(read_file_keys(place, form, &f), "%s", place);
    *ret = f;
    return ERR_OK;
}
