#include "broker/cmd/import_target.h"

#include "broker/api/appraiser.h"
#include "broker/api/release.h"
#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/cmd/policy_upload.h"
#include "broker/jose/b64url.h"
#include "policy/errors.h"
#include "policy/policy_claims.h"
#include "policy/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATH_ROOM (IMPORT_KEY_MAX + 80)

/* ---- what is the same for resources and policies: the bytes of one answer ------------------- */

static err_t compare(const struct http_answer *answer, const struct import_item *item,
                     struct import_found *ret)
{
    struct import_found found = {.state = IMPORT_ABSENT};
    snprintf(found.etag, sizeof found.etag, "%s", answer->etag);
    if (answer->status != 200) return http_answer_error(answer, item->name);
    bool same = secret_equal(secret_span(answer->body), secret_span(item->value));
    found.state = same ? IMPORT_SAME : IMPORT_DIFFERS;
    *ret = found;
    return ERR_OK;
}

static err_t look_at(struct vault *v, const char *path, const struct import_item *item,
                     struct import_found *ret)
{
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    *ret = (struct import_found){.state = IMPORT_ABSENT};
    TRY(vault_send(v, VAULT_GET(path), &answer));
    if (answer.status == 500) /* the broker's log has the reason; the other entries can go on */
        FAIL(ERR_DAMAGED, "what is here of that name is damaged or cannot be read");
    return answer.status == 404 ? ERR_OK : compare(&answer, item, ret);
}

static err_t post(struct vault *v, const char *path, const char *condition, struct span body,
                  const char *what)
{
    const char *headers[] = {condition[0] ? condition : NULL, NULL};
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    return vault_ask(v, &(struct vault_request){"POST", path, headers, body}, what, &answer);
}

/* Only over what was seen: whoever writes at the same time is not overwritten. */
static const char *condition_of(const struct import_found *f, char out[64])
{
    bool none = f->state == IMPORT_ABSENT || f->state == IMPORT_DELETED;
    if (none) snprintf(out, 64, "If-None-Match: *");
    else snprintf(out, 64, "If-Match: %s", f->etag[0] ? f->etag : "0"); /* a header without a value is sent by nobody */
    return out;
}

/* ---- resources ----------------------------------------------------------------------------- */

/* Of a name whose value nobody gets: the list knows tombstones, and what expired. */
static void tell_gone(struct json entry, struct import_found *ret)
{
    int64_t version = 0;
    bool expired = false;
    const char *state = json_string(json_get(entry, "state"));
    if (state && strcmp(state, "deleted") == 0) ret->state = IMPORT_DELETED;
    else if (json_bool(json_get(entry, "expired"), &expired) && expired) ret->state = IMPORT_EXPIRED;
    if (json_int(json_get(entry, "version"), &version)) snprintf(ret->etag, sizeof ret->etag, "%" PRId64, version);
}

/* Whether a name that has no value had one. */
static err_t find_gone(struct vault *v, const char *name, struct import_found *ret)
{
    char path[PATH_ROOM];
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    snprintf(path, sizeof path, "/strongroom/v1/resources?deleted=true&limit=1&prefix=%s", name);
    TRY(vault_ask(v, VAULT_GET(path), name, &answer));
    TRY(json_parse(secret_span(answer.body), &doc));
    struct json first = json_first(json_get(json_root(doc), "resources")); /* no other name is before its own */
    const char *other = json_string(json_get(first, "name"));
    if (other && strcmp(other, name) == 0) tell_gone(first, ret);
    return ERR_OK;
}

static err_t resource_look(struct vault *v, const struct import_item *item,
                           struct import_found *ret)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "/strongroom/v1/resource/%s", item->name);
    TRY(look_at(v, path, item, ret));
    return ret->state == IMPORT_ABSENT ? find_gone(v, item->name, ret) : ERR_OK;
}

static err_t resource_check(const struct import_item *item)
{
    (void) item; /* any bytes will do */
    return ERR_OK;
}

