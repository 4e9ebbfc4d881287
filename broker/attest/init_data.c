#include "broker/attest/init_data.h"

#include "broker/base/json.h"
#include "broker/base/toml.h"

#include <string.h>

/* Configurations inside init-data: a policy wants to look into them, so they become JSON. What is
 * not TOML is refused, since the guest component that reads it would not start either. */
static err_t put_toml(struct json_out *o, const char *name, const char *text)
{
    _cleanup_buf_ struct buf inner = BUF_INIT;
    TRYC(toml_to_json(span_str(text), &inner), "init-data \"%s\"", name);
    json_member_raw(o, name, buf_span(&inner));
    return ERR_OK;
}

/* The agent's policy ends with `policy_data := {...}`: that JSON alone is claimed, since the rest
 * is the same for all. A policy without it is claimed as it is. */
static err_t put_policy(struct json_out *o, const char *name, const char *text)
{
    static const char marker[] = "policy_data := ";
    const char *at = strstr(text, marker);
    _cleanup_json_ struct json_doc *data = NULL;
    struct err e = ERR_OK;
    if (at) e = json_parse(span_str(at + strlen(marker)), &data);
    if (e.code == ERR_INTERNAL) return e;
    if (data) json_member_raw(o, "agent_policy_claims", json_text(json_root(data)));
    else json_member_str(o, name, text);
    return ERR_OK;
}

static err_t put_text(struct json_out *o, const char *name, const char *text)
{
    json_member_str(o, name, text);
    return ERR_OK;
}

static const struct {
    const char *name; /* NULL: any other */
    err_t (*put)(struct json_out *o, const char *name, const char *text);
} entries[] = {
    {"aa.toml", put_toml},
    {"cdh.toml", put_toml},
    {"policy.rego", put_policy},
    {NULL, put_text},
};

static err_t put_claims(struct json data, struct buf *ret)
{
    struct json_out o = JSON_OUT(ret);
    json_begin_object(&o);
    for (struct json m = json_first(data); json_present(m); m = json_next(m)) {
        const char *text = json_string(m);
        if (!text) FAIL(ERR_USAGE, "init-data [data] \"%.60s\" is not a string", json_name(m));
        size_t i = 0;
        while (entries[i].name && strcmp(entries[i].name, json_name(m)) != 0) i++;
        TRY(entries[i].put(&o, json_name(m), text));
    }
    json_end_object(&o);
    return buf_ok(ret);
}

struct err init_data_read(const char *format, const char *body, struct digest *ret_digest,
                          struct buf *ret_claims)
{
    if (strcmp(format, "toml") != 0)
        FAIL(ERR_USAGE, "init-data of format \"%.20s\"; only \"toml\" is accepted", format);
    _cleanup_buf_ struct buf json = BUF_INIT;
    _cleanup_json_ struct json_doc *doc = NULL;
    TRYC(toml_to_json(span_str(body), &json), "init-data");
    TRY(json_parse(buf_span(&json), &doc));

    const char *version = NULL, *name = NULL;
    struct json data = {0};
    TRY(json_need_string(json_root(doc), "version", "init-data", &version));
    TRY(json_need_string(json_root(doc), "algorithm", "init-data", &name));
    TRY(json_need(json_root(doc), "data", JSON_OBJECT, "init-data", &data));
    enum digest_alg alg;
    if (!digest_alg_from(name, &alg))
        FAIL(ERR_USAGE, "init-data algorithm \"%.20s\"; known are sha256, sha384, sha512", name);

    struct digest digest = {0};
    TRY(digest_compute(alg, span_str(body), &digest));
    TRY(put_claims(data, ret_claims));
    *ret_digest = digest;
    return ERR_OK;
}
