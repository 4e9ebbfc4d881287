/* The body of POST policy/dry-run:
 *
 *     {"policy": TEXT, "requests": [{"claims": {...}, "plugin": TEXT, "resource": TEXT,
 *                                    "query": {NAME: TEXT}}]}
 *
 * All of it may be left out; the members of one request may stand beside "policy" instead. The text
 * is Rego as it is, not encoded. `resource` is the path below the plugin, as policies see it. */
#pragma once

#include "broker/api/route.h"
#include "broker/base/json.h"
#include "policy/policy.h"

/* A request that was brought along; borrows from the document. */
struct dry_run_request {
    struct policy_request request;
    const char *resource;        /* as it was written, or "" */
    struct policy_claims *claims;
    char *path_text;
    const char *path[ROUTE_MAX_SEGMENTS];
    struct policy_pair query[ROUTE_MAX_PAIRS];
};

struct dry_run_body {
    struct json_doc *doc;
    const char *policy;          /* NULL: the one in force is tried */
    bool has_requests;           /* false: the recent ones */
    struct dry_run_request *requests;
    size_t count;
};

/* ERR_USAGE says what is wrong with it; unknown members are. The caller ends the body. */
err_t dry_run_body_parse(struct span text, int64_t now_ns, struct dry_run_body *ret);
void dry_run_body_done(struct dry_run_body *b);
