/* Terms: operators by precedence, references, calls. */
#include "policy/parser_internal.h"

bool parser_at_name(const struct parser *p)
{
    return p->t.kind == REGO_NAME && (!p->t.symbol || p->t.symbol == REGO_CONTAINS);
}

struct rego_term *parse_var(struct parser *p)
{
    struct rego_term *t = parser_term(p, REGO_TERM_VAR, parser_here(p));
    const char *name = t ? arena_copy(p->arena, p->t.text, p->t.len) : NULL;

    if (!name) return parser_full(p);
    t->var.name = (struct rego_text){name, p->t.len};
    parser_advance(p);
    return t;
}

/* A minus in front is part of the number, as in OPA, and the zero before the point may be left out:
 * `-.5` is kept as "-0.5". */
static struct rego_term *number(struct parser *p, bool negative)
{
    struct rego_span at = parser_here(p);
    const char *prefix = negative ? "-" : "";

    if (parser_take(p, REGO_DOT)) {
        prefix = negative ? "-0." : "0.";
        bool digits = p->t.kind == REGO_NUMBER && !memchr(p->t.text, '.', p->t.len);
        if (!digits || p->t.spaced) return parser_unexpected(p, "expected number");
    }
    struct rego_term *t = parser_term(p, REGO_TERM_NUMBER, at);
    size_t before = strlen(prefix);
    char *text = t ? parser_alloc(p, before + p->t.len + 1) : NULL;
    if (!text) return NULL;
    memcpy(text, prefix, before);
    memcpy(text + before, p->t.text, p->t.len);
    t->text = (struct rego_text){text, before + p->t.len};
    parser_advance(p);
    t->at = parser_since(p, at);
    return t;
}

static struct rego_term *minus(struct parser *p)
{
    struct rego_span at = parser_here(p);

    parser_advance(p);
    struct rego_term *t = NULL;
    if (p->t.kind == REGO_NUMBER || parser_at(p, REGO_DOT)) {
        t = number(p, true);
    } else if (parser_enter(p)) {
        struct rego_term *operand = parse_term(p);
        parser_leave(p);
        if (operand) t = parser_call(p, REGO_OP_NEGATE, &operand, 1);
    }
    if (t) t->at = parser_since(p, at);
    return t;
}

static struct rego_term *constant(struct parser *p, enum rego_term_kind kind)
{
    struct rego_term *t = parser_term(p, kind, parser_here(p));

    if (!t) return NULL;
    if (kind == REGO_TERM_BOOL) t->boolean = parser_at(p, REGO_TRUE);
    parser_advance(p);
    return t;
}

static struct rego_term *parenthesised(struct parser *p)
{
    struct rego_span at = parser_here(p);

    parser_advance(p);
    struct rego_term *t = parse_infix(p, true, NULL);
    if (!t) return NULL;
    if (!parser_at(p, REGO_RPAREN)) return parser_fail(p, "non-terminated expression");
    parser_advance(p);
    t->at = parser_since(p, at);
    t->parenthesised = true;
    return t;
}

static struct rego_term *primary(struct parser *p)
{
    if (parser_at_name(p)) return parse_var(p);
    if (p->t.kind == REGO_NUMBER || parser_at(p, REGO_DOT)) return number(p, false);
    if (p->t.kind == REGO_STRING) return parse_string(p);
    if (p->t.kind == REGO_TEMPLATE) return parse_template(p);
    switch (p->t.symbol) {
    case REGO_NULL: return constant(p, REGO_TERM_NULL);
    case REGO_TRUE:
    case REGO_FALSE: return constant(p, REGO_TERM_BOOL);
    case REGO_MINUS: return minus(p);
    case REGO_LPAREN: return parenthesised(p);
    case REGO_LBRACKET: return parse_array(p);
    case REGO_LBRACE: return parse_braces(p);
    default: return parser_unexpected(p, NULL);
    }
}

struct rego_term *parse_term(struct parser *p)
{
    if (!parser_enter(p)) return NULL;
    struct rego_term *head = primary(p);
    parser_leave(p);
    return head ? parse_ref(p, head, false) : NULL;
}

/* ---- references and calls -------------------------------------------------------------------- */

bool parse_list(struct parser *p, enum rego_symbol close, struct rego_list *list, size_t cap)
{
    while (!parser_at(p, close)) {
        if (!parser_append(p, list, &cap, parse_infix(p, false, NULL))) return false;
        if (parser_take(p, REGO_COMMA)) continue;
        if (parser_at(p, close)) break;
        return parser_unexpected(p, close == REGO_RPAREN     ? "expected \",\" or \")\""
                                    : close == REGO_RBRACKET ? "expected \",\" or \"]\""
                                                             : "expected \",\" or \"}\"");
    }
    parser_advance(p);
    return true;
}

