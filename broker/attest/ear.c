#include "broker/attest/ear.h"

#include <stdio.h>
#include <string.h>

static const char *const claim_names[EAR_CLAIM_COUNT] = {
    [EAR_INSTANCE_IDENTITY] = "instance-identity", [EAR_CONFIGURATION] = "configuration",
    [EAR_EXECUTABLES] = "executables",             [EAR_FILE_SYSTEM] = "file-system",
    [EAR_HARDWARE] = "hardware",                   [EAR_RUNTIME_OPAQUE] = "runtime-opaque",
    [EAR_STORAGE_OPAQUE] = "storage-opaque",       [EAR_SOURCED_DATA] = "sourced-data",
};

/* kbs-api.md 4.2; a value belongs to the first tier whose ends enclose it, best tier first. */
static const struct {
    const char *status;
    int low, high;
} tiers[] = {
    {"none", -1, 1},
    {"affirming", -32, 31},
    {"warning", -96, 95},
    {"contraindicated", -128, 127},
};

const char *ear_status(const struct ear_vector *v)
{
    size_t worst = 0;
    for (size_t i = 0; i < EAR_CLAIM_COUNT; i++)
        while (v->value[i] < tiers[worst].low || v->value[i] > tiers[worst].high) worst++;
    return tiers[worst].status;
}

enum ear_claim ear_claim_from(const char *name, size_t len)
{
    size_t i = 0;
    while (i < EAR_CLAIM_COUNT && !span_eq_str(span_of(name, len), claim_names[i])) i++;
    return (enum ear_claim) i;
}

const char *ear_claim_name(enum ear_claim claim) { return claim_names[claim]; }

void ear_verdict_done(struct ear_verdict *v)
{
    buf_free(&v->extensions);
}

#define STATUS "ear.status"
#define VECTOR "ear.trustworthiness-vector"
#define POLICY_ID "ear.appraisal-policy-id"
#define EVIDENCE "ear.veraison.annotated-evidence"

bool ear_member_reserved(const char *name)
{
    static const char *const members[] = {STATUS, VECTOR, POLICY_ID, EVIDENCE};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strcmp(members[i], name) == 0) return true;
    return false;
}

static void put_vector(struct json_out *o, const struct ear_vector *v)
{
    json_key(o, VECTOR);
    json_begin_object(o);
    for (size_t i = 0; i < EAR_CLAIM_COUNT; i++)
        json_member_int(o, claim_names[i], v->value[i]);
    json_end_object(o);
}

struct err ear_write_evidence(const struct ear_part *p, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    if (p->init_data) {
        json_member_str(&o, "init_data", p->init_data);
        json_member_raw(&o, "init_data_claims", p->init_data_claims);
    }
    json_member_str(&o, "report_data", p->report_data);
    json_member_raw(&o, "runtime_data_claims", p->runtime_claims);
    json_member_raw(&o, p->tee, p->claims);
    json_end_object(&o);
    return buf_ok(ret);
}

static void put_part(struct json_out *o, const struct ear_appraised *p)
{
    char name[16];
    snprintf(name, sizeof name, "%s%u", p->device, p->number);
    json_key(o, name);
    json_begin_object(o);
    json_member_str(o, STATUS, ear_status(&p->verdict->vector));
    put_vector(o, &p->verdict->vector);
    json_member_str(o, POLICY_ID, p->policy_id);
    json_member_raw(o, EVIDENCE, p->evidence);
    if (p->verdict->extensions.len) {
        buf_add_byte(o->buf, ',');
        buf_add_span(o->buf, buf_span(&p->verdict->extensions));
    }
    json_end_object(o);
}

struct err ear_write(const struct ear *e, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    /* Policies and relying parties compare the profile: it names the format, not the maker. */
    json_member_str(&o, "eat_profile", "tag:github.com,2024:confidential-containers/Trustee");
    json_member_int(&o, "iat", e->iat);
    json_key(&o, "ear.verifier-id");
    json_begin_object(&o);
    json_member_str(&o, "developer", "Strongroom");
    json_member_str(&o, "build", "strongroom " STRONGROOM_VERSION);
    json_end_object(&o);
    json_key(&o, "submods");
    json_begin_object(&o);
    for (size_t i = 0; i < e->part_count; i++) put_part(&o, &e->parts[i]);
    json_end_object(&o);
    json_member_int(&o, "exp", e->exp);
    json_member_str(&o, "iss", e->issuer);
    json_end_object(&o);
    return buf_ok(ret);
}
