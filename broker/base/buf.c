#include "broker/base/buf.h"

#include "broker/base/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct span span_str(const char *s)
{
    return (struct span){(const uint8_t *) s, s ? strlen(s) : 0};
}

bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_eq_str(struct span a, const char *s)
{
    return span_eq(a, span_str(s));
}

bool span_starts(struct span a, const char *prefix)
{
    size_t len = strlen(prefix);
    return a.len >= len && memcmp(a.data, prefix, len) == 0;
}

#define CAP_MIN 64 /* bytes */

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

static bool grow(struct buf *b, size_t extra)
{
    size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
    if (b->failed || extra > max || b->len > max - extra) {
        b->failed = true;
        return false;
    }
    size_t want = b->len + extra + 1; /* room for the NUL of buf_str */
    if (want <= b->cap) return true;
    /* What is filled at once, like a copy that is kept, takes no more than it needs. */
    size_t cap = b->cap ? b->cap : want < CAP_MIN ? CAP_MIN : want;
    while (cap < want) cap *= 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

uint8_t *buf_extend(struct buf *b, size_t len)
{
    if (!grow(b, len)) return NULL;
    uint8_t *at = b->data + b->len;
    b->len += len;
    return at;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    if (len == 0) return;
    uint8_t *at = buf_extend(b, len);
    if (at) memcpy(at, data, len);
}

void buf_add_span(struct buf *b, struct span s) { buf_add(b, s.data, s.len); }
void buf_add_str(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }
void buf_add_byte(struct buf *b, uint8_t byte) { buf_add(b, &byte, 1); }

static void put_hex(struct span s, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.len; i++) {
        out[2 * i] = (uint8_t) digits[s.data[i] >> 4];
        out[2 * i + 1] = (uint8_t) digits[s.data[i] & 15];
    }
}

void buf_add_hex(struct buf *b, struct span s)
{
    uint8_t *at = buf_extend(b, s.len * 2);
    if (at) put_hex(s, at);
}

void hex_encode(struct span s, char *ret)
{
    put_hex(s, (uint8_t *) ret);
    ret[2 * s.len] = '\0';
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n < 0) b->failed = true;
    else if (grow(b, (size_t) n)) {
        vsnprintf((char *) b->data + b->len, (size_t) n + 1, fmt, again);
        b->len += (size_t) n;
    }
    va_end(again);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

static void add_big_endian(struct buf *b, uint64_t v, size_t bytes)
{
    uint8_t *at = buf_extend(b, bytes);
    if (!at) return;
    for (size_t i = 0; i < bytes; i++) at[i] = (uint8_t) (v >> (8 * (bytes - 1 - i)));
}

void buf_add_u8(struct buf *b, uint8_t v) { add_big_endian(b, v, 1); }
void buf_add_u16(struct buf *b, uint16_t v) { add_big_endian(b, v, 2); }
void buf_add_u32(struct buf *b, uint32_t v) { add_big_endian(b, v, 4); }
void buf_add_u64(struct buf *b, uint64_t v) { add_big_endian(b, v, 8); }

struct err buf_ok(const struct buf *b)
{
    if (!b->failed) return ERR_OK;
    size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
    FAIL(ERR_TOOLARGE, "a text grew over its limit of %zu bytes, or memory is out", max);
}

const char *buf_str(struct buf *b)
{
    if (b->failed || !grow(b, 0)) return "";
    b->data[b->len] = '\0';
    return (const char *) b->data;
}

uint8_t *buf_steal(struct buf *b, size_t *ret_len)
{
    uint8_t *data = b->data;
    if (ret_len) *ret_len = b->len;
    *b = (struct buf){.max = b->max};
    return data;
}

struct span read_bytes(struct reader *r, size_t len)
{
    if (r->failed || len > r->rest.len) {
        r->failed = true;
        return (struct span){NULL, 0};
    }
    struct span s = {r->rest.data, len};
    if (len) r->rest.data += len;
    r->rest.len -= len;
    return s;
}

static uint64_t read_big_endian(struct reader *r, size_t bytes)
{
    struct span s = read_bytes(r, bytes);
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) v = v << 8 | s.data[i];
    return v;
}

uint8_t read_u8(struct reader *r) { return (uint8_t) read_big_endian(r, 1); }
uint16_t read_u16(struct reader *r) { return (uint16_t) read_big_endian(r, 2); }
uint32_t read_u32(struct reader *r) { return (uint32_t) read_big_endian(r, 4); }
uint64_t read_u64(struct reader *r) { return read_big_endian(r, 8); }

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *text, uint8_t *ret, size_t len)
{
    if (strlen(text) != 2 * len) return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        ret[i] = (uint8_t) (high << 4 | low);
    }
    return true;
}
