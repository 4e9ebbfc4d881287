#include "policy/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Once it failed, cap is len: so the quick way comes here, too. */
static bool fail(struct text *t)
{
    t->failed = true;
    t->cap = t->len;
    return false;
}

bool text_reserve_slow(struct text *t, size_t more)
{
    if (t->failed || more > SIZE_MAX / 4 || t->len > SIZE_MAX / 4) return fail(t);
    size_t cap = t->cap ? t->cap * 2 : 64;
    if (cap < t->len + more + 1) cap = t->len + more + 1;
    char *data = arena_take(t->arena, cap);
    if (!data) return fail(t);
    if (t->len) memcpy(data, t->data, t->len);
    t->data = data;
    t->cap = cap;
    return true;
}

void text_add_string(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

void text_add_hex(struct text *t, unsigned char c, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    const char pair[2] = { digits[c >> 4], digits[c & 15] };

    text_add(t, pair, sizeof pair);
}

void text_add_rune(struct text *t, uint32_t rune)
{
    char bytes[4];

    if (rune < 0x80) text_add_char(t, (char) rune);
    else text_add(t, bytes, utf8_encode(rune, bytes));
}

void text_addf(struct text *t, const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0) {
        fail(t);
    } else if (text_reserve(t, (size_t) len)) {
        vsnprintf(t->data + t->len, (size_t) len + 1, format, again);
        t->len += (size_t) len;
    }
    va_end(again);
}

void text_tame(char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) s[i], next = i + 1 < len ? (unsigned char) s[i + 1] : 0;
        if (c == 0xc2 && next >= 0x80 && next < 0xa0) s[i] = s[i + 1] = ' ';
        else if (c < 0x20 || c == 0x7f) s[i] = ' ';
    }
}

const char *text_end(struct text *t)
{
    if (t->failed || !text_reserve(t, 0)) return NULL;
    t->data[t->len] = '\0';
    return t->data;
}

/* ---- UTF-8 (RFC 3629) ---- */

static const uint32_t REPLACEMENT = 0xFFFD;

static bool is_scalar(uint32_t rune)
{
    return rune <= 0x10FFFF && !(rune >= 0xD800 && rune <= 0xDFFF);
}

size_t utf8_decode(const char *at, const char *end, uint32_t *ret_rune)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };

    if (at >= end) return 0;
    unsigned char first = (unsigned char) *at;
    *ret_rune = first;
    if (first < 0x80) return 1;
    size_t len = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    *ret_rune = REPLACEMENT;
    if (first < 0xC2 || first > 0xF4 || (size_t) (end - at) < len) return 1;
    uint32_t rune = first & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char) at[i];

        if ((c & 0xC0) != 0x80) return 1;
        rune = rune << 6 | (c & 0x3Fu);
    }
    if (rune < smallest[len] || !is_scalar(rune)) return 1;
    *ret_rune = rune;
    return len;
}

size_t utf8_count(const char *s, size_t len)
{
    const char *end = s + len;
    size_t count = 0;
    uint32_t rune;

    for (; s < end; count++) s += utf8_decode(s, end, &rune);
    return count;
}

size_t utf8_encode(uint32_t rune, char out[4])
{
    if (!is_scalar(rune)) rune = REPLACEMENT;
    if (rune < 0x80) {
        out[0] = (char) rune;
        return 1;
    }
    size_t len = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (size_t i = len; --i; rune >>= 6) out[i] = (char) (0x80 | (rune & 0x3F));
    out[0] = (char) ((0xF00u >> len & 0xF0) | rune);
    return len;
}

void text_cut(char *to, size_t size, const char *from, size_t len)
{
    if (len > size - 1) {
        len = size - 1;
        while (len > 0 && ((unsigned char) from[len] & 0xc0) == 0x80) len--;
    }
    memcpy(to, from, len);
    to[len] = '\0';
}
