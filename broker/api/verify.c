/* Whether what lies on the token is what should: the findings of scrubber and manifest, for operators,
 * metrics and the record. */
#include "broker/api/endpoint.h"
#include "broker/api/verify.h"

#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/store/scrub.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- asking ------------------------------------------------------------------------------ */

static err_t put_finding(void *arg, const struct finding *f)
{
    struct json_out *o = arg;
    json_begin_object(o);
    json_member_str(o, "fault", fault_name(f->fault));
    json_member_str(o, "label", f->label);
    if (f->version) json_member_uint(o, "version", f->version);
    json_member_str(o, "why", f->why);
    json_member_str(o, "hint", fault_hint(f->fault));
    json_end_object(o);
    return ERR_OK;
}

static size_t put_counts(struct json_out *o, const struct scrub_stats *s)
{
    size_t hurt = 0;
    json_key(o, "counts");
    json_begin_object(o);
    for (unsigned f = 0; f < FAULT_COUNT; f++) {
        json_member_uint(o, fault_name((enum fault) f), s->found[f]);
        if (fault_hurts((enum fault) f)) hurt += s->found[f];
    }
    json_end_object(o);
    return hurt;
}

struct err verify_read_work(struct call *c)
{
    struct scrub_stats s;
    char date[CLOCK_TEXT];
    struct json_out o = JSON_OUT(&c->text);
    scrub_stats(c->api->config.store, &s);
    json_begin_object(&o);
    json_member_bool(&o, "running", s.running);
    json_member_uint(&o, "passes", s.passes);
    json_member_uint(&o, "looked_at", s.looked_at);
    json_member_uint(&o, "objects", s.objects);
    if (s.finished) json_member_str(&o, "finished", clock_rfc3339(s.finished, date));
    if (s.failed) json_member_str(&o, "failed", err_class_name(s.failed));
    json_member_uint(&o, "manifest_version", s.manifest_version);
    json_member_bool(&o, "manifest_behind", s.manifest_behind);
    size_t hurt = put_counts(&o, &s);
    json_member_bool(&o, "sound", hurt == 0 && s.finished && !s.failed);
    json_key(&o, "findings");
    json_begin_array(&o);
    TRY(scrub_findings(c->api->config.store, put_finding, &o));
    json_end_array(&o);
    json_end_object(&o);
    return ERR_OK;
}

/* ---- a pass at once, or what is there accepted -------------------------------------------- */

struct err verify_start_work(struct call *c)
{
    struct store *store = c->api->config.store;
    bool accept = call_asks(c, "accept");
    size_t forgotten = 0;
    uint64_t passes = 0;
    char reason[60];
    if (accept) TRY(scrub_accept(store, &forgotten));
    else TRY(scrub_now(store, &passes));
    snprintf(reason, sizeof reason, "%zu findings accepted", forgotten);
    if (accept && !call_audit(c, "verify-accept", "done", reason))
        FAIL(ERR_INTERNAL, "it was accepted, but the audit record could not be written");
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    if (accept) json_member_uint(&o, "forgotten", forgotten);
    else json_member_uint(&o, "passes", passes);
    json_end_object(&o);
    return ERR_OK;
}

void verify_finish(struct call *c, struct err e)
{
    if (err_ok(e)) e = buf_ok(&c->text);
    if (err_ok(e)) reply_json(&c->x->resp, &c->text);
    else call_fail(c, "verify", e);
}

/* ---- the record, and metrics --------------------------------------------------------------- */

void verify_record(void *arg, const struct finding *f)
{
    struct audit *audit = arg;
    struct audit_event event = {.action = "integrity", .decision = "error", .resource = f->label,
                                .version = f->version, .reason = fault_name(f->fault)};
    struct err e = audit_write(audit, &event);
    if (!err_ok(e)) log_err(e, "audit.failed", LOG_S("action", "integrity"));
}

void verify_metrics(const struct api_config *config, struct buf *out)
{
    struct scrub_stats s;
    scrub_stats(config->store, &s);
    buf_add_str(out, "# HELP strongroom_findings What is wrong on the token, by kind\n"
                     "# TYPE strongroom_findings gauge\n");
    for (unsigned f = 0; f < FAULT_COUNT; f++)
        buf_addf(out, "strongroom_findings{fault=\"%s\"} %zu\n", fault_name((enum fault) f), s.found[f]);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"strongroom_scrub_passes_total", "counter", "Passes over all objects that ended", s.passes},
        {"strongroom_scrub_checked_total", "counter", "Objects opened by them", s.checked},
        {"strongroom_scrub_progress", "gauge", "Objects opened in the pass under way, or in the last",
         s.looked_at},
        {"strongroom_scrub_objects", "gauge", "Objects in the last whole pass", s.objects},
        {"strongroom_scrub_finished_seconds", "gauge",
         "When the last whole pass ended, in Unix time; 0: none did yet", (uint64_t) s.finished},
        {"strongroom_manifest_version", "gauge", "Version of the manifest, 0 without one",
         s.manifest_version},
        {"strongroom_manifest_behind", "gauge", "1: something was written that the manifest does not have",
         s.manifest_behind},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        metrics_put_one(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}
