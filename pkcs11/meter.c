#include "pkcs11/meter.h"

#include "broker/base/cleanup.h"
#include "pkcs11/pace.h"
#include "pkcs11/watch.h"

static struct {
    CK_FUNCTION_LIST *real; /* NULL: none is metered */
    CK_FUNCTION_LIST list;
    bool one_at_a_time;
    pthread_mutex_t turn; /* held over a call, then */
} meter = {.turn = PTHREAD_MUTEX_INITIALIZER};

static inline pthread_mutex_t *take_turn(void)
{
    if (!meter.one_at_a_time) return NULL;
    pthread_mutex_lock(&meter.turn);
    return &meter.turn;
}

/* Cryptography itself tells how fast a token is: that which prepares it may not reach the device. */
static inline CK_RV paced(CK_RV rv)
{
    pace_note(&token_pace, watch_end());
    return rv;
}

static inline CK_RV timed(CK_RV rv)
{
    watch_end();
    return rv;
}

#define S CK_SESSION_HANDLE s
#define IN(p) CK_BYTE *p, CK_ULONG p##_n
#define OUT(p) CK_BYTE *p, CK_ULONG *p##_n
#define TEMPLATE(p) CK_ATTRIBUTE *p, CK_ULONG p##_n
#define KEY CK_MECHANISM *m, CK_OBJECT_HANDLE key

/* X(function, kind of call, what ends it, parameters, arguments) */
#define METERED(X)                                                                                  \
    X(C_Encrypt, CRYPTO, paced, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                            \
    X(C_Decrypt, CRYPTO, paced, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                            \
    X(C_Sign, CRYPTO, paced, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                               \
    X(C_WrapKey, CRYPTO, paced, (S, KEY, CK_OBJECT_HANDLE k, OUT(o)), (s, m, key, k, o, o_n))       \
    X(C_UnwrapKey, CRYPTO, paced, (S, KEY, IN(i), TEMPLATE(t), CK_OBJECT_HANDLE * r),               \
      (s, m, key, i, i_n, t, t_n, r))                                                               \
    X(C_GenerateKey, CRYPTO, paced, (S, CK_MECHANISM * m, TEMPLATE(t), CK_OBJECT_HANDLE * r),       \
      (s, m, t, t_n, r))                                                                            \
    X(C_EncryptInit, CRYPTO, timed, (S, KEY), (s, m, key))                                          \
    X(C_DecryptInit, CRYPTO, timed, (S, KEY), (s, m, key))                                          \
    X(C_SignInit, CRYPTO, timed, (S, KEY), (s, m, key))                                             \
    X(C_VerifyInit, CRYPTO, timed, (S, KEY), (s, m, key))                                           \
    X(C_Verify, CRYPTO, timed, (S, IN(i), IN(o)), (s, i, i_n, o, o_n))                              \
    X(C_GetAttributeValue, CRYPTO, timed, (S, CK_OBJECT_HANDLE o, TEMPLATE(t)), (s, o, t, t_n))     \
    X(C_CreateObject, OBJECT, timed, (S, TEMPLATE(t), CK_OBJECT_HANDLE * r), (s, t, t_n, r))        \
    X(C_DestroyObject, OBJECT, timed, (S, CK_OBJECT_HANDLE o), (s, o))                              \
    X(C_SetAttributeValue, OBJECT, timed, (S, CK_OBJECT_HANDLE o, TEMPLATE(t)), (s, o, t, t_n))     \
    X(C_FindObjectsInit, OBJECT, timed, (S, TEMPLATE(t)), (s, t, t_n))                              \
    X(C_FindObjects, OBJECT, timed, (S, CK_OBJECT_HANDLE * o, CK_ULONG max, CK_ULONG * n),          \
      (s, o, max, n))                                                                               \
    X(C_FindObjectsFinal, OBJECT, timed, (S), (s))                                                  \
    X(C_OpenSession, OBJECT, timed, (CK_SLOT_ID slot, CK_FLAGS f, void *app, CK_NOTIFY n,           \
      CK_SESSION_HANDLE *r), (slot, f, app, n, r))                                                  \
    X(C_CloseSession, OBJECT, timed, (S), (s))                                                      \
    X(C_GetSessionInfo, OBJECT, timed, (S, CK_SESSION_INFO * i), (s, i))                            \
    X(C_Logout, OBJECT, timed, (S), (s))                                                            \
    X(C_GetInfo, OBJECT, timed, (CK_INFO * i), (i))                                                 \
    X(C_GetTokenInfo, OBJECT, timed, (CK_SLOT_ID slot, CK_TOKEN_INFO * i), (slot, i))               \
    X(C_GetSlotList, OBJECT, timed, (CK_BBOOL present, CK_SLOT_ID * l, CK_ULONG * n),               \
      (present, l, n))                                                                              \
    X(C_GenerateKeyPair, LONG, timed, (S, CK_MECHANISM * m, TEMPLATE(t), TEMPLATE(v),               \
      CK_OBJECT_HANDLE * r, CK_OBJECT_HANDLE * q), (s, m, t, t_n, v, v_n, r, q))                    \
    X(C_Login, LONG, timed, (S, CK_USER_TYPE user, IN(pin)), (s, user, pin, pin_n))

#define CALL(name, kind, end, parameters, arguments)                             \
    static CK_RV meter_##name parameters                                         \
    {                                                                            \
        watch_begin(WATCH_##kind);                                               \
        _cleanup_(cleanup_unlock) pthread_mutex_t *turn = take_turn();           \
        (void) turn; /* held until the end */                                    \
        return end(meter.real->name arguments);                                  \
    }
METERED(CALL)

CK_FUNCTION_LIST *meter_wrap(CK_FUNCTION_LIST *real)
{
    if (meter.real) return meter.real == real ? &meter.list : real;
    meter.real = real;
    meter.list = *real;
#define ENTRY(name, kind, end, parameters, arguments) meter.list.name = meter_##name;
    METERED(ENTRY)
    return &meter.list;
}

void meter_serialize(void)
{
    meter.one_at_a_time = true;
}

void meter_unwrap(const CK_FUNCTION_LIST *real)
{
    if (meter.real != real) return;
    meter.real = NULL;
    meter.one_at_a_time = false;
}