/* "a.b.c" of a VAR or a REF of strings; false for anything else. */
static bool dotted_name(struct parser *p, const struct rego_term *t, struct rego_text *ret)
{
    const struct rego_term *head = t->kind == REGO_TERM_REF ? t->ref.head : t;
    size_t count = t->kind == REGO_TERM_REF ? t->ref.count : 0;

    if (head->kind != REGO_TERM_VAR) return false;
    size_t len = head->var.name.len;
    for (size_t i = 0; i < count; i++) {
        if (t->ref.path[i]->kind != REGO_TERM_STRING) return false;
        len += 1 + t->ref.path[i]->text.len;
    }
    char *name = parser_alloc(p, len + 1);
    if (!name) return false;
    memcpy(name, head->var.name.at, head->var.name.len);
    size_t used = head->var.name.len;
    for (size_t i = 0; i < count; i++) {
        name[used++] = '.';
        memcpy(name + used, t->ref.path[i]->text.at, t->ref.path[i]->text.len);
        used += t->ref.path[i]->text.len;
    }
    *ret = (struct rego_text){name, len};
    return true;
}

static struct rego_term *call(struct parser *p, struct rego_term *function)
{
    struct rego_list args = {0};

    parser_advance(p); /* '(' */
    if (!parser_enter(p)) return NULL;
    bool ok = parse_list(p, REGO_RPAREN, &args, 0);
    parser_leave(p);
    if (!ok) return NULL;
    struct rego_span at = parser_since(p, function->at);
    if (args.count == 0 && rego_term_is_var(function, "set"))
        return parser_term(p, REGO_TERM_SET, at);
    struct rego_term *t = parser_term(p, REGO_TERM_CALL, at);
    struct rego_call *c = t ? parser_alloc(p, sizeof *c) : NULL;
    if (!c) return NULL;
    if (!dotted_name(p, function, &c->name))
        return parser_fail_at(p, function->at, "the name of a function must be made of constants");
    c->function = function;
    c->args = args.items;
    c->count = args.count;
    t->call = c;
    return t;
}

/* The element behind '.' or '['. */
static struct rego_term *element(struct parser *p)
{
    if (parser_take(p, REGO_DOT)) {
        if (p->t.kind != REGO_NAME || p->t.spaced)
            return parser_unexpected(p, "expected identifier");
        struct rego_term *t = rego_term_string(p->arena, p->t.text, p->t.len, parser_here(p));
        if (!t) return parser_full(p);
        t->dotted = true;
        parser_advance(p);
        return t;
    }
    parser_advance(p); /* '[' */
    if (!parser_enter(p)) return NULL;
    struct rego_term *t = parse_infix(p, true, NULL);
    parser_leave(p);
    if (!t) return NULL;
    return parser_expect(p, REGO_RBRACKET, "expected ]") ? t : NULL;
}

static bool may_head_ref(const struct rego_term *t)
{
    switch (t->kind) {
    case REGO_TERM_VAR:
    case REGO_TERM_ARRAY:
    case REGO_TERM_SET:
    case REGO_TERM_OBJECT:
    case REGO_TERM_ARRAY_COMP:
    case REGO_TERM_SET_COMP:
    case REGO_TERM_OBJECT_COMP:
    case REGO_TERM_CALL: return true;
    default: return false;
    }
}

static struct rego_term *ref_of(struct parser *p, struct rego_term *head, struct rego_list path)
{
    if (path.count == 0) return head;
    struct rego_term *t = parser_term(p, REGO_TERM_REF, parser_since(p, head->at));
    if (t) t->ref = (struct rego_ref){.head = head, .path = path.items, .count = path.count};
    return t;
}

struct rego_term *parse_ref(struct parser *p, struct rego_term *head, bool blank_ok)
{
    struct rego_list path = {0};
    size_t cap = 0;

    for (;; blank_ok = false) {
        bool dot = parser_at(p, REGO_DOT), bracket = parser_at(p, REGO_LBRACKET);
        bool paren = parser_at(p, REGO_LPAREN) && (head->kind != REGO_TERM_CALL || path.count);
        if ((p->t.spaced && !blank_ok) || (!dot && !bracket && !paren))
            return ref_of(p, head, path);
        if (!may_head_ref(head))
            return parser_fail_at(p, head->at, "illegal ref (head cannot be %s)",
                                  rego_term_kind_name(head->kind));
        if (!paren) {
            if (!parser_append(p, &path, &cap, element(p))) return NULL;
            continue;
        }
        struct rego_term *function = ref_of(p, head, path);
        head = function ? call(p, function) : NULL;
        if (!head) return NULL;
        path = (struct rego_list){0};
        cap = 0;
    }
}

