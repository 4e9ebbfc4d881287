#include "policy/ast.h"

#include <string.h>

#include "policy/arena.h"

static const struct { const char *builtin, *sign; } ops[REGO_OPS] = {
    [REGO_OP_ADD] = {"plus", "+"},     [REGO_OP_SUB] = {"minus", "-"},
    [REGO_OP_MUL] = {"mul", "*"},      [REGO_OP_DIV] = {"div", "/"},
    [REGO_OP_REM] = {"rem", "%"},      [REGO_OP_AND] = {"and", "&"},
    [REGO_OP_OR] = {"or", "|"},        [REGO_OP_EQUAL] = {"equal", "=="},
    [REGO_OP_NEQ] = {"neq", "!="},     [REGO_OP_LT] = {"lt", "<"},
    [REGO_OP_LTE] = {"lte", "<="},     [REGO_OP_GT] = {"gt", ">"},
    [REGO_OP_GTE] = {"gte", ">="},     [REGO_OP_IN] = {"internal.member_2", "in"},
    [REGO_OP_KEY_IN] = {"internal.member_3", "in"}, [REGO_OP_NEGATE] = {"minus", "-"},
};

const char *rego_op_builtin(enum rego_op op)
{
    return ops[op].builtin;
}

const char *rego_op_sign(enum rego_op op)
{
    return ops[op].sign;
}

struct rego_term *rego_term_new(struct arena *a, enum rego_term_kind kind, struct rego_span at)
{
    struct rego_term *t = arena_alloc(a, sizeof *t);

    if (!t) return NULL;
    t->kind = kind;
    t->at = at;
    return t;
}

struct rego_term *rego_term_string(struct arena *a, const char *text, size_t len,
                                   struct rego_span at)
{
    struct rego_term *t = rego_term_new(a, REGO_TERM_STRING, at);
    const char *copy = arena_copy(a, text, len);

    if (!t || !copy) return NULL;
    t->text = (struct rego_text){copy, len};
    return t;
}

bool rego_text_is(struct rego_text t, const char *spelling)
{
    return t.len == strlen(spelling) && memcmp(t.at, spelling, t.len) == 0;
}

bool rego_text_equal(struct rego_text a, struct rego_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool rego_term_is_var(const struct rego_term *t, const char *name)
{
    return t->kind == REGO_TERM_VAR && rego_text_is(t->var.name, name);
}

bool rego_term_is_wildcard(const struct rego_term *t)
{
    return rego_term_is_var(t, "_");
}

bool rego_term_is_scalar(const struct rego_term *t)
{
    return t->kind == REGO_TERM_NULL || t->kind == REGO_TERM_BOOL || t->kind == REGO_TERM_NUMBER ||
           t->kind == REGO_TERM_STRING;
}

const char *rego_term_kind_name(enum rego_term_kind kind)
{
    static const char *const names[] = {
        [REGO_TERM_NULL] = "null",
        [REGO_TERM_BOOL] = "boolean",
        [REGO_TERM_NUMBER] = "number",
        [REGO_TERM_STRING] = "string",
        [REGO_TERM_TEMPLATE] = "templatestring",
        [REGO_TERM_VAR] = "var",
        [REGO_TERM_REF] = "ref",
        [REGO_TERM_ARRAY] = "array",
        [REGO_TERM_SET] = "set",
        [REGO_TERM_OBJECT] = "object",
        [REGO_TERM_ARRAY_COMP] = "arraycomprehension",
        [REGO_TERM_SET_COMP] = "setcomprehension",
        [REGO_TERM_OBJECT_COMP] = "objectcomprehension",
        [REGO_TERM_CALL] = "call",
    };
    return names[kind];
}

typedef bool visit_fn(struct rego_term *part, void *context);

static bool each_item(struct rego_term *const *items, size_t count, visit_fn *visit, void *context)
{
    for (size_t i = 0; i < count; i++)
        if (!visit(items[i], context)) return false;
    return true;
}

static bool each_pair(const struct rego_object *o, visit_fn *visit, void *context)
{
    for (size_t i = 0; i < o->count; i++)
        if (!visit(o->pairs[i].key, context) || !visit(o->pairs[i].value, context)) return false;
    return true;
}

static bool each_template_part(const struct rego_parts *parts, visit_fn *visit, void *context)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->items[i].expr && !visit(parts->items[i].expr->term, context)) return false;
    return true;
}

bool rego_term_each_part(const struct rego_term *t, visit_fn *visit, void *context)
{
    switch (t->kind) {
    case REGO_TERM_TEMPLATE: return each_template_part(&t->parts, visit, context);
    case REGO_TERM_REF:
        return visit(t->ref.head, context) && each_item(t->ref.path, t->ref.count, visit, context);
    case REGO_TERM_ARRAY:
    case REGO_TERM_SET: return each_item(t->list.items, t->list.count, visit, context);
    case REGO_TERM_OBJECT: return each_pair(&t->object, visit, context);
    case REGO_TERM_ARRAY_COMP:
    case REGO_TERM_SET_COMP: return visit(t->comp->value, context);
    case REGO_TERM_OBJECT_COMP:
        return visit(t->comp->key, context) && visit(t->comp->value, context);
    case REGO_TERM_CALL: return each_item(t->call->args, t->call->count, visit, context);
    default: return true;
    }
}
