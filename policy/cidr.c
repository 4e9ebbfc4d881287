#include "policy/cidr.h"
#include "policy/text.h"

#include <stdio.h>
#include <string.h>

static const uint8_t MAPPED[12] = { [10] = 0xFF, [11] = 0xFF };

unsigned ip_width(const struct ip *ip)
{
    return ip->v4 ? 32 : 128;
}

/* ---- text ---- */

/* Decimal, at most `limit`; moves *at behind it. */
static bool read_decimal(const char **at, const char *end, unsigned limit, unsigned *ret)
{
    const char *start = *at;

    *ret = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        *ret = *ret * 10 + (unsigned) (**at - '0');
        if (*ret > limit) return false;
    }
    return *at > start;
}

static bool parse_v4(const char *at, const char *end, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned byte;

        if (i && (at == end || *at++ != '.')) return false;
        /* "010" is eight to some and ten to others: no leading zeros */
        if (end - at > 1 && at[0] == '0' && at[1] >= '0' && at[1] <= '9') return false;
        if (!read_decimal(&at, end, 255, &byte)) return false;
        out[i] = (uint8_t) byte;
    }
    return at == end;
}

/* One to four hex digits. */
static const char *read_group(const char *at, const char *end, uint8_t out[2])
{
    unsigned group = 0, digits = 0;

    for (; at < end && hex_digit(*at) >= 0 && digits < 5; at++, digits++) group = group << 4 | (unsigned) hex_digit(*at);
    if (digits == 0 || digits > 4) return NULL;
    out[0] = (uint8_t) (group >> 8);
    out[1] = (uint8_t) group;
    return at;
}

/* Opens the gap that "::" stands for, at byte `gap` of `count` bytes read. */
static bool open_gap(uint8_t bytes[16], int gap, size_t count)
{
    if (gap < 0) return count == 16;
    if (count == 16) return false;
    size_t behind = count - (size_t) gap;
    memmove(bytes + 16 - behind, bytes + gap, behind);
    memset(bytes + gap, 0, 16 - count);
    return true;
}

static bool parse_v6(const char *at, const char *end, uint8_t bytes[16])
{
    size_t count = 0;
    int gap = -1;

    if (end - at >= 2 && at[0] == ':' && at[1] == ':') {
        gap = 0;
        at += 2;
    }
    while (at < end && count < 16) {
        const char *stop = read_group(at, end, bytes + count);

        if (!stop) return false;
        if (stop < end && *stop == '.') /* the last 32 bits as a dotted quad */
            return count <= 12 && parse_v4(at, end, bytes + count) && open_gap(bytes, gap, count + 4);
        count += 2;
        at = stop;
        if (at == end) break;
        if (*at++ != ':' || at == end) return false;
        if (*at != ':') continue;
        if (gap >= 0) return false;
        gap = (int) count;
        at++;
    }
    return at == end && open_gap(bytes, gap, count);
}

bool ip_parse(const char *text, size_t len, struct ip *ret)
{
    struct ip ip = { .v4 = false };

    if (parse_v4(text, text + len, ip.bytes + 12)) {
        memcpy(ip.bytes, MAPPED, sizeof MAPPED);
    } else {
        memset(ip.bytes, 0, sizeof ip.bytes);
        if (!parse_v6(text, text + len, ip.bytes)) return false;
    }
    ip.v4 = memcmp(ip.bytes, MAPPED, sizeof MAPPED) == 0;
    *ret = ip;
    return true;
}

bool cidr_parse(const char *text, size_t len, struct cidr *ret)
{
    const char *slash = len ? memchr(text, '/', len) : NULL, *at = slash ? slash + 1 : NULL;
    struct ip ip;
    unsigned bits;

    if (!slash || !ip_parse(text, (size_t) (slash - text), &ip)) return false;
    bool dotted = !memchr(text, ':', (size_t) (slash - text));
    if (!read_decimal(&at, text + len, dotted ? 32 : 128, &bits) || at != text + len) return false;
    if (ip.v4 && !dotted) { /* ::ffff:a.b.c.d/n counts from the front of the 128 bits */
        if (bits < 96) ip.v4 = false;
        else bits -= 96;
    }
    *ret = cidr_of(ip, bits);
    return true;
}

