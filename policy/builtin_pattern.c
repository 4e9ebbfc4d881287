/* Patterns: compiled once per program or evaluation, matched in linear time, which the budget pays. */
#include "policy/builtin_pattern.h"

#include "policy/regex_program.h"

#include <string.h>

#define PATTERN_BYTES_MAX 65536
#define CACHE_MAX 256      /* of an evaluation; more patterns are compiled each time */
#define CLASS_STEPS 250    /* of making a class: 128 characters are asked about */

const struct pattern_use PATTERN_FIRST = { pattern_make_regex, { 0 }, 1 };
const struct pattern_use PATTERN_SECOND = { pattern_make_regex, { 1 }, 1 };
const struct pattern_use PATTERN_TEMPLATE = { pattern_make_template, { 0, 2, 3 }, 3 };
const struct pattern_use PATTERN_GLOB = { pattern_make_glob, { 0, 1 }, 2 };

static const struct { const char *function; const struct pattern_use *use; } USERS[] = {
    { "regex.match", &PATTERN_FIRST },      { "regex.split", &PATTERN_FIRST },
    { "regex.find_n", &PATTERN_FIRST },     { "regex.find_all_string_submatch_n", &PATTERN_FIRST },
    { "regex.replace", &PATTERN_SECOND },   { "regex.template_match", &PATTERN_TEMPLATE },
    { "glob.match", &PATTERN_GLOB },
};

const struct pattern_use *pattern_use_of(const struct builtin *row)
{
    for (size_t i = 0; i < sizeof USERS / sizeof USERS[0]; i++)
        if (strcmp(USERS[i].function, row->name) == 0) return USERS[i].use;
    return NULL;
}

struct pattern {
    const struct pattern *next;
    pattern_make *make;
    const struct value *const *key;
    struct regex_names names;
    const struct regex_program *program;
};

struct builtin_patterns {
    const struct pattern *first;
    size_t count;
};

/* In the arena; call->cache. */
struct builtin_cache {
    struct builtin_patterns patterns;
    struct regex_scratch scratch;
    size_t *offsets;
    size_t offset_room;
};

static struct builtin_cache *cache_of(struct builtin_call *call)
{
    if (call->cache) return call->cache;
    struct builtin_cache *c = arena_alloc(call->arena, sizeof *c);
    if (!c) return NULL;
    c->scratch = (struct regex_scratch) { .arena = call->arena, .budget = call->budget };
    return call->cache = c;
}

/* ---- finding ---- */

static bool same_key(const struct pattern *p, const struct pattern_use *use, const struct value *const *args)
{
    if (p->make != use->make) return false;
    for (size_t i = 0; i < use->count; i++)
        if (!value_equal(p->key[i], args[use->operands[i]])) return false;
    return true;
}

/* *ret_passed: how many others it was behind. */
static const struct pattern *find(const struct builtin_patterns *set, const struct pattern_use *use,
                                  const struct value *const *args, uint64_t *ret_passed)
{
    const struct pattern *p = set ? set->first : NULL;

    for (*ret_passed = 0; p && !same_key(p, use, args); p = p->next) ++*ret_passed;
    return p;
}

/* ---- compiling ---- */

/* NULL: call->problem says why. */
static const struct regex_program *compile(struct builtin_call *call, const struct text *source)
{
    struct regex_refusal refusal = { 0 };
    if (source->len > PATTERN_BYTES_MAX) return builtin_limit(call, "error parsing regexp: expression too large"), NULL;
    const struct regex_program *program = regex_compile(call->arena, source->data, source->len, &refusal);
    if (!program && refusal.limit) return builtin_limit(call, "error parsing regexp: %s", refusal.kind), NULL;
    if (!program && refusal.near)
        return builtin_fail(call, "error parsing regexp: %s: `%.*s`", refusal.kind,
                            (int) (refusal.near_len < 100 ? refusal.near_len : 100), refusal.near), NULL;
    if (!program && refusal.kind) return builtin_fail(call, "error parsing regexp: %s", refusal.kind), NULL;
    if (!program) return builtin_halt(call), NULL;
    uint64_t steps = program->count / 4 + program->class_count * CLASS_STEPS;
    return builtin_spend(call, steps) ? program : NULL;
}

