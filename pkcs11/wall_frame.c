#include "pkcs11/wall_frame.h"

#include <string.h>

#define WORD sizeof(uint64_t)
#define INLINE_MAX 64u /* bytes that are rather copied than sent from where they are */

static const uint64_t PADDING;

static size_t padded(size_t bytes)
{
    return (bytes + WORD - 1) / WORD * WORD;
}

/* What a mechanism's parameter is. All others have none, or are not for a helper: their parameter may hold
 * pointers that we do not know of. */
enum parameter { PARAMETER_NONE, PARAMETER_BYTES, PARAMETER_GCM, PARAMETER_OAEP };

static enum parameter parameter_of(CK_MECHANISM_TYPE mechanism)
{
    static const struct { CK_MECHANISM_TYPE mechanism; enum parameter is; } TABLE[] = {
        {CKM_AES_GCM, PARAMETER_GCM},
        {CKM_RSA_PKCS_OAEP, PARAMETER_OAEP},
        {CKM_AES_CBC, PARAMETER_BYTES},
        {CKM_AES_CBC_PAD, PARAMETER_BYTES},
        {CKM_AES_KEY_WRAP, PARAMETER_BYTES},
    };
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++)
        if (TABLE[i].mechanism == mechanism) return TABLE[i].is;
    return PARAMETER_NONE;
}

/* Templates within templates hold pointers; lists of mechanisms do not. */
static bool nested(CK_ATTRIBUTE_TYPE type)
{
    return type & CKF_ARRAY_ATTRIBUTE && type != CKA_ALLOWED_MECHANISMS;
}

/* ---- making a request -------------------------------------------------------------------- */

static void put(struct wall_request *r, uint64_t word)
{
    if (r->used == WALL_WORDS) r->failed = true;
    else r->words[r->used++] = word;
}

static void put_piece(struct wall_request *r, const void *data, size_t len)
{
    if (!len) return;
    if (r->piece_n == WALL_PIECES || len > WALL_FRAME_MAX - r->total) {
        r->failed = true;
        return;
    }
    r->pieces[r->piece_n++] = (struct iovec){(void *) (uintptr_t) data, len};
    r->total += len;
}

/* The words since the last cut become a piece. */
static void cut(struct wall_request *r)
{
    put_piece(r, &r->words[r->cut], (r->used - r->cut) * WORD);
    r->cut = r->used;
}

static void put_bytes(struct wall_request *r, const void *data, CK_ULONG len)
{
    if (!data) {
        put(r, WALL_NO_BYTES);
        return;
    }
    put(r, len);
    if (!r->copies && len > INLINE_MAX) {
        cut(r);
        put_piece(r, data, len);
        put_piece(r, &PADDING, padded(len) - len);
        return;
    }
    if (len > (WALL_WORDS - r->used) * WORD) {
        r->failed = true;
        return;
    }
    if (len % WORD) r->words[r->used + len / WORD] = 0;
    if (len) memcpy(&r->words[r->used], data, len);
    r->used += padded(len) / WORD;
}

static void put_mechanism(struct wall_request *r, const CK_MECHANISM *m)
{
    enum parameter is = m ? parameter_of(m->mechanism) : PARAMETER_NONE;
    const CK_GCM_PARAMS *gcm = m ? m->pParameter : NULL;
    const CK_RSA_PKCS_OAEP_PARAMS *oaep = m ? m->pParameter : NULL;
    if (!m || (is == PARAMETER_NONE && m->pParameter) ||
        (is == PARAMETER_GCM && (!gcm || m->ulParameterLen != sizeof *gcm)) ||
        (is == PARAMETER_OAEP && (!oaep || m->ulParameterLen != sizeof *oaep))) {
        r->failed = true;
        return;
    }
    put(r, m->mechanism);
    if (is == PARAMETER_BYTES) put_bytes(r, m->pParameter, m->ulParameterLen);
    if (is == PARAMETER_GCM) {
        put_bytes(r, gcm->pIv, gcm->ulIvLen);
        put(r, gcm->ulIvBits);
        put_bytes(r, gcm->pAAD, gcm->ulAADLen);
        put(r, gcm->ulTagBits);
    }
    if (is == PARAMETER_OAEP) {
        put(r, oaep->hashAlg);
        put(r, oaep->mgf);
        put(r, oaep->source);
        put_bytes(r, oaep->pSourceData, oaep->ulSourceDataLen);
    }
}

