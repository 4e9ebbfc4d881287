/* Key pairs on the token, for operators (/strongroom/v1/keypairs). */
#include "broker/api/endpoint.h"

#include "broker/base/json.h"

#include <stdio.h>
#include <string.h>

static void put_pair(struct json_out *o, const struct p11_pair_info *i)
{
    char id[2 * KEYPAIR_ID_MAX + 1] = "";
    for (size_t b = 0; b < i->id_len; b++) snprintf(id + 2 * b, 3, "%02x", i->id[b]);
    json_begin_object(o);
    json_member_str(o, "label", i->label);
    json_member_str(o, "id", id);
    json_member_str(o, "type", p11_pair_type_name(i->type));
    json_member_uint(o, "bits", i->bits);
    json_member_bool(o, "sound", i->sound);
    json_member_bool(o, "sensitive", i->sensitive);
    json_member_bool(o, "extractable", i->extractable);
    json_member_bool(o, "always_sensitive", i->always_sensitive);
    json_member_bool(o, "never_extractable", i->never_extractable);
    json_member_bool(o, "decrypt", i->can_decrypt);
    json_member_bool(o, "sign", i->can_sign);
    if (i->public_pem.len) json_member_span(o, "public_key", buf_span(&i->public_pem));
    json_end_object(o);
}

static void reply(struct call *c, const char *action, struct err e)
{
    if (err_ok(e)) e = buf_ok(&c->text);
    if (!err_ok(e)) call_fail(c, action, e);
    else reply_json(&c->x->resp, &c->text);
}

/* ---- the list -------------------------------------------------------------------------------- */

static err_t visit(void *arg, const struct p11_pair_info *info)
{
    put_pair(arg, info);
    return ERR_OK;
}

struct err keypair_list_work(struct call *c)
{
    struct json_out o = JSON_OUT(&c->text);
    json_begin_object(&o);
    json_key(&o, "keypairs");
    json_begin_array(&o);
    TRY(p11_pair_list(c->api->config.token, visit, &o));
    json_end_array(&o);
    json_end_object(&o);
    return ERR_OK;
}

void keypair_list_finish(struct call *c, struct err e)
{
    reply(c, "keypairs", e);
}

/* ---- a new one ------------------------------------------------------------------------------- */

/* {"label": "...", "type": "rsa" or "ec-p256", "bits": 3072}; bits for RSA alone. */
static err_t read_wish(struct span body, struct json_doc **ret_doc, const char **ret_label,
                       enum p11_pair_type *ret_type, unsigned *ret_bits)
{
    int64_t bits = 0;
    TRYC(json_parse(body, ret_doc), "the request");
    struct json root = json_root(*ret_doc), given = json_get(root, "bits");
    const char *type = json_string(json_get(root, "type"));
    *ret_label = json_string(json_get(root, "label"));
    if (!*ret_label || !type || !p11_pair_type_from(type, ret_type))
        FAIL(ERR_USAGE, "a key pair wants a label, and a type: rsa or ec-p256");
    if (json_present(given) && (!json_int(given, &bits) || bits < 0 || bits > UINT16_MAX))
        FAIL(ERR_USAGE, "bits is a number");
    if (json_present(given) && *ret_type != P11_PAIR_RSA)
        FAIL(ERR_USAGE, "bits are for RSA; the length of an EC key is its curve's");
    *ret_bits = json_present(given) ? (unsigned) bits : KEYPAIR_RSA_DEFAULT_BITS;
    return ERR_OK;
}

struct err keypair_create_work(struct call *c)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    _cleanup_pair_info_ struct p11_pair_info info = {0};
    const char *label = NULL;
    enum p11_pair_type type = P11_PAIR_OTHER;
    unsigned bits = 0;
    TRY(read_wish(request_body(&c->x->req), &doc, &label, &type, &bits));
    TRY(store_check_writer(c->api->config.store));
    TRY(p11_pair_create(c->api->config.token, label, type, bits, &info));
    if (!call_audit(c, "keypair-create", "done", info.label))
        FAIL(ERR_INTERNAL, "the key pair was made, but its audit record could not be written");
    struct json_out o = JSON_OUT(&c->text);
    put_pair(&o, &info);
    return ERR_OK;
}

void keypair_create_finish(struct call *c, struct err e)
{
    reply(c, "keypair-create", e);
}
