#include "pkcs11/p11_internal.h"
#include "pkcs11/pin_marker.h"
#include "pkcs11/softhsm_files.h"
#include "pkcs11/token_file.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/log.h"

/* Flags that forbid a try, gravest first; `set` false: the flag's absence forbids it. */
static const struct {
    CK_FLAGS flag;
    bool set;
    const char *text;
} BARS[] = {
    {CKF_USER_PIN_LOCKED, true,
     "its user PIN is locked; the security officer must set a new one "
     "(pkcs11-tool --login --login-type so --init-pin)"},
    {CKF_USER_PIN_FINAL_TRY, true,
     "one more wrong PIN would lock it, so none is sent; log in once by hand with the right PIN "
     "(pkcs11-tool --login -O), which resets the count, then start again"},
    {CKF_USER_PIN_TO_BE_CHANGED, true,
     "its user PIN must be changed before use (pkcs11-tool --login --change-pin)"},
    {CKF_USER_PIN_INITIALIZED, false,
     "it has no user PIN yet; the security officer must set one "
     "(pkcs11-tool --login --login-type so --init-pin)"},
};

static err_t check_flags(const char *token, CK_FLAGS flags)
{
    for (size_t i = 0; i < sizeof BARS / sizeof *BARS; i++)
        if (!(flags & BARS[i].flag) != BARS[i].set)
            FAIL(ERR_HUMAN, "no login to token %s: %s", token, BARS[i].text);
    return ERR_OK;
}

/* Another part of this process may have logged in before us; then the session's state proves it. */
static err_t prove_logged_in(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE h, const char *token)
{
    CK_SESSION_INFO info = {0};
    CK_RV rv = fn->C_GetSessionInfo(h, &info);
    if (rv != CKR_OK)
        FAIL_P11(ERR_TOKEN_DOWN, rv, "C_GetSessionInfo", "token %s: login not provable", token);
    if (info.state != CKS_RW_USER_FUNCTIONS)
        FAIL_P11(ERR_CONFLICT, CKR_USER_ALREADY_LOGGED_IN, "C_Login",
                 "token %s: this process is logged in otherwise (state %lu)", token, info.state);
    return ERR_OK;
}

/* SoftHSM empties token.object in each login and writes it anew (tokens.md 2.2): who is told to end meanwhile does
 * so afterwards. Not with others, where a login may hang, or wait for a person at a key pad. */
