/* The calls that cross the wall (wall.h): one table of their shapes, how long each may take, and how the
 * helper makes it. A function of PKCS#11 that pkcs11/ begins to use gets a row here and a stub in
 * wall_stubs.c; a test finds those that have none. */
#pragma once

#include "pkcs11/wall_frame.h"

/* X(name, shape, bytes of an f, time) */
#define WALL_TABLE(X)                                               \
    X(Initialize, "", 0, LONG)                                      \
    X(Finalize, "", 0, SHORT)                                       \
    X(GetInfo, "f", sizeof(CK_INFO), SHORT)                         \
    X(GetSlotList, "ul", 0, SHORT)                                  \
    X(GetTokenInfo, "uf", sizeof(CK_TOKEN_INFO), SHORT)             \
    X(OpenSession, "uuh", 0, SHORT)                                 \
    X(CloseSession, "u", 0, SHORT)                                  \
    X(GetSessionInfo, "uf", sizeof(CK_SESSION_INFO), SHORT)         \
    X(Login, "uuiiuo", 0, LONG)                                     \
    X(Logout, "u", 0, SHORT)                                        \
    X(CreateObject, "uth", 0, SHORT)                                \
    X(DestroyObject, "uu", 0, SHORT)                                \
    X(GetAttributeValue, "uua", 0, SHORT)                           \
    X(SetAttributeValue, "uut", 0, SHORT)                           \
    X(FindObjectsInit, "ut", 0, SHORT)                              \
    X(FindObjects, "ul", 0, SHORT)                                  \
    X(FindObjectsFinal, "u", 0, SHORT)                              \
    X(EncryptInit, "umu", 0, SHORT)                                 \
    X(Encrypt, "uio", 0, SHORT)                                     \
    X(DecryptInit, "umu", 0, SHORT)                                 \
    X(Decrypt, "uio", 0, SHORT)                                     \
    X(SignInit, "umu", 0, SHORT)                                    \
    X(Sign, "uio", 0, SHORT)                                        \
    X(VerifyInit, "umu", 0, SHORT)                                  \
    X(Verify, "uii", 0, SHORT)                                      \
    X(GenerateKey, "umth", 0, SHORT)                                \
    X(GenerateKeyPair, "umtthh", 0, LONG)                           \
    X(WrapKey, "umuuo", 0, SHORT)                                   \
    X(UnwrapKey, "umuith", 0, SHORT)

#define WALL_ID(name, ...) WALL_##name,
enum wall_call_id { WALL_TABLE(WALL_ID) WALL_CALL_COUNT };

enum wall_time { WALL_TIME_SHORT, WALL_TIME_LONG, WALL_TIME_COUNT };

struct wall_call {
    const char *name; /* "C_Decrypt" */
    struct wall_shape shape;
    enum wall_time time;
    /* In the helper: the call with these arguments. */
    CK_RV (*make)(CK_FUNCTION_LIST *fn, struct wall_arg *a);
};

/* NULL for a number that is none. Static; thread-safe. */
const struct wall_call *wall_call(uint64_t id);
wall_shape_fn wall_call_shape;

CK_RV wall_initialize_make(CK_FUNCTION_LIST *fn);

/* C_Login is a call of its own: the gate of login.h, with the PIN that the helper reads itself.
 * Arguments: slot, session, pin_source, state_dir, whether the last PIN is spent, and room for a struct
 * wall_login_answer, which tells how it went; the CK_RV is CKR_OK whenever it does. */
CK_RV wall_login_make(CK_FUNCTION_LIST *fn, struct wall_arg *a);