static err_t resource_write(struct vault *v, const struct import_item *item,
                            const struct import_found *found)
{
    char path[PATH_ROOM], condition[64];
    snprintf(path, sizeof path, "/kbs/v0/resource/%s", item->name);
    return post(v, path, condition_of(found, condition), secret_span(item->value), item->name);
}

/* ---- policies ------------------------------------------------------------------------------ */

/* The first thing that is wrong, with its place. */
static err_t refuse(const struct rego_errors *errors, const char *otherwise)
{
    char line[REGO_TEXT_MAX + 160];
    size_t more = errors->count + errors->more;
    if (errors->count == 0) FAIL(ERR_USAGE, "%s", otherwise);
    rego_error_print(&errors->items[0], line, sizeof line);
    if (more > 1) FAIL(ERR_USAGE, "%.190s (and %zu more)", line, more - 1);
    FAIL(ERR_USAGE, "%.220s", line);
}

static err_t policy_look(struct vault *v, const struct import_item *item, struct import_found *ret)
{
    return look_at(v, "/strongroom/v1/policy", item, ret);
}

static err_t policy_check(const struct import_item *item)
{
    struct release_policy *policy = NULL;
    _cleanup_free_ struct rego_errors *errors = calloc(1, sizeof *errors);
    if (!errors) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = release_compile(secret_span(item->value), errors, &policy);
    if (e.code == ERR_USAGE) return refuse(errors, "it does not compile");
    if (err_ok(e)) release_policy_unref(policy);
    return e;
}

static err_t policy_write(struct vault *v, const struct import_item *item,
                          const struct import_found *found)
{
    char condition[64];
    _cleanup_buf_ struct buf body = BUF_INIT;
    TRY(policy_upload_body(NULL, secret_span(item->value), &body));
    return post(v, "/kbs/v0/resource-policy", condition_of(found, condition), buf_span(&body),
                item->name);
}

static err_t attestation_look(struct vault *v, const struct import_item *item,
                              struct import_found *ret)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "/strongroom/v1/attestation-policy/%s", item->name);
    return look_at(v, path, item, ret);
}

static err_t attestation_check(const struct import_item *item)
{
    bool unusable = false;
    _cleanup_free_ struct rego_errors *errors = calloc(1, sizeof *errors);
    _cleanup_free_ struct rego_errors *warnings = calloc(1, sizeof *warnings);
    if (!errors || !warnings) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = appraiser_check_text(secret_span(item->value), errors, warnings, &unusable);
    if (e.code == ERR_USAGE) return refuse(errors, "it does not compile");
    if (err_ok(e) && unusable) return refuse(warnings, "it fails every attestation");
    return e;
}

static err_t attestation_write(struct vault *v, const struct import_item *item,
                               const struct import_found *found)
{
    char condition[64];
    _cleanup_buf_ struct buf body = BUF_INIT;
    TRY(policy_upload_body(item->name, secret_span(item->value), &body));
    return post(v, "/kbs/v0/attestation-policy?usable=1", condition_of(found, condition), buf_span(&body),
                item->name);
}

/* ---- reference values ---------------------------------------------------------------------- */

/* As values, since texts of one number may differ. */
static bool same_json(struct span a, struct span b)
{
    struct policy_claims *x = policy_claims_new((const char *) a.data, a.len, NULL);
    struct policy_claims *y = policy_claims_new((const char *) b.data, b.len, NULL);
    bool same = x && y && value_equal(policy_claims_value(x), policy_claims_value(y));
    policy_claims_free(x);
    policy_claims_free(y);
    return same;
}

/* The record as an object of one member, since claims are objects. */
static err_t wrap(struct span value, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    json_member_raw(&o, "value", value);
    json_end_object(&o);
    return buf_ok(ret);
}

