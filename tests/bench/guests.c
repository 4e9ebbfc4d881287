#include "tests/bench/guests.h"

#include "broker/base/json.h"
#include "broker/jose/b64url.h"
#include "broker/jose/jwe.h"

#include <openssl/rsa.h>
#include <string.h>

#define KEYS_EC 64u
#define KEYS_RSA 4u /* a new one takes a tenth of a second */

struct key {
    EVP_PKEY *pkey;
    struct buf jwk; /* as TeePubKey; its members in canonical order */
};

struct one {
    enum guests_step step;
    unsigned key;
    bool opened;
    char nonce[64], cookie[96];
    struct buf token, bound, body;
    struct buf sent[GUESTS_STEPS], heard[GUESTS_STEPS]; /* of connection 0 alone */
};

struct guests {
    const struct guests_mode *mode;
    const char *resource;
    bool opens;
    EVP_MD *sha384;
    struct key keys[KEYS_EC];
    unsigned key_count;
    struct one all[LOAD_CONNECTIONS_MAX];
};

static const struct guests_mode modes[] = {
    {"auth", GUESTS_AUTH, GUESTS_AUTH, false},
    {"handshake", GUESTS_AUTH, GUESTS_ATTEST, false},
    {"fetch", GUESTS_AUTH, GUESTS_GET, false},
    {"cookie", GUESTS_GET, GUESTS_GET, false},
    {"bearer", GUESTS_GET, GUESTS_GET, true},
};

const struct guests_mode *guests_mode_named(const char *name)
{
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, name) == 0) return &modes[i];
    return NULL;
}

unsigned guests_requests(const struct guests_mode *mode)
{
    return mode->last - mode->first + 1u;
}

/* ---- life ----------------------------------------------------------------------------------- */

void guests_free(struct guests *g)
{
    if (!g) return;
    for (unsigned i = 0; i < g->key_count; i++) {
        EVP_PKEY_free(g->keys[i].pkey);
        buf_free(&g->keys[i].jwk);
    }
    for (unsigned i = 0; i < LOAD_CONNECTIONS_MAX; i++) {
        struct one *o = &g->all[i];
        buf_free(&o->token);
        buf_free(&o->bound);
        buf_free(&o->body);
        for (unsigned s = 0; s < GUESTS_STEPS; s++) {
            buf_free(&o->sent[s]);
            buf_free(&o->heard[s]);
        }
    }
    EVP_MD_free(g->sha384);
    free(g);
}

static err_t make_key(const char *kind, struct key *k)
{
    bool rsa = strcmp(kind, "RSA-2048") == 0;
    if (rsa) k->pkey = EVP_RSA_gen(2048);
    else TRY(key_generate_ec(kind, &k->pkey));
    if (!k->pkey) FAIL(ERR_INTERNAL, "no new RSA key");
    _cleanup_jwk_ struct jwk *jwk = NULL;
    TRY(jwk_from_pkey(k->pkey, rsa ? "RSA-OAEP-256" : "ECDH-ES+A256KW", &jwk));
    struct json_out o = JSON_OUT(&k->jwk);
    json_begin_object(&o);
    jwk_put_members(jwk, &o);
    json_end_object(&o);
    return buf_ok(&k->jwk);
}

struct err guests_new(const struct guests_mode *mode, const char *key, const char *resource,
                      bool opens, struct guests **ret)
{
    _cleanup_(guests_freep) struct guests *g = calloc(1, sizeof *g);
    if (!g) FAIL(ERR_INTERNAL, "out of memory");
    g->mode = mode;
    g->resource = resource;
    g->opens = opens;
    g->sha384 = EVP_MD_fetch(NULL, "SHA2-384", NULL);
    unsigned count = strncmp(key, "RSA", 3) == 0 ? KEYS_RSA : KEYS_EC;
    while (g->key_count < count) TRY(make_key(key, &g->keys[g->key_count++]));
    for (unsigned i = 0; i < LOAD_CONNECTIONS_MAX; i++) g->all[i].key = i % count;
    *ret = TAKE_PTR(g);
    return ERR_OK;
}

struct guests_sample guests_sample(const struct guests *g, enum guests_step step)
{
    const struct one *o = &g->all[0];
    return (struct guests_sample){buf_span(&o->sent[step]), buf_span(&o->heard[step]), o->cookie};
}

/* ---- asking --------------------------------------------------------------------------------- */

static void post(struct buf *request, const char *name, const char *cookie, struct span body)
{
    buf_addf(request, "POST /kbs/v0/%s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n", name, body.len);
    if (cookie) buf_addf(request, "Cookie: %s\r\n", cookie);
    buf_add_str(request, "\r\n");
    buf_add_span(request, body);
}

static void ask_auth(struct guests *g, struct one *o, struct buf *request)
{
    buf_add_str(&o->body, "{\"version\":\"0.4.0\",\"tee\":\"sample\",\"extra-params\":{"
                          "\"supported-hash-algorithms\":[\"sha256\",\"sha384\",\"sha512\"]}}");
    o->key = (o->key + 1) % g->key_count;
    post(request, "auth", NULL, buf_span(&o->body));
}

