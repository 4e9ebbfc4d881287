#include "broker/cmd/early_stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/base/cleanup.h"
#include "broker/base/log.h"

static struct {
    pthread_t thread;
    int signals, end; /* a signalfd, an eventfd */
    struct early_stop how;
    bool heard; /* the thread's until it was joined */
} early;

/* False: the time came first. */
static bool await(struct pollfd *fds, nfds_t n, int ms)
{
    int got = -1;
    do got = poll(fds, n, ms);
    while (got < 0 && errno == EINTR);
    return got > 0;
}

static void *listen_for_stop(void *arg)
{
    struct pollfd fds[] = {{.fd = early.end, .events = POLLIN}, {.fd = early.signals, .events = POLLIN}};
    struct signalfd_siginfo which = {0};
    while (!await(fds, 2, (int) early.how.tell_ms)) early.how.tell();
    if (fds[0].revents || read(early.signals, &which, sizeof which) != sizeof which) return NULL;
    early.heard = true;
    log_info("stopping", LOG_S("signal", which.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT"),
             LOG_S("when", "while it starts"), LOG_U("within_ms", early.how.stop_ms));
    if (!await(fds, 1, (int) early.how.stop_ms)) early.how.over();
    return NULL;
}

static void close_both(void)
{
    if (early.signals >= 0) close(early.signals);
    if (early.end >= 0) close(early.end);
}

struct err early_stop_listen(const struct early_stop *how)
{
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    early.heard = false;
    early.how = *how;
    early.signals = signalfd(-1, &stops, SFD_CLOEXEC);
    early.end = eventfd(0, EFD_CLOEXEC);
    bool ready = early.signals >= 0 && early.end >= 0;
    if (ready && pthread_create(&early.thread, NULL, listen_for_stop, NULL) == 0) return ERR_OK;
    close_both();
    FAIL(ERR_INTERNAL, "cannot listen for a stop during the start");
}

bool early_stop_end(void)
{
    static const uint64_t one = 1;
    ssize_t written = write(early.end, &one, sizeof one);
    (void) written; /* an eventfd at 0 takes it */
    pthread_join(early.thread, NULL);
    close_both();
    return early.heard;
}
