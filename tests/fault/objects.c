/* What a token refuses to keep, and what it shows otherwise than it is. */
#include "tests/fault/fault.h"

#include <string.h>

static bool is_true(const CK_ATTRIBUTE *a)
{
    return a->pValue && a->ulValueLen == sizeof(CK_BBOOL) && *(CK_BBOOL *) a->pValue == CK_TRUE;
}

static bool is_data(const CK_ATTRIBUTE *a)
{
    return a->pValue && a->ulValueLen == sizeof(CK_OBJECT_CLASS) &&
           *(CK_OBJECT_CLASS *) a->pValue == CKO_DATA;
}

static bool is_refused(const struct powers *p, const CK_ATTRIBUTE *t, CK_ULONG n)
{
    for (CK_ULONG i = 0; i < n; i++) {
        const CK_ATTRIBUTE *a = &t[i];
        if (a->type == CKA_VALUE && p->value_max && a->ulValueLen > p->value_max) return true;
        if (a->type == CKA_LABEL && p->label_max && a->ulValueLen > p->label_max) return true;
        if (a->type == CKA_CLASS && p->no_data && is_data(a)) return true;
        if (a->type == CKA_PRIVATE && p->no_private && is_true(a)) return true;
    }
    return false;
}

/* CKR_OK, or what the token says of such an object. */
static CK_RV judge(const CK_ATTRIBUTE *t, CK_ULONG n)
{
    struct powers p = powers_now();
    if (!is_refused(&p, t, n)) return CKR_OK;
    return p.objects_rv ? p.objects_rv : CKR_ATTRIBUTE_VALUE_INVALID;
}

CK_RV shaped_C_CreateObject(struct call *c, CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG t_n,
                            CK_OBJECT_HANDLE *r)
{
    CK_RV rv = judge(t, t_n);
    return rv == CKR_OK ? real->C_CreateObject(s, t, t_n, r) : rv;
}

CK_RV shaped_C_CopyObject(struct call *c, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t,
                          CK_ULONG t_n, CK_OBJECT_HANDLE *r)
{
    CK_RV rv = judge(t, t_n);
    return rv == CKR_OK ? real->C_CopyObject(s, o, t, t_n, r) : rv;
}

CK_RV shaped_C_SetAttributeValue(struct call *c, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o,
                                 CK_ATTRIBUTE *t, CK_ULONG t_n)
{
    CK_RV rv = judge(t, t_n);
    return rv == CKR_OK ? real->C_SetAttributeValue(s, o, t, t_n) : rv;
}

/* ---- showing ------------------------------------------------------------------------------ */

static bool has_value(const CK_ATTRIBUTE *a)
{
    return a->ulValueLen && a->ulValueLen != CK_UNAVAILABLE_INFORMATION;
}

/* A truth turns over; of anything else the first bit does. */
static void flip(CK_ATTRIBUTE *a)
{
    CK_BYTE *at = a->pValue;
    if (at && has_value(a)) *at ^= 1;
}

CK_RV shaped_C_GetAttributeValue(struct call *c, CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o,
                                 CK_ATTRIBUTE *t, CK_ULONG t_n)
{
    CK_RV rv = real->C_GetAttributeValue(s, o, t, t_n);
    if (rv != CKR_OK) return rv;
    for (CK_ULONG i = 0; i < t_n; i++) {
        for (size_t k = 0; k < c->flip_count; k++)
            if (c->flips[k] == t[i].type) flip(&t[i]);
        if (has_value(&t[i]))
            t[i].ulValueLen -= c->short_by < t[i].ulValueLen ? c->short_by : t[i].ulValueLen;
    }
    return CKR_OK;
}