/* SHA-384 over {"additional-evidence":"","nonce":N,"tee-pubkey":K} (kbs-api.md 2.5). */
static void ask_attest(struct guests *g, struct one *o, struct buf *request)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct span jwk = buf_span(&g->keys[o->key].jwk);
    buf_reset(&o->bound);
    buf_add_str(&o->bound, "{\"additional-evidence\":\"\",\"nonce\":\"");
    buf_add_str(&o->bound, o->nonce);
    buf_add_str(&o->bound, "\",\"tee-pubkey\":");
    buf_add_span(&o->bound, jwk);
    buf_add_str(&o->bound, "}");
    if (EVP_Digest(o->bound.data, o->bound.len, digest, &len, g->sha384, NULL) != 1)
        request->failed = true;
    buf_add_str(&o->body, "{\"init-data\":null,\"runtime-data\":{\"nonce\":\"");
    buf_add_str(&o->body, o->nonce);
    buf_add_str(&o->body, "\",\"tee-pubkey\":");
    buf_add_span(&o->body, jwk);
    buf_add_str(&o->body, "},\"tee-evidence\":{\"primary_evidence\":{\"svn\":\"1\",\"report_data\":\"");
    b64_add(&o->body, span_of(digest, len));
    buf_add_str(&o->body, "\"},\"additional_evidence\":\"\"}}");
    post(request, "attest", o->cookie, buf_span(&o->body));
}

static void ask_get(struct guests *g, struct one *o, struct buf *request)
{
    buf_addf(request, "GET /kbs/v0/resource/%s HTTP/1.1\r\nHost: bench\r\n", g->resource);
    buf_add_str(request, g->mode->bearer ? "Authorization: Bearer " : "Cookie: ");
    if (g->mode->bearer) buf_add_span(request, buf_span(&o->token));
    else buf_add_str(request, o->cookie);
    buf_add_str(request, "\r\n\r\n");
}

bool guests_ask(void *guests, unsigned connection, struct buf *request)
{
    static void (*const asks[])(struct guests *, struct one *, struct buf *) = {
        [GUESTS_AUTH] = ask_auth, [GUESTS_ATTEST] = ask_attest, [GUESTS_GET] = ask_get};
    struct guests *g = guests;
    struct one *o = &g->all[connection];
    buf_reset(&o->body);
    asks[o->step](g, o, request);
    if (connection == 0) {
        buf_reset(&o->sent[o->step]);
        buf_add_span(&o->sent[o->step], buf_span(&o->body));
    }
    return !o->body.failed && !o->bound.failed;
}

/* ---- hearing -------------------------------------------------------------------------------- */

/* The text between `before` and the next `end`; answers of known form need no parser. */
static bool cut(struct span text, const char *before, char end, struct span *ret)
{
    const uint8_t *at = memmem(text.data, text.len, before, strlen(before));
    if (!at) return false;
    at += strlen(before);
    const uint8_t *last = memchr(at, end, text.len - (size_t) (at - text.data));
    if (!last) return false;
    *ret = span_of(at, (size_t) (last - at));
    return last > at;
}

static bool copy_text(struct span from, char *out, size_t size)
{
    if (from.len >= size) return false;
    memcpy(out, from.data, from.len);
    out[from.len] = '\0';
    return true;
}

static bool hear_auth(struct guests *g, struct one *o, struct span head, struct span body)
{
    struct span nonce, cookie;
    return cut(body, "\"nonce\":\"", '"', &nonce) && copy_text(nonce, o->nonce, sizeof o->nonce) &&
           cut(head, "Set-Cookie: ", ';', &cookie) &&
           copy_text(cookie, o->cookie, sizeof o->cookie);
}

static bool hear_attest(struct guests *g, struct one *o, struct span head, struct span body)
{
    struct span token;
    if (!cut(body, "{\"token\":\"", '"', &token)) return false;
    if (!g->mode->bearer) return true;
    buf_reset(&o->token);
    buf_add_span(&o->token, token);
    return !o->token.failed;
}

static bool hear_get(struct guests *g, struct one *o, struct span head, struct span body)
{
    if (!g->opens || o->opened) return true;
    _cleanup_secret_ struct secret *value = NULL;
    o->opened = err_ok(jwe_decrypt(g->keys[o->key].pkey, body, &value));
    return o->opened;
}

bool guests_hear(void *guests, unsigned connection, struct span head, struct span body)
{
    static bool (*const hears[])(struct guests *, struct one *, struct span, struct span) = {
        [GUESTS_AUTH] = hear_auth, [GUESTS_ATTEST] = hear_attest, [GUESTS_GET] = hear_get};
    struct guests *g = guests;
    struct one *o = &g->all[connection];
    if (!hears[o->step](g, o, head, body)) return false;
    if (connection == 0) {
        buf_reset(&o->heard[o->step]);
        buf_add_span(&o->heard[o->step], body);
    }
    o->step = o->step == g->mode->last ? g->mode->first : o->step + 1;
    return true;
}
