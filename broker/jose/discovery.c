#include "broker/jose/discovery.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/outbound.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WELL_KNOWN "/.well-known/openid-configuration"

static bool is_https(const char *url) { return strncasecmp(url, "https://", 8) == 0; }

/* A slash at the end of the issuer goes (4.1); it still belongs to the issuer's name. */
struct err discovery_url(const char *issuer, char **ret)
{
    size_t len = strlen(issuer);
    if (len && issuer[len - 1] == '/') len--;
    if (asprintf(ret, "%.*s" WELL_KNOWN, (int) len, issuer) < 0)
        FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t check_jwks_uri(const char *uri, const char *issuer)
{
    if (strlen(uri) > KEY_URI_MAX)
        FAIL(ERR_USAGE, "the discovery document's jwks_uri is longer than %u bytes", KEY_URI_MAX);
    /* A server elsewhere has no say in what we ask of this host. */
    if (is_https(issuer) && !is_https(uri))
        FAIL(ERR_USAGE, "the discovery document's jwks_uri is no https URL");
    TRYC(outbound_check_believed_url(uri), "the discovery document's jwks_uri");
    return ERR_OK;
}

struct err discovery_parse(struct span document, const char *issuer, char **ret_jwks_uri)
{
    static const char what[] = "a discovery document";
    _cleanup_json_ struct json_doc *doc = NULL;
    const char *named = NULL, *uri = NULL;
    TRYC(json_parse(document, &doc), "discovery document");
    TRY(json_need_string(json_root(doc), "issuer", what, &named));
    if (strcmp(named, issuer) != 0)
        FAIL(ERR_USAGE, "the discovery document is of issuer \"%.100s\", not of the one that is "
             "configured; they must be the same to the last character", named);
    TRY(json_need_string(json_root(doc), "jwks_uri", what, &uri));
    TRY(check_jwks_uri(uri, issuer));
    *ret_jwks_uri = strdup(uri);
    if (!*ret_jwks_uri) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

/* ---- Cache-Control --------------------------------------------------------------------------- */

/* "max-age=60": the name in any case, then digits alone, which may be quoted. */
static bool read_max_age(struct span directive, uint64_t *ret)
{
    static const char name[] = "max-age=";
    size_t at = sizeof name - 1, end = directive.len;
    if (directive.len <= at || strncasecmp((const char *) directive.data, name, at) != 0) return false;
    if (end - at > 2 && directive.data[at] == '"' && directive.data[end - 1] == '"') at++, end--;
    uint64_t seconds = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned) directive.data[at] - '0';
        if (digit > 9) return false;
        if (seconds <= UINT32_MAX) seconds = seconds * 10 + digit; /* more is as good as that */
    }
    *ret = seconds;
    return true;
}

bool cache_max_age(struct span value, uint64_t *ret_seconds)
{
    while (value.len) {
        const uint8_t *comma = memchr(value.data, ',', value.len);
        struct span directive = span_of(value.data, comma ? (size_t) (comma - value.data) : value.len);
        value = comma ? span_of(comma + 1, value.len - directive.len - 1) : (struct span){0};
        while (directive.len && strchr(" \t", directive.data[0])) directive.data++, directive.len--;
        while (directive.len && strchr(" \t", directive.data[directive.len - 1])) directive.len--;
        if (read_max_age(directive, ret_seconds)) return true;
    }
    return false;
}
