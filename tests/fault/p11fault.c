/* A PKCS#11 module that forwards to a real one and fails where it is told to.
 *
 * $P11FAULT_MODULE   the real module (default: SoftHSM)
 * $P11FAULT_CONTROL  a file of rules, read again whenever it changes (replace it by rename)
 *
 * A rule names a function, or * for all, and says which of its calls it is for (after=N: the first
 * N go through; count=M: then for M calls; without both for all) and what happens to them:
 *
 *     C_Name rv=0x30          answer so, without asking the token
 *     C_Name rv=0x30 done     answer so after the token did it: the answer was lost
 *     C_Name delay_us=N       wait before the call: a network HSM's latency
 *     C_Name hang             do not return until the rules change, then go on
 *     C_Name short=N          tell a length (of each attribute) that is N too small
 *     C_GetAttributeValue flip=0x103   show this attribute turned over (its first bit)
 *     C_Name kill             SIGKILL to this process; with `done` after the token did it
 *     C_Name within=N         SIGKILL within the call: after the N-th time that SoftHSM empties a
 *                             file to write it anew (C_Login: token.object; C_CreateObject: the
 *                             object, once for each attribute)
 *     C_Name segv             SIGSEGV, as a module's own error
 *     C_Name drop             first close this call's session, as an idle time-out does
 *     C_Name drop_all         first close all sessions, and with them the login
 *     C_Name forget           first log out
 *     C_Name unplug           first pull the token; see below
 *     C_Name finalize         first C_Finalize, as another library in the process may
 *
 * Powers, which stand until the rules change; those marked + are done once, when read:
 *
 *     tokeninfo set=0x.. clear=0x.. sessions=N   edit what C_GetTokenInfo says
 *     sessions max=K          more than K at once: CKR_SESSION_COUNT
 *     sessions drop           + close all
 *     login forget            + log out
 *     token unplugged         no token in any slot, all sessions gone; plugged in when the line goes
 *     token stale=0x32        every call answers so until C_Finalize and C_Initialize: a network HSM
 *                             that was started again
 *     token spoiled=0x30      every call answers so for good: what the module keeps in this process is
 *                             beyond repair, whatever is initialised and whatever the rules are
 *     token finalized         + C_Finalize
 *     slots xor=N             all slots have other numbers
 *     slots rotate=N          the slots swap their tokens
 *     objects value_max=N label_max=N no_data no_private [rv=0x..]
 *                             refuse such objects (default CKR_ATTRIBUTE_VALUE_INVALID)
 *     pin tries=3             lock the user PIN after so many wrong ones, across processes: the
 *                             count lies beside the control file
 *     gcm in-place|appended|prepended            the token makes the IV; see gcm.c
 *     log FILE                append the name of each call, a line each
 *     count FILE              a line for each function: its name and its calls so far; and
 *                             `sessions`: how many are open now; `together`: the most calls that
 *                             were under way at one time
 *
 * Counts begin anew with each reading. Any other line aborts, so that a typing error in a test
 * cannot pass for a token that works. */
#include "tests/fault/fault.h"

#include <dlfcn.h>
#include <stdlib.h>

#define DEFAULT_MODULE "/usr/lib/softhsm/libsofthsm2.so"

CK_FUNCTION_LIST *real;

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;

#define FORWARD(name, parameters, arguments, call_session, call_length, ...)      \
    static CK_RV fault_##name parameters                                         \
    {                                                                            \
        struct call c = {.fn = FN_##name, .session = call_session,               \
                         .length = call_length};                                 \
        CK_RV rv = CKR_OK;                                                       \
        if (call_begin(&c, &rv)) rv = call_end(&c, __VA_ARGS__);                 \
        control_done();                                                          \
        return rv;                                                               \
    }
#define FORWARD_PLAIN(name, parameters, arguments, session, length)               \
    FORWARD(name, parameters, arguments, session, length, real->name arguments)
#define FORWARD_SHAPED(name, parameters, arguments, session, length)              \
    FORWARD(name, parameters, arguments, session, length,                         \
            shaped_##name(&c, UNPAREN arguments))
PLAIN_FUNCTIONS(FORWARD_PLAIN)
SHAPED_FUNCTIONS(FORWARD_SHAPED)

#define ENTRY(name, ...) .name = fault_##name,
static CK_FUNCTION_LIST functions = {
    .version = {2, 40},
    .C_GetFunctionList = C_GetFunctionList,
    ALL_FUNCTIONS(ENTRY)
};

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    const char *path = getenv("P11FAULT_MODULE");
    if (!list) return CKR_ARGUMENTS_BAD;
    pthread_mutex_lock(&load_lock);
    if (!real) {
        void *module = dlopen(path ? path : DEFAULT_MODULE, RTLD_NOW | RTLD_LOCAL);
        CK_C_GetFunctionList get = NULL;
        if (module) *(void **) &get = dlsym(module, "C_GetFunctionList");
        if (!get || get(&real) != CKR_OK) real = NULL;
        if (real) death_hook(module);
    }
    pthread_mutex_unlock(&load_lock);
    if (!real) return CKR_LIBRARY_LOAD_FAILED;
    *list = &functions;
    return CKR_OK;
}
