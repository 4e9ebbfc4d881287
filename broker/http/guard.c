#include "broker/http/guard.h"

#include "broker/base/limits.h"

#include <string.h>
#include <strings.h>

#define REFUSE(code, why) ((struct guard_refusal){(code), (why)})
#define FINE ((struct guard_refusal){0})

static bool same_text(struct span a, const char *b)
{
    return a.len == strlen(b) && strncasecmp((const char *) a.data, b, a.len) == 0;
}

/* ---- target --------------------------------------------------------------------------------- */

static struct span from(struct span s, size_t at)
{
    return span_of(s.data + at, s.len - at);
}

/* Where c is in s, or s.len. */
static size_t find(struct span s, char c)
{
    const uint8_t *hit = s.len ? memchr(s.data, c, s.len) : NULL;
    return hit ? (size_t) (hit - s.data) : s.len;
}

/* RFC 9112 3.2.2: a server accepts the absolute form, though only proxies are sent it. */
static bool strip_authority(struct span *s)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i]);
        if (s->len < n || strncasecmp((const char *) s->data, schemes[i], n) != 0) continue;
        struct span rest = from(*s, n);
        size_t end = 0;
        while (end < rest.len && !strchr("/?#", rest.data[end])) end++;
        *s = from(rest, end);
        return end > 0; /* an empty authority is none */
    }
    return true;
}

struct guard_refusal guard_target(struct span raw, struct guard_target *ret)
{
    if (raw.len > HTTP_MAX_TARGET) return REFUSE(414, "the request target is too long");
    /* libmicrohttpd takes everything up to the last space for the target */
    if (find(raw, ' ') < raw.len) return REFUSE(400, "a space in the request target");
    if (find(raw, '\0') < raw.len) return REFUSE(400, "a NUL in the request target");
    struct span rest = raw;
    bool known = strip_authority(&rest);
    bool absolute = rest.data != raw.data;
    rest.len = find(rest, '#');
    size_t mark = find(rest, '?');

    struct guard_target cut = {.path = span_of(rest.data, mark)};
    if (mark < rest.len) {
        cut.has_query = true;
        cut.query = from(rest, mark + 1);
    }
    if (absolute && cut.path.len == 0) cut.path = SPAN_LIT("/");
    if (!known || cut.path.len == 0 || cut.path.data[0] != '/')
        return REFUSE(400, "the request target is neither a path nor an http URL");
    *ret = cut;
    return FINE;
}

struct guard_refusal guard_version(const char *version, bool *ret_old)
{
    static const char known[] = "HTTP/1.";
    size_t n = strlen(known);
    if (!version || strlen(version) != n + 1 || strncmp(version, known, n) != 0 ||
        version[n] < '0' || version[n] > '9')
        return REFUSE(505, "this server speaks HTTP/1.1");
    *ret_old = version[n] == '0';
    return FINE;
}

/* ---- header lines --------------------------------------------------------------------------- */

/* RFC 9110 5.6.2. A name that ends in a space is another header to whoever stands before us. */
static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return s.len > 0;
}

/* RFC 9110 5.5. A bare CR is the end of a line to some. */
static bool is_value(struct span s)
{
    return find(s, '\r') == s.len && find(s, '\n') == s.len && find(s, '\0') == s.len;
}

/* RFC 9112 6.2: digits alone. Lists ("5, 5") and signs are refused, which 6.3 allows. */
static bool is_length(struct span s, uint64_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') return false;
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, s.data[i] - '0', &n))
            return false;
    }
    *ret = n;
    return s.len > 0;
}

static struct guard_refusal length_line(struct guard *g, struct span value)
{
    if (g->lengths++) return REFUSE(400, "more than one Content-Length");
    if (!is_length(value, &g->length)) return REFUSE(400, "Content-Length is not a length");
    return FINE;
}

static struct guard_refusal coding_line(struct guard *g, struct span value)
{
    if (g->codings++) return REFUSE(400, "more than one Transfer-Encoding");
    /* RFC 9112 6.1: 501 for a coding that the server does not understand */
    if (!same_text(value, "chunked")) return REFUSE(501, "a Transfer-Encoding other than chunked");
    return FINE;
}

static struct guard_refusal expect_line(struct guard *g, struct span value)
{
    g->expect = true;
    return FINE;
}

static const struct {
    const char *name;
    struct guard_refusal (*look)(struct guard *g, struct span value);
} looked_at[] = {
    {"Content-Length", length_line},
    {"Transfer-Encoding", coding_line},
    {"Expect", expect_line},
};

static struct guard_refusal look_at(struct guard *g, struct span name, struct span value)
{
    if (++g->lines > HTTP_MAX_HEADERS) return REFUSE(431, "too many header lines");
    if (!is_token(name)) return REFUSE(400, "a header name that is none");
    if (!is_value(value)) return REFUSE(400, "a header value with a line break or NUL in it");
    for (size_t i = 0; i < sizeof looked_at / sizeof *looked_at; i++)
        if (same_text(name, looked_at[i].name)) return looked_at[i].look(g, value);
    return FINE;
}

void guard_header(struct guard *g, struct span name, struct span value)
{
    if (g->refusal.status) return;
    g->refusal = look_at(g, name, value);
}

struct guard_refusal guard_verdict(const struct guard *g, bool old)
{
    if (g->refusal.status) return g->refusal;
    /* libmicrohttpd obeys both and would execute the request hidden between them: RFC 9112 6.1 */
    if (g->lengths && g->codings) return REFUSE(400, "Content-Length beside Transfer-Encoding");
    if (old && g->codings) return REFUSE(400, "Transfer-Encoding in HTTP/1.0");
    return FINE;
}
