/* Reference values: POST and GET reference-value (kbs-api.md 6.3), and the list of them all. */
#include "broker/api/endpoint.h"

#include "broker/base/json.h"
#include "broker/base/log.h"

#include <stdio.h>

#define RVPS "RVPS configuration failed: "
#define GET_FAILED RVPS "Failed to get reference_values: "

static void refuse(struct call *c, const char *action, enum kbs_error error, const char *sentence,
                   struct err e)
{
    char detail[ERR_TEXT + 120];
    snprintf(detail, sizeof detail, "%s%s", sentence, err_ok(e) ? "" : err_reason(e));
    if (!err_ok(e)) log_warn_err(e, "reference-value.refused", LOG_S("principal", c->principal));
    if (call_audit(c, action, error == KBS_RVPS_UNKNOWN ? "missing" : "error", "refused"))
        call_error(c, error, detail);
}

/* ---- registering --------------------------------------------------------------------------- */

#define SET "set-reference-value"

bool reference_set_decide(struct call *c)
{
    struct span body = request_body(&c->x->req);
    call_use_upkeep(c);
    snprintf(c->name, sizeof c->name, "%s", REFERENCE_VALUES_NAME);
    if (c->route.segment_count > c->path_first)
        refuse(c, SET, KBS_RVPS, RVPS "the names stand in the body", ERR_OK);
    else if (!utf8_valid(body))
        refuse(c, SET, KBS_RVPS, RVPS "Failed to parse reference value message: not UTF-8", ERR_OK);
    else return false;
    return true;
}

struct err reference_set_work(struct call *c)
{
    struct attest_upkeep *upkeep = &c->api->upkeep;
    return upkeep->register_values(upkeep->context, request_body(&c->x->req));
}

void reference_set_finish(struct call *c, struct err e)
{
    bool wrong = e.code == ERR_USAGE || e.code == ERR_TOOLARGE;
    if (wrong || e.code == ERR_DAMAGED) {
        refuse(c, SET, KBS_RVPS, RVPS "Failed to register reference value: ", e);
    } else if (!err_ok(e)) {
        call_fail(c, SET, e);
    } else {
        log_info("reference-value.set", LOG_S("principal", c->principal));
        if (!call_audit(c, SET, "done", "")) return;
        reply_empty(&c->x->resp);
        c->x->resp.content_type = "application/json"; /* of nothing; as clients know it */
    }
}

/* ---- reading ------------------------------------------------------------------------------- */

#define GET "read-reference-value"

/* The name is the rest of the path (api.c put it together), slashes and all. */
bool reference_get_decide(struct call *c)
{
    call_use_upkeep(c);
    if (c->name[0]) return false;
    refuse(c, GET, KBS_RVPS, GET_FAILED "query reference values", ERR_OK);
    return true;
}

struct err reference_get_work(struct call *c)
{
    struct attest_upkeep *upkeep = &c->api->upkeep;
    return upkeep->query_value(upkeep->context, c->name, &c->text);
}

bool reference_list_decide(struct call *c)
{
    snprintf(c->name, sizeof c->name, "%s", REFERENCE_VALUES_NAME);
    if (!call_path_ends(c, 0)) return true;
    if (api_keeps_appraisal(c->api)) return false;
    call_error(c, KBS_RVPS, GET_FAILED "only a broker that appraises by itself lists them");
    return true;
}

struct err reference_list_work(struct call *c)
{
    return appraiser_list_values(c->api->appraiser, &c->text);
}

void reference_get_finish(struct call *c, struct err e)
{
    if (e.code == ERR_NOTFOUND)
        refuse(c, GET, KBS_RVPS_UNKNOWN, GET_FAILED, e);
    else if (e.code == ERR_USAGE || e.code == ERR_DAMAGED)
        refuse(c, GET, KBS_RVPS, GET_FAILED, e);
    else if (!err_ok(e)) call_fail(c, GET, e);
    else reply_json(&c->x->resp, &c->text);
}
