/* regex.*: Go's regexp on top of the shared patterns. */
#include "policy/builtin_pattern.h"
#include "policy/regex_syntax.h"

#include <string.h>

static bool translate(struct builtin_call *call, struct text *source, const char *s, size_t len,
                      struct regex_names *names)
{
    struct regex_problem problem = { 0 };
    if (regex_translate(source, s, len, names, &problem)) return true;
    int near = problem.near_len < 200 ? (int) problem.near_len : 200;
    if (problem.limit) builtin_limit(call, "error parsing regexp: %s", problem.kind);
    else builtin_fail(call, "error parsing regexp: %s: `%.*s`", problem.kind, near, near ? problem.near : "");
    return false;
}

bool pattern_make_regex(struct builtin_call *call, const struct value *const *key, struct text *source,
                        struct regex_names *names)
{
    return translate(call, source, key[0]->string, key[0]->count, names);
}

/* ---- all matches ---- */

/* Go's rule: an empty match right behind the match before does not count. */
struct search {
    struct builtin_call *call;
    const struct pattern *pattern;
    const char *s;
    size_t len, from, last_end;
    bool groups; /* they are wanted, too */
    struct pattern_match match;
};

static size_t rune_at(const struct search *x, size_t at)
{
    uint32_t rune = 0;
    size_t n = utf8_decode(x->s + at, x->s + x->len, &rune);
    return n ? n : 1;
}

/* As pattern_search. */
static int next_match(struct search *x)
{
    while (x->from <= x->len) {
        int found = pattern_search(x->call, x->pattern, x->s, x->len, x->from, x->groups, &x->match);
        if (found <= 0) return found;
        size_t start = x->match.offsets[0], end = x->match.offsets[1];
        bool accept = !(end == x->from && start == x->last_end && start == end);
        x->from = end == x->from ? x->from + rune_at(x, x->from) : end;
        x->last_end = end;
        if (accept) return 1;
    }
    return 0;
}

static struct search search_of(struct builtin_call *call, const struct pattern *p, const struct value *s)
{
    return (struct search) { .call = call, .pattern = p, .s = s->string, .len = s->count, .last_end = SIZE_MAX };
}

static const struct value *group_value(const struct search *x, uint32_t group)
{
    const size_t *o = &x->match.offsets[2 * group];
    if (group >= x->match.count || o[0] == SIZE_MAX) return &VALUE_EMPTY_STRING;
    return value_string(x->call->arena, x->s + o[0], o[1] - o[0]);
}

/* ---- the functions ---- */

const struct value *builtin_regex_match(struct builtin_call *call, const struct value *const *args)
{
    const struct pattern *p = pattern_get(call, &PATTERN_FIRST, args);
    int found = p ? pattern_matches(call, p, args[1]) : -1;
    return found < 0 ? NULL : value_bool(found > 0);
}

const struct value *builtin_regex_is_valid(struct builtin_call *call, const struct value *const *args)
{
    if (args[0]->kind != VALUE_STRING) return value_bool(false);
    const struct pattern *p = pattern_get(call, &PATTERN_FIRST, args);
    if (!p && call->problem == BUILTIN_HALT) return NULL;
    call->problem = BUILTIN_FINE;
    return value_bool(p != NULL);
}

static const struct value *whole_match(const struct search *x)
{
    return group_value(x, 0);
}

static const struct value *all_groups(const struct search *x)
{
    struct value_builder groups;
    value_builder_init(&groups, x->call->arena, VALUE_ARRAY);
    for (uint32_t i = 0; i <= pattern_groups(x->pattern); i++)
        if (!value_builder_add(&groups, group_value(x, i))) return builtin_halt(x->call);
    return builtin_builder_end(x->call, &groups);
}

/* What `of` makes of the first args[2] matches, or of all when that is negative. */
static const struct value *find_all(struct builtin_call *call, const struct value *const *args,
                                    const struct value *(*of)(const struct search *x))
{
    int64_t limit = 0;
    const struct pattern *p = pattern_get(call, &PATTERN_FIRST, args);
    if (!p || !builtin_integer(call, 3, args[2], &limit)) return NULL;
    struct search x = search_of(call, p, args[1]);
    x.groups = of == all_groups;
    struct value_builder found;
    value_builder_init(&found, call->arena, VALUE_ARRAY);
    while (limit < 0 || found.count < (uint64_t) limit) {
        int more = next_match(&x);
        if (more < 0) return NULL;
        if (more == 0) break;
        if (!value_builder_add(&found, of(&x))) return builtin_halt(call);
    }
    return builtin_builder_end(call, &found);
}

const struct value *builtin_regex_find_n(struct builtin_call *call, const struct value *const *args)
{
    return find_all(call, args, whole_match);
}

const struct value *builtin_regex_find_all_string_submatch_n(struct builtin_call *call,
                                                             const struct value *const *args)
{
    return find_all(call, args, all_groups);
}

