/* A PKCS#11 module that forwards to a real one and fails where it is told to.
 *
 * $P11FAULT_MODULE   the real module (default: SoftHSM)
 * $P11FAULT_CONTROL  a file of rules, read again whenever it changes (replace it by rename):
 *
 *     C_Name rv=0x30 [after=N] [count=M]   answer so, without asking the token; the first N calls
 *                                          go through, and after M answers all do again
 *     C_Name delay_us=N                    wait before the call: a network HSM's latency
 *     C_Name hang                          do not return until the rules change, then go on
 *     tokeninfo set=0x.. clear=0x.. sessions=N   edit what C_GetTokenInfo says
 *     log FILE                             append the name of each call, a line each
 *
 * Counts begin anew with each reading. Any other line aborts, so that a typing error in a test
 * cannot pass for a token that works. */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 64
#define DEFAULT_MODULE "/usr/lib/softhsm/libsofthsm2.so"

struct rule {
    char name[32];
    bool answers, hangs;
    CK_RV rv;
    unsigned long after, count, delay_us;
};

/* All under `lock`. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    struct rule rules[RULES_MAX];
    size_t n;
    CK_FLAGS set, clear;
    unsigned long sessions;
    int log_fd;
    struct stat seen;
} control = {.log_fd = -1};

static CK_FUNCTION_LIST *real;

/* ---- the control file ------------------------------------------------------------------- */

static void parse_word(struct rule *r, const char *word)
{
    if (strcmp(word, "hang") == 0)
        r->hangs = true;
    else if (sscanf(word, "rv=%li", (long *) &r->rv) == 1)
        r->answers = true;
    else if (sscanf(word, "after=%lu", &r->after) != 1 &&
             sscanf(word, "count=%lu", &r->count) != 1 &&
             sscanf(word, "delay_us=%lu", &r->delay_us) != 1)
        abort();
}

static void parse_tokeninfo(const char *word)
{
    if (sscanf(word, "set=%li", (long *) &control.set) != 1 &&
        sscanf(word, "clear=%li", (long *) &control.clear) != 1 &&
        sscanf(word, "sessions=%lu", &control.sessions) != 1)
        abort();
}

/* The next word of the line, or NULL at its end. */
static char *next_word(char **line)
{
    char *word = NULL;
    do word = strsep(line, " \t\n");
    while (word && !*word);
    return word;
}

