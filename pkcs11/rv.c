#include "pkcs11/rv.h"

#include <stdio.h>
#include <string.h>

/* PKCS#11 3.0 codes that p11-kit's header lacks. */
#define CKR_AEAD_DECRYPT_FAILED 0x42UL
#define CKR_OPERATION_CANCEL_FAILED 0x202UL
#define CKR_TOKEN_RESOURCE_EXCEEDED 0x201UL

/* And those that it numbers otherwise than the standard does. */
#undef CKR_EXCEEDED_MAX_ITERATIONS
#undef CKR_FIPS_SELF_TEST_FAILED
#undef CKR_LIBRARY_LOAD_FAILED
#undef CKR_PIN_TOO_WEAK
#undef CKR_PUBLIC_KEY_INVALID
#define CKR_EXCEEDED_MAX_ITERATIONS 0x1b5UL
#define CKR_FIPS_SELF_TEST_FAILED 0x1b6UL
#define CKR_LIBRARY_LOAD_FAILED 0x1b7UL
#define CKR_PIN_TOO_WEAK 0x1b8UL
#define CKR_PUBLIC_KEY_INVALID 0x1b9UL

struct rv_row {
    CK_RV rv;
    const char *name;
    enum err_class class;
    enum rv_reaction reaction;
};

#define ROW(name, class, reaction) {CKR_##name, "CKR_" #name, ERR_##class, RV_##reaction}

