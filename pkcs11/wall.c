#include "pkcs11/wall.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "broker/base/cleanup.h"
#include "broker/base/clock.h"
#include "broker/base/log.h"

#define MS (CLOCK_SECOND_NS / 1000)

struct channel {
    int fd;
    uint64_t helper; /* which one has the other end */
};

struct wall {
    char *module;
    struct p11_helper options;
    unsigned ms[WALL_TIME_COUNT];

    pthread_mutex_t lock; /* guards all below; held while a helper starts, which may take long */
    uint64_t helper;      /* counts them; that of now */
    pid_t pid;            /* 0: there is none */
    int pidfd, control;   /* -1 then */
    int idle[WALL_CHANNELS_MAX]; /* channels; the one used last is taken first, its thread is warm */
    unsigned idle_n, open_n;
    uint64_t started, not_before; /* clock_mono_ns */
    unsigned failures;    /* helpers in a row that did not live long */
    uint64_t prompted;    /* the helper for which somebody typed a PIN; 0: none */
};

static struct wall *_Atomic the_wall;
static struct { _Atomic pid_t pid; _Atomic uint64_t starts; } figures; /* its own, for who must not wait */

/* ---- the helper's end -------------------------------------------------------------------- */

static const char *how_it_ended(int status, char out[48])
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        snprintf(out, 48, "killed by SIG%s", name ? name : "?");
    } else {
        snprintf(out, 48, "exit code %d", WEXITSTATUS(status));
    }
    return out;
}

