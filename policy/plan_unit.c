/* Units: the rules of a group, or a query, put one after the other. */
#include "policy/planner.h"
#include "policy/walk.h"

/* ---- rules -------------------------------------------------------------------------------------- */

/* Fresh locals for one rule and its else branches, in slots behind the arguments. */
/* Room for what is known of each local, used by one rule after the other. */
static bool local_rooms(struct planner *p, uint32_t count)
{
    if (count <= p->local_room) return true;
    p->local_room = 2 * count;
    p->where = plan_scratch(p, p->local_room);
    p->trail = (uint32_t *) plan_scratch(p, p->local_room);
    p->mentions = arena_alloc(p->arena, p->local_room);
    if (!p->mentions) plan_fail(p, "the policy is too large");
    return !p->failed;
}

static bool begin_rule(struct planner *p, uint32_t local_count, uint32_t arity)
{
    p->slots = arity;
    p->iterators = p->iterators_kept;
    p->builders = p->builders_kept;
    p->local_base = (int32_t) arity;
    p->local_count = local_count;
    if (local_count > PLAN_SLOTS_MAX / 2) return plan_fail(p, "the rule is too large");
    if (p->failed || !local_rooms(p, local_count)) return false;
    for (uint32_t i = 0; i < local_count; i++) p->where[i] = PLAN_UNBOUND;
    if (local_count) memset(p->mentions, 0, local_count);
    p->trail_count = 0;
    p->slots += local_count;
    if (p->slots > p->slots_max) p->slots_max = p->slots;
    p->loops = 0;
    return true;
}

static bool count_mention(void *context, uint32_t number, const char *name)
{
    struct planner *p = context;
    if (p->mentions[number] < 2) p->mentions[number]++;
    return true;
}

static void count_mentions(struct planner *p, const struct checked_rule *r)
{
    for (size_t i = 0; i < r->arg_count; i++) walk_term_locals(r->args[i], count_mention, p);
    for (; r; r = r->otherwise) {
        walk_body_locals(&r->body, count_mention, p);
        for (size_t i = 0; i < r->rest_count; i++) walk_term_locals(r->rest[i], count_mention, p);
        walk_term_locals(r->value, count_mention, p);
    }
}

/* How the unit takes a rule's value. */
struct sink {
    enum plan_unit_kind kind;
    size_t depth; /* PLAN_UNIT_DOCUMENT: elements of the group's own path */
};

static void insert(struct planner *p, const struct checked_rule *r, size_t depth, enum plan_op op)
{
    size_t fixed = r->group->path_count - depth, count = fixed + r->rest_count;
    int32_t *path = plan_scratch(p, count);
    for (size_t i = 0; i < count && !p->failed; i++)
        path[i] = i < fixed ? plan_constant(p, r->group->path[depth + i])
                            : plan_term(p, r->rest[i - fixed]);
    int32_t value = plan_term(p, r->value);
    int32_t first = plan_args(p, path, count);
    struct plan_insn *insn = plan_emit(p, op, -1, value, first);
    insn->count = (uint16_t) count;
    insn->flag = r->kind == CHECKED_SET_RULE;
}

static void deliver(struct planner *p, const struct checked_rule *r, struct sink sink)
{
    p->place = r->place;
    if (sink.kind == PLAN_UNIT_DOCUMENT) {
        insert(p, r, sink.depth, PLAN_INSERT);
        return;
    }
    int32_t value = plan_term(p, r->value);
    if (sink.kind == PLAN_UNIT_SET) plan_emit(p, PLAN_ADD, 0, value, -1);
    else plan_emit(p, PLAN_RESULT, -1, value, -1);
}

/* One branch. With loops open, the search goes on for more values (or a conflict), unless the value
 * is the same every time; the mark then keeps the else branch from being tried. */
