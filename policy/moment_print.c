/* Moments in words. */
#include "policy/machine.h"
#include "policy/moment.h"
#include "policy/suggest.h"

enum { NEAR_KEYS_MAX = 1000 };

/* ---- reasons ------------------------------------------------------------------------------------ */

static bool stands_in(const char *statement, const char *path, size_t len)
{
    for (; statement && *statement; statement++)
        if (strncmp(statement, path, len) == 0) return true;
    return false;
}

/* "left is 3", or with the way it came when the author did not write that out. Constants are read in
 * the statement itself. */
static bool print_side(struct text *t, const struct moment *m, const struct plan_insn *i, int32_t operand,
                       const char *side, const char *statement)
{
    const struct value *v = moment_operand(m, operand);
    if (operand < 0 || !v) return false;
    size_t len = t->len;
    bool path = moment_print_path(t, m, i, operand);
    if (path && !t->failed && stands_in(statement, t->data + len, t->len - len)) {
        t->len = len;
        path = false;
    }
    if (!path) text_add_string(t, side);
    text_add_string(t, " is ");
    value_print_cut(t, v, MOMENT_VALUE_MAX);
    return true;
}

static void print_sides(struct text *t, const struct moment *m, const struct plan_insn *i, const char *statement)
{
    bool left = print_side(t, m, i, i->b, "left", statement);
    if (left && i->c >= 0) text_add_string(t, ", ");
    bool right = print_side(t, m, i, i->c, "right", statement);
    if (!left && !right) text_add_string(t, "that is never so");
}

static const char *last_name(const struct text *t, size_t from, size_t *ret_len)
{
    size_t at = t->len;
    while (at > from && t->data[at - 1] != '.' && t->data[at - 1] != ']') at--;
    if (at == t->len) at = from; /* it ends in a bracket */
    *ret_len = t->len - at;
    return t->data + at;
}

static void print_bare_key(struct text *t, const struct value *key)
{
    if (moment_is_name(key)) text_add(t, key->string, key->count);
    else value_print_cut(t, key, MOMENT_KEY_MAX);
}

static const struct value *key_at(const struct value *of, uint32_t i)
{
    return of->kind == VALUE_OBJECT ? of->pairs[i].key : of->items[i];
}

/* The nearest one, which need not be among those that are shown. */
static const struct value *nearest_key(const struct value *of, const struct value *wanted)
{
    struct suggestion s = { 0 };
    const struct value *best = NULL;
    if (!value_is(wanted, VALUE_STRING) || of->count > NEAR_KEYS_MAX) return NULL;
    suggest_begin(&s, wanted->string, wanted->count);
    for (uint32_t i = 0; i < of->count; i++) {
        const struct value *key = key_at(of, i);
        if (!value_is(key, VALUE_STRING)) continue;
        suggest_offer(&s, key->string);
        if (s.best == key->string) best = key;
    }
    return best;
}

static void print_keys(struct text *t, const struct value *of, const struct value *wanted)
{
    for (uint32_t i = 0; i < of->count && i < MOMENT_KEYS_MAX; i++) {
        text_add_string(t, i ? ", " : " has ");
        print_bare_key(t, key_at(of, i));
    }
    if (of->count > MOMENT_KEYS_MAX) text_addf(t, " and %u more", of->count - MOMENT_KEYS_MAX);
    const struct value *best = of->count > 1 ? nearest_key(of, wanted) : NULL;
    if (!best) return;
    text_add_string(t, " (did you mean ");
    print_bare_key(t, best);
    text_add_string(t, "?)");
}

/* What there is instead of the member that is not. */
static void print_instead(struct text *t, const struct value *of, const struct value *wanted)
{
    if (of->kind < VALUE_ARRAY) {
        text_add_string(t, " is ");
        value_print_cut(t, of, MOMENT_ARGUMENT_MAX);
    } else if (of->count == 0) {
        text_add_string(t, " is empty");
    } else if (of->kind == VALUE_ARRAY) {
        text_addf(t, " is an array of %u", of->count);
    } else {
        print_keys(t, of, wanted);
    }
}

