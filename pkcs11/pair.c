#include "pkcs11/keypair_internal.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <string.h>

#include "broker/base/log.h"

struct p11_pair {
    struct p11 *p;
    char *label;
    enum p11_pair_type type;
    enum oaep_hash hash;

    /* Finding and trying are one step. Comes before all other locks, and is not held while the key
     * is used. */
    pthread_mutex_t find_lock;

    pthread_mutex_t lock;   /* a leaf; guards what follows */
    struct pair_key key;    /* public NULL: not known */
    uint64_t missing_at;    /* clock_mono_ns when it was looked for in vain; 0: not so */
    uint64_t missing_made;  /* pair_made_count then */
};

err_t p11_pair_new(struct p11 *p, const struct p11_pair_config *config, struct p11_pair **ret)
{
    struct p11_pair *k = calloc(1, sizeof *k);
    if (!k || !(k->label = strdup(config->label))) {
        free(k);
        FAIL(ERR_INTERNAL, "out of memory");
    }
    k->p = p;
    k->type = config->type;
    k->hash = config->oaep_sha1 ? OAEP_SHA1 : OAEP_SHA256;
    pthread_mutex_init(&k->find_lock, NULL);
    pthread_mutex_init(&k->lock, NULL);
    *ret = k;
    return ERR_OK;
}

void p11_pair_free(struct p11_pair *k)
{
    if (!k) return;
    pair_key_done(&k->key);
    pthread_mutex_destroy(&k->lock);
    pthread_mutex_destroy(&k->find_lock);
    free(k->label);
    free(k);
}

/* ---- the URI ---------------------------------------------------------------------------- */

static err_t check_names(P11KitUri *uri)
{
    CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(uri, CKA_LABEL);
    CK_ATTRIBUTE *class = p11_kit_uri_get_attribute(uri, CKA_CLASS);
    if (p11_kit_uri_any_unrecognized(uri) || p11_kit_uri_get_attribute(uri, CKA_ID) ||
        p11_kit_uri_get_pin_value(uri) || !label || !label->ulValueLen)
        FAIL(ERR_USAGE, "the key's URI is not understood; name the key by its label, as in "
             "pkcs11:object=NAME;type=private (which token, and its PIN, are settings of token)");
    if (class && *(CK_OBJECT_CLASS *) class->pValue != CKO_PRIVATE_KEY)
        FAIL(ERR_USAGE, "the key's URI names no private key; say type=private");
    return ERR_OK;
}

err_t p11_pair_uri_label(struct p11 *p, const char *uri, char **ret)
{
    struct p11_uri u _cleanup_uri_ = {.uri = p11_kit_uri_new()};
    CK_TOKEN_INFO info = {0};
    if (!u.uri) FAIL(ERR_INTERNAL, "out of memory");
    int code = p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, u.uri);
    if (code != P11_KIT_URI_OK)
        FAIL(ERR_USAGE, "the key's URI cannot be read (%s)", p11_kit_uri_message(code));
    TRY(slot_token_info(p->fn, p->slot, &info));
    TRY(check_names(u.uri));
    if (!p11_kit_uri_match_token_info(u.uri, &info))
        FAIL(ERR_USAGE, "the key's URI names another token than %s, which this broker serves; leave "
             "the token out of it", p->label);
    CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(u.uri, CKA_LABEL);
    *ret = strndup(label->pValue, label->ulValueLen);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

/* ---- finding it ------------------------------------------------------------------------- */

static bool copy_key(const struct pair_key *from, struct pair_key *ret)
{
    if (!EVP_PKEY_up_ref(from->public)) return false;
    *ret = *from;
    return true;
}

/* The key that is known, unless the token was opened again since. */
static bool known_key(struct p11_pair *k, struct pair_key *ret)
{
    uint64_t epoch = p11_opening(k->p);
    SCOPED_LOCK(&k->lock);
    return k->key.public && k->key.epoch == epoch && copy_key(&k->key, ret);
}

static void forget(struct p11_pair *k, const struct pair_key *used)
{
    SCOPED_LOCK(&k->lock);
    if (k->key.epoch == used->epoch && k->key.handle == used->handle) pair_key_done(&k->key);
}

