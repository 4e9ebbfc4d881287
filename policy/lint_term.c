/* Terms and references: from what is known of their parts to what is known of them. */
#include "policy/linter.h"

#define ITEMS_MAX 32 /* items of an array or set that are looked at for what is common to them */

void infer_spend(struct linter *l, uint64_t steps)
{
    l->steps_left -= steps < l->steps_left ? steps : l->steps_left;
}

bool infer_complete(const struct linter *l)
{
    return l->steps_left && !arena_failed(l->arena);
}

bool infer_step(struct linter *l)
{
    if (arena_failed(l->arena)) l->steps_left = 0;
    infer_spend(l, 1);
    return l->steps_left;
}

/* ---- composites and comprehensions -------------------------------------------------------------- */

static struct cell *composite(struct infer *w, unsigned kind, struct checked_term *const *at,
                              size_t count, size_t stride)
{
    struct cell *c = cell_new(w->linter, kind), *element = NULL;
    if (c == &w->linter->nothing) return c;
    bool known = count <= ITEMS_MAX;
    for (size_t i = 0; i < count && i < ITEMS_MAX; i++) {
        struct cell *item = infer_term(w, at[i * stride + stride - 1], false);
        if (item) element = cell_join(w->linter, element, item);
        else known = false;
    }
    c->element = known ? element : NULL;
    c->filled = count > 0;
    return c;
}

static struct cell *comprehension(struct infer *w, const struct checked_comprehension *comp)
{
    static const unsigned KINDS[] = {
        [CHECKED_ARRAY_OF] = KIND_BIT(ARRAY), [CHECKED_SET_OF] = KIND_BIT(SET),
        [CHECKED_OBJECT_OF] = KIND_BIT(OBJECT),
    };
    struct cell *c = cell_new(w->linter, KINDS[comp->kind]);
    struct effect *inside = infer_closure(w, &comp->body, false);
    if (!inside || c == &w->linter->nothing) return c;
    c->element = infer_term(w, comp->term, false);
    c->inside = inside;
    return c;
}

/* ---- references ------------------------------------------------------------------------------- */

/* What a reference was found to be while its operands are gone through. */
struct way {
    struct infer *w;
    const struct checked_term *term;
    struct cell *at;
    size_t next; /* operand */
    struct look *look;
};

static void not_there(struct way *way, const struct cell *parent, const struct value *key,
                      const struct checked_term *operand, const char *what)
{
    struct linter *l = way->w->linter;
    const struct checked_ref *ref = way->term->ref;
    bool local = operand->kind != CHECKED_CONST || operand->place.line == 0;
    struct finding *f = lint_look_hit(l, way->look, local ? way->term->place : operand->place,
                                      "%s %s%s", cell_name(l, way->at), what,
                                      way->w->negated ? ": it is undefined, and `not` makes that true" : "");
    if (key) lint_near_member(l, f, parent, key, ref->operands + way->next + 1,
                              ref->count - way->next - 1);
}

static const char *what_lacks(const struct cell *c)
{
    if (c->root == CELL_INPUT) return "is not in any token";
    if (c->root == CELL_DATA) return "is not given to a policy";
    return "does not exist";
}

/* What an operand that ranges gives: indices of arrays, names of claims. */
static unsigned key_kinds(const struct cell *c)
{
    const unsigned NUMBERED = KIND_BIT(ARRAY), NAMED = KIND_BIT(OBJECT);
    if (c->kinds == NUMBERED) return KIND_BIT(NUMBER);
    bool document = c->root == CELL_INPUT || c->root == CELL_DATA;
    if (document && c->kinds == NAMED) return KIND_BIT(STRING);
    return KIND_ANY;
}

