/* Making the index of a unit's rules. */
#include "policy/plan_index.h"

#include "policy/plan_guards.h"

/* What is known of a rule before its code stands. */
struct plan_draft {
    struct plan_guard key[PLAN_INDEX_KEY_MAX]; /* by ascending number of the path */
    uint8_t paths[PLAN_INDEX_KEY_MAX];
    size_t count; /* 0: always a candidate */
    size_t table;
};

/* ---- paths -------------------------------------------------------------------------------------- */

/* How well each path tells rules apart: marks of the hashes of its constants. */
struct spread { uint64_t marks[PLAN_INDEX_PATHS_MAX]; };

/* The path's number in the index; -1 when there is no room. */
static int path_number(struct plan_index *index, const struct plan_path *path)
{
    for (size_t i = 0; i < index->path_count; i++)
        if (plan_path_equal(index->paths[i], path)) return (int) i;
    if (index->path_count == PLAN_INDEX_PATHS_MAX) return -1;
    index->paths[index->path_count] = path;
    return (int) index->path_count++;
}

/* ---- keys --------------------------------------------------------------------------------------- */

static size_t copies(const struct plan_draft *d)
{
    size_t product = 1;
    for (size_t i = 0; i < d->count; i++) product *= d->key[i].count;
    return product;
}

static void key_remove(struct plan_draft *d, size_t at)
{
    d->count--;
    for (; at < d->count; at++) {
        d->key[at] = d->key[at + 1];
        d->paths[at] = d->paths[at + 1];
    }
}

/* The least useful guard of the key: of the path whose constants differ least. */
static size_t least(const struct plan_draft *d, const struct spread *s)
{
    size_t least = 0;
    for (size_t i = 1; i < d->count; i++)
        if (__builtin_popcountll(s->marks[d->paths[i]]) < __builtin_popcountll(s->marks[d->paths[least]])) least = i;
    return least;
}

static void key_add(struct plan_draft *d, uint8_t path, const struct plan_guard *guard, const struct spread *s)
{
    size_t at = 0;
    while (at < d->count && d->paths[at] < path) at++;
    if (at < d->count && d->paths[at] == path) return; /* compared twice: one is enough */
    if (d->count == PLAN_INDEX_KEY_MAX) {
        size_t gone = least(d, s);
        if (__builtin_popcountll(s->marks[d->paths[gone]]) >= __builtin_popcountll(s->marks[path])) return;
        key_remove(d, gone);
        at -= gone < at;
    }
    for (size_t i = d->count++; i > at; i--) {
        d->key[i] = d->key[i - 1];
        d->paths[i] = d->paths[i - 1];
    }
    d->key[at] = *guard;
    d->paths[at] = path;
}

/* Tests of many values multiply the entries: the widest go first. */
static void key_narrow(struct plan_draft *d)
{
    while (copies(d) > PLAN_INDEX_COPIES_MAX) {
        size_t widest = 0;
        for (size_t i = 1; i < d->count; i++)
            if (d->key[i].count > d->key[widest].count) widest = i;
        key_remove(d, widest);
    }
}

/* ---- tables ------------------------------------------------------------------------------------- */

static bool same_paths(const struct plan_table *t, const struct plan_draft *d)
{
    return t->path_count == d->count && memcmp(t->paths, d->paths, d->count) == 0;
}

/* The table for the rule's key; without one, the rule is always a candidate. Entries are counted in mask. */
static void choose_table(struct plan_index *index, struct plan_draft *d)
{
    size_t n = 0;
    while (n < index->table_count && !same_paths(&index->tables[n], d)) n++;
    if (d->count == 0 || n == PLAN_INDEX_TABLES_MAX) {
        d->count = 0;
        return;
    }
    struct plan_table *t = &index->tables[n];
    if (n == index->table_count) {
        memcpy(t->paths, d->paths, d->count);
        t->path_count = d->count;
        index->table_count++;
    }
    d->table = n;
    t->mask += copies(d);
}

static bool make_room(struct planner *p, struct plan_table *t)
{
    size_t size = 4;
    while (size < 2 * t->mask) size *= 2;
    t->mask = size - 1;
    t->entries = arena_alloc_array(p->arena, size, sizeof *t->entries);
    return t->entries != NULL;
}

static bool same_values(const struct plan_entry *e, const struct value *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!value_equal(e->values[i], values[i])) return false;
    return true;
}

/* The entry for these values, or a free one; NULL when it would be too far from its place. */
static struct plan_entry *entry_for(struct plan_table *t, uint64_t hash, const struct value *const *values)
{
    for (size_t probe = 0; probe < PLAN_INDEX_PROBES_MAX; probe++) {
        struct plan_entry *e = &t->entries[(hash + probe) & t->mask];
        if (!e->values || (e->hash == hash && same_values(e, values, t->path_count))) return e;
    }
    return NULL;
}

static bool add_rule(struct planner *p, struct plan_entry *e, uint32_t rule)
{
    if (e->count && e->rules[e->count - 1] == rule) return true;
    uint32_t *rules = arena_grow(p->arena, e->rules, e->count, &e->cap, sizeof *rules);
    if (!rules) return false;
    e->rules = rules;
    rules[e->count++] = rule;
    return true;
}