static err_t fail_missing(const struct p11_pair *k)
{
    FAIL(ERR_NOTFOUND, "token %s has no key pair labelled %s; make it: strongroom token keypair "
         "create --type %s --label '%s'", k->p->label, k->label, p11_pair_type_name(k->type),
         k->label);
}

/* A find costs as much as the token holds objects: whoever asks for a key that is not there must
 * not make us look each time. One that we make ourselves is found at once. */
static bool missing_still(struct p11_pair *k)
{
    SCOPED_LOCK(&k->lock);
    return k->missing_at && k->missing_made == pair_made_count() &&
           clock_mono_ns() - k->missing_at < KEYPAIR_MISSING_MS * (CLOCK_SECOND_NS / 1000);
}

static void note_missing(struct p11_pair *k, uint64_t made)
{
    SCOPED_LOCK(&k->lock);
    k->missing_at = clock_mono_ns();
    k->missing_made = made;
}

static err_t check_found(const struct p11_pair *k, const struct p11_pair_info *info,
                         const struct pair_key *key, const char *wrong)
{
    if (info->type != k->type)
        FAIL(ERR_HUMAN, "key pair %s is no %s key pair, which it must be here", k->label,
             p11_pair_type_name(k->type));
    if (wrong)
        FAIL(ERR_HUMAN, "key pair %s is not used: its %s is not as it must be", k->label, wrong);
    if (!key->public)
        FAIL(ERR_HUMAN, "key pair %s is not used: the token shows no public half that belongs to it",
             k->label);
    return ERR_OK;
}

static err_t find_key(struct p11_pair *k, struct pair_key *ret)
{
    const char *wrong = NULL;
    _cleanup_pair_info_ struct p11_pair_info info = {0};
    _cleanup_pair_key_ struct pair_key key = {0};
    uint64_t made = pair_made_count();
    struct err e = pair_find(k->p, k->label, &key, &info, &wrong);
    if (e.code == ERR_NOTFOUND) {
        /* When its directory vanishes SoftHSM finds nothing and says CKR_OK (tokens.md 2.2). */
        if (p11_has_kek(k->p)) TRY(p11_check(k->p));
        note_missing(k, made);
        return fail_missing(k);
    }
    TRY(e);
    TRY(check_found(k, &info, &key, wrong));
    e = pair_try(k->p, k->label, k->type, k->hash, &key);
    if (e.code == ERR_USAGE) e.code = ERR_HUMAN;
    TRY(e);
    if (key.decodes)
        log_warn("token.oaep", LOG_S("pair", k->label),
                 LOG_S("what", "this token has no OAEP with that hash: it does the RSA, and this "
                               "program takes the padding off"));
    if (!copy_key(&key, ret)) FAIL(ERR_INTERNAL, "out of memory");
    SCOPED_LOCK(&k->lock);
    pair_key_done(&k->key);
    k->key = key;
    k->missing_at = 0;
    key.public = NULL;
    return ERR_OK;
}

static err_t take_key(struct p11_pair *k, struct pair_key *ret)
{
    if (known_key(k, ret)) return ERR_OK;
    if (!missing_still(k)) {
        TRY(job_moves()); /* the find that somebody else makes is as long as ours would be */
        SCOPED_JOB_LOCK(&k->find_lock);
        if (known_key(k, ret)) return ERR_OK; /* another thread found it meanwhile */
        if (!missing_still(k)) return find_key(k, ret);
    }
    return fail_missing(k);
}

/* ---- using it --------------------------------------------------------------------------- */

/* What a module's refusal is to the caller when nothing he sent can be its cause. Never ERR_NOTFOUND
 * or ERR_FULL: those speak of resources. */
static err_t fail_token(const struct p11_pair *k, const struct pair_answer *a, const char *what)
{
    enum err_class class = rv_work_class(a->rv);
    if (class == ERR_FULL) class = ERR_BUSY;
    FAIL_P11(class, a->rv, a->call, "token %s does not %s with key pair %s", k->p->label, what,
             k->label);
}

err_t p11_pair_public(struct p11_pair *k, struct buf *ret_pem)
{
    _cleanup_pair_key_ struct pair_key key = {0};
    TRY(take_key(k, &key));
    return public_key_pem(key.public, ret_pem);
}

