#include "broker/cmd/local_json.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/jose/b64url.h"

#include <string.h>

#define END (-1)
#define PIECE 4096 /* characters of base64 that are decoded together; a multiple of 4 */

struct parser {
    const struct local_json_source *source;
    const struct local_json_visitor *visitor;
    struct secret *window;
    size_t at, len;  /* in the window */
    uint64_t offset; /* of the window in the text */
    bool ended;
};

static err_t malformed(const struct parser *p, const char *what)
{
    FAIL(ERR_USAGE, "byte %llu: %s", (unsigned long long) (p->offset + p->at), what);
}

/* The next byte, or END, without taking it. */
static err_t peek(struct parser *p, int *ret)
{
    if (p->at == p->len && !p->ended) {
        size_t got = 0;
        TRY(p->source->read(p->source->arg, secret_data(p->window), secret_len(p->window), &got));
        p->offset += p->len;
        p->at = 0;
        p->len = got;
        p->ended = got == 0;
    }
    *ret = p->at < p->len ? secret_data(p->window)[p->at] : END;
    return ERR_OK;
}

/* The next byte that is no white space. */
static err_t peek_word(struct parser *p, int *ret)
{
    for (;;) {
        TRY(peek(p, ret));
        if (*ret != ' ' && *ret != '\t' && *ret != '\n' && *ret != '\r') return ERR_OK;
        p->at++;
    }
}

static err_t take(struct parser *p, int wanted, const char *what)
{
    int c = END;
    TRY(peek_word(p, &c));
    if (c != wanted) return malformed(p, what);
    p->at++;
    return ERR_OK;
}

/* ---- texts --------------------------------------------------------------------------------- */

/* Where a text goes: nowhere, as it is, or decoded from base64url. What does not fit or is no base64
 * is dropped and told. */
struct sink {
    struct secret_buf *buf;   /* NULL: nowhere */
    struct secret_buf *piece; /* of base64 that waits; NULL: the text goes as it is */
    bool padded, over, wrong;
};

static err_t put_plain(struct sink *s, struct span bytes)
{
    s->over = s->over || bytes.len > s->buf->max - s->buf->len;
    return s->over ? ERR_OK : secret_buf_add(s->buf, bytes.data, bytes.len);
}

/* Padding ends the text, so a piece that had some is the last one. */
static err_t decode_piece(struct sink *s)
{
    _cleanup_secret_ struct secret *decoded = NULL;
    struct span in = s->piece->block ? span_of(secret_data(s->piece->block), s->piece->len)
                                     : span_of(NULL, 0);
    size_t pad = 0;
    while (pad < 2 && pad < in.len && in.data[in.len - 1 - pad] == '=') pad++;
    s->wrong = s->wrong || in.len % 4 != 0 || (in.len && s->padded);
    s->padded = s->padded || pad;
    s->piece->len = 0;
    if (s->wrong) return ERR_OK;
    struct err e = b64url_decode_secret(span_of(in.data, in.len - pad), &decoded);
    s->wrong = e.code == ERR_USAGE;
    if (s->wrong) return ERR_OK;
    TRY(e);
    return put_plain(s, secret_span(decoded));
}

static err_t put_base64(struct sink *s, const uint8_t *bytes, size_t len)
{
    while (len && !s->over && !s->wrong) {
        size_t room = PIECE - s->piece->len, n = len < room ? len : room;
        TRY(secret_buf_add(s->piece, bytes, n));
        bytes += n;
        len -= n;
        if (s->piece->len == PIECE) TRY(decode_piece(s));
    }
    return ERR_OK;
}

static err_t put(struct sink *s, const uint8_t *bytes, size_t len)
{
    if (!s->buf) return ERR_OK;
    if (s->piece) return put_base64(s, bytes, len);
    return put_plain(s, span_of(bytes, len));
}

static err_t put_utf8(struct sink *s, uint32_t c)
{
    uint8_t b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) b[i] = (uint8_t) (0x80 | (c & 0x3f));
    b[0] = (uint8_t) (lead[n] | c);
    return put(s, b, n);
}

static err_t hex4(struct parser *p, uint32_t *ret)
{
    *ret = 0;
    for (int i = 0; i < 4; i++) {
        int c = END;
        TRY(peek(p, &c));
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t) c - '0'
                         : c >= 'a' && c <= 'f' ? (uint32_t) c - 'a' + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t) c - 'A' + 10
                                                : 16;
        if (digit == 16) return malformed(p, "four hex digits are expected after \\u");
        *ret = *ret << 4 | digit;
        p->at++;
    }
    return ERR_OK;
}

static bool in_range(uint32_t c, uint32_t from, uint32_t to) { return c >= from && c <= to; }

/* After "\u". */
static err_t unicode(struct parser *p, struct sink *s)
{
    uint32_t c = 0, low = 0;
    int next = END;
    TRY(hex4(p, &c));
    if (in_range(c, 0xdc00, 0xdfff)) return malformed(p, "a lone surrogate");
    if (!in_range(c, 0xd800, 0xdbff)) return put_utf8(s, c);
    for (const char *wanted = "\\u"; *wanted; wanted++, p->at++) {
        TRY(peek(p, &next));
        if (next != *wanted) return malformed(p, "a lone surrogate");
    }
    TRY(hex4(p, &low));
    if (!in_range(low, 0xdc00, 0xdfff)) return malformed(p, "a lone surrogate");
    return put_utf8(s, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
}

static err_t escape(struct parser *p, struct sink *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = END;
    TRY(peek(p, &c));
    if (c == END) return malformed(p, "a text does not end");
    p->at++;
    if (c == 'u') return unicode(p, s);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found) return malformed(p, "an unknown escape");
    return put(s, (const uint8_t *) &to[found - from], 1);
}

