/* Patterns over PCRE2: compiled once per evaluation, matched within a limit that the budget pays. */
#include "policy/builtin_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdio.h>
#include <string.h>

/* Backtracking is limited for each place where a match may begin. A search starts with little for each
 * and takes all places at once; when that is not enough, it goes on from there with more for each of
 * fewer places, and back again. What it costs at most is the product, which the budget pays before
 * (EFFORT_STEP units of it are a step); beyond the last row the search is given up. */
static const struct effort { uint32_t limit; size_t places; } EFFORTS[] = {
    { 32, SIZE_MAX }, { 512, 256 }, { 8192, 16 }, { 131072, 1 }, { 1000000, 1 },
};
#define EFFORT_COUNT (sizeof EFFORTS / sizeof EFFORTS[0])
#define EFFORT_STEP 64
/* KiB of backtracking memory of one search. */
#define MATCH_HEAP_KIB 8192
#define PATTERN_BYTES_MAX 65536
#define CACHE_MAX 256

struct pattern {
    struct pattern *next;
    char kind;
    const struct value *const *key;
    size_t key_count;
    struct regex_names names;
    bool anchored; /* a match begins where the search does, or not at all */
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    /* The text that was last found to be UTF-8: PCRE2 would look again at each search. */
    const char *checked;
    size_t checked_len;
};

/* In the arena; call->cache. */
struct builtin_cache {
    struct pattern *patterns;
    size_t count;
    pcre2_general_context *memory;
};

static void *take_memory(PCRE2_SIZE size, void *arena)
{
    return arena_alloc(arena, size);
}

static void keep_memory(void *memory, void *arena)
{
    (void) memory; /* the arena goes as a whole */
    (void) arena;
}

static struct builtin_cache *cache_of(struct builtin_call *call)
{
    if (call->cache) return call->cache;
    struct builtin_cache *c = arena_alloc(call->arena, sizeof *c);
    if (!c || !(c->memory = pcre2_general_context_create(take_memory, keep_memory, call->arena))) return NULL;
    return call->cache = c;
}

static bool same_key(const struct pattern *p, char kind, const struct value *const *key, size_t count)
{
    if (p->kind != kind || p->key_count != count) return false;
    for (size_t i = 0; i < count; i++)
        if (p->key[i] != key[i] && !value_equal(p->key[i], key[i])) return false;
    return true;
}

/* The grammar was checked before. What is left: a property's name, which PCRE2 knows, and its limits. */
static void compile_failed(struct builtin_call *call, const char *source, int code, size_t offset)
{
    PCRE2_UCHAR text[120];
    size_t from = offset;
    while (from > 0 && !(source[from] == '\\' && (source[from + 1] == 'p' || source[from + 1] == 'P'))) from--;
    if (code == PCRE2_ERROR_UNKNOWN_UNICODE_PROPERTY) {
        builtin_fail(call, "error parsing regexp: invalid character class range: `%.*s`",
                     offset - from < 100 ? (int) (offset - from) : 100, source + from);
        return;
    }
    pcre2_get_error_message(code, text, sizeof text);
    builtin_limit(call, "error parsing regexp: %s", (const char *) text);
}

static pcre2_code *compile(struct builtin_call *call, struct builtin_cache *cache, const char *source, size_t len)
{
    /* RE2's lines end in LF only, its $ is the very end, its ^ in (?m) also follows a final newline. */
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX |
                       PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
    pcre2_compile_context *context = pcre2_compile_context_create(cache->memory);
    if (!context) return NULL;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 250);
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR) source, len, options, &code, &offset, context);
    if (!compiled && !arena_failed(call->arena)) compile_failed(call, source, code, offset);
    return compiled;
}

static bool prepare(struct builtin_call *call, struct builtin_cache *cache, struct pattern *p)
{
    p->match = pcre2_match_data_create_from_pattern(p->code, cache->memory);
    p->limits = pcre2_match_context_create(cache->memory);
    if (!p->match || !p->limits) return false;
    pcre2_set_heap_limit(p->limits, MATCH_HEAP_KIB);
    uint32_t options = 0;
    pcre2_pattern_info(p->code, PCRE2_INFO_ALLOPTIONS, &options);
    p->anchored = options & PCRE2_ANCHORED;
    return true;
}

