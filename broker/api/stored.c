#include "broker/api/stored.h"

#include "broker/base/clock.h"
#include "broker/base/limits.h"

#include <stdatomic.h>

#define READ_NS (STORED_READ_SECONDS * CLOCK_SECOND_NS)

struct stored {
    struct store *store;
    struct stored_kind kind;
    pthread_mutex_t lock; /* guards the ones below; nothing is read or made under it */
    struct made *current;
    uint64_t seen;        /* store_rescans() when `current` was read */
    bool certain;         /* false: the store could not be read then, so ask again */
    uint64_t reading;     /* clock_mono_ns, since when some thread reads the store; 0: none does */
    uint64_t behind;      /* clock_mono_ns, since when the store is known to hold something newer; 0: it is not */
    uint64_t sets;        /* how often it was set: what was read before it is old */
    struct store_listener listener;
};

static void look(void *arg);

struct made *made_ref(struct made *m)
{
    atomic_fetch_add(&m->references, 1);
    return m;
}

void made_unref(struct made *m)
{
    if (m && atomic_fetch_sub(&m->references, 1) == 1) m->free(m);
}
DEFINE_CLEANUP(struct made, made_unref);

struct err stored_new(struct store *store, const struct stored_kind *kind, struct stored **ret)
{
    _cleanup_(stored_freep) struct stored *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    s->store = store;
    s->kind = *kind;
    s->seen = store_rescans(store);
    s->current = kind->load(kind->arg, NULL, &s->certain);
    if (!s->current) FAIL(ERR_INTERNAL, "out of memory");
    s->listener = (struct store_listener){.look = look, .arg = s};
    store_listen(store, &s->listener);
    *ret = TAKE_PTR(s);
    return ERR_OK;
}

void stored_free(struct stored *s)
{
    if (!s) return;
    store_unlisten(s->store, &s->listener);
    made_unref(s->current);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Reads the store without the lock, which every request takes. */
static struct made *renew(struct stored *s, struct made *old, uint64_t rescans, uint64_t sets)
{
    bool certain = false;
    _cleanup_(made_unrefp) struct made *fresh = s->kind.load(s->kind.arg, old, &certain);
    SCOPED_LOCK(&s->lock);
    s->reading = 0;
    if (fresh && s->sets == sets && rescans >= s->seen) {
        struct made *gone = s->current;
        s->current = TAKE_PTR(fresh);
        s->seen = rescans;
        s->certain = certain;
        fresh = gone;
    }
    return made_ref(s->current);
}

/* A call to the token that reads may never come back: then it is no excuse for what others have set. */
static bool somebody_reads_locked(const struct stored *s, uint64_t now)
{
    return s->reading && now - s->reading < READ_NS;
}

/* What is in force, after a look at the store. */
static struct made *look_again(struct stored *s)
{
    uint64_t rescans = store_rescans(s->store), now = clock_mono_ns();
    pthread_mutex_lock(&s->lock);
    struct made *current = made_ref(s->current);
    bool renews = !somebody_reads_locked(s, now) && (rescans != s->seen || !s->certain);
    uint64_t sets = s->sets;
    if (renews) s->reading = now;
    pthread_mutex_unlock(&s->lock);
    if (!renews) return current;
    struct made *fresh = renew(s, current, rescans, sets);
    made_unref(current);
    return fresh;
}

struct made *stored_last(struct stored *s)
{
    SCOPED_LOCK(&s->lock);
    return made_ref(s->current);
}

static void look(void *arg)
{
    made_unref(look_again(arg));
}

/* NULL: whose turn it is to look at the store has not come to it for so long that it must hang. */
static struct made *watched(struct stored *s)
{
    uint64_t rescans = store_rescans(s->store);
    SCOPED_LOCK(&s->lock);
    if (rescans == s->seen) s->behind = 0;
    else if (!s->behind) s->behind = clock_mono_ns();
    bool left = s->behind && clock_mono_ns() - s->behind >= READ_NS;
    return left ? NULL : made_ref(s->current);
}

struct made *stored_current(struct stored *s)
{
    struct made *current = store_is_watched(s->store) ? watched(s) : NULL;
    return current ? current : look_again(s);
}

void stored_set_take(struct stored *s, struct made *m, uint64_t version)
{
    _cleanup_(made_unrefp) struct made *old = m; /* before the lock: freed after */
    SCOPED_LOCK(&s->lock);
    if (version <= s->current->version) return;
    old = s->current;
    m->version = version;
    s->current = m;
    s->certain = true;
    s->sets++;
}
