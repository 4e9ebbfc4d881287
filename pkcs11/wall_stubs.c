#include "pkcs11/wall.h"

/* The request that this thread makes, and whether it holds the start of an operation that is to come. */
static _Thread_local struct wall_request request;
static _Thread_local struct {
    bool waits;
    enum wall_call_id call;
    CK_SESSION_HANDLE session;
} start;

#define START_ROOM 64u /* words that the operation itself may take */

static CK_RV finish(enum wall_call_id id, struct wall_arg *args)
{
    const struct wall_call *call = wall_call(id);
    start.waits = false;
    wall_request_add(&request, id, &call->shape, args);
    CK_RV rv = wall_exchange(&request, call, args);
    wall_request_wipe(&request);
    return rv;
}

static CK_RV single(enum wall_call_id id, struct wall_arg *args)
{
    wall_request_start(&request, false);
    return finish(id, args);
}

/* The start of an operation waits for the operation, so that both cross the wall at once. One that never comes
 * never began. A long parameter crosses alone. */
static CK_RV begin(enum wall_call_id id, struct wall_arg *args)
{
    wall_request_start(&request, true);
    wall_request_add(&request, id, &wall_call(id)->shape, args);
    if (request.failed || request.used > WALL_WORDS - START_ROOM) return single(id, args);
    start.waits = true;
    start.call = id;
    start.session = args[0].n;
    return CKR_OK;
}

static CK_RV operate(enum wall_call_id begun, enum wall_call_id id, struct wall_arg *args)
{
    if (!start.waits || start.call != begun || start.session != args[0].n) return single(id, args);
    request.copies = false;
    return finish(id, args);
}

/* ---- the functions ----------------------------------------------------------------------- */

#define ARGS(...) (struct wall_arg[WALL_ARGS]){__VA_ARGS__}
#define U(v) {.n = (v)}
#define BYTES(at, len) {.n = (len), .p = (at)}
#define ROOM(at, len) {.n = *(len), .p = (at), .ret = (len)}
#define NUMBER(at) {.ret = (at)}
#define AT(at) {.p = (at)}

static CK_RV w_Initialize(void *args) { return wall_initialize(); }
static CK_RV w_Finalize(void *reserved) { return wall_finalize(); }
static CK_RV w_GetInfo(CK_INFO *info) { return single(WALL_GetInfo, ARGS(AT(info))); }
static CK_RV w_GetSlotList(CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n)
{
    return single(WALL_GetSlotList, ARGS(U(present), ROOM(list, n)));
}
static CK_RV w_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    return single(WALL_GetTokenInfo, ARGS(U(slot), AT(info)));
}
static CK_RV w_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify,
                           CK_SESSION_HANDLE *h)
{
    return single(WALL_OpenSession, ARGS(U(slot), U(flags), NUMBER(h)));
}
static CK_RV w_CloseSession(CK_SESSION_HANDLE h) { return single(WALL_CloseSession, ARGS(U(h))); }
static CK_RV w_GetSessionInfo(CK_SESSION_HANDLE h, CK_SESSION_INFO *info)
{
    return single(WALL_GetSessionInfo, ARGS(U(h), AT(info)));
}
static CK_RV w_Logout(CK_SESSION_HANDLE h) { return single(WALL_Logout, ARGS(U(h))); }
static CK_RV w_CreateObject(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o)
{
    return single(WALL_CreateObject, ARGS(U(h), BYTES(t, n), NUMBER(o)));
}
static CK_RV w_DestroyObject(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o)
{
    return single(WALL_DestroyObject, ARGS(U(h), U(o)));
}
static CK_RV w_GetAttributeValue(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n)
{
    return single(WALL_GetAttributeValue, ARGS(U(h), U(o), BYTES(t, n)));
}
static CK_RV w_SetAttributeValue(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n)
{
    return single(WALL_SetAttributeValue, ARGS(U(h), U(o), BYTES(t, n)));
}
static CK_RV w_FindObjectsInit(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n)
{
    return single(WALL_FindObjectsInit, ARGS(U(h), BYTES(t, n)));
}
static CK_RV w_FindObjects(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE *list, CK_ULONG max, CK_ULONG *n)
{
    return single(WALL_FindObjects, ARGS(U(h), {.n = max, .p = list, .ret = n}));
}
static CK_RV w_FindObjectsFinal(CK_SESSION_HANDLE h) { return single(WALL_FindObjectsFinal, ARGS(U(h))); }
static CK_RV w_EncryptInit(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    return begin(WALL_EncryptInit, ARGS(U(h), AT(m), U(key)));
}
static CK_RV w_Encrypt(CK_SESSION_HANDLE h, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *out_n)
{
    return operate(WALL_EncryptInit, WALL_Encrypt, ARGS(U(h), BYTES(in, n), ROOM(out, out_n)));
}
static CK_RV w_DecryptInit(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    return begin(WALL_DecryptInit, ARGS(U(h), AT(m), U(key)));
}
static CK_RV w_Decrypt(CK_SESSION_HANDLE h, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *out_n)
{
    return operate(WALL_DecryptInit, WALL_Decrypt, ARGS(U(h), BYTES(in, n), ROOM(out, out_n)));
}
static CK_RV w_SignInit(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    return begin(WALL_SignInit, ARGS(U(h), AT(m), U(key)));
}
static CK_RV w_Sign(CK_SESSION_HANDLE h, CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *out_n)
{
    return operate(WALL_SignInit, WALL_Sign, ARGS(U(h), BYTES(in, n), ROOM(out, out_n)));
}
static CK_RV w_VerifyInit(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    return begin(WALL_VerifyInit, ARGS(U(h), AT(m), U(key)));
}
static CK_RV w_Verify(CK_SESSION_HANDLE h, CK_BYTE *in, CK_ULONG n, CK_BYTE *by, CK_ULONG by_n)
{
    return operate(WALL_VerifyInit, WALL_Verify, ARGS(U(h), BYTES(in, n), BYTES(by, by_n)));
}
static CK_RV w_GenerateKey(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_ATTRIBUTE *t, CK_ULONG n,
                           CK_OBJECT_HANDLE *key)
{
    return single(WALL_GenerateKey, ARGS(U(h), AT(m), BYTES(t, n), NUMBER(key)));
}
static CK_RV w_GenerateKeyPair(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_ATTRIBUTE *public_t,
                               CK_ULONG public_n, CK_ATTRIBUTE *private_t, CK_ULONG private_n,
                               CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key)
{
    return single(WALL_GenerateKeyPair, ARGS(U(h), AT(m), BYTES(public_t, public_n),
                                             BYTES(private_t, private_n), NUMBER(public_key),
                                             NUMBER(private_key)));
}
static CK_RV w_WrapKey(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE by, CK_OBJECT_HANDLE key,
                       CK_BYTE *out, CK_ULONG *out_n)
{
    return single(WALL_WrapKey, ARGS(U(h), AT(m), U(by), U(key), ROOM(out, out_n)));
}
static CK_RV w_UnwrapKey(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE by, CK_BYTE *in,
                         CK_ULONG in_n, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *key)
{
    return single(WALL_UnwrapKey, ARGS(U(h), AT(m), U(by), BYTES(in, in_n), BYTES(t, n), NUMBER(key)));
}
/* The PIN is not here. */
static CK_RV w_Login(CK_SESSION_HANDLE h, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG n)
{
    return CKR_FUNCTION_NOT_SUPPORTED;
}

#define ENTRY(name, ...) .C_##name = w_##name,
CK_FUNCTION_LIST wall_stubs = {.version = {2, 40}, WALL_TABLE(ENTRY)};
