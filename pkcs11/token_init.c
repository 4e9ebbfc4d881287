#include "pkcs11/p11_internal.h"
#include "pkcs11/softhsm_backup.h"
#include "pkcs11/softhsm_files.h"

#include <string.h>

#include "broker/base/json.h"
#include "broker/base/log.h"

#define TOKEN_LABEL 32 /* bytes, padded with blanks (PKCS#11 3.0, C_InitToken) */

static err_t check_label(const char *label)
{
    size_t len = strlen(label);
    if (len == 0 || len > TOKEN_LABEL)
        FAIL(ERR_USAGE, "a token's label has 1 to %d bytes, this has %zu", TOKEN_LABEL, len);
    if (!utf8_valid(span_str(label))) FAIL(ERR_USAGE, "the label is not UTF-8");
    for (size_t i = 0; i < len; i++)
        if ((uint8_t) label[i] < 0x20 || label[i] == 0x7f)
            FAIL(ERR_USAGE, "the label has a control character");
    /* The token would lose a blank at the end to its padding. */
    if (label[len - 1] == ' ') FAIL(ERR_USAGE, "the label ends with a blank");
    return ERR_OK;
}

/* What a walk over the slots finds: the token of that label, and a place for a new one. */
struct survey {
    bool has_label, has_free;
    CK_SLOT_ID labelled, free;
};

static err_t survey_slots(CK_FUNCTION_LIST *fn, const char *label, struct survey *ret)
{
    _cleanup_free_ CK_SLOT_ID *slots = NULL;
    CK_ULONG n = 0;
    struct survey s = {0};
    TRY(slot_list(fn, &slots, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        struct p11_token_info info = {0};
        TRY(slot_info(fn, slots[i], &info));
        if (!info.initialized && !s.has_free) {
            s.has_free = true;
            s.free = slots[i];
        }
        if (info.initialized && strcmp(info.label, label) == 0) {
            s.has_label = true;
            s.labelled = slots[i];
        }
    }
    *ret = s;
    return ERR_OK;
}

/* Beforehand, where the token tells: C_InitPIN refuses it only when the token is there, for ever. */
static err_t check_user_pin(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, struct secret *pin)
{
    CK_TOKEN_INFO info = {0};
    if (fn->C_GetTokenInfo(slot, &info) != CKR_OK) return ERR_OK;
    CK_ULONG len = secret_len(pin), most = info.ulMaxPinLen;
    if (!most || most > PIN_MAX) most = PIN_MAX; /* CK_UNAVAILABLE_INFORMATION is the largest number */
    if (info.ulMinPinLen <= most && (len < info.ulMinPinLen || len > most))
        FAIL(ERR_USAGE, "the token takes user PINs of %lu to %lu bytes; nothing was initialised",
             info.ulMinPinLen, most);
    return ERR_OK;
}

static err_t make_token(CK_FUNCTION_LIST *fn, const char *label, struct secret *so_pin,
                        struct secret *user_pin)
{
    struct survey s = {0};
    TRY(survey_slots(fn, label, &s));
    if (s.has_label)
        FAIL(ERR_CONFLICT, "a token \"%s\" exists already; choose another label", label);
    if (!s.has_free)
        FAIL(ERR_NOTFOUND, "no slot holds an uninitialised token; insert one, or make a new "
             "partition with the vendor's tool");
    TRY(check_user_pin(fn, s.free, user_pin));
    unsigned char padded[TOKEN_LABEL];
    for (size_t i = 0, len = strlen(label); i < sizeof padded; i++)
        padded[i] = i < len ? (unsigned char) label[i] : ' ';
    CK_RV rv = fn->C_InitToken(s.free, secret_data(so_pin), (CK_ULONG) secret_len(so_pin), padded);
    if (rv != CKR_OK)
        FAIL_P11(rv_class(rv), rv, "C_InitToken", "the token in slot %lu cannot be initialised; check the "
                 "security officer's PIN and, for SoftHSM, its folder and the room there", s.free);
    return ERR_OK;
}

struct so_session {
    CK_FUNCTION_LIST *fn;
    CK_SESSION_HANDLE h;
};

static void so_session_done(struct so_session *s)
{
    if (!s->h) return;
    s->fn->C_Logout(s->h);
    s->fn->C_CloseSession(s->h);
}

static err_t set_user_pin(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, struct secret *so_pin,
                          struct secret *user_pin)
{
    _cleanup_(so_session_done) struct so_session s = {.fn = fn};
    TRY(module_check_log_calls());
    TRY(session_open(fn, slot, &s.h));
    CK_RV rv = fn->C_Login(s.h, CKU_SO, secret_data(so_pin), (CK_ULONG) secret_len(so_pin));
    if (rv != CKR_OK)
        FAIL_P11(rv_class(rv), rv, "C_Login", "the security officer's login failed");
    rv = fn->C_InitPIN(s.h, secret_data(user_pin), (CK_ULONG) secret_len(user_pin));
    if (rv != CKR_OK)
        FAIL_P11(rv_class(rv), rv, "C_InitPIN", "the token does not take this user PIN");
    return ERR_OK;
}

/* A token without its copy is a token all the same: said loudly, not an error. */
static void keep_copy(const struct buf *before, const char *serial, const char *state_dir,
                      char **ret_backup)
{
    struct err e = softhsm_backup(before, serial, state_dir, ret_backup);
    if (!err_ok(e)) log_warn_err(e, "token.backup", LOG_S("serial", serial),
                                LOG_S("effect", "there is no copy of token.object; copy it by hand"));
}

err_t p11_token_init(const char *module, const char *label, struct secret *so_pin,
                     struct secret *user_pin, const char *state_dir,
                     struct p11_token_info *ret, char **ret_backup)
{
    _cleanup_module_ struct p11_module *m = NULL;
    _cleanup_buf_ struct buf before = BUF_INIT;
    struct p11_token_info info = {0};
    struct survey s = {0};
    TRY(check_label(label));
    TRY(module_load(module, &m));
    CK_FUNCTION_LIST *fn = module_fn(m);
    bool softhsm = softhsm_is(fn);
    if (softhsm) TRY(softhsm_list_dirs(&before));
    TRY(make_token(fn, label, so_pin, user_pin));
    /* SoftHSM derives the slot's number from the new serial: look it up by its label. */
    TRY(survey_slots(fn, label, &s));
    if (!s.has_label)
        FAIL(ERR_TOKEN_DOWN, "the token \"%s\" was initialised, but cannot be found", label);
    TRYC(set_user_pin(fn, s.labelled, so_pin, user_pin),
         "the token \"%s\" exists now but has no user PIN; set one as security officer "
         "(pkcs11-tool --login --login-type so --init-pin), or remove it", label);
    TRY(slot_info(fn, s.labelled, &info));
    *ret_backup = NULL;
    if (softhsm) keep_copy(&before, info.serial, state_dir, ret_backup);
    *ret = info;
    return ERR_OK;
}
