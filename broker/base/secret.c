#include "broker/base/secret.h"

#include "broker/base/limits.h"
#include "broker/base/log.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define GRANULE 512u        /* bytes; most PINs, keys and small values take one */
#define OPENSSL_HEAP (256u << 10)

struct secret {
    uint8_t *data;
    size_t len; /* bytes in use */
    size_t first, count; /* granules */
};

/* The arena: [guard page][budget][guard page]. A bitmap says which granules are taken; first fit,
 * because blocks are few, live shortly and differ in size. Everything under one mutex. */
static struct {
    pthread_mutex_t lock;
    uint8_t *memory;
    uint64_t *taken;     /* one bit a granule */
    size_t granules, used;
    size_t hint;         /* where the last search ended */
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool bit(size_t i) { return arena.taken[i / 64] >> (i % 64) & 1; }

static void set_bits(size_t first, size_t count, bool value)
{
    for (size_t i = first; i < first + count; i++) {
        if (value) arena.taken[i / 64] |= UINT64_C(1) << (i % 64);
        else arena.taken[i / 64] &= ~(UINT64_C(1) << (i % 64));
    }
}

/* First run of `count` free granules in [from, to), or SIZE_MAX. */
static size_t find_run(size_t from, size_t to, size_t count)
{
    size_t run = 0;
    for (size_t i = from; i < to; i++) {
        if (i % 64 == 0 && arena.taken[i / 64] == UINT64_MAX) {
            run = 0;
            i += 63;
            continue;
        }
        run = bit(i) ? 0 : run + 1;
        if (run == count) return i + 1 - count;
    }
    return SIZE_MAX;
}

static err_t map_arena(size_t budget, bool best_effort)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    budget = (budget + page - 1) / page * page;
    uint8_t *all = mmap(NULL, budget + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) FAIL_ERRNO(ERR_INTERNAL, "no memory for %zu bytes of secrets", budget);
    uint8_t *memory = all + page;
    if (mprotect(memory, budget, PROT_READ | PROT_WRITE) != 0 ||
        madvise(memory, budget, MADV_DONTDUMP) != 0 || madvise(memory, budget, MADV_WIPEONFORK) != 0)
        FAIL_ERRNO(ERR_INTERNAL, "cannot protect the memory for secrets");
    if (mlock(memory, budget) != 0) {
        if (!best_effort)
            FAIL_ERRNO(ERR_INTERNAL,
                       "cannot lock %zu KiB of memory for secrets; raise LimitMEMLOCK (ulimit -l), "
                       "or set process.memory_lock to best-effort", budget / 1024);
        log_warn("memory.unlocked", LOG_U("bytes", budget),
                 LOG_S("effect", "secrets may be swapped to disk"));
    }
    arena.taken = calloc(budget / GRANULE / 64 + 1, sizeof *arena.taken);
    if (!arena.taken) FAIL(ERR_INTERNAL, "out of memory");
    arena.granules = budget / GRANULE;
    __atomic_store_n(&arena.memory, memory, __ATOMIC_RELEASE); /* ensure_arena looks without the lock */
    return ERR_OK;
}

struct err secret_init(size_t budget, bool best_effort, bool dumpable)
{
    struct rlimit none = {0, 0};
    if (!dumpable) {
        if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
            FAIL_ERRNO(ERR_INTERNAL, "cannot forbid core dumps");
    }
    SCOPED_LOCK(&arena.lock);
    if (arena.memory) return ERR_OK;
    TRY(map_arena(budget, best_effort));
    /* Without this OPENSSL_secure_malloc silently is plain malloc. */
    if (CRYPTO_secure_malloc_init(OPENSSL_HEAP, 64) == 0) {
        if (!best_effort) FAIL(ERR_INTERNAL, "OpenSSL's secure heap could not be made; raise "
                                             "LimitMEMLOCK (ulimit -l)");
        log_warn("memory.openssl-heap-unlocked");
    }
    return ERR_OK;
}

void secret_shutdown(void)
{
    SCOPED_LOCK(&arena.lock);
    if (!arena.memory) return;
    ENSURE(arena.used == 0);
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    munmap(arena.memory - page, arena.granules * GRANULE + 2 * page);
    free(arena.taken);
    arena.memory = NULL;
    arena.taken = NULL;
    arena.granules = arena.hint = 0;
}

