/* String literals: escapes decoded as encoding/json of Go does, template strings cut into parts. */
#include "policy/parser_internal.h"
#include "policy/text.h"

static uint32_t hex4(const char *at)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++) v = v << 4 | (uint32_t) hex_digit(at[i]);
    return v;
}

/* Behind `\u`; the lexer has seen that four digits are there. A surrogate without its other half
 * becomes U+FFFD. */
static const char *decode_unicode(const char *at, const char *end, char **to)
{
    uint32_t rune = hex4(at);

    at += 4;
    if (rune >= 0xd800 && rune < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
        uint32_t low = hex4(at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            rune = 0x10000 + ((rune - 0xd800) << 10) + (low - 0xdc00);
            at += 6;
        }
    }
    if (rune >= 0xd800 && rune < 0xe000) rune = 0xfffd;
    *to += utf8_encode(rune, *to);
    return at;
}

/* Behind a backslash. */
static const char *decode_escape(const char *at, const char *end, char **to)
{
    static const char from[] = "bfnrt", into[] = "\b\f\n\r\t";

    if (*at == 'u') return decode_unicode(at + 1, end, to);
    const char *row = strchr(from, *at);
    *(*to)++ = row ? into[row - from] : *at;
    return at + 1;
}

/* What of a text has a meaning. */
enum escapes { ESCAPES_JSON, ESCAPES_NONE, ESCAPES_BRACE };

/* Decoded text is never longer than its spelling: \u00e9 has six bytes for two. */
static bool decode(struct parser *p, const char *at, size_t len, enum escapes escapes,
                   struct rego_text *ret)
{
    char *data = parser_alloc(p, len + 1);
    if (!data) return false;
    const char *end = at + len;
    char *to = data;
    while (at < end) {
        bool escape = *at == '\\' && (escapes == ESCAPES_JSON ||
                                      (escapes == ESCAPES_BRACE && end - at > 1 && at[1] == '{'));
        if (escape)
            at = decode_escape(at + 1, end, &to);
        else
            *to++ = *at++;
    }
    *ret = (struct rego_text){data, (size_t) (to - data)};
    return true;
}

struct rego_term *parse_string(struct parser *p)
{
    struct rego_term *t = parser_term(p, REGO_TERM_STRING, parser_here(p));
    enum escapes escapes = p->t.text[0] == '`' ? ESCAPES_NONE : ESCAPES_JSON;

    if (!t || !decode(p, p->t.text + 1, p->t.len - 2, escapes, &t->text)) return NULL;
    parser_advance(p);
    return t;
}

static bool add_part(struct parser *p, struct rego_parts *parts, size_t *cap, struct rego_part part)
{
    struct rego_part *grown = arena_grow(p->arena, parts->items, parts->count, cap, sizeof part);

    if (!grown) return parser_full(p);
    parts->items = grown;
    parts->items[parts->count++] = part;
    return true;
}

/* Between '{' and '}': one expression that is a value, perhaps under `with`. */
static struct rego_expr *parse_part(struct parser *p)
{
    parser_advance(p); /* over what stood before the '{' */
    if (parser_at(p, REGO_RBRACE))
        return parser_fail(p, "invalid template-string expression: it is empty");
    struct rego_expr *e = parse_literal(p);
    if (!e) return NULL;
    if (e->kind != REGO_EXPR_TERM || e->negated)
        return parser_fail_at(p, e->at, "invalid template-string expression: a value is expected");
    if (!parser_at(p, REGO_RBRACE)) return parser_unexpected(p, "expected } in template string");
    return e;
}

static bool parse_parts(struct parser *p, struct rego_parts *parts, char quote)
{
    size_t cap = 0;
    bool more = true;

    while (more) {
        struct rego_token literal = rego_lexer_template(&p->lexer, quote, &more);
        if (literal.kind == REGO_BAD) {
            p->t = literal;
            return parser_unexpected(p, NULL);
        }
        struct rego_part part = {0};
        enum escapes escapes = quote == '"' ? ESCAPES_JSON : ESCAPES_BRACE;
        if (!decode(p, literal.text, literal.len, escapes, &part.text)) return false;
        if (part.text.len && !add_part(p, parts, &cap, part)) return false;
        p->t = literal; /* the end of what was read, for spans */
        p->t.len += 1;
        if (!more) break;
        part = (struct rego_part){.expr = parse_part(p)};
        if (!part.expr || !add_part(p, parts, &cap, part)) return false;
    }
    return true;
}

struct rego_term *parse_template(struct parser *p)
{
    struct rego_term *t = parser_term(p, REGO_TERM_TEMPLATE, parser_here(p));

    if (!t || !parser_enter(p)) return NULL;
    bool ok = parse_parts(p, &t->parts, p->t.text[1]);
    parser_leave(p);
    if (!ok) return NULL;
    parser_advance(p);
    t->at = parser_since(p, t->at);
    return t;
}
