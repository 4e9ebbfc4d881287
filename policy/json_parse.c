#include "policy/json.h"

struct parser {
    struct arena *arena;
    const char *start, *at, *end;
    unsigned depth, depth_max;
    bool last_key_wins;
    struct budget *budget;
    const char *problem;
    bool limit;
};

static const struct value *parse_value(struct parser *p);

static const struct value *bad(struct parser *p, const char *problem)
{
    if (!p->problem) p->problem = arena_failed(p->arena) ? "out of memory" : problem;
    return NULL;
}

static const struct value *too_much(struct parser *p, const char *problem)
{
    p->limit = true;
    return bad(p, problem);
}

static char skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r')) p->at++;
    return p->at < p->end ? *p->at : '\0';
}

/* ---- strings ---- */

static bool hex4(struct parser *p, uint32_t *ret)
{
    *ret = 0;
    if (p->end - p->at < 4) return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*p->at++);
        if (digit < 0) return false;
        *ret = *ret << 4 | (uint32_t) digit;
    }
    return true;
}

/* Behind \u: a pair of surrogates is one rune, a lone one becomes U+FFFD. */
static bool unicode_escape(struct parser *p, struct text *t)
{
    uint32_t rune, low;

    if (!hex4(p, &rune)) return false;
    if (rune >= 0xD800 && rune < 0xDC00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u') {
        const char *before = p->at;

        p->at += 2;
        if (!hex4(p, &low)) return false;
        if (low >= 0xDC00 && low < 0xE000)
            rune = 0x10000 + ((rune - 0xD800) << 10) + (low - 0xDC00);
        else
            p->at = before;
    }
    text_add_rune(t, rune);
    return true;
}

static bool escape(struct parser *p, struct text *t)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (p->at == p->end) return false;
    char c = *p->at++;
    if (c == 'u') return unicode_escape(p, t);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found) return false;
    text_add_char(t, to[found - from]);
    return true;
}

/* Bytes that stand for themselves; the slow half checks UTF-8. NULL: ill-formed. */
static const char *plain_run(const char *at, const char *end)
{
    while (at < end && *at != '"' && *at != '\\' && (unsigned char) *at >= 0x20) {
        uint32_t rune;

        if ((unsigned char) *at < 0x80) {
            at++;
            continue;
        }
        size_t len = utf8_decode(at, end, &rune);
        if (len == 1) return NULL;
        at += len;
    }
    return at;
}

static const struct value *parse_string(struct parser *p)
{
    const char *start = ++p->at, *run = plain_run(start, p->end);
    struct text t;

    if (run && run < p->end && *run == '"') {
        p->at = run + 1;
        return value_string(p->arena, start, (size_t) (run - start));
    }
    text_init(&t, p->arena);
    for (;; run = plain_run(p->at, p->end)) {
        if (!run) return bad(p, "text is not UTF-8");
        text_add(&t, p->at, (size_t) (run - p->at));
        p->at = run;
        if (p->at == p->end) return bad(p, "unexpected end of the string");
        char c = *p->at++;
        if (c == '"') return value_from_text(&t);
        if (c != '\\') return bad(p, "control character in a string");
        if (!escape(p, &t)) return bad(p, "bad escape in a string");
    }
}

/* ---- the rest ---- */

static const struct value *parse_number(struct parser *p)
{
    const char *start = p->at;
    struct num n;

    while (p->at < p->end && *p->at && strchr("+-.eE0123456789", *p->at)) p->at++;
    if (p->at - start > NUM_TEXT_MAX) return too_much(p, "number of too many digits");
    if (!num_parse(p->arena, start, (size_t) (p->at - start), &n)) return bad(p, "bad number");
    return value_num(p->arena, n);
}

static const struct value *parse_word(struct parser *p, const char *word, const struct value *v)
{
    size_t len = strlen(word);

    if ((size_t) (p->end - p->at) < len || memcmp(p->at, word, len) != 0) return bad(p, "unexpected character");
    p->at += len;
    return v;
}

/* Behind a member: true when another follows, false at the closing bracket or on error. */
static bool more(struct parser *p, char close)
{
    char c = skip_space(p);

    if (c == ',' || c == close) p->at++;
    if (c == ',') return true;
    if (c != close) bad(p, close == ']' ? "expected ',' or ']'" : "expected ',' or '}'");
    return false;
}

static const struct value *parse_array(struct parser *p)
{
    struct value_builder b;

    value_builder_init(&b, p->arena, VALUE_ARRAY);
    p->at++;
    if (skip_space(p) == ']') return p->at++, &VALUE_EMPTY_ARRAY;
    do {
        const struct value *item = parse_value(p);

        if (!item || !value_builder_add(&b, item)) return NULL;
    } while (more(p, ']'));
    return p->problem ? NULL : value_builder_end(&b, NULL);
}

static bool parse_member(struct parser *p, struct value_builder *b)
{
    const struct value *key = skip_space(p) == '"' ? parse_string(p) : bad(p, "expected a member's name");

    if (!key) return false;
    if (skip_space(p) != ':') return bad(p, "expected ':'"), false;
    p->at++;
    const struct value *v = parse_value(p);
    return v && value_builder_put(b, key, v);
}

static const struct value *parse_object(struct parser *p)
{
    struct value_builder b;

    value_builder_init(&b, p->arena, VALUE_OBJECT);
    p->at++;
    if (skip_space(p) == '}') return p->at++, &VALUE_EMPTY_OBJECT;
    do {
        if (!parse_member(p, &b)) return NULL;
    } while (more(p, '}'));
    if (p->problem) return NULL;
    size_t members = b.count;
    const struct value *object = value_builder_end(&b, NULL);
    if (object && object->count < members && !p->last_key_wins) return bad(p, "member named twice");
    return object;
}

static const struct value *parse_composite(struct parser *p, char c)
{
    if (p->depth == p->depth_max) return too_much(p, "nested too deep");
    p->depth++;
    const struct value *v = c == '[' ? parse_array(p) : parse_object(p);
    p->depth--;
    return v;
}

static const struct value *parse_value(struct parser *p)
{
    char c = skip_space(p);

    if (!budget_spend(p->budget, 1)) return too_much(p, "out of steps");
    switch (c) {
    case '[':
    case '{': return parse_composite(p, c);
    case '"': return parse_string(p);
    case 't': return parse_word(p, "true", value_bool(true));
    case 'f': return parse_word(p, "false", value_bool(false));
    case 'n': return parse_word(p, "null", value_null());
    default: break;
    }
    if (c == '-' || (c >= '0' && c <= '9')) return parse_number(p);
    return bad(p, p->at == p->end ? "unexpected end of the text" : "unexpected character");
}

const struct value *json_to_value(struct arena *a, const char *text, size_t len,
                               const struct json_options *options, struct json_error *error)
{
    struct parser p = { .arena = a, .start = text, .at = text, .end = text + len, .depth_max = JSON_DEPTH_MAX };

    if (options) {
        if (options->depth_max) p.depth_max = options->depth_max;
        p.last_key_wins = options->last_key_wins;
        p.budget = options->budget;
    }
    if (p.depth_max > VALUE_DEPTH_MAX) p.depth_max = VALUE_DEPTH_MAX;
    const struct value *v = parse_value(&p);
    if (v && (skip_space(&p), p.at < p.end)) v = bad(&p, "text behind the value");
    if (!v) bad(&p, "out of memory");
    if (!v && error)
        *error = (struct json_error) { (size_t) (p.at - p.start), p.problem, p.limit || arena_failed(a) };
    return v;
}
