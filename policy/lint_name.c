/* How values, kinds and rules are called in what is said of them. */
#include "policy/linter.h"

static bool is_identifier(const struct value *key)
{
    if (!value_is(key, VALUE_STRING) || !key->count) return false;
    for (uint32_t i = 0; i < key->count; i++) {
        char c = key->string[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) return false;
    }
    return true;
}

void lint_put_key(struct text *t, const struct value *key)
{
    if (is_identifier(key)) {
        text_add_char(t, '.');
        text_add(t, key->string, key->count);
        return;
    }
    text_add_char(t, '[');
    value_print(t, key);
    text_add_char(t, ']');
}

bool cell_has_way(const struct cell *c)
{
    return c->root != CELL_MADE;
}

bool cell_has_name(const struct cell *c)
{
    while (c->parent) c = c->parent;
    return cell_has_way(c) || c->called;
}

const char *lint_group_name(const struct linter *l, const struct checked_group *g)
{
    const char *name = g->name, *package = l->profile->package;
    size_t len = strlen(package);
    bool ours = strncmp(name, "data.", 5) == 0 && strncmp(name + 5, package, len) == 0 &&
                name[5 + len] == '.';
    return ours ? name + 5 + len + 1 : name;
}

const char *cell_name(struct linter *l, const struct cell *c)
{
    const struct cell *way[LINT_WAY_MAX] = { 0 };
    size_t count = 0;
    struct text t;
    text_init(&t, l->arena);
    for (; c->parent && count < LINT_WAY_MAX; c = c->parent) way[count++] = c;
    if (c->root == CELL_INPUT) text_add_string(&t, "input");
    if (c->root == CELL_DATA) text_add_string(&t, "data");
    if (c->root == CELL_RULE) text_add_string(&t, lint_group_name(l, c->group));
    if (c->root == CELL_MADE) text_add_string(&t, c->called ? c->called : "this value");
    while (count-- > 0) {
        if (way[count]->key) lint_put_key(&t, way[count]->key);
        else text_add_string(&t, "[_]");
    }
    const char *name = text_end(&t);
    return name ? name : "this value";
}

const char *kinds_name(struct linter *l, unsigned kinds)
{
    static const char *const WITH_ARTICLE[] = {
        [VALUE_NULL] = "null",        [VALUE_BOOL] = "a boolean",  [VALUE_NUMBER] = "a number",
        [VALUE_STRING] = "a string",  [VALUE_ARRAY] = "an array",  [VALUE_OBJECT] = "an object",
        [VALUE_SET] = "a set",
    };
    struct text t;
    if ((kinds & KIND_ANY) == KIND_ANY) return "anything";
    text_init(&t, l->arena);
    for (unsigned k = VALUE_NULL; k <= VALUE_SET; k++) {
        if (!(kinds & 1u << k)) continue;
        if (t.len) text_add_string(&t, " or ");
        text_add_string(&t, WITH_ARTICLE[k]);
    }
    const char *name = text_end(&t);
    return name && *name ? name : "nothing";
}
