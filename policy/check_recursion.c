#include "policy/check.h"

#include "policy/rule_tree.h"
#include "policy/text.h"
#include "policy/walk.h"

/* The graph of groups: an edge for everything a group may read or call. A reference that reads all below a
 * node has one edge, to a vertex that stands for the node with everything below: otherwise a thousand such
 * references to a thousand rules would make a million. */
struct vertex {
    struct checked_group *group; /* NULL: stands for a node and all below */
    uint32_t *edges; /* indices of vertices, without duplicates */
    size_t count, cap;
    uint32_t seen_by; /* 1 + the vertex whose edges were last given this one */
    /* Tarjan's */
    uint32_t index, low; /* index 0: not visited */
    bool on_stack;
    size_t next_edge;
};

struct graph {
    struct compile *compile;
    struct vertex *vertices;
    size_t count;
    uint32_t *of_node;  /* 1 + vertex by node number; 0: none */
    uint32_t *below;    /* the same of the node with all below */
    uint32_t *heights;  /* nodes on the longest way down from the node, itself not counted */
    uint32_t from;      /* whose edges are being collected */
};

static void edge_to(struct graph *g, uint32_t to)
{
    struct vertex *from = &g->vertices[g->from];
    if (!to || !compile_spend(g->compile, 1) || g->vertices[to - 1].seen_by == g->from + 1) return;
    g->vertices[to - 1].seen_by = g->from + 1;
    uint32_t *edges = arena_grow(g->compile->arena, from->edges, from->count, &from->cap,
                                 sizeof *edges);
    if (!edges) return;
    edges[from->count++] = to - 1;
    from->edges = edges;
}

static void edge_add(struct graph *g, const struct checked_node *n)
{
    if (n->group) edge_to(g, g->of_node[n->number]);
}

/* The vertex of the node with all below. As deep as paths are long (RULE_PATH_MAX). */
static uint32_t below(struct graph *g, const struct checked_node *n)
{
    uint32_t from = g->from;
    if (n->child_count == 0) return g->of_node[n->number];
    if (g->below[n->number]) return g->below[n->number];
    uint32_t made = (uint32_t) ++g->count;
    g->below[n->number] = made;
    for (size_t i = 0; i < n->child_count; i++) {
        uint32_t to = below(g, n->children[i]);
        g->from = made - 1;
        edge_to(g, to);
    }
    g->from = made - 1;
    edge_add(g, n);
    g->from = from;
    return made;
}

/* The operands from `depth` on are no constants, as far as nodes go: whatever is there can be meant. */
static bool reaches_all(const struct graph *g, const struct checked_node *n, const struct checked_ref *ref,
                        size_t depth)
{
    size_t end = depth;
    while (end < ref->count && ref->operands[end]->kind != CHECKED_CONST) end++;
    return end == ref->count || end - depth >= g->heights[n->number];
}

/* All that a reference can reach from the node on: below its end everything is read. */
static void edges_below(struct graph *g, const struct checked_node *n, const struct checked_ref *ref,
                        size_t depth)
{
    if (!compile_spend(g->compile, 1)) return;
    if (reaches_all(g, n, ref, depth)) {
        edge_to(g, below(g, n));
        return;
    }
    edge_add(g, n);
    if (depth < ref->count && ref->operands[depth]->kind == CHECKED_CONST) {
        n = checked_child(n, ref->operands[depth]->value);
        if (n) edges_below(g, n, ref, depth + 1);
        return;
    }
    for (size_t i = 0; i < n->child_count; i++) edges_below(g, n->children[i], ref, depth + 1);
}

static void use(void *context, const struct checked_ref *ref, const struct checked_group *function)
{
    struct graph *g = context;
    if (function) edge_add(g, function->node);
    if (!ref || ref->root != CHECKED_ROOT_DATA) return;
    for (const struct checked_node *n = ref->node->parent; n; n = n->parent) edge_add(g, n);
    edges_below(g, ref->node, ref, ref->node_depth);
}

static bool graph_make(struct graph *g)
{
    struct compile *c = g->compile;
    size_t nodes = c->tree->node_count;
    g->of_node = arena_alloc_array(c->arena, nodes, sizeof *g->of_node);
    g->below = arena_alloc_array(c->arena, nodes, sizeof *g->below);
    g->heights = arena_alloc_array(c->arena, nodes, sizeof *g->heights);
    g->vertices = arena_alloc_array(c->arena, 2 * nodes, sizeof *g->vertices);
    if (!g->of_node || !g->below || !g->heights || !g->vertices) return false;
    for (size_t i = nodes; i-- > 1;) { /* children stand behind their parents */
        uint32_t *parent = &g->heights[c->tree->nodes[i]->parent->number];
        if (*parent <= g->heights[i]) *parent = g->heights[i] + 1;
    }
    for (size_t i = 0; i < nodes; i++) {
        if (!c->tree->nodes[i]->group) continue;
        g->vertices[g->count].group = c->tree->nodes[i]->group;
        g->of_node[i] = (uint32_t) ++g->count;
    }
    for (size_t i = 0, groups = g->count; i < groups; i++) {
        const struct checked_group *group = g->vertices[i].group;
        g->from = (uint32_t) i;
        for (size_t k = 0; k < group->rule_count; k++)
            for (struct checked_rule *r = group->rules[k]; r; r = r->otherwise)
                walk_body_uses(&r->body, use, g);
        if (group->fallback) walk_body_uses(&group->fallback->body, use, g);
    }
    return !arena_failed(c->arena);
}

