/* What a rule compares with constants, for the index. All of it is read off the expressions at the top of
 * its body, each of which has to hold: the order in which they stand does not matter. Closures and what
 * stands under `with` are left alone. */
#include "policy/plan_guards.h"

struct finder {
    struct arena *arena;
    const struct plan_path **locals; /* of each local of the rule: what it is equal to, or NULL */
    struct plan_guards *guards;      /* found so far; room for PLAN_GUARDS_MAX */
    bool late;                       /* an error may come before what is looked at */
};

/* ---- paths -------------------------------------------------------------------------------------- */

static uint64_t hash_path(const struct plan_path *path)
{
    uint64_t h = plan_hash_add(path->root, path->argument);
    for (size_t i = 0; path->builtin && i < path->builtin->arity; i++) {
        const struct plan_path_operand *o = &path->operands[i];
        h = plan_hash_add(h, o->path ? o->path->hash : value_hash(o->constant));
    }
    for (size_t i = 0; i < path->count; i++) h = plan_hash_add(h, value_hash(path->steps[i].key));
    return h;
}

bool plan_path_equal(const struct plan_path *x, const struct plan_path *y)
{
    if (x == y) return true;
    if (x->hash != y->hash || x->root != y->root || x->argument != y->argument || x->count != y->count
        || x->builtin != y->builtin)
        return false;
    for (size_t i = 0; x->builtin && i < x->builtin->arity; i++) {
        const struct plan_path_operand *a = &x->operands[i], *b = &y->operands[i];
        if (!a->path != !b->path) return false;
        if (a->path ? !plan_path_equal(a->path, b->path) : !value_equal(a->constant, b->constant)) return false;
    }
    for (size_t i = 0; i < x->count; i++)
        if (x->steps[i].base != y->steps[i].base || !value_equal(x->steps[i].key, y->steps[i].key)) return false;
    return true;
}

/* The path and `more` steps behind it, yet to be filled. */
static struct plan_path *extend(struct finder *f, const struct plan_path *from, size_t more,
                                struct plan_step **ret_steps)
{
    if (from->count + more > PLAN_INDEX_STEPS_MAX) return NULL;
    struct plan_path *path = arena_alloc(f->arena, sizeof *path);
    struct plan_step *steps = arena_alloc_array(f->arena, from->count + more, sizeof *steps);
    if (!path || !steps) return NULL;
    *path = *from;
    if (from->count) memcpy(steps, from->steps, from->count * sizeof *steps);
    path->steps = steps;
    path->count += more;
    *ret_steps = steps + from->count;
    return path;
}

static const struct plan_path *extend_one(struct finder *f, const struct plan_path *from,
                                          const struct value *key)
{
    struct plan_step *step = NULL;
    struct plan_path *path = key ? extend(f, from, 1, &step) : NULL;
    if (!path) return NULL;
    *step = (struct plan_step) { .key = key };
    path->hash = hash_path(path);
    return path;
}

/* Does the reference read base documents alone? plan_ref.c has the same rule. */
static bool is_base(const struct checked_ref *r)
{
    if (!r->node || r->node_depth == r->count) return false;
    for (const struct checked_node *n = r->node; n; n = n->parent)
        if (plan_is_document(n->group)) return false;
    return true;
}

static const struct plan_path *path_of_ref(struct finder *f, const struct checked_ref *r)
{
    static const struct plan_path roots[] = {
        [CHECKED_ROOT_INPUT] = { .root = PLAN_PATH_INPUT }, [CHECKED_ROOT_DATA] = { .root = PLAN_PATH_DATA },
    };
    bool local = r->root == CHECKED_ROOT_LOCAL, base = r->root == CHECKED_ROOT_DATA;
    const struct plan_path *from = local ? f->locals[r->local] : &roots[r->root];
    if (!from || (base && !is_base(r))) return NULL;
    for (size_t i = 0; i < r->count; i++)
        if (r->operands[i]->kind != CHECKED_CONST) return NULL;
    struct plan_step *steps = NULL;
    struct plan_path *path = extend(f, from, r->count, &steps);
    if (!path) return NULL;
    for (size_t i = 0; i < r->count; i++)
        steps[i] = (struct plan_step) { .key = r->operands[i]->value, .base = base };
    path->hash = hash_path(path);
    return path;
}

