/* Text that grows in an arena. Once something did not fit, `failed` stays set and nothing more is
 * added: callers test at the end. The bytes are not NUL-terminated until text_end. */
#pragma once

#include "policy/arena.h"

struct text {
    struct arena *arena;
    char *data;
    size_t len, cap;
    bool failed;
};

static inline void text_init(struct text *t, struct arena *a)
{
    *t = (struct text) { .arena = a };
}

/* The locale must not decide what a digit is, so <ctype.h> stays out. */
static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 0 to 15, or -1. */
static inline int hex_digit(char c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Makes room for `more` bytes and a NUL; false (and failed) when there is none. */
bool text_reserve_slow(struct text *t, size_t more);

static inline bool text_reserve(struct text *t, size_t more)
{
    return more < t->cap - t->len || text_reserve_slow(t, more);
}

static inline void text_add(struct text *t, const void *data, size_t len)
{
    if (!len || !text_reserve(t, len)) return;
    memcpy(t->data + t->len, data, len);
    t->len += len;
}

static inline void text_add_char(struct text *t, char c)
{
    if (text_reserve(t, 1)) t->data[t->len++] = c;
}

void text_add_string(struct text *t, const char *s);
void text_add_hex(struct text *t, unsigned char c, bool upper); /* two digits */
void text_add_rune(struct text *t, uint32_t rune); /* UTF-8; what is no scalar value becomes U+FFFD */
__attribute__((format(printf, 2, 3))) void text_addf(struct text *t, const char *format, ...);

/* The finished text, NUL-terminated, living in the arena; NULL when something did not fit. */
const char *text_end(struct text *t);

/* Control characters become spaces, those of two bytes (U+0080 to U+009F) two: what comes from elsewhere
 * must not move a cursor. */
void text_tame(char *s, size_t len);

/* Decodes one rune at `at` of [at, end): Go's rules, so a bad byte is U+FFFD of length 1.
 * Returns the number of bytes; 0 only when at == end. */
size_t utf8_decode(const char *at, const char *end, uint32_t *ret_rune);
/* Number of runes by the same rules. */
size_t utf8_count(const char *s, size_t len);
/* Writes at most 4 bytes, returns how many. */
size_t utf8_encode(uint32_t rune, char out[4]);

/* Copies what fits of len bytes of UTF-8, whole characters only, and a NUL; size is at least 1. */
void text_cut(char *to, size_t size, const char *from, size_t len);