/* One entry for the n-th combination of the values which the key allows. */
static bool insert(struct planner *p, struct plan_table *t, const struct plan_draft *d, size_t n, uint32_t rule)
{
    const struct value **values = arena_alloc_array(p->arena, d->count, sizeof *values);
    if (!values) return false;
    uint64_t hash = 0;
    for (size_t i = 0; i < d->count; i++) {
        values[i] = d->key[i].values[n % d->key[i].count];
        n /= d->key[i].count;
        hash = plan_hash_add(hash, value_hash(values[i]));
    }
    struct plan_entry *e = entry_for(t, hash, values);
    if (!e) return false;
    if (!e->values) {
        e->hash = hash;
        e->values = values;
    }
    return add_rule(p, e, rule);
}

static void insert_rule(struct planner *p, struct plan_index *index, uint32_t rule)
{
    const struct plan_draft *d = &index->drafts[rule];
    bool inserted = d->count > 0;
    for (size_t n = 0; inserted && n < copies(d); n++) inserted = insert(p, &index->tables[d->table], d, n, rule);
    if (!inserted) index->always[index->always_count++] = rule;
}

/* ---- all ---------------------------------------------------------------------------------------- */

/* The most that a value equal to this one may weigh: 1 may be written 1.000. */
static uint64_t heaviest_equal(const struct value *v)
{
    uint64_t weight = 1;
    if (v->kind == VALUE_NUMBER) return 1 + NUM_TEXT_MAX;
    if (v->kind < VALUE_ARRAY) return value_weight(v);
    for (size_t i = 0; i < v->count; i++)
        weight += v->kind == VALUE_OBJECT ? heaviest_equal(v->pairs[i].key) + heaviest_equal(v->pairs[i].value)
                                          : heaviest_equal(v->items[i]);
    return weight;
}

/* Numbers the paths of a rule's guards and notes what they are compared with. */
static void survey(struct plan_index *index, const struct plan_guards *guards, struct spread *s)
{
    for (size_t i = 0; i < guards->count; i++) {
        int path = path_number(index, guards->at[i].path);
        for (size_t n = 0; path >= 0 && n < guards->at[i].count; n++) {
            const struct value *v = guards->at[i].values[n];
            s->marks[path] |= 1ull << (value_hash(v) & 63);
            uint64_t weight = heaviest_equal(v);
            if (index->weights[path] < weight) index->weights[path] = weight;
            index->kinds[path] |= 1u << v->kind;
        }
    }
}

/* A body whose guard fails is never run, whatever the number of rules: where running it could show, since
 * something before the guard may fail with an error, there has to be an index. */
static bool shows(const struct plan_guards *guards)
{
    for (size_t i = 0; i < guards->count; i++)
        if (guards->at[i].late) return true;
    return false;
}

static void choose_key(struct plan_index *index, const struct plan_guards *guards, const struct spread *s,
                       struct plan_draft *d)
{
    for (size_t i = 0; i < guards->count; i++) {
        int path = path_number(index, guards->at[i].path);
        if (path >= 0) key_add(d, (uint8_t) path, &guards->at[i], s);
    }
    key_narrow(d);
}

/* The rules' guards, when an index of them is wanted. */
static struct plan_guards *find_guards(struct planner *p, const struct checked_rule *const *rules, size_t count)
{
    struct plan_guards *guards = arena_alloc_array(p->arena, count, sizeof *guards);
    size_t guarded = 0;
    bool wanted = false;
    for (size_t i = 0; guards && i < count; i++) {
        plan_find_guards(p, rules[i], &guards[i]);
        guarded += guards[i].count > 0;
        wanted = wanted || shows(&guards[i]);
    }
    return wanted || guarded >= PLAN_INDEX_RULES_MIN ? guards : NULL;
}

struct plan_index *plan_index_begin(struct planner *p, const struct checked_rule *const *rules, size_t count)
{
    struct plan_guards *guards = p->failed ? NULL : find_guards(p, rules, count);
    struct plan_index *index = guards ? arena_alloc(p->arena, sizeof *index) : NULL;
    struct spread spread = { { 0 } };
    if (!index) return NULL;
    index->drafts = arena_alloc_array(p->arena, count, sizeof *index->drafts);
    index->starts = arena_alloc_array(p->arena, count + 1, sizeof *index->starts);
    index->always = arena_alloc_array(p->arena, count, sizeof *index->always);
    index->all = arena_alloc_array(p->arena, count, sizeof *index->all);
    index->rule_count = count;
    if (!index->drafts || !index->starts || !index->always || !index->all) return NULL;
    for (size_t i = 0; i < count; i++) survey(index, &guards[i], &spread);
    for (size_t i = 0; i < count; i++) {
        choose_key(index, &guards[i], &spread, &index->drafts[i]);
        index->all[i] = (uint32_t) i;
    }
    return index;
}

void plan_index_always(struct plan_index *index, size_t rule)
{
    index->drafts[rule].count = 0;
}

void plan_index_end(struct planner *p, struct plan_index *index)
{
    if (p->failed) return;
    for (size_t i = 0; i < index->rule_count; i++) choose_table(index, &index->drafts[i]);
    for (size_t i = 0; i < index->table_count; i++)
        if (!make_room(p, &index->tables[i])) {
            plan_fail(p, "the policy is too large: memory for its index is used up");
            return;
        }
    for (size_t i = 0; i < index->rule_count; i++) insert_rule(p, index, (uint32_t) i);
}