/* ---- complaints ------------------------------------------------------------------------------- */

/* The shortest way from the vertex back to itself, by breadth; came_from holds 1 + the one before. */
static bool find_cycle(struct graph *g, uint32_t start, uint32_t *came_from, uint32_t *queue)
{
    size_t head = 0, tail = 0;
    memset(came_from, 0, g->count * sizeof *came_from);
    queue[tail++] = start;
    while (head < tail) {
        uint32_t at = queue[head++];
        const struct vertex *v = &g->vertices[at];
        for (size_t i = 0; i < v->count && compile_spend(g->compile, 1); i++) {
            if (came_from[v->edges[i]]) continue;
            came_from[v->edges[i]] = at + 1;
            if (v->edges[i] == start) return true;
            queue[tail++] = v->edges[i];
        }
    }
    return false;
}

static void report_cycle(struct graph *g, uint32_t start)
{
    struct arena *a = g->compile->arena;
    if (g->compile->errors->count == REGO_ERRORS_MAX) {
        g->compile->errors->more++;
        return;
    }
    uint32_t *came_from = arena_alloc_array(a, g->count, sizeof *came_from);
    uint32_t *queue = arena_alloc_array(a, g->count + 1, sizeof *queue);
    struct text path = { 0 };
    if (!came_from || !queue || !find_cycle(g, start, came_from, queue)) return;
    size_t length = 0;
    uint32_t at = start;
    do {
        queue[length++] = at;
        at = came_from[at] - 1;
    } while (at != start);
    const struct checked_group *group = g->vertices[start].group;
    text_init(&path, a);
    text_add_string(&path, group->name);
    for (size_t i = length; i-- > 0 && path.len < REGO_TEXT_MAX;) { /* more would be cut */
        const struct checked_group *next = g->vertices[queue[i]].group;
        if (next) text_addf(&path, " -> %s", next->name);
    }
    const char *way = text_end(&path);
    const struct checked_rule *rule = group->rule_count ? group->rules[0] : group->fallback;
    compile_error_at(g->compile, REGO_RECURSION_ERROR, rule->place, "rule %s is recursive: %s",
                     group->name, way ? way : "");
}

/* ---- order ------------------------------------------------------------------------------------ */

/* Tarjan's strongly connected components with a stack of our own, since policies choose the depth. */
struct order {
    struct graph *graph;
    uint32_t *open, *path; /* vertices of no component yet; those on the way */
    size_t open_count, path_count;
    uint32_t next_index;
    struct checked_group **done;
    size_t done_count;
};

static void visit(struct order *o, uint32_t at)
{
    struct vertex *v = &o->graph->vertices[at];
    v->index = v->low = ++o->next_index;
    v->on_stack = true;
    o->open[o->open_count++] = at;
    o->path[o->path_count++] = at;
}

static bool has_edge_to_itself(const struct vertex *v, uint32_t at)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->edges[i] == at) return true;
    return false;
}

static void component(struct order *o, uint32_t root)
{
    size_t first = o->open_count;
    while (o->open[--first] != root) { }
    size_t size = o->open_count - first;
    for (size_t i = first; i < o->open_count; i++) {
        struct vertex *v = &o->graph->vertices[o->open[i]];
        v->on_stack = false;
        if (!v->group) continue;
        v->group->number = (uint32_t) o->done_count;
        o->done[o->done_count++] = v->group;
        if (size > 1 || has_edge_to_itself(v, o->open[i])) report_cycle(o->graph, o->open[i]);
    }
    o->open_count = first;
}

static void visit_all_from(struct order *o, uint32_t start)
{
    visit(o, start);
    while (o->path_count && compile_spend(o->graph->compile, 1)) {
        uint32_t at = o->path[o->path_count - 1];
        struct vertex *v = &o->graph->vertices[at];
        if (v->next_edge < v->count) {
            uint32_t to = v->edges[v->next_edge++];
            const struct vertex *w = &o->graph->vertices[to];
            if (!w->index) visit(o, to);
            else if (w->on_stack && w->index < v->low) v->low = w->index;
            continue;
        }
        o->path_count--;
        if (v->low == v->index) component(o, at);
        if (!o->path_count) break;
        struct vertex *before = &o->graph->vertices[o->path[o->path_count - 1]];
        if (v->low < before->low) before->low = v->low;
    }
}

size_t check_recursion(struct compile *c, struct checked_group *const **ret_groups)
{
    struct graph g = { .compile = c };
    struct order o = { .graph = &g };
    if (!graph_make(&g)) return 0;
    o.open = arena_alloc_array(c->arena, g.count, sizeof *o.open);
    o.path = arena_alloc_array(c->arena, g.count, sizeof *o.path);
    o.done = arena_alloc_array(c->arena, g.count, sizeof *o.done);
    if (!o.open || !o.path || !o.done) return 0;
    for (size_t i = 0; i < g.count && !c->gave_up; i++)
        if (!g.vertices[i].index) visit_all_from(&o, (uint32_t) i);
    *ret_groups = o.done;
    return o.done_count;
}
