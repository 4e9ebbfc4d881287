/* Data objects on the token, for place.c, epoch.c and object.c. */
#pragma once

#include "pkcs11/find.h"

/* What must match in every find, and be set in every object. A find by label names the label first:
 * SoftHSM decrypts attribute after attribute until one differs. */
#define OBJECT_APPLICATION "strongroom"
extern const char object_application[sizeof OBJECT_APPLICATION];
extern const CK_OBJECT_CLASS object_data_class;
extern const CK_BBOOL object_yes;
#define OBJECT_OURS                                                              \
    ATTR(CKA_CLASS, object_data_class), ATTR(CKA_TOKEN, object_yes),             \
    {CKA_APPLICATION, (void *) object_application, sizeof object_application - 1}

/* Those of ours that have this label (NULL: all), at most max; see find_objects_locked. */
err_t object_find_locked(struct p11_session *s, const char *label, size_t max, struct handles *ret);

/* Creates without reading back; the caller holds object_lock. modifiable: its label will change. */
CK_RV object_create_locked(struct p11_session *s, const char *label, struct span value,
                           bool modifiable, CK_OBJECT_HANDLE *ret);

/* The label as text; CKR_ATTRIBUTE_VALUE_INVALID when it is too long for one of ours or has a NUL
 * in it. Needs no lock. */
CK_RV object_label(struct p11_session *s, CK_OBJECT_HANDLE object, char out[P11_LABEL_MAX]);

/* What is not there is believed only of a token that opens its canary, in the same opening: without the
 * login private objects are not shown, and SoftHSM without its directory shows none (tokens.md 2.2). The
 * caller holds no session. */
err_t object_still_ours(struct p11 *p, uint64_t epoch);

/* As p11.h describes p11_object_*, of the token itself. */
err_t token_object_create(struct p11 *p, const char *label, struct span value,
                          struct p11_object *ret);
void token_objects_create(struct p11 *p, struct p11_draft *drafts, size_t n);
err_t token_object_read(struct p11 *p, struct p11_object o, struct buf *ret);
err_t token_object_destroy(struct p11 *p, struct p11_object o);
err_t token_object_scan(struct p11 *p, bool with_values,
                        err_t (*visit)(void *arg, const struct p11_seen *seen), void *arg);
err_t token_object_rescan(struct p11 *p, const struct p11_rescan *again);
err_t token_object_find(struct p11 *p, const char *label, struct p11_object *ret, size_t max,
                        size_t *ret_n);
/* epoch.c */
err_t token_epoch_read(struct p11 *p, char ret[P11_EPOCH_TEXT]);
err_t token_epoch_touch(struct p11 *p, const char *epoch);
/* Whether there is any object of ours; where the epoch is known from then on. */
err_t token_epoch_find(struct p11 *p, bool *ret_any);

/* Makes one, reads it back and removes it: whether this token keeps data objects at all. Errors: it
 * could not be tried. */
err_t token_object_try(struct p11 *p, bool *ret_keeps);

/* Whether the token took the object but wants other attributes than we asked for. */
bool rv_refuses_template(CK_RV rv);