static err_t compare_record(const struct import_record *record, struct json entry,
                            struct import_found *ret)
{
    int64_t expires = -1;
    _cleanup_buf_ struct buf ours = BUF_INIT, theirs = BUF_INIT;
    TRY(wrap(json_text(json_get(entry, "value")), &ours));
    TRY(wrap(record->value, &theirs));
    json_int(json_get(entry, "expires"), &expires);
    bool same = expires == record->expires && same_json(buf_span(&ours), buf_span(&theirs));
    ret->state = same ? IMPORT_SAME : IMPORT_DIFFERS;
    return ERR_OK;
}

static err_t value_look(struct vault *v, const struct import_item *item, struct import_found *ret)
{
    struct import_record record = {0};
    _cleanup_json_ struct json_doc *doc = NULL, *list = NULL;
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    *ret = (struct import_found){.state = IMPORT_ABSENT};
    TRY(import_record_parse(secret_span(item->value), &doc, &record));
    TRY(vault_ask(v, VAULT_GET("/strongroom/v1/reference-values"), "reference values", &answer));
    TRY(json_parse(secret_span(answer.body), &list));
    struct json j = json_first(json_get(json_root(list), "values"));
    for (; json_present(j); j = json_next(j)) {
        const char *name = json_string(json_get(j, "name"));
        if (name && strcmp(name, item->name) == 0) return compare_record(&record, j, ret);
    }
    return ERR_OK;
}

static err_t value_check(const struct import_item *item)
{
    char date[CLOCK_TEXT];
    struct import_record record = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    TRY(import_record_parse(secret_span(item->value), &doc, &record));
    if (record.expires <= clock_now())
        FAIL(ERR_USAGE, "it expired at %s; the KBS goes on using it, this broker would not: set it "
             "anew (strongroom reference-value set)", clock_rfc3339(record.expires, date));
    return ERR_OK;
}

static err_t value_write(struct vault *v, const struct import_item *item,
                         const struct import_found *found)
{
    (void) found; /* a message adds to what is there */
    struct import_record record = {0};
    _cleanup_json_ struct json_doc *doc = NULL;
    _cleanup_buf_ struct buf payload = BUF_INIT, encoded = BUF_INIT, body = BUF_INIT;
    TRY(import_record_parse(secret_span(item->value), &doc, &record));
    struct json_out p = JSON_OUT(&payload), o = JSON_OUT(&body);
    json_begin_object(&p);
    json_member_raw(&p, item->name, record.value);
    json_end_object(&p);
    b64_add(&encoded, buf_span(&payload));
    json_begin_object(&o);
    json_member_str(&o, "version", "0.1.0");
    json_member_str(&o, "type", "sample");
    json_member_span(&o, "payload", buf_span(&encoded));
    json_member_int(&o, "expires", record.expires);
    json_end_object(&o);
    TRY(buf_ok(&payload));
    TRY(buf_ok(&body));
    return post(v, "/kbs/v0/reference-value", "", buf_span(&body), item->name);
}

/* ---- by kind ------------------------------------------------------------------------------- */

/* `struct err`, since gcc takes the attribute of err_t for functions only. */
static const struct {
    struct err (*look)(struct vault *, const struct import_item *, struct import_found *);
    struct err (*check)(const struct import_item *);
    struct err (*write)(struct vault *, const struct import_item *, const struct import_found *);
} kinds[IMPORT_KINDS] = {
    [IMPORT_RESOURCE] = {resource_look, resource_check, resource_write},
    [IMPORT_RELEASE_POLICY] = {policy_look, policy_check, policy_write},
    [IMPORT_ATTESTATION_POLICY] = {attestation_look, attestation_check, attestation_write},
    [IMPORT_REFERENCE_VALUE] = {value_look, value_check, value_write},
};

struct err import_look(struct vault *v, const struct import_item *item, struct import_found *ret)
{
    return kinds[item->kind].look(v, item, ret);
}

struct err import_check(const struct import_item *item) { return kinds[item->kind].check(item); }

struct err import_write(struct vault *v, const struct import_item *item,
                        const struct import_found *found)
{
    return kinds[item->kind].write(v, item, found);
}