/* Of those that are asked for, the room that they have. */
static void put_attributes(struct wall_request *r, const struct wall_arg *a, bool in)
{
    const CK_ATTRIBUTE *attributes = a->p;
    put(r, a->n);
    for (CK_ULONG i = 0; i < a->n && !r->failed; i++) {
        const CK_ATTRIBUTE *x = &attributes[i];
        r->failed |= a->n > WALL_ATTRIBUTES || nested(x->type);
        put(r, x->type);
        if (in) put_bytes(r, x->pValue, x->ulValueLen);
        else put(r, x->pValue ? x->ulValueLen : WALL_NO_BYTES);
    }
}

void wall_request_start(struct wall_request *r, bool copies)
{
    r->used = 2;
    r->words[1] = 0;
    r->cut = r->total = 0;
    r->piece_n = 0;
    r->copies = copies;
    r->failed = false;
}

void wall_request_add(struct wall_request *r, unsigned call, const struct wall_shape *shape,
                      const struct wall_arg *args)
{
    r->words[1]++;
    put(r, call);
    for (const char *c = shape->letters; *c; c++, args++) {
        if (*c == 'u') put(r, args->n);
        if (*c == 'i') put_bytes(r, args->p, args->n);
        if (*c == 'o' || *c == 'l') put(r, args->p ? args->n : WALL_NO_BYTES);
        if (*c == 'm') put_mechanism(r, args->p);
        if (*c == 't' || *c == 'a') put_attributes(r, args, *c == 't');
    }
}

bool wall_request_end(struct wall_request *r)
{
    cut(r);
    r->words[0] = r->total;
    return !r->failed && r->words[1] <= WALL_CALLS;
}

void wall_request_wipe(struct wall_request *r)
{
    explicit_bzero(r->words, r->used * WORD);
}

/* ---- results ----------------------------------------------------------------------------- */

/* Codes with which C_GetAttributeValue still fills in what it could (PKCS#11 2.40, 5.7). */
static bool fills_attributes(CK_RV rv)
{
    return rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
           rv == CKR_BUFFER_TOO_SMALL;
}

/* Both sides know by this how many bytes follow of a result with this room and this length. */
static size_t bytes_of(CK_RV rv, const void *p, CK_ULONG room, CK_ULONG len, size_t each)
{
    return rv == CKR_OK && p && len <= room ? len * each : 0;
}

static size_t attribute_bytes(CK_RV rv, const CK_ATTRIBUTE *x, CK_ULONG room, CK_ULONG len)
{
    return fills_attributes(rv) ? bytes_of(CKR_OK, x->pValue, room, len, 1) : 0;
}

size_t wall_reply_words(const struct wall_shape *shape, const struct wall_arg *args)
{
    size_t words = WALL_REPLY_HEAD;
    for (const char *c = shape->letters; *c; c++, args++) {
        words += *c == 'h' || *c == 'o' || *c == 'l';
        if (*c == 'a') words += args->n;
    }
    return words;
}

struct reply {
    CK_RV rv;
    const uint64_t *words; /* after the head */
    struct iovec *pieces;
    int piece_n;
    size_t bytes; /* of the pieces */
    bool over;    /* a module says that it wrote more than there is room for */
};

static void expect(struct reply *y, void *at, size_t len)
{
    if (!len) return;
    y->pieces[y->piece_n++] = (struct iovec){at, len};
    y->bytes += len;
}

static void expect_result(struct reply *y, char letter, size_t fixed, const struct wall_arg *a)
{
    const CK_ATTRIBUTE *attributes = a->p;
    size_t each = letter == 'l' ? sizeof(CK_ULONG) : 1;
    if (letter == 'h') y->words++;
    if (letter == 'f') expect(y, a->p, y->rv == CKR_OK ? fixed : 0);
    if (letter == 'o' || letter == 'l') {
        y->over |= y->rv == CKR_OK && a->p && *y->words > a->n;
        expect(y, a->p, bytes_of(y->rv, a->p, a->n, *y->words, each));
        y->words++;
    }
    for (CK_ULONG i = 0; letter == 'a' && i < a->n; i++, y->words++)
        expect(y, attributes[i].pValue,
               attribute_bytes(y->rv, &attributes[i], attributes[i].ulValueLen, *y->words));
}

static void store_numbers(const struct wall_shape *shape, struct wall_arg *args, const uint64_t *words)
{
    for (const char *c = shape->letters; *c; c++, args++) {
        CK_ATTRIBUTE *attributes = args->p;
        if (*c == 'h' || *c == 'o' || *c == 'l') *args->ret = *words++;
        for (CK_ULONG i = 0; *c == 'a' && i < args->n; i++) attributes[i].ulValueLen = *words++;
    }
}