err_t p11_pair_wrap(struct p11_pair *k, struct span plain, struct buf *ret)
{
    _cleanup_pair_key_ struct pair_key key = {0};
    TRY(take_key(k, &key));
    return oaep_encrypt(key.public, k->hash, plain, ret);
}

#define DOES_NOT_OPEN "this was not wrapped for this key"

/* SoftHSM says CKR_GENERAL_ERROR for wrong padding and for a token that is gone; with bare RSA no
 * ciphertext in range can be wrong. */
static err_t judge_decrypt(struct p11_pair *k, const struct pair_key *key,
                           const struct pair_answer *a)
{
    enum rv_reaction reaction = rv_reaction(a->rv);
    bool item = rv_class(a->rv) == ERR_CRYPTO;
    if (reaction == RV_CANARY && !key->decodes) {
        if (p11_has_kek(k->p)) TRY(p11_check(k->p));
        item = true;
    }
    if (p11_opening(k->p) != key->epoch)
        FAIL(ERR_TOKEN_DOWN, "the token was opened again meanwhile");
    if (item) FAIL(ERR_CRYPTO, DOES_NOT_OPEN);
    return fail_token(k, a, "decrypt");
}

static err_t decrypt(struct p11_pair *k, struct span wrapped, struct pair_key *key,
                     struct secret *block, size_t *ret_len)
{
    struct pair_answer a = {CKR_OK, ""};
    for (unsigned i = 0;; i++) {
        if (i) {
            forget(k, key);
            pair_key_done(key);
            TRY(take_key(k, key));
        }
        TRY(pair_decrypt_once(k->p, key, k->hash, wrapped, secret_data(block), ret_len, &a));
        if (!session_again(k->p, a.rv, i, true)) break;
    }
    return a.rv == CKR_OK ? ERR_OK : judge_decrypt(k, key, &a);
}

static err_t unwrap(struct p11_pair *k, struct span wrapped, struct secret **ret)
{
    size_t len = 0;
    _cleanup_secret_ struct secret *block = NULL;
    _cleanup_pair_key_ struct pair_key key = {0};
    TRY(take_key(k, &key));
    if (wrapped.len != oaep_block(key.public))
        FAIL(ERR_USAGE, "what is wrapped with this key has %zu bytes, not %zu",
             oaep_block(key.public), wrapped.len);
    if (!oaep_in_range(key.public, wrapped)) FAIL(ERR_CRYPTO, DOES_NOT_OPEN);
    TRY(secret_new(wrapped.len, &block));
    TRY(decrypt(k, wrapped, &key, block, &len));
    if (key.decodes) return oaep_decode(secret_span(block), k->hash, ret);
    secret_shrink(block, len);
    *ret = TAKE_PTR(block);
    return ERR_OK;
}

err_t p11_pair_unwrap(struct p11_pair *k, struct span wrapped, struct secret **ret)
{
    struct err e = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        uint64_t epoch = p11_opening(k->p);
        e = unwrap(k, wrapped, ret);
        if (err_ok(e) || !p11_mended(k->p, e, epoch)) break;
    }
    return e;
}

static err_t sign(struct p11_pair *k, const uint8_t digest[P11_PAIR_DIGEST],
                  uint8_t ret[P11_PAIR_SIGNATURE])
{
    struct pair_answer a = {CKR_OK, ""};
    _cleanup_pair_key_ struct pair_key key = {0};
    for (unsigned i = 0;; i++) {
        if (i) {
            forget(k, &key);
            pair_key_done(&key);
        }
        TRY(take_key(k, &key));
        TRY(pair_sign_once(k->p, &key, digest, ret, &a));
        if (!session_again(k->p, a.rv, i, true)) break;
    }
    return a.rv == CKR_OK ? ERR_OK : fail_token(k, &a, "sign");
}

err_t p11_pair_sign(struct p11_pair *k, const uint8_t digest[P11_PAIR_DIGEST],
                    uint8_t ret[P11_PAIR_SIGNATURE])
{
    struct err e = ERR_OK;
    for (int i = 0; i < REPAIRS; i++) {
        uint64_t epoch = p11_opening(k->p);
        e = sign(k, digest, ret);
        if (err_ok(e) || !p11_mended(k->p, e, epoch)) break;
    }
    return e;
}
