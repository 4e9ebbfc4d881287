#include "broker/base/exchange.h"

#include <stdarg.h>
#include <stdio.h>

static bool take_first(void *arg, const char *value)
{
    *(const char **) arg = value;
    return false;
}

const char *request_header(const struct request *r, const char *name)
{
    const char *value = NULL;
    if (r->each_header) r->each_header(r, name, take_first, &value);
    return value;
}

struct span request_body(const struct request *r)
{
    return r->body ? secret_span(r->body) : buf_span(&r->public_body);
}

void response_header(struct response *r, const char *name, const char *fmt, ...)
{
    ENSURE(r->header_count < RESPONSE_HEADERS);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(r->headers[r->header_count].value, RESPONSE_HEADER_VALUE, fmt, ap);
    va_end(ap);
    ENSURE(n >= 0 && n < RESPONSE_HEADER_VALUE);
    r->headers[r->header_count++].name = name;
}

void response_reset(struct response *r)
{
    buf_free(&r->body);
    secret_free(r->secret_body);
    *r = (struct response){0};
}
