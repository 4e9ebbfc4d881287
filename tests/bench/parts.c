#include "tests/bench/parts.h"

#include "broker/base/clock.h"

#include <pthread.h>
#include <time.h>

#define CORES_MAX 64u
#define ROUNDS_AT_ONCE 16 /* between two looks at the clock */

struct loop {
    pthread_t thread;
    err_t (*once)(void);
    uint64_t end, rounds;
    double core_seconds;
    bool failed;
};

double part_cheaper(struct part_cost c) { return c.all < c.one ? c.all : c.one; }

/* Core time, not time: whoever else uses the machine does not make a part look dearer. */
static double thread_seconds(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void *run_loop(void *arg)
{
    struct loop *l = arg;
    double begin = thread_seconds();
    while (!l->failed && clock_mono_ns() < l->end)
        for (int i = 0; i < ROUNDS_AT_ONCE && !l->failed; i++, l->rounds++)
            l->failed = !err_ok(l->once());
    l->core_seconds = thread_seconds() - begin;
    return NULL;
}

static err_t measure(const struct part *p, unsigned cores, double seconds, double *ret)
{
    struct loop loops[CORES_MAX] = {0};
    uint64_t end = clock_mono_ns() + (uint64_t) (seconds * (double) CLOCK_SECOND_NS), rounds = 0;
    double taken = 0;
    bool failed = false;
    ENSURE(cores <= CORES_MAX);
    for (unsigned i = 0; i < cores; i++) {
        loops[i].once = p->once;
        loops[i].end = end;
        ENSURE(pthread_create(&loops[i].thread, NULL, run_loop, &loops[i]) == 0);
    }
    for (unsigned i = 0; i < cores; i++) {
        pthread_join(loops[i].thread, NULL);
        failed = failed || loops[i].failed;
        rounds += loops[i].rounds;
        taken += loops[i].core_seconds;
    }
    if (failed) FAIL(ERR_INTERNAL, "the part \"%s\" fails", p->name);
    *ret = taken * 1e6 / (double) rounds;
    return ERR_OK;
}

struct err parts_measure(const struct part *parts, size_t count, unsigned cores, double seconds,
                         struct part_cost *ret)
{
    for (size_t i = 0; i < count; i++) {
        TRY(measure(&parts[i], cores, seconds, &ret[i].all));
        TRY(measure(&parts[i], 1, seconds, &ret[i].one));
    }
    return ERR_OK;
}
