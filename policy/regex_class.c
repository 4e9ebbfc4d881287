#include "policy/regex_class.h"

#include "policy/arena.h"
#include "policy/text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

static void *take_memory(PCRE2_SIZE size, void *arena)
{
    return arena_take(arena, size);
}

static void keep_memory(void *memory, void *arena)
{
    (void) memory; /* the arena goes as a whole */
    (void) arena;
}

static bool has(const pcre2_code *code, pcre2_match_data *match, uint32_t rune)
{
    char bytes[4];
    size_t len = utf8_encode(rune, bytes);
    return pcre2_match(code, (PCRE2_SPTR) bytes, len, 0, PCRE2_NO_UTF_CHECK, match, NULL) >= 0;
}

static pcre2_match_data *match_new(struct arena *a, const pcre2_code *code)
{
    pcre2_general_context *memory = pcre2_general_context_create(take_memory, keep_memory, a);
    return memory ? pcre2_match_data_create_from_pattern(code, memory) : NULL;
}

/* Written in ASCII, with nothing that reaches beyond. */
static bool is_ascii(const char *source, size_t len)
{
    if (source[0] != '[' || source[1] == '^') return false;
    for (size_t i = 1; i < len; i++) {
        if ((unsigned char) source[i] >= 0x80) return false;
        if (source[i] == '\\' && strchr("pPDSWx", source[++i])) return false;
        if (source[i] == '[' && source[i + 1] == ':' && source[i + 2] == '^') return false;
    }
    return true;
}

bool regex_class_make(struct arena *a, const char *source, size_t len, bool ignore_case, struct regex_class *ret)
{
    pcre2_general_context *memory = pcre2_general_context_create(take_memory, keep_memory, a);
    pcre2_compile_context *context = memory ? pcre2_compile_context_create(memory) : NULL;
    int problem = 0;
    PCRE2_SIZE offset = 0;
    *ret = (struct regex_class) { .code = NULL };
    if (!context) return false;
    uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C | (ignore_case ? PCRE2_CASELESS : 0);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR) source, len, options, &problem, &offset, context);
    pcre2_match_data *match = code ? match_new(a, code) : NULL;
    if (!match) return false;
    for (uint32_t c = 0; c < 128; c++)
        if (has(code, match, c)) ret->ascii[c / 64] |= (uint64_t) 1 << c % 64;
    if (ignore_case || !is_ascii(source, len)) ret->code = code;
    return !arena_failed(a);
}

bool regex_class_has_slow(const struct regex_class *c, uint32_t rune, struct arena *a, void **match)
{
    if (!*match) *match = match_new(a, c->code);
    return *match && has(c->code, *match, rune);
}
