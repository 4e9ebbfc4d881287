#include "pkcs11/keypair_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/log.h"
#include "broker/base/rand.h"
#include "pkcs11/find.h"
#include "pkcs11/key_rule.h"
#include "pkcs11/object.h"

#define ID_BYTES 16u

/* ---- what a private key must be --------------------------------------------------------- */

#define FIELD(name) offsetof(struct p11_pair_info, name)
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Of every pair that is used, whoever made it. A key that wants a PIN for each use
 * (ALWAYS_AUTHENTICATE) would fail each time. */
static const struct key_rule USED[] = {
    {CKA_TOKEN, "CKA_TOKEN", MUST_BE_TRUE, NO_FIELD},
    {CKA_PRIVATE, "CKA_PRIVATE", MUST_BE_TRUE, NO_FIELD},
    {CKA_SENSITIVE, "CKA_SENSITIVE", MUST_BE_TRUE, FIELD(sensitive)},
    {CKA_EXTRACTABLE, "CKA_EXTRACTABLE", MUST_BE_FALSE, FIELD(extractable)},
    {CKA_ALWAYS_AUTHENTICATE, "CKA_ALWAYS_AUTHENTICATE", MUST_NOT_BE_TRUE, NO_FIELD},
    {CKA_LOCAL, "CKA_LOCAL", FOR_INFORMATION, FIELD(local)},
    {CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", FOR_INFORMATION, FIELD(always_sensitive)},
    {CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", FOR_INFORMATION, FIELD(never_extractable)},
    {CKA_MODIFIABLE, "CKA_MODIFIABLE", FOR_INFORMATION, FIELD(modifiable)},
    {CKA_DECRYPT, "CKA_DECRYPT", FOR_INFORMATION, FIELD(can_decrypt)},
    {CKA_SIGN, "CKA_SIGN", FOR_INFORMATION, FIELD(can_sign)},
    {CKA_UNWRAP, "CKA_UNWRAP", FOR_INFORMATION, FIELD(can_unwrap)},
    {CKA_DERIVE, "CKA_DERIVE", FOR_INFORMATION, FIELD(can_derive)},
};
/* And for its use. */
static const struct key_rule USE[] = {
    [P11_PAIR_RSA] = {CKA_DECRYPT, "CKA_DECRYPT", MUST_BE_TRUE, NO_FIELD},
    [P11_PAIR_EC_P256] = {CKA_SIGN, "CKA_SIGN", MUST_BE_TRUE, NO_FIELD},
};
/* Of one that we make: nothing beyond its use. */
static const struct key_rule MADE[] = {
    {CKA_LOCAL, "CKA_LOCAL", MUST_BE_TRUE, NO_FIELD},
    {CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE", MUST_BE_TRUE, NO_FIELD},
    {CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE", MUST_BE_TRUE, NO_FIELD},
    {CKA_MODIFIABLE, "CKA_MODIFIABLE", MUST_BE_FALSE, NO_FIELD},
    {CKA_UNWRAP, "CKA_UNWRAP", MUST_NOT_BE_TRUE, NO_FIELD},
    {CKA_DERIVE, "CKA_DERIVE", MUST_NOT_BE_TRUE, NO_FIELD},
    {CKA_SIGN_RECOVER, "CKA_SIGN_RECOVER", MUST_NOT_BE_TRUE, NO_FIELD},
};
static const struct key_rule MADE_FOR[] = {
    [P11_PAIR_RSA] = {CKA_SIGN, "CKA_SIGN", MUST_NOT_BE_TRUE, NO_FIELD},
    [P11_PAIR_EC_P256] = {CKA_DECRYPT, "CKA_DECRYPT", MUST_NOT_BE_TRUE, NO_FIELD},
};

static const char *const TYPE_NAMES[] = {
    [P11_PAIR_RSA] = "rsa", [P11_PAIR_EC_P256] = "ec-p256", [P11_PAIR_OTHER] = "other",
};

const char *p11_pair_type_name(enum p11_pair_type type)
{
    return TYPE_NAMES[type];
}

bool p11_pair_type_from(const char *name, enum p11_pair_type *ret)
{
    for (unsigned i = 0; i < P11_PAIR_OTHER; i++) {
        if (strcmp(name, TYPE_NAMES[i]) != 0) continue;
        *ret = (enum p11_pair_type) i;
        return true;
    }
    return false;
}

void p11_pair_info_done(struct p11_pair_info *i)
{
    buf_free(&i->public_pem);
}

void pair_key_done(struct pair_key *k)
{
    EVP_PKEY_free(k->public);
    k->public = NULL;
}

/* ---- looking at one --------------------------------------------------------------------- */

/* Objects of this class with this label, or with this id. */
static err_t find_keys(struct p11_session *s, CK_OBJECT_CLASS class, CK_ATTRIBUTE by,
                       struct handles *ret)
{
    const CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = {by, ATTR(CKA_CLASS, class), ATTR(CKA_TOKEN, yes)};
    return find_objects(s, template, ATTR_COUNT(template), KEYPAIRS_MAX, "keys", ret);
}

static err_t public_of(struct p11_session *s, CK_OBJECT_HANDLE object, enum p11_pair_type type,
                       EVP_PKEY **ret)
{
    return type == P11_PAIR_RSA ? public_key_rsa(s, object, ret) : public_key_p256(s, object, ret);
}

/* From the private key where it shows it, as RSA's does, else from the one public key of the same
 * CKA_ID. Who has no PIN may write public objects: pair_try proves that the halves fit. */
static err_t read_public(struct p11_session *s, CK_OBJECT_HANDLE private,
                         const struct p11_pair_info *info, EVP_PKEY **ret)
{
    CK_ATTRIBUTE by = {CKA_ID, (void *) info->id, info->id_len};
    _cleanup_handles_ struct handles found = {0};
    if (info->type == P11_PAIR_OTHER) return ERR_OK;
    TRY(public_of(s, private, info->type, ret));
    if (*ret || !info->id_len) return ERR_OK;
    TRY(find_keys(s, CKO_PUBLIC_KEY, by, &found));
    return found.n == 1 ? public_of(s, found.at[0], info->type, ret) : ERR_OK;
}

/* It has no such attribute for us, or more of it than we take. */
static bool hides(CK_RV rv)
{
    return rv == CKR_BUFFER_TOO_SMALL || rv_reaction(rv) == RV_ITEM;
}

static err_t read_names(const struct key_seen *key, struct p11_pair_info *ret, CK_KEY_TYPE *ret_type)
{
    size_t len = 0;
    bool there = false;
    CK_RV rv = attribute_read(key->session, key->handle, CKA_LABEL, ret->label, KEYPAIR_LABEL_MAX,
                              &len);
    ret->label[rv == CKR_OK ? len : 0] = '\0';
    if (rv != CKR_OK && !hides(rv)) FAIL_RV(rv, "C_GetAttributeValue", "the label of a key");
    rv = attribute_read(key->session, key->handle, CKA_ID, ret->id, sizeof ret->id, &ret->id_len);
    if (rv != CKR_OK) ret->id_len = 0;
    if (rv != CKR_OK && !hides(rv)) FAIL_RV(rv, "C_GetAttributeValue", "the id of key %s", ret->label);
    *ret_type = CK_UNAVAILABLE_INFORMATION;
    return key_read_exactly(key, CKA_KEY_TYPE, ret_type, sizeof *ret_type, &there);
}

/* The type is what we can use: an EC key on another curve is P11_PAIR_OTHER. */
static void fill_type(CK_KEY_TYPE type, const EVP_PKEY *public, struct p11_pair_info *ret)
{
    if (public) ret->bits = (unsigned) EVP_PKEY_get_bits(public);
    if (type != CKK_RSA && !public) ret->type = P11_PAIR_OTHER;
}

static err_t look_at(struct p11_session *s, CK_OBJECT_HANDLE handle, struct p11_pair_info *ret,
                     EVP_PKEY **ret_public, const char **ret_wrong)
{
    struct key_seen seen = {s, handle, "(private key)"};
    CK_KEY_TYPE type = 0;
    *ret_wrong = NULL;
    TRY(read_names(&seen, ret, &type));
    seen.label = ret->label;
    ret->type = type == CKK_RSA ? P11_PAIR_RSA : type == CKK_EC ? P11_PAIR_EC_P256 : P11_PAIR_OTHER;
    TRY(read_public(s, handle, ret, ret_public));
    fill_type(type, *ret_public, ret);
    TRY(key_rules_check(&seen, USED, COUNT(USED), ret, ret_wrong));
    if (ret->type != P11_PAIR_OTHER)
        TRY(key_rules_check(&seen, &USE[ret->type], 1, ret, ret_wrong));
    ret->sound = !*ret_wrong && ret->type != P11_PAIR_OTHER && *ret_public;
    return *ret_public ? public_key_pem(*ret_public, &ret->public_pem) : ERR_OK;
}

err_t pair_find(struct p11 *p, const char *label, struct pair_key *ret,
                struct p11_pair_info *ret_info, const char **ret_wrong)
{
    struct span text = span_str(label);
    CK_ATTRIBUTE by = ATTR_SPAN(CKA_LABEL, text);
    _cleanup_session_ struct p11_session s = {0};
    _cleanup_handles_ struct handles found = {0};
    TRY(session_take(p, &s));
    TRY(find_keys(&s, CKO_PRIVATE_KEY, by, &found));
    if (!found.n) FAIL(ERR_NOTFOUND, "token %s has no key pair labelled %s", p->label, label);
    if (found.n > 1)
        FAIL(ERR_CONFLICT, "token %s has %zu private keys labelled %s; relabel or delete those that "
             "are not meant", p->label, found.n, label);
    ret->handle = found.at[0];
    ret->epoch = p->epoch;
    return look_at(&s, ret->handle, ret_info, &ret->public, ret_wrong);
}

/* ---- listing ---------------------------------------------------------------------------- */

static err_t find_private(struct p11 *p, struct handles *ret, uint64_t *ret_epoch)
{
    const CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    const CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = {ATTR(CKA_CLASS, class), ATTR(CKA_TOKEN, yes)};
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take(p, &s));
    *ret_epoch = p->epoch;
    return find_objects(&s, template, ATTR_COUNT(template), KEYPAIRS_MAX, "private keys", ret);
}

static err_t list_one(struct p11 *p, CK_OBJECT_HANDLE handle, uint64_t epoch,
                      struct p11_pair_info *ret)
{
    const char *wrong = NULL;
    _cleanup_pair_key_ struct pair_key key = {.handle = handle};
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, epoch, &s));
    return look_at(&s, handle, ret, &key.public, &wrong);
}

err_t p11_pair_list(struct p11 *p, err_t (*visit)(void *arg, const struct p11_pair_info *info),
                    void *arg)
{
    uint64_t epoch = 0;
    _cleanup_handles_ struct handles found = {0};
    TRY(find_private(p, &found, &epoch));
    for (size_t i = 0; i < found.n; i++) {
        _cleanup_pair_info_ struct p11_pair_info info = {0};
        TRY(list_one(p, found.at[i], epoch, &info));
        TRY(visit(arg, &info));
    }
    return ERR_OK;
}

/* ---- making ----------------------------------------------------------------------------- */

/* A pair on its way: made, and gone again unless it is kept. */
struct making {
    const char *label;
    enum p11_pair_type type;
    CK_ULONG bits;
    uint8_t id[ID_BYTES];
    CK_OBJECT_HANDLE public, private;
};

static err_t check_wish(const char *label, enum p11_pair_type type, unsigned bits)
{
    size_t len = strlen(label);
    if (len == 0 || len > KEYPAIR_LABEL_MAX)
        FAIL(ERR_USAGE, "a key pair's label has 1 to %u bytes", KEYPAIR_LABEL_MAX);
    for (const char *c = label; *c; c++)
        if (*c < ' ' || *c > '~') FAIL(ERR_USAGE, "a key pair's label is printable ASCII");
    if (strncmp(label, "strongroom:", 11) == 0 || strncmp(label, "strongroom-kek-", 15) == 0)
        FAIL(ERR_USAGE, "labels that begin strongroom: or strongroom-kek- are Strongroom's own; "
             "choose another");
    if (type == P11_PAIR_RSA && (bits < KEYPAIR_RSA_MIN_BITS || bits > KEYPAIR_RSA_MAX_BITS ||
                                 bits % 1024))
        FAIL(ERR_USAGE, "an RSA key has 2048, 3072 or 4096 bits, not %u", bits);
    return ERR_OK;
}

static err_t check_label_is_free(struct p11_session *s, const char *label)
{
    static const CK_OBJECT_CLASS CLASSES[] = {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
    struct span text = span_str(label);
    CK_ATTRIBUTE by = ATTR_SPAN(CKA_LABEL, text);
    for (size_t i = 0; i < COUNT(CLASSES); i++) {
        _cleanup_handles_ struct handles found = {0};
        TRY(find_keys(s, CLASSES[i], by, &found));
        if (found.n)
            FAIL(ERR_CONFLICT, "token %s has a key labelled %s already; choose another label, or "
                 "delete that key with the token's own tool when nothing needs it any more",
                 s->p->label, label);
    }
    return ERR_OK;
}

/* lean: without what some tokens do not know, and what SoftHSM wants to be told is false. */
static CK_RV generate_as(struct p11_session *s, struct making *m, bool lean)
{
    const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    const bool rsa = m->type == P11_PAIR_RSA;
    const CK_BBOOL decrypts = rsa, signs = !rsa;
    const uint8_t exponent[] = {1, 0, 1};
    struct span label = span_str(m->label), curve = public_key_p256_params();
    CK_ATTRIBUTE public[] = {
        ATTR(CKA_TOKEN, yes), ATTR(CKA_PRIVATE, no), ATTR(CKA_MODIFIABLE, no),
        ATTR_SPAN(CKA_LABEL, label), ATTR(CKA_ID, m->id),
        ATTR(CKA_ENCRYPT, decrypts), ATTR(CKA_VERIFY, signs), ATTR(CKA_WRAP, no),
        rsa ? (CK_ATTRIBUTE) ATTR(CKA_MODULUS_BITS, m->bits)
            : (CK_ATTRIBUTE) ATTR_SPAN(CKA_EC_PARAMS, curve),
        rsa ? (CK_ATTRIBUTE) ATTR(CKA_PUBLIC_EXPONENT, exponent)
            : (CK_ATTRIBUTE) ATTR(CKA_DERIVE, no),
        ATTR(CKA_VERIFY_RECOVER, no),
    };
    CK_ATTRIBUTE private[] = {
        ATTR(CKA_TOKEN, yes), ATTR(CKA_PRIVATE, yes), ATTR(CKA_SENSITIVE, yes),
        ATTR(CKA_EXTRACTABLE, no), ATTR(CKA_MODIFIABLE, no),
        ATTR_SPAN(CKA_LABEL, label), ATTR(CKA_ID, m->id),
        ATTR(CKA_DECRYPT, decrypts), ATTR(CKA_SIGN, signs), ATTR(CKA_UNWRAP, no),
        ATTR(CKA_DERIVE, no), ATTR(CKA_SIGN_RECOVER, no),
    };
    CK_MECHANISM mechanism = {.mechanism = rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN
                                               : CKM_EC_KEY_PAIR_GEN};
    SCOPED_OBJECTS(s->p); /* it creates token objects */
    return session_rv(s, s->p->fn->C_GenerateKeyPair(
        s->h, &mechanism, public, ATTR_COUNT(public) - lean, private, ATTR_COUNT(private) - lean,
        &m->public, &m->private));
}

static CK_RV generate(struct p11_session *s, struct making *m)
{
    CK_RV rv = generate_as(s, m, false);
    return rv_refuses_template(rv) ? generate_as(s, m, true) : rv;
}

static err_t destroy_made(struct p11 *p, const struct making *m, uint64_t epoch)
{
    const CK_OBJECT_HANDLE halves[] = {m->private, m->public};
    _cleanup_session_ struct p11_session s = {0};
    TRY(session_take_at(p, epoch, &s));
    SCOPED_OBJECTS(p);
    CK_RV rv = CKR_OK;
    for (size_t i = 0; i < COUNT(halves); i++) {
        CK_RV one = session_rv(&s, p->fn->C_DestroyObject(s.h, halves[i]));
        if (one != CKR_OK) rv = one;
    }
    if (rv == CKR_OK) return ERR_OK;
    FAIL_RV(rv, "C_DestroyObject", "token %s does not remove key pair %s", p->label, m->label);
}

/* Of a pair that was made in vain. */
static err_t unmake(struct p11 *p, const struct making *m, const struct pair_key *key, struct err why)
{
    struct err_chain chain;
    err_save(why, &chain); /* removing it may say more */
    struct err e = m->private ? destroy_made(p, m, key->epoch) : ERR_OK;
    if (!err_ok(e)) log_warn_err(e, "keypair.left", LOG_S("label", m->label));
    return err_load(&chain);
}

/* Attributes as they are now, against what was asked for. */
static err_t check_made(struct p11_session *s, const struct making *m, struct p11_pair_info *ret,
                        EVP_PKEY **ret_public)
{
    struct key_seen seen = {s, m->private, m->label};
    const char *wrong = NULL;
    TRY(look_at(s, m->private, ret, ret_public, &wrong));
    TRY(key_rules_check(&seen, MADE, COUNT(MADE), ret, &wrong));
    TRY(key_rules_check(&seen, &MADE_FOR[m->type], 1, ret, &wrong));
    if (!wrong && !span_eq(span_of(ret->id, ret->id_len), span_of(m->id, sizeof m->id)))
        wrong = "CKA_ID";
    if (!wrong && strcmp(ret->label, m->label) != 0) wrong = "CKA_LABEL";
    if (!wrong && (!*ret_public || ret->type != m->type || ret->bits != m->bits))
        wrong = "the public key";
    if (wrong)
        FAIL(ERR_USAGE, "this token does not keep %s of a key pair as it was asked for; %s was "
             "removed again", wrong, m->label);
    return ERR_OK;
}

/* Its session goes before the trial, and the removal, which take one of their own. */
static err_t make_pair(struct p11 *p, struct making *m, struct p11_pair_info *ret,
                       struct pair_key *ret_key)
{
    _cleanup_session_ struct p11_session s = {0};
    TRY(rand_bytes(m->id, sizeof m->id));
    TRY(session_take(p, &s));
    TRY(check_label_is_free(&s, m->label));
    CK_RV rv = generate(&s, m);
    if (rv != CKR_OK)
        FAIL_RV(rv, "C_GenerateKeyPair", "token %s does not make a key pair of type %s", p->label,
                p11_pair_type_name(m->type));
    ret_key->handle = m->private;
    ret_key->epoch = p->epoch;
    return check_made(&s, m, ret, &ret_key->public);
}

static _Atomic uint64_t made_count;

uint64_t pair_made_count(void)
{
    return atomic_load(&made_count);
}

err_t p11_pair_create(struct p11 *p, const char *label, enum p11_pair_type type, unsigned bits,
                      struct p11_pair_info *ret)
{
    struct making m = {.label = label, .type = type, .bits = type == P11_PAIR_RSA ? bits : 256};
    _cleanup_pair_info_ struct p11_pair_info info = {0};
    _cleanup_pair_key_ struct pair_key key = {0};
    TRY(check_wish(label, type, bits));
    SCOPED_JOB_LOCK(&p->keys_lock); /* looking and making are one step */
    struct err e = make_pair(p, &m, &info, &key);
    if (err_ok(e)) e = pair_try(p, label, type, OAEP_SHA256, &key);
    if (!err_ok(e)) return unmake(p, &m, &key, e);
    atomic_fetch_add(&made_count, 1);
    *ret = info;
    info = (struct p11_pair_info){0};
    return ERR_OK;
}
