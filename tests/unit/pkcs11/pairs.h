/* Key pairs for tests, made by hand with one attribute otherwise. */
#pragma once

#include "tests/unit/pkcs11/token.h"

#include "pkcs11/find.h"
#include "pkcs11/keypair_internal.h"

#define NOTHING_CHANGED ((CK_ATTRIBUTE_TYPE) -1)

struct handmade {
    const char *label, *public_label; /* public_label NULL: the same */
    bool ec, p384, no_id;
    uint8_t id, public_id;            /* public_id 0: the same */
    CK_ATTRIBUTE_TYPE changed;        /* of the private key; 0: none */
    CK_BBOOL to;
};

static inline CK_RV make_pair_by_hand(struct handmade h)
{
    static const uint8_t P384[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22};
    const char *public_label = h.public_label ? h.public_label : h.label;
    uint8_t id = h.id ? h.id : 1, public_id = h.public_id ? h.public_id : id;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE, ec = h.ec, rsa = !h.ec;
    CK_ULONG bits = 2048;
    struct span curve = h.p384 ? span_of(P384, sizeof P384) : public_key_p256_params();
    CK_ATTRIBUTE public[] = {
        ATTR(CKA_TOKEN, yes), ATTR(CKA_PRIVATE, no), ATTR(CKA_ENCRYPT, rsa), ATTR(CKA_VERIFY, ec),
        {CKA_LABEL, (void *) public_label, strlen(public_label)},
        {CKA_ID, &public_id, !h.no_id},
        h.ec ? (CK_ATTRIBUTE) ATTR_SPAN(CKA_EC_PARAMS, curve)
             : (CK_ATTRIBUTE) ATTR(CKA_MODULUS_BITS, bits),
    };
    CK_ATTRIBUTE private[] = {
        ATTR(CKA_TOKEN, yes), ATTR(CKA_PRIVATE, yes), ATTR(CKA_SENSITIVE, yes),
        ATTR(CKA_EXTRACTABLE, no), ATTR(CKA_DECRYPT, rsa), ATTR(CKA_SIGN, ec),
        {CKA_LABEL, (void *) h.label, strlen(h.label)}, {CKA_ID, &id, !h.no_id},
        ATTR(CKA_ALWAYS_AUTHENTICATE, no),
    };
    for (size_t i = 0; i < ATTR_COUNT(private); i++)
        if (h.changed && private[i].type == h.changed) private[i].pValue = &h.to;
    CK_MECHANISM mechanism = {.mechanism = h.ec ? CKM_EC_KEY_PAIR_GEN : CKM_RSA_PKCS_KEY_PAIR_GEN};
    CK_OBJECT_HANDLE x, y;
    struct p11_session s = {0};
    assert_ok(session_take(token, &s));
    CK_RV rv = token->fn->C_GenerateKeyPair(s.h, &mechanism, public, ATTR_COUNT(public), private,
                                            ATTR_COUNT(private), &x, &y);
    session_drop(&s);
    return rv;
}

/* How many keys of this class have this label; destroys them when asked to. */
static inline size_t keys_labelled(CK_OBJECT_CLASS class, const char *label, bool destroy)
{
    CK_ATTRIBUTE template[] = {ATTR(CKA_CLASS, class), {CKA_LABEL, (void *) label, strlen(label)}};
    struct p11_session s = {0};
    struct handles found = {0};
    assert_ok(session_take(token, &s));
    assert_ok(find_objects(&s, template, 2, 100, "keys", &found));
    size_t n = found.n;
    for (size_t i = 0; destroy && i < n; i++)
        assert_int_equal(token->fn->C_DestroyObject(s.h, found.at[i]), CKR_OK);
    handles_free(&found);
    session_drop(&s);
    return n;
}

static inline size_t pairs_labelled(const char *label)
{
    size_t private = keys_labelled(CKO_PRIVATE_KEY, label, false);
    assert_int_equal(keys_labelled(CKO_PUBLIC_KEY, label, false), private);
    return private;
}