/* By number. A comment tells what a code meant in the field where the standard misleads. */
static const struct rv_row TABLE[] = {
    {CKR_OK, "CKR_OK", ERR_NONE, RV_FINE},
    ROW(CANCEL, TOKEN_DOWN, SESSION), /* dialogue at card or key pad aborted */
    ROW(HOST_MEMORY, FULL, FULL),     /* openCryptoki: 2048 objects reached; NSS: NULL IV */
    ROW(SLOT_ID_INVALID, TOKEN_DOWN, REINIT), /* slots were renumbered */
    ROW(GENERAL_ERROR, TOKEN_DOWN, CANARY),   /* SoftHSM: bad tag too; tpm2: TPM lost */
    ROW(FUNCTION_FAILED, TOKEN_DOWN, CANARY), /* CloudHSM: read-only session */
    ROW(ARGUMENTS_BAD, INTERNAL, CALLER),
    ROW(NO_EVENT, INTERNAL, CALLER),
    ROW(NEED_TO_CREATE_THREADS, HUMAN, HUMAN),
    ROW(CANT_LOCK, HUMAN, HUMAN),
    ROW(ATTRIBUTE_READ_ONLY, INTERNAL, ITEM),
    ROW(ATTRIBUTE_SENSITIVE, INTERNAL, ITEM), /* the lawful answer when we prove sensitivity */
    ROW(ATTRIBUTE_TYPE_INVALID, INTERNAL, ITEM),
    ROW(ATTRIBUTE_VALUE_INVALID, INTERNAL, ITEM),
    ROW(ACTION_PROHIBITED, INTERNAL, CALLER),
    ROW(DATA_INVALID, CRYPTO, ITEM),
    ROW(DATA_LEN_RANGE, CRYPTO, ITEM),
    ROW(DEVICE_ERROR, TOKEN_DOWN, SESSION), /* p11-kit server lost; EP11 wrong master key */
    ROW(DEVICE_MEMORY, FULL, FULL),         /* NetHSM means "no data objects"; YubiHSM log full */
    ROW(DEVICE_REMOVED, TOKEN_DOWN, REINIT),
    ROW(ENCRYPTED_DATA_INVALID, CRYPTO, ITEM),
    ROW(ENCRYPTED_DATA_LEN_RANGE, CRYPTO, ITEM),
    ROW(AEAD_DECRYPT_FAILED, CRYPTO, ITEM),
    ROW(FUNCTION_CANCELED, TOKEN_DOWN, SESSION),
    ROW(FUNCTION_NOT_PARALLEL, INTERNAL, CALLER),
    ROW(FUNCTION_NOT_SUPPORTED, INTERNAL, CALLER),
    ROW(KEY_HANDLE_INVALID, TOKEN_DOWN, HANDLE), /* logout, or a directory that is gone */
    ROW(KEY_SIZE_RANGE, INTERNAL, CALLER),
    ROW(KEY_TYPE_INCONSISTENT, INTERNAL, CALLER),
    ROW(KEY_NOT_NEEDED, INTERNAL, CALLER),
    ROW(KEY_CHANGED, INTERNAL, CALLER),
    ROW(KEY_NEEDED, INTERNAL, CALLER),
    ROW(KEY_INDIGESTIBLE, INTERNAL, CALLER),
    ROW(KEY_FUNCTION_NOT_PERMITTED, INTERNAL, CALLER),
    ROW(KEY_NOT_WRAPPABLE, INTERNAL, CALLER),
    ROW(KEY_UNEXTRACTABLE, INTERNAL, CALLER),
    ROW(MECHANISM_INVALID, INTERNAL, CALLER), /* FIPS policy switched on after an upgrade */
    ROW(MECHANISM_PARAM_INVALID, INTERNAL, CALLER),
    ROW(OBJECT_HANDLE_INVALID, NOTFOUND, HANDLE),
    ROW(OPERATION_ACTIVE, TOKEN_DOWN, SESSION), /* tpm2: stays so for ever after an OAEP failure */
    ROW(OPERATION_NOT_INITIALIZED, TOKEN_DOWN, SESSION), /* NSS ends one on BUFFER_TOO_SMALL */
    ROW(PIN_INCORRECT, HUMAN, HUMAN), /* openCryptoki says so after the lock, too */
    ROW(PIN_INVALID, USAGE, HUMAN),
    ROW(PIN_LEN_RANGE, USAGE, HUMAN),
    ROW(PIN_EXPIRED, HUMAN, HUMAN),
    ROW(PIN_LOCKED, HUMAN, HUMAN),
    ROW(SESSION_CLOSED, TOKEN_DOWN, SESSION),
    ROW(SESSION_COUNT, BUSY, WAIT),
    ROW(SESSION_HANDLE_INVALID, TOKEN_DOWN, SESSION), /* idle kill, daemon restart */
    ROW(SESSION_PARALLEL_NOT_SUPPORTED, INTERNAL, CALLER),
    ROW(SESSION_READ_ONLY, READONLY, CALLER),
    ROW(SESSION_EXISTS, CONFLICT, CALLER),
    ROW(SESSION_READ_ONLY_EXISTS, INTERNAL, CALLER),
    ROW(SESSION_READ_WRITE_SO_EXISTS, CONFLICT, CALLER),
    ROW(SIGNATURE_INVALID, CRYPTO, ITEM),
    ROW(SIGNATURE_LEN_RANGE, CRYPTO, ITEM),
    ROW(TEMPLATE_INCOMPLETE, INTERNAL, ITEM),
    ROW(TEMPLATE_INCONSISTENT, INTERNAL, ITEM),
    ROW(TOKEN_NOT_PRESENT, TOKEN_DOWN, REINIT),
    ROW(TOKEN_NOT_RECOGNIZED, TOKEN_DOWN, REINIT),
    ROW(TOKEN_WRITE_PROTECTED, READONLY, CALLER),
    ROW(UNWRAPPING_KEY_HANDLE_INVALID, TOKEN_DOWN, HANDLE),
    ROW(UNWRAPPING_KEY_SIZE_RANGE, INTERNAL, CALLER),
    ROW(UNWRAPPING_KEY_TYPE_INCONSISTENT, INTERNAL, CALLER),
    ROW(USER_ALREADY_LOGGED_IN, INTERNAL, CALLER), /* success in C_Login (login.c) */
    ROW(USER_NOT_LOGGED_IN, TOKEN_DOWN, LOGIN),    /* token reset, last session closed */
    ROW(USER_PIN_NOT_INITIALIZED, HUMAN, HUMAN),
    ROW(USER_TYPE_INVALID, INTERNAL, CALLER),
    ROW(USER_ANOTHER_ALREADY_LOGGED_IN, CONFLICT, HUMAN),
    ROW(USER_TOO_MANY_TYPES, CONFLICT, HUMAN),
    ROW(WRAPPED_KEY_INVALID, CRYPTO, ITEM),
    ROW(WRAPPED_KEY_LEN_RANGE, CRYPTO, ITEM),
    ROW(WRAPPING_KEY_HANDLE_INVALID, TOKEN_DOWN, HANDLE),
    ROW(WRAPPING_KEY_SIZE_RANGE, INTERNAL, CALLER),
    ROW(WRAPPING_KEY_TYPE_INCONSISTENT, INTERNAL, CALLER),
    ROW(RANDOM_SEED_NOT_SUPPORTED, INTERNAL, CALLER),
    ROW(RANDOM_NO_RNG, HUMAN, HUMAN),
    ROW(DOMAIN_PARAMS_INVALID, INTERNAL, CALLER),
    ROW(CURVE_NOT_SUPPORTED, INTERNAL, CALLER),
    ROW(BUFFER_TOO_SMALL, INTERNAL, CALLER), /* size queries lie (NSS KWP): treated as ended */
    ROW(SAVED_STATE_INVALID, INTERNAL, CALLER),
    ROW(INFORMATION_SENSITIVE, INTERNAL, CALLER),
    ROW(STATE_UNSAVEABLE, INTERNAL, CALLER),
    ROW(CRYPTOKI_NOT_INITIALIZED, TOKEN_DOWN, REINIT),
    ROW(CRYPTOKI_ALREADY_INITIALIZED, CONFLICT, CALLER),
    ROW(MUTEX_BAD, TOKEN_DOWN, REINIT),
    ROW(MUTEX_NOT_LOCKED, TOKEN_DOWN, REINIT),
    ROW(NEW_PIN_MODE, HUMAN, HUMAN),
    ROW(NEXT_OTP, HUMAN, HUMAN),
    ROW(EXCEEDED_MAX_ITERATIONS, INTERNAL, CALLER),
    ROW(FIPS_SELF_TEST_FAILED, TOKEN_DOWN, BREAKER),
    ROW(LIBRARY_LOAD_FAILED, TOKEN_DOWN, BREAKER),
    ROW(PIN_TOO_WEAK, USAGE, HUMAN),
    ROW(PUBLIC_KEY_INVALID, CRYPTO, ITEM),
    ROW(FUNCTION_REJECTED, HUMAN, HUMAN),
    ROW(TOKEN_RESOURCE_EXCEEDED, BUSY, SESSION),
    ROW(OPERATION_CANCEL_FAILED, TOKEN_DOWN, SESSION),
};

