#include "policy/lower.h"

struct checked_place lower_place(const struct lower *l, struct rego_span at)
{
    return (struct checked_place) {
        .module = l->scopes.unit, .line = at.line, .column = at.column, .offset = at.offset,
    };
}

struct checked_term *lower_term_new(struct lower *l, enum checked_term_kind kind, struct rego_span at)
{
    struct checked_term *t = arena_alloc(l->compile->arena, sizeof *t);
    if (!t) return NULL;
    t->kind = kind;
    t->place = lower_place(l, at);
    return t;
}

struct checked_term *lower_local(struct lower *l, uint32_t number, const char *name,
                                 struct rego_span at)
{
    struct checked_term *t = lower_term_new(l, CHECKED_LOCAL, at);
    if (!t) return NULL;
    t->local.number = number;
    t->local.name = name;
    return t;
}

static struct checked_term *constant(struct lower *l, const struct value *v, struct rego_span at)
{
    struct checked_term *t = v ? lower_term_new(l, CHECKED_CONST, at) : NULL;
    if (t) t->value = v;
    return t;
}

struct checked_term *lower_string(struct lower *l, struct rego_text s, struct rego_span at)
{
    return constant(l, value_string_shared(l->compile->arena, s.at, s.len), at);
}

struct checked_term *lower_bound(struct lower *l, struct checked_term *t)
{
    if (!t) return NULL;
    struct rego_span at = lower_span(t->place);
    struct checked_term *local = lower_local(l, scope_number(&l->scopes), NULL, at);
    lower_unify(l, local, t, at, true);
    return local;
}

/* ---- composites ------------------------------------------------------------------------------- */

static bool all_constant(struct checked_term *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!items[i] || items[i]->kind != CHECKED_CONST) return false;
    return true;
}

struct checked_term *lower_collection(struct lower *l, enum checked_term_kind kind,
                                      struct checked_term **items, size_t count, struct rego_span at)
{
    struct checked_term *t = lower_term_new(l, kind, at);
    if (!t) return NULL;
    t->items.at = items;
    t->items.count = count;
    if (!all_constant(items, count)) return t;
    const struct value **values = arena_alloc_array(l->compile->arena, count, sizeof *values);
    if (!values) return NULL;
    for (size_t i = 0; i < count; i++) values[i] = items[i]->value;
    return constant(l, kind == CHECKED_SET ? value_set(l->compile->arena, values, count)
                                           : value_array(l->compile->arena, values, count), at);
}

static struct checked_term *lower_items(struct lower *l, const struct rego_term *t)
{
    struct checked_term **items = arena_alloc_array(l->compile->arena, t->list.count, sizeof *items);
    if (!items) return NULL;
    for (size_t i = 0; i < t->list.count; i++) items[i] = lower_simple(l, t->list.items[i]);
    return lower_collection(l, t->kind == REGO_TERM_SET ? CHECKED_SET : CHECKED_ARRAY, items,
                            t->list.count, t->at);
}

/* OPA makes an object in the order of its keys as terms: constants stand before what is computed, so of two
 * equal keys the computed one wins, wherever it is written. */
static bool constant_keys_first(struct arena *a, struct checked_term **at, size_t count)
{
    struct checked_term **was = arena_alloc_array(a, 2 * count, sizeof *was);
    if (!was) return false;
    memcpy(was, at, 2 * count * sizeof *at);
    for (int computed = 0; computed < 2; computed++)
        for (size_t i = 0; i < count; i++)
            if ((was[2 * i] && was[2 * i]->kind != CHECKED_CONST) == computed) {
                *at++ = was[2 * i];
                *at++ = was[2 * i + 1];
            }
    return true;
}