static void branch(struct planner *p, const struct checked_rule *r, struct sink sink, plan_label done)
{
    plan_label failed = plan_label_new(p);
    bool constant = r->value->kind == CHECKED_CONST && r->rest_count == 0;
    int32_t mark = plan_slot(p);
    size_t clear = p->length;
    if (r->otherwise) plan_emit(p, PLAN_CLEAR, mark, -1, -1);
    p->otherwise = failed;
    p->loops = 0;
    plan_body(p, &r->body);
    deliver(p, r, sink);
    bool again = p->loops > 0 && !constant;
    if (again && r->otherwise) plan_emit(p, PLAN_MOVE, mark, plan_constant(p, value_bool(true)), -1);
    if (!again && r->otherwise && !p->failed) p->code[clear].op = PLAN_NOP;
    plan_jump(p, again ? p->otherwise : done);
    plan_label_here(p, failed);
    if (again && r->otherwise) plan_emit(p, PLAN_WHEN_SET, mark, -1, -1)->to = (int32_t) done;
}

static void plan_rule(struct planner *p, const struct checked_rule *r, struct sink sink)
{
    p->place = r->place;
    plan_label done = plan_label_new(p);
    if (!begin_rule(p, r->local_count, (uint32_t) r->group->arity)) return;
    count_mentions(p, r);
    p->otherwise = done;
    plan_trace_rule(p, r);
    for (size_t i = 0; i < r->arg_count; i++) plan_match(p, r->args[i], (int32_t) i);
    size_t bound = p->trail_count;
    for (const struct checked_rule *b = r; b && !p->failed; b = b->otherwise) {
        plan_unbind(p, bound);
        if (b != r) plan_trace_rule(p, b);
        branch(p, b, sink, done);
    }
    plan_label_here(p, done);
    plan_trace_rule(p, NULL);
}

static void plan_default(struct planner *p, const struct checked_rule *r, struct sink sink)
{
    if (!r || p->failed) return;
    p->place = r->place;
    plan_label done = plan_label_new(p);
    if (!begin_rule(p, r->local_count, (uint32_t) r->group->arity)) return;
    count_mentions(p, r);
    p->otherwise = done;
    if (sink.kind == PLAN_UNIT_DOCUMENT) {
        plan_trace_rule(p, r);
        insert(p, r, sink.depth, PLAN_INSERT_MISSING);
    } else {
        plan_emit(p, PLAN_WHEN_RESULT, -1, -1, -1)->to = (int32_t) done;
        plan_trace_rule(p, r);
        for (size_t i = 0; i < r->arg_count; i++) plan_match(p, r->args[i], (int32_t) i);
        plan_body(p, &r->body);
        deliver(p, r, sink);
    }
    plan_label_here(p, done);
    plan_trace_rule(p, NULL);
}

/* ---- units -------------------------------------------------------------------------------------- */

static void begin_unit(struct planner *p)
{
    p->length = p->label_count = 0; /* the arrays are those of the unit before */
    p->slots = p->slots_max = p->iterators = p->iterators_max = p->builders = p->builders_max = 0;
    p->iterators_kept = p->builders_kept = p->indexed = 0;
    p->otherwise = plan_label_new(p);
    plan_trace_rule(p, NULL);
}

/* Labels become distances. Backwards lead only the turns of loops: what lies between is the most that a
 * turn runs before the next one begins, and is paid with it. */
static void resolve(struct planner *p)
{
    for (size_t i = 0; i < p->length; i++) {
        size_t to = p->labels[p->code[i].to];
        p->code[i].to = (int32_t) to - (int32_t) i;
        struct plan_insn *next = &p->code[to];
        size_t steps = to < i && next->op == PLAN_NEXT ? (i - to) / PLAN_INSNS_STEP : 0;
        if (steps > next->count) next->count = (uint16_t) (steps < UINT16_MAX ? steps : UINT16_MAX);
    }
}

enum { LARGE_UNIT = 1024 };

/* What was made for each instruction. Of a small unit a copy of its own size, so that the array which grew
 * serves the next one; of a large unit the array itself. */
static void *kept(struct planner *p, void *items, size_t *cap, size_t size)
{
    bool large = p->length > LARGE_UNIT;
    void *copy = large ? items : arena_take_array(p->arena, p->length, size);
    if (!copy) plan_fail(p, "the policy is too large");
    if (large) *cap = 0;
    else if (copy) memcpy(copy, items, p->length * size);
    return copy;
}

