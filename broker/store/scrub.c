/* A pass: every object is read from the token and opened, what comes out is wiped. */
#include "broker/store/store_internal.h"

#include "broker/base/log.h"

#include <string.h>
#include <time.h>

#define TRIES 2u /* an object that is destroyed while it is read may come out as anything */

/* One version of the catalog, good without its lock. */
struct item {
    enum envelope_kind kind;
    struct p11_object object;
    uint64_t version; /* 0: not known */
    bool unreadable;
    char name[NAME_MAX_BYTES + 1];
};

struct pass {
    const struct scrub_walk *walk;
    struct store *s;
    struct findings found;
    struct item *items; /* of one bucket */
    size_t n, cap;
    uint64_t opening;   /* in which their handles are good */
    size_t skipped;
};

static void pass_done(struct pass *p)
{
    findings_free(&p->found);
    free(p->items);
}

static bool rest(const struct scrub_walk *walk, uint64_t ns)
{
    if (walk->rest) return walk->rest(walk->s, ns);
    struct timespec t = {.tv_sec = (time_t) (ns / CLOCK_SECOND_NS), .tv_nsec = (long) (ns % CLOCK_SECOND_NS)};
    nanosleep(&t, NULL);
    return true;
}

/* ---- publishing -------------------------------------------------------------------------- */

static void tell(struct store *s, const struct finding *f)
{
    log_warn("scrub.found", LOG_S("fault", fault_name(f->fault)), LOG_S("label", f->label),
             LOG_U("version", f->version), LOG_S("why", f->why), LOG_S("hint", fault_hint(f->fault)));
    if (s->scrub.tell) s->scrub.tell(s->scrub.tell_arg, f);
}

/* `found` takes the place of what its source knew; the list that comes back in it is the old one. */
static void publish(struct store *s, enum scrub_source source, struct findings *found)
{
    struct findings *known = &s->scrub.found[source];
    SCOPED_LOCK(&s->scrub.turn); /* who has it alone changes the list, so reading it needs no other lock */
    for (size_t i = 0; i < found->n; i++)
        if (!findings_hold(known, &found->at[i])) tell(s, &found->at[i]);
    for (size_t i = 0; i < known->n; i++)
        if (!findings_hold(found, &known->at[i]))
            log_info("scrub.gone", LOG_S("fault", fault_name(known->at[i].fault)),
                     LOG_S("label", known->at[i].label), LOG_U("version", known->at[i].version));
    SCOPED_LOCK(&s->lock);
    struct findings old = *known;
    *known = *found;
    *found = old;
}

/* ---- one object -------------------------------------------------------------------------- */

static struct version *find_locked(struct store *s, const struct item *i)
{
    struct entry *e = catalog_find(s->catalog, i->kind, i->name);
    struct version *v = e ? e->versions : NULL;
    while (v && (v->object.handle != i->object.handle || v->object.epoch != i->object.epoch))
        v = v->older;
    return v;
}

/* Whether it is still there, with what was seen noted: the newest one of a name is shown as damaged. */
static bool note(struct store *s, const struct item *i, bool broken)
{
    SCOPED_LOCK(&s->lock);
    struct version *v = find_locked(s, i);
    if (v) v->broken = broken;
    return v != NULL;
}

static err_t open_item(struct store *s, const struct item *i)
{
    _cleanup_buf_ struct buf b = {.max = ENVELOPE_MAX};
    struct envelope e = {0};
    bool has_meta = false;
    /* From the token, not from our cache: it is the token that is looked at. */
    TRY(p11_object_read(s->config.token, i->object, &b));
    TRY(buf_ok(&b));
    if (envelope_decode(buf_span(&b), &e, &has_meta) != ENVELOPE_SOUND || e.meta.kind != i->kind ||
        e.meta.version != i->version || !span_eq_str(e.meta.name, i->name))
        FAIL(ERR_DAMAGED, "it is another envelope by now");
    return p11_verify(s->config.token, &e);
}

static void add(struct pass *p, const struct item *i, const char *why)
{
    char label[P11_LABEL_MAX + 1];
    struct finding f = {.fault = FAULT_DAMAGED, .version = i->version, .why = why,
                        .label = label_make(i->kind, i->name, label)};
    if (!findings_hold(&p->found, &f)) findings_add(&p->found, &f); /* it may be looked at twice */
}

/* An object that went is nobody's fault here: a write took it, or the manifest misses it. */
static err_t look_at(struct pass *p, const struct item *i)
{
    struct err e = ERR_OK;
    if (i->unreadable) {
        add(p, i, "it cannot be read, and may be the newest of its name");
        return ERR_OK;
    }
    for (unsigned tries = 0; tries < TRIES; tries++) {
        e = open_item(p->s, i);
        if (err_ok(e)) {
            note(p->s, i, false);
            return ERR_OK;
        }
        bool there = true;
        {
            SCOPED_LOCK(&p->s->lock);
            there = find_locked(p->s, i) != NULL;
            if (there && e.code == ERR_NOTFOUND) p->s->doubt = true; /* the next look scans */
        }
        if (!there || e.code == ERR_NOTFOUND) return ERR_OK;
        /* No session or no locked memory: those who want to be served need them more. */
        if (e.code == ERR_BUSY && !rest(p->walk, CLOCK_SECOND_NS)) return e;
    }
    if (e.code == ERR_BUSY) p->skipped++;
    else if (e.code != ERR_DAMAGED) return e;
    else if (note(p->s, i, true)) add(p, i, "it does not verify");
    return ERR_OK;
}