/* How many bytes of the window stand for themselves. */
static size_t plain_run(const struct parser *p)
{
    const uint8_t *from = secret_data(p->window);
    size_t i = p->at;
    while (i < p->len && from[i] >= 0x20 && from[i] != '"' && from[i] != '\\') i++;
    return i - p->at;
}

static err_t text(struct parser *p, struct sink *s)
{
    int c = END;
    TRY(take(p, '"', "a text is expected"));
    for (;;) {
        TRY(peek(p, &c));
        if (c == END) return malformed(p, "a text does not end");
        if (c < 0x20) return malformed(p, "a control character in a text");
        size_t run = plain_run(p);
        if (run) {
            TRY(put(s, secret_data(p->window) + p->at, run));
            p->at += run;
            continue;
        }
        p->at++;
        if (c == '"') return ERR_OK;
        TRY(escape(p, s));
    }
}

/* ---- values that are no text: passed over -------------------------------------------------- */

static err_t pass_word(struct parser *p)
{
    static const char chars[] = "+-.0123456789Eabcdefghijklmnopqrstuvwxyz";
    size_t count = 0;
    for (int c = END;; p->at++, count++) {
        TRY(peek(p, &c));
        if (c <= 0 || !strchr(chars, c)) break;
    }
    return count ? ERR_OK : malformed(p, "a value is expected");
}

/* Bounded by JSON_MAX_DEPTH. */
static err_t pass_value(struct parser *p, unsigned depth)
{
    struct sink nowhere = {0};
    int c = END;
    TRY(peek_word(p, &c));
    if (c == '"') return text(p, &nowhere);
    if (c != '{' && c != '[') return pass_word(p);
    if (depth == JSON_MAX_DEPTH) return malformed(p, "nested too deep");
    const int close = c == '{' ? '}' : ']';
    p->at++;
    TRY(peek_word(p, &c));
    for (bool first = true; c != close; first = false) {
        if (!first) TRY(take(p, ',', "a comma or the end is expected"));
        if (close == '}') TRY(text(p, &nowhere));
        if (close == '}') TRY(take(p, ':', "a colon is expected"));
        TRY(pass_value(p, depth + 1));
        TRY(peek_word(p, &c));
    }
    p->at++;
    return ERR_OK;
}

/* ---- entries ------------------------------------------------------------------------------- */

static err_t value(struct parser *p, struct local_json_entry *e, struct secret **ret)
{
    const struct local_json_visitor *v = p->visitor;
    int c = END;
    TRY(peek_word(p, &c));
    if (c != '"') {
        e->flaw = "its value is no text of base64url, as the KBS keeps them";
        return pass_value(p, 1);
    }
    _cleanup_(secret_buf_free) struct secret_buf decoded = {.max = v->max}, piece = {.max = PIECE};
    struct sink sink = {.buf = v->values ? &decoded : NULL, .piece = &piece};
    TRY(text(p, &sink));
    if (!v->values) return ERR_OK;
    TRY(decode_piece(&sink));
    if (sink.wrong) e->flaw = "its value is no base64url with padding";
    else if (sink.over) e->flaw = "its value is larger than the limit";
    else if (!(*ret = secret_buf_steal(&decoded))) FAIL(ERR_BUSY, "the budget of locked memory is spent");
    return ERR_OK;
}

static err_t entry(struct parser *p)
{
    _cleanup_(secret_buf_free) struct secret_buf key = {.max = IMPORT_KEY_MAX + 1};
    _cleanup_secret_ struct secret *decoded = NULL;
    struct local_json_entry e = {0};
    struct sink sink = {.buf = &key};
    TRY(text(p, &sink));
    TRY(take(p, ':', "a colon is expected"));
    TRY(value(p, &e, &decoded));
    e.key = span_of(key.block ? secret_data(key.block) : NULL, key.len);
    if (sink.over) e.flaw = "its name is longer than the limit";
    e.value = e.flaw || !decoded ? NULL : &decoded;
    return p->visitor->visit(p->visitor->arg, &e);
}

static err_t object(struct parser *p)
{
    int c = END;
    TRY(take(p, '{', "a JSON object is expected"));
    TRY(peek_word(p, &c));
    for (size_t count = 0; c != '}'; count++) {
        if (count == IMPORT_MAX_ENTRIES)
            FAIL(ERR_TOOLARGE, "more than %u entries; split it", IMPORT_MAX_ENTRIES);
        if (count) TRY(take(p, ',', "a comma or the end of the object is expected"));
        TRY(entry(p));
        TRY(peek_word(p, &c));
    }
    p->at++;
    TRY(peek_word(p, &c));
    return c == END ? ERR_OK : malformed(p, "something follows the object");
}

struct err local_json_read(const struct local_json_source *source,
                           const struct local_json_visitor *visitor)
{
    _cleanup_secret_ struct secret *window = NULL;
    TRY(secret_new(IMPORT_WINDOW, &window));
    struct parser p = {.source = source, .visitor = visitor, .window = window};
    return object(&p);
}
