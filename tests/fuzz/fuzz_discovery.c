/* Target Functions: discovery_parse discovery_url cache_max_age */
#include "broker/base/cleanup.h"
#include "broker/base/limits.h"
#include "broker/jose/discovery.h"

#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where a document sends us: never from https to anything else, never far from loopback by http. */
static void check_uri(const char *issuer, struct span document)
{
    _cleanup_free_ char *uri = NULL;
    if (!err_ok(discovery_parse(document, issuer, &uri))) return;
    bool https = strncasecmp(uri, "https://", 8) == 0;
    ENSURE(strlen(uri) <= KEY_URI_MAX && (https || strncasecmp(uri, "http://", 7) == 0));
    ENSURE(https || strncmp(issuer, "http://", 7) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const issuers[] = {"https://idp.example", "http://127.0.0.1:8080/a/"};
    uint64_t seconds = 0;
    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *url = NULL;
        ENSURE(err_ok(discovery_url(issuers[i], &url)) && strstr(url, "//.well-known") == NULL);
        check_uri(issuers[i], span_of(data, size));
    }
    if (!cache_max_age(span_of(data, size), &seconds)) ENSURE(seconds == 0);
    return 0;
}
