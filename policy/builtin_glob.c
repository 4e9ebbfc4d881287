/* glob.*: * and ? stop at delimiters, ** does not; [abc], [a-z], [!..]; {this,that}; \ escapes. A glob
 * becomes a regular expression. */
#include "policy/builtin_pattern.h"
#include "policy/regex_syntax.h"

#include <string.h>

#define NESTING_MAX 50

struct glob {
    struct builtin_call *call;
    struct text *out;
    const char *at, *end;
    const char *any; /* one character that is no delimiter, as a regular expression */
    unsigned depth;
};

static bool refuse(struct glob *g, const char *why)
{
    builtin_fail(g->call, "%s", why);
    return false;
}

/* [abc], [!abc], [a-z], [!a-z]; `at` stands behind the bracket. */
static bool list(struct glob *g)
{
    text_add_char(g->out, '[');
    if (g->at < g->end && *g->at == '!') {
        text_add_char(g->out, '^');
        g->at++;
    }
    const char *from = g->at;
    for (; g->at < g->end && *g->at != ']';) {
        if (*g->at == '-' && g->at > from && g->at + 1 < g->end && g->at[1] != ']') {
            text_add_char(g->out, *g->at++);
            continue;
        }
        if (*g->at == '\\' && g->at + 1 < g->end) g->at++;
        uint32_t rune = 0;
        size_t n = utf8_decode(g->at, g->end, &rune);
        regex_quote(g->out, g->at, n);
        g->at += n;
    }
    if (g->at == g->end || g->at == from) return refuse(g, "unexpected end of input in a character list");
    g->at++;
    text_add_char(g->out, ']');
    return true;
}

static bool step(struct glob *g)
{
    uint32_t rune = 0;
    char c = *g->at;
    switch (c) {
    case '*':
        g->at++;
        if (g->at < g->end && *g->at == '*') {
            while (g->at < g->end && *g->at == '*') g->at++;
            text_add_string(g->out, ".*");
        } else {
            text_addf(g->out, "%s*", g->any);
        }
        return true;
    case '?': g->at++; return text_add_string(g->out, g->any), true;
    case '[': g->at++; return list(g);
    case '{':
        g->at++;
        if (++g->depth > NESTING_MAX) return builtin_limit(g->call, "the pattern nests too deeply"), false;
        return text_add_string(g->out, "(?:"), true;
    case '}':
    case ',':
        if (g->depth == 0) break;
        g->at++;
        g->depth -= c == '}';
        return text_add_char(g->out, c == '}' ? ')' : '|'), true;
    case '\\':
        if (++g->at == g->end) return refuse(g, "unexpected end of input after an escape");
        break;
    default: break;
    }
    size_t n = utf8_decode(g->at, g->end, &rune);
    regex_quote(g->out, g->at, n);
    g->at += n;
    return true;
}

/* One character that is none of the delimiters; null: any character; []: not ".". */
static const char *any_but(struct builtin_call *call, const struct value *delimiters)
{
    if (delimiters->kind == VALUE_NULL) return ".";
    struct text t;
    text_init(&t, call->arena);
    text_add_string(&t, "[^");
    for (size_t i = 0; i < delimiters->count; i++) regex_quote(&t, delimiters->items[i]->string, delimiters->items[i]->count);
    if (delimiters->count == 0) text_add_string(&t, "\\.");
    text_add_string(&t, "]");
    return text_end(&t);
}

/* key: pattern, delimiters. */
bool pattern_make_glob(struct builtin_call *call, const struct value *const *key, struct text *source,
                       struct regex_names *names)
{
    (void) names; /* no groups */
    struct glob g = { .call = call, .out = source, .at = key[0]->string, .end = key[0]->string + key[0]->count };
    g.any = any_but(call, key[1]);
    if (!g.any) return builtin_halt(call), false;
    text_add_string(source, "(?s)\\A(?:");
    while (g.at < g.end && !source->failed)
        if (!step(&g)) return false;
    if (g.depth > 0) return refuse(&g, "unexpected end of input in a list of alternatives");
    text_add_string(source, ")\\z");
    return true;
}

const struct value *builtin_glob_match(struct builtin_call *call, const struct value *const *args)
{
    const struct value *delimiters = args[1];
    for (size_t i = 0; delimiters->kind == VALUE_ARRAY && i < delimiters->count; i++) {
        const struct value *d = delimiters->items[i];
        if (d->kind != VALUE_STRING)
            return builtin_fail_operand(call, 2, "must be array of strings but got array containing %s",
                                        value_kind_name(d->kind));
        if (utf8_count(d->string, d->count) != 1)
            return builtin_fail_operand(call, 2, "must be array of runes but got array containing string");
    }
    const struct pattern *p = pattern_get(call, &PATTERN_GLOB, args);
    int found = p ? pattern_matches(call, p, args[2]) : -1;
    return found < 0 ? NULL : value_bool(found > 0);
}

const struct value *builtin_glob_quote_meta(struct builtin_call *call, const struct value *const *args)
{
    struct text t;
    text_init(&t, call->arena);
    for (size_t i = 0; i < args[0]->count; i++) {
        char c = args[0]->string[i];
        if (c && strchr("*?\\[]{}", c)) text_add_char(&t, '\\');
        text_add_char(&t, c);
    }
    return builtin_text_end(call, &t);
}
