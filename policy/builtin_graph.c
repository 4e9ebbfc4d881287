/* walk, and graphs given as {node: [neighbours]} or {node: {neighbours}}. */
#include "policy/builtin.h"
#include "policy/value.h"

/* ---- walk: every [path, value] within a value ---- */

struct walk {
    struct builtin_call *call;
    struct value_builder found;
    const struct value *keys[VALUE_DEPTH_MAX];
    uint32_t depth;
};

static bool visit(struct walk *w, const struct value *v);

/* Values know their depth, so `keys` is long enough and the recursion bounded. */
static bool visit_members(struct walk *w, const struct value *v)
{
    for (uint32_t i = 0; v->kind >= VALUE_ARRAY && i < v->count; i++) {
        struct value_pair p = value_pair_at(w->call->arena, v, i);

        if (!p.key) return false;
        w->keys[w->depth++] = p.key;
        bool ok = visit(w, p.value);
        w->depth--;
        if (!ok) return false;
    }
    return true;
}

static bool visit(struct walk *w, const struct value *v)
{
    struct arena *a = w->call->arena;
    const struct value **keys = arena_alloc_array(a, w->depth, sizeof *keys);
    const struct value **pair = arena_alloc_array(a, 2, sizeof *pair);

    if (!keys || !pair || !builtin_spend(w->call, 1 + w->depth)) return false;
    for (uint32_t i = 0; i < w->depth; i++) keys[i] = w->keys[i];
    pair[0] = value_array(a, keys, w->depth);
    pair[1] = v;
    const struct value *answer = pair[0] ? value_array(a, pair, 2) : NULL;
    return answer && value_builder_add(&w->found, answer) && visit_members(w, v);
}

const struct value *builtin_walk(struct builtin_call *call, const struct value *const *args)
{
    struct walk *w = arena_alloc(call->arena, sizeof *w);

    if (!w) return builtin_halt(call);
    w->call = call;
    value_builder_init(&w->found, call->arena, VALUE_ARRAY);
    return visit(w, args[0]) ? builtin_builder_end(call, &w->found) : NULL;
}

/* ---- graphs ---- */

static bool is_list(const struct value *v)
{
    return value_is(v, VALUE_ARRAY) || value_is(v, VALUE_SET);
}

/* The nodes stand in the graph object, so their positions there number them. */
struct nodes {
    const struct value *graph;
    bool *reached;      /* per node */
    uint32_t *stack;    /* nodes to look at, or the path, where a neighbour of itself stands twice */
    uint32_t *next;     /* per stack entry: the neighbour to try next */
    uint32_t depth;
};

static bool nodes_init(struct nodes *n, struct builtin_call *call, const struct value *const *args)
{
    uint32_t count = args[0]->count;
    struct arena *a = call->arena;

    if (!is_list(args[1])) return builtin_fail_type(call, 2, "{array, set}", args[1]), false;
    if (!builtin_spend(call, count)) return false;
    *n = (struct nodes) { .graph = args[0] };
    n->reached = arena_alloc_array(a, count, sizeof *n->reached);
    n->stack = arena_alloc_array(a, 2 * (size_t) count, sizeof *n->stack);
    n->next = arena_alloc_array(a, 2 * (size_t) count, sizeof *n->next);
    return n->reached && n->stack && n->next;
}

/* Marks the node; the first time it also goes on the stack. */
static void reach(struct nodes *n, const struct value *name)
{
    size_t at;

    if (!value_find(n->graph, name, &at) || n->reached[at]) return;
    n->reached[at] = true;
    n->stack[n->depth++] = (uint32_t) at;
}

static bool reach_all(struct nodes *n, struct builtin_call *call, const struct value *names)
{
    if (!builtin_spend(call, 1 + (uint64_t) names->count + value_weight(names) / 16)) return false;
    for (uint32_t i = 0; is_list(names) && i < names->count; i++) reach(n, names->items[i]);
    return true;
}

const struct value *builtin_graph_reachable(struct builtin_call *call, const struct value *const *args)
{
    struct nodes n;
    struct value_builder b;

    if (!nodes_init(&n, call, args) || !reach_all(&n, call, args[1])) return NULL;
    while (n.depth)
        if (!reach_all(&n, call, n.graph->pairs[n.stack[--n.depth]].value)) return NULL;
    value_builder_init(&b, call->arena, VALUE_SET);
    for (uint32_t i = 0; i < n.graph->count; i++)
        if (n.reached[i] && !value_builder_add(&b, n.graph->pairs[i].key)) return NULL;
    return builtin_builder_end(call, &b);
}

/* ---- paths: depth first, a path ends at a node without neighbours, unknown or reached before ---- */

static bool add_path(struct nodes *n, struct builtin_call *call, struct value_builder *paths)
{
    const struct value **items = arena_alloc_array(call->arena, n->depth, sizeof *items);

    if (!items || !builtin_spend(call, 1 + (uint64_t) n->depth)) return false;
    for (uint32_t i = 0; i < n->depth; i++) items[i] = n->graph->pairs[n->stack[i]].key;
    const struct value *path = value_array(call->arena, items, n->depth);
    return path && value_builder_add(paths, path);
}

static void push(struct nodes *n, size_t node)
{
    n->stack[n->depth] = (uint32_t) node;
    n->next[n->depth++] = 0;
}

/* Takes the next neighbour of the node on top; pops it when there are no more. */
static bool step(struct nodes *n, struct builtin_call *call, struct value_builder *paths)
{
    uint32_t top = n->depth - 1;
    const struct value *edges = n->graph->pairs[n->stack[top]].value;
    uint32_t count = is_list(edges) ? edges->count : 0;
    size_t at;

    if (!builtin_spend(call, 1)) return false;
    if (count == 0 && !add_path(n, call, paths)) return false;
    if (n->next[top] >= count) return n->depth--, true;
    bool known = value_find(n->graph, edges->items[n->next[top]++], &at);
    if (known && n->reached[at]) return add_path(n, call, paths);
    n->reached[n->stack[top]] = true; /* not before: OPA goes through an end point as often as it meets it */
    if (!known) return add_path(n, call, paths);
    push(n, at);
    return true;
}

/* Each neighbour of the start begins anew; among the paths behind one of them, a node is gone
 * through once. */
static bool paths_from(struct nodes *n, struct builtin_call *call, size_t start, struct value_builder *paths)
{
    const struct value *edges = n->graph->pairs[start].value;

    n->depth = 0;
    push(n, start);
    if (!is_list(edges) || edges->count == 0) return add_path(n, call, paths);
    for (uint32_t i = 0; i < edges->count; i++) {
        memset(n->reached, 0, n->graph->count * sizeof *n->reached);
        n->reached[start] = true;
        n->next[0] = i;
        if (!builtin_spend(call, 1 + n->graph->count / 16)) return false;
        do
            if (!step(n, call, paths)) return false;
        while (n->depth > 1);
    }
    return true;
}

const struct value *builtin_graph_reachable_paths(struct builtin_call *call, const struct value *const *args)
{
    struct nodes n;
    struct value_builder paths;
    size_t at;

    if (!nodes_init(&n, call, args)) return NULL;
    value_builder_init(&paths, call->arena, VALUE_SET);
    for (uint32_t i = 0; i < args[1]->count; i++)
        if (value_find(n.graph, args[1]->items[i], &at) && !paths_from(&n, call, at, &paths)) return NULL;
    return builtin_builder_end(call, &paths);
}