const struct value *builtin_regex_split(struct builtin_call *call, const struct value *const *args)
{
    const struct pattern *p = pattern_get(call, &PATTERN_FIRST, args);
    if (!p) return NULL;
    struct search x = search_of(call, p, args[1]);
    struct value_builder parts;
    value_builder_init(&parts, call->arena, VALUE_ARRAY);
    size_t begin = 0, end = 0;
    bool whole = args[0]->count > 0 && x.len == 0; /* Go: [""] whatever the pattern */
    for (int more; !whole && (more = next_match(&x)) != 0;) {
        if (more < 0) return NULL;
        end = x.match.offsets[0];
        if (x.match.offsets[1] != 0 && !value_builder_add(&parts, value_string(call->arena, x.s + begin, end - begin)))
            return builtin_halt(call);
        begin = x.match.offsets[1];
    }
    if ((whole || end != x.len) && !value_builder_add(&parts, value_string(call->arena, x.s + begin, x.len - begin)))
        return builtin_halt(call);
    return builtin_builder_end(call, &parts);
}

/* ---- replacing ---- */

static bool name_char(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* $name, ${name}, $1; `at` stands behind the dollar. Returns what follows, NULL when it is no reference. */
static const char *reference(const char *at, const char *end, const char **ret_name, size_t *ret_len)
{
    bool braces = at < end && *at == '{';
    const char *name = at + braces, *to = name;
    while (to < end && name_char(*to)) to++;
    if (to == name || (braces && (to == end || *to != '}'))) return NULL;
    *ret_name = name;
    *ret_len = (size_t) (to - name);
    return to + braces;
}

static int group_number(const struct search *x, const char *name, size_t len)
{
    int n = 0;
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9') return pattern_group_named(x->pattern, &x->match, name, len);
        if (n > PATTERN_GROUPS_MAX * 100) return -1;
        n = n * 10 + (name[i] - '0');
    }
    return n;
}

static void expand(const struct search *x, struct text *out, const struct value *template)
{
    const char *at = template->string, *end = at + template->count;
    while (at < end && !out->failed) {
        const char *dollar = memchr(at, '$', (size_t) (end - at));
        text_add(out, at, (size_t) ((dollar ? dollar : end) - at));
        if (!dollar) return;
        at = dollar + 1;
        const char *name = NULL;
        size_t len = 0;
        const char *after = reference(at, end, &name, &len);
        if (after) {
            int group = group_number(x, name, len);
            const struct value *v = group >= 0 ? group_value(x, (uint32_t) group) : &VALUE_EMPTY_STRING;
            if (v) text_add(out, v->string, v->count);
            at = after;
        } else {
            text_add_char(out, '$');
            if (at < end && *at == '$') at++;
        }
    }
}

const struct value *builtin_regex_replace(struct builtin_call *call, const struct value *const *args)
{
    const struct pattern *p = pattern_get(call, &PATTERN_SECOND, args);
    if (!p) return NULL;
    struct search x = search_of(call, p, args[0]);
    x.groups = memchr(args[2]->string, '$', args[2]->count) != NULL;
    struct text out;
    text_init(&out, call->arena);
    size_t copied = 0;
    while (x.from <= x.len && !out.failed) {
        int found = pattern_search(call, p, x.s, x.len, x.from, x.groups, &x.match);
        if (found < 0 || !builtin_spend(call, 1)) return NULL;
        if (found == 0) break;
        size_t start = x.match.offsets[0], end = x.match.offsets[1];
        text_add(&out, x.s + copied, start - copied);
        /* not for an empty match right behind another one */
        if (end > copied || start == 0) expand(&x, &out, args[2]);
        copied = end;
        x.from = end > x.from ? end : x.from + rune_at(&x, x.from);
    }
    text_add(&out, x.s + copied, x.len - copied);
    return builtin_text_end(call, &out);
}

/* ---- templates: literal text with expressions between delimiters ---- */

static bool append_part(struct builtin_call *call, struct text *source, const char *s, size_t len,
                        struct regex_names *names)
{
    text_add_string(source, "(");
    if (!translate(call, source, s, len, names)) return false;
    text_add_string(source, ")");
    return true;
}

static bool unbalanced(struct builtin_call *call, const struct value *template)
{
    builtin_fail(call, "unbalanced braces in \"%s\"", template->string);
    return false;
}

/* key: template, opening and closing delimiter. */
bool pattern_make_template(struct builtin_call *call, const struct value *const *key, struct text *source,
                           struct regex_names *names)
{
    char open = key[1]->string[0], close = key[2]->string[0];
    const char *at = key[0]->string, *end = at + key[0]->count, *literal = at, *inside = NULL;
    unsigned depth = 0;
    text_add_string(source, "^");
    for (; at < end; at++) {
        if (*at == open && depth++ == 0) {
            regex_quote(source, literal, (size_t) (at - literal));
            inside = at + 1;
        } else if (*at == close && open != close) {
            if (depth == 0) return unbalanced(call, key[0]);
            if (--depth > 0) continue;
            if (!append_part(call, source, inside, (size_t) (at - inside), names)) return false;
            literal = at + 1;
        }
    }
    if (depth > 0) return unbalanced(call, key[0]);
    regex_quote(source, literal, (size_t) (end - literal));
    text_add_string(source, "$");
    return true;
}

const struct value *builtin_regex_template_match(struct builtin_call *call, const struct value *const *args)
{
    static const char *const WHICH[] = { "start", "end" };
    for (unsigned i = 0; i < 2; i++)
        if (args[2 + i]->count != 1)
            return builtin_fail(call, "%s delimiter has to be exactly one character long but is %u long", WHICH[i],
                                (unsigned) args[2 + i]->count);
    const struct pattern *p = pattern_get(call, &PATTERN_TEMPLATE, args);
    int found = p ? pattern_matches(call, p, args[1]) : -1;
    return found < 0 ? NULL : value_bool(found > 0);
}