static const struct plan_path *path_of(struct finder *f, const struct checked_term *t)
{
    if (t->kind == CHECKED_LOCAL) return f->locals[t->local.number];
    return t->kind == CHECKED_REF ? path_of_ref(f, t->ref) : NULL;
}

/* A builtin of paths and constants. What fails when it runs is seen by the machine. */
static const struct plan_path *path_of_call(struct finder *f, const struct checked_expr *e)
{
    const struct builtin *row = e->call.callee.builtin;
    const unsigned impure = BUILTIN_REFUSED | BUILTIN_NONDETERMINISTIC | BUILTIN_FROM_HOST | BUILTIN_RELATION
                            | BUILTIN_VARIADIC | BUILTIN_INTERNAL | BUILTIN_NO_RESULT;
    if (!row || row->flags & impure || !row->run || row->arity != e->call.count) return NULL;
    struct plan_path *path = arena_alloc(f->arena, sizeof *path);
    struct plan_path_operand *operands = arena_alloc_array(f->arena, row->arity, sizeof *operands);
    if (!path || !operands) return NULL;
    *path = (struct plan_path) { .root = PLAN_PATH_CALL, .builtin = row, .operands = operands };
    for (size_t i = 0; i < row->arity; i++) {
        const struct checked_term *t = e->call.args[i];
        if (t->kind == CHECKED_CONST) operands[i].constant = t->value;
        else if (!(operands[i].path = path_of(f, t)) || operands[i].path->root == PLAN_PATH_CALL) return NULL;
    }
    path->hash = hash_path(path);
    return path;
}

/* ---- guards -------------------------------------------------------------------------------------- */

static void add_guard(struct finder *f, const struct plan_path *path, const struct value *const *values,
                     size_t count)
{
    struct plan_guards *t = f->guards;
    if (t->count < PLAN_GUARDS_MAX && count <= PLAN_INDEX_COPIES_MAX)
        t->at[t->count++] = (struct plan_guard) { path, values, count, f->late };
}

static void learn(struct finder *f, uint32_t local, const struct plan_path *path)
{
    if (!f->locals[local]) f->locals[local] = path;
}

/* What stands at the path equals the pattern. */
static void match(struct finder *f, const struct plan_path *path, const struct checked_term *pattern)
{
    if (!path || arena_failed(f->arena)) return;
    if (pattern->kind == CHECKED_CONST) add_guard(f, path, &pattern->value, 1);
    if (pattern->kind == CHECKED_LOCAL) learn(f, pattern->local.number, path);
    for (size_t i = 0; pattern->kind == CHECKED_ARRAY && i < pattern->items.count; i++)
        match(f, extend_one(f, path, value_int(f->arena, (int64_t) i)), pattern->items.at[i]);
    for (size_t i = 0; pattern->kind == CHECKED_OBJECT && i < pattern->pairs.count; i++) {
        const struct checked_term *key = pattern->pairs.at[2 * i];
        if (key->kind == CHECKED_CONST) match(f, extend_one(f, path, key->value), pattern->pairs.at[2 * i + 1]);
    }
}

static void equal(struct finder *f, const struct checked_term *left, const struct checked_term *right)
{
    const struct plan_path *l = path_of(f, left), *r = path_of(f, right);
    if (l) match(f, l, right);
    if (r) match(f, r, left);
}

/* The member of a collection of constants. */
static void member(struct finder *f, const struct checked_term *item, const struct checked_term *of)
{
    const struct plan_path *path = path_of(f, item);
    const struct value *c = of->kind == CHECKED_CONST ? of->value : NULL;
    if (!path || !c || c->kind < VALUE_ARRAY) return;
    const struct value **values = arena_alloc_array(f->arena, c->count, sizeof *values);
    for (size_t i = 0; values && i < c->count; i++)
        values[i] = c->kind == VALUE_OBJECT ? c->pairs[i].value : c->items[i];
    if (values) add_guard(f, path, values, c->count);
}

static void find_in_call(struct finder *f, const struct checked_expr *e)
{
    const struct builtin *row = e->call.callee.builtin;
    const struct checked_term *output = e->call.output;
    if (output) {
        match(f, path_of_call(f, e), output);
        return;
    }
    if (!row || e->call.count != 2) return;
    if (strcmp(row->name, "equal") == 0) equal(f, e->call.args[0], e->call.args[1]);
    if (strcmp(row->name, "internal.member_2") == 0) member(f, e->call.args[0], e->call.args[1]);
}