static bool end_unit(struct planner *p, plan_label end, struct plan_unit *ret)
{
    plan_label_here(p, end);
    plan_emit(p, PLAN_END, -1, -1, -1);
    if (p->failed) return false;
    resolve(p);
    ret->code = kept(p, p->code, &p->code_cap, sizeof *p->code);
    ret->places = kept(p, p->places, &p->place_cap, sizeof *p->places);
    ret->origins = p->traced ? kept(p, p->origins, &p->origin_cap, sizeof(struct plan_origin *)) : NULL;
    if (p->failed) return false;
    ret->length = (uint32_t) p->length;
    ret->slots = p->slots_max;
    ret->iterators = p->iterators_max;
    ret->builders = p->builders_max;
    ret->steps = 1 + (ret->length - p->indexed) / PLAN_INSNS_STEP;
    return true;
}

/* All values the same constant: the first success decides. */
static bool one_constant(const struct checked_group *g)
{
    const struct value *first = NULL;
    for (size_t i = 0; i < g->rule_count; i++)
        for (const struct checked_rule *r = g->rules[i]; r; r = r->otherwise) {
            if (r->value->kind != CHECKED_CONST) return false;
            if (!first) first = r->value->value;
            if (!value_equal(first, r->value->value)) return false;
        }
    return true;
}

/* ---- rules of a unit ---------------------------------------------------------------------------- */

/* Code of the rules in turn, which all deliver to the same place. early: the first success decides. */
struct rules {
    const struct checked_rule **at;
    size_t count, cap;
};

static void collect_rule(struct planner *p, struct rules *rules, const struct checked_rule *r)
{
    const struct checked_rule **at = arena_grow(p->arena, rules->at, rules->count, &rules->cap, sizeof *at);
    if (!at) {
        plan_fail(p, "the policy is too large");
        return;
    }
    rules->at = at;
    at[rules->count++] = r;
}

/* Something that prints is not left out for being sure to fail. */
static bool prints(const struct planner *p, size_t from)
{
    for (size_t i = from; i < p->length; i++) {
        const struct plan_insn *insn = &p->code[i];
        if (insn->op == PLAN_PRINT) return true;
        if (insn->op == PLAN_BUILTIN && strcmp(p->builtins[insn->b]->name, "trace") == 0) return true;
    }
    return false;
}

static void plan_indexed(struct planner *p, const struct rules *rules, struct sink sink, bool early,
                         struct plan_index *index)
{
    plan_label end = p->otherwise, behind = plan_label_new(p), next = plan_label_new(p);
    int32_t iterator = (int32_t) plan_iterator(p), number = plan_index_number(p, index);
    p->iterators_kept = p->iterators;
    plan_emit(p, PLAN_CANDIDATES, iterator, number, -1);
    plan_label_here(p, next);
    if (early) plan_emit(p, PLAN_WHEN_RESULT, -1, -1, -1)->to = (int32_t) end;
    plan_emit(p, PLAN_RULES, iterator, number, -1)->to = (int32_t) behind;
    size_t from = p->length;
    for (size_t i = 0; i < rules->count && !p->failed; i++) {
        size_t start = p->length;
        index->starts[i] = (uint32_t) start;
        plan_rule(p, rules->at[i], sink);
        plan_jump(p, next);
        if (prints(p, start)) plan_index_always(index, i);
    }
    index->starts[rules->count] = (uint32_t) p->length;
    p->indexed = (uint32_t) (p->length - from);
    plan_label_here(p, behind);
    p->otherwise = end;
    plan_index_end(p, index);
}

static void plan_rules(struct planner *p, const struct rules *rules, struct sink sink, bool early)
{
    plan_label end = p->otherwise;
    struct plan_index *index = p->traced ? NULL : plan_index_begin(p, rules->at, rules->count);
    if (index) {
        plan_indexed(p, rules, sink, early, index);
        return;
    }
    for (size_t i = 0; i < rules->count && !p->failed; i++) {
        if (early && i > 0) plan_emit(p, PLAN_WHEN_RESULT, -1, -1, -1)->to = (int32_t) end;
        plan_rule(p, rules->at[i], sink);
    }
}

static bool plan_single(struct planner *p, const struct checked_group *g, struct plan_unit *ret)
{
    plan_label end = p->otherwise;
    struct sink sink = { .kind = ret->kind };
    struct rules rules = { 0 };
    if (ret->kind == PLAN_UNIT_SET) plan_emit(p, PLAN_BUILD, (int32_t) plan_builder(p), -1, -1)->flag = VALUE_SET;
    p->builders_kept = p->builders;
    for (size_t i = 0; i < g->rule_count && !p->failed; i++) collect_rule(p, &rules, g->rules[i]);
    plan_rules(p, &rules, sink, one_constant(g) && ret->kind != PLAN_UNIT_SET);
    plan_default(p, g->fallback, sink);
    return end_unit(p, end, ret);
}

