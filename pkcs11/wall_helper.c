#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/crypto.h>

#include "broker/base/cleanup.h"
#include "broker/base/log.h"
#include "pkcs11/p11_internal.h"
#include "pkcs11/wall.h"

#define BLOCK 4096u /* bytes of frames and results that each thread keeps room for */

static struct {
    CK_FUNCTION_LIST *fn;
    pthread_mutex_t lock;  /* guards busy */
    pthread_cond_t calm;   /* busy is 0 */
    unsigned busy;         /* calls under way */
    char init_args[MODULE_ARGS_MAX + 1]; /* "": none */
    pthread_mutex_t login; /* one at a time; guards pin */
    struct secret *pin;    /* that was used last, or NULL */
} helper = {.lock = PTHREAD_MUTEX_INITIALIZER, .calm = PTHREAD_COND_INITIALIZER,
            .login = PTHREAD_MUTEX_INITIALIZER};

/* Whoever sends that is no broker of ours, or we are not what we were. */
static _Noreturn void give_up(const char *why)
{
    log_error("token.helper-ends", LOG_S("why", why));
    _exit(err_exit_code(ERR_INTERNAL));
}

static void count_busy(int more)
{
    SCOPED_LOCK(&helper.lock);
    helper.busy += (unsigned) more;
    if (!helper.busy) pthread_cond_broadcast(&helper.calm);
}

/* ---- logging in -------------------------------------------------------------------------- */

/* Reads it again each time, as it may have been corrected; a person is asked once. A helper that is new cannot
 * tell whether it is the same as before: the gate can, by the marker, of one that was refused. */
static err_t renew_pin(CK_FUNCTION_LIST *fn, CK_SLOT_ID slot, const char *source, bool spent)
{
    _cleanup_secret_ struct secret *read = NULL;
    struct p11_token_info info = {0};
    bool typed = strcmp(source, "prompt") == 0 && helper.pin;
    if (!typed) TRY(login_pin(fn, slot, source, &read));
    bool same = typed || !read ||
                (helper.pin && secret_equal(secret_span(read), secret_span(helper.pin)));
    if (spent && same) {
        TRY(slot_info(fn, slot, &info));
        FAIL(ERR_HUMAN, PIN_SPENT, info.label);
    }
    if (typed) return ERR_OK;
    secret_free(helper.pin);
    helper.pin = TAKE_PTR(read);
    return ERR_OK;
}

static err_t log_in(CK_FUNCTION_LIST *fn, struct wall_arg *a, bool *ret_sent)
{
    char source[PATH_MAX], state_dir[PATH_MAX];
    if (a[2].n >= sizeof source || a[3].n >= sizeof state_dir)
        FAIL(ERR_USAGE, "pin-source and state_dir are at most %zu bytes", sizeof source - 1);
    snprintf(source, sizeof source, "%.*s", (int) a[2].n, (const char *) a[2].p);
    snprintf(state_dir, sizeof state_dir, "%.*s", (int) a[3].n, (const char *) a[3].p);
    SCOPED_LOCK(&helper.login);
    TRY(renew_pin(fn, a[0].n, source, a[4].n != 0));
    return login_gate(fn, a[0].n, a[1].n, helper.pin, state_dir, ret_sent);
}

CK_RV wall_initialize_make(CK_FUNCTION_LIST *fn)
{
    return module_initialize(fn, helper.init_args[0] ? helper.init_args : NULL);
}

CK_RV wall_login_make(CK_FUNCTION_LIST *fn, struct wall_arg *a)
{
    struct wall_login_answer answer = {0};
    if (a[5].n < sizeof answer || !a[5].p || !a[2].p || !a[3].p) return CKR_ARGUMENTS_BAD;
    struct err e = log_in(fn, a, &answer.sent);
    err_save(e, &answer.chain);
    memcpy(a[5].p, &answer, sizeof answer);
    *a[5].ret = sizeof answer;
    return CKR_OK;
}

/* ---- one channel ------------------------------------------------------------------------- */