/* Looking at input, base documents and locals goes wrong nowhere; rules and comprehensions may. */
static bool term_may_fail(const struct checked_term *t)
{
    if (t->kind == CHECKED_COMPREHENSION) return true;
    return t->kind == CHECKED_REF && t->ref->root == CHECKED_ROOT_DATA && !is_base(t->ref);
}

static bool may_fail(const struct checked_expr *e)
{
    switch (e->kind) {
    case CHECKED_TEST: return term_may_fail(e->test);
    case CHECKED_UNIFY: return term_may_fail(e->unify.left) || term_may_fail(e->unify.right);
    case CHECKED_CALL: return !plan_compares(e->call.callee.builtin);
    default: return true;
    }
}

static void find_in_body(struct finder *f, const struct checked_body *body)
{
    f->late = false;
    for (size_t i = 0; i < body->count; i++) {
        const struct checked_expr *e = body->at[i];
        if (e->kind == CHECKED_UNIFY) equal(f, e->unify.left, e->unify.right);
        if (e->kind == CHECKED_CALL) find_in_call(f, e);
        f->late = f->late || may_fail(e);
    }
}

/* ---- else --------------------------------------------------------------------------------------- */

/* The guard allows the other's values too. False when these are too many. */
static bool widen(struct finder *f, struct plan_guard *guard, const struct plan_guard *by)
{
    size_t count = guard->count + by->count;
    if (count > PLAN_INDEX_COPIES_MAX) return false;
    const struct value **values = arena_alloc_array(f->arena, count, sizeof *values);
    if (!values) return false;
    memcpy(values, guard->values, guard->count * sizeof *values);
    memcpy(values + guard->count, by->values, by->count * sizeof *values);
    guard->values = values;
    guard->count = count;
    guard->late = guard->late || by->late;
    return true;
}

static bool widen_by(struct finder *f, struct plan_guard *guard, const struct plan_guards *by)
{
    for (size_t i = 0; i < by->count; i++)
        if (plan_path_equal(guard->path, by->at[i].path)) return widen(f, guard, &by->at[i]);
    return false;
}

/* Some branch may succeed where the others cannot: a guard counts when every branch has one of that path. */
static void find_in_else(struct finder *f, const struct checked_rule *r, struct plan_guards *guards, size_t from)
{
    for (r = r->otherwise; r && guards->count > from; r = r->otherwise) {
        struct plan_guard room[PLAN_GUARDS_MAX];
        struct plan_guards branch = { .at = room };
        f->guards = &branch;
        find_in_body(f, &r->body);
        size_t kept = from;
        for (size_t i = from; i < guards->count; i++)
            if (widen_by(f, &guards->at[i], &branch)) guards->at[kept++] = guards->at[i];
        guards->count = kept;
    }
}

static void find_in_arguments(struct finder *f, const struct checked_rule *r)
{
    for (size_t i = 0; i < r->arg_count; i++) {
        struct plan_path *path = arena_alloc(f->arena, sizeof *path);
        if (!path) return;
        *path = (struct plan_path) { .root = PLAN_PATH_ARGUMENT, .argument = (uint32_t) i };
        path->hash = hash_path(path);
        match(f, path, r->args[i]);
    }
}

void plan_find_guards(struct planner *p, const struct checked_rule *r, struct plan_guards *ret)
{
    struct plan_guard room[PLAN_GUARDS_MAX];
    struct plan_guards guards = { .at = room };
    struct finder f = { .arena = p->arena, .guards = &guards };
    *ret = (struct plan_guards) { 0 };
    f.locals = arena_alloc_array(p->arena, r->local_count, sizeof *f.locals);
    if (!f.locals) return;
    find_in_arguments(&f, r);
    size_t from = guards.count;
    find_in_body(&f, &r->body);
    find_in_else(&f, r, &guards, from);
    if (!guards.count) return;
    ret->at = arena_alloc_array(p->arena, guards.count, sizeof *ret->at);
    if (!ret->at) return;
    memcpy(ret->at, guards.at, guards.count * sizeof *ret->at);
    ret->count = guards.count;
}