/* ---- operators ------------------------------------------------------------------------------- */

struct rego_term *parser_call(struct parser *p, enum rego_op op, struct rego_term *const *args,
                              size_t count)
{
    struct rego_term *t = parser_term(p, REGO_TERM_CALL, parser_since(p, args[0]->at));
    struct rego_call *c = t ? parser_alloc(p, sizeof *c) : NULL;
    struct rego_term **copy = c ? parser_alloc(p, count * sizeof *copy) : NULL;

    if (!copy) return NULL;
    memcpy(copy, args, count * sizeof *copy);
    const char *name = rego_op_builtin(op);
    *c = (struct rego_call){.op = op, .name = {name, strlen(name)}, .args = copy, .count = count};
    t->call = c;
    return t;
}

enum { LEVEL_RELATION, LEVEL_OR, LEVEL_AND, LEVEL_SUM, LEVEL_PRODUCT, LEVEL_TERM };

static const struct { unsigned char level, op; } operators[REGO_SYMBOLS] = {
    [REGO_EQUAL] = {LEVEL_RELATION, REGO_OP_EQUAL}, [REGO_NEQ] = {LEVEL_RELATION, REGO_OP_NEQ},
    [REGO_LT] = {LEVEL_RELATION, REGO_OP_LT},       [REGO_LTE] = {LEVEL_RELATION, REGO_OP_LTE},
    [REGO_GT] = {LEVEL_RELATION, REGO_OP_GT},       [REGO_GTE] = {LEVEL_RELATION, REGO_OP_GTE},
    [REGO_BAR] = {LEVEL_OR, REGO_OP_OR},            [REGO_AMPERSAND] = {LEVEL_AND, REGO_OP_AND},
    [REGO_PLUS] = {LEVEL_SUM, REGO_OP_ADD},         [REGO_MINUS] = {LEVEL_SUM, REGO_OP_SUB},
    [REGO_TIMES] = {LEVEL_PRODUCT, REGO_OP_MUL},    [REGO_SLASH] = {LEVEL_PRODUCT, REGO_OP_DIV},
    [REGO_PERCENT] = {LEVEL_PRODUCT, REGO_OP_REM},
};

/* Operators of this level and those that bind tighter; all associate to the left. */
static struct rego_term *binary(struct parser *p, int level, struct rego_term *lhs)
{
    if (level == LEVEL_TERM) return lhs ? lhs : parse_term(p);
    unsigned outer = parser_chain_begin(p, lhs);
    lhs = binary(p, level + 1, lhs);
    while (lhs) {
        enum rego_op op = (enum rego_op) operators[p->t.symbol].op;
        if (op == REGO_OP_NONE || operators[p->t.symbol].level != level) break;
        parser_advance(p);
        struct rego_term *rhs = parser_chain_link(p) ? binary(p, level + 1, NULL) : NULL;
        if (!rhs) return NULL;
        lhs = parser_call(p, op, (struct rego_term *const[]){lhs, rhs}, 2);
    }
    parser_chain_end(p, outer);
    return lhs;
}

/* `lhs, value in collection`, at the comma. */
static struct rego_term *key_in(struct parser *p, struct rego_term *lhs)
{
    parser_advance(p);
    struct rego_term *value = binary(p, LEVEL_RELATION, NULL);
    if (!value || !parser_expect(p, REGO_IN, "expected `key, value in collection`")) return NULL;
    struct rego_term *collection = binary(p, LEVEL_RELATION, NULL);
    if (!collection) return NULL;
    return parser_call(p, REGO_OP_KEY_IN, (struct rego_term *const[]){lhs, value, collection}, 3);
}

/* The same for `value in collection`, behind the `in`. */
static struct rego_term *value_in(struct parser *p, struct rego_term *lhs)
{
    struct rego_term *collection = binary(p, LEVEL_RELATION, NULL);
    if (!collection) return NULL;
    return parser_call(p, REGO_OP_IN, (struct rego_term *const[]){lhs, collection}, 2);
}

struct rego_term *parse_infix(struct parser *p, bool key_ok, struct rego_term *lhs)
{
    unsigned outer = parser_chain_begin(p, lhs);
    struct rego_term *t = binary(p, LEVEL_RELATION, lhs);

    while (t) {
        bool key = key_ok && parser_at(p, REGO_COMMA);
        if (!key && !parser_take(p, REGO_IN)) break;
        if (!parser_chain_link(p)) return NULL;
        t = key ? key_in(p, t) : value_in(p, t);
    }
    parser_chain_end(p, outer);
    return t;
}
