#include "pkcs11/p11_internal.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/log.h"

/* ---- the URI ---------------------------------------------------------------------------- */

static const char NEED_TOKEN[] = "name the token by label or serial, as in "
                                 "pkcs11:token=NAME or pkcs11:serial=NUMBER";

/* Cryptoki pads with blanks and ends with nothing. */
static void unpad(char *out, const unsigned char *field, size_t size)
{
    char *text = p11_kit_space_strdup(field, size);
    size_t len = text ? strnlen(text, size) : 0;
    if (len) memcpy(out, text, len);
    out[len] = '\0';
    free(text);
}

static const char NOT_UNDERSTOOD[] = "the token URI has an attribute that is not understood; a "
                                     "token's are token, serial, manufacturer, model, module-path "
                                     "and pin-source";

/* p11-kit keeps every unknown query attribute as a vendor's, so that a typing error in pin-source
 * would make us ask for the PIN instead. */
static err_t check_query(const char *text)
{
    static const char *const KNOWN[] = {"pin-source=", "module-path=", "pin-value=",
                                        "module-name="};
    const char *at = strchr(text, '?');
    while (at && *++at) {
        bool known = false;
        for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
            known |= strncmp(at, KNOWN[i], strlen(KNOWN[i])) == 0;
        if (!known) FAIL(ERR_USAGE, "%s", NOT_UNDERSTOOD);
        at = strchr(at, '&');
    }
    return ERR_OK;
}

/* A refusal shows no text of the URI: a PIN in it would end up in the log. */
static err_t check_uri(P11KitUri *uri)
{
    if (p11_kit_uri_get_pin_value(uri))
        FAIL(ERR_USAGE, "the token URI holds a PIN (pin-value); put the PIN into a file with mode "
             "0600 and name it by pin-source=file:/path, and change that PIN");
    if (p11_kit_uri_any_unrecognized(uri))
        FAIL(ERR_USAGE, "%s", NOT_UNDERSTOOD);
    if (p11_kit_uri_get_slot_id(uri) != (CK_SLOT_ID) -1)
        FAIL(ERR_USAGE, "the token URI names a slot (slot-id), but slot numbers change; %s",
             NEED_TOKEN);
    if (p11_kit_uri_get_module_name(uri))
        FAIL(ERR_USAGE, "the token URI has module-name; give the module's full path");
    CK_ULONG objects = 0;
    p11_kit_uri_get_attributes(uri, &objects);
    if (objects)
        FAIL(ERR_USAGE, "the token URI names an object (object, id or type); leave that out");
    /* A field that was not given is zeros, an empty one (token=) blanks: both name nothing. */
    CK_TOKEN_INFO *info = p11_kit_uri_get_token_info(uri);
    char label[sizeof info->label + 1], serial[sizeof info->serialNumber + 1];
    unpad(label, info->label, sizeof info->label);
    unpad(serial, info->serialNumber, sizeof info->serialNumber);
    if (!label[0] && !serial[0]) FAIL(ERR_USAGE, "the token URI fits any token; %s", NEED_TOKEN);
    return ERR_OK;
}

err_t uri_parse(const char *text, struct p11_uri *ret)
{
    struct p11_uri u _cleanup_uri_ = {.uri = p11_kit_uri_new()};
    if (!u.uri) FAIL(ERR_INTERNAL, "out of memory");
    /* FOR_ANY, so that what is too much is named below instead of "bad syntax". */
    int code = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, u.uri);
    if (code != P11_KIT_URI_OK)
        FAIL(ERR_USAGE, "the token URI cannot be read (%s); %s", p11_kit_uri_message(code),
             NEED_TOKEN);
    TRY(check_uri(u.uri));
    TRY(check_query(text));
    u.module_path = p11_kit_uri_get_module_path(u.uri);
    u.pin_source = p11_kit_uri_get_pin_source(u.uri);
    *ret = u;
    u.uri = NULL;
    return ERR_OK;
}