static err_t ensure_arena(void)
{
    if (__atomic_load_n(&arena.memory, __ATOMIC_ACQUIRE)) return ERR_OK;
    return secret_init(SECRET_BUDGET_COMMAND, true, true);
}

static size_t take_granules(size_t count)
{
    SCOPED_LOCK(&arena.lock);
    size_t at = find_run(arena.hint, arena.granules, count);
    if (at == SIZE_MAX) at = find_run(0, arena.granules, count);
    if (at == SIZE_MAX) return SIZE_MAX;
    set_bits(at, count, true);
    arena.used += count;
    arena.hint = at + count < arena.granules ? at + count : 0;
    return at;
}

struct err secret_new(size_t len, struct secret **ret)
{
    TRY(ensure_arena());
    size_t count = len / GRANULE + 1;
    _cleanup_free_ struct secret *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    size_t at = take_granules(count);
    if (at == SIZE_MAX)
        FAIL(ERR_BUSY, "the budget of locked memory (%zu KiB) is spent; raise "
                       "process.memory_locked", arena.granules * GRANULE / 1024);
    *s = (struct secret){arena.memory + at * GRANULE, len, at, count};
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

struct err secret_copy(struct span from, struct secret **ret)
{
    TRY(secret_new(from.len, ret));
    if (from.len) memcpy((*ret)->data, from.data, from.len);
    return ERR_OK;
}

void secret_free(struct secret *s)
{
    if (!s) return;
    explicit_bzero(s->data, s->count * GRANULE); /* free granules are zero, so new ones are */
    pthread_mutex_lock(&arena.lock);
    set_bits(s->first, s->count, false);
    arena.used -= s->count;
    pthread_mutex_unlock(&arena.lock);
    free(s);
}

uint8_t *secret_data(struct secret *s) { return s->data; }
size_t secret_len(const struct secret *s) { return s ? s->len : 0; }

struct span secret_span(const struct secret *s)
{
    return s ? (struct span){s->data, s->len} : (struct span){NULL, 0};
}

void secret_shrink(struct secret *s, size_t len)
{
    ENSURE(len <= s->len);
    explicit_bzero(s->data + len, s->len - len);
    s->len = len;
}

size_t secret_used(void)
{
    SCOPED_LOCK(&arena.lock);
    return arena.used * GRANULE;
}

size_t secret_budget(void)
{
    SCOPED_LOCK(&arena.lock);
    return arena.granules * GRANULE;
}

bool secret_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

/* ---- growing ----------------------------------------------------------------------------- */

struct err secret_buf_reserve(struct secret_buf *b, size_t total)
{
    if (total > b->max)
        FAIL(ERR_TOOLARGE, "%zu bytes are over the limit of %zu", total, b->max);
    if (b->block && total <= secret_len(b->block)) return ERR_OK;
    struct secret *bigger = NULL;
    TRY(secret_new(total, &bigger));
    if (b->len) memcpy(bigger->data, b->block->data, b->len);
    secret_free(b->block);
    b->block = bigger;
    return ERR_OK;
}

struct err secret_buf_add(struct secret_buf *b, const void *data, size_t len)
{
    if (len == 0) return ERR_OK;
    if (len > b->max || b->len > b->max - len)
        FAIL(ERR_TOOLARGE, "more bytes than the limit of %zu", b->max);
    size_t want = b->len + len, have = secret_len(b->block);
    if (want > have) {
        size_t grown = have * 2 < 4096 ? 4096 : have * 2;
        if (grown > b->max) grown = b->max;
        struct err e = secret_buf_reserve(b, grown < want ? want : grown);
        /* In a small budget twice as much may fit nowhere beside what is there. */
        if (e.code == ERR_BUSY && grown > want) e = secret_buf_reserve(b, want);
        TRY(e);
    }
    memcpy(b->block->data + b->len, data, len);
    b->len = want;
    return ERR_OK;
}

struct secret *secret_buf_steal(struct secret_buf *b)
{
    if (!b->block && !err_ok(secret_new(0, &b->block))) return NULL;
    secret_shrink(b->block, b->len);
    b->len = 0;
    return TAKE_PTR(b->block);
}

void secret_buf_free(struct secret_buf *b)
{
    secret_free(TAKE_PTR(b->block));
    b->len = 0;
}
