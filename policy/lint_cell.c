/* What is known of values, and the ways to them. */
#include "policy/linter.h"

#define BUCKETS 4096u

/* ---- making ----------------------------------------------------------------------------------- */

struct cell *cell_new(struct linter *l, unsigned kinds)
{
    struct cell *c = arena_alloc(l->arena, sizeof *c);
    if (!c) {
        l->steps_left = 0;
        return &l->nothing;
    }
    c->kinds = kinds;
    return c;
}

struct cell *cell_constant(struct linter *l, const struct value *v)
{
    struct cell *c = cell_new(l, 1u << v->kind);
    if (c == &l->nothing) return c;
    c->constant = v;
    c->filled = v->kind >= VALUE_ARRAY && v->count > 0;
    return c;
}

/* ---- shapes ----------------------------------------------------------------------------------- */

struct shapes {
    const struct value *at[LINT_SCHEMAS_MAX];
    size_t count;
    unsigned kinds;
    bool unknown, optional, lacking; /* lacking: some of the parent's shapes have no such member */
};

static void shape_add(struct shapes *s, const struct value *schema)
{
    s->kinds |= schema_kinds(schema);
    if (schema_is_any(schema)) s->unknown = true;
    for (size_t i = 0; i < s->count; i++)
        if (s->at[i] == schema || value_equal(s->at[i], schema)) return;
    if (s->count == LINT_SCHEMAS_MAX) s->unknown = true;
    else s->at[s->count++] = schema;
}

static void shapes_keep(struct linter *l, const struct shapes *s, struct cell *c)
{
    c->kinds = s->unknown ? KIND_ANY : s->kinds;
    if (s->unknown || !s->count) return;
    const struct value **at = arena_alloc_array(l->arena, s->count, sizeof *at);
    if (!at) return;
    memcpy(at, s->at, s->count * sizeof *at);
    c->schemas = at;
    c->schema_count = s->count;
}

static void shape_by_key(struct shapes *s, const struct value *schema, const struct value *key)
{
    bool optional = false;
    const struct value *member = schema_member(schema, key, &optional);
    s->optional |= optional;
    if (member) shape_add(s, member);
    else s->lacking = true;
}

static void shape_of_any_member(struct shapes *s, const struct value *schema)
{
    if (!schema_is_filled(schema)) s->optional = true;
    if (schema->kind == VALUE_ARRAY && schema->count) shape_add(s, schema->items[0]);
    for (size_t i = 0; schema->kind == VALUE_OBJECT && i < schema->count; i++) {
        const struct value *key = schema->pairs[i].key;
        bool advice = value_is(key, VALUE_STRING) && key->count && key->string[0] == '~';
        if (!advice) shape_add(s, schema->pairs[i].value);
    }
}

static void member_of_shapes(struct linter *l, const struct cell *parent, struct cell *c)
{
    struct shapes s = { 0 };
    for (size_t i = 0; i < parent->schema_count; i++) {
        if (c->key) shape_by_key(&s, parent->schemas[i], c->key);
        else shape_of_any_member(&s, parent->schemas[i]);
    }
    c->optional = s.optional || s.lacking;
    c->absent = s.count == 0;
    if (!c->absent) shapes_keep(l, &s, c);
}

static void member_of_constant(const struct cell *parent, struct cell *c)
{
    const struct value *v = parent->constant;
    if (c->key) {
        c->constant = v->kind >= VALUE_ARRAY ? value_get(v, c->key) : NULL;
        c->absent = !c->constant;
        if (c->constant) c->kinds = 1u << c->constant->kind;
        return;
    }
    c->kinds = 0;
    for (uint32_t i = 0; v->kind >= VALUE_ARRAY && i < v->count; i++)
        c->kinds |= 1u << (v->kind == VALUE_OBJECT ? v->pairs[i].value : v->items[i])->kind;
    c->optional = !c->kinds;
    if (!c->kinds) c->kinds = KIND_ANY; /* of nothing: it never gets so far */
}

/* ---- members ---------------------------------------------------------------------------------- */

static void member_facts(struct linter *l, const struct cell *parent, struct cell *c)
{
    const unsigned COMPOSITE = KIND_BIT(ARRAY) | KIND_BIT(OBJECT) | KIND_BIT(SET);
    c->kinds = KIND_ANY;
    c->optional = true;
    if (parent->constant) {
        c->optional = false;
        member_of_constant(parent, c);
    } else if (!(parent->kinds & COMPOSITE)) {
        c->absent = true;
    } else if (parent->element) {
        c->kinds = parent->element->kinds;
        c->constant = parent->element->constant;
        c->schemas = parent->element->schemas;
        c->schema_count = parent->element->schema_count;
    } else if (parent->schema_count) {
        member_of_shapes(l, parent, c);
    }
}

