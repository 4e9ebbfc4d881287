#include "broker/api/recent.h"

#include "broker/base/clock.h"

#include <stdatomic.h>
#include <string.h>

struct slot {
    struct guest *guest; /* our reference; NULL: empty */
    uint64_t hash, seen;
    int64_t time_ns;
    size_t bytes;        /* what keeping the guest counts for */
    const char *plugin;
    size_t path_count, query_count, text_len;
    bool allow;
    char reason[sizeof ((struct policy_decision *) 0)->reason];
    char text[RECENT_TEXT_MAX]; /* path, then names and values of the query, each with its NUL */
};

struct set {
    pthread_mutex_t lock;
    struct slot slot[RECENT_WAYS];
};

struct recent {
    _Atomic size_t bytes;
    _Atomic uint64_t missed;
    struct set sets[RECENT_SETS];
};

struct err recent_new(struct recent **ret)
{
    struct recent *r = calloc(1, sizeof *r);
    if (!r) FAIL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < RECENT_SETS; i++) pthread_mutex_init(&r->sets[i].lock, NULL);
    *ret = r;
    return ERR_OK;
}

void recent_free(struct recent *r)
{
    if (!r) return;
    for (size_t i = 0; i < RECENT_MAX; i++)
        guest_unref(r->sets[i / RECENT_WAYS].slot[i % RECENT_WAYS].guest);
    for (size_t i = 0; i < RECENT_SETS; i++) pthread_mutex_destroy(&r->sets[i].lock);
    free(r);
}

/* ---- remembering --------------------------------------------------------------------------- */

/* The request's texts one behind the other, and a hash over them. */
struct flat {
    char text[RECENT_TEXT_MAX];
    size_t len;
    uint64_t hash;
};

static bool add(struct flat *f, const char *text)
{
    uint64_t h = f->hash;
    size_t at = f->len;
    do {
        if (at == sizeof f->text) return false;
        f->text[at++] = *text;
        h = (h ^ (uint8_t) *text) * UINT64_C(0x100000001b3); /* FNV-1a */
    } while (*text++);
    f->len = at;
    f->hash = h;
    return true;
}

static bool flatten(const struct guest *guest, const struct policy_request *r, struct flat *f)
{
    f->len = 0;
    f->hash = UINT64_C(0xcbf29ce484222325) ^ (uintptr_t) guest ^ (uintptr_t) r->plugin << 16;
    if (r->path_count > ROUTE_MAX_SEGMENTS || r->query_count > ROUTE_MAX_PAIRS) return false;
    for (size_t i = 0; i < r->path_count; i++)
        if (!add(f, r->path[i])) return false;
    f->hash += r->path_count;
    for (size_t i = 0; i < r->query_count; i++)
        if (!add(f, r->query[i].name) || !add(f, r->query[i].value)) return false;
    f->hash ^= f->hash >> 29;
    return true;
}

static bool is_same(const struct slot *s, const struct guest *guest, const struct flat *f,
                    const struct policy_request *r)
{
    return s->guest == guest && s->hash == f->hash && s->text_len == f->len &&
           s->path_count == r->path_count && s->plugin == r->plugin &&
           memcmp(s->text, f->text, f->len) == 0;
}

/* The slot of this request, or the one that makes room for it. */
static struct slot *choose_locked(struct set *set, const struct guest *guest, const struct flat *f,
                                  const struct policy_request *r)
{
    struct slot *stalest = &set->slot[0];
    for (size_t i = 0; i < RECENT_WAYS; i++) {
        struct slot *s = &set->slot[i];
        if (is_same(s, guest, f, r)) return s;
        if (s->time_ns < stalest->time_ns) stalest = s; /* an empty one has time 0 */
    }
    return stalest;
}

/* Empties the slot and gives its guest back to be freed outside the lock. */
static struct guest *drop_locked(struct recent *r, struct slot *s)
{
    atomic_fetch_sub_explicit(&r->bytes, s->bytes, memory_order_relaxed);
    s->bytes = 0;
    s->time_ns = 0;
    s->hash = 0;
    return TAKE_PTR(s->guest);
}