/* Vendor codes and what the table lacks: a new session, then higher on the ladder. */
static const struct rv_row UNKNOWN = {0, "", ERR_TOKEN_DOWN, RV_SESSION};

static const struct rv_row *find(CK_RV rv)
{
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++)
        if (TABLE[i].rv == rv) return &TABLE[i];
    return &UNKNOWN;
}

enum err_class rv_class(CK_RV rv)
{
    return find(rv)->class;
}

enum rv_reaction rv_reaction(CK_RV rv)
{
    return find(rv)->reaction;
}

enum err_class rv_work_class(CK_RV rv)
{
    const struct rv_row *row = find(rv);
    if (row->reaction == RV_HUMAN) return ERR_HUMAN;
    if (row->reaction == RV_HANDLE) return ERR_TOKEN_DOWN;
    bool blames = row->class == ERR_USAGE || row->class == ERR_CONFLICT ||
                  row->class == ERR_NOTFOUND || row->class == ERR_CRYPTO;
    return blames ? ERR_INTERNAL : row->class;
}

bool rv_is_of_the_moment(CK_RV rv)
{
    enum err_class class = rv_work_class(rv);
    return rv_reaction(rv) != RV_CANARY && (class == ERR_TOKEN_DOWN || class == ERR_BUSY ||
                                            class == ERR_FULL || class == ERR_HUMAN);
}

bool rv_keeps_session(CK_RV rv)
{
    enum rv_reaction r = rv_reaction(rv);
    return r == RV_FINE || r == RV_ITEM;
}

const char *rv_name(CK_RV rv, char out[RV_NAME])
{
    const struct rv_row *row = find(rv);
    if (row != &UNKNOWN)
        snprintf(out, RV_NAME, "%s", row->name);
    else if (rv >= CKR_VENDOR_DEFINED)
        snprintf(out, RV_NAME, "CKR_VENDOR_DEFINED+0x%lx", rv - CKR_VENDOR_DEFINED);
    else
        snprintf(out, RV_NAME, "CKR_0x%lx", rv);
    return out;
}

const char *rv_native(CK_RV rv, const char *call, char out[RV_NATIVE])
{
    char name[RV_NAME];
    snprintf(out, RV_NATIVE, "%s: %s (0x%lx)", call, rv_name(rv, name), rv);
    return out;
}
