/* A token that counts wrong PINs and locks, which SoftHSM does not. The count lies beside the
 * control file (its name and ".pin"), as a token's survives a restart. */
#include "tests/fault/fault.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One login at a time counts. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void count_path(char *out, size_t size)
{
    const char *control = getenv("P11FAULT_CONTROL");
    int n = snprintf(out, size, "%s.pin", control ? control : "");
    if (!control || n < 0 || (size_t) n >= size) refuse("no place for the count of wrong PINs");
}

static unsigned long wrong_pins(void)
{
    char path[4096], text[24] = "";
    count_path(path, sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    if (read(fd, text, sizeof text - 1) < 0) text[0] = '\0';
    close(fd);
    return strtoul(text, NULL, 10);
}

static void set_wrong_pins(unsigned long n)
{
    char path[4096], text[24];
    count_path(path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int len = snprintf(text, sizeof text, "%lu\n", n);
    if (fd < 0 || write(fd, text, (size_t) len) != len) refuse("%s cannot be written", path);
    close(fd);
}

CK_FLAGS pin_flags(CK_FLAGS flags)
{
    unsigned long tries = powers_now().pin_tries, wrong = tries ? wrong_pins() : 0;
    if (!tries) return flags;
    flags &= ~(CK_FLAGS) (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
    if (wrong >= tries) return flags | CKF_USER_PIN_LOCKED;
    if (wrong + 1 == tries && wrong) flags |= CKF_USER_PIN_FINAL_TRY;
    return wrong ? flags | CKF_USER_PIN_COUNT_LOW : flags;
}

/* After a call that showed the token a PIN. */
static CK_RV count_try(CK_RV rv, unsigned long tries)
{
    if (rv == CKR_OK) set_wrong_pins(0);
    if (rv != CKR_PIN_INCORRECT) return rv;
    unsigned long wrong = wrong_pins() + 1;
    set_wrong_pins(wrong);
    return wrong >= tries ? CKR_PIN_LOCKED : rv;
}

CK_RV shaped_C_Login(struct call *c, CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_BYTE *pin,
                     CK_ULONG pin_n)
{
    unsigned long tries = powers_now().pin_tries;
    if (!tries || user != CKU_USER) return real->C_Login(s, user, pin, pin_n);
    pthread_mutex_lock(&lock);
    CK_RV rv = wrong_pins() >= tries ? CKR_PIN_LOCKED
                                     : count_try(real->C_Login(s, user, pin, pin_n), tries);
    pthread_mutex_unlock(&lock);
    return rv;
}

/* As the user: the security officer's own PIN is not counted. */
static bool is_user(CK_SESSION_HANDLE s)
{
    CK_SESSION_INFO info = {0};
    return real->C_GetSessionInfo(s, &info) == CKR_OK && info.state != CKS_RW_SO_FUNCTIONS;
}

CK_RV shaped_C_SetPIN(struct call *c, CK_SESSION_HANDLE s, CK_BYTE *old, CK_ULONG old_n,
                      CK_BYTE *fresh, CK_ULONG fresh_n)
{
    unsigned long tries = powers_now().pin_tries;
    if (!tries || !is_user(s)) return real->C_SetPIN(s, old, old_n, fresh, fresh_n);
    pthread_mutex_lock(&lock);
    CK_RV rv = wrong_pins() >= tries
                   ? CKR_PIN_LOCKED
                   : count_try(real->C_SetPIN(s, old, old_n, fresh, fresh_n), tries);
    pthread_mutex_unlock(&lock);
    return rv;
}

/* The security officer's new PIN for the user unlocks it. */
CK_RV shaped_C_InitPIN(struct call *c, CK_SESSION_HANDLE s, CK_BYTE *pin, CK_ULONG pin_n)
{
    CK_RV rv = real->C_InitPIN(s, pin, pin_n);
    if (rv == CKR_OK && powers_now().pin_tries) set_wrong_pins(0);
    return rv;
}
