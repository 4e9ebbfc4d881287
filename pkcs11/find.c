#include "pkcs11/find.h"

#include <string.h>

#define FIND_BATCH 256u

void handles_free(struct handles *h)
{
    free(h->at);
    *h = (struct handles){0};
}

static err_t make_room(struct handles *h, size_t more)
{
    if (h->n + more <= h->cap) return ERR_OK;
    size_t cap = h->cap ? 2 * h->cap : FIND_BATCH;
    CK_OBJECT_HANDLE *at = reallocarray(h->at, cap, sizeof *at);
    if (!at) FAIL(ERR_INTERNAL, "out of memory");
    h->at = at;
    h->cap = cap;
    return ERR_OK;
}

static err_t collect(struct p11_session *s, size_t max, const char *what, struct handles *ret)
{
    for (;;) {
        TRY(make_room(ret, FIND_BATCH));
        CK_ULONG got = 0;
        CK_RV rv = session_rv(s, s->p->fn->C_FindObjects(s->h, ret->at + ret->n, FIND_BATCH,
                                                         &got));
        if (rv != CKR_OK) FAIL_RV(rv, "C_FindObjects", "the token does not list its %s", what);
        if (!got) return ERR_OK;
        if (got > FIND_BATCH)
            FAIL(ERR_TOKEN_DOWN, "token %s lists %lu %s where %u were asked for", s->p->label, got, what, FIND_BATCH);
        ret->n += got;
        if (ret->n > max)
            FAIL(ERR_TOOLARGE, "token %s holds more than %zu %s", s->p->label, max, what);
    }
}

err_t find_objects_locked(struct p11_session *s, CK_ATTRIBUTE *template, CK_ULONG n, size_t max,
                          const char *what, struct handles *ret)
{
    CK_RV rv = session_rv(s, s->p->fn->C_FindObjectsInit(s->h, template, n));
    if (rv != CKR_OK) FAIL_RV(rv, "C_FindObjectsInit", "the token does not list its %s", what);
    struct err e = collect(s, max, what, ret);
    rv = s->p->fn->C_FindObjectsFinal(s->h);
    if (rv != CKR_OK) session_spoil(s, rv); /* whatever the code: the search may go on, and bar the next */
    TRY(e);
    if (rv != CKR_OK) FAIL_RV(rv, "C_FindObjectsFinal", "the token does not list its %s", what);
    return ERR_OK;
}

err_t find_objects(struct p11_session *s, CK_ATTRIBUTE *template, CK_ULONG n, size_t max,
                   const char *what, struct handles *ret)
{
    TRY(job_moves()); /* a find is linear: 0.3 s at 10,000 objects */
    SCOPED_OBJECTS(s->p);
    return find_objects_locked(s, template, n, max, what, ret);
}

CK_RV attributes_read(struct p11_session *s, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *a, CK_ULONG n)
{
    CK_ULONG room[ATTRIBUTES_MAX];
    ENSURE(n <= ATTRIBUTES_MAX);
    for (CK_ULONG i = 0; i < n; i++) room[i] = a[i].ulValueLen;
    CK_RV rv = s->p->fn->C_GetAttributeValue(s->h, object, a, n);
    if (rv == CKR_BUFFER_TOO_SMALL) return rv; /* lawful here, and the session is none the worse */
    if (session_rv(s, rv) != CKR_OK) return rv;
    for (CK_ULONG i = 0; i < n; i++) {
        /* Some modules leave the length unavailable and say CKR_OK. */
        if (a[i].ulValueLen == CK_UNAVAILABLE_INFORMATION) return CKR_ATTRIBUTE_TYPE_INVALID;
        if (a[i].ulValueLen > room[i]) return CKR_BUFFER_TOO_SMALL;
    }
    return CKR_OK;
}

CK_RV attribute_read(struct p11_session *s, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                     void *out, size_t cap, size_t *ret_len)
{
    CK_ATTRIBUTE a = {type, out, cap};
    CK_RV rv = attributes_read(s, object, &a, 1);
    if (rv == CKR_OK) *ret_len = a.ulValueLen;
    return rv;
}
