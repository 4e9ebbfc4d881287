/* The versions of an attestation policy, for operators: list, read one, roll back. How they are listed and
 * read is the same as for the release policy (policy_history.c). */
#include "broker/api/endpoint.h"

#include "broker/base/log.h"
#include "policy/errors.h"

#include <stdio.h>

#define ROLLBACK "rollback-attestation-policy"

/* The id is the first segment below the endpoint's name; at most `more` others follow. */
static bool is_named(struct call *c, size_t more)
{
    bool given = c->route.segment_count > c->path_first;
    return call_path_ends(c, 1 + more) &&
           attestation_policy_named(c, given ? c->route.segments[c->path_first] : "");
}

bool attestation_versions_decide(struct call *c)
{
    return !is_named(c, 1) || !policy_read_wanted(c, c->path_first + 1);
}

/* ---- rolling back -------------------------------------------------------------------------- */

bool attestation_rollback_decide(struct call *c)
{
    if (!is_named(c, 0)) return true;
    if (operator_read_version(c, &c->wanted)) return !call_preconditions(c);
    struct err e = ERR_MAKE(ERR_USAGE, "the body of a rollback is {\"version\": N}, N a number from 1 on");
    attestation_policy_refuse(c, ROLLBACK, e, NULL);
    return true;
}

struct err attestation_rollback_work(struct call *c)
{
    struct appraiser_restore r = {.name = c->name, .version = c->wanted, .has_if_match = c->has_if_match,
                                  .if_match = c->if_match};
    c->errors = calloc(1, sizeof *c->errors);
    c->warnings = calloc(1, sizeof *c->warnings);
    if (!c->errors || !c->warnings) FAIL(ERR_INTERNAL, "out of memory");
    r.errors = c->errors;
    r.warnings = c->warnings;
    TRY(appraiser_restore_policy(c->api->appraiser, &r, &c->version));
    snprintf(c->digest, sizeof c->digest, "%s", r.digest);
    return ERR_OK;
}

void attestation_rollback_finish(struct call *c, struct err e)
{
    char reason[48];
    if (e.code == ERR_USAGE) { /* so work came to its end */
        attestation_policy_refuse(c, ROLLBACK, e, c->errors);
        return;
    }
    if (!err_ok(e)) {
        operator_fail(c, ROLLBACK, e);
        return;
    }
    snprintf(reason, sizeof reason, "restored version %ju", (uintmax_t) c->wanted);
    log_info("attestation-policy.rolled-back", LOG_S("policy", c->name), LOG_U("version", c->version),
             LOG_U("restored", c->wanted), LOG_S("principal", c->principal));
    if (call_audit(c, ROLLBACK, "done", reason)) policy_reply_rolled_back(c, c->digest);
}
