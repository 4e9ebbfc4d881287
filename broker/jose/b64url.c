#include "broker/jose/b64url.h"

static const char URL_ALPHABET[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char STD_ALPHABET[65] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- encoding ---------------------------------------------------------------------------- */

static void encode(const char *alphabet, struct span in, uint8_t *out)
{
    const uint8_t *p = in.data;
    size_t left = in.len;
    for (; left >= 3; left -= 3, p += 3, out += 4) {
        uint32_t v = (uint32_t) p[0] << 16 | (uint32_t) p[1] << 8 | p[2];
        out[0] = (uint8_t) alphabet[v >> 18];
        out[1] = (uint8_t) alphabet[v >> 12 & 63];
        out[2] = (uint8_t) alphabet[v >> 6 & 63];
        out[3] = (uint8_t) alphabet[v & 63];
    }
    if (left == 0) return;
    uint32_t v = (uint32_t) p[0] << 16 | (left == 2 ? (uint32_t) p[1] << 8 : 0);
    out[0] = (uint8_t) alphabet[v >> 18];
    out[1] = (uint8_t) alphabet[v >> 12 & 63];
    if (left == 2) out[2] = (uint8_t) alphabet[v >> 6 & 63];
}

/* Characters without padding. */
static size_t encoded_len(size_t len)
{
    size_t rest = len % 3;
    return len / 3 * 4 + (rest ? rest + 1 : 0);
}

void b64url_add(struct buf *out, struct span data)
{
    uint8_t *at = buf_extend(out, encoded_len(data.len));
    if (at) encode(URL_ALPHABET, data, at);
}

void b64_add(struct buf *out, struct span data)
{
    uint8_t *at = buf_extend(out, encoded_len(data.len));
    if (at) encode(STD_ALPHABET, data, at);
    if (data.len % 3) buf_add(out, "==", 3 - data.len % 3);
}

/* ---- decoding ---------------------------------------------------------------------------- */

/* All ones when lo <= c <= hi, else 0; without a branch. */
static inline uint32_t between(uint32_t c, uint32_t lo, uint32_t hi)
{
    return ((lo - 1 - c) & (c - hi - 1)) >> 31 ? UINT32_MAX : 0;
}

/* The six bits of one character, and bit 8 when it is none. Private keys pass here, so there is
 * no table whose cache lines would tell them. */
static inline uint32_t sextet(uint32_t c, const char *alphabet)
{
    uint32_t c62 = (uint8_t) alphabet[62], c63 = (uint8_t) alphabet[63];
    uint32_t upper = between(c, 'A', 'Z'), lower = between(c, 'a', 'z');
    uint32_t digit = between(c, '0', '9');
    uint32_t is62 = between(c, c62, c62), is63 = between(c, c63, c63);
    return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) |
           (is62 & 62) | (is63 & 63) | (~(upper | lower | digit | is62 | is63) & 0x100);
}

static size_t decoded_len(size_t chars) { return chars / 4 * 3 + chars % 4 * 3 / 4; }

/* Decodes unpadded text into decoded_len(text.len) bytes. False on a foreign character, a lone
 * last character, or bits beyond the last byte: each value has exactly one text. Looks at every
 * character before it tells. */
static bool decode(const char *alphabet, struct span text, uint8_t *out)
{
    const uint8_t *p = text.data;
    size_t left = text.len;
    uint32_t bad = left % 4 == 1;
    for (; left >= 4; left -= 4, p += 4, out += 3) {
        uint32_t a = sextet(p[0], alphabet), b = sextet(p[1], alphabet);
        uint32_t c = sextet(p[2], alphabet), d = sextet(p[3], alphabet);
        bad |= (a | b | c | d) & 0x100;
        uint32_t v = a << 18 | b << 12 | c << 6 | d;
        out[0] = (uint8_t) (v >> 16);
        out[1] = (uint8_t) (v >> 8);
        out[2] = (uint8_t) v;
    }
    if (left < 2) return bad == 0;
    uint32_t a = sextet(p[0], alphabet), b = sextet(p[1], alphabet);
    uint32_t c = left == 3 ? sextet(p[2], alphabet) : 0;
    uint32_t v = a << 18 | b << 12 | c << 6;
    bad |= (a | b | c) & 0x100;
    bad |= v & (left == 3 ? 0xff : 0xffff); /* stray bits */
    out[0] = (uint8_t) (v >> 16);
    if (left == 3) out[1] = (uint8_t) (v >> 8);
    return bad == 0;
}

static err_t decode_add(const char *alphabet, struct span text, struct buf *ret, const char *what)
{
    TRY(buf_ok(ret));
    size_t len = decoded_len(text.len);
    uint8_t *at = buf_extend(ret, len);
    if (!at) return buf_ok(ret);
    if (decode(alphabet, text, at)) return ERR_OK;
    ret->len -= len;
    FAIL(ERR_USAGE, "this is not %s", what);
}

struct err b64url_decode(struct span text, struct buf *ret)
{
    return decode_add(URL_ALPHABET, text, ret,
                      "base64url without padding, white space or stray bits (RFC 7515 2)");
}

struct err b64_decode(struct span text, struct buf *ret)
{
    const char *what = "padded base64 without white space or stray bits (RFC 4648 4)";
    if (text.len % 4) FAIL(ERR_USAGE, "this is not %s", what);
    for (int i = 0; i < 2 && text.len && text.data[text.len - 1] == '='; i++) text.len--;
    return decode_add(STD_ALPHABET, text, ret, what);
}

struct err b64url_decode_secret(struct span text, struct secret **ret)
{
    _cleanup_secret_ struct secret *s = NULL;
    TRY(secret_new(decoded_len(text.len), &s));
    if (!decode(URL_ALPHABET, text, secret_data(s)))
        FAIL(ERR_USAGE, "this secret is not base64url without padding, white space or stray bits "
                        "(RFC 7515 2)");
    *ret = TAKE_PTR(s);
    return ERR_OK;
}