/* Slow tokens are given more room than the rate asks for. */
static err_t look_and_rest(struct pass *p, const struct item *i)
{
    uint64_t begun = clock_mono_ns();
    TRY(look_at(p, i));
    uint64_t pause = p->walk->pace_ns, took = clock_mono_ns() - begun;
    if (pause && SCRUB_SHARE * took > pause) pause = SCRUB_SHARE * took;
    {
        SCOPED_LOCK(&p->s->lock);
        p->s->scrub.looked_at++;
        p->s->scrub.checked++;
    }
    if (p->walk->rest && !rest(p->walk, pause)) FAIL(ERR_BUSY, "the pass was told to end");
    return ERR_OK;
}

/* ---- all objects ------------------------------------------------------------------------- */

static uint64_t reversed(uint64_t x)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < 64; i++, x >>= 1) r = r << 1 | (x & 1);
    return r;
}

/* The bucket after this one, counted from the highest bit down: so whoever was there from beginning
 * to end is met though the table grows or shrinks meanwhile. 0: that was the last one. */
static size_t next_bucket(size_t at, size_t count)
{
    uint64_t x = reversed((uint64_t) at | ~((uint64_t) count - 1)) + 1;
    return (size_t) reversed(x);
}

static err_t take_version(struct pass *p, const struct entry *e, const struct version *v)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 8;
        struct item *items = reallocarray(p->items, cap, sizeof *items);
        if (!items) FAIL(ERR_INTERNAL, "out of memory");
        p->items = items;
        p->cap = cap;
    }
    struct item *i = &p->items[p->n++];
    *i = (struct item){.kind = e->kind, .object = v->object, .unreadable = v->unreadable,
                       .version = v->version == VERSION_UNKNOWN ? 0 : v->version};
    memcpy(i->name, e->name, strlen(e->name) + 1);
    return ERR_OK;
}

static err_t take_bucket(struct pass *p, size_t at, size_t *ret_next)
{
    SCOPED_LOCK(&p->s->lock);
    const struct catalog *c = p->s->catalog;
    p->n = 0;
    p->opening = p->s->opening;
    for (const struct entry *e = c->buckets[at & (c->bucket_count - 1)]; e; e = e->chain)
        for (const struct version *v = e->versions; v; v = v->older) TRY(take_version(p, e, v));
    *ret_next = next_bucket(at & (c->bucket_count - 1), c->bucket_count);
    return ERR_OK;
}

/* Handles end with the opening: what seemed gone then is looked at again. */
static err_t open_bucket(struct pass *p, size_t at, size_t *ret_next)
{
    for (;;) {
        TRY(take_bucket(p, at, ret_next));
        for (size_t i = 0; i < p->n; i++) TRY(look_and_rest(p, &p->items[i]));
        if (p11_opening(p->s->config.token) == p->opening) return ERR_OK;
        TRY(refresh_now(p->s));
        SCOPED_LOCK(&p->s->lock);
        p->s->scrub.looked_at -= p->n;
    }
}

static err_t open_all(struct pass *p)
{
    size_t at = 0;
    do TRY(open_bucket(p, at, &at));
    while (at);
    return ERR_OK;
}

static void add_odd(struct pass *p)
{
    SCOPED_LOCK(&p->s->lock);
    const struct findings *named = &p->s->catalog->odd.named;
    for (size_t i = 0; i < named->n; i++) findings_add(&p->found, &named->at[i]);
    for (size_t f = 0; f < FAULT_COUNT; f++) /* and those beyond the names */
        if (named->count[f] > p->found.count[f]) p->found.count[f] = named->count[f];
}

static err_t add_leftover(void *arg, const char *path)
{
    struct pass *p = arg;
    struct finding f = {.fault = FAULT_LEFTOVER, .label = path,
                        .why = "an object file without an object in it"};
    findings_add(&p->found, &f);
    return ERR_OK;
}

static err_t look_afresh(struct store *s)
{
    SCOPED_WORK(s);
    return rescan_locked(s);
}

static err_t run(struct pass *p)
{
    /* Asked for by somebody: what is there now, whatever the epoch object says. */
    if (p->walk->pace_ns) TRY(refresh_now(p->s));
    else TRY(look_afresh(p->s));
    add_odd(p);
    TRY(open_all(p));
    return p11_leftovers(p->s->config.token, add_leftover, p);
}