static size_t bucket_of(const struct cell *parent, const struct value *key, const struct cell *var)
{
    uint64_t hash = key ? value_hash(key) : (uintptr_t) var / 16;
    hash = (hash ^ (uintptr_t) parent / 16) * 0x9e3779b97f4a7c15u;
    return (size_t) (hash >> 40) % BUCKETS;
}

static struct cell *member_find(struct cell *c, const struct cell *parent, const struct value *key,
                                const struct cell *var)
{
    for (; c; c = c->next) {
        if (c->parent != parent || !c->key != !key) continue;
        if (key ? value_equal(c->key, key) : c->var == var) return c;
    }
    return NULL;
}

struct cell *cell_member(struct linter *l, struct cell *parent, const struct value *key,
                         const struct cell *var, bool fresh)
{
    if (parent->way >= LINT_WAY_MAX || parent == &l->nothing) return cell_new(l, KIND_ANY);
    if (!l->members) l->members = arena_alloc_array(l->arena, BUCKETS, sizeof *l->members);
    if (!l->members) return cell_new(l, KIND_ANY);
    size_t bucket = bucket_of(parent, key, var);
    struct cell *c = fresh ? NULL : member_find(l->members[bucket], parent, key, var);
    if (c) return c;
    c = cell_new(l, KIND_ANY);
    if (c == &l->nothing) return c;
    c->root = parent->root;
    c->group = parent->group;
    c->parent = parent;
    c->key = key;
    c->var = key ? NULL : var;
    c->way = parent->way + 1;
    member_facts(l, parent, c);
    c->next = l->members[bucket];
    l->members[bucket] = c;
    return c;
}

struct cell *cell_some_member(struct linter *l, struct cell *parent)
{
    return cell_member(l, parent, NULL, NULL, false);
}

/* ---- one of several --------------------------------------------------------------------------- */

static void join_shapes(struct linter *l, const struct cell *a, const struct cell *b, struct cell *c)
{
    struct shapes s = { .unknown = !a->schema_count || !b->schema_count };
    for (size_t i = 0; i < a->schema_count; i++) shape_add(&s, a->schemas[i]);
    for (size_t i = 0; i < b->schema_count; i++) shape_add(&s, b->schemas[i]);
    if (!s.unknown) shapes_keep(l, &s, c);
}

struct cell *cell_join(struct linter *l, struct cell *a, struct cell *b)
{
    if (!a || a == b) return b;
    if (!b) return a;
    struct cell *c = cell_new(l, a->kinds | b->kinds);
    if (c == &l->nothing) return c;
    join_shapes(l, a, b, c);
    c->kinds = a->kinds | b->kinds;
    if (a->constant && b->constant && value_equal(a->constant, b->constant)) c->constant = a->constant;
    c->element = a->element == b->element ? a->element : NULL;
    c->filled = a->filled && b->filled;
    return c;
}

/* ---- ways ------------------------------------------------------------------------------------- */

static bool same_step(const struct cell *a, const struct cell *b)
{
    if (a->way != b->way) return false;
    return a->key ? b->key && value_equal(a->key, b->key) : !b->key;
}

bool cell_same(const struct cell *a, const struct cell *b)
{
    for (; a != b; a = a->parent, b = b->parent) {
        if (!a->parent || !b->parent)
            return !a->parent && !b->parent && a->root == CELL_RULE && b->root == CELL_RULE &&
                   a->group == b->group;
        if (!same_step(a, b)) return false;
    }
    return true;
}

bool cell_is_there(const struct cell *c)
{
    for (; c->parent; c = c->parent)
        if (c->optional || c->absent) return false;
    return !c->optional;
}

/* ---- narrowing -------------------------------------------------------------------------------- */

void cell_refine(struct linter *l, struct cell *c, unsigned kinds, const struct value *constant)
{
    if (c == &l->nothing || ((c->kinds & kinds) == c->kinds && (!constant || c->constant))) return;
    struct narrowed *at = arena_grow(l->arena, l->narrowed, l->narrowed_count, &l->narrowed_cap,
                                     sizeof *at);
    if (!at) return;
    l->narrowed = at;
    at[l->narrowed_count++] = (struct narrowed) { c, c->kinds, c->constant };
    c->kinds &= kinds;
    if (!c->constant) c->constant = constant;
}

size_t cells_mark(const struct linter *l)
{
    return l->narrowed_count;
}

static void exchange(struct narrowed *n)
{
    const struct narrowed now = { n->cell, n->cell->kinds, n->cell->constant };
    n->cell->kinds = n->kinds;
    n->cell->constant = n->constant;
    *n = now;
}

void cells_undo(struct linter *l, size_t mark)
{
    while (l->narrowed_count > mark) exchange(&l->narrowed[--l->narrowed_count]);
}

void cells_suspend(struct linter *l, size_t count)
{
    for (size_t i = count; i-- > 0;) exchange(&l->narrowed[i]);
}

void cells_resume(struct linter *l, size_t count)
{
    for (size_t i = 0; i < count; i++) exchange(&l->narrowed[i]);
}