static struct checked_term *lower_pairs(struct lower *l, const struct rego_term *source)
{
    size_t count = source->object.count;
    struct arena *a = l->compile->arena;
    struct checked_term **at = arena_alloc_array(a, 2 * count, sizeof *at);
    struct checked_term *t = lower_term_new(l, CHECKED_OBJECT, source->at);
    if (!at || !t) return NULL;
    for (size_t i = 0; i < count; i++) {
        at[2 * i] = lower_simple(l, source->object.pairs[i].key);
        at[2 * i + 1] = lower_simple(l, source->object.pairs[i].value);
    }
    if (!constant_keys_first(a, at, count)) return NULL;
    t->pairs.at = at;
    t->pairs.count = count;
    if (!all_constant(at, 2 * count)) return t;
    struct value_pair *pairs = arena_alloc_array(a, count, sizeof *pairs);
    if (!pairs) return NULL;
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct value_pair) { at[2 * i]->value, at[2 * i + 1]->value };
    return constant(l, value_object(a, pairs, count, NULL), source->at);
}

/* ---- comprehensions --------------------------------------------------------------------------- */

static struct checked_term *lower_comprehension(struct lower *l, const struct rego_term *source)
{
    struct checked_term *t = lower_term_new(l, CHECKED_COMPREHENSION, source->at);
    struct checked_comprehension *comp = arena_alloc(l->compile->arena, sizeof *comp);
    if (!t || !comp) return NULL;
    t->comprehension = comp;
    comp->kind = source->kind == REGO_TERM_ARRAY_COMP ? CHECKED_ARRAY_OF
               : source->kind == REGO_TERM_SET_COMP ? CHECKED_SET_OF : CHECKED_OBJECT_OF;
    struct scope scope = { 0 };
    struct lower_nest nest = { 0 };
    scope_enter(&l->scopes, &scope);
    lower_nest_begin(l, &nest);
    scope_survey_body(&l->scopes, source->comp->body);
    scope_survey_term(&l->scopes, source->comp->key);
    scope_survey_term(&l->scopes, source->comp->value);
    lower_body(l, source->comp->body);
    if (source->comp->key) comp->key = lower_simple(l, source->comp->key);
    comp->term = lower_simple(l, source->comp->value);
    comp->body = lower_nest_end(l, &nest);
    scope_leave(&l->scopes, false);
    return t;
}

/* ---- references ------------------------------------------------------------------------------- */

static struct checked_term *ref_new(struct lower *l, enum checked_root root, size_t room,
                                    struct rego_span at)
{
    struct checked_term *t = lower_term_new(l, CHECKED_REF, at);
    struct checked_ref *ref = arena_alloc(l->compile->arena, sizeof *ref);
    struct checked_term **operands = arena_alloc_array(l->compile->arena, room, sizeof *operands);
    if (!t || !ref || !operands) return NULL;
    ref->root = root;
    ref->operands = operands;
    t->ref = ref;
    return t;
}

static void ref_push(struct checked_term *t, struct checked_term *operand)
{
    ((struct checked_term **) t->ref->operands)[t->ref->count++] = operand;
}

/* Where the constant front of a data reference leads in the tree. */
static struct checked_term *ref_done(struct lower *l, struct checked_term *t)
{
    struct checked_ref *ref = t->ref;
    if (ref->root != CHECKED_ROOT_DATA) return t;
    ref->node = &l->compile->tree->root->node;
    while (ref->node_depth < ref->count) {
        const struct checked_term *operand = ref->operands[ref->node_depth];
        if (!operand || operand->kind != CHECKED_CONST) break;
        const struct checked_node *child = checked_child(ref->node, operand->value);
        if (!child) break;
        ref->node = child;
        ref->node_depth++;
    }
    return t;
}

struct checked_term *lower_member(struct lower *l, struct checked_term *collection,
                                  struct checked_term *key, struct rego_span at)
{
    if (!collection || !key) return NULL;
    bool is_ref = collection->kind == CHECKED_REF;
    struct checked_term *head = is_ref || collection->kind == CHECKED_LOCAL
        ? collection : lower_bound(l, collection);
    if (!head) return NULL;
    size_t count = is_ref ? head->ref->count : 0;
    struct checked_term *t = ref_new(l, is_ref ? head->ref->root : CHECKED_ROOT_LOCAL, count + 1, at);
    if (!t) return NULL;
    t->ref->local = is_ref ? head->ref->local : head->local.number;
    t->ref->local_name = is_ref ? head->ref->local_name : head->local.name;
    for (size_t i = 0; i < count; i++) ref_push(t, head->ref->operands[i]);
    ref_push(t, key);
    return ref_done(l, t);
}

