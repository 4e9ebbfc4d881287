/* All functions of PKCS#11 2.40, in lists that make the wrappers, the table and the names.
 *
 * X(name, parameters, arguments, session, length): `session` is the call's own, or NO_SESSION;
 * `length` points at the length that the call tells, or is NULL. PLAIN ones go straight to the real
 * module, SHAPED ones to shaped_<name>, which may change what goes in and what comes out. */
#pragma once

#include <p11-kit/pkcs11.h>

#define NO_SESSION CK_INVALID_HANDLE
#define UNPAREN(...) __VA_ARGS__

#define S CK_SESSION_HANDLE s
#define IN(p) CK_BYTE *p, CK_ULONG p##_n
#define OUT(p) CK_BYTE *p, CK_ULONG *p##_n
#define TEMPLATE(p) CK_ATTRIBUTE *p, CK_ULONG p##_n
#define KEY CK_MECHANISM *m, CK_OBJECT_HANDLE key

#define PLAIN_FUNCTIONS(X)                                                                        \
    X(C_GetInfo, (CK_INFO * i), (i), NO_SESSION, NULL)                                            \
    X(C_GetOperationState, (S, OUT(o)), (s, o, o_n), s, o_n)                                      \
    X(C_SetOperationState, (S, IN(o), CK_OBJECT_HANDLE e, CK_OBJECT_HANDLE a),                    \
      (s, o, o_n, e, a), s, NULL)                                                                 \
    X(C_Logout, (S), (s), s, NULL)                                                                \
    X(C_DestroyObject, (S, CK_OBJECT_HANDLE o), (s, o), s, NULL)                                  \
    X(C_GetObjectSize, (S, CK_OBJECT_HANDLE o, CK_ULONG * n), (s, o, n), s, n)                    \
    X(C_FindObjectsInit, (S, TEMPLATE(t)), (s, t, t_n), s, NULL)                                  \
    X(C_FindObjects, (S, CK_OBJECT_HANDLE * o, CK_ULONG max, CK_ULONG * n), (s, o, max, n), s, n) \
    X(C_FindObjectsFinal, (S), (s), s, NULL)                                                      \
    X(C_EncryptUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                           \
    X(C_EncryptFinal, (S, OUT(o)), (s, o, o_n), s, o_n)                                           \
    X(C_DecryptUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                           \
    X(C_DecryptFinal, (S, OUT(o)), (s, o, o_n), s, o_n)                                           \
    X(C_DigestInit, (S, CK_MECHANISM * m), (s, m), s, NULL)                                       \
    X(C_Digest, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                                  \
    X(C_DigestUpdate, (S, IN(i)), (s, i, i_n), s, NULL)                                           \
    X(C_DigestKey, (S, CK_OBJECT_HANDLE key), (s, key), s, NULL)                                  \
    X(C_DigestFinal, (S, OUT(o)), (s, o, o_n), s, o_n)                                            \
    X(C_SignInit, (S, KEY), (s, m, key), s, NULL)                                                 \
    X(C_Sign, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                                    \
    X(C_SignUpdate, (S, IN(i)), (s, i, i_n), s, NULL)                                             \
    X(C_SignFinal, (S, OUT(o)), (s, o, o_n), s, o_n)                                              \
    X(C_SignRecoverInit, (S, KEY), (s, m, key), s, NULL)                                          \
    X(C_SignRecover, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                             \
    X(C_VerifyInit, (S, KEY), (s, m, key), s, NULL)                                               \
    X(C_Verify, (S, IN(i), IN(o)), (s, i, i_n, o, o_n), s, NULL)                                  \
    X(C_VerifyUpdate, (S, IN(i)), (s, i, i_n), s, NULL)                                           \
    X(C_VerifyFinal, (S, IN(o)), (s, o, o_n), s, NULL)                                            \
    X(C_VerifyRecoverInit, (S, KEY), (s, m, key), s, NULL)                                        \
    X(C_VerifyRecover, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                           \
    X(C_DigestEncryptUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                     \
    X(C_DecryptDigestUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                     \
    X(C_SignEncryptUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                       \
    X(C_DecryptVerifyUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                     \
    X(C_GenerateKey, (S, CK_MECHANISM * m, TEMPLATE(t), CK_OBJECT_HANDLE * r),                    \
      (s, m, t, t_n, r), s, NULL)                                                                 \
    X(C_GenerateKeyPair, (S, CK_MECHANISM * m, TEMPLATE(t), TEMPLATE(v), CK_OBJECT_HANDLE * r,    \
      CK_OBJECT_HANDLE * q), (s, m, t, t_n, v, v_n, r, q), s, NULL)                               \
    X(C_WrapKey, (S, KEY, CK_OBJECT_HANDLE k, OUT(o)), (s, m, key, k, o, o_n), s, o_n)            \
    X(C_UnwrapKey, (S, KEY, IN(i), TEMPLATE(t), CK_OBJECT_HANDLE * r),                            \
      (s, m, key, i, i_n, t, t_n, r), s, NULL)                                                    \
    X(C_DeriveKey, (S, KEY, TEMPLATE(t), CK_OBJECT_HANDLE * r), (s, m, key, t, t_n, r), s, NULL)  \
    X(C_SeedRandom, (S, IN(i)), (s, i, i_n), s, NULL)                                             \
    X(C_GenerateRandom, (S, IN(i)), (s, i, i_n), s, NULL)                                         \
    X(C_GetFunctionStatus, (S), (s), s, NULL)                                                     \
    X(C_CancelFunction, (S), (s), s, NULL)                                                        \
    X(C_WaitForSlotEvent, (CK_FLAGS f, CK_SLOT_ID * slot, void *a), (f, slot, a), NO_SESSION,     \
      NULL)

#define SHAPED_FUNCTIONS(X)                                                                       \
    X(C_Initialize, (void *a), (a), NO_SESSION, NULL)                                             \
    X(C_Finalize, (void *a), (a), NO_SESSION, NULL)                                               \
    X(C_GetSlotList, (CK_BBOOL present, CK_SLOT_ID * l, CK_ULONG * n), (present, l, n),           \
      NO_SESSION, n)                                                                              \
    X(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO * i), (slot, i), NO_SESSION, NULL)            \
    X(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO * i), (slot, i), NO_SESSION, NULL)          \
    X(C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE * l, CK_ULONG * n), (slot, l, n),   \
      NO_SESSION, n)                                                                              \
    X(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE t, CK_MECHANISM_INFO * i),          \
      (slot, t, i), NO_SESSION, NULL)                                                             \
    X(C_InitToken, (CK_SLOT_ID slot, IN(pin), CK_BYTE * label), (slot, pin, pin_n, label),        \
      NO_SESSION, NULL)                                                                           \
    X(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS f, void *app, CK_NOTIFY n, CK_SESSION_HANDLE *r), \
      (slot, f, app, n, r), NO_SESSION, NULL)                                                     \
    X(C_CloseSession, (S), (s), s, NULL)                                                          \
    X(C_CloseAllSessions, (CK_SLOT_ID slot), (slot), NO_SESSION, NULL)                            \
    X(C_GetSessionInfo, (S, CK_SESSION_INFO * i), (s, i), s, NULL)                                \
    X(C_Login, (S, CK_USER_TYPE user, IN(pin)), (s, user, pin, pin_n), s, NULL)                   \
    X(C_SetPIN, (S, IN(old), IN(fresh)), (s, old, old_n, fresh, fresh_n), s, NULL)                \
    X(C_InitPIN, (S, IN(pin)), (s, pin, pin_n), s, NULL)                                          \
    X(C_CreateObject, (S, TEMPLATE(t), CK_OBJECT_HANDLE * r), (s, t, t_n, r), s, NULL)            \
    X(C_CopyObject, (S, CK_OBJECT_HANDLE o, TEMPLATE(t), CK_OBJECT_HANDLE * r),                   \
      (s, o, t, t_n, r), s, NULL)                                                                 \
    X(C_GetAttributeValue, (S, CK_OBJECT_HANDLE o, TEMPLATE(t)), (s, o, t, t_n), s, NULL)         \
    X(C_SetAttributeValue, (S, CK_OBJECT_HANDLE o, TEMPLATE(t)), (s, o, t, t_n), s, NULL)         \
    X(C_EncryptInit, (S, KEY), (s, m, key), s, NULL)                                              \
    X(C_Encrypt, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)                                 \
    X(C_DecryptInit, (S, KEY), (s, m, key), s, NULL)                                              \
    X(C_Decrypt, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n), s, o_n)

#define ALL_FUNCTIONS(X) PLAIN_FUNCTIONS(X) SHAPED_FUNCTIONS(X)

enum function {
#define NUMBER(name, ...) FN_##name,
    ALL_FUNCTIONS(NUMBER)
#undef NUMBER
    FN_COUNT,
    FN_ANY = FN_COUNT, /* a rule for every function */
};
