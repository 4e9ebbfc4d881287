#include "broker/base/json_check.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <string.h>

struct scanner {
    struct span text;
    size_t at;
    struct json_spans *spans;
};

#define BAD(s, what) FAIL(ERR_USAGE, "not strict JSON at byte %zu: %s", (s)->at, (what))

static int peek(const struct scanner *s)
{
    return s->at < s->text.len ? s->text.data[s->at] : -1;
}

static void skip_space(struct scanner *s)
{
    int c;
    while ((c = peek(s)) == ' ' || c == '\t' || c == '\n' || c == '\r') s->at++;
}

size_t utf8_length(struct span t)
{
    uint8_t c = t.data[0];
    if (c < 0x80) return 1;
    size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || t.len <= more) return 0;
    uint8_t second = t.data[1];
    /* RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF */
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
        (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
        return 0;
    for (size_t k = 1; k <= more; k++)
        if ((t.data[k] & 0xc0) != 0x80) return 0;
    return more + 1;
}

/* How many bytes of ASCII begin here; by eights, since most texts are nothing else. */
static size_t ascii_run(struct span t, size_t from)
{
    size_t i = from;
    for (uint64_t eight; t.len - i >= sizeof eight; i += sizeof eight) {
        memcpy(&eight, t.data + i, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080)) break;
    }
    while (i < t.len && t.data[i] < 0x80) i++;
    return i - from;
}

bool utf8_valid(struct span t)
{
    for (size_t i = 0; (i += ascii_run(t, i)) < t.len;) {
        size_t n = utf8_length((struct span){t.data + i, t.len - i});
        if (n == 0) return false;
        i += n;
    }
    return true;
}

static err_t scan_hex4(struct scanner *s, unsigned *ret)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        int c = peek(s);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) BAD(s, "\\u wants four hex digits");
        v = v << 4 | (unsigned) digit;
    }
    *ret = v;
    return ERR_OK;
}

static err_t scan_escape(struct scanner *s)
{
    int c = peek(s);
    s->at++;
    if (c != 'u') {
        if (c <= 0 || !strchr("\"\\/bfnrt", c)) BAD(s, "unknown escape");
        return ERR_OK;
    }
    unsigned v = 0, low = 0;
    TRY(scan_hex4(s, &v));
    if (v == 0) BAD(s, "\\u0000 is not accepted");
    if (v >= 0xdc00 && v <= 0xdfff) BAD(s, "lone surrogate");
    if (v < 0xd800 || v > 0xdbff) return ERR_OK;
    if (s->text.len - s->at < 2 || memcmp(s->text.data + s->at, "\\u", 2) != 0)
        BAD(s, "lone surrogate");
    s->at += 2;
    TRY(scan_hex4(s, &low));
    if (low < 0xdc00 || low > 0xdfff) BAD(s, "lone surrogate");
    return ERR_OK;
}

/* What needs no look of its own in a string. */
static void skip_plain(struct scanner *s)
{
    const uint8_t *p = s->text.data + s->at, *end = s->text.data + s->text.len;
    while (p < end && *p >= 0x20 && *p != '"' && *p != '\\') p++;
    s->at = (size_t) (p - s->text.data);
}

static err_t scan_string(struct scanner *s)
{
    if (peek(s) != '"') BAD(s, "expected a string");
    s->at++;
    for (;;) {
        skip_plain(s);
        int c = peek(s);
        if (c < 0) BAD(s, "string without its end");
        if (c < 0x20) BAD(s, "control character in a string");
        s->at++;
        if (c == '"') return ERR_OK;
        if (c == '\\') TRY(scan_escape(s));
    }
}

static bool digit(int c) { return c >= '0' && c <= '9'; }

static err_t scan_digits(struct scanner *s)
{
    if (!digit(peek(s))) BAD(s, "expected a digit");
    while (digit(peek(s))) s->at++;
    return ERR_OK;
}

static err_t scan_number(struct scanner *s)
{
    if (peek(s) == '-') s->at++;
    if (peek(s) == '0') s->at++; /* no leading zeros */
    else TRY(scan_digits(s));
    if (peek(s) == '.') {
        s->at++;
        TRY(scan_digits(s));
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') s->at++;
        TRY(scan_digits(s));
    }
    return ERR_OK;
}

static err_t scan_word(struct scanner *s, const char *word)
{
    size_t len = strlen(word);
    if (s->text.len - s->at < len || memcmp(s->text.data + s->at, word, len) != 0)
        BAD(s, "expected a value");
    s->at += len;
    return ERR_OK;
}

static err_t new_span(struct scanner *s, size_t *ret_index)
{
    struct json_spans *p = s->spans;
    if (p->count == JSON_MAX_VALUES)
        FAIL(ERR_TOOLARGE, "JSON with more than %u values", JSON_MAX_VALUES);
    if (p->count == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 32;
        struct span *at = realloc(p->at, cap * sizeof *at);
        if (!at) FAIL(ERR_INTERNAL, "out of memory");
        p->at = at;
        p->cap = cap;
    }
    *ret_index = p->count++;
    return ERR_OK;
}

static err_t scan_value(struct scanner *s, unsigned depth);

static err_t scan_container(struct scanner *s, unsigned depth, char close)
{
    if (depth >= JSON_MAX_DEPTH)
        FAIL(ERR_TOOLARGE, "JSON nested deeper than %u", JSON_MAX_DEPTH);
    s->at++;
    skip_space(s);
    if (peek(s) == close) {
        s->at++;
        return ERR_OK;
    }
    for (;;) {
        if (close == '}') {
            TRY(scan_string(s));
            skip_space(s);
            if (peek(s) != ':') BAD(s, "expected ':'");
            s->at++;
            skip_space(s);
        }
        TRY(scan_value(s, depth + 1));
        skip_space(s);
        int c = peek(s);
        if (c != ',' && c != close) BAD(s, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        s->at++;
        if (c == close) return ERR_OK;
        skip_space(s);
    }
}

static err_t scan_value(struct scanner *s, unsigned depth)
{
    size_t index = 0, begin = s->at;
    TRY(new_span(s, &index));
    switch (peek(s)) {
    case '{': TRY(scan_container(s, depth, '}')); break;
    case '[': TRY(scan_container(s, depth, ']')); break;
    case '"': TRY(scan_string(s)); break;
    case 't': TRY(scan_word(s, "true")); break;
    case 'f': TRY(scan_word(s, "false")); break;
    case 'n': TRY(scan_word(s, "null")); break;
    default: TRY(scan_number(s));
    }
    s->spans->at[index] = (struct span){s->text.data + begin, s->at - begin};
    return ERR_OK;
}

struct err json_check(struct span text, struct json_spans *spans)
{
    if (text.len > JSON_MAX_TEXT)
        FAIL(ERR_TOOLARGE, "JSON text over %u bytes", JSON_MAX_TEXT);
    if (!utf8_valid(text)) FAIL(ERR_USAGE, "not strict JSON: not UTF-8");
    struct scanner s = {.text = text, .spans = spans};
    skip_space(&s);
    TRY(scan_value(&s, 0));
    skip_space(&s);
    if (s.at != text.len) BAD(&s, "text after the value");
    return ERR_OK;
}
