/* Templates, finding objects, reading attributes: what kek.c, object.c and epoch.c share. */
#pragma once

#include "pkcs11/p11_internal.h"

/* A row of a template. The module only reads what a template points to. */
#define ATTR(type, value) {(type), (void *) &(value), sizeof(value)}
#define ATTR_SPAN(type, span) {(type), (void *) (span).data, (span).len}
#define ATTR_COUNT(template) (sizeof(template) / sizeof *(template))

/* Object handles that were found. Owner frees with handles_free. */
struct handles {
    CK_OBJECT_HANDLE *at;
    size_t n, cap;
};
void handles_free(struct handles *h);
#define _cleanup_handles_ _cleanup_(handles_free)

/* Everything that matches, at most max (ERR_TOOLARGE beyond; `what` names it in the error). The
 * find is ended on every path: an open one would make each later operation of the session fail.
 * _locked: the caller holds object_lock. */
err_t find_objects(struct p11_session *s, CK_ATTRIBUTE *template, CK_ULONG n, size_t max,
                   const char *what, struct handles *ret);
err_t find_objects_locked(struct p11_session *s, CK_ATTRIBUTE *template, CK_ULONG n, size_t max,
                          const char *what, struct handles *ret);

#define ATTRIBUTES_MAX 4u

/* Attributes into the room that each of a offers, in one call; their lengths afterwards. CKR_BUFFER_TOO_SMALL
 * when one is longer, CKR_ATTRIBUTE_TYPE_INVALID when the object lacks one. Needs no object_lock. */
CK_RV attributes_read(struct p11_session *s, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *a, CK_ULONG n);
/* The same for one, into out. */
CK_RV attribute_read(struct p11_session *s, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                     void *out, size_t cap, size_t *ret_len);
