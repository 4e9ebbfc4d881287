/* Data objects, for object.c and epoch.c. */
#pragma once

#include "pkcs11/p11_internal.h"

/* Creates without reading back; the caller holds object_lock. modifiable: its label will change. */
CK_RV object_create_locked(struct p11_session *s, const char *label, struct span value,
                           bool modifiable, CK_OBJECT_HANDLE *ret);

/* The label as text; CKR_ATTRIBUTE_VALUE_INVALID when it is too long for one of ours or has a NUL
 * in it. Needs no lock. */
CK_RV object_label(struct p11_session *s, CK_OBJECT_HANDLE object, char out[P11_LABEL_MAX]);

/* Whether the token took the object but wants other attributes than we asked for. */
bool rv_refuses_template(CK_RV rv);
