/* Target Functions: dry_run_body_parse dry_run_body_done */
#include "broker/api/dry_run_body.h"
#include "broker/base/limits.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is whole, within the limits, and has claims. */
static void check_request(const struct dry_run_request *r)
{
    size_t slashes = 0;
    if (!r->claims || r->request.claims != r->claims || !r->request.plugin) abort();
    if (r->request.path_count > ROUTE_MAX_SEGMENTS || r->request.query_count > ROUTE_MAX_PAIRS) abort();
    for (const char *c = r->resource; *c; c++) slashes += *c == '/';
    if (r->request.path_count != (r->resource[0] ? slashes + 1 : 0)) abort();
    for (size_t i = 0; i < r->request.path_count; i++)
        if (strchr(r->request.path[i], '/')) abort();
    for (size_t i = 0; i < r->request.query_count; i++)
        if (!r->request.query[i].name || !r->request.query[i].value) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dry_run_body b = {0};
    struct err e = dry_run_body_parse(span_of(data, size), 1, &b);
    if (!err_ok(e) && (b.doc || b.requests || b.count)) abort(); /* written on success only */
    if (b.count > DRY_RUN_REQUESTS_MAX || (b.count && !b.has_requests)) abort();
    if (b.policy && strlen(b.policy) > POLICY_MAX) abort();
    for (size_t i = 0; i < b.count; i++) check_request(&b.requests[i]);
    dry_run_body_done(&b);
    return 0;
}