static void text_v4(const uint8_t *b, char out[CIDR_TEXT])
{
    snprintf(out, CIDR_TEXT, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
}

/* The longest run of two zero groups or more, the first of equals. */
static unsigned longest_zeros(const uint8_t bytes[16], unsigned *ret_len)
{
    unsigned best = 8;

    *ret_len = 1;
    for (unsigned i = 0; i < 8; i++) {
        unsigned n = 0;

        while (i + n < 8 && bytes[2 * (i + n)] == 0 && bytes[2 * (i + n) + 1] == 0) n++;
        if (n > *ret_len) best = i, *ret_len = n;
        if (n) i += n - 1;
    }
    return best;
}

void ip_text(const struct ip *ip, char out[CIDR_TEXT])
{
    unsigned zeros = 0, start = longest_zeros(ip->bytes, &zeros);
    size_t len = 0;

    if (ip->v4) {
        text_v4(ip->bytes + 12, out);
        return;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == start) {
            len += (size_t) snprintf(out + len, CIDR_TEXT - len, "::");
            i += zeros - 1;
            continue;
        }
        const char *colon = i && i != start + zeros ? ":" : "";
        unsigned group = (unsigned) ip->bytes[2 * i] << 8 | ip->bytes[2 * i + 1];
        len += (size_t) snprintf(out + len, CIDR_TEXT - len, "%s%x", colon, group);
    }
}

void cidr_text(const struct cidr *c, char out[CIDR_TEXT])
{
    ip_text(&c->first, out);
    size_t len = strlen(out);
    snprintf(out + len, CIDR_TEXT - len, "/%u", c->bits);
}

/* ---- numbers ---- */

int ip_compare(const struct ip *x, const struct ip *y)
{
    return memcmp(x->bytes, y->bytes, sizeof x->bytes);
}

/* Adds `by` (1 or 255, which is -1) to every byte until there is no carry. */
static bool move(struct ip *ip, uint8_t by, uint8_t wrapped)
{
    size_t low = ip->v4 ? 12 : 0, i = 16;
    struct ip moved = *ip;

    while (i > low) {
        i--;
        moved.bytes[i] = (uint8_t) (moved.bytes[i] + by);
        if (moved.bytes[i] != wrapped) return *ip = moved, true;
    }
    return false;
}

bool ip_next(struct ip *ip)
{
    return move(ip, 1, 0);
}

bool ip_previous(struct ip *ip)
{
    return move(ip, 255, 255);
}

/* The bits of byte i that belong to the prefix. */
static uint8_t mask(const struct ip *ip, unsigned bits, unsigned i)
{
    unsigned whole = bits + (ip->v4 ? 96 : 0);

    if (whole >= 8 * (i + 1)) return 0xFF;
    if (whole <= 8 * i) return 0;
    return (uint8_t) (0xFF00u >> (whole - 8 * i));
}

struct cidr cidr_of(struct ip ip, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) ip.bytes[i] &= mask(&ip, bits, i);
    return (struct cidr) { ip, bits };
}

struct ip cidr_last(const struct cidr *c)
{
    struct ip ip = c->first;

    for (unsigned i = 0; i < 16; i++) ip.bytes[i] |= (uint8_t) ~mask(&ip, c->bits, i);
    return ip;
}

bool cidr_has(const struct cidr *c, const struct ip *ip)
{
    if (c->first.v4 != ip->v4) return false;
    for (unsigned i = 0; i < 16; i++)
        if ((ip->bytes[i] & mask(ip, c->bits, i)) != c->first.bytes[i]) return false;
    return true;
}
