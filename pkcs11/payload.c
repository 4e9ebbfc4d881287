#include "pkcs11/payload.h"

#include <string.h>

#include "pkcs11/host_gcm.h"

#define GCM_TAG 16u
#define CBC_BLOCK 16u
#define MAC_BYTES 32u

/* An input pointer must not be NULL even for no bytes: ARGUMENTS_BAD on SoftHSM. */
static CK_BYTE *some(struct span s)
{
    static uint8_t none;
    return s.len ? (CK_BYTE *) s.data : &none;
}

/* a, then b; NULL when out of memory. None of it is secret. */
static uint8_t *join(struct span a, struct span b)
{
    uint8_t *both = malloc(a.len + b.len);
    if (!both) return NULL;
    if (a.len) memcpy(both, a.data, a.len);
    if (b.len) memcpy(both + a.len, b.data, b.len);
    return both;
}

/* ---- one call and its init -------------------------------------------------------------- */

static CK_RV encrypt(struct cek_op *op, CK_MECHANISM *m, CK_OBJECT_HANDLE key, struct span in,
                     uint8_t *out, size_t want)
{
    CK_ULONG len = want;
    op->call = "C_EncryptInit";
    CK_RV rv = op->fn->C_EncryptInit(op->h, m, key);
    if (rv != CKR_OK) return rv;
    op->call = "C_Encrypt";
    rv = op->fn->C_Encrypt(op->h, some(in), in.len, out, &len);
    /* Luna in FIPS mode appends an IV of its own: no token for this suite. */
    return rv == CKR_OK && len != want ? CKR_GENERAL_ERROR : rv;
}

/* room: of out. What a module leaves there on failure is unverified plaintext. */
static CK_RV decrypt(struct cek_op *op, CK_MECHANISM *m, CK_OBJECT_HANDLE key, struct span in,
                     uint8_t *out, size_t room, size_t *ret_len)
{
    CK_ULONG len = room;
    op->call = "C_DecryptInit";
    CK_RV rv = op->fn->C_DecryptInit(op->h, m, key);
    if (rv != CKR_OK) return rv;
    op->call = "C_Decrypt";
    rv = op->fn->C_Decrypt(op->h, some(in), in.len, out, &len);
    if (rv == CKR_OK && len > room) rv = CKR_GENERAL_ERROR;
    if (rv == CKR_OK) *ret_len = len;
    else explicit_bzero(out, room);
    return rv;
}

/* ---- 1: AES-GCM on the token ------------------------------------------------------------ */

/* ulIvBits is filled because NSS checks it; SoftHSM ignores it (tokens.md 2.1, 1.3). */
static CK_GCM_PARAMS gcm(const struct payload *x)
{
    return (CK_GCM_PARAMS){
        .pIv = (CK_BYTE *) x->iv.data, .ulIvLen = x->iv.len, .ulIvBits = x->iv.len * 8,
        .pAAD = (CK_BYTE *) x->aad.data, .ulAADLen = x->aad.len, .ulTagBits = GCM_TAG * 8,
    };
}

static CK_RV gcm_seal(struct cek_op *op, const CK_OBJECT_HANDLE *keys, const struct payload *x,
                      uint8_t *out, size_t *ret_len)
{
    CK_GCM_PARAMS params = gcm(x);
    CK_MECHANISM m = {CKM_AES_GCM, &params, sizeof params};
    *ret_len = x->plain.len + GCM_TAG;
    return encrypt(op, &m, keys[0], x->plain, out, *ret_len);
}

static CK_RV gcm_open(struct cek_op *op, const CK_OBJECT_HANDLE *keys, const struct payload *x,
                      uint8_t *out, size_t *ret_len)
{
    CK_GCM_PARAMS params = gcm(x);
    CK_MECHANISM m = {CKM_AES_GCM, &params, sizeof params};
    size_t len = x->ciphertext.len + GCM_TAG;
    _cleanup_free_ uint8_t *in = join(x->ciphertext, x->tag); /* as PKCS#11 wants it */
    if (!in) return CKR_HOST_MEMORY;
    CK_RV rv = decrypt(op, &m, keys[0], span_of(in, len), out, len, ret_len);
    if (rv != CKR_OK || *ret_len == x->ciphertext.len) return rv;
    explicit_bzero(out, len);
    return CKR_GENERAL_ERROR;
}

/* ---- 2: AES-CBC with HMAC-SHA-256 on the token ------------------------------------------ */

static const uint8_t PROOF[CBC_BLOCK]; /* zeros */

/* What the tag covers. */
static err_t mac_input(const struct payload *x, struct span ciphertext, struct buf *ret)
{
    buf_add_span(ret, x->aad);
    buf_add_span(ret, x->iv);
    buf_add_span(ret, ciphertext);
    buf_add_u64(ret, 8 * (uint64_t) x->aad.len);
    return buf_ok(ret);
}

static CK_RV mac_make(struct cek_op *op, CK_OBJECT_HANDLE key, const struct payload *x,
                      struct span ciphertext, uint8_t *tag)
{
    _cleanup_buf_ struct buf in = {.max = ENVELOPE_MAX};
    CK_MECHANISM m = {.mechanism = CKM_SHA256_HMAC};
    CK_ULONG len = MAC_BYTES;
    if (!err_ok(mac_input(x, ciphertext, &in))) return CKR_HOST_MEMORY;
    op->call = "C_SignInit";
    CK_RV rv = op->fn->C_SignInit(op->h, &m, key);
    if (rv != CKR_OK) return rv;
    op->call = "C_Sign";
    rv = op->fn->C_Sign(op->h, in.data, in.len, tag, &len);
    return rv == CKR_OK && len != MAC_BYTES ? CKR_GENERAL_ERROR : rv;
}

