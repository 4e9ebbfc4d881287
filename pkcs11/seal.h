/* Sealing and opening under one KEK, for seal.c, rewrap.c and canary.c. */
#pragma once

#include "pkcs11/suite.h"

/* The part of a KEK that sealing and opening need; a copy, so that no lock is held meanwhile. */
struct seal_key {
    CK_OBJECT_HANDLE handle;
    uint64_t epoch;
    uint8_t id[ENVELOPE_KEK_ID];
    uint32_t generation;
};
struct seal_key seal_key_of(const struct p11_kek *kek);

/* The KEK that new envelopes name, and how they are made. ERR_HUMAN: there is none. */
err_t active_key(struct p11 *p, struct seal_key *ret, const struct suite_way **ret_way);
/* The newest KEK of ours that is among the recipients. Unsound ones are not used at all. */
bool own_key(struct p11 *p, const struct envelope *e, struct seal_key *ret);

/* Neither the store nor a lost object is meant here: session keys ran out of room, or the token no
 * longer knows a key that it had. */
enum err_class seal_class(CK_RV rv);

/* Appends a complete envelope for this KEK, made in this way. meta->suite is the way's. */
err_t seal_under(struct p11 *p, const struct seal_key *key, const struct suite_way *way,
                 const struct envelope_meta *meta, struct span plaintext, struct buf *ret);

/* A recipient whose spans point into `wrapped`. */
struct envelope_recipient recipient_for(const struct seal_key *key, const struct suite_way *way,
                                        uint8_t wrapped[ENVELOPE_KEYS][CEK_WRAPPED_MAX],
                                        size_t keys);
/* Destroys those that are handles. Gives rv back, or, when that is CKR_OK, why one of them stays. */
CK_RV destroy_keys(struct cek_op *op, const CK_OBJECT_HANDLE *ceks, CK_RV rv);

/* What the module said of an opening: CKR_OK and the plaintext, or the code and its call. */
struct open_result { CK_RV rv; const char *call; };

/* The recipient that this KEK can unwrap; NULL: the envelope does not name it, or by a mechanism or
 * with a number of keys that are not for its suite. */
const struct envelope_recipient *recipient_of(const struct envelope *e,
                                              const struct seal_key *key);

/* Opens without judging: the module's answer is in *ret_result, *ret is the plaintext only when
 * that is CKR_OK. Errors are ours (no session, no locked memory). Repeats once on a new session
 * where that may help. cached: through the content-key cache. */
err_t open_under(struct p11 *p, const struct seal_key *key, const struct envelope *e,
                 bool cached, struct secret **ret, struct open_result *ret_result);