/* As Cryptoki has it; what does not fit in is no token's. */
static bool pad(unsigned char *field, size_t size, const char *text)
{
    size_t len = strlen(text);
    if (len > size) return false;
    memset(field, ' ', size);
    memcpy(field, text, len);
    return true;
}

bool p11_uri_names(const char *token_uri, const char *label, const char *serial)
{
    struct p11_uri u _cleanup_uri_ = {0};
    if (!err_ok(uri_parse(token_uri, &u))) return false;
    CK_TOKEN_INFO info = *p11_kit_uri_get_token_info(u.uri); /* manufacturer and model as it has them */
    return pad(info.label, sizeof info.label, label) && pad(info.serialNumber, sizeof info.serialNumber, serial) &&
           p11_kit_uri_match_token_info(u.uri, &info);
}

void uri_done(struct p11_uri *u)
{
    if (u->uri) p11_kit_uri_free(u->uri);
    *u = (struct p11_uri){0};
}

/* ---- slots and what is in them ---------------------------------------------------------- */

err_t slot_list(CK_FUNCTION_LIST *fn, CK_SLOT_ID **ret, CK_ULONG *ret_n)
{
    /* A token may come between the two calls; one more slot than asked for, and once again. */
    for (int attempt = 0; attempt < 3; attempt++) {
        CK_ULONG n = 0;
        CK_RV rv = fn->C_GetSlotList(CK_TRUE, NULL, &n);
        if (rv != CKR_OK) FAIL_P11(ERR_TOKEN_DOWN, rv, "C_GetSlotList", "cannot list the tokens");
        if (n > P11_SLOTS_MAX)
            FAIL(ERR_TOKEN_DOWN, "the module says that it has %lu tokens, which is over the limit of %u", n,
                 P11_SLOTS_MAX);
        CK_ULONG room = ++n;
        _cleanup_free_ CK_SLOT_ID *slots = calloc(n, sizeof *slots);
        if (!slots) FAIL(ERR_INTERNAL, "out of memory");
        rv = fn->C_GetSlotList(CK_TRUE, slots, &n);
        if (rv == CKR_BUFFER_TOO_SMALL) continue;
        if (rv != CKR_OK) FAIL_P11(ERR_TOKEN_DOWN, rv, "C_GetSlotList", "cannot list the tokens");
        if (n > room) FAIL(ERR_TOKEN_DOWN, "the module lists %lu tokens where %lu were asked for", n, room);
        *ret = TAKE_PTR(slots);
        *ret_n = n;
        return ERR_OK;
    }
    FAIL(ERR_TOKEN_DOWN, "the list of tokens keeps changing; try again");
}

err_t slot_token_info(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, CK_TOKEN_INFO *ret)
{
    CK_TOKEN_INFO info = {0};
    CK_RV rv = fn->C_GetTokenInfo(slot, &info);
    if (rv != CKR_OK)
        FAIL_P11(ERR_TOKEN_DOWN, rv, "C_GetTokenInfo", "the token does not tell its state");
    *ret = info;
    return ERR_OK;
}

static void set_version(char out[12], CK_VERSION v)
{
    snprintf(out, 12, "%u.%u", v.major, v.minor);
}

static void fill_info(const CK_TOKEN_INFO *t, CK_SLOT_ID slot, struct p11_token_info *ret)
{
    unpad(ret->label, t->label, sizeof t->label);
    unpad(ret->serial, t->serialNumber, sizeof t->serialNumber);
    unpad(ret->manufacturer, t->manufacturerID, sizeof t->manufacturerID);
    unpad(ret->model, t->model, sizeof t->model);
    set_version(ret->firmware, t->firmwareVersion);
    set_version(ret->hardware, t->hardwareVersion);
    ret->initialized = t->flags & CKF_TOKEN_INITIALIZED;
    ret->user_pin_initialized = t->flags & CKF_USER_PIN_INITIALIZED;
    ret->login_required = t->flags & CKF_LOGIN_REQUIRED;
    ret->write_protected = t->flags & CKF_WRITE_PROTECTED;
    ret->pin_count_low = t->flags & CKF_USER_PIN_COUNT_LOW;
    ret->pin_final_try = t->flags & CKF_USER_PIN_FINAL_TRY;
    ret->pin_locked = t->flags & CKF_USER_PIN_LOCKED;
    ret->max_sessions = t->ulMaxRwSessionCount == CK_UNAVAILABLE_INFORMATION
                            ? 0 : t->ulMaxRwSessionCount;
    ret->slot = slot;
}

