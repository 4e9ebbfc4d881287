#include "tests/bench/generator.h"

#include "broker/base/clock.h"
#include "tests/bench/load.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SAMPLES 100000u
#define PAUSE_MS 5L
#define PATIENCE_MS 1000 /* a kubelet's, as a rule */

/* ---- cores ---------------------------------------------------------------------------------- */

static unsigned first_core; /* of the generator's */

static void pin(unsigned from, unsigned to)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned i = from; i < to; i++) CPU_SET(i, &set);
    sched_setaffinity(0, sizeof set, &set);
}

unsigned generator_take_cores(bool half)
{
    unsigned all = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);
    first_core = half ? all / 2 : 0;
    if (first_core == 0) return all;
    pin(0, first_core);
    return first_core;
}

/* ---- probes --------------------------------------------------------------------------------- */

struct probe {
    pthread_t thread;
    const char *address;
    atomic_bool stop;
    uint64_t ns[SAMPLES];
    size_t n;
    uint64_t failed;
};

static int connect_patiently(const char *address)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int fd = load_connect(address);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static bool ask(int fd)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n";
    char answer[4096];
    return fd >= 0 && send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 &&
           recv(fd, answer, sizeof answer, 0) > 0 && strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

static void *run_probe(void *arg)
{
    struct probe *p = arg;
    struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    while (!atomic_load(&p->stop) && p->n < SAMPLES) {
        uint64_t begun = clock_mono_ns();
        int fd = connect_patiently(p->address);
        if (ask(fd)) p->ns[p->n++] = clock_mono_ns() - begun;
        else p->failed++;
        if (fd >= 0) close(fd);
        nanosleep(&pause, NULL); /* a probe, no load */
    }
    return NULL;
}

/* ---- the process ---------------------------------------------------------------------------- */

struct shared {
    struct generator_result result;
    bool failed;
    char why[ERR_TEXT];
};

static void generate(struct open_load load, struct shared *s)
{
    static struct probe probe; /* of this process, which makes one run only */
    probe.address = load.address;
    load.server = getppid();
    ENSURE(pthread_create(&probe.thread, NULL, run_probe, &probe) == 0);
    struct err e = open_load_run(&load, &s->result.load);
    atomic_store(&probe.stop, true);
    pthread_join(probe.thread, NULL);
    s->result.health.failed = probe.failed;
    latencies_of(probe.ns, probe.n, &s->result.health.answers);
    s->failed = !err_ok(e);
    if (s->failed) snprintf(s->why, sizeof s->why, "%s", err_text(e));
}

static err_t run_apart(const struct open_load *load, struct shared *s)
{
    pid_t child = fork();
    if (child < 0) FAIL_ERRNO(ERR_INTERNAL, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(first_core, (unsigned) sysconf(_SC_NPROCESSORS_ONLN));
        generate(*load, s);
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (status) FAIL(ERR_INTERNAL, "the generator ended with %d", status);
    if (s->failed) FAIL(ERR_INTERNAL, "%s", s->why);
    return ERR_OK;
}

struct err generator_run(const struct open_load *load, struct generator_result *ret)
{
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) FAIL_ERRNO(ERR_INTERNAL, "mmap");
    struct err e = run_apart(load, s);
    *ret = s->result;
    munmap(s, sizeof *s);
    return e;
}
