/* Patterns over PCRE2: compiled once per evaluation, matched within a limit that the budget pays. */
#include "policy/builtin_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdio.h>
#include <string.h>

/* Backtracking steps of one search; each costs the budget 1/16 step, paid before. */
#define MATCH_STEPS_MAX 1000000
/* KiB of backtracking memory of one search. */
#define MATCH_HEAP_KIB 8192
#define PATTERN_BYTES_MAX 65536
#define CACHE_MAX 256

struct pattern {
    struct pattern *next;
    char kind;
    const struct value *const *key;
    size_t key_count;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

/* In the arena; call->cache. */
struct builtin_cache {
    struct pattern *patterns;
    size_t count;
    pcre2_general_context *memory;
};

static void *arena_take(PCRE2_SIZE size, void *arena)
{
    return arena_alloc(arena, size);
}

static void arena_keep(void *memory, void *arena)
{
    (void) memory; /* the arena goes as a whole */
    (void) arena;
}

static struct builtin_cache *cache_of(struct builtin_call *call)
{
    if (call->cache) return call->cache;
    struct builtin_cache *c = arena_alloc(call->arena, sizeof *c);
    if (!c || !(c->memory = pcre2_general_context_create(arena_take, arena_keep, call->arena))) return NULL;
    return call->cache = c;
}

static bool same_key(const struct pattern *p, char kind, const struct value *const *key, size_t count)
{
    if (p->kind != kind || p->key_count != count) return false;
    for (size_t i = 0; i < count; i++)
        if (p->key[i] != key[i] && !value_equal(p->key[i], key[i])) return false;
    return true;
}

static pcre2_code *compile(struct builtin_call *call, struct builtin_cache *cache, const char *source, size_t len)
{
    /* RE2's lines end in LF only, its $ is the very end, its ^ in (?m) also follows a final newline. */
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX |
                       PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(cache->memory);
    if (!context) return NULL;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 250);
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR) source, len, options, &code, &offset, context);
    if (!compiled && !arena_failed(call->arena)) {
        PCRE2_UCHAR text[120];
        pcre2_get_error_message(code, text, sizeof text);
        builtin_fail(call, "error parsing regexp: %s", (const char *) text);
    }
    return compiled;
}

static bool prepare(struct builtin_call *call, struct builtin_cache *cache, struct pattern *p)
{
    p->match = pcre2_match_data_create_from_pattern(p->code, cache->memory);
    p->limits = pcre2_match_context_create(cache->memory);
    if (!p->match || !p->limits) return false;
    pcre2_set_match_limit(p->limits, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(p->limits, MATCH_HEAP_KIB);
    return true;
}

const struct pattern *pattern_get(struct builtin_call *call, char kind, const struct value *const *key,
                                  size_t key_count,
                                  bool (*make)(struct builtin_call *call, const struct value *const *key,
                                               struct text *source))
{
    struct builtin_cache *cache = cache_of(call);
    if (!cache) return builtin_halt(call), NULL;
    for (struct pattern *p = cache->patterns; p; p = p->next)
        if (same_key(p, kind, key, key_count)) return p;

    struct text source;
    text_init(&source, call->arena);
    if (!make(call, key, &source)) return NULL;
    struct pattern *p = arena_alloc(call->arena, sizeof *p);
    const struct value **kept = arena_alloc_array(call->arena, key_count, sizeof *kept);
    if (!p || !kept || !text_end(&source) || !builtin_spend(call, 16 + source.len)) return builtin_halt(call), NULL;
    if (source.len > PATTERN_BYTES_MAX) return builtin_fail(call, "error parsing regexp: expression too large"), NULL;
    memcpy(kept, key, key_count * sizeof *kept);
    *p = (struct pattern) { .kind = kind, .key = kept, .key_count = key_count };
    p->code = compile(call, cache, source.data, source.len);
    if (!p->code) return call->problem == BUILTIN_FINE ? builtin_halt(call), NULL : NULL;
    if (!prepare(call, cache, p)) return builtin_halt(call), NULL;
    if (cache->count < CACHE_MAX) {
        p->next = cache->patterns;
        cache->patterns = p;
        cache->count++;
    }
    return p;
}

uint32_t pattern_groups(const struct pattern *p)
{
    uint32_t count = 0;
    pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &count);
    return count;
}

int pattern_search(struct builtin_call *call, const struct pattern *p, const char *s, size_t len, size_t from,
                   struct pattern_match *ret)
{
    if (!builtin_spend(call, 1 + (len - from) / 16)) return -1;
    int rc = pcre2_match(p->code, (PCRE2_SPTR) s, len, from, 0, p->match, p->limits);
    if (rc == PCRE2_ERROR_NOMATCH) return 0;
    if (rc < 0) {
        if (arena_failed(call->arena)) builtin_halt(call);
        else builtin_fail(call, "the pattern needs too many steps on this text");
        builtin_spend(call, MATCH_STEPS_MAX / 16);
        return -1;
    }
    *ret = (struct pattern_match) { pcre2_get_ovector_count(p->match), pcre2_get_ovector_pointer(p->match) };
    return 1;
}

int pattern_group_named(const struct pattern *p, const char *name, size_t len)
{
    char z[64];
    if (len >= sizeof z) return -1;
    memcpy(z, name, len);
    z[len] = 0;
    int number = pcre2_substring_number_from_name(p->code, (PCRE2_SPTR) z);
    return number > 0 ? number : -1;
}
