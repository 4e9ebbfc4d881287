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

/* 33: executables run that are not known; 97: the hardware is not recognised as genuine; 2: the
 * configuration is a known one; 36: it is not. */
static const struct {
    const char *device;
    struct ear_vector vector;
} defaults[] = {
    {"cpu", {{[EAR_EXECUTABLES] = 33, [EAR_HARDWARE] = 97, [EAR_CONFIGURATION] = 2}}},
    {NULL, {{[EAR_EXECUTABLES] = 33, [EAR_HARDWARE] = 97, [EAR_CONFIGURATION] = 36}}},
};

const struct ear_vector *ear_default_vector(const char *device)
{
    size_t i = 0;
    while (defaults[i].device && strcmp(defaults[i].device, device) != 0) i++;
    return &defaults[i].vector;
}

static void put_vector(struct json_out *o, const struct ear_vector *v)
{
    json_key(o, "ear.trustworthiness-vector");
    json_begin_object(o);
    for (size_t i = 0; i < EAR_CLAIM_COUNT; i++)
        json_member_int(o, claim_names[i], v->value[i]);
    json_end_object(o);
}

static void put_evidence(struct json_out *o, const struct ear_part *p)
{
    json_key(o, "ear.veraison.annotated-evidence");
    json_begin_object(o);
    if (p->init_data) {
        json_member_str(o, "init_data", p->init_data);
        json_member_raw(o, "init_data_claims", p->init_data_claims);
    }
    json_member_str(o, "report_data", p->report_data);
    json_member_raw(o, "runtime_data_claims", p->runtime_claims);
    json_member_raw(o, p->tee, p->claims);
    json_end_object(o);
}

static void put_part(struct json_out *o, const struct ear_part *p)
{
    const struct ear_vector *vector = ear_default_vector(p->device);
    char name[16];
    snprintf(name, sizeof name, "%s%u", p->device, p->number);
    json_key(o, name);
    json_begin_object(o);
    json_member_str(o, "ear.status", ear_status(vector));
    put_vector(o, vector);
    json_member_str(o, "ear.appraisal-policy-id", "default");
    put_evidence(o, p);
    if (strcmp(p->device, "cpu") == 0) /* an extension of the default CPU policy */
        json_member_raw(o, "ear.trustee.identifiers", SPAN_LIT("{\"validated\":{}}"));
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
