/* Slots, the token in them, and sessions: what can be renumbered, pulled and limited. */
#include "tests/fault/fault.h"

#include <stdatomic.h>

#define SLOTS_MAX 64

static atomic_ulong sessions_open;

/* by: one more (+1), one less (-1), or 0: none is open any more. */
static void count_sessions(int by)
{
    unsigned long n = 0;
    if (by) n = atomic_fetch_add(&sessions_open, (unsigned long) by) + (unsigned long) by;
    else atomic_store(&sessions_open, 0);
    control_sessions(n);
}

/* ---- slot numbers ------------------------------------------------------------------------- */

static CK_RV real_slots(CK_SLOT_ID list[SLOTS_MAX], CK_ULONG *n)
{
    *n = SLOTS_MAX;
    return real->C_GetSlotList(CK_FALSE, list, n);
}

/* The number under which we show the real slot (to_real false), or the real slot that we show
 * under this number. Rotated, the slots swap their tokens; xor'ed, all numbers are new. */
static CK_SLOT_ID turn_slot(CK_SLOT_ID slot, bool to_real)
{
    struct powers p = powers_now();
    if (to_real) slot ^= p.slots_xor;
    CK_SLOT_ID list[SLOTS_MAX];
    CK_ULONG n = 0;
    if (p.slots_rotate && real_slots(list, &n) == CKR_OK && n) {
        CK_ULONG by = p.slots_rotate % n, at = 0;
        while (at < n && list[at] != slot) at++;
        if (at < n) slot = list[(at + (to_real ? by : n - by)) % n];
    }
    return to_real ? slot : slot ^ p.slots_xor;
}

CK_RV shaped_C_GetSlotList(struct call *c, CK_BBOOL present, CK_SLOT_ID *l, CK_ULONG *n)
{
    if (powers_now().unplugged && present) {
        if (n) *n = 0;
        return n ? CKR_OK : CKR_ARGUMENTS_BAD;
    }
    CK_RV rv = real->C_GetSlotList(present, l, n);
    for (CK_ULONG i = 0; rv == CKR_OK && l && i < *n; i++) l[i] = turn_slot(l[i], false);
    return rv;
}

CK_RV shaped_C_GetSlotInfo(struct call *c, CK_SLOT_ID slot, CK_SLOT_INFO *i)
{
    CK_RV rv = real->C_GetSlotInfo(turn_slot(slot, true), i);
    if (rv == CKR_OK && powers_now().unplugged) i->flags &= ~(CK_FLAGS) CKF_TOKEN_PRESENT;
    return rv;
}

/* ---- the token ---------------------------------------------------------------------------- */

#define UNLESS_UNPLUGGED if (powers_now().unplugged) return CKR_TOKEN_NOT_PRESENT

CK_RV shaped_C_GetTokenInfo(struct call *c, CK_SLOT_ID slot, CK_TOKEN_INFO *i)
{
    UNLESS_UNPLUGGED;
    CK_RV rv = real->C_GetTokenInfo(turn_slot(slot, true), i);
    if (rv != CKR_OK) return rv;
    struct powers p = powers_now();
    i->flags = (pin_flags(i->flags) | p.info_set) & ~p.info_clear;
    CK_ULONG max = p.info_sessions ? p.info_sessions : p.sessions_max;
    if (max) i->ulMaxRwSessionCount = i->ulMaxSessionCount = max;
    return CKR_OK;
}

CK_RV shaped_C_GetMechanismList(struct call *c, CK_SLOT_ID slot, CK_MECHANISM_TYPE *l, CK_ULONG *n)
{
    UNLESS_UNPLUGGED;
    return real->C_GetMechanismList(turn_slot(slot, true), l, n);
}

CK_RV shaped_C_GetMechanismInfo(struct call *c, CK_SLOT_ID slot, CK_MECHANISM_TYPE t,
                                CK_MECHANISM_INFO *i)
{
    UNLESS_UNPLUGGED;
    return real->C_GetMechanismInfo(turn_slot(slot, true), t, i);
}

CK_RV shaped_C_InitToken(struct call *c, CK_SLOT_ID slot, CK_BYTE *pin, CK_ULONG pin_n,
                         CK_BYTE *label)
{
    UNLESS_UNPLUGGED;
    return real->C_InitToken(turn_slot(slot, true), pin, pin_n, label);
}

/* ---- sessions ----------------------------------------------------------------------------- */

CK_RV shaped_C_OpenSession(struct call *c, CK_SLOT_ID slot, CK_FLAGS f, void *app, CK_NOTIFY n,
                           CK_SESSION_HANDLE *r)
{
    UNLESS_UNPLUGGED;
    CK_ULONG max = powers_now().sessions_max;
    if (atomic_fetch_add(&sessions_open, 1) >= max && max) {
        count_sessions(-1);
        return CKR_SESSION_COUNT;
    }
    CK_RV rv = real->C_OpenSession(turn_slot(slot, true), f, app, n, r);
    if (rv != CKR_OK) count_sessions(-1);
    else control_sessions(atomic_load(&sessions_open));
    return rv;
}

static CK_RV close_counted(CK_SESSION_HANDLE session)
{
    CK_RV rv = real->C_CloseSession(session);
    if (rv == CKR_OK) count_sessions(-1);
    return rv;
}

CK_RV shaped_C_CloseSession(struct call *c, CK_SESSION_HANDLE s)
{
    return close_counted(s);
}

CK_RV shaped_C_CloseAllSessions(struct call *c, CK_SLOT_ID slot)
{
    UNLESS_UNPLUGGED;
    CK_RV rv = real->C_CloseAllSessions(turn_slot(slot, true));
    if (rv == CKR_OK) count_sessions(0); /* one token at a time is used in tests */
    return rv;
}

CK_RV shaped_C_GetSessionInfo(struct call *c, CK_SESSION_HANDLE s, CK_SESSION_INFO *i)
{
    CK_RV rv = real->C_GetSessionInfo(s, i);
    if (rv == CKR_OK) i->slotID = turn_slot(i->slotID, false);
    return rv;
}

void close_session(CK_SESSION_HANDLE session)
{
    close_counted(session);
}

void close_all_sessions(void)
{
    CK_SLOT_ID list[SLOTS_MAX];
    CK_ULONG n = 0;
    if (real_slots(list, &n) != CKR_OK) return;
    for (CK_ULONG i = 0; i < n; i++) real->C_CloseAllSessions(list[i]);
    count_sessions(0);
}

/* ---- the module --------------------------------------------------------------------------- */

CK_RV shaped_C_Initialize(struct call *c, void *a)
{
    CK_RV rv = real->C_Initialize(a);
    if (rv == CKR_OK) powers_renew();
    return rv;
}

CK_RV shaped_C_Finalize(struct call *c, void *a)
{
    CK_RV rv = real->C_Finalize(a);
    if (rv == CKR_OK) count_sessions(0);
    return rv;
}

void finalize(void)
{
    real->C_Finalize(NULL);
    count_sessions(0);
}
