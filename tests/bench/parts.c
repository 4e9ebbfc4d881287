#include "tests/bench/parts.h"

#include "broker/base/clock.h"

#include <pthread.h>
#include <stdlib.h>
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

/* The part on the first `at` of the cores, the neighbours' loop on the others. */
static err_t measure(const struct part *p, err_t (*beside)(void), unsigned at, unsigned cores, double seconds,
                     double *ret)
{
    struct loop loops[CORES_MAX] = {0};
    uint64_t end = clock_mono_ns() + (uint64_t) (seconds * (double) CLOCK_SECOND_NS), rounds = 0;
    double taken = 0;
    bool failed = false;
    ENSURE(cores <= CORES_MAX);
    for (unsigned i = 0; i < cores; i++) {
        loops[i].once = i < at ? p->once : beside;
        loops[i].end = end;
        ENSURE(pthread_create(&loops[i].thread, NULL, run_loop, &loops[i]) == 0);
    }
    for (unsigned i = 0; i < cores; i++) {
        pthread_join(loops[i].thread, NULL);
        failed = failed || loops[i].failed;
        if (i >= at) continue;
        rounds += loops[i].rounds;
        taken += loops[i].core_seconds;
    }
    if (failed) FAIL(ERR_INTERNAL, "the part \"%s\" fails, or what runs beside it", p->name);
    *ret = taken * 1e6 / (double) rounds;
    return ERR_OK;
}

struct err parts_measure(const struct part *parts, size_t count, err_t (*beside)(void), unsigned cores,
                         double seconds, struct part_cost *ret)
{
    for (size_t i = 0; i < count; i++) {
        TRY(measure(&parts[i], beside, cores, cores, seconds, &ret[i].all));
        TRY(measure(&parts[i], beside, 1, cores, seconds, &ret[i].one));
    }
    return ERR_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

struct part_cost part_median(const struct part_cost *runs, size_t count)
{
    double all[PART_RUNS_MAX], one[PART_RUNS_MAX];
    ENSURE(count && count <= PART_RUNS_MAX);
    for (size_t i = 0; i < count; i++) {
        all[i] = runs[i].all;
        one[i] = runs[i].one;
    }
    qsort(all, count, sizeof *all, by_value);
    qsort(one, count, sizeof *one, by_value);
    return (struct part_cost){all[count / 2], one[count / 2]};
}