bool wall_reply_take(const struct wall_shape *shape, struct wall_arg *args, const uint64_t *words,
                     size_t calls, CK_RV *ret_rv, struct iovec ret_pieces[WALL_REPLY_PIECES],
                     int *ret_piece_n)
{
    /* An operation whose start failed has no results; only those of the last call follow. */
    bool last = words[2] + 1 == calls;
    struct reply y = {.rv = words[1], .words = words + WALL_REPLY_HEAD, .pieces = ret_pieces};
    if (words[2] >= calls || (!last && y.rv == CKR_OK)) return false;
    for (unsigned i = 0; last && shape->letters[i]; i++)
        expect_result(&y, shape->letters[i], shape->fixed, &args[i]);
    if (words[0] != wall_reply_words(shape, args) * WORD + y.bytes) return false;
    if (last) store_numbers(shape, args, words + WALL_REPLY_HEAD);
    *ret_rv = y.over ? CKR_GENERAL_ERROR : y.rv;
    *ret_piece_n = y.piece_n;
    return true;
}

/* ---- reading a request ------------------------------------------------------------------- */

struct cursor {
    const uint8_t *at;
    size_t left; /* bytes */
    bool failed;
};

static uint64_t get(struct cursor *c)
{
    uint64_t word = 0;
    if (c->left < WORD) {
        c->failed = true;
        return 0;
    }
    memcpy(&word, c->at, WORD);
    c->at += WORD;
    c->left -= WORD;
    return word;
}

/* *ret is NULL for a NULL pointer, and never else. */
static CK_ULONG get_bytes(struct cursor *c, void **ret)
{
    uint64_t len = get(c);
    *ret = NULL;
    if (c->failed || len == WALL_NO_BYTES) return 0;
    if (len > c->left || padded(len) > c->left) {
        c->failed = true;
        return 0;
    }
    *ret = (void *) (uintptr_t) c->at;
    c->at += padded(len);
    c->left -= padded(len);
    return len;
}

static void get_mechanism(struct cursor *c, struct wall_frame *f, struct wall_arg *a)
{
    struct wall_mechanism *m = &f->mechanisms[f->mechanism_n++];
    void *p = NULL;
    *m = (struct wall_mechanism){.mechanism.mechanism = get(c)};
    switch (parameter_of(m->mechanism.mechanism)) {
    case PARAMETER_NONE:
        break;
    case PARAMETER_BYTES:
        m->mechanism.ulParameterLen = get_bytes(c, &m->mechanism.pParameter);
        break;
    case PARAMETER_GCM:
        m->gcm.ulIvLen = get_bytes(c, &p);
        m->gcm.pIv = p;
        m->gcm.ulIvBits = get(c);
        m->gcm.ulAADLen = get_bytes(c, &p);
        m->gcm.pAAD = p;
        m->gcm.ulTagBits = get(c);
        m->mechanism.pParameter = &m->gcm;
        m->mechanism.ulParameterLen = sizeof m->gcm;
        break;
    case PARAMETER_OAEP:
        m->oaep.hashAlg = get(c);
        m->oaep.mgf = get(c);
        m->oaep.source = get(c);
        m->oaep.ulSourceDataLen = get_bytes(c, &p);
        m->oaep.pSourceData = p;
        m->mechanism.pParameter = &m->oaep;
        m->mechanism.ulParameterLen = sizeof m->oaep;
        break;
    }
    a->p = &m->mechanism;
}

/* Room for a result; p is a mark until wall_frame_room makes it a pointer. */
static void reserve(struct cursor *c, struct wall_frame *f, size_t len, void **ret)
{
    static uint8_t mark;
    if (len > WALL_FRAME_MAX - f->room) {
        c->failed = true;
        return;
    }
    f->room += padded(len);
    *ret = &mark;
}

static void get_attributes(struct cursor *c, struct wall_frame *f, struct wall_arg *a, bool in)
{
    CK_ATTRIBUTE *attributes = &f->attributes[f->attribute_n];
    a->n = get(c);
    a->p = attributes;
    if (a->n > WALL_ATTRIBUTES || a->n > sizeof f->attributes / sizeof *attributes - f->attribute_n) {
        c->failed = true;
        return;
    }
    f->attribute_n += a->n;
    for (CK_ULONG i = 0; i < a->n && !c->failed; i++) {
        CK_ATTRIBUTE *x = &attributes[i];
        *x = (CK_ATTRIBUTE){.type = get(c)};
        if (nested(x->type)) c->failed = true;
        if (in) {
            x->ulValueLen = get_bytes(c, &x->pValue);
            continue;
        }
        uint64_t room = get(c);
        if (room == WALL_NO_BYTES) continue;
        f->rooms[x - f->attributes] = x->ulValueLen = room;
        reserve(c, f, room, &x->pValue);
    }
}

