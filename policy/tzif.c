#include "policy/tzif.h"

#include "policy/posix_tz.h"

#include <string.h>

enum { HEADER = 44, TYPE = 6 };

/* RFC 8536, 3.1 */
struct counts { uint32_t isut, isstd, leap, time, type, chars; };

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static int64_t read_i64(const uint8_t *p)
{
    return (int64_t) ((uint64_t) read_u32(p) << 32 | read_u32(p + 4));
}

static bool read_header(const uint8_t *data, size_t len, struct counts *ret)
{
    if (len < HEADER || memcmp(data, "TZif", 4) != 0 || data[4] < '2') return false;
    *ret = (struct counts) { read_u32(data + 20), read_u32(data + 24), read_u32(data + 28),
                             read_u32(data + 32), read_u32(data + 36), read_u32(data + 40) };
    return ret->type > 0;
}

/* Bytes of the block behind the header; times are of `width` bytes. */
static uint64_t block_size(const struct counts *c, uint64_t width)
{
    return c->time * (width + 1) + c->type * (uint64_t) TYPE + c->chars + c->leap * (width + 4) + c->isstd
           + (uint64_t) c->isut;
}

/* The last transition at or before the moment; -1 when all come later. */
static int64_t last_transition(const uint8_t *times, uint32_t count, int64_t moment)
{
    int64_t low = -1, high = (int64_t) count;

    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (read_i64(times + 8 * middle) <= moment)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool read_type(const struct counts *c, const uint8_t *types, uint32_t i, struct builtin_zone *ret)
{
    const uint8_t *type = types + (size_t) TYPE * i, *names = types + (size_t) TYPE * c->type;

    if (i >= c->type || type[5] >= c->chars) return false;
    size_t len = strnlen((const char *) names + type[5], c->chars - type[5]);
    if (len >= sizeof ret->abbreviation || len == (size_t) (c->chars - type[5])) return false;
    *ret = (struct builtin_zone) { .offset = (int32_t) read_u32(type) };
    memcpy(ret->abbreviation, names + type[5], len);
    return true;
}

/* Behind the second block: a newline, the string, a newline. */
static bool use_footer(const uint8_t *at, size_t len, int64_t moment, struct builtin_zone *ret)
{
    const uint8_t *end = len > 2 && at[0] == '\n' ? memchr(at + 1, '\n', len - 1) : NULL;

    return end && end > at + 1 && posix_tz_at((const char *) at + 1, (size_t) (end - at - 1), moment, ret);
}

bool tzif_zone_at(const uint8_t *data, size_t len, int64_t unix_seconds, struct builtin_zone *ret)
{
    struct counts old, c;

    if (!read_header(data, len, &old)) return false;
    uint64_t skip = HEADER + block_size(&old, 4); /* the first block has 32 bit times */
    if (skip >= len || !read_header(data + skip, len - skip, &c)) return false;
    data += skip + HEADER;
    len -= skip + HEADER;
    uint64_t size = block_size(&c, 8);
    if (size > len) return false;
    int64_t i = last_transition(data, c.time, unix_seconds);
    if (i == (int64_t) c.time - 1 && use_footer(data + size, len - size, unix_seconds, ret)) return true;
    const uint8_t *indexes = data + 8 * (size_t) c.time, *types = indexes + c.time;
    return read_type(&c, types, i < 0 ? 0 : indexes[i], ret);
}