/* The rules of this node and of all nodes below it make one document; defaults come last. */
static void collect_below(struct planner *p, const struct checked_node *n, struct rules *rules, struct rules *defaults)
{
    if (p->depth >= PLAN_DEPTH_MAX) plan_fail(p, "the tree of rules is too deep");
    p->depth++;
    if (plan_is_document(n->group)) {
        for (size_t i = 0; i < n->group->rule_count && !p->failed; i++) collect_rule(p, rules, n->group->rules[i]);
        if (n->group->fallback) collect_rule(p, defaults, n->group->fallback);
    }
    for (size_t i = 0; i < n->child_count && !p->failed; i++) collect_below(p, n->children[i], rules, defaults);
    p->depth--;
}

static bool plan_folded(struct planner *p, const struct checked_group *g, struct plan_unit *ret)
{
    plan_label end = p->otherwise;
    struct sink sink = { .kind = PLAN_UNIT_DOCUMENT, .depth = g->path_count };
    struct rules rules = { 0 }, defaults = { 0 };
    collect_below(p, g->node, &rules, &defaults);
    plan_rules(p, &rules, sink, false);
    for (size_t i = 0; i < defaults.count; i++) plan_default(p, defaults.at[i], sink);
    return end_unit(p, end, ret);
}

bool plan_group(struct planner *p, const struct checked_group *g, struct plan_unit *ret)
{
    for (const struct checked_node *n = g->node->parent; n && plan_is_document(g); n = n->parent)
        if (plan_is_document(n->group)) return true; /* folded into that one */
    begin_unit(p);
    ret->name = g->name;
    ret->arity = (uint32_t) g->arity;
    if (g->kind == CHECKED_FUNCTION) ret->kind = PLAN_UNIT_FUNCTION;
    else if (g->has_rest || g->node->child_count) ret->kind = PLAN_UNIT_DOCUMENT;
    else ret->kind = g->kind == CHECKED_SET_RULE ? PLAN_UNIT_SET : PLAN_UNIT_COMPLETE;
    p->slots = p->slots_max = ret->arity;
    return ret->kind == PLAN_UNIT_DOCUMENT ? plan_folded(p, g, ret) : plan_single(p, g, ret);
}

bool plan_query(struct planner *p, const struct checked_query *q, struct plan_unit *ret)
{
    begin_unit(p);
    plan_label end = p->otherwise;
    ret->kind = PLAN_UNIT_QUERY;
    if (!begin_rule(p, q->local_count, 0)) return false;
    walk_body_locals(&q->body, count_mention, p);
    for (size_t i = 0; i < q->variable_count; i++) count_mention(p, q->variables[i].number, NULL);
    size_t count = q->variable_count;
    int32_t *operands = plan_scratch(p, 2 * count);
    plan_emit(p, PLAN_BUILD, (int32_t) plan_builder(p), -1, -1)->flag = VALUE_ARRAY;
    plan_body(p, &q->body);
    if (q->value) {
        int32_t value = plan_term(p, q->value);
        plan_emit(p, PLAN_RESULT, -1, value, -1);
        plan_emit(p, PLAN_TRUE, -1, value, -1);
    }
    for (size_t i = 0; i < count && !p->failed; i++) {
        const char *name = q->variables[i].name;
        operands[2 * i] = plan_constant(p, value_string_z(p->arena, name));
        operands[2 * i + 1] = p->where[q->variables[i].number];
        if (operands[2 * i + 1] == PLAN_UNBOUND) plan_fail(p, "variable %s is not bound", name);
    }
    int32_t solution = count ? plan_slot(p) : plan_constant(p, &VALUE_EMPTY_OBJECT);
    int32_t first = plan_args(p, operands, 2 * count);
    if (count) plan_emit(p, PLAN_OBJECT, solution, -1, first)->count = (uint16_t) (2 * count);
    plan_emit(p, PLAN_ADD, 0, solution, -1);
    plan_jump(p, p->otherwise);
    return end_unit(p, end, ret);
}