struct serving {
    int fd;
    struct secret *in, *out;
};

static bool receive(int fd, uint8_t *at, size_t len)
{
    while (len) {
        ssize_t n = recv(fd, at, len, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        len -= (size_t) n;
    }
    return true;
}

static bool send_all(int fd, struct iovec *pieces, int n)
{
    while (n) {
        struct msghdr m = {.msg_iov = pieces, .msg_iovlen = (size_t) n};
        ssize_t done = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        for (; n && (size_t) done >= pieces->iov_len; pieces++, n--) done -= (ssize_t) pieces->iov_len;
        if (!n) break;
        pieces->iov_base = (uint8_t *) pieces->iov_base + done;
        pieces->iov_len -= (size_t) done;
    }
    return true;
}

/* No memory for this frame, or its results: an answer that fits any call. */
static bool refuse(int fd)
{
    uint64_t words[WALL_REPLY_HEAD] = {sizeof words, CKR_SESSION_COUNT, WALL_REFUSED};
    struct iovec piece = {words, sizeof words};
    return send_all(fd, &piece, 1);
}

static CK_RV run(struct wall_frame *f, size_t *ret_done)
{
    CK_RV rv = CKR_OK;
    count_busy(1);
    for (size_t i = 0; i < f->call_n && rv == CKR_OK; i++) {
        *ret_done = i;
        rv = wall_call(f->calls[i].call)->make(helper.fn, f->calls[i].args);
    }
    count_busy(-1);
    return rv;
}

static bool answer(struct serving *s, struct span bytes)
{
    struct wall_frame f;
    uint64_t words[WALL_REPLY_WORDS];
    struct iovec pieces[WALL_REPLY_PIECES];
    _cleanup_secret_ struct secret *big = NULL;
    size_t done = 0;
    if (!wall_frame_decode(bytes, wall_call_shape, &f)) give_up("a frame that is none");
    if (f.room > BLOCK && !err_ok(secret_new(f.room, &big))) return refuse(s->fd);
    wall_frame_room(&f, wall_call_shape, secret_data(big ? big : s->out));
    CK_RV rv = run(&f, &done);
    bool sent = send_all(s->fd, pieces, wall_reply_make(&f, wall_call_shape, done, rv, words, pieces));
    if (!big) explicit_bzero(secret_data(s->out), f.room);
    return sent;
}

/* One that there is no memory for is read past. */
static bool skip(struct serving *s, size_t len)
{
    while (len) {
        size_t piece = len < BLOCK ? len : BLOCK;
        bool came = receive(s->fd, secret_data(s->in), piece);
        explicit_bzero(secret_data(s->in), piece);
        if (!came) return false;
        len -= piece;
    }
    return refuse(s->fd);
}

static bool serve_big(struct serving *s, size_t got, size_t len)
{
    _cleanup_secret_ struct secret *big = NULL;
    if (!err_ok(secret_new(len, &big))) return skip(s, len - got);
    memcpy(secret_data(big), secret_data(s->in), got);
    explicit_bzero(secret_data(s->in), got);
    return receive(s->fd, secret_data(big) + got, len - got) && answer(s, secret_span(big));
}

/* One request. False at the end of the channel. */
static bool serve_one(struct serving *s)
{
    uint64_t len = 0;
    uint8_t *at = secret_data(s->in);
    ssize_t n = 0;
    do n = recv(s->fd, at, BLOCK, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0) return false;
    size_t got = (size_t) n;
    if (got < sizeof len) {
        if (!receive(s->fd, at + got, sizeof len - got)) return false;
        got = sizeof len;
    }
    memcpy(&len, at, sizeof len);
    if (len < got || len > WALL_FRAME_MAX + BLOCK) give_up("a frame of no possible length");
    if (len > BLOCK) return serve_big(s, got, len);
    bool served = receive(s->fd, at + got, len - got) && answer(s, span_of(at, len));
    explicit_bzero(at, len);
    return served;
}

static void *serve(void *arg)
{
    struct serving *s = arg;
    while (serve_one(s)) continue;
    close(s->fd);
    secret_free(s->in);
    secret_free(s->out);
    free(s);
    return NULL;
}

/* A channel without a thread is closed, by which the broker sees that we are out of something. */
static void serve_channel(int fd)
{
    pthread_t thread;
    struct serving *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return;
    }
    s->fd = fd;
    struct err e = secret_new(BLOCK, &s->in);
    if (err_ok(e)) e = secret_new(BLOCK, &s->out);
    if (err_ok(e) && pthread_create(&thread, NULL, serve, s) == 0) {
        pthread_detach(thread);
        return;
    }
    log_error("token.helper-no-thread", LOG_S("hint", "raise the limit of tasks, or process.memory_locked"));
    secret_free(s->in);
    secret_free(s->out);
    free(s);
    close(fd);
}