static void get_room(struct cursor *c, struct wall_frame *f, struct wall_arg *a, size_t each)
{
    uint64_t room = get(c);
    CK_ULONG *count = &f->numbers[f->number_n++];
    *count = 0;
    a->ret = count;
    if (room == WALL_NO_BYTES || c->failed) return;
    if (room > WALL_FRAME_MAX / each) {
        c->failed = true;
        return;
    }
    *count = a->n = room;
    reserve(c, f, room * each, &a->p);
}

static void get_argument(struct cursor *c, struct wall_frame *f, const struct wall_shape *shape,
                         char letter, struct wall_arg *a)
{
    if (letter == 'u') a->n = get(c);
    if (letter == 'i') a->n = get_bytes(c, &a->p);
    if (letter == 'm') get_mechanism(c, f, a);
    if (letter == 't' || letter == 'a') get_attributes(c, f, a, letter == 't');
    if (letter == 'o') get_room(c, f, a, 1);
    if (letter == 'l') get_room(c, f, a, sizeof(CK_ULONG));
    if (letter == 'f') {
        a->n = shape->fixed;
        reserve(c, f, shape->fixed, &a->p);
    }
    if (letter == 'h') {
        a->ret = &f->numbers[f->number_n++];
        *a->ret = 0;
    }
}

bool wall_frame_decode(struct span frame, wall_shape_fn *shape_of, struct wall_frame *ret)
{
    struct cursor c = {.at = frame.data, .left = frame.len};
    ret->room = ret->mechanism_n = ret->attribute_n = ret->number_n = 0;
    if (get(&c) != frame.len) return false;
    ret->call_n = get(&c);
    if (c.failed || ret->call_n < 1 || ret->call_n > WALL_CALLS) return false;
    for (size_t i = 0; i < ret->call_n; i++) {
        struct wall_call_in *in = &ret->calls[i];
        uint64_t call = get(&c);
        const struct wall_shape *shape = shape_of(call);
        if (c.failed || !shape) return false;
        *in = (struct wall_call_in){.call = (unsigned) call};
        for (unsigned k = 0; shape->letters[k] && !c.failed; k++)
            get_argument(&c, ret, shape, shape->letters[k], &in->args[k]);
    }
    return !c.failed && !c.left;
}

static void place(void **p, size_t len, uint8_t **at)
{
    if (!*p) return;
    *p = *at;
    *at += padded(len);
}

void wall_frame_room(struct wall_frame *f, wall_shape_fn *shape_of, void *room)
{
    uint8_t *at = room;
    for (size_t i = 0; i < f->call_n; i++) {
        const struct wall_shape *shape = shape_of(f->calls[i].call);
        struct wall_arg *a = f->calls[i].args;
        for (const char *c = shape->letters; *c; c++, a++) {
            CK_ATTRIBUTE *attributes = a->p;
            if (*c == 'o' || *c == 'f') place(&a->p, a->n, &at);
            if (*c == 'l') place(&a->p, a->n * sizeof(CK_ULONG), &at);
            for (CK_ULONG k = 0; *c == 'a' && k < a->n; k++)
                place(&attributes[k].pValue, attributes[k].ulValueLen, &at);
        }
    }
}

/* ---- making a reply ---------------------------------------------------------------------- */

/* The numbers behind the head, as the module left them. Attributes get the room back that they had. */
static void put_numbers(struct wall_frame *f, const struct wall_shape *shape, struct wall_arg *args,
                        uint64_t *words)
{
    for (const char *c = shape->letters; *c; c++, args++) {
        CK_ATTRIBUTE *attributes = args->p;
        if (*c == 'h' || *c == 'o' || *c == 'l') *words++ = *args->ret;
        for (CK_ULONG i = 0; *c == 'a' && i < args->n; i++) {
            *words++ = attributes[i].ulValueLen;
            attributes[i].ulValueLen = f->rooms[&attributes[i] - f->attributes];
        }
    }
}

int wall_reply_make(struct wall_frame *f, wall_shape_fn *shape_of, size_t done, CK_RV rv,
                    uint64_t words[WALL_REPLY_WORDS], struct iovec ret_pieces[WALL_REPLY_PIECES])
{
    struct wall_call_in *last = &f->calls[f->call_n - 1];
    const struct wall_shape *shape = shape_of(last->call);
    size_t n = wall_reply_words(shape, last->args);
    struct reply y = {.rv = rv, .words = words + WALL_REPLY_HEAD, .pieces = ret_pieces};
    put_numbers(f, shape, last->args, words + WALL_REPLY_HEAD);
    expect(&y, words, n * WORD);
    for (unsigned i = 0; done + 1 == f->call_n && shape->letters[i]; i++)
        expect_result(&y, shape->letters[i], shape->fixed, &last->args[i]);
    words[0] = y.bytes;
    words[1] = rv;
    words[2] = done;
    return y.piece_n;
}
