#include "broker/attest/session.h"

#include "broker/attest/table.h"
#include "broker/base/rand.h"

#include <stdatomic.h>
#include <string.h>

/* Expired sessions that one call clears away: more than a call can add, so the dead never pile
 * up, and few enough that nobody waits for the lock. */
#define CLEAR_PER_CREATE 8
#define CLEAR_PER_COUNT 4096

struct session_nonce {
    _Atomic int refs;
    size_t len;
    char text[];
};

struct session {
    struct table_entry entry; /* first: a table_entry is its session */
    int64_t expires;
    const char *tee;
    struct guest *guest;              /* our reference; NULL: unattested */
    struct session_nonce *nonce;      /* our reference, or NULL */
    uint64_t number;                  /* in the order of creation */
    struct session *before, *after;   /* in its queue */
    struct session *next_dead;        /* out of the table, to be freed after the lock */
};

/* Unattested ones, oldest first. */
struct queue {
    struct session *first, *last;
};

struct sessions {
    size_t max, max_bytes;
    int64_t seconds;
    pthread_mutex_t lock; /* covers all below and every session in the table */
    struct table *table;
    struct queue plain, nonced;  /* without and with a nonce of its own: the latter have a limit of theirs */
    uint64_t created;
    size_t attested, bytes; /* sessions with a guest, and what these take */
    size_t nonce_bytes;     /* of the others */
    uint64_t evicted;
};

struct err session_nonce_new(struct span text, struct session_nonce **ret)
{
    struct session_nonce *n = calloc(1, sizeof *n + text.len + 1);
    if (!n) FAIL(ERR_INTERNAL, "out of memory");
    n->refs = 1;
    n->len = text.len;
    memcpy(n->text, text.data, text.len);
    *ret = n;
    return ERR_OK;
}

static struct session_nonce *nonce_ref(struct session_nonce *n)
{
    if (n) atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    return n;
}

void session_nonce_unref(struct session_nonce *n)
{
    if (n && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1) free(n);
}

const char *session_nonce_text(const struct session_nonce *n) { return n->text; }

void session_view_done(struct session_view *v)
{
    guest_unref(v->guest);
    session_nonce_unref(v->nonce);
    v->guest = NULL;
    v->nonce = NULL;
}

struct err sessions_new(size_t max, size_t max_bytes, int64_t seconds, struct sessions **ret)
{
    _cleanup_(table_freep) struct table *table = NULL;
    TRY(table_new(max, SESSION_ID_BYTES, &table));
    struct sessions *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    s->max = max;
    s->max_bytes = max_bytes;
    s->seconds = seconds;
    s->table = TAKE_PTR(table);
    *ret = s;
    return ERR_OK;
}

static size_t nonce_size(const struct session *x)
{
    return x->nonce ? sizeof *x->nonce + x->nonce->len : 0;
}

/* What an attested session takes. */
static size_t attested_size(const struct session *x, const struct guest *g)
{
    return guest_bytes(g) + nonce_size(x);
}

static struct queue *queue_of(struct sessions *s, const struct session *x)
{
    return x->nonce ? &s->nonced : &s->plain;
}

static void queue_locked(struct sessions *s, struct session *x)
{
    struct queue *q = queue_of(s, x);
    x->number = s->created++;
    x->before = q->last;
    *(q->last ? &q->last->after : &q->first) = x;
    q->last = x;
    s->nonce_bytes += nonce_size(x);
}

static void unqueue_locked(struct sessions *s, struct session *x)
{
    struct queue *q = queue_of(s, x);
    *(x->before ? &x->before->after : &q->first) = x->after;
    *(x->after ? &x->after->before : &q->last) = x->before;
    x->before = x->after = NULL;
    s->nonce_bytes -= nonce_size(x);
}

/* Takes x out of the table and puts it before the dead ones, which it returns. */
static struct session *bury_locked(struct sessions *s, struct session *x, struct session *dead)
{
    if (x->guest) {
        s->attested--;
        s->bytes -= attested_size(x, x->guest);
    } else {
        unqueue_locked(s, x);
    }
    table_remove(s->table, &x->entry);
    x->next_dead = dead;
    return x;
}

/* All sessions live equally long, so the oldest are the first to end. */
static struct session *bury_expired_locked(struct sessions *s, int64_t now, size_t limit)
{
    struct session *dead = NULL;
    while (limit--) {
        struct session *x = (struct session *) table_oldest(s->table);
        if (!x || x->expires > now) break;
        dead = bury_locked(s, x, dead);
    }
    return dead;
}

static void free_dead(struct session *dead)
{
    while (dead) {
        struct session *next = dead->next_dead;
        guest_unref(dead->guest);
        session_nonce_unref(dead->nonce);
        free(dead);
        dead = next;
    }
}