/* False when it does not end in that time. */
static bool await_end(int pidfd, unsigned ms)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int n = 0;
    do n = poll(&p, 1, (int) ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

/* Ends what still lives of it. Returns how it ended by itself, or NULL. */
static const char *reap_locked(struct wall *w, unsigned patience_ms, char out[48])
{
    int status = 0;
    bool itself = await_end(w->pidfd, patience_ms);
    if (!itself) kill(w->pid, SIGKILL);
    /* One that a driver holds in the kernel does not even die; it stays a zombie of ours later. */
    bool gone = itself || await_end(w->pidfd, WALL_LAST_MS);
    if (!gone || waitpid(w->pid, &status, WNOHANG) != w->pid)
        log_error("token.helper-stuck", LOG_U("pid", (unsigned) w->pid));
    for (; w->idle_n; w->idle_n--) close(w->idle[w->idle_n - 1]);
    close(w->control);
    close(w->pidfd);
    w->control = w->pidfd = -1;
    w->open_n = 0;
    figures.pid = w->pid = 0;
    return itself ? how_it_ended(status, out) : NULL;
}

/* The first failure may be followed by a start at once; further ones of helpers that lived shortly wait. */
static void set_pause_locked(struct wall *w)
{
    uint64_t now = clock_mono_ns(), pause = 0;
    w->failures = now - w->started < WALL_STEADY_MS * MS ? w->failures + 1 : 1;
    if (w->failures > 1) {
        unsigned doubled = w->failures - 2 < 16 ? w->failures - 2 : 16;
        pause = (uint64_t) WALL_PAUSE_MS << doubled;
        if (pause > WALL_PAUSE_MAX_MS) pause = WALL_PAUSE_MAX_MS;
    }
    w->not_before = now + pause * MS;
}

enum loss { LOST, LATE, HOSTILE };

/* Once for each helper, whoever sees its failure first. */
static void helper_lost(struct wall *w, uint64_t helper, enum loss loss, const char *call, unsigned ms)
{
    char ended[48];
    SCOPED_LOCK(&w->lock);
    if (w->helper != helper || !w->pid) return;
    pid_t pid = w->pid;
    /* Its sockets close a little before it can be waited for. */
    const char *how = reap_locked(w, loss == LOST ? 1000 : 0, ended);
    set_pause_locked(w);
    if (loss == LATE)
        log_error("token.helper-killed", LOG_U("pid", (unsigned) pid), LOG_S("call", call),
                  LOG_U("after_ms", ms), LOG_S("why", "the module does not answer"));
    else if (loss == HOSTILE)
        log_error("token.helper-killed", LOG_U("pid", (unsigned) pid), LOG_S("call", call),
                  LOG_S("why", "its answer is none that a sound helper gives"));
    else
        log_error("token.helper-died", LOG_U("pid", (unsigned) pid), LOG_S("call", call),
                  LOG_S("how", how ? how : "it closed its sockets"));
}

/* ---- the helper's start ------------------------------------------------------------------ */

static err_t spawn(const char *program, int control, pid_t *ret)
{
    char name[] = "strongroom", command[] = "token-helper";
    char *argv[] = {name, command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    /* A module that prints must not print into what a command prints. */
    posix_spawn_file_actions_adddup2(&files, control, WALL_CONTROL_FD);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    errno = posix_spawn(ret, program, &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    if (errno) FAIL_ERRNO(ERR_INTERNAL, "cannot start %s as the token's helper", program);
    return ERR_OK;
}

static enum log_level level_now(void)
{
    enum log_level level = LOG_LEVEL_DEBUG;
    while (level > LOG_LEVEL_ERROR && !log_enabled(level)) level--;
    return level;
}

/* Tells it what to load; hears whether it did. */
static err_t greet(struct wall *w)
{
    struct wall_hello hello = {
        .size = sizeof hello, .memory_locked = w->options.memory_locked,
        .best_effort = w->options.best_effort, .network = w->options.network,
        .log_level = level_now(),
    };
    struct err_chain answer = {0};
    struct pollfd p = {.fd = w->control, .events = POLLIN};
    snprintf(hello.module, sizeof hello.module, "%s", w->module);
    const char *args = w->options.init_args;
    snprintf(hello.init_args, sizeof hello.init_args, "%s", args ? args : "");
    if (send(w->control, &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello)
        FAIL_ERRNO(ERR_TOKEN_DOWN, "the token's helper ended at once");
    if (poll(&p, 1, (int) w->ms[WALL_TIME_LONG]) <= 0)
        FAIL(ERR_TOKEN_DOWN, "the module does not load within %u ms", w->ms[WALL_TIME_LONG]);
    if (recv(w->control, &answer, sizeof answer, MSG_DONTWAIT) != sizeof answer)
        FAIL(ERR_TOKEN_DOWN, "the token's helper died while it loaded the module");
    wall_chain_check(&answer);
    return err_load(&answer);
}

static err_t start_locked(struct wall *w)
{
    int pair[2];
    const char *program = w->options.program ? w->options.program : "/proc/self/exe";
    char ended[48];
    uint64_t now = clock_mono_ns();
    if (now < w->not_before)
        FAIL(ERR_TOKEN_DOWN, "%u helpers of the token failed one after the other; the next starts in %u ms",
             w->failures, (unsigned) ((w->not_before - now) / MS));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        FAIL_ERRNO(ERR_INTERNAL, "no sockets for the token's helper");
    pid_t pid = 0;
    struct err e = spawn(program, pair[1], &pid);
    close(pair[1]);
    if (err_ok(e) && (w->pidfd = pidfd_open(pid, 0)) < 0) {
        e = err_start_errno(ERR_INTERNAL, errno, __FILE__, __LINE__, __func__, "cannot watch the helper");
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (!err_ok(e)) {
        close(pair[0]);
        return e;
    }
    w->control = pair[0];
    figures.starts = ++w->helper;
    figures.pid = w->pid = pid;
    w->started = now;
    e = greet(w);
    if (err_ok(e)) {
        log_info("token.helper-started", LOG_U("pid", (unsigned) w->pid), LOG_S("module", w->module),
                 LOG_S("network", w->options.network ? "yes" : "no"));
        return e;
    }
    struct err_chain chain;
    err_save(e, &chain);
    reap_locked(w, 0, ended);
    set_pause_locked(w);
    return err_load(&chain);
}

/* ---- channels ---------------------------------------------------------------------------- */

static bool hand_over(int control, int fd)
{
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space = {0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.bytes,
                       .msg_controllen = sizeof space.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(control, &m, MSG_NOSIGNAL) == 1;
}

static CK_RV channel_open_locked(struct wall *w, struct channel *ret)
{
    int pair[2];
    if (w->open_n == WALL_CHANNELS_MAX) return CKR_SESSION_COUNT;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        log_error("token.helper-no-sockets", LOG_S("why", strerrordesc_np(errno)));
        return CKR_SESSION_COUNT;
    }
    struct timeval patience = {.tv_sec = w->ms[WALL_TIME_SHORT] / 1000,
                               .tv_usec = w->ms[WALL_TIME_SHORT] % 1000 * 1000};
    bool sent = setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                hand_over(w->control, pair[1]);
    close(pair[1]);
    w->open_n++;
    *ret = (struct channel){.fd = pair[0], .helper = w->helper};
    /* Who cannot send it finds its end closed, and sees to the helper then. */
    if (!sent) shutdown(pair[0], SHUT_RDWR);
    return CKR_OK;
}

static CK_RV channel_take(struct wall *w, struct channel *ret)
{
    SCOPED_LOCK(&w->lock);
    if (!w->pid) return CKR_DEVICE_REMOVED;
    if (!w->idle_n) return channel_open_locked(w, ret);
    *ret = (struct channel){.fd = w->idle[--w->idle_n], .helper = w->helper};
    return CKR_OK;
}

static void channel_put(struct wall *w, struct channel c, bool sound)
{
    SCOPED_LOCK(&w->lock);
    bool ours = w->pid && c.helper == w->helper;
    if (sound && ours) {
        w->idle[w->idle_n++] = c.fd;
        return;
    }
    close(c.fd);
    if (ours) w->open_n--;
}

/* ---- one call ---------------------------------------------------------------------------- */

/* Until the socket is ready; false when it is too late. */
static bool await(int fd, short events, uint64_t until)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        uint64_t now = clock_mono_ns();
        uint64_t left = until > now ? until - now : 0;
        struct timespec t = {.tv_sec = (time_t) (left / CLOCK_SECOND_NS),
                             .tv_nsec = (long) (left % CLOCK_SECOND_NS)};
        int n = ppoll(&p, 1, &t, NULL);
        if (n > 0) return true;
        if (n == 0) return false;
        if (errno != EINTR) return true; /* the call that follows says what it is */
    }
}

/* Drops what was transferred from the front. */
static void advance(struct msghdr *m, size_t done)
{
    while (m->msg_iovlen && done >= m->msg_iov->iov_len) {
        done -= m->msg_iov->iov_len;
        m->msg_iov++;
        m->msg_iovlen--;
    }
    if (!m->msg_iovlen) return;
    m->msg_iov->iov_base = (uint8_t *) m->msg_iov->iov_base + done;
    m->msg_iov->iov_len -= done;
}

/* 0, or what came in between. */
static int transfer(int fd, bool out, struct iovec *pieces, int n, uint64_t until, enum loss *ret_loss)
{
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = (size_t) n};
    *ret_loss = LOST;
    while (m.msg_iovlen) {
        ssize_t done = out ? sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL)
                           : recvmsg(fd, &m, MSG_DONTWAIT);
        if (done > 0) {
            advance(&m, (size_t) done);
            continue;
        }
        if (done == 0 || (errno != EAGAIN && errno != EINTR)) return -1;
        if (await(fd, out ? POLLOUT : POLLIN, until)) continue;
        *ret_loss = LATE;
        return -1;
    }
    return 0;
}

/* Where the first bytes of the results belong, when nothing comes before them. Of several attributes nobody
 * knows which is the first that has any. */
static struct iovec first_room(const struct wall_shape *shape, const struct wall_arg *args)
{
    for (const char *c = shape->letters; *c; c++, args++) {
        const CK_ATTRIBUTE *first = args->p;
        if (*c == 'f') return (struct iovec){args->p, shape->fixed};
        if (*c == 'o' && args->p) return (struct iovec){args->p, args->n};
        if (*c == 'a' && args->n == 1 && first->pValue)
            return (struct iovec){first->pValue, first->ulValueLen};
        if (*c == 'l' || *c == 'a' || *c == 'o') break;
    }
    return (struct iovec){0};
}

/* What comes first, in one call as a rule; the socket's own time-out is the patience of a short one. */
static ssize_t receive_some(int fd, struct iovec *pieces, int n, bool patient, uint64_t until,
                            enum loss *ret_loss)
{
    struct msghdr m = {.msg_iov = pieces, .msg_iovlen = (size_t) n};
    *ret_loss = LATE;
    if (patient && !await(fd, POLLIN, until)) return -1;
    ssize_t got = 0;
    do got = recvmsg(fd, &m, 0);
    while (got < 0 && errno == EINTR);
    if (got >= 0 || errno != EAGAIN) *ret_loss = LOST;
    return got ? got : -1;
}

/* The answer, straight to where it belongs. */
static int receive(int fd, const struct wall_call *call, struct wall_arg *args, size_t calls,
                   uint64_t until, CK_RV *ret_rv, enum loss *ret_loss)
{
    uint64_t words[WALL_REPLY_WORDS];
    struct iovec pieces[WALL_REPLY_PIECES], room = first_room(&call->shape, args);
    struct msghdr rest = {.msg_iov = pieces};
    const size_t head = WALL_REPLY_HEAD * sizeof *words;
    size_t all = wall_reply_words(&call->shape, args) * sizeof *words;
    int n = 0;
    pieces[0] = (struct iovec){words, all};
    pieces[1] = room;
    ssize_t some = receive_some(fd, pieces, 2, call->time == WALL_TIME_LONG, until, ret_loss);
    size_t got = some > 0 ? (size_t) some : 0;
    if (!got) return -1;
    if (got >= head && words[2] == WALL_REFUSED) {
        *ret_rv = words[1];
        *ret_loss = HOSTILE;
        return got == head && words[0] == head && words[1] != CKR_OK ? 0 : -1;
    }
    if (got < all) {
        pieces[0] = (struct iovec){(uint8_t *) words + got, all - got};
        if (transfer(fd, false, pieces, 1, until, ret_loss)) return -1;
        got = all;
    }
    *ret_loss = HOSTILE;
    if (!wall_reply_take(&call->shape, args, words, calls, ret_rv, pieces, &n)) return -1;
    /* What came with the words is in the room already. */
    got -= all;
    if (got && (!n || pieces[0].iov_base != room.iov_base || got > pieces[0].iov_len)) return -1;
    rest.msg_iovlen = (size_t) n;
    advance(&rest, got);
    return transfer(fd, false, rest.msg_iov, (int) rest.msg_iovlen, until, ret_loss);
}

static CK_RV exchange(struct wall *w, struct wall_request *r, const struct wall_call *call,
                      struct wall_arg *args, unsigned ms)
{
    struct channel c = {.fd = -1};
    CK_RV rv = CKR_DEVICE_REMOVED;
    enum loss loss = LOST;
    size_t calls = r->words[1];
    if (!wall_request_end(r)) return CKR_ARGUMENTS_BAD;
    CK_RV taken = channel_take(w, &c);
    if (taken != CKR_OK) return taken;
    uint64_t until = clock_mono_ns() + ms * MS;
    bool failed = transfer(c.fd, true, r->pieces, r->piece_n, until, &loss) ||
                  receive(c.fd, call, args, calls, until, &rv, &loss);
    if (failed) helper_lost(w, c.helper, loss, call->name, ms);
    channel_put(w, c, !failed);
    return failed ? CKR_DEVICE_REMOVED : rv;
}

CK_RV wall_exchange(struct wall_request *r, const struct wall_call *call, struct wall_arg *args)
{
    struct wall *w = the_wall;
    return w ? exchange(w, r, call, args, w->ms[call->time]) : CKR_CRYPTOKI_NOT_INITIALIZED;
}

/* ---- calls that concern the helper itself ------------------------------------------------ */

static CK_RV bare_call(struct wall *w, enum wall_call_id id)
{
    struct wall_request r;
    const struct wall_call *call = wall_call(id);
    wall_request_start(&r, false);
    wall_request_add(&r, id, &call->shape, NULL);
    return exchange(w, &r, call, NULL, w->ms[call->time]);
}

static err_t ensure_helper(struct wall *w)
{
    SCOPED_LOCK(&w->lock);
    return w->pid ? ERR_OK : start_locked(w);
}

CK_RV wall_initialize(void)
{
    struct wall *w = the_wall;
    struct err e = w ? ensure_helper(w) : ERR_OK;
    if (!err_ok(e)) log_warn_err(e, "token.helper-not-started");
    return w && err_ok(e) ? bare_call(w, WALL_Initialize) : CKR_DEVICE_REMOVED;
}

CK_RV wall_finalize(void)
{
    struct wall *w = the_wall;
    CK_RV rv = w ? bare_call(w, WALL_Finalize) : CKR_DEVICE_REMOVED;
    return rv == CKR_DEVICE_REMOVED ? CKR_CRYPTOKI_NOT_INITIALIZED : rv;
}

static void end_locked(struct wall *w)
{
    char ended[48];
    shutdown(w->control, SHUT_RDWR);
    reap_locked(w, WALL_LAST_MS, ended);
}

bool wall_renew(struct wall *w)
{
    SCOPED_LOCK(&w->lock);
    if (!w->pid) return true;
    if (w->prompted == w->helper) return false;
    log_info("token.helper-ended", LOG_U("pid", (unsigned) w->pid),
             LOG_S("why", "the module was started again in it and does not work"));
    end_locked(w);
    return true;
}

void wall_chain_check(struct err_chain *c)
{
    if ((unsigned) c->err.code >= ERR_CLASS_COUNT) c->err.code = ERR_INTERNAL;
    if (c->count < 0 || c->count > ERR_FRAMES || err_ok(c->err)) c->count = 0;
    for (int i = 0; i < c->count; i++) {
        struct err_frame *f = &c->frames[i];
        f->file = f->func = "token-helper";
        f->text[sizeof f->text - 1] = f->native[sizeof f->native - 1] = '\0';
    }
}

/* A typed PIN goes with the helper that it was typed for, and a person is not asked again by a daemon. */
static err_t note_prompt(struct wall *w)
{
    SCOPED_LOCK(&w->lock);
    if (w->prompted && w->prompted != w->helper)
        FAIL(ERR_HUMAN, "the PIN was typed, and ended with the helper that had it; restart the program, or "
             "give a pin-source that is a file");
    w->prompted = w->helper;
    return ERR_OK;
}

err_t wall_login(struct wall *w, const struct wall_login *login, bool *ret_sent)
{
    const struct wall_call *call = wall_call(WALL_Login);
    bool prompt = !login->pin_source || strcmp(login->pin_source, "prompt") == 0;
    struct span source = span_str(prompt ? "prompt" : login->pin_source);
    struct span dir = span_str(login->state_dir);
    struct wall_request r;
    struct wall_login_answer answer = {0};
    CK_ULONG len = sizeof answer;
    struct wall_arg args[WALL_ARGS] = {
        {.n = login->slot}, {.n = login->session},
        {.n = source.len, .p = (void *) (uintptr_t) source.data},
        {.n = dir.len, .p = (void *) (uintptr_t) dir.data}, {.n = login->spent},
        {.n = sizeof answer, .p = &answer, .ret = &len},
    };
    if (prompt) TRY(note_prompt(w));
    wall_request_start(&r, false);
    wall_request_add(&r, WALL_Login, &call->shape, args);
    CK_RV rv = exchange(w, &r, call, args, prompt ? WALL_PROMPT_MS : w->ms[WALL_TIME_LONG]);
    if (rv != CKR_OK || len != sizeof answer)
        FAIL(ERR_TOKEN_DOWN, "the token's helper failed while it logged in");
    wall_chain_check(&answer.chain);
    *ret_sent = *(const uint8_t *) &answer.sent != 0; /* whatever byte is there */
    return err_load(&answer.chain);
}

/* ---- opening and closing ----------------------------------------------------------------- */

static void forget_wall(void)
{
    the_wall = NULL;
    figures.starts = 0;
}

static err_t begin(struct wall *w)
{
    struct wall *none = NULL;
    if (!__atomic_compare_exchange_n((struct wall **) &the_wall, &none, w, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        FAIL(ERR_CONFLICT, "another module is in a helper of this process already");
    struct err e = ensure_helper(w);
    if (!err_ok(e)) forget_wall();
    return e;
}

err_t wall_open(const char *module, const struct p11_helper *options, struct wall **ret)
{
    struct wall *w = calloc(1, sizeof *w);
    if (!w || !(w->module = strdup(module))) {
        free(w);
        FAIL(ERR_INTERNAL, "out of memory");
    }
    w->options = *options;
    if (!w->options.memory_locked) w->options.memory_locked = SECRET_BUDGET_DEFAULT;
    w->ms[WALL_TIME_SHORT] = options->hang_ms ? options->hang_ms : WALL_HANG_MS;
    w->ms[WALL_TIME_LONG] = w->ms[WALL_TIME_SHORT] > WALL_LONG_MS ? w->ms[WALL_TIME_SHORT] : WALL_LONG_MS;
    w->pidfd = w->control = -1;
    pthread_mutex_init(&w->lock, NULL);
    struct err e = strlen(module) < sizeof((struct wall_hello *) 0)->module
                       ? begin(w) : ERR_MAKE(ERR_USAGE, "the module's path is too long");
    if (err_ok(e)) {
        *ret = w;
        return e;
    }
    pthread_mutex_destroy(&w->lock);
    free(w->module);
    free(w);
    return e;
}

void wall_free(struct wall *w)
{
    if (!w) return;
    forget_wall();
    if (w->pid) end_locked(w);
    pthread_mutex_destroy(&w->lock);
    free(w->module);
    free(w);
}

CK_FUNCTION_LIST *wall_fn(struct wall *w)
{
    return &wall_stubs;
}

struct p11_helper_stats p11_helper_stats(void)
{
    return (struct p11_helper_stats){.pid = figures.pid, .starts = figures.starts};
}
