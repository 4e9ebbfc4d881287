/* "Did you mean": the way that is nearest to one that leads nowhere. */
#include "policy/linter.h"
#include "policy/suggest.h"

#define SEARCH_DEPTH_MAX 8  /* members of members that are looked through for a name */
#define SEARCH_STEPS_MAX 4000
#define LIST_MAX 8          /* members that are named when none is near */

static const char *copy(struct linter *l, const char *s, size_t len)
{
    const char *name = arena_copy(l->arena, s, len);
    return name ? name : "";
}

/* The key as one writes it: "cpu0" for "cpu#". */
static const char *key_spelling(struct linter *l, const struct schema_key *k)
{
    struct text t;
    text_init(&t, l->arena);
    text_add(&t, k->name, k->len);
    if (k->numbered) text_add_char(&t, '0');
    const char *name = text_end(&t);
    return name ? name : "";
}

static const char *member_name(struct linter *l, const struct cell *parent, const char *key)
{
    struct text t;
    text_init(&t, l->arena);
    text_add_string(&t, cell_name(l, parent));
    const struct value *v = value_string_z(l->arena, key);
    if (v) lint_put_key(&t, v);
    const char *name = text_end(&t);
    return name ? name : key;
}

/* ---- among the members that are there ----------------------------------------------------------- */

/* Calls offer for each name that a member of the value may have. */
static void each_key(struct linter *l, const struct cell *parent,
                     void (*offer)(void *context, const char *name), void *context)
{
    const struct value *v = parent->constant;
    for (uint32_t i = 0; value_is(v, VALUE_OBJECT) && i < v->count; i++)
        if (v->pairs[i].key->kind == VALUE_STRING) offer(context, v->pairs[i].key->string);
    for (size_t i = 0; !v && i < parent->schema_count; i++) {
        const struct value *schema = parent->schemas[i];
        for (uint32_t k = 0; schema->kind == VALUE_OBJECT && k < schema->count; k++) {
            struct schema_key key = { 0 };
            if (schema_key(schema->pairs[k].key, &key)) offer(context, key_spelling(l, &key));
        }
    }
}

static void offer_near(void *context, const char *name)
{
    suggest_offer(context, name);
}

static const char *near_key(struct linter *l, const struct cell *parent, const struct value *key)
{
    struct suggestion s = { 0 };
    suggest_begin(&s, key->string, key->count);
    each_key(l, parent, offer_near, &s);
    return s.best;
}

struct wanted_key {
    const char *name;
    bool found;
};

static void offer_same(void *context, const char *name)
{
    struct wanted_key *w = context;
    if (strcmp(name, w->name) == 0) w->found = true;
}

/* submod.ear.status: the claim is called "ear.status". */
static const char *dotted_key(struct linter *l, const struct cell *parent, const struct value *key,
                              struct checked_term *const *rest, size_t rest_count)
{
    struct text t;
    text_init(&t, l->arena);
    text_add(&t, key->string, key->count);
    for (size_t i = 0; i < rest_count && i < SEARCH_DEPTH_MAX; i++) {
        if (rest[i]->kind != CHECKED_CONST || !value_is(rest[i]->value, VALUE_STRING)) return NULL;
        text_add_char(&t, '.');
        text_add(&t, rest[i]->value->string, rest[i]->value->count);
        const char *name = text_end(&t);
        if (!name) return NULL;
        struct wanted_key w = { .name = copy(l, name, t.len) };
        each_key(l, parent, offer_same, &w);
        if (w.found) return w.name;
    }
    return NULL;
}

/* ---- anywhere below --------------------------------------------------------------------------- */

struct search {
    struct linter *linter;
    const char *name;
    size_t len;
    bool ranging;     /* also below members of any name */
    unsigned steps;
    const struct value *way[SEARCH_DEPTH_MAX]; /* keys of schemas */
};

static bool search(struct search *s, const struct value *schema, unsigned depth, unsigned wanted);

static bool search_member(struct search *s, const struct value_pair *pair, unsigned depth,
                          unsigned wanted)
{
    struct schema_key k = { 0 };
    bool named = schema_key(pair->key, &k);
    if (!named && (!s->ranging || pair->key->string[0] == '~')) return false;
    s->way[depth] = pair->key;
    if (depth + 1 < wanted) return search(s, pair->value, depth + 1, wanted);
    return named && k.len == s->len && memcmp(k.name, s->name, k.len) == 0;
}

/* A member of that name exactly `wanted` members down. */
static bool search(struct search *s, const struct value *schema, unsigned depth, unsigned wanted)
{
    for (uint32_t i = 0; schema->kind == VALUE_OBJECT && i < schema->count; i++) {
        const struct value_pair *pair = &schema->pairs[i];
        if (pair->key->kind != VALUE_STRING || !pair->key->count) continue;
        if (++s->steps > SEARCH_STEPS_MAX) return false;
        if (search_member(s, pair, depth, wanted)) return true;
    }
    return false;
}

static const char *way_name(struct search *s, const struct cell *from, unsigned depth)
{
    struct text t;
    text_init(&t, s->linter->arena);
    text_add_string(&t, cell_name(s->linter, from));
    for (unsigned i = 0; i < depth; i++) {
        struct schema_key k = { 0 };
        bool named = schema_key(s->way[i], &k);
        const struct value *key = named
            ? value_string_z(s->linter->arena, key_spelling(s->linter, &k)) : NULL;
        if (key) lint_put_key(&t, key);
        else text_add_string(&t, "[_]");
    }
    return text_end(&t);
}

