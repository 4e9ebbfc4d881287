#include "broker/base/json.h"

#include <stdlib.h>
#include <string.h>

static void before_value(struct json_out *o)
{
    if (o->need_comma) buf_add_byte(o->buf, ',');
    o->need_comma = true;
}

static void begin(struct json_out *o, uint8_t bracket)
{
    before_value(o);
    buf_add_byte(o->buf, bracket);
    o->need_comma = false;
}

static void end(struct json_out *o, uint8_t bracket)
{
    buf_add_byte(o->buf, bracket);
    o->need_comma = true;
}

void json_begin_object(struct json_out *o) { begin(o, '{'); }
void json_end_object(struct json_out *o) { end(o, '}'); }
void json_begin_array(struct json_out *o) { begin(o, '['); }
void json_end_array(struct json_out *o) { end(o, ']'); }

#define EACH(byte) (0x0101010101010101u * (byte))

/* Whether one of eight bytes is zero, or looks so behind one that is. */
static bool has_zero(uint64_t eight)
{
    return (eight - EACH(1)) & ~eight & EACH(0x80);
}

/* Whether each of eight bytes stands in a string as it is. */
static bool plain_eight(const uint8_t *at)
{
    uint64_t eight;
    memcpy(&eight, at, sizeof eight);
    bool control = has_zero(eight & EACH(0xe0)); /* below 0x20 */
    return !(eight & EACH(0x80)) && !control && !has_zero(eight ^ EACH('"')) && !has_zero(eight ^ EACH('\\'));
}

/* How many bytes from here on stand in a string as they are. Most texts are nothing else, and tokens
 * are long. */
static size_t plain_run(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *p = at;
    while (end - p >= 8 && plain_eight(p)) p += 8;
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
    return (size_t) (p - at);
}

/* One character beyond ASCII, or U+FFFD for a byte that begins none; its length. */
static size_t put_wide(struct buf *out, struct span s)
{
    size_t n = utf8_length(s);
    if (n) buf_add(out, s.data, n);
    else buf_add_str(out, "\xef\xbf\xbd");
    return n ? n : 1;
}

static void put_escape(struct buf *out, uint8_t c)
{
    static const char shorts[] = "\bb\tt\nn\ff\rr\"\"\\\\";
    const char *p = shorts;
    while (*p && (uint8_t) *p != c) p += 2;
    buf_add_byte(out, '\\');
    if (*p) buf_add_byte(out, (uint8_t) p[1]);
    else buf_addf(out, "u%04x", c);
}

/* RFC 8785 3.2.2.2: the two-character escapes where they exist, \u00xx for other controls, and
 * everything else as it is. U+FFFD for what is no text. */
static void put_escaped(struct buf *out, struct span s)
{
    const uint8_t *at = s.data, *end = s.len ? s.data + s.len : s.data; /* s.data may be NULL */
    buf_add_byte(out, '"');
    while (at < end) {
        size_t plain = plain_run(at, end);
        buf_add(out, at, plain);
        at += plain;
        if (at == end) break;
        if (*at < 0x80) put_escape(out, *at++);
        else at += put_wide(out, span_of(at, (size_t) (end - at)));
    }
    buf_add_byte(out, '"');
}

void json_key(struct json_out *o, const char *name)
{
    before_value(o);
    put_escaped(o->buf, span_str(name));
    buf_add_byte(o->buf, ':');
    o->need_comma = false;
}

void json_put_span(struct json_out *o, struct span value)
{
    before_value(o);
    put_escaped(o->buf, value);
}

void json_put_str(struct json_out *o, const char *value) { json_put_span(o, span_str(value)); }

void json_put_raw(struct json_out *o, struct span json_text)
{
    before_value(o);
    buf_add_span(o->buf, json_text);
}