err_t slot_info(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, struct p11_token_info *ret)
{
    CK_TOKEN_INFO token = {0};
    TRY(slot_token_info(fn, slot, &token));
    struct p11_token_info info = {0};
    fill_info(&token, slot, &info);
    CK_INFO module = {0};
    CK_RV rv = fn->C_GetInfo(&module);
    if (rv != CKR_OK) FAIL_P11(ERR_TOKEN_DOWN, rv, "C_GetInfo", "the module does not answer");
    unpad(info.module_description, module.libraryDescription, sizeof module.libraryDescription);
    unpad(info.module_manufacturer, module.manufacturerID, sizeof module.manufacturerID);
    *ret = info;
    return ERR_OK;
}

/* ---- exactly one ------------------------------------------------------------------------ */

/* Adds "label" (serial x) to a list for an error; labels are the token's word, so escaped. */
static void add_token(struct buf *list, const CK_TOKEN_INFO *t)
{
    char label[sizeof t->label + 1], serial[sizeof t->serialNumber + 1];
    char safe_label[48], safe_serial[32];
    unpad(label, t->label, sizeof t->label);
    unpad(serial, t->serialNumber, sizeof t->serialNumber);
    buf_addf(list, "%s\"%s\" (serial %s)", list->len ? ", " : "",
             log_escape(safe_label, sizeof safe_label, span_str(label)),
             log_escape(safe_serial, sizeof safe_serial, span_str(serial)));
}

err_t slot_find(CK_FUNCTION_LIST *fn, const struct p11_uri *uri, CK_SLOT_ID *ret_slot,
                struct p11_token_info *ret_info)
{
    _cleanup_free_ CK_SLOT_ID *slots = NULL;
    _cleanup_buf_ struct buf present = BUF_INIT, matching = BUF_INIT;
    CK_ULONG n = 0, matches = 0;
    CK_SLOT_ID found = 0;
    CK_RV silent = CKR_OK;
    TRY(slot_list(fn, &slots, &n));
    for (CK_ULONG i = 0; i < n; i++) {
        CK_TOKEN_INFO info = {0};
        /* A token that does not tell its state (pulled just now) is not there, or is the one. */
        CK_RV rv = fn->C_GetTokenInfo(slots[i], &info);
        if (rv != CKR_OK) silent = rv;
        if (rv != CKR_OK || !(info.flags & CKF_TOKEN_INITIALIZED)) continue;
        add_token(&present, &info);
        if (!p11_kit_uri_match_token_info(uri->uri, &info)) continue;
        add_token(&matching, &info);
        found = slots[i];
        matches++;
    }
    const char *there = present.len ? buf_str(&present) : "no initialised token at all";
    if (matches == 0 && silent != CKR_OK)
        FAIL_P11(ERR_TOKEN_DOWN, silent, "C_GetTokenInfo", "no token matches the URI, and one does not "
                 "tell its state; there is: %s", there);
    if (matches == 0) FAIL(ERR_NOTFOUND, "no token matches the URI; there is: %s", there);
    if (matches > 1)
        FAIL(ERR_CONFLICT, "several tokens match, add serial=... to the URI: %s",
             buf_str(&matching));
    TRY(slot_info(fn, found, ret_info));
    *ret_slot = found;
    return ERR_OK;
}