/* The shortest way down from the value to a member of that name. */
static const char *below(struct linter *l, const struct cell *from, const char *name, size_t len)
{
    struct search s = { .linter = l, .name = name, .len = len };
    for (int ranging = 0; ranging < 2; ranging++) {
        s.ranging = ranging;
        for (unsigned depth = 1; depth <= SEARCH_DEPTH_MAX; depth++)
            for (size_t i = 0; i < from->schema_count; i++)
                if (search(&s, from->schemas[i], 0, depth)) return way_name(&s, from, depth);
    }
    return NULL;
}

/* From the value, or else from what it is a member of. */
static const char *anywhere(struct linter *l, const struct cell *from, const char *name, size_t len)
{
    for (; from && len; from = from->parent) {
        const char *way = below(l, from, name, len);
        if (way) return way;
    }
    return NULL;
}

/* ---- all of it -------------------------------------------------------------------------------- */

static void offer_list(void *context, const char *name)
{
    struct text *t = context;
    unsigned commas = 0;
    for (size_t i = 0; i < t->len; i++) commas += t->data[i] == ',';
    if (commas + 1 >= LIST_MAX) return;
    if (t->len) text_add_string(t, ", ");
    text_add_string(t, name);
}

static const char *find_near(struct linter *l, const struct cell *parent, const struct value *key,
                             struct checked_term *const *rest, size_t rest_count)
{
    const char *name = dotted_key(l, parent, key, rest, rest_count);
    if (!name) name = near_key(l, parent, key);
    if (name) return member_name(l, parent, name);
    name = anywhere(l, parent, key->string, key->count);
    if (name) return name;
    const char *dot = memrchr(key->string, '.', key->count);
    if (!dot) return NULL;
    return anywhere(l, parent, dot + 1, key->count - (size_t) (dot + 1 - key->string));
}

void lint_near_member(struct linter *l, struct finding *f, const struct cell *parent,
                      const struct value *key, struct checked_term *const *rest, size_t rest_count)
{
    struct text list;
    if (!f) return;
    for (size_t i = 0; i < parent->schema_count; i++) {
        const struct value *advice = schema_advice(parent->schemas[i], key);
        if (!advice) continue;
        lint_hint(l, f, "%s", advice->string);
        return;
    }
    const char *near = value_is(key, VALUE_STRING) ? find_near(l, parent, key, rest, rest_count) : NULL;
    if (near) {
        lint_hint(l, f, "did you mean %s?", near);
        return;
    }
    text_init(&list, l->arena);
    each_key(l, parent, offer_list, &list);
    const char *names = text_end(&list);
    if (names && *names) lint_hint(l, f, "%s has %s", cell_name(l, parent), names);
    else if (parent->kinds != KIND_ANY)
        lint_hint(l, f, "%s is %s", cell_name(l, parent), kinds_name(l, parent->kinds));
}

void lint_near_node(struct linter *l, struct finding *f, const struct checked_node *n,
                    const struct value *key)
{
    struct suggestion s = { 0 };
    if (!f || !value_is(key, VALUE_STRING)) return;
    suggest_begin(&s, key->string, key->count);
    for (size_t i = 0; i < n->child_count; i++)
        if (value_is(n->children[i]->key, VALUE_STRING)) suggest_offer(&s, n->children[i]->key->string);
    if (s.best) lint_hint(l, f, "did you mean %s?", s.best);
}

/* ---- words ------------------------------------------------------------------------------------ */

struct words {
    struct linter *linter;
    struct suggestion near;
    struct text list;
};

static bool offer_word(void *context, const char *word, size_t len)
{
    struct words *w = context;
    const char *name = copy(w->linter, word, len);
    suggest_offer(&w->near, name);
    if (w->list.len) text_add_string(&w->list, ", ");
    text_add_string(&w->list, name);
    return true;
}

void lint_near_word(struct linter *l, struct finding *f, const struct cell *c,
                    const struct value *string)
{
    struct words w = { .linter = l };
    if (!f) return;
    text_init(&w.list, l->arena);
    suggest_begin(&w.near, string->string, string->count);
    for (size_t i = 0; i < c->schema_count; i++) schema_each_word(c->schemas[i], offer_word, &w);
    const char *list = text_end(&w.list);
    if (w.near.best) lint_hint(l, f, "did you mean \"%s\"?", w.near.best);
    else if (list && *list) lint_hint(l, f, "it is one of %s", list);
}

/* ---- rules ------------------------------------------------------------------------------------ */

bool lint_is_near(const char *name, const char *wanted)
{
    static const char *const IN_FRONT[] = { "", "is_", "do_", "can_", "may_" };
    struct suggestion s = { 0 };
    suggest_begin(&s, name, strlen(name));
    suggest_offer(&s, wanted);
    for (size_t i = 0; !s.best && i < sizeof IN_FRONT / sizeof *IN_FRONT; i++) {
        size_t len = strlen(IN_FRONT[i]);
        if (strncmp(name, IN_FRONT[i], len) == 0 &&
            strncmp(name + len, wanted, strlen(wanted)) == 0) return true;
    }
    return s.best;
}
