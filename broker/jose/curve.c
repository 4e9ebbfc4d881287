#include "broker/jose/curve.h"

#include "broker/jose/jwk.h"
#include "broker/jose/ossl.h"

#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <string.h>

#define CURVES 3
#define UNCOMPRESSED 4

/* A group costs more to make than a point costs to check. So each curve's is made once, as a key of
 * parameters alone, which new keys are copies of. */
static struct {
    const char *group;
    EVP_PKEY *parameters; /* written once, never freed; NULL when OpenSSL lacks the curve */
} curves[CURVES] = {{SN_X9_62_prime256v1, NULL}, {SN_secp384r1, NULL}, {SN_secp521r1, NULL}};

struct tools {
    EVP_PKEY_CTX *generators[CURVES];
    EVP_PKEY *borrowed[CURVES];
};
static pthread_key_t tools_key;
static bool tools_ready;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- of the process -------------------------------------------------------------------------- */

static EVP_PKEY *make_parameters(const char *group)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *) (uintptr_t) group, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEY_PARAMETERS, params) != 1)
        ossl_drain();
    return key;
}

static void free_tools(void *p)
{
    struct tools *t = p;
    for (size_t i = 0; i < CURVES; i++) {
        EVP_PKEY_CTX_free(t->generators[i]);
        EVP_PKEY_free(t->borrowed[i]);
    }
    free(t);
}

static void prepare(void)
{
    for (size_t i = 0; i < CURVES; i++) curves[i].parameters = make_parameters(curves[i].group);
    tools_ready = pthread_key_create(&tools_key, free_tools) == 0;
}

static size_t curve_of(const struct key_kind *kind)
{
    size_t i = 0;
    pthread_once(&once, prepare);
    while (i < CURVES && strcmp(curves[i].group, kind->group) != 0) i++;
    ENSURE(i < CURVES);
    return i;
}

/* ---- of a thread ------------------------------------------------------------------------------ */

static err_t thread_tools(struct tools **ret)
{
    if (!tools_ready) FAIL(ERR_INTERNAL, "no thread-local storage is left");
    struct tools *t = pthread_getspecific(tools_key);
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t || pthread_setspecific(tools_key, t) != 0) {
            free(t);
            FAIL(ERR_INTERNAL, "out of memory");
        }
    }
    *ret = t;
    return ERR_OK;
}

static err_t empty_key(size_t curve, EVP_PKEY **ret)
{
    EVP_PKEY *key = curves[curve].parameters ? EVP_PKEY_dup(curves[curve].parameters) : NULL;
    if (!key) FAIL_OSSL(ERR_INTERNAL, "no key on curve %s", curves[curve].group);
    *ret = key;
    return ERR_OK;
}

/* An invalid point lets its sender learn a private key that is used with it. Setting one looks whether both
 * coordinates are in the field and it is on the curve; infinity has no uncompressed form. That is the whole
 * check here: whether the point has the group's order need not be asked, since on these curves all points
 * have it (cofactor 1; SP 800-56A 5.6.2.3), and would cost ten times as much. */
static err_t set_point(const struct key_kind *kind, struct span point, EVP_PKEY *key)
{
    if (point.len != 1 + 2 * kind->bytes || point.data[0] != UNCOMPRESSED)
        FAIL(ERR_USAGE, "no uncompressed point of curve %s", kind->crv);
    if (EVP_PKEY_set1_encoded_public_key(key, point.data, point.len) != 1)
        FAIL_OSSL(ERR_USAGE, "the JWK's point is not on curve %s", kind->crv);
    return ERR_OK;
}

struct err curve_key(const struct key_kind *kind, struct span point, EVP_PKEY **ret)
{
    _cleanup_pkey_ EVP_PKEY *key = NULL;
    TRY(empty_key(curve_of(kind), &key));
    TRY(set_point(kind, point, key));
    *ret = TAKE_PTR(key);
    return ERR_OK;
}

struct err curve_borrow(const struct key_kind *kind, struct span point, EVP_PKEY **ret)
{
    struct tools *t = NULL;
    size_t curve = curve_of(kind);
    TRY(thread_tools(&t));
    if (!t->borrowed[curve]) TRY(empty_key(curve, &t->borrowed[curve]));
    TRY(set_point(kind, point, t->borrowed[curve]));
    *ret = t->borrowed[curve];
    return ERR_OK;
}

static err_t generator_new(const struct key_kind *kind, EVP_PKEY_CTX **ret)
{
    _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_CTX_set_group_name(ctx, kind->group) != 1)
        FAIL_OSSL(ERR_INTERNAL, "cannot prepare ephemeral %s keys", kind->crv);
    *ret = TAKE_PTR(ctx);
    return ERR_OK;
}

struct err curve_generate(const struct key_kind *kind, EVP_PKEY **ret)
{
    struct tools *t = NULL;
    size_t curve = curve_of(kind);
    TRY(thread_tools(&t));
    if (!t->generators[curve]) TRY(generator_new(kind, &t->generators[curve]));
    EVP_PKEY *key = NULL;
    if (EVP_PKEY_generate(t->generators[curve], &key) != 1)
        FAIL_OSSL(ERR_INTERNAL, "no ephemeral %s key", kind->crv);
    *ret = key;
    return ERR_OK;
}
