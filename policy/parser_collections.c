/* Arrays, sets, objects and comprehensions. `[a | b]` may be a comprehension or a list with one
 * union in it: as in OPA the comprehension is tried first, and only when the head is a term without
 * operators; `[a | b, c]` shows at its comma that it was a list. */
#include "policy/parser_internal.h"

/* At '|'. When it is no comprehension, `problem` tells why and the parser is at '|' again. */
struct attempt {
    bool tried;
    struct parser_problem problem;
};

static struct rego_term *try_comprehension(struct parser *p, enum rego_term_kind kind,
                                           struct rego_pair head, struct rego_span at,
                                           struct attempt *attempt)
{
    enum rego_symbol close = kind == REGO_TERM_ARRAY_COMP ? REGO_RBRACKET : REGO_RBRACE;
    struct parser_mark mark = parser_mark(p);

    parser_advance(p);
    struct rego_body *body = parse_body(p, close);
    if (!body) {
        attempt->tried = parser_back(p, &mark, &attempt->problem);
        return NULL;
    }
    struct rego_term *t = parser_term(p, kind, parser_since(p, at));
    struct rego_comp *comp = t ? parser_alloc(p, sizeof *comp) : NULL;
    if (!comp) return NULL;
    *comp = (struct rego_comp){.key = head.key, .value = head.value, .body = body};
    t->comp = comp;
    return t;
}

/* The rest of a list, its first term already read. */
static struct rego_term *finish_list(struct parser *p, enum rego_term_kind kind,
                                     struct rego_span at, struct rego_term *first)
{
    enum rego_symbol close = kind == REGO_TERM_ARRAY ? REGO_RBRACKET : REGO_RBRACE;
    struct rego_list list = {0};
    size_t cap = 0;

    if (first && !parser_append(p, &list, &cap, first)) return NULL;
    const char *note = kind == REGO_TERM_ARRAY
                           ? "expected \",\" or \"]\""
                           : "expected \",\" or \"}\"";
    if (first && !parser_at(p, close) && !parser_expect(p, REGO_COMMA, note)) return NULL;
    if (!parse_list(p, close, &list, cap)) return NULL;
    struct rego_term *t = parser_term(p, kind, parser_since(p, at));
    if (t) t->list = list;
    return t;
}

struct rego_term *parse_array(struct parser *p)
{
    struct rego_span at = parser_here(p);
    struct attempt attempt = {0};
    struct rego_term *t = NULL;

    parser_advance(p);
    if (parser_at(p, REGO_RBRACKET)) return finish_list(p, REGO_TERM_ARRAY, at, NULL);
    struct rego_term *first = parse_term(p);
    if (!first) return NULL;
    if (parser_at(p, REGO_BAR)) {
        struct rego_pair head = {NULL, first};
        t = try_comprehension(p, REGO_TERM_ARRAY_COMP, head, at, &attempt);
        if (t || !attempt.tried) return t;
    }
    first = parse_infix(p, false, first);
    if (first) t = finish_list(p, REGO_TERM_ARRAY, at, first);
    if (!t && attempt.tried) parser_furthest(p, &attempt.problem);
    return t;
}

static bool append_pair(struct parser *p, struct rego_object *object, size_t *cap,
                        struct rego_pair pair)
{
    struct rego_pair *grown = arena_grow(p->arena, object->pairs, object->count, cap, sizeof pair);

    if (!grown) return parser_full(p);
    object->pairs = grown;
    object->pairs[object->count++] = pair;
    return true;
}

static bool parse_pair(struct parser *p, struct rego_pair *ret)
{
    ret->key = parse_infix(p, false, NULL);
    if (!ret->key || !parser_expect(p, REGO_COLON, "expected \":\"")) return false;
    ret->value = parse_infix(p, false, NULL);
    return ret->value;
}

/* The rest of an object, its first pair already read. */
static struct rego_term *finish_object(struct parser *p, struct rego_span at, struct rego_pair pair)
{
    struct rego_object object = {0};
    size_t cap = 0;

    for (;;) {
        if (!append_pair(p, &object, &cap, pair)) return NULL;
        if (parser_at(p, REGO_RBRACE)) break;
        if (!parser_expect(p, REGO_COMMA, "expected \",\" or \"}\"")) return NULL;
        if (parser_at(p, REGO_RBRACE)) break;
        if (!parse_pair(p, &pair)) return NULL;
    }
    parser_advance(p);
    struct rego_term *t = parser_term(p, REGO_TERM_OBJECT, parser_since(p, at));
    if (t) t->object = object;
    return t;
}

/* At ':'. */
static struct rego_term *parse_object(struct parser *p, struct rego_span at, struct rego_term *key)
{
    struct attempt attempt = {0};
    struct rego_term *t = NULL;

    parser_advance(p);
    struct rego_term *value = parse_term(p);
    if (!value) return NULL;
    if (parser_at(p, REGO_BAR)) {
        struct rego_pair head = {key, value};
        t = try_comprehension(p, REGO_TERM_OBJECT_COMP, head, at, &attempt);
        if (t || !attempt.tried) return t;
    }
    value = parse_infix(p, false, value);
    if (value) t = finish_object(p, at, (struct rego_pair){key, value});
    if (!t && attempt.tried) parser_furthest(p, &attempt.problem);
    return t;
}

struct rego_term *parse_braces(struct parser *p)
{
    struct rego_span at = parser_here(p);
    struct attempt attempt = {0};
    struct rego_term *t = NULL;

    parser_advance(p);
    if (parser_take(p, REGO_RBRACE)) return parser_term(p, REGO_TERM_OBJECT, parser_since(p, at));
    struct rego_term *first = parse_term(p);
    if (!first) return NULL;
    if (parser_at(p, REGO_BAR)) {
        struct rego_pair head = {NULL, first};
        t = try_comprehension(p, REGO_TERM_SET_COMP, head, at, &attempt);
        if (t || !attempt.tried) return t;
    }
    first = parse_infix(p, false, first);
    if (first)
        t = parser_at(p, REGO_COLON) ? parse_object(p, at, first)
                                     : finish_list(p, REGO_TERM_SET, at, first);
    if (!t && attempt.tried) parser_furthest(p, &attempt.problem);
    return t;
}