/* The member that an operand names, or ranges over. */
static struct cell *member(struct way *way, const struct checked_term *operand,
                           const struct value **ret_key)
{
    struct infer *w = way->w;
    struct linter *l = w->linter;
    if (operand->kind == CHECKED_CONST) {
        *ret_key = operand->value;
        return cell_member(l, way->at, operand->value, NULL, false);
    }
    struct cell *key = infer_term(w, operand, false);
    bool fresh = !key || operand->kind != CHECKED_LOCAL;
    if (key && key->constant) {
        *ret_key = key->constant;
        return cell_member(l, way->at, key->constant, NULL, false);
    }
    if (!key) {
        key = cell_new(l, key_kinds(way->at));
        infer_pattern(w, operand, key);
    }
    if (way->at->inside) infer_filled(w, way->at);
    return cell_member(l, way->at, NULL, key, fresh);
}

static void follow(struct way *way)
{
    const struct checked_ref *ref = way->term->ref;
    for (; way->next < ref->count && infer_step(way->w->linter); way->next++) {
        const struct checked_term *operand = ref->operands[way->next];
        const struct value *key = NULL;
        struct cell *parent = way->at;
        way->at = member(way, operand, &key);
        if (way->at->absent && !parent->absent)
            not_there(way, parent, key, operand, what_lacks(way->at));
    }
}

/* A base document may lie beside the rules of a package, unless it is known what there is. */
static bool may_be_base(const struct linter *l, const struct checked_term *first)
{
    bool optional = false;
    const struct value *schema = l->profile->data;
    return !schema || schema_member(schema, first->value, &optional);
}

static void no_rule(struct way *way, const struct checked_node *n, const struct value *key)
{
    struct linter *l = way->w->linter;
    struct text t;
    if (may_be_base(l, way->term->ref->operands[0])) return;
    text_init(&t, l->arena);
    text_add_string(&t, "data");
    for (size_t i = 0; i <= way->next && i < LINT_WAY_MAX; i++)
        lint_put_key(&t, way->term->ref->operands[i]->value);
    const char *name = text_end(&t);
    struct finding *f = lint_look_hit(l, way->look, way->term->place, "%s is no rule",
                                      name ? name : "this");
    lint_near_node(l, f, n, key);
}

/* Packages and rules; sets `at` to the rule's value or to the base documents. False when it is neither:
 * a whole package, a function, or nothing. */
static bool below_data(struct way *way)
{
    struct linter *l = way->w->linter;
    const struct checked_ref *ref = way->term->ref;
    const struct checked_node *n = l->program->root;
    for (; !n->group; way->next++) {
        if (way->next == ref->count || ref->operands[way->next]->kind != CHECKED_CONST) {
            way->at = l->data;
            return way->next == 0;
        }
        const struct value *key = ref->operands[way->next]->value;
        const struct checked_node *child = checked_child(n, key);
        if (!child && n->parent) {
            no_rule(way, n, key);
            return false;
        }
        if (!child) {
            way->at = l->data;
            return true;
        }
        n = child;
    }
    if (n->group->kind == CHECKED_FUNCTION) return false;
    way->at = infer_group(way->w, n->group);
    return true;
}

/* `not sample`, where the rule sample is a claim: that the claim itself is missing is what is tested. */
static void forgive_leaf(struct effect *e, size_t before, const struct cell *leaf)
{
    size_t kept = before;
    for (size_t i = before; i < e->open_count; i++)
        if (e->opens[i].missing != leaf) e->opens[kept++] = e->opens[i];
    e->open_count = kept;
}

static struct cell *reference(struct infer *w, const struct checked_term *t, bool whole)
{
    struct linter *l = w->linter;
    struct way way = { .w = w, .term = t, .at = l->input };
    way.look = lint_look(l, LINT_UNKNOWN_PATH, t);
    if (t->ref->root == CHECKED_ROOT_LOCAL) way.at = w->locals[t->ref->local];
    size_t opens = w->effect->open_count;
    bool known = way.at && (t->ref->root != CHECKED_ROOT_DATA || below_data(&way));
    if (!known) {
        way.at = cell_new(l, KIND_ANY);
        way.at->optional = way.at != &l->nothing;
    }
    follow(&way);
    if (whole) forgive_leaf(w->effect, opens, way.at);
    effect_read(l, w->effect, way.at, whole);
    return way.at;
}

