#include "pkcs11/wall_calls.h"

/* ---- how the helper makes each call ------------------------------------------------------ */

#define MAKE(name) static CK_RV make_##name(CK_FUNCTION_LIST *fn, struct wall_arg *a)
#define U(i) a[i].n
#define BYTES(i) a[i].p, a[i].n  /* bytes in, or a template */
#define ROOM(i) a[i].p, a[i].ret /* bytes or numbers out */

MAKE(Initialize) { return wall_initialize_make(fn); }
MAKE(Finalize) { return fn->C_Finalize(NULL); }
MAKE(GetInfo) { return fn->C_GetInfo(a[0].p); }
MAKE(GetSlotList) { return fn->C_GetSlotList(U(0) ? CK_TRUE : CK_FALSE, ROOM(1)); }
MAKE(GetTokenInfo) { return fn->C_GetTokenInfo(U(0), a[1].p); }
MAKE(OpenSession) { return fn->C_OpenSession(U(0), U(1), NULL, NULL, a[2].ret); }
MAKE(CloseSession) { return fn->C_CloseSession(U(0)); }
MAKE(GetSessionInfo) { return fn->C_GetSessionInfo(U(0), a[1].p); }
MAKE(Login) { return wall_login_make(fn, a); }
MAKE(Logout) { return fn->C_Logout(U(0)); }
MAKE(CreateObject) { return fn->C_CreateObject(U(0), BYTES(1), a[2].ret); }
MAKE(DestroyObject) { return fn->C_DestroyObject(U(0), U(1)); }
MAKE(GetAttributeValue) { return fn->C_GetAttributeValue(U(0), U(1), BYTES(2)); }
MAKE(SetAttributeValue) { return fn->C_SetAttributeValue(U(0), U(1), BYTES(2)); }
MAKE(FindObjectsInit) { return fn->C_FindObjectsInit(U(0), BYTES(1)); }
MAKE(FindObjects) { return fn->C_FindObjects(U(0), a[1].p, U(1), a[1].ret); }
MAKE(FindObjectsFinal) { return fn->C_FindObjectsFinal(U(0)); }
MAKE(EncryptInit) { return fn->C_EncryptInit(U(0), a[1].p, U(2)); }
MAKE(Encrypt) { return fn->C_Encrypt(U(0), BYTES(1), ROOM(2)); }
MAKE(DecryptInit) { return fn->C_DecryptInit(U(0), a[1].p, U(2)); }
MAKE(Decrypt) { return fn->C_Decrypt(U(0), BYTES(1), ROOM(2)); }
MAKE(SignInit) { return fn->C_SignInit(U(0), a[1].p, U(2)); }
MAKE(Sign) { return fn->C_Sign(U(0), BYTES(1), ROOM(2)); }
MAKE(VerifyInit) { return fn->C_VerifyInit(U(0), a[1].p, U(2)); }
MAKE(Verify) { return fn->C_Verify(U(0), BYTES(1), BYTES(2)); }
MAKE(GenerateKey) { return fn->C_GenerateKey(U(0), a[1].p, BYTES(2), a[3].ret); }
MAKE(GenerateKeyPair)
{
    return fn->C_GenerateKeyPair(U(0), a[1].p, BYTES(2), BYTES(3), a[4].ret, a[5].ret);
}
MAKE(WrapKey) { return fn->C_WrapKey(U(0), a[1].p, U(2), U(3), ROOM(4)); }
MAKE(UnwrapKey) { return fn->C_UnwrapKey(U(0), a[1].p, U(2), BYTES(3), BYTES(4), a[5].ret); }

/* ---- the table --------------------------------------------------------------------------- */

#define ROW(name, letters, fixed, time) \
    [WALL_##name] = {"C_" #name, {letters, fixed}, WALL_TIME_##time, make_##name},
static const struct wall_call CALLS[] = {WALL_TABLE(ROW)};

const struct wall_call *wall_call(uint64_t id)
{
    return id < WALL_CALL_COUNT ? &CALLS[id] : NULL;
}

const struct wall_shape *wall_call_shape(uint64_t id)
{
    return id < WALL_CALL_COUNT ? &CALLS[id].shape : NULL;
}
