#include "broker/api/dry_run_body.h"

#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "policy/policy_claims.h"

#include <stdlib.h>
#include <string.h>

#define MEMBERS "policy, requests, claims, plugin, resource and query"

/* A misspelt member would make another question of it. */
static err_t check_members(struct json object, const char *const *names)
{
    if (json_type(object) != JSON_OBJECT) FAIL(ERR_USAGE, "a dry run takes a JSON object");
    for (struct json m = json_first(object); json_present(m); m = json_next(m)) {
        const char *const *n = names;
        while (*n && strcmp(*n, json_name(m)) != 0) n++;
        char shown[60];
        if (!*n)
            FAIL(ERR_USAGE, "unknown member \"%s\"; a dry run knows " MEMBERS,
                 log_escape(shown, sizeof shown, span_str(json_name(m))));
    }
    return ERR_OK;
}

static err_t optional_text(struct json object, const char *name, const char **ret)
{
    struct json member = json_get(object, name);
    if (!json_present(member)) return ERR_OK;
    if (!json_string(member)) FAIL(ERR_USAGE, "\"%s\" is not a string", name);
    *ret = json_string(member);
    return ERR_OK;
}

/* ---- one request ----------------------------------------------------------------------------- */

static err_t read_claims(struct json object, struct dry_run_request *r)
{
    struct policy_claims_error why = {0};
    struct json claims = json_get(object, "claims");
    if (json_type(claims) != JSON_OBJECT)
        FAIL(ERR_USAGE, "a request needs \"claims\", the object that a token carries");
    struct span text = json_text(claims);
    r->claims = policy_claims_new((const char *) text.data, text.len, &why);
    if (!r->claims) FAIL(ERR_USAGE, "\"claims\", byte %zu: %s", why.offset, why.text);
    r->request.claims = r->claims;
    return ERR_OK;
}

static err_t read_path(struct json object, struct dry_run_request *r)
{
    r->resource = "";
    r->request.path = r->path;
    TRY(optional_text(object, "resource", &r->resource));
    if (!r->resource[0]) return ERR_OK;
    r->path_text = strdup(r->resource);
    if (!r->path_text) FAIL(ERR_INTERNAL, "out of memory");
    for (char *at = r->path_text; at;) {
        if (r->request.path_count == ROUTE_MAX_SEGMENTS)
            FAIL(ERR_USAGE, "\"resource\" has more than %d segments", ROUTE_MAX_SEGMENTS);
        r->path[r->request.path_count++] = strsep(&at, "/");
    }
    return ERR_OK;
}

static err_t read_query(struct json object, struct dry_run_request *r)
{
    struct json query = json_get(object, "query");
    r->request.query = r->query;
    if (!json_present(query)) return ERR_OK;
    if (json_type(query) != JSON_OBJECT) FAIL(ERR_USAGE, "\"query\" is not an object");
    for (struct json m = json_first(query); json_present(m); m = json_next(m)) {
        if (r->request.query_count == ROUTE_MAX_PAIRS)
            FAIL(ERR_USAGE, "\"query\" has more than %d names", ROUTE_MAX_PAIRS);
        if (!json_string(m)) FAIL(ERR_USAGE, "a value in \"query\" is not a string");
        r->query[r->request.query_count++] = (struct policy_pair){json_name(m), json_string(m)};
    }
    return ERR_OK;
}

/* `names` are the members that may stand there. */
static err_t read_request(struct json object, const char *const *names, int64_t now_ns,
                          struct dry_run_request *r)
{
    TRY(check_members(object, names));
    r->request = (struct policy_request){.plugin = "resource", .now_ns = now_ns};
    TRY(optional_text(object, "plugin", &r->request.plugin));
    TRY(read_claims(object, r));
    TRY(read_path(object, r));
    return read_query(object, r);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static err_t read_list(struct json list, const char *const *names, int64_t now_ns,
                       struct dry_run_body *b)
{
    if (json_type(list) != JSON_ARRAY) FAIL(ERR_USAGE, "\"requests\" is not an array");
    size_t count = json_count(list);
    if (count > DRY_RUN_REQUESTS_MAX)
        FAIL(ERR_USAGE, "%zu requests; a dry run takes at most %u", count, DRY_RUN_REQUESTS_MAX);
    b->requests = calloc(count + 1, sizeof *b->requests);
    if (!b->requests) FAIL(ERR_INTERNAL, "out of memory");
    for (struct json j = json_first(list); json_present(j); j = json_next(j)) {
        struct dry_run_request *r = &b->requests[b->count++]; /* counted first: freed in any case */
        TRYC(read_request(j, names, now_ns, r), "request %zu", b->count);
    }
    return ERR_OK;
}

static err_t read_single(struct json root, const char *const *names, int64_t now_ns,
                         struct dry_run_body *b)
{
    b->requests = calloc(1, sizeof *b->requests);
    if (!b->requests) FAIL(ERR_INTERNAL, "out of memory");
    b->count = 1;
    return read_request(root, names, now_ns, b->requests);
}

static bool has_any(struct json object, const char *const *names)
{
    while (*names && !json_present(json_get(object, *names))) names++;
    return *names;
}

static err_t read_body(struct json root, int64_t now_ns, struct dry_run_body *b)
{
    static const char *const names[] = {"policy", "requests", "claims", "plugin", "resource",
                                        "query", NULL};
    const char *const *of_request = names + 2;
    TRY(check_members(root, names));
    TRY(optional_text(root, "policy", &b->policy));
    if (b->policy && strlen(b->policy) > POLICY_MAX)
        FAIL(ERR_USAGE, "the policy is longer than %u bytes", POLICY_MAX);
    struct json list = json_get(root, "requests");
    bool single = has_any(root, of_request);
    b->has_requests = single || json_present(list);
    if (single && json_present(list))
        FAIL(ERR_USAGE, "give \"requests\" or the members of one request, not both");
    if (single) return read_single(root, names, now_ns, b);
    return b->has_requests ? read_list(list, of_request, now_ns, b) : ERR_OK;
}

struct err dry_run_body_parse(struct span text, int64_t now_ns, struct dry_run_body *ret)
{
    struct dry_run_body b = {0};
    struct err e = ERR_OK;
    if (text.len) e = json_parse(text, &b.doc); /* no body asks the same as {} */
    if (err_ok(e) && text.len) e = read_body(json_root(b.doc), now_ns, &b);
    if (err_ok(e)) *ret = b;
    else dry_run_body_done(&b);
    return e;
}

void dry_run_body_done(struct dry_run_body *b)
{
    for (size_t i = 0; i < b->count; i++) {
        policy_claims_free(b->requests[i].claims);
        free(b->requests[i].path_text);
    }
    free(b->requests);
    json_free(b->doc);
    *b = (struct dry_run_body){0};
}
