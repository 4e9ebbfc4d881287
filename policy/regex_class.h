/* Character classes: \p{Greek}, [^a-z], and single characters whose case does not matter. ASCII is a table;
 * for everything else PCRE2, which knows Unicode, is asked about the one character. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct regex_class {
    uint64_t ascii[2]; /* bits by character */
    void *code;        /* pcre2_code; NULL: nothing beyond ASCII */
};

/* source: one class or escape, as PCRE2 writes it, with a NUL somewhere behind. False: PCRE2 refuses it, or memory
 * is short (the arena failed then). */
bool regex_class_make(struct arena *a, const char *source, size_t len, bool ignore_case, struct regex_class *ret);

/* *match is pcre2_match_data of the arena, made when first needed. */
bool regex_class_has_slow(const struct regex_class *c, uint32_t rune, struct arena *a, void **match);

static inline bool regex_class_has(const struct regex_class *c, uint32_t rune, struct arena *a, void **match)
{
    if (rune < 128) return c->ascii[rune / 64] >> rune % 64 & 1;
    return c->code && regex_class_has_slow(c, rune, a, match);
}
