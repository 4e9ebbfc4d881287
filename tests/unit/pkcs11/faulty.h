/* The fault module by itself, without the code that it is there to test: a SoftHSM token behind it,
 * and the bare PKCS#11 calls. */
#pragma once

#include "tests/lib/softhsm.h"
#include "tests/lib/test.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

static struct softhsm hsm;
static CK_FUNCTION_LIST *fn;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session;

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
#define VALUE(type, v) {type, (void *) &(v), sizeof(v)}
#define TEXT(type, v) {type, (void *) (v), strlen(v)}
#define COUNT_OF(a) (sizeof(a) / sizeof *(a))

static inline void rules(const char *text)
{
    assert_int_equal(softhsm_fault(&hsm, text), 0);
}

static inline void assert_rv(CK_RV rv, CK_RV want)
{
    if (rv != want) fail_msg("CK_RV 0x%lx, not 0x%lx", rv, want);
}

static inline void load(void)
{
    void *module = dlopen(softhsm_fault_module(), RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = NULL;
    if (module) *(void **) &get = dlsym(module, "C_GetFunctionList");
    assert_true(get && get(&fn) == CKR_OK);
}

static inline void initialize(void)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    assert_rv(fn->C_Initialize(&args), CKR_OK);
}

/* The slot of the initialised token. */
static inline CK_SLOT_ID find_slot(void)
{
    CK_SLOT_ID list[8];
    CK_ULONG n = COUNT_OF(list);
    CK_TOKEN_INFO info;
    assert_rv(fn->C_GetSlotList(CK_TRUE, list, &n), CKR_OK);
    for (CK_ULONG i = 0; i < n; i++)
        if (fn->C_GetTokenInfo(list[i], &info) == CKR_OK && info.flags & CKF_TOKEN_INITIALIZED)
            return list[i];
    fail_msg("no token");
    return 0;
}

static inline CK_RV open_session(CK_SESSION_HANDLE *ret)
{
    return fn->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, ret);
}

static inline CK_RV login_with(const char *pin)
{
    return fn->C_Login(session, CKU_USER, (CK_BYTE *) pin, strlen(pin));
}

static inline CK_RV create_data(const char *label, struct span value, CK_BBOOL private,
                                CK_OBJECT_HANDLE *ret)
{
    const CK_OBJECT_CLASS data = CKO_DATA;
    CK_ATTRIBUTE t[] = {
        VALUE(CKA_CLASS, data), VALUE(CKA_TOKEN, yes), VALUE(CKA_PRIVATE, private),
        TEXT(CKA_LABEL, label), {CKA_VALUE, (void *) value.data, value.len},
    };
    return fn->C_CreateObject(session, t, COUNT_OF(t), ret);
}

#define FOUND_MAX 4

static inline CK_RV find_data(const char *label, CK_OBJECT_HANDLE ret[FOUND_MAX], CK_ULONG *ret_n)
{
    const CK_OBJECT_CLASS data = CKO_DATA;
    CK_ATTRIBUTE t[] = {VALUE(CKA_CLASS, data), TEXT(CKA_LABEL, label)};
    CK_RV rv = fn->C_FindObjectsInit(session, t, COUNT_OF(t));
    if (rv != CKR_OK) return rv;
    rv = fn->C_FindObjects(session, ret, FOUND_MAX, ret_n);
    fn->C_FindObjectsFinal(session);
    return rv;
}

static inline CK_OBJECT_HANDLE make_key(void)
{
    const CK_ULONG bytes = 32;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_MECHANISM m = {.mechanism = CKM_AES_KEY_GEN};
    CK_ATTRIBUTE t[] = {
        VALUE(CKA_VALUE_LEN, bytes), VALUE(CKA_TOKEN, no), VALUE(CKA_PRIVATE, yes),
        VALUE(CKA_SENSITIVE, yes), VALUE(CKA_ENCRYPT, yes), VALUE(CKA_DECRYPT, yes),
    };
    assert_rv(fn->C_GenerateKey(session, &m, t, COUNT_OF(t), &key), CKR_OK);
    return key;
}

static inline void log_in(void)
{
    slot = find_slot();
    assert_rv(open_session(&session), CKR_OK);
    assert_rv(login_with(SOFTHSM_PIN), CKR_OK);
}

/* Setup and teardown of a test: initialised, logged in, no rules. */
static inline int faulty_start(void **state)
{
    (void) state;
    if (!softhsm_fault_module()) {
        fprintf(stderr, "STRONGROOM_FAULT_MODULE is not set\n");
        return -1;
    }
    if (softhsm_start(&hsm, "test")) return -1;
    rules("");
    load();
    initialize();
    log_in();
    return 0;
}

static inline int faulty_stop(void **state)
{
    (void) state;
    if (hsm.dir[0]) softhsm_fault(&hsm, "");
    fn->C_Finalize(NULL);
    return softhsm_stop(&hsm);
}