struct pattern *pattern_get(struct builtin_call *call, char kind, const struct value *const *key, size_t key_count,
                            bool (*make)(struct builtin_call *call, const struct value *const *key,
                                         struct text *source, struct regex_names *names))
{
    struct builtin_cache *cache = cache_of(call);
    if (!cache) return builtin_halt(call), NULL;
    for (struct pattern *p = cache->patterns; p; p = p->next)
        if (same_key(p, kind, key, key_count)) return p;

    struct text source;
    struct regex_names names = { 0 };
    text_init(&source, call->arena);
    if (!make(call, key, &source, &names)) return NULL;
    struct pattern *p = arena_alloc(call->arena, sizeof *p);
    const struct value **kept = arena_alloc_array(call->arena, key_count, sizeof *kept);
    if (!p || !kept || !text_end(&source) || !builtin_spend(call, 16 + source.len)) return builtin_halt(call), NULL;
    if (source.len > PATTERN_BYTES_MAX) return builtin_limit(call, "error parsing regexp: expression too large"), NULL;
    memcpy(kept, key, key_count * sizeof *kept);
    *p = (struct pattern) { .kind = kind, .key = kept, .key_count = key_count, .names = names };
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

/* ---- searching ---- */

static uint32_t options_for(struct pattern *p, const char *s, size_t len)
{
    if (p->checked != s || p->checked_len != len) {
        for (size_t at = 0; at < len;) {
            uint32_t rune = 0;
            size_t n = utf8_decode(s + at, s + len, &rune);
            if (n == 1 && rune == 0xfffd) return 0; /* PCRE2 finds its way through it */
            at += n;
        }
        p->checked = s;
        p->checked_len = len;
    }
    return PCRE2_NO_UTF_CHECK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* A place is a character's first byte. */
static size_t next_place(const char *s, size_t len, size_t at)
{
    while (at < len && ((unsigned char) s[at] & 0xc0) == 0x80) at++;
    return at;
}

/* The places from..to-1, with so much for each. */
static int search_places(struct pattern *p, const char *s, size_t len, size_t from, size_t to, uint32_t limit)
{
    pcre2_set_match_limit(p->limits, limit);
    pcre2_set_offset_limit(p->limits, to - 1);
    return pcre2_match(p->code, (PCRE2_SPTR) s, len, from, options_for(p, s, len), p->match, p->limits);
}

int pattern_search(struct builtin_call *call, struct pattern *p, const char *s, size_t len, size_t from,
                   struct pattern_match *ret)
{
    size_t end = p->anchored ? from + 1 : len + 1; /* behind the last place */
    for (size_t row = 0; from < end;) {
        const struct effort *e = &EFFORTS[row];
        size_t to = next_place(s, len, from + least(e->places, end - from));
        if (to > end) to = end;
        if (row > 0 && !builtin_spend(call, 1 + (uint64_t) (to - from) * e->limit / EFFORT_STEP)) return -1;
        int rc = search_places(p, s, len, from, to, e->limit);
        if (rc > 0) {
            *ret = (struct pattern_match) { pcre2_get_ovector_count(p->match), pcre2_get_ovector_pointer(p->match) };
            return builtin_spend(call, 1 + (ret->offsets[1] - least(from, ret->offsets[1])) / 16) ? 1 : -1;
        }
        if (rc == PCRE2_ERROR_MATCHLIMIT && row + 1 < EFFORT_COUNT) {
            row++;
            continue;
        }
        if (rc != PCRE2_ERROR_NOMATCH) {
            if (arena_failed(call->arena)) builtin_halt(call);
            else builtin_limit(call, "the pattern needs too many steps on this text");
            return -1;
        }
        if (!builtin_spend(call, 1 + (to - from) / 16)) return -1;
        from = to;
        if (row > 0) row--;
    }
    return 0;
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