/* False: one guest more would be beyond the bytes. */
static bool take_guest_locked(struct recent *r, struct slot *s, struct guest *guest)
{
    size_t bytes = guest_bytes(guest);
    if (atomic_fetch_add_explicit(&r->bytes, bytes, memory_order_relaxed) + bytes >
        RECENT_BYTES_MAX) {
        atomic_fetch_sub_explicit(&r->bytes, bytes, memory_order_relaxed);
        return false;
    }
    guest_ref(guest);
    s->guest = guest;
    s->bytes = bytes;
    return true;
}

static void fill_locked(struct slot *s, const struct flat *f, const struct policy_request *r)
{
    s->hash = f->hash;
    s->seen = 0;
    s->plugin = r->plugin;
    s->path_count = r->path_count;
    s->query_count = r->query_count;
    s->text_len = f->len;
    memcpy(s->text, f->text, f->len);
}

static void miss(struct recent *r)
{
    atomic_fetch_add_explicit(&r->missed, 1, memory_order_relaxed);
}

void recent_note(struct recent *r, struct guest *guest, const struct policy_request *request,
                 const struct policy_decision *decision)
{
    struct flat flat;
    struct guest *old = NULL;
    bool kept = true;
    if (!flatten(guest, request, &flat)) {
        miss(r);
        return;
    }
    struct set *set = &r->sets[flat.hash % RECENT_SETS];
    if (pthread_mutex_trylock(&set->lock) != 0) {
        miss(r);
        return;
    }
    struct slot *s = choose_locked(set, guest, &flat, request);
    if (!is_same(s, guest, &flat, request)) {
        old = drop_locked(r, s);
        kept = take_guest_locked(r, s, guest);
        if (kept) fill_locked(s, &flat, request);
    }
    if (kept) {
        s->seen++;
        s->time_ns = clock_now_ns();
        s->allow = decision->allow;
        memcpy(s->reason, decision->reason, sizeof s->reason);
    }
    pthread_mutex_unlock(&set->lock);
    guest_unref(old);
    if (!kept) miss(r);
}

/* ---- looking ------------------------------------------------------------------------------- */

static void copy_slot(const struct slot *s, struct recent_request *ret)
{
    guest_ref(s->guest);
    ret->guest = s->guest;
    ret->request = (struct policy_request){.claims = guest_claims(s->guest), .plugin = s->plugin,
                                           .path_count = s->path_count,
                                           .query_count = s->query_count, .now_ns = s->time_ns};
    ret->allow = s->allow;
    ret->seen = s->seen;
    memcpy(ret->reason, s->reason, sizeof ret->reason);
    memcpy(ret->text, s->text, s->text_len);
}

/* Sets what points into the struct itself, once it lies where it stays. */
static void point(struct recent_request *r)
{
    const char *at = r->text;
    r->request.path = r->path;
    r->request.query = r->query;
    for (size_t i = 0; i < r->request.path_count; i++, at += strlen(at) + 1) r->path[i] = at;
    for (size_t i = 0; i < r->request.query_count; i++) {
        r->query[i].name = at;
        at += strlen(at) + 1;
        r->query[i].value = at;
        at += strlen(at) + 1;
    }
}

static int latest_first(const void *a, const void *b)
{
    const struct recent_request *x = a, *y = b;
    return (x->request.now_ns < y->request.now_ns) - (x->request.now_ns > y->request.now_ns);
}

struct err recent_list(struct recent *r, struct recent_list *ret)
{
    struct recent_list l = {.missed = atomic_load_explicit(&r->missed, memory_order_relaxed)};
    l.items = calloc(RECENT_MAX, sizeof *l.items);
    if (!l.items) FAIL(ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < RECENT_SETS; i++) {
        SCOPED_LOCK(&r->sets[i].lock); /* held by a writer for less than a microsecond */
        for (size_t j = 0; j < RECENT_WAYS; j++)
            if (r->sets[i].slot[j].guest) copy_slot(&r->sets[i].slot[j], &l.items[l.count++]);
    }
    qsort(l.items, l.count, sizeof *l.items, latest_first);
    for (size_t i = 0; i < l.count; i++) point(&l.items[i]);
    *ret = l;
    return ERR_OK;
}

void recent_list_done(struct recent_list *l)
{
    for (size_t i = 0; i < l->count; i++) guest_unref(l->items[i].guest);
    free(l->items);
    *l = (struct recent_list){0};
}