/* By hand: a token has a dozen numbers, and printf costs more than the rest of a member. */
static void put_digits(struct buf *out, uint64_t value, bool negative)
{
    char text[1 + 20]; /* 2^64 has 20 digits */
    char *at = text + sizeof text;
    do *--at = (char) ('0' + value % 10);
    while ((value /= 10) > 0);
    if (negative) *--at = '-';
    buf_add(out, at, (size_t) (text + sizeof text - at));
}

void json_put_int(struct json_out *o, int64_t value)
{
    before_value(o);
    put_digits(o->buf, value < 0 ? -(uint64_t) value : (uint64_t) value, value < 0);
}

void json_put_uint(struct json_out *o, uint64_t value)
{
    before_value(o);
    put_digits(o->buf, value, false);
}

void json_put_bool(struct json_out *o, bool value)
{
    json_put_raw(o, value ? SPAN_LIT("true") : SPAN_LIT("false"));
}

void json_put_null(struct json_out *o) { json_put_raw(o, SPAN_LIT("null")); }

void json_member_str(struct json_out *o, const char *name, const char *value)
{
    json_key(o, name);
    json_put_str(o, value);
}

void json_member_span(struct json_out *o, const char *name, struct span value)
{
    json_key(o, name);
    json_put_span(o, value);
}

void json_member_int(struct json_out *o, const char *name, int64_t value)
{
    json_key(o, name);
    json_put_int(o, value);
}

void json_member_uint(struct json_out *o, const char *name, uint64_t value)
{
    json_key(o, name);
    json_put_uint(o, value);
}

void json_member_bool(struct json_out *o, const char *name, bool value)
{
    json_key(o, name);
    json_put_bool(o, value);
}

void json_member_raw(struct json_out *o, const char *name, struct span json_text)
{
    json_key(o, name);
    json_put_raw(o, json_text);
}

/* ---- RFC 8785 ----------------------------------------------------------------------------- */

/* UTF-16 code units decide the order of members (RFC 8785 3.2.3): code points above U+FFFF sort
 * by their surrogates, before U+E000..U+FFFF. For UTF-8 that means lead bytes 0xf0.. go before
 * 0xee and 0xef. */
static int utf16_rank(uint8_t c)
{
    if (c >= 0xf0) return 0xee + (c - 0xf0);
    return c >= 0xee ? c + 8 : c;
}

static int compare_utf16(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return utf16_rank((uint8_t) *a) - utf16_rank((uint8_t) *b);
}

static int compare_members(const void *a, const void *b)
{
    return compare_utf16(json_name(*(const struct json *) a), json_name(*(const struct json *) b));
}

/* Integers only: nothing that we canonicalise holds other numbers, and ES6 number formatting is
 * a place to be wrong in. */
static void put_canonical_number(struct json_out *o, struct json j)
{
    int64_t i;
    if (json_int(j, &i)) json_put_int(o, i);
    else o->buf->failed = true;
}

static void put_canonical_object(struct json_out *o, struct json j)
{
    size_t count = json_count(j), n = 0;
    _cleanup_free_ struct json *members = calloc(count + 1, sizeof *members);
    if (!members) {
        o->buf->failed = true;
        return;
    }
    for (struct json c = json_first(j); json_present(c); c = json_next(c)) members[n++] = c;
    qsort(members, n, sizeof *members, compare_members);
    json_begin_object(o);
    for (size_t i = 0; i < n; i++) {
        json_key(o, json_name(members[i]));
        json_put_canonical(o, members[i]);
    }
    json_end_object(o);
}

void json_put_canonical(struct json_out *o, struct json j)
{
    switch (json_type(j)) {
    case JSON_OBJECT: put_canonical_object(o, j); break;
    case JSON_ARRAY:
        json_begin_array(o);
        for (struct json c = json_first(j); json_present(c); c = json_next(c))
            json_put_canonical(o, c);
        json_end_array(o);
        break;
    case JSON_STRING: json_put_str(o, json_string(j)); break;
    case JSON_NUMBER: put_canonical_number(o, j); break;
    default: json_put_raw(o, json_text(j));
    }
}