static void parse_line(char *line)
{
    char *name = next_word(&line), *word = NULL;
    if (!name || name[0] == '#') return;
    if (strcmp(name, "log") == 0) {
        line[strcspn(line, "\r\n")] = '\0'; /* the rest of the line: paths may hold spaces */
        if (!*line) abort();
        control.log_fd = open(line, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        return;
    }
    bool tokeninfo = strcmp(name, "tokeninfo") == 0;
    if ((!tokeninfo && strncmp(name, "C_", 2)) || control.n == RULES_MAX) abort();
    struct rule *r = &control.rules[control.n];
    if (!tokeninfo) {
        control.n++;
        snprintf(r->name, sizeof r->name, "%s", name);
    }
    while ((word = next_word(&line))) {
        if (tokeninfo)
            parse_tokeninfo(word);
        else
            parse_word(r, word);
    }
}

static void forget_rules(void)
{
    if (control.log_fd >= 0) close(control.log_fd);
    memset(&control, 0, sizeof control);
    control.log_fd = -1;
}

static void read_rules_locked(void)
{
    const char *path = getenv("P11FAULT_CONTROL");
    struct stat st = {0};
    if (!path || stat(path, &st)) {
        if (control.seen.st_ino) forget_rules();
        return;
    }
    if (st.st_ino == control.seen.st_ino && st.st_size == control.seen.st_size &&
        st.st_mtim.tv_sec == control.seen.st_mtim.tv_sec &&
        st.st_mtim.tv_nsec == control.seen.st_mtim.tv_nsec)
        return;
    FILE *f = fopen(path, "re");
    if (!f) return;
    forget_rules();
    control.seen = st;
    char line[512];
    while (fgets(line, sizeof line, f)) parse_line(line);
    fclose(f);
}

/* ---- obeying ---------------------------------------------------------------------------- */

static void pause_us(unsigned long us)
{
    struct timespec t = {.tv_sec = (time_t) (us / 1000000),
                         .tv_nsec = (long) (us % 1000000) * 1000};
    while (nanosleep(&t, &t)) continue;
}

static void hang(ino_t rules)
{
    for (bool same = true; same;) {
        pause_us(2000);
        pthread_mutex_lock(&lock);
        read_rules_locked();
        same = control.seen.st_ino == rules;
        pthread_mutex_unlock(&lock);
    }
}

/* Whether this rule answers the call now; counts it. */
static bool fires(struct rule *r)
{
    if (!r->answers) return false;
    if (r->after) {
        r->after--;
        return false;
    }
    if (r->count == 1) r->answers = false;
    if (r->count) r->count--;
    return true;
}

static void log_call_locked(const char *name)
{
    char line[64];
    if (control.log_fd < 0) return;
    int n = snprintf(line, sizeof line, "%s\n", name);
    if (write(control.log_fd, line, (size_t) n) != n) abort();
}

/* Before each call: true when *ret_rv is the answer. */
static bool fault(const char *name, CK_RV *ret_rv)
{
    unsigned long delay = 0;
    bool hangs = false, answered = false;
    pthread_mutex_lock(&lock);
    read_rules_locked();
    log_call_locked(name);
    for (size_t i = 0; i < control.n; i++) {
        struct rule *r = &control.rules[i];
        if (strcmp(r->name, name)) continue;
        delay += r->delay_us;
        hangs |= r->hangs;
        if (!answered && fires(r)) {
            answered = true;
            *ret_rv = r->rv;
        }
    }
    ino_t rules = control.seen.st_ino;
    pthread_mutex_unlock(&lock);
    if (delay) pause_us(delay);
    if (hangs) hang(rules);
    return answered;
}

/* ---- the functions ---------------------------------------------------------------------- */

#define S CK_SESSION_HANDLE s
#define IN(p) CK_BYTE *p, CK_ULONG p##_n
#define OUT(p) CK_BYTE *p, CK_ULONG *p##_n
#define TEMPLATE(p) CK_ATTRIBUTE *p, CK_ULONG p##_n
#define KEY CK_MECHANISM *m, CK_OBJECT_HANDLE key

/* X(name, parameters, arguments): all of PKCS#11 2.40 that needs no code of its own. */
#define FUNCTIONS(X)                                                                              \
    X(C_Initialize, (void *a), (a))                                                               \
    X(C_Finalize, (void *a), (a))                                                                 \
    X(C_GetInfo, (CK_INFO * i), (i))                                                              \
    X(C_GetSlotList, (CK_BBOOL present, CK_SLOT_ID * l, CK_ULONG * n), (present, l, n))           \
    X(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO * i), (slot, i))                              \
    X(C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE * l, CK_ULONG * n), (slot, l, n))   \
    X(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE t, CK_MECHANISM_INFO * i),          \
      (slot, t, i))                                                                               \
    X(C_InitToken, (CK_SLOT_ID slot, IN(pin), CK_BYTE * label), (slot, pin, pin_n, label))        \
    X(C_InitPIN, (S, IN(pin)), (s, pin, pin_n))                                                   \
    X(C_SetPIN, (S, IN(old), IN(fresh)), (s, old, old_n, fresh, fresh_n))                         \
    X(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS f, void *app, CK_NOTIFY n, CK_SESSION_HANDLE *r), \
      (slot, f, app, n, r))                                                                       \
    X(C_CloseSession, (S), (s))                                                                   \
    X(C_CloseAllSessions, (CK_SLOT_ID slot), (slot))                                              \
    X(C_GetSessionInfo, (S, CK_SESSION_INFO * i), (s, i))                                         \
    X(C_GetOperationState, (S, OUT(o)), (s, o, o_n))                                              \
    X(C_SetOperationState, (S, IN(o), CK_OBJECT_HANDLE e, CK_OBJECT_HANDLE a), (s, o, o_n, e, a)) \
    X(C_Login, (S, CK_USER_TYPE user, IN(pin)), (s, user, pin, pin_n))                            \
    X(C_Logout, (S), (s))                                                                         \
    X(C_CreateObject, (S, TEMPLATE(t), CK_OBJECT_HANDLE * r), (s, t, t_n, r))                     \
    X(C_CopyObject, (S, CK_OBJECT_HANDLE o, TEMPLATE(t), CK_OBJECT_HANDLE * r),                   \
      (s, o, t, t_n, r))                                                                          \
    X(C_DestroyObject, (S, CK_OBJECT_HANDLE o), (s, o))                                           \
    X(C_GetObjectSize, (S, CK_OBJECT_HANDLE o, CK_ULONG * n), (s, o, n))                          \
    X(C_GetAttributeValue, (S, CK_OBJECT_HANDLE o, TEMPLATE(t)), (s, o, t, t_n))                  \
    X(C_SetAttributeValue, (S, CK_OBJECT_HANDLE o, TEMPLATE(t)), (s, o, t, t_n))                  \
    X(C_FindObjectsInit, (S, TEMPLATE(t)), (s, t, t_n))                                           \
    X(C_FindObjects, (S, CK_OBJECT_HANDLE * o, CK_ULONG max, CK_ULONG * n), (s, o, max, n))       \
    X(C_FindObjectsFinal, (S), (s))                                                               \
    X(C_EncryptInit, (S, KEY), (s, m, key))                                                       \
    X(C_Encrypt, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                                         \
    X(C_EncryptUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                                   \
    X(C_EncryptFinal, (S, OUT(o)), (s, o, o_n))                                                   \
    X(C_DecryptInit, (S, KEY), (s, m, key))                                                       \
    X(C_Decrypt, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                                         \
    X(C_DecryptUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                                   \
    X(C_DecryptFinal, (S, OUT(o)), (s, o, o_n))                                                   \
    X(C_DigestInit, (S, CK_MECHANISM * m), (s, m))                                                \
    X(C_Digest, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                                          \
    X(C_DigestUpdate, (S, IN(i)), (s, i, i_n))                                                    \
    X(C_DigestKey, (S, CK_OBJECT_HANDLE key), (s, key))                                           \
    X(C_DigestFinal, (S, OUT(o)), (s, o, o_n))                                                    \
    X(C_SignInit, (S, KEY), (s, m, key))                                                          \
    X(C_Sign, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                                            \
    X(C_SignUpdate, (S, IN(i)), (s, i, i_n))                                                      \
    X(C_SignFinal, (S, OUT(o)), (s, o, o_n))                                                      \
    X(C_SignRecoverInit, (S, KEY), (s, m, key))                                                   \
    X(C_SignRecover, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                                     \
    X(C_VerifyInit, (S, KEY), (s, m, key))                                                        \
    X(C_Verify, (S, IN(i), IN(o)), (s, i, i_n, o, o_n))                                           \
    X(C_VerifyUpdate, (S, IN(i)), (s, i, i_n))                                                    \
    X(C_VerifyFinal, (S, IN(o)), (s, o, o_n))                                                     \
    X(C_VerifyRecoverInit, (S, KEY), (s, m, key))                                                 \
    X(C_VerifyRecover, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                                   \
    X(C_DigestEncryptUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                             \
    X(C_DecryptDigestUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                             \
    X(C_SignEncryptUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                               \
    X(C_DecryptVerifyUpdate, (S, IN(i), OUT(o)), (s, i, i_n, o, o_n))                             \
    X(C_GenerateKey, (S, CK_MECHANISM * m, TEMPLATE(t), CK_OBJECT_HANDLE * r), (s, m, t, t_n, r)) \
    X(C_GenerateKeyPair, (S, CK_MECHANISM * m, TEMPLATE(t), TEMPLATE(v), CK_OBJECT_HANDLE * r,    \
      CK_OBJECT_HANDLE * q), (s, m, t, t_n, v, v_n, r, q))                                        \
    X(C_WrapKey, (S, KEY, CK_OBJECT_HANDLE k, OUT(o)), (s, m, key, k, o, o_n))                    \
    X(C_UnwrapKey, (S, KEY, IN(i), TEMPLATE(t), CK_OBJECT_HANDLE * r),                            \
      (s, m, key, i, i_n, t, t_n, r))                                                             \
    X(C_DeriveKey, (S, KEY, TEMPLATE(t), CK_OBJECT_HANDLE * r), (s, m, key, t, t_n, r))           \
    X(C_SeedRandom, (S, IN(i)), (s, i, i_n))                                                      \
    X(C_GenerateRandom, (S, IN(i)), (s, i, i_n))                                                  \
    X(C_GetFunctionStatus, (S), (s))                                                              \
    X(C_CancelFunction, (S), (s))                                                                 \
    X(C_WaitForSlotEvent, (CK_FLAGS f, CK_SLOT_ID * slot, void *a), (f, slot, a))

#define FORWARD(name, parameters, arguments)                                     \
    static CK_RV fault_##name parameters                                         \
    {                                                                            \
        CK_RV rv = CKR_OK;                                                       \
        return fault(#name, &rv) ? rv : real->name arguments;                    \
    }
FUNCTIONS(FORWARD)

static CK_RV fault_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV rv = CKR_OK;
    if (fault("C_GetTokenInfo", &rv)) return rv;
    rv = real->C_GetTokenInfo(slot, info);
    if (rv != CKR_OK) return rv;
    pthread_mutex_lock(&lock);
    info->flags = (info->flags | control.set) & ~control.clear;
    if (control.sessions) info->ulMaxRwSessionCount = info->ulMaxSessionCount = control.sessions;
    pthread_mutex_unlock(&lock);
    return CKR_OK;
}

#define ENTRY(name, parameters, arguments) .name = fault_##name,
static CK_FUNCTION_LIST functions = {
    .version = {2, 40},
    .C_GetFunctionList = C_GetFunctionList,
    .C_GetTokenInfo = fault_C_GetTokenInfo,
    FUNCTIONS(ENTRY)
};

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    const char *path = getenv("P11FAULT_MODULE");
    if (!list) return CKR_ARGUMENTS_BAD;
    pthread_mutex_lock(&lock);
    if (!real) {
        void *module = dlopen(path ? path : DEFAULT_MODULE, RTLD_NOW | RTLD_LOCAL);
        CK_C_GetFunctionList get = NULL;
        if (module) *(void **) &get = dlsym(module, "C_GetFunctionList");
        if (!get || get(&real) != CKR_OK) real = NULL;
    }
    pthread_mutex_unlock(&lock);
    if (!real) return CKR_LIBRARY_LOAD_FAILED;
    *list = &functions;
    return CKR_OK;
}
