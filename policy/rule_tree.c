#include "policy/rule_tree.h"

#include <stdlib.h>

#include "policy/scope.h"
#include "policy/text.h"

/* A package or a rule with its full path below data; sorted, these make the tree in one pass. */
struct entry {
    const struct value **path;
    size_t count;
    struct tree_rule *rule; /* NULL: a package */
    size_t package_count;   /* how much of the path is the package's */
    uint32_t unit, order;
};

const struct value *term_scalar(struct compile *c, const struct rego_term *t)
{
    struct num n = { 0 };
    switch (t->kind) {
    case REGO_TERM_NULL: return value_null();
    case REGO_TERM_BOOL: return value_bool(t->boolean);
    case REGO_TERM_STRING: return value_string_shared(c->arena, t->text.at, t->text.len);
    case REGO_TERM_NUMBER:
        return num_parse(c->arena, t->text.at, t->text.len, &n) ? value_num(c->arena, n) : NULL;
    default: return NULL;
    }
}

static bool plain_name(const struct value *v)
{
    if (v->kind != VALUE_STRING || v->count == 0) return false;
    for (size_t i = 0; i < v->count; i++) {
        unsigned char ch = (unsigned char) v->string[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
        if (!letter && !(i > 0 && ch >= '0' && ch <= '9')) return false;
    }
    return true;
}

const char *rule_tree_path_name(struct compile *c, const struct value *const *path, size_t count)
{
    struct text t = { 0 };
    text_init(&t, c->arena);
    text_add_string(&t, "data");
    for (size_t i = 0; i < count; i++) {
        bool plain = plain_name(path[i]);
        text_add_char(&t, plain ? '.' : '[');
        if (plain) text_add(&t, path[i]->string, path[i]->count);
        else value_print(&t, path[i]);
        if (!plain) text_add_char(&t, ']');
    }
    const char *name = text_end(&t);
    return name ? name : "";
}

/* ---- collecting ------------------------------------------------------------------------------- */

static int entry_compare(const void *left, const void *right)
{
    const struct entry *x = left, *y = right;
    for (size_t i = 0; i < x->count && i < y->count; i++) {
        int order = value_compare(x->path[i], y->path[i]);
        if (order) return order;
    }
    if (x->count != y->count) return x->count < y->count ? -1 : 1;
    if (!x->rule != !y->rule) return x->rule ? 1 : -1; /* the package before rules of the same path */
    return (x->order > y->order) - (x->order < y->order);
}

/* The package's path followed by the constant front of the rule's own. */
static void entry_of_rule(struct compile *c, struct entry *e, const struct entry *package,
                          struct rego_rule *rule)
{
    *e = (struct entry) { .package_count = package->count, .unit = package->unit };
    e->rule = arena_alloc(c->arena, sizeof *e->rule);
    e->path = arena_alloc_array(c->arena, package->count + rule->path_count, sizeof *e->path);
    if (!e->rule || !e->path) return;
    *e->rule = (struct tree_rule) { .ast = rule, .unit = package->unit };
    memcpy(e->path, package->path, package->count * sizeof *e->path);
    e->count = package->count;
    for (size_t i = 0; i < rule->path_count; i++) {
        const struct value *key = term_scalar(c, rule->path[i]);
        if (!key) break;
        e->path[e->count++] = key;
    }
}

/* Walks over the tree go as deep as its paths, so these have an end. */
static bool paths_short(struct compile *c, uint32_t unit)
{
    const struct rego_module_ast *m = c->units[unit].ast;
    for (size_t i = 0; i < m->rule_count; i++) {
        if (m->package_count + m->rules[i]->path_count <= RULE_PATH_MAX) continue;
        compile_error(c, REGO_COMPILE_ERROR, unit, &m->rules[i]->head_at,
                      "the path of a rule has at most %d parts", RULE_PATH_MAX);
        return false;
    }
    if (m->package_count <= RULE_PATH_MAX) return true;
    compile_error(c, REGO_COMPILE_ERROR, unit, &m->package_at,
                  "the path of a package has at most %d parts", RULE_PATH_MAX);
    return false;
}

static struct entry *collect(struct compile *c, size_t *ret_count)
{
    size_t total = c->module_count;
    for (size_t u = 0; u < c->module_count; u++) total += c->units[u].ast->rule_count;
    struct entry *entries = arena_alloc_array(c->arena, total, sizeof *entries);
    if (!entries || !compile_spend(c, total * 16)) return NULL;
    size_t count = 0;
    for (uint32_t u = 0; u < c->module_count; u++) {
        const struct rego_module_ast *m = c->units[u].ast;
        struct entry *package = &entries[count++];
        if (!paths_short(c, u)) return NULL;
        package->unit = u;
        package->path = arena_alloc_array(c->arena, m->package_count, sizeof *package->path);
        for (size_t i = 0; package->path && i < m->package_count; i++)
            package->path[package->count++] = term_scalar(c, m->package[i]);
        if (arena_failed(c->arena)) return NULL;
        for (size_t i = 0; i < m->rule_count; i++)
            entry_of_rule(c, &entries[count++], package, m->rules[i]);
    }
    if (arena_failed(c->arena)) return NULL;
    for (size_t i = 0; i < count; i++) entries[i].order = (uint32_t) i;
    qsort(entries, count, sizeof *entries, entry_compare);
    *ret_count = count;
    return entries;
}

/* ---- building --------------------------------------------------------------------------------- */

struct build {
    struct compile *c;
    struct rule_tree *tree;
    struct pointers nodes;
    struct tree_node **path; /* from the root to the last node */
    size_t depth, *caps;     /* caps of children arrays, by depth */
};

static struct tree_node *node_add(struct build *b, const struct value *key)
{
    struct tree_node *parent = b->depth ? b->path[b->depth - 1] : NULL;
    struct tree_node *n = arena_alloc(b->c->arena, sizeof *n);
    if (!n) return NULL;
    n->node.key = key;
    n->node.number = (uint32_t) b->nodes.count;
    n->node.parent = parent ? &parent->node : NULL;
    pointers_push(b->c, &b->nodes, n);
    if (parent) {
        struct checked_node **children = arena_grow(b->c->arena, (void *) parent->node.children,
            parent->node.child_count, &b->caps[b->depth - 1], sizeof *children);
        if (!children) return NULL;
        children[parent->node.child_count++] = &n->node;
        parent->node.children = children;
    }
    b->caps[b->depth] = 0;
    b->path[b->depth++] = n;
    return n;
}

/* Makes `path` the current one: the entries come sorted, so what differs is always behind. */
static struct tree_node *node_at(struct build *b, const struct entry *e)
{
    size_t same = 0;
    while (same < e->count && same + 1 < b->depth &&
           value_equal(b->path[same + 1]->node.key, e->path[same])) same++;
    b->depth = same + 1;
    for (size_t i = same; i < e->count; i++)
        if (!node_add(b, e->path[i])) return NULL;
    return b->path[b->depth - 1];
}

static void rule_add(struct build *b, struct tree_node *n, const struct entry *e)
{
    if (n->last) n->last->next = e->rule;
    else n->rules = e->rule;
    n->last = e->rule;
    if (e->package_count + 1 < b->depth) b->path[e->package_count + 1]->exported = true;
    if (n->node.group) return;
    n->group.name = rule_tree_path_name(b->c, e->path, e->count);
    n->group.path = e->path;
    n->group.path_count = e->count;
    n->group.node = &n->node;
    n->group.kind = e->rule->ast->kind == REGO_RULE_FUNCTION ? CHECKED_FUNCTION
                  : e->rule->ast->kind == REGO_RULE_CONTAINS ? CHECKED_SET_RULE : CHECKED_COMPLETE;
    n->group.arity = e->rule->ast->arg_count;
    n->node.group = &n->group;
}

static bool build_all(struct build *b, const struct entry *entries, size_t count)
{
    size_t longest = 0;
    for (size_t i = 0; i < count; i++)
        if (entries[i].count > longest) longest = entries[i].count;
    b->path = arena_alloc_array(b->c->arena, longest + 2, sizeof *b->path);
    b->caps = arena_alloc_array(b->c->arena, longest + 2, sizeof *b->caps);
    if (!b->path || !b->caps) return false;
    b->tree->root = node_add(b, NULL);
    for (size_t i = 0; i < count && b->tree->root; i++) {
        struct tree_node *n = node_at(b, &entries[i]);
        if (!n) return false;
        if (entries[i].rule) {
            rule_add(b, n, &entries[i]);
            continue;
        }
        if (!n->package_unit) n->package_unit = entries[i].unit + 1;
        b->c->units[entries[i].unit].package = &n->node;
    }
    return !arena_failed(b->c->arena);
}

/* ---- conflicts -------------------------------------------------------------------------------- */

struct kinds {
    bool value, contains, function, whole, partial, arities;
    struct tree_rule *first_default, *second_default;
};

static bool rule_is_whole(const struct tree_node *n, const struct tree_rule *r,
                          const struct compile *c)
{
    size_t package = c->units[r->unit].ast->package_count;
    return package + r->ast->path_count == n->group.path_count;
}

static struct kinds kinds_of(const struct compile *c, const struct tree_node *n)
{
    struct kinds k = { 0 };
    for (struct tree_rule *r = n->rules; r; r = r->next) {
        if (r->ast->kind == REGO_RULE_FUNCTION) k.function = true;
        else if (r->ast->kind == REGO_RULE_CONTAINS) k.contains = true;
        else k.value = true;
        bool whole = rule_is_whole(n, r, c);
        if (whole && r->ast->kind != REGO_RULE_CONTAINS) k.whole = true;
        else k.partial = true;
        if (r->ast->arg_count != n->rules->ast->arg_count) k.arities = true;
        if (r->ast->is_default && !k.first_default) k.first_default = r;
        else if (r->ast->is_default && !k.second_default) k.second_default = r;
    }
    return k;
}

/* Rules below a rule whose path is wholly constant: it would have to be object and value at once. */
static const struct checked_group *group_below(const struct checked_node *n)
{
    for (size_t i = 0; i < n->child_count; i++) {
        const struct checked_node *child = n->children[i];
        while (child && !child->group) child = child->child_count ? child->children[0] : NULL;
        if (child) return child->group;
    }
    return NULL;
}

static bool some_rule_is_whole(const struct compile *c, const struct tree_node *n)
{
    for (const struct tree_rule *r = n->rules; r; r = r->next)
        if (rule_is_whole(n, r, c)) return true;
    return false;
}

static const struct rego_source *source_of(const struct compile *c, const struct tree_rule *r)
{
    return &c->units[r->unit].source;
}

static void check_node(struct compile *c, const struct tree_node *n)
{
    struct kinds k = kinds_of(c, n);
    const struct rego_span *at = &n->rules->ast->head_at;
    uint32_t unit = n->rules->unit;
    const struct checked_group *below = some_rule_is_whole(c, n) ? group_below(&n->node) : NULL;
    if (below)
        compile_error(c, REGO_TYPE_ERROR, unit, at, "rule %s conflicts with [%s]", n->group.name,
                      below->name);
    else if ((int) k.value + k.contains + k.function > 1 || k.arities || (k.whole && k.partial))
        compile_error(c, REGO_TYPE_ERROR, unit, at, "conflicting rules %s found", n->group.name);
    else if (k.second_default)
        compile_error(c, REGO_TYPE_ERROR, unit, at, "multiple default rules %s found at %s:%u, %s:%u",
                      n->group.name, source_of(c, k.first_default)->name,
                      k.first_default->ast->at.line, source_of(c, k.second_default)->name,
                      k.second_default->ast->at.line);
    if (n->package_unit && some_rule_is_whole(c, n)) {
        const struct compile_unit *package = &c->units[n->package_unit - 1];
        compile_error(c, REGO_TYPE_ERROR, n->package_unit - 1, &package->ast->package_at,
                      "package %s conflicts with rule %s defined at %s:%u", n->group.name + 5,
                      n->group.name, source_of(c, n->rules)->name, n->rules->ast->at.line);
    }
}

static void check_names(struct compile *c, const struct tree_node *n)
{
    for (const struct tree_rule *r = n->rules; r; r = r->next) {
        const struct rego_term *name = r->ast->path[0];
        if (name->kind != REGO_TERM_STRING) continue;
        bool hides = rego_text_is(name->text, "input") || rego_text_is(name->text, "data");
        if (hides)
            compile_error(c, REGO_COMPILE_ERROR, r->unit, &r->ast->head_at,
                          "rules must not shadow %s (use a different rule name)", name->text.at);
    }
}

struct rule_tree *rule_tree_build(struct compile *c)
{
    size_t count = 0;
    struct build b = { .c = c, .tree = arena_alloc(c->arena, sizeof *b.tree) };
    struct entry *entries = collect(c, &count);
    if (!entries || !b.tree || !build_all(&b, entries, count)) return NULL;
    b.tree->nodes = (struct checked_node **) b.nodes.at;
    b.tree->node_count = b.nodes.count;
    for (size_t i = 0; i < b.nodes.count; i++) {
        const struct tree_node *n = b.nodes.at[i];
        if (!n->rules) continue;
        check_node(c, n);
        check_names(c, n);
    }
    return b.tree;
}

/* ---- names ------------------------------------------------------------------------------------ */

const struct checked_node *rule_tree_find(const struct compile *c, const struct value *const *path,
                                          size_t count, size_t *ret_depth)
{
    const struct checked_node *n = &c->tree->root->node;
    size_t depth = 0;
    while (depth < count) {
        const struct checked_node *child = checked_child(n, path[depth]);
        if (!child) break;
        n = child;
        depth++;
    }
    *ret_depth = depth;
    return n;
}

static struct rego_text import_name(const struct rego_import *i)
{
    if (i->alias.len) return i->alias;
    if (i->path->kind == REGO_TERM_VAR) return i->path->var.name;
    return i->path->ref.path[i->path->ref.count - 1]->text;
}

static bool import_leads(struct compile *c, const struct rego_import *i, struct global *ret)
{
    const struct rego_term *head = i->path->kind == REGO_TERM_REF ? i->path->ref.head : i->path;
    size_t count = i->path->kind == REGO_TERM_REF ? i->path->ref.count : 0;
    const struct value **path = arena_alloc_array(c->arena, count, sizeof *path);
    if (!path) return false;
    for (size_t k = 0; k < count; k++) path[k] = term_scalar(c, i->path->ref.path[k]);
    *ret = (struct global) {
        .root = rego_term_is_var(head, "input") ? CHECKED_ROOT_INPUT : CHECKED_ROOT_DATA,
        .path = path, .count = count,
    };
    return !arena_failed(c->arena);
}

/* As it is written: "data.a.b", "input.x". */
static const char *import_path(struct compile *c, const struct rego_import *i)
{
    struct rego_text name = scope_dotted_name(c, i->path);
    return name.len ? name.at : "";
}

bool rule_tree_global(struct compile *c, uint32_t unit, struct rego_text name, struct global *ret)
{
    const struct compile_unit *u = &c->units[unit];
    if (!u->ast) return false;
    uint32_t import = 0;
    compile_spend(c, 1);
    if (name_table_find(&u->imports, name, &import)) return import_leads(c, &u->ast->imports[import], ret);
    struct value key = value_key(name.at, name.len);
    const struct checked_node *child = checked_child(u->package, &key);
    if (!child || !((const struct tree_node *) child)->exported) return false;
    size_t depth = 0;
    for (const struct checked_node *n = child; n->parent; n = n->parent) depth++;
    const struct value **path = arena_alloc_array(c->arena, depth, sizeof *path);
    if (!path) return false;
    *ret = (struct global) { .root = CHECKED_ROOT_DATA, .path = path, .count = depth };
    for (const struct checked_node *n = child; n->parent; n = n->parent) path[--depth] = n->key;
    return true;
}

void rule_tree_take_imports(struct compile *c, uint32_t unit)
{
    const struct rego_module_ast *m = c->units[unit].ast;
    struct name_table *names = &c->units[unit].imports;
    for (size_t i = 0; i < m->import_count && compile_spend(c, 1); i++) {
        if (m->imports[i].no_op) continue;
        struct rego_text name = import_name(&m->imports[i]);
        bool hides = m->imports[i].path->kind != REGO_TERM_VAR &&
                     (rego_text_is(name, "input") || rego_text_is(name, "data"));
        uint32_t same = 0;
        bool twice = name_table_find(names, name, &same);
        if (hides)
            compile_error(c, REGO_COMPILE_ERROR, unit, &m->imports[i].at,
                          "imports must not shadow %.*s (use a different name)", (int) name.len,
                          name.at);
        else if (twice)
            compile_error(c, REGO_COMPILE_ERROR, unit, &m->imports[i].at,
                          "import must not shadow import %s", import_path(c, &m->imports[same]));
        if (!twice) name_table_add(c->arena, names, name, (uint32_t) i);
    }
}
