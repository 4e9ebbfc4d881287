/* GET openapi.json: what this server answers, as OpenAPI 3.1. */
#include "broker/api/endpoint.h"

#include <stdio.h>
#include <string.h>

/* broker/api/openapi.json byte for byte, from the folder where make runs. */
__asm__(".section .rodata\n"
        ".hidden openapi_begin, openapi_end\n"
        ".globl openapi_begin, openapi_end\n"
        "openapi_begin:\n"
        ".incbin \"broker/api/openapi.json\"\n"
        "openapi_end:\n"
        ".previous\n");
extern const uint8_t openapi_begin[], openapi_end[];

struct span openapi_text(void)
{
    return span_of(openapi_begin, (uintptr_t) openapi_end - (uintptr_t) openapi_begin);
}

/* RFC 9110 13.1.2, weakly: our tag is quoted, so it is found in a list and behind W/ alike. */
static bool has_it(const struct call *c, const char *etag)
{
    const char *none = request_header(&c->x->req, "If-None-Match");
    return none && (strcmp(none, "*") == 0 || strstr(none, etag));
}

bool openapi_read(struct call *c)
{
    struct response *resp = &c->x->resp;
    char etag[sizeof c->api->openapi_digest + 2];
    if (!call_path_ends(c, 0)) return true;
    snprintf(etag, sizeof etag, "\"%s\"", c->api->openapi_digest);
    reply_empty(resp);
    if (has_it(c, etag)) resp->status = 304;
    else {
        buf_add_span(&resp->body, openapi_text());
        resp->content_type = "application/json";
    }
    response_header(resp, "ETag", "%s", etag);
    /* It may be kept, but an upgrade changes it. */
    response_header(resp, "Cache-Control", "no-cache");
    return true;
}
