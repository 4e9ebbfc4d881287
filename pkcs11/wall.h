/* The wall: the vendor's module in a helper process, its functions here as stubs.
 *
 * The cut is at the functions of PKCS#11, so all else in pkcs11/ is the same with and without. A stub makes a
 * frame of its call (wall_frame.h), sends it over a channel, a socket pair of which the helper serves each
 * with a thread of its own, and waits for the answer as long as this call may take. C_Login does not cross;
 * wall_login does, and the helper reads the PIN itself.
 *
 * A helper that dies, breaks the protocol or does not answer in time is ended; all calls under way are
 * CKR_DEVICE_REMOVED then, and so is every later one until C_Initialize starts the next helper. So its end is
 * for recovery what a pulled token is. One wall in a process, as stubs have no argument to tell two apart. */
#pragma once

#include "broker/base/log.h"
#include "broker/base/limits.h"
#include "pkcs11/p11.h"
#include "pkcs11/wall_calls.h"

struct wall;

/* Starts the helper, which loads this module (a full path) and confines itself. Options are copied, program and
 * init_args apart, which must stay. ERR_USAGE when that is no module; ERR_CONFLICT when there is a wall;
 * ERR_INTERNAL when no helper starts. */
err_t wall_open(const char *module, const struct p11_helper *options, struct wall **ret);
/* Ends the helper, within WALL_LAST_MS; no call may be under way. NULL-safe. */
void wall_free(struct wall *w);

/* The stubs; valid while the wall is. Thread-safe, as far as the module is. C_Finalize of a helper that does
 * not answer ends it and is CKR_CRYPTOKI_NOT_INITIALIZED, so module_restart goes on to C_Initialize. */
CK_FUNCTION_LIST *wall_fn(struct wall *w);

/* Ends the helper, so that C_Initialize starts another: for a module that starting it anew in the same process did
 * not help, or that does not even stop. False: it stays, as somebody typed a PIN for it. No call may be under way. */
bool wall_renew(struct wall *w);

struct wall_login {
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    bool spent;             /* the last PIN that was sent made the token want a person: send another only */
    const char *pin_source; /* see p11_pin_read; NULL: the terminal */
    const char *state_dir;
};
/* login_gate in the helper, which reads the PIN itself. Errors as there, with their chain; ERR_TOKEN_DOWN when
 * the helper fails; ERR_HUMAN when a PIN typed for an earlier helper is wanted again. */
err_t wall_login(struct wall *w, const struct wall_login *login, bool *ret_sent);

/* ---- for wall_stubs.c -------------------------------------------------------------------- */

/* Sends the request, which is complete but for its end, and stores the answer through the arguments of its last
 * call. */
CK_RV wall_exchange(struct wall_request *r, const struct wall_call *call, struct wall_arg *args);
/* C_Initialize and C_Finalize. */
CK_RV wall_initialize(void);
CK_RV wall_finalize(void);
extern CK_FUNCTION_LIST wall_stubs;

/* ---- between broker and helper, before there are channels -------------------------------- */

#define WALL_CONTROL_FD 3
#define WALL_REFUSED UINT64_MAX /* which call a reply is of: of none, the helper could not take the frame */

/* The broker's first packet on the control socket. The answer is a struct err_chain; what follows from the
 * broker are single bytes, each with a channel. The end of that socket is the end of the helper. */
struct wall_hello {
    uint64_t size; /* of this */
    uint64_t memory_locked;
    bool best_effort, network;
    enum log_level log_level;
    char module[4096];
    char init_args[MODULE_ARGS_MAX + 1]; /* "": none */
};

/* What the helper says of a login. */
struct wall_login_answer {
    struct err_chain chain;
    bool sent;
};

/* A chain that came through the wall: numbers in range, texts ended, sources of this program. */
void wall_chain_check(struct err_chain *c);

/* Takes what a module has no business with away from this process and all of its threads, for ever: other
 * processes, programs, the kernel's administration, and sockets beyond this host unless `network`. Sockets of
 * this host stay, since modules reach their daemons by them. ERR_INTERNAL when the kernel refuses. */
err_t wall_confine(bool network);
