/* From a key of a KBS's store to a name of ours, and why some cannot be taken. */
#include "broker/cmd/import_item.h"

#include "broker/api/appraiser.h"
#include "broker/api/release.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SHOWN_MAX 480 /* characters of a key or place that a report shows */

static const struct {
    const char *name;
    enum import_kind kind;
    size_t max; /* bytes of a value */
} spaces[KBS_SPACES] = {
    [KBS_REPOSITORY] = {"repository", IMPORT_RESOURCE, VALUE_MAX},
    [KBS_POLICIES] = {"kbs", IMPORT_RELEASE_POLICY, POLICY_MAX},
    [KBS_ATTESTATION_POLICIES] = {"attestation_service_policy", IMPORT_ATTESTATION_POLICY, POLICY_MAX},
    [KBS_REFERENCE_VALUES] = {"reference_value", IMPORT_REFERENCE_VALUE, REFERENCE_VALUES_BYTES},
};

const char *kbs_space_name(enum kbs_space space) { return spaces[space].name; }

const char *import_kind_name(enum import_kind kind)
{
    static const char *const names[IMPORT_KINDS] = {"resource", "policy", "attestation-policy",
                                                    "reference-value"};
    return names[kind];
}

/* ---- names --------------------------------------------------------------------------------- */

/* Drops ".rego" from the end of a policy's key. */
static err_t drop_rego(char *name)
{
    size_t len = strlen(name);
    if (len < 6 || strcmp(name + len - 5, ".rego") != 0)
        FAIL(ERR_USAGE, "the key of a policy ends in .rego");
    name[len - 5] = '\0';
    return ERR_OK;
}

/* The KBS never evaluates any other (kbs-api.md 7.3). */
static err_t name_policy(char *name)
{
    TRY(drop_rego(name));
    if (strcmp(name, RELEASE_POLICY_NAME) != 0)
        FAIL(ERR_USAGE, "the KBS decides by resource-policy.rego alone; this one has no effect");
    return ERR_OK;
}

static err_t name_attestation_policy(char *name)
{
    TRY(drop_rego(name));
    return appraiser_check_id(name);
}

static err_t name_reference_value(char *name)
{
    if (!name[0] || strlen(name) > REFERENCE_NAME_MAX)
        FAIL(ERR_USAGE, "the name of a reference value has 1 to %u bytes", REFERENCE_NAME_MAX);
    return ERR_OK;
}

static err_t name_resource(char *name)
{
    return store_check_name(name);
}

/* A key in, a name out, in place. `struct err`, since gcc takes the attribute of err_t for functions
 * only. */
static struct err (*const namers[KBS_SPACES])(char *name) = {
    [KBS_REPOSITORY] = name_resource,
    [KBS_POLICIES] = name_policy,
    [KBS_ATTESTATION_POLICIES] = name_attestation_policy,
    [KBS_REFERENCE_VALUES] = name_reference_value,
};

static err_t make_name(const struct import_entry *e, char *out, size_t size)
{
    if (!utf8_valid(e->key) || (e->key.len && memchr(e->key.data, 0, e->key.len)))
        FAIL(ERR_USAGE, "its name is not UTF-8");
    if (e->key.len >= size) FAIL(ERR_USAGE, "its name has more than %zu bytes", size - 1);
    memcpy(out, e->key.data, e->key.len);
    out[e->key.len] = '\0';
    return namers[e->space](out);
}

/* ---- offering ------------------------------------------------------------------------------ */

static bool is_of_this_entry(struct err e)
{
    return e.code == ERR_USAGE || e.code == ERR_NOTFOUND || e.code == ERR_TOOLARGE;
}

static err_t skip(const struct import_walk *walk, struct import_item *item, const char *why)
{
    char text[ERR_TEXT];
    snprintf(text, sizeof text, "%s", why); /* the reason of an error lives until the next one */
    item->skip = text;
    item->value = NULL;
    return walk->visit(walk->arg, item);
}

static const char *check_value(enum kbs_space space, const struct secret *value)
{
    bool policy = space == KBS_POLICIES || space == KBS_ATTESTATION_POLICIES;
    if (policy && secret_len(value) == 0) return "it is empty; an empty policy allows nothing";
    if (space != KBS_REPOSITORY && !utf8_valid(secret_span(value))) return "its text is not UTF-8";
    return NULL;
}

struct err import_offer(const struct import_walk *walk, const struct import_entry *e)
{
    char name[IMPORT_KEY_MAX + 1], key[SHOWN_MAX], place[SHOWN_MAX], where[2 * SHOWN_MAX + 4];
    log_escape(key, sizeof key, e->key);
    log_escape(place, sizeof place, span_str(e->place));
    snprintf(where, sizeof where, "%s%s%s", place, e->keyed ? ": " : "", e->keyed ? key : "");
    struct import_item item = {.kind = spaces[e->space].kind, .name = key, .where = where};
    if (e->flaw) return skip(walk, &item, e->flaw);
    struct err named = make_name(e, name, sizeof name);
    if (!err_ok(named)) return skip(walk, &item, err_reason(named));
    item.name = name;
    if (!walk->values) return walk->visit(walk->arg, &item);
    _cleanup_secret_ struct secret *value = NULL;
    struct err got = e->read(e->arg, spaces[e->space].max, &value);
    if (is_of_this_entry(got)) return skip(walk, &item, err_text(got));
    TRYC(got, "%s", where);
    const char *wrong = check_value(e->space, value);
    if (wrong) return skip(walk, &item, wrong);
    item.value = value;
    return walk->visit(walk->arg, &item);
}

/* ---- records of reference values ----------------------------------------------------------- */

static err_t parse_time(const char *text, int64_t *ret)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end) FAIL(ERR_USAGE, "its \"expiration\" is no time such as 2027-01-31T12:00:00Z");
    *ret = (int64_t) timegm(&tm);
    return ERR_OK;
}

struct err import_record_parse(struct span text, struct json_doc **ret_doc,
                               struct import_record *ret)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    const char *version = NULL, *expiration = NULL;
    struct json value = {0};
    TRYC(json_parse(text, &doc), "the record is no JSON");
    struct json root = json_root(doc);
    TRY(json_need_string(root, "version", "the record", &version));
    if (strcmp(version, "0.1.0") != 0)
        FAIL(ERR_USAGE, "the record is of version %.20s; 0.1.0 is known", version);
    TRY(json_need_string(root, "expiration", "the record", &expiration));
    value = json_get(root, "value");
    if (!json_present(value) || json_type(value) == JSON_NULL)
        FAIL(ERR_USAGE, "the record has no \"value\"; KBS before v0.15 kept lists of hashes, which "
             "must be set anew");
    struct import_record record = {.value = json_text(value)};
    TRY(parse_time(expiration, &record.expires));
    *ret = record;
    *ret_doc = TAKE_PTR(doc);
    return ERR_OK;
}