static CK_RV mac_check(struct cek_op *op, CK_OBJECT_HANDLE key, const struct payload *x)
{
    _cleanup_buf_ struct buf in = {.max = ENVELOPE_MAX};
    CK_MECHANISM m = {.mechanism = CKM_SHA256_HMAC};
    if (!err_ok(mac_input(x, x->ciphertext, &in))) return CKR_HOST_MEMORY;
    op->call = "C_VerifyInit";
    CK_RV rv = op->fn->C_VerifyInit(op->h, &m, key);
    if (rv != CKR_OK) return rv;
    op->call = "C_Verify";
    return op->fn->C_Verify(op->h, in.data, in.len, (CK_BYTE *) x->tag.data, x->tag.len);
}

static CK_RV cbc_seal(struct cek_op *op, const CK_OBJECT_HANDLE *keys, const struct payload *x,
                      uint8_t *out, size_t *ret_len)
{
    CK_MECHANISM m = {CKM_AES_CBC_PAD, (void *) x->iv.data, x->iv.len};
    _cleanup_secret_ struct secret *in = NULL;
    size_t len = CBC_BLOCK + (x->plain.len / CBC_BLOCK + 1) * CBC_BLOCK;
    op->call = "C_EncryptInit";
    if (!err_ok(secret_new(sizeof PROOF + x->plain.len, &in))) return CKR_HOST_MEMORY;
    memcpy(secret_data(in), PROOF, sizeof PROOF);
    if (x->plain.len) memcpy(secret_data(in) + sizeof PROOF, x->plain.data, x->plain.len);
    CK_RV rv = encrypt(op, &m, keys[0], secret_span(in), out, len);
    if (rv == CKR_OK) rv = mac_make(op, keys[1], x, span_of(out, len), out + len);
    *ret_len = len + MAC_BYTES;
    return rv;
}

static CK_RV cbc_open(struct cek_op *op, const CK_OBJECT_HANDLE *keys, const struct payload *x,
                      uint8_t *out, size_t *ret_len)
{
    CK_MECHANISM m = {CKM_AES_CBC_PAD, (void *) x->iv.data, x->iv.len};
    size_t len = 0;
    CK_RV rv = mac_check(op, keys[1], x);
    if (rv != CKR_OK) return rv;
    rv = decrypt(op, &m, keys[0], x->ciphertext, out, x->ciphertext.len, &len);
    if (rv != CKR_OK) return rv;
    if (len < sizeof PROOF || !secret_equal(span_of(out, sizeof PROOF), span_of(PROOF, sizeof PROOF))) {
        explicit_bzero(out, x->ciphertext.len);
        return CKR_ENCRYPTED_DATA_INVALID; /* a good tag, and another key than it was sealed with */
    }
    *ret_len = len - sizeof PROOF;
    memmove(out, out + sizeof PROOF, *ret_len);
    explicit_bzero(out + *ret_len, len - *ret_len);
    return CKR_OK;
}

/* ---- 3: AES-GCM on the host ------------------------------------------------------------- */

/* The bytes of a content key, which the token was asked to make readable. */
static CK_RV read_key(struct cek_op *op, CK_OBJECT_HANDLE key, struct secret **ret)
{
    _cleanup_secret_ struct secret *bytes = NULL;
    op->call = "C_GetAttributeValue";
    if (!err_ok(secret_new(CEK_BYTES, &bytes))) return CKR_HOST_MEMORY;
    CK_ATTRIBUTE value = {CKA_VALUE, secret_data(bytes), CEK_BYTES};
    CK_RV rv = op->fn->C_GetAttributeValue(op->h, key, &value, 1);
    if (rv == CKR_OK && value.ulValueLen != CEK_BYTES) rv = CKR_WRAPPED_KEY_LEN_RANGE;
    if (rv == CKR_OK) *ret = TAKE_PTR(bytes);
    return rv;
}

static CK_RV host_seal(struct cek_op *op, const CK_OBJECT_HANDLE *keys, const struct payload *x,
                       uint8_t *out, size_t *ret_len)
{
    _cleanup_secret_ struct secret *key = NULL;
    CK_RV rv = read_key(op, keys[0], &key);
    if (rv != CKR_OK) return rv;
    *ret_len = x->plain.len + GCM_TAG;
    struct host_gcm g = {.key = secret_span(key), .iv = x->iv, .aad = x->aad};
    return host_gcm_seal(&g, x->plain, out, out + x->plain.len) ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV host_open(struct cek_op *op, const CK_OBJECT_HANDLE *keys, const struct payload *x,
                       uint8_t *out, size_t *ret_len)
{
    _cleanup_secret_ struct secret *key = NULL;
    CK_RV rv = read_key(op, keys[0], &key);
    if (rv != CKR_OK) return rv;
    *ret_len = x->ciphertext.len;
    struct host_gcm g = {.key = secret_span(key), .iv = x->iv, .aad = x->aad};
    return host_gcm_open(&g, x->ciphertext, x->tag, out) ? CKR_OK : CKR_ENCRYPTED_DATA_INVALID;
}

/* ---- the table -------------------------------------------------------------------------- */

static const struct suite SUITES[] = {
    {1, {CEK_GCM}, 1, gcm_seal, gcm_open},
    {2, {CEK_CBC, CEK_MAC}, 2, cbc_seal, cbc_open},
    {3, {CEK_HOST}, 1, host_seal, host_open},
};

const struct suite *suite_find(uint8_t number)
{
    for (size_t i = 0; i < sizeof SUITES / sizeof *SUITES; i++)
        if (SUITES[i].number == number) return &SUITES[i];
    return NULL;
}