struct err scrub_pass(const struct scrub_walk *walk)
{
    struct store *s = walk->s;
    _cleanup_(pass_done) struct pass p = {.walk = walk, .s = s};
    {
        SCOPED_LOCK(&s->lock);
        s->scrub.running = true;
        s->scrub.looked_at = 0;
    }
    struct err e = run(&p);
    if (err_ok(e)) publish(s, SCRUB_OBJECTS, &p.found);
    if (err_ok(e) && p.skipped)
        e = ERR_MAKE(ERR_LIMIT, "%zu objects were not looked at: no session or no locked memory was free", p.skipped);
    SCOPED_LOCK(&s->lock);
    s->scrub.running = false;
    s->scrub.failed = e.code;
    if (!err_ok(e)) return e;
    s->scrub.finished = clock_now();
    s->scrub.objects = s->scrub.looked_at;
    return e;
}

/* ---- the manifest ------------------------------------------------------------------------ */

static void collect(void *arg, const struct finding *f)
{
    findings_add(arg, f);
}

static err_t compare_once(struct store *s, bool rescan, struct findings *ret)
{
    SCOPED_WORK(s);
    TRY(rescan ? rescan_locked(s) : refresh_locked(s));
    manifest_compare_locked(s, collect, ret);
    SCOPED_LOCK(&s->lock);
    s->scrub.compared = s->changes;
    return ERR_OK;
}

static bool all_known(struct store *s, const struct findings *found)
{
    const struct findings *known = &s->scrub.found[SCRUB_MANIFEST];
    SCOPED_LOCK(&s->scrub.turn); /* others publish, and free what was known before */
    for (size_t i = 0; i < found->n; i++)
        if (!findings_hold(known, &found->at[i])) return false;
    return true;
}

/* A scan that falls into another broker's write may miss a name; such a write is over a moment later. */
struct err scrub_compare(const struct scrub_walk *walk)
{
    struct store *s = walk->s;
    _cleanup_findings_ struct findings first = {0};
    _cleanup_findings_ struct findings second = {0};
    _cleanup_findings_ struct findings both = {0};
    TRY(compare_once(s, false, &first));
    if (all_known(s, &first)) {
        publish(s, SCRUB_MANIFEST, &first);
        return ERR_OK;
    }
    if (!rest(walk, SCRUB_CONFIRM_MS * (CLOCK_SECOND_NS / 1000))) FAIL(ERR_BUSY, "told to end");
    TRY(compare_once(s, true, &second));
    for (size_t i = 0; i < second.n; i++)
        if (findings_hold(&first, &second.at[i])) findings_add(&both, &second.at[i]);
    bool cut = first.n == STORE_FINDINGS_MAX && second.n == STORE_FINDINGS_MAX; /* the rest has no names to compare */
    for (size_t f = 0; f < FAULT_COUNT && cut; f++) both.count[f] = second.count[f];
    publish(s, SCRUB_MANIFEST, &both);
    return ERR_OK;
}

struct err scrub_accept(struct store *s, size_t *ret_forgotten)
{
    struct findings none = {0};
    {
        SCOPED_WORK(s);
        TRY(rescan_locked(s));
        TRY(manifest_accept_locked(s, ret_forgotten));
    }
    publish(s, SCRUB_MANIFEST, &none);
    findings_free(&none);
    SCOPED_LOCK(&s->lock);
    s->changes++; /* a comparison that began before tells old things: compare again */
    return ERR_OK;
}

/* ---- asking ------------------------------------------------------------------------------ */

void scrub_stats(struct store *s, struct scrub_stats *ret)
{
    SCOPED_LOCK(&s->lock);
    const struct scrub_state *x = &s->scrub;
    *ret = (struct scrub_stats){
        .passes = x->passes, .running = x->running, .looked_at = x->looked_at,
        .objects = x->objects, .checked = x->checked, .finished = x->finished,
        .failed = x->failed, .manifest_version = s->manifest.version,
        .manifest_behind = s->config.writable && s->manifest.synced != s->changes,
    };
    for (size_t i = 0; i < SCRUB_SOURCES; i++)
        for (size_t f = 0; f < FAULT_COUNT; f++) ret->found[f] += x->found[i].count[f];
}

struct err scrub_findings(struct store *s, err_t (*visit)(void *arg, const struct finding *f), void *arg)
{
    _cleanup_findings_ struct findings copy = {0};
    {
        SCOPED_LOCK(&s->lock);
        for (size_t i = 0; i < SCRUB_SOURCES; i++)
            for (size_t k = 0; k < s->scrub.found[i].n; k++)
                findings_add(&copy, &s->scrub.found[i].at[k]);
    }
    for (size_t i = 0; i < copy.n; i++) TRY(visit(arg, &copy.at[i]));
    return ERR_OK;
}

void scrub_tell(struct store *s, void (*tell_)(void *arg, const struct finding *f), void *arg)
{
    s->scrub.tell = tell_;
    s->scrub.tell_arg = arg;
}