/* ---- the broker -------------------------------------------------------------------------- */

/* The next channel; -1: the broker is gone. */
static int next_channel(void)
{
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } space = {0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.bytes,
                       .msg_controllen = sizeof space.bytes};
    ssize_t n = 0;
    do n = recvmsg(WALL_CONTROL_FD, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *c = n == 1 ? CMSG_FIRSTHDR(&m) : NULL;
    int fd = -1;
    if (c && c->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* What the module has begun it may finish: SoftHSM, say, truncates a file in each login and writes it again. */
static _Noreturn void end_with_broker(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WALL_LAST_MS / 1000;
    pthread_mutex_lock(&helper.lock);
    while (helper.busy && pthread_cond_timedwait(&helper.calm, &helper.lock, &until) == 0) continue;
    _exit(0);
}

static err_t load(const struct wall_hello *hello)
{
    TRY(secret_init(hello->memory_locked, hello->best_effort, false));
    /* The module shares this OpenSSL. openCryptoki loses a little of the secure heap with each HMAC, and no
     * cryptography went on when that was used up; as ordinary memory it is long enough. Nothing of ours needs
     * that heap here. */
    CRYPTO_secure_malloc_done();
    TRY(wall_confine(hello->network));
    memcpy(helper.init_args, hello->init_args, sizeof helper.init_args);
    return module_functions(hello->module, &helper.fn);
}

/* All but the standard descriptors and the one of the broker, and signals that are meant for it. */
static err_t settle(void)
{
    static const int IGNORED[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct stat st = {0};
    if (fstat(WALL_CONTROL_FD, &st) != 0 || !S_ISSOCK(st.st_mode))
        FAIL(ERR_USAGE, "the broker starts this command by itself (token.isolation)");
    for (size_t i = 0; i < sizeof IGNORED / sizeof *IGNORED; i++) signal(IGNORED[i], SIG_IGN);
    if (close_range(WALL_CONTROL_FD + 1, ~0u, 0) != 0)
        FAIL_ERRNO(ERR_INTERNAL, "cannot close inherited descriptors");
    prctl(PR_SET_NAME, "token-helper");
    return ERR_OK;
}

err_t p11_helper_run(void)
{
    struct wall_hello hello = {0};
    struct err_chain chain;
    TRY(settle());
    ssize_t n = recv(WALL_CONTROL_FD, &hello, sizeof hello, 0);
    if (n != sizeof hello || hello.size != sizeof hello || !memchr(hello.module, 0, sizeof hello.module) ||
        !memchr(hello.init_args, 0, sizeof hello.init_args))
        FAIL(ERR_USAGE, "the broker starts this command by itself (token.isolation)");
    log_set_level(hello.log_level);
    struct err e = load(&hello);
    err_save(e, &chain);
    if (send(WALL_CONTROL_FD, &chain, sizeof chain, MSG_NOSIGNAL) != sizeof chain || !err_ok(chain.err))
        _exit(err_exit_code(chain.err.code));
    for (int fd = next_channel(); fd >= 0; fd = next_channel()) serve_channel(fd);
    end_with_broker();
}