void sessions_free(struct sessions *s)
{
    if (!s) return;
    free_dead(bury_expired_locked(s, INT64_MAX, SIZE_MAX)); /* nobody else holds s any more */
    table_free(s->table);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Who makes room for x; NULL: it has room, or nobody can make it. The memory of nonces is taken from
 * those that hold some: guests of other TEEs do not pay for it. */
static struct session *victim_locked(const struct sessions *s, const struct session *x)
{
    struct session *plain = s->plain.first, *nonced = s->nonced.first;
    if (x->nonce && s->nonce_bytes + nonce_size(x) > SESSION_NONCE_BYTES) return nonced;
    if (table_count(s->table) < s->max) return NULL;
    if (!plain || !nonced) return plain ? plain : nonced;
    return plain->number < nonced->number ? plain : nonced;
}

/* False: full of attested sessions. */
static bool insert(struct sessions *s, struct session *x, int64_t now, struct session **ret_dead)
{
    SCOPED_LOCK(&s->lock);
    struct session *dead = bury_expired_locked(s, now, CLEAR_PER_CREATE);
    for (struct session *v; (v = victim_locked(s, x)); s->evicted++) dead = bury_locked(s, v, dead);
    *ret_dead = dead;
    if (table_count(s->table) >= s->max) return false;
    table_add(s->table, &x->entry);
    queue_locked(s, x);
    return true;
}

struct err sessions_create(struct sessions *s, const char *tee, struct session_nonce *nonce,
                           int64_t now, struct session_view *ret)
{
    _cleanup_free_ struct session *x = calloc(1, sizeof *x);
    if (!x) FAIL(ERR_INTERNAL, "out of memory");
    TRY(rand_bytes(x->entry.key, SESSION_ID_BYTES));
    x->tee = tee;
    x->expires = now + s->seconds;
    _cleanup_(session_view_done) struct session_view view = {
        .expires = x->expires, .tee = tee, .nonce = nonce_ref(nonce)};
    memcpy(view.id, x->entry.key, SESSION_ID_BYTES);

    struct session *dead = NULL;
    x->nonce = nonce_ref(nonce);
    bool inserted = insert(s, x, now, &dead);
    free_dead(dead);
    if (!inserted) session_nonce_unref(x->nonce);
    if (!inserted)
        FAIL(ERR_BUSY, "all %zu sessions are attested; raise the limit of sessions or shorten "
             "their life", s->max);
    x = NULL; /* the table's now, and perhaps another thread has evicted it already */
    *ret = view;
    view = (struct session_view){0};
    return ERR_OK;
}

static struct session *find_locked(struct sessions *s, const uint8_t *id, int64_t now)
{
    struct session *x = (struct session *) table_find(s->table, id);
    return x && x->expires > now ? x : NULL;
}

struct err sessions_find(struct sessions *s, const uint8_t id[SESSION_ID_BYTES], int64_t now,
                         struct session_view *ret)
{
    SCOPED_LOCK(&s->lock);
    struct session *x = find_locked(s, id, now);
    if (!x) FAIL(ERR_NOTFOUND, "no such session, or it ended");
    *ret = (struct session_view){.expires = x->expires, .tee = x->tee, .guest = x->guest,
                                  .nonce = nonce_ref(x->nonce)};
    memcpy(ret->id, id, SESSION_ID_BYTES);
    if (x->guest) guest_ref(x->guest);
    return ERR_OK;
}

/* *ret_replaced: to be unreferenced after the lock. */
static err_t attest_locked(struct sessions *s, struct session *x, struct guest *g,
                           struct guest **ret_replaced)
{
    size_t more = attested_size(x, g), less = x->guest ? attested_size(x, x->guest) : 0;
    if (s->bytes - less + more > s->max_bytes)
        FAIL(ERR_BUSY, "the guests of %zu sessions take all memory there is for them", s->attested);
    s->bytes += more - less;
    if (!x->guest) {
        unqueue_locked(s, x);
        s->attested++;
    }
    *ret_replaced = x->guest;
    guest_ref(g);
    x->guest = g;
    return ERR_OK;
}

struct err sessions_attest(struct sessions *s, const uint8_t id[SESSION_ID_BYTES], int64_t now,
                           struct guest *g)
{
    _cleanup_(guest_unrefp) struct guest *replaced = NULL; /* declared before the lock: freed after */
    SCOPED_LOCK(&s->lock);
    struct session *x = find_locked(s, id, now);
    if (!x) FAIL(ERR_NOTFOUND, "the session ended while its evidence was verified");
    return attest_locked(s, x, g, &replaced);
}

struct err sessions_renew(struct sessions *s, const uint8_t id[SESSION_ID_BYTES], int64_t now,
                          const struct guest *old, struct guest *g)
{
    _cleanup_(guest_unrefp) struct guest *replaced = NULL; /* as above */
    SCOPED_LOCK(&s->lock);
    struct session *x = find_locked(s, id, now);
    if (!x) FAIL(ERR_NOTFOUND, "the session ended while its token was verified");
    if (x->guest != old) return ERR_OK;
    return attest_locked(s, x, g, &replaced);
}

void sessions_count(struct sessions *s, int64_t now, struct session_counts *ret)
{
    pthread_mutex_lock(&s->lock);
    struct session *dead = bury_expired_locked(s, now, CLEAR_PER_COUNT);
    *ret = (struct session_counts){table_count(s->table), s->attested, s->evicted};
    pthread_mutex_unlock(&s->lock);
    free_dead(dead);
}

bool session_id_from(const char *text, uint8_t ret[SESSION_ID_BYTES])
{
    const size_t digits = 2 * SESSION_ID_BYTES;
    return text && strspn(text, "0123456789abcdef") == digits && text[digits] == '\0' &&
           hex_decode(text, ret, SESSION_ID_BYTES);
}