static const struct pattern *make(struct builtin_call *call, const struct pattern_use *use,
                                  const struct value *const *args)
{
    struct text source;
    struct regex_names names = { 0 };
    text_init(&source, call->arena);
    const struct value *key[PATTERN_KEY_MAX];
    for (size_t i = 0; i < use->count; i++) key[i] = args[use->operands[i]];
    if (!use->make(call, key, &source, &names)) return NULL;
    struct pattern *p = arena_alloc(call->arena, sizeof *p);
    const struct value **kept = arena_alloc_array(call->arena, use->count, sizeof *kept);
    if (!p || !kept || !text_end(&source) || !builtin_spend(call, 16 + source.len)) return builtin_halt(call), NULL;
    memcpy(kept, key, use->count * sizeof *kept);
    *p = (struct pattern) { .make = use->make, .key = kept, .names = names };
    p->program = compile(call, &source);
    return p->program ? p : NULL;
}

const struct pattern *pattern_get(struct builtin_call *call, const struct pattern_use *use,
                                  const struct value *const *args)
{
    uint64_t passed;
    const struct pattern *known = find(call->patterns, use, args, &passed);
    if (!builtin_spend(call, passed)) return NULL;
    if (known) return known;
    struct builtin_cache *cache = cache_of(call);
    if (!cache) return builtin_halt(call), NULL;
    known = find(&cache->patterns, use, args, &passed);
    if (!builtin_spend(call, passed)) return NULL;
    if (known) return known;
    const struct pattern *made = make(call, use, args);
    if (!made || cache->patterns.count == CACHE_MAX) return made;
    ((struct pattern *) made)->next = cache->patterns.first;
    cache->patterns.first = made;
    cache->patterns.count++;
    return made;
}

/* A string; for a glob's delimiters null or strings. */
static bool may_be_key(const struct value *v)
{
    if (v->kind != VALUE_ARRAY) return v->kind == VALUE_STRING || v->kind == VALUE_NULL;
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i]->kind != VALUE_STRING) return false;
    return true;
}

bool pattern_prepare(struct arena *a, const struct builtin_patterns **set, const struct pattern_use *use,
                     const struct value *const *args)
{
    struct builtin_call call = { .arena = a };
    struct builtin_patterns *more = arena_alloc(a, sizeof *more);
    uint64_t passed;
    if (!more || args[use->operands[0]]->kind != VALUE_STRING || find(*set, use, args, &passed)) return false;
    for (size_t i = 0; i < use->count; i++)
        if (!may_be_key(args[use->operands[i]])) return false;
    const struct pattern *made = make(&call, use, args);
    if (!made) return false;
    ((struct pattern *) made)->next = *set ? (*set)->first : NULL;
    *more = (struct builtin_patterns) { made, *set ? (*set)->count + 1 : 1 };
    *set = more;
    return true;
}

/* ---- searching ---- */

uint32_t pattern_groups(const struct pattern *p)
{
    return p->program->groups;
}

static int outcome(struct builtin_call *call, enum regex_outcome o)
{
    if (o == REGEX_SPENT) builtin_halt(call);
    return o == REGEX_SPENT ? -1 : o == REGEX_FOUND;
}

int pattern_matches(struct builtin_call *call, const struct pattern *p, const struct value *text)
{
    struct builtin_cache *cache = cache_of(call);
    if (!cache) return builtin_halt(call), -1;
    return outcome(call, regex_search(&cache->scratch, p->program, text->string, text->count, 0, NULL, 0));
}

int pattern_search(struct builtin_call *call, const struct pattern *p, const char *s, size_t len, size_t from,
                   bool groups, struct pattern_match *ret)
{
    struct builtin_cache *cache = cache_of(call);
    size_t count = groups ? 2 * ((size_t) p->program->groups + 1) : 2;
    if (cache && cache->offset_room < count) {
        cache->offsets = arena_alloc_array(call->arena, count, sizeof *cache->offsets);
        cache->offset_room = cache->offsets ? count : 0;
    }
    if (!cache || !cache->offsets) return builtin_halt(call), -1;
    *ret = (struct pattern_match) { (uint32_t) count / 2, cache->offsets };
    return outcome(call, regex_search(&cache->scratch, p->program, s, len, from, cache->offsets, count));
}

int pattern_group_named(const struct pattern *p, const struct pattern_match *match, const char *name, size_t len)
{
    for (size_t i = 0; i < p->names.count; i++) {
        const struct regex_name *n = &p->names.items[i];
        if (n->len != len || memcmp(n->at, name, len) != 0) continue;
        if (n->group < match->count && match->offsets[2 * n->group] != SIZE_MAX) return (int) n->group;
    }
    return -1;
}