/* A path into the rules that leaves them at a name nobody gave: data.policy.alow. */
static const struct checked_ref *rule_not_there(const struct moment *m)
{
    const struct checked_expr *e = m->origin->expr;
    const struct checked_term *t = NULL;
    if (e && e->kind == CHECKED_TEST) t = e->test;
    if (e && e->kind == CHECKED_UNIFY) t = e->unify.right->kind == CHECKED_REF ? e->unify.right : e->unify.left;
    if (!t || t->kind != CHECKED_REF || t->ref->root != CHECKED_ROOT_DATA) return NULL;
    bool in_package = t->ref->node_depth > 0 && t->ref->node_depth < t->ref->count && !t->ref->node->group;
    return in_package && t->ref->operands[t->ref->node_depth]->kind == CHECKED_CONST ? t->ref : NULL;
}

static void print_rule_not_there(struct text *t, const struct checked_ref *ref)
{
    const struct checked_node *n = ref->node;
    const struct value *wanted = ref->operands[ref->node_depth]->value;
    struct suggestion s = { 0 };
    text_add_string(t, "there is no ");
    moment_print_node(t, n, 0);
    moment_print_key(t, wanted);
    if (!value_is(wanted, VALUE_STRING)) return;
    suggest_begin(&s, wanted->string, wanted->count);
    for (size_t i = 0; i < n->child_count && i < NEAR_KEYS_MAX; i++)
        if (value_is(n->children[i]->key, VALUE_STRING)) suggest_offer(&s, n->children[i]->key->string);
    if (s.best) text_addf(t, "; did you mean %s?", s.best);
}

static void print_no_member(struct text *t, const struct moment *m, const char *statement)
{
    const struct plan_insn *i = m->insn;
    const struct checked_ref *ref = rule_not_there(m);
    if (ref) {
        print_rule_not_there(t, ref);
        return;
    }
    size_t from = t->len, len = 0;
    char of[64] = "what it is looked up in";
    if (moment_print_path(t, m, i, i->b) && !t->failed) {
        const char *name = last_name(t, from, &len);
        if (len < sizeof of) {
            memcpy(of, name, len);
            of[len] = '\0';
        }
        moment_print_key(t, m->right);
        text_add_string(t, " is undefined; ");
    } else {
        value_print_cut(t, m->right, MOMENT_KEY_MAX);
        text_add_string(t, " is no member; ");
    }
    text_add_string(t, of);
    print_instead(t, m->left, m->right);
}

static void print_undefined(struct text *t, const struct moment *m, const char *statement)
{
    const struct plan_insn *i = m->insn;
    if (i->op == PLAN_INPUT) {
        text_add_string(t, "there is no input");
        return;
    }
    if (i->op == PLAN_RULE) text_add_string(t, m->plan->checked->groups[i->b]->name);
    else if (i->op == PLAN_DOCUMENT || i->op == PLAN_KEYS) moment_print_document(t, m, i);
    else if (i->op == PLAN_BASE) text_add_string(t, "data");
    else if (!moment_print_call(t, m, i)) text_add_string(t, "it");
    text_add_string(t, " is undefined");
    if (m->problem[0]) text_addf(t, ": %s", m->problem);
}

/* The subject of "is false". */
static void print_subject(struct text *t, const struct moment *m, const struct plan_insn *i)
{
    if (moment_print_path(t, m, i, i->b)) return;
    if (moment_print_call(t, m, moment_definer(m, i, i->b))) return;
    text_add_string(t, "it");
}

static void print_not_true(struct text *t, const struct moment *m, const char *statement)
{
    print_subject(t, m, m->insn);
    text_add_string(t, " is false");
}

/* A function whose arguments do not fit what stands in the head. */
static bool print_arguments(struct text *t, const struct moment *m)
{
    if (m->origin->expr || m->unit->arity == 0) return false;
    int32_t args[32];
    uint32_t count = m->unit->arity < 32 ? m->unit->arity : 32;
    for (uint32_t n = 0; n < count; n++) args[n] = (int32_t) n;
    text_add_string(t, "called with ");
    moment_print_args(t, m, args, count);
    return true;
}

static void print_compared(struct text *t, const struct moment *m, const char *statement)
{
    if (print_arguments(t, m)) return;
    const struct plan_insn *i = m->insn;
    if (i->op == PLAN_COMPARE && i->flag == PLAN_NE && i->c >= 0 && i->b >= 0) {
        text_add_string(t, "both are ");
        value_print_cut(t, m->left, MOMENT_VALUE_MAX);
        return;
    }
    print_sides(t, m, i, statement);
}

