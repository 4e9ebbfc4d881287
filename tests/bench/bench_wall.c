/* What the wall costs: one C_Decrypt of 1 KiB with a content key that is there, in this process and in the
 * helper, which is this program again.
 *
 *     bench_wall CONFIG SECONDS     (tests/bench/run prepares the token, and measures releases after it)
 */
#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/config/config.h"
#include "pkcs11/p11.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define VALUE 1024u
#define THREADS_MAX 64u

static struct bench {
    struct p11 *token;
    struct buf sealed;
    struct envelope envelope;
    double seconds;
} bench;

struct measured {
    double per_second;
    double busy_us;  /* core time of one call, helper and all */
    double median_us;
};

struct loop {
    pthread_t thread;
    uint64_t calls, *took;
    size_t room;
    struct err e;
};

static void *run(void *arg)
{
    struct loop *l = arg;
    uint64_t end = clock_mono_ns() + (uint64_t) (bench.seconds * CLOCK_SECOND_NS), before = clock_mono_ns();
    for (uint64_t now = before; now < end; before = now) {
        struct secret *plain = NULL;
        l->e = p11_unseal(bench.token, &bench.envelope, &plain);
        secret_free(plain);
        if (!err_ok(l->e)) break;
        now = clock_mono_ns();
        if (l->calls < l->room) l->took[l->calls] = now - before;
        l->calls++;
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

/* Seconds of core time of this process and of the helper. */
static double core_time(void)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, kernel = 0;
    struct rusage self;
    getrusage(RUSAGE_SELF, &self);
    snprintf(path, sizeof path, "/proc/%d/stat", (int) p11_helper_stats().pid);
    FILE *f = fopen(path, "re");
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        fclose(f);
        char *after = strrchr(text, ')');
        if (!after || sscanf(after, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &user,
                             &kernel) != 2)
            user = kernel = 0;
    }
    return (double) (self.ru_utime.tv_sec + self.ru_stime.tv_sec) +
           (double) (self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6 +
           (double) (user + kernel) / (double) sysconf(_SC_CLK_TCK);
}

static err_t measure(unsigned threads, struct measured *ret)
{
    static struct loop loops[THREADS_MAX];
    static uint64_t took[1u << 20];
    double before = core_time();
    uint64_t start = clock_mono_ns(), calls = 0;
    struct err e = ERR_OK;
    for (unsigned i = 0; i < threads; i++) {
        loops[i] = (struct loop){.took = took, .room = i ? 0 : sizeof took / sizeof *took};
        if (pthread_create(&loops[i].thread, NULL, run, &loops[i])) abort();
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(loops[i].thread, NULL);
        calls += loops[i].calls;
        if (!err_ok(loops[i].e)) e = loops[i].e;
    }
    double seconds = (double) (clock_mono_ns() - start) / CLOCK_SECOND_NS;
    if (!err_ok(e) || !calls) FAIL(ERR_INTERNAL, "a call failed (%s)", err_class_name(e.code));
    size_t n = loops[0].calls < loops[0].room ? loops[0].calls : loops[0].room;
    qsort(took, n, sizeof *took, by_size);
    *ret = (struct measured){.per_second = (double) calls / seconds,
                             .busy_us = (core_time() - before) / (double) calls * 1e6,
                             .median_us = (double) took[n / 2] / 1000};
    return ERR_OK;
}

static err_t open_token(const struct config *c, bool walled)
{
    static uint8_t value[VALUE];
    struct p11_helper helper = {.best_effort = true};
    struct p11_config config = {
        .module = c->token_module, .token_uri = c->token_uri, .pin_source = c->token_pin_source,
        .state_dir = c->state_dir, .cek_cache = CEK_CACHE_DEFAULT, .helper = walled ? &helper : NULL,
    };
    struct envelope_meta meta = {.kind = ENVELOPE_RESOURCE, .version = 1, .created = 1,
                                 .name = SPAN_LIT("bench/value/1")};
    bool has_meta = false;
    TRY(p11_open(&config, &bench.token));
    buf_reset(&bench.sealed);
    TRY(p11_seal(bench.token, &meta, span_of(value, sizeof value), &bench.sealed));
    if (envelope_decode(buf_span(&bench.sealed), &bench.envelope, &has_meta) == ENVELOPE_SOUND)
        return ERR_OK;
    FAIL(ERR_INTERNAL, "what was sealed is no envelope");
}

static err_t compare(const struct config *c)
{
    unsigned cores = (unsigned) sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned threads[] = {1, cores < THREADS_MAX ? cores : THREADS_MAX, 16};
    struct measured m[2][3] = {0};
    for (int walled = 0; walled < 2; walled++) {
        TRY(open_token(c, walled));
        for (size_t i = 0; i < 3; i++) TRY(measure(threads[i], &m[walled][i]));
        p11_close(TAKE_PTR(bench.token));
    }
    printf("C_Decrypt of %u bytes, its key cached\n"
           "  %-8s %28s %28s %12s\n  %-8s %10s %8s %8s %10s %8s %8s %12s\n", VALUE, "", "in-process", "helper",
           "", "threads", "a second", "median", "busy", "a second", "median", "busy", "helper/in-p.");
    for (size_t i = 0; i < 3; i++)
        printf("  %-8u %10.0f %5.1f us %5.1f us %10.0f %5.1f us %5.1f us %12.2f\n", threads[i],
               m[0][i].per_second, m[0][i].median_us, m[0][i].busy_us, m[1][i].per_second,
               m[1][i].median_us, m[1][i].busy_us, m[1][i].per_second / m[0][i].per_second);
    printf("  the wall costs a call %.1f us of core time, and %.1f us until its answer (1 thread)\n",
           m[1][0].busy_us - m[0][0].busy_us, m[1][0].median_us - m[0][0].median_us);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "token-helper") == 0)
        return err_exit_code(p11_helper_run().code);
    if (argc != 3) {
        fprintf(stderr, "usage: bench_wall CONFIG SECONDS\n");
        return 2;
    }
    _cleanup_(config_freep) struct config *config = NULL;
    bench.seconds = strtod(argv[2], NULL);
    log_set_level(LOG_LEVEL_ERROR);
    struct err e = config_load(argv[1], &config);
    if (err_ok(e)) e = compare(config);
    if (!err_ok(e)) fprintf(stderr, "bench: %s\n", err_text(e));
    p11_close(bench.token);
    buf_free(&bench.sealed);
    return err_exit_code(e.code);
}