/* The head of a reference, or a name that is no variable, with room for more operands. */
static struct checked_term *lower_head(struct lower *l, const struct rego_term *head, size_t more,
                                       struct rego_span at)
{
    uint32_t number = 0;
    struct global g = { 0 };
    struct checked_term *t = NULL;
    if (head->kind != REGO_TERM_VAR || scope_lookup(&l->scopes, head->var.name, &number)) {
        struct checked_term *local = head->kind == REGO_TERM_VAR
            ? lower_local(l, number, head->var.name.at, head->at) : lower_simple(l, head);
        if (local && local->kind != CHECKED_LOCAL) local = lower_bound(l, local);
        t = ref_new(l, CHECKED_ROOT_LOCAL, more, at);
        if (!t || !local) return NULL;
        t->ref->local = local->local.number;
        t->ref->local_name = local->local.name;
        return t;
    }
    if (!rule_tree_global(l->compile, l->scopes.unit, head->var.name, &g))
        g.root = rego_text_is(head->var.name, "input") ? CHECKED_ROOT_INPUT : CHECKED_ROOT_DATA;
    t = ref_new(l, g.root, more + g.count, at);
    for (size_t i = 0; t && i < g.count; i++) ref_push(t, constant(l, g.path[i], head->at));
    return t;
}

static struct checked_term *lower_ref(struct lower *l, const struct rego_term *source)
{
    struct checked_term *t = lower_head(l, source->ref.head, source->ref.count, source->at);
    for (size_t i = 0; t && i < source->ref.count; i++)
        ref_push(t, lower_simple(l, source->ref.path[i]));
    return t ? ref_done(l, t) : NULL;
}

static struct checked_term *lower_name(struct lower *l, const struct rego_term *var)
{
    uint32_t number = 0;
    if (rego_term_is_wildcard(var)) {
        bool reserved = l->wildcard_next < l->wildcard_end;
        number = reserved ? l->wildcard_next++ : scope_number(&l->scopes);
        return lower_local(l, number, "_", var->at);
    }
    if (scope_lookup(&l->scopes, var->var.name, &number))
        return lower_local(l, number, var->var.name.at, var->at);
    struct checked_term *t = lower_head(l, var, 0, var->at);
    return t ? ref_done(l, t) : NULL;
}

/* ---- all kinds -------------------------------------------------------------------------------- */

static struct checked_term *lower_scalar(struct lower *l, const struct rego_term *t)
{
    const struct value *v = term_scalar(l->compile, t);
    if (!v && !arena_failed(l->compile->arena))
        compile_error(l->compile, REGO_COMPILE_ERROR, l->scopes.unit, &t->at,
                      "the number is too long or too large");
    return constant(l, v, t->at);
}

struct checked_term *lower_whole(struct lower *l, const struct rego_term *t)
{
    if (!compile_spend(l->compile, 1)) return NULL;
    switch (t->kind) {
    case REGO_TERM_NULL: case REGO_TERM_BOOL: case REGO_TERM_NUMBER: case REGO_TERM_STRING:
        return lower_scalar(l, t);
    case REGO_TERM_TEMPLATE: return lower_template(l, t);
    case REGO_TERM_VAR: return lower_name(l, t);
    case REGO_TERM_REF: return lower_ref(l, t);
    case REGO_TERM_ARRAY: case REGO_TERM_SET: return lower_items(l, t);
    case REGO_TERM_OBJECT: return lower_pairs(l, t);
    case REGO_TERM_ARRAY_COMP: case REGO_TERM_SET_COMP: case REGO_TERM_OBJECT_COMP:
        return lower_comprehension(l, t);
    case REGO_TERM_CALL: return lower_call(l, t, true, NULL);
    }
    return NULL;
}

struct checked_term *lower_simple(struct lower *l, const struct rego_term *t)
{
    struct checked_term *whole = lower_whole(l, t);
    bool evaluates = whole && (whole->kind == CHECKED_REF || whole->kind == CHECKED_COMPREHENSION);
    return evaluates ? lower_bound(l, whole) : whole;
}