static CK_RV send_pin(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE h, struct secret *pin)
{
    static const int ENDS[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    sigset_t ends, before;
    if (!pin) return fn->C_Login(h, CKU_USER, NULL, 0);
    size_t n = softhsm_is(fn) ? sizeof ENDS / sizeof *ENDS : 0;
    sigemptyset(&ends);
    for (size_t i = 0; i < n; i++) sigaddset(&ends, ENDS[i]);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    CK_RV rv = fn->C_Login(h, CKU_USER, secret_data(pin), (CK_ULONG) secret_len(pin));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv;
}

static err_t judge(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE h, const char *token, CK_RV rv)
{
    if (rv == CKR_OK) return ERR_OK;
    if (rv == CKR_USER_ALREADY_LOGGED_IN) return prove_logged_in(fn, h, token);
    if (rv == CKR_PIN_LOCKED)
        FAIL_RV(rv, "C_Login", "no login to token %s: %s", token, BARS[0].text);
    FAIL_RV(rv, "C_Login", "token %s does not let us in", token);
}

/* Codes that say "this PIN is not it". After a lock openCryptoki answers a wrong PIN so, too. */
static bool refuses_pin(CK_RV rv)
{
    return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE;
}

/* Codes after which nothing is known against the PIN: it was right, or not looked at. */
static bool clears_pin(CK_RV rv)
{
    return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN || rv == CKR_PIN_LOCKED ||
           rv == CKR_PIN_EXPIRED || rv == CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
}

/* An unfinished try (killed within C_Login, or the token went away) does not prove the PIN wrong.
 * A wrong one would have been counted, so one more is allowed as long as the token counts none. */
static err_t check_verdict(const char *token, const struct pin_marker *m,
                           enum pin_verdict verdict, CK_FLAGS flags)
{
    if (verdict == PIN_REFUSED)
        FAIL(ERR_HUMAN, "token %s refused this PIN before, so it is not sent again; correct the "
             "PIN, or if it is right now delete %s", token, m->path);
    if (verdict == PIN_UNFINISHED && flags & CKF_USER_PIN_COUNT_LOW)
        FAIL(ERR_HUMAN, "a login to token %s was cut off and a wrong PIN was counted since, so it "
             "is not sent again; if the PIN is right delete %s", token, m->path);
    return ERR_OK;
}

/* The marker is durable before the PIN leaves; whatever kills us in between, it is there. */
static err_t login_marked(CK_FUNCTION_LIST *fn, CK_SESSION_HANDLE h, struct secret *pin,
                          const char *token, CK_FLAGS flags, const char *marker_path,
                          bool *ret_sent)
{
    struct pin_marker m = {0};
    enum pin_verdict verdict = PIN_NEW;
    TRY(pin_marker_check(marker_path, pin, &m, &verdict));
    TRY(check_verdict(token, &m, verdict, flags));
    TRYC(pin_marker_write(&m, PIN_UNFINISHED), "no login without its marker %s; check state_dir",
         marker_path);
    *ret_sent = true;
    CK_RV rv = send_pin(fn, h, pin);
    if (refuses_pin(rv)) {
        /* Whatever becomes of the marker: any other class would have the PIN sent again. */
        struct err kept = pin_marker_write(&m, PIN_REFUSED);
        if (!err_ok(kept)) log_warn_err(kept, "token.pin-marker");
        FAIL_P11(ERR_HUMAN, rv, "C_Login", "the PIN for token %s is wrong; correct it where "
                 "pin-source points (it is not sent again until it changes)", token);
    }
    /* Otherwise nobody knows what the token saw of it: the marker stays. */
    if (clears_pin(rv)) {
        struct err removed = pin_marker_remove(&m);
        if (!err_ok(removed)) log_warn_err(removed, "token.pin-marker");
    }
    return judge(fn, h, token, rv);
}

err_t login_gate(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, CK_SESSION_HANDLE h, struct secret *pin,
                 const char *state_dir, bool *ret_sent)
{
    _cleanup_free_ char *marker = NULL, *lock = NULL;
    _cleanup_close_ int lock_fd = -1;
    struct p11_token_info info = {0};
    CK_TOKEN_INFO raw = {0};
    char token[72];
    *ret_sent = false;
    TRY(module_check_log_calls());
    TRY(slot_info(fn, slot, &info));
    log_escape(token, sizeof token, span_str(info.label));
    if (state_dir) {
        /* One login at a time on this host: SoftHSM rewrites token.object in each and fails when
         * they meet (tokens.md 2.2), and two must not send one wrong PIN twice. */
        TRY(token_file_path(state_dir, "login-", info.serial, ".lock", &lock));
        TRY(token_file_path(state_dir, "pin-failed-", info.serial, "", &marker));
        TRY(token_file_lock(lock, P11_WAIT_SECONDS * 1000, &lock_fd));
    }
    TRY(slot_token_info(fn, slot, &raw)); /* again: the other login may have changed it */
    if (!(raw.flags & CKF_LOGIN_REQUIRED)) return ERR_OK;
    TRY(check_flags(token, raw.flags));
    bool key_pad = raw.flags & CKF_PROTECTED_AUTHENTICATION_PATH;
    if (!pin && !key_pad) FAIL(ERR_USAGE, "token %s wants a PIN; give a pin-source", token);
    if (!key_pad && marker) return login_marked(fn, h, pin, token, raw.flags, marker, ret_sent);
    *ret_sent = true;
    return judge(fn, h, token, send_pin(fn, h, key_pad ? NULL : pin));
}

err_t login_pin(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, const char *pin_source, struct secret **ret)
{
    struct p11_token_info info = {0};
    CK_TOKEN_INFO raw = {0};
    char what[64];
    TRY(slot_token_info(fn, slot, &raw));
    /* A token with its own key pad wants none from us. */
    if (!(raw.flags & CKF_LOGIN_REQUIRED)) return ERR_OK;
    if (raw.flags & CKF_PROTECTED_AUTHENTICATION_PATH) return ERR_OK;
    TRY(slot_info(fn, slot, &info));
    snprintf(what, sizeof what, "PIN for token %s", info.label);
    return p11_pin_read(pin_source, what, ret);
}