/* ---- all kinds -------------------------------------------------------------------------------- */

struct cell *infer_term(struct infer *w, const struct checked_term *t, bool whole)
{
    struct linter *l = w->linter;
    if (!infer_step(l)) return &l->nothing;
    switch (t->kind) {
    case CHECKED_CONST: return cell_constant(l, t->value);
    case CHECKED_LOCAL: return w->locals[t->local.number];
    case CHECKED_REF: return reference(w, t, whole);
    case CHECKED_ARRAY: return composite(w, KIND_BIT(ARRAY), t->items.at, t->items.count, 1);
    case CHECKED_SET: return composite(w, KIND_BIT(SET), t->items.at, t->items.count, 1);
    case CHECKED_OBJECT: return composite(w, KIND_BIT(OBJECT), t->pairs.at, t->pairs.count, 2);
    case CHECKED_COMPREHENSION: return comprehension(w, t->comprehension);
    }
    return &l->nothing;
}

/* ---- patterns --------------------------------------------------------------------------------- */

static const struct value *index_value(struct linter *l, size_t i)
{
    return value_int(l->arena, (int64_t) i);
}

static bool array_pattern(struct infer *w, const struct checked_term *pattern, struct cell *value)
{
    bool fits = value->kinds & KIND_BIT(ARRAY);
    if (fits && value->constant) fits = value->constant->count == pattern->items.count;
    for (size_t i = 0; i < pattern->items.count && infer_step(w->linter); i++) {
        const struct value *key = index_value(w->linter, i);
        struct cell *item = key ? cell_member(w->linter, value, key, NULL, false) : &w->linter->nothing;
        if (!infer_pattern(w, pattern->items.at[i], item)) fits = false;
    }
    return fits;
}

/* The member that a key of the pattern asks for. */
static struct cell *named_part(struct infer *w, struct cell *value, const struct checked_term *key)
{
    struct linter *l = w->linter;
    if (key->kind != CHECKED_CONST) return cell_new(l, KIND_ANY);
    struct cell *part = cell_member(l, value, key->value, NULL, false);
    struct look *look = lint_look(l, LINT_UNKNOWN_PATH, key);
    if (!part->absent || value->absent) return part;
    struct finding *f = lint_look_hit(l, look, key->place, "%s %s", cell_name(l, part),
                                      what_lacks(part));
    lint_near_member(l, f, value, key->value, NULL, 0);
    return part;
}

static bool object_pattern(struct infer *w, const struct checked_term *pattern, struct cell *value)
{
    bool fits = value->kinds & KIND_BIT(OBJECT);
    for (size_t i = 0; i < pattern->pairs.count && infer_step(w->linter); i++) {
        struct cell *part = named_part(w, value, pattern->pairs.at[2 * i]);
        if (!infer_pattern(w, pattern->pairs.at[2 * i + 1], part)) fits = false;
    }
    return fits;
}

bool infer_pattern(struct infer *w, const struct checked_term *pattern, struct cell *value)
{
    if (!infer_step(w->linter)) return true;
    if (pattern->kind == CHECKED_LOCAL && !w->locals[pattern->local.number]) {
        const char *name = pattern->local.name;
        w->locals[pattern->local.number] = value;
        bool nameless = !value->called && value != &w->linter->nothing && !cell_has_way(value);
        if (nameless && name && strcmp(name, "_") != 0) value->called = name;
        return true;
    }
    if (pattern->kind == CHECKED_ARRAY) return array_pattern(w, pattern, value);
    if (pattern->kind == CHECKED_OBJECT) return object_pattern(w, pattern, value);
    struct cell *known = infer_term(w, pattern, false);
    if (!known) return true;
    if (known->constant && value->constant) return value_equal(known->constant, value->constant);
    return known->kinds & value->kinds;
}
