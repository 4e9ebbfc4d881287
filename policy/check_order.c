/* Whoever is not ready waits for the locals that it misses and is asked again when one of them gets bound:
 * so a body in the worst order, each expression needing the one behind it, takes no longer than another. */
#include "policy/check_order.h"

#define NOBODY UINT32_MAX

struct waiter { uint32_t local, expr, next; };

struct order {
    struct checked_expr **left;
    size_t count, done;
    struct bound *bound;
    struct missing missing;
    uint64_t *now, *later; /* whom to ask in this round, and in the next one: bits by expression */
    struct waiter *waiters;
    size_t waiter_count, waiter_cap;
    uint32_t *heads; /* lists of waiters by local, modulo mask + 1; NULL: nobody waits */
    size_t mask;
    void (*chosen)(struct checked_expr *e, struct bound *b, void *context);
    void *context;
};

struct checked_expr **order_list(struct compile *c, const struct checked_body *body)
{
    struct checked_expr **list = arena_alloc_array(c->arena, body->count, sizeof *list);
    for (size_t i = 0; list && i < body->count; i++) list[i] = body->at[i];
    return list;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static bool open_lists(struct order *o)
{
    size_t size = 4;
    while (size < o->count) size *= 2;
    o->heads = arena_alloc_array(o->bound->compile->arena, size, sizeof *o->heads);
    if (!o->heads) return false;
    memset(o->heads, 0xff, size * sizeof *o->heads);
    o->mask = size - 1;
    return true;
}

static void wait_for(struct order *o, uint32_t expr)
{
    if (!o->heads && !open_lists(o)) return;
    for (size_t i = 0; i < o->missing.count; i++) {
        struct waiter *waiters = arena_grow(o->bound->compile->arena, o->waiters, o->waiter_count, &o->waiter_cap,
                                            sizeof *waiters);
        if (!waiters) return;
        o->waiters = waiters;
        uint32_t local = o->missing.at[i], *head = &o->heads[local & o->mask];
        waiters[o->waiter_count] = (struct waiter) { local, expr, *head };
        *head = (uint32_t) o->waiter_count++;
    }
}

/* Who waits for what was bound since then is asked again: those further down in this round. */
static void wake(struct order *o, size_t since, uint32_t at)
{
    for (; o->heads && since < o->bound->count; since++) {
        uint32_t local = o->bound->trail[since];
        for (uint32_t n = o->heads[local & o->mask]; n != NOBODY; n = o->waiters[n].next) {
            const struct waiter *w = &o->waiters[n];
            if (w->local != local) continue;
            uint64_t *round = w->expr > at ? o->now : o->later;
            round[w->expr / 64] |= (uint64_t) 1 << w->expr % 64;
        }
    }
}

/* ---- asking ----------------------------------------------------------------------------------- */

/* The body of a `with` is no closure: whether all of it can run shows only by trying. */
static bool with_ready(const struct checked_expr *e, struct bound *b, struct missing *m)
{
    size_t before = b->count, count = e->with.body.count;
    struct checked_expr **left = order_list(b->compile, &e->with.body);
    if (!left) return false;
    bool ready = order_choose(left, count, b, NULL, NULL) == count;
    for (size_t i = 0; !ready && i < count; i++)
        if (left[i]) expr_ready(left[i], b, m);
    bound_undo(b, before);
    return ready;
}

static void ask(struct order *o, uint32_t at)
{
    struct checked_expr *e = o->left[at];
    size_t before = o->bound->count;
    if (!e || !compile_spend(o->bound->compile, 1)) return;
    o->missing.count = 0;
    if (!expr_ready(e, o->bound, &o->missing)
        || (e->kind == CHECKED_WITH && !with_ready(e, o->bound, &o->missing))) {
        wait_for(o, at);
        return;
    }
    if (o->chosen) o->chosen(e, o->bound, o->context);
    bind_expr(e, o->bound);
    o->left[at] = NULL;
    o->done++;
    wake(o, before, at);
}

/* Everybody marked in `now`, those too that get marked on the way. */
static void ask_all(struct order *o, size_t words)
{
    for (size_t w = 0; w < words; w++)
        while (o->now[w]) {
            unsigned bit = (unsigned) __builtin_ctzll(o->now[w]);
            o->now[w] &= o->now[w] - 1;
            ask(o, (uint32_t) (w * 64 + bit));
        }
}

size_t order_choose(struct checked_expr **left, size_t count, struct bound *b,
                    void (*chosen)(struct checked_expr *e, struct bound *b, void *context), void *context)
{
    size_t words = (count + 63) / 64, before = 0;
    uint64_t *rounds = arena_alloc_array(b->compile->arena, 2 * words, sizeof *rounds);
    struct order o = { .left = left, .count = count, .bound = b, .chosen = chosen, .context = context };
    if (!rounds) return 0;
    o.now = rounds;
    o.later = rounds + words;
    for (size_t i = 0; i < count; i++) o.now[i / 64] |= (uint64_t) 1 << i % 64;
    do {
        before = o.done;
        ask_all(&o, words);
        uint64_t *swap = o.now;
        o.now = o.later;
        o.later = swap;
    } while (o.done > before && o.done < count && compile_spend(b->compile, words));
    return o.done;
}