static void print_no_collection(struct text *t, const struct moment *m, const char *statement)
{
    print_subject(t, m, m->insn);
    text_addf(t, " is a %s, there is nothing to go through", value_kind_name(m->left->kind));
}

static void print_shape(struct text *t, const struct moment *m, const char *statement)
{
    if (print_arguments(t, m)) return;
    const struct plan_insn *i = m->insn;
    text_addf(t, "an %s of %d is wanted, ", i->op == PLAN_ARRAY_OF ? "array" : "object", i->c);
    print_subject(t, m, i);
    text_add_string(t, " is ");
    value_print_cut(t, m->left, MOMENT_VALUE_MAX);
}

static void print_never(struct text *t, const struct moment *m, const char *statement)
{
    text_add_string(t, "the two sides have different shapes");
}

static void print_problem(struct text *t, const struct moment *m, const char *statement)
{
    text_addf(t, "call failed: %s", m->problem);
}

static void print_negated(struct text *t, const struct moment *m, const char *statement)
{
    const struct plan_insn *i = moment_decider(m);
    text_add_string(t, "what is negated holds");
    if (!i || (i->op != PLAN_TRUE && i->b < 0 && i->c < 0)) return;
    text_add_string(t, ": ");
    if (i->op != PLAN_TRUE) {
        print_sides(t, m, i, statement);
        return;
    }
    const struct value *v = moment_operand(m, i->b);
    print_subject(t, m, i);
    text_add_string(t, " is ");
    if (v) value_print_cut(t, v, MOMENT_VALUE_MAX);
}

static void print_turns_over(struct text *t, const struct moment *m, const char *statement)
{
    const struct plan_insn *begin = m->insn;
    while (begin > m->unit->code && !(begin->op == PLAN_ITERATE && begin->a == m->insn->a)) begin--;
    if (m->turns) text_addf(t, "none of the %zu members of ", m->turns);
    if (begin->b < 0 || !moment_print_path(t, m, begin, begin->b)) text_add_string(t, "the collection");
    text_add_string(t, m->turns ? " fits" : " is empty");
}

static void (*const printers[TRACE_REASONS])(struct text *t, const struct moment *m, const char *statement) = {
    [TRACE_UNDEFINED] = print_undefined,
    [TRACE_NO_MEMBER] = print_no_member,
    [TRACE_NOT_TRUE] = print_not_true,
    [TRACE_UNEQUAL] = print_compared,
    [TRACE_COMPARED] = print_compared,
    [TRACE_NOT_IN] = print_compared,
    [TRACE_NO_COLLECTION] = print_no_collection,
    [TRACE_SHAPE] = print_shape,
    [TRACE_NEVER] = print_never,
    [TRACE_PROBLEM] = print_problem,
    [TRACE_NEGATED] = print_negated,
    [TRACE_TURNS_OVER] = print_turns_over,
};

void moment_print(struct text *t, const struct moment *m, const char *statement)
{
    if (m->insn) printers[m->reason](t, m, statement);
}

/* ---- every -------------------------------------------------------------------------------------- */

/* The loop of the `every` whose origin this is. */
static const struct plan_insn *loop_of(const struct moment *m, const struct plan_origin *every)
{
    for (const struct plan_insn *i = m->insn; i-- > m->unit->code;)
        if (i->op == PLAN_NEXT && m->unit->origins[i - m->unit->code] == every) return i;
    return NULL;
}

static void print_element(struct text *t, const struct moment *m, const struct plan_origin *every)
{
    const struct checked_expr *e = every->expr;
    const struct plan_insn *next = loop_of(m, every);
    const struct value *v = next ? moment_operand(m, next->c) : NULL;
    if (!v) return;
    text_addf(t, "%s%s is ", t->len ? ", " : "", e->every.value->local.name);
    if (!moment_print_path(t, m, next + 1, next->c)) value_print_cut(t, v, MOMENT_VALUE_MAX);
}

void moment_print_elements(struct text *t, const struct moment *m)
{
    if (!m->insn) return;
    for (const struct plan_origin *o = m->origin->outer; o; o = o->outer)
        if (o->expr->kind == CHECKED_EVERY) print_element(t, m, o);
}
