#include "broker/attest/request.h"

#include "broker/attest/attest.h"

#include <stdio.h>
#include <string.h>

#define KBS_VERSION "0.4.0"

/* ---- POST auth ---------------------------------------------------------------------------- */

/* A numeric part of a semantic version: no leading zeros, fits 64 bits (semver 2.0.0, 2). */
static bool number(const char **p)
{
    size_t digits = strspn(*p, "0123456789");
    bool ok = digits > 0 && digits <= 19 && (digits == 1 || **p != '0');
    *p += digits;
    return ok;
}

/* Dot-separated identifiers after '-' or '+' (semver 2.0.0, 9 and 10). Only pre-release ones that
 * are all digits may not begin with a zero. */
static bool identifiers(const char **p, bool prerelease)
{
    static const char allowed[] = "0123456789-abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    do {
        (*p)++; /* the '-', '+' or '.' before it */
        size_t digits = strspn(*p, "0123456789");
        size_t len = strspn(*p, allowed);
        if (len == 0) return false;
        if (prerelease && digits == len && len > 1 && **p == '0') return false;
        *p += len;
    } while (**p == '.');
    return true;
}

/* False when text is no semantic version. *ret_exact: equal to KBS_VERSION, build metadata aside,
 * which take no part in comparison (semver 2.0.0, 10). */
static bool version_parse(const char *text, bool *ret_exact)
{
    const char *p = text;
    for (int part = 0; part < 3; part++) {
        if (part > 0 && *p++ != '.') return false;
        if (!number(&p)) return false;
    }
    size_t core = (size_t) (p - text);
    bool prerelease = *p == '-';
    if (prerelease && !identifiers(&p, true)) return false;
    if (*p == '+' && !identifiers(&p, false)) return false;
    *ret_exact = !prerelease && core == strlen(KBS_VERSION) &&
                 memcmp(text, KBS_VERSION, core) == 0;
    return *p == '\0';
}

static err_t read_request(struct json root, const char **ret_version, const char **ret_tee)
{
    const char *name = NULL;
    TRY(json_need_string(root, "version", "the request", ret_version));
    TRY(json_need_string(root, "tee", "the request", &name));
    if (!json_present(json_get(root, "extra-params")))
        FAIL(ERR_USAGE, "the request has no extra-params");
    *ret_tee = tee_canonical(name);
    if (!*ret_tee) FAIL(ERR_USAGE, "the request's tee \"%.40s\" is unknown", name);
    return ERR_OK;
}

/* The client reads the innermost text, so the cause comes first and our detail is its context. */
static err_t refuse_request(struct err e)
{
    if (e.code == ERR_INTERNAL) return e;
    char detail[ERR_TEXT];
    snprintf(detail, sizeof detail, "%s", err_reason(e));
    return err_add(ERR_MAKE(ERR_AUTH, "deserialize Request"), __FILE__, __LINE__, __func__, "%s",
                   detail);
}

struct err request_parse(struct span body, const char **ret_tee)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    const char *version = NULL, *tee = NULL;
    struct err e = json_parse(body, &doc);
    if (err_ok(e)) e = read_request(json_root(doc), &version, &tee);
    if (!err_ok(e)) return refuse_request(e);

    bool exact = false;
    if (!version_parse(version, &exact)) FAIL(ERR_AUTH, "failed to parse KBS version");
    if (!exact)
        FAIL(ERR_AUTH, "KBS Client Protocol Version Mismatch: expect =" KBS_VERSION
             " while the request is %s", version);
    *ret_tee = tee;
    return ERR_OK;
}

/* ---- POST attest -------------------------------------------------------------------------- */

void attestation_done(struct attestation *t)
{
    json_free(t->additional_doc);
    json_free(t->doc);
    *t = (struct attestation){0};
}

/* null and absence mean the same: the guest has none (kbs-api.md 2.1). */
static err_t read_init_data(struct json root, struct attestation *t)
{
    struct json init = json_get(root, "init-data");
    if (json_type(init) == JSON_ABSENT || json_type(init) == JSON_NULL) return ERR_OK;
    TRY(json_need_string(init, "format", "init-data", &t->init_format));
    return json_need_string(init, "body", "init-data", &t->init_body);
}

static err_t read_evidence(struct json evidence, struct attestation *t)
{
    t->primary = json_get(evidence, "primary_evidence");
    if (!json_present(t->primary)) FAIL(ERR_USAGE, "tee-evidence has no primary_evidence");
    TRY(json_need_string(evidence, "additional_evidence", "tee-evidence", &t->additional));
    if (t->additional[0] == '\0') return ERR_OK;
    TRYC(json_parse(span_str(t->additional), &t->additional_doc), "additional_evidence");
    t->devices = json_root(t->additional_doc);
    if (json_type(t->devices) != JSON_OBJECT)
        FAIL(ERR_USAGE, "additional_evidence is not the text of a JSON object");
    if (json_count(t->devices) > TEE_EVIDENCE_MAX)
        FAIL(ERR_USAGE, "additional_evidence has %zu entries, at most %u are accepted",
             json_count(t->devices), TEE_EVIDENCE_MAX);
    return ERR_OK;
}

struct err attestation_parse(struct span body, struct attestation *ret)
{
    _cleanup_(attestation_done) struct attestation t = {0};
    struct json runtime = {0}, evidence = {0};
    TRY(json_parse(body, &t.doc));
    struct json root = json_root(t.doc);
    TRY(json_need(root, "runtime-data", JSON_OBJECT, "the attestation", &runtime));
    TRY(json_need(root, "tee-evidence", JSON_OBJECT, "the attestation", &evidence));
    TRY(json_need_string(runtime, "nonce", "runtime-data", &t.nonce));
    TRY(json_need(runtime, "tee-pubkey", JSON_OBJECT, "runtime-data", &t.tee_pubkey));
    TRY(read_init_data(root, &t));
    TRY(read_evidence(evidence, &t));
    *ret = t;
    t = (struct attestation){0};
    return ERR_OK;
}
