/* Target Functions: guard_target guard_version guard_header guard_verdict */
#include "broker/base/limits.h"
#include "broker/http/guard.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line, without its LF. */
static struct span line(struct span *rest)
{
    const uint8_t *lf = rest->len ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t n = lf ? (size_t) (lf - rest->data) : rest->len;
    struct span got = span_of(rest->data, n);
    size_t used = lf ? n + 1 : n;
    *rest = span_of(rest->len ? rest->data + used : NULL, rest->len - used);
    return got;
}

static void check_target(struct span raw)
{
    struct guard_target t = {0};
    if (guard_target(raw, &t).status) return;
    ENSURE(raw.len <= HTTP_MAX_TARGET);
    ENSURE(t.path.len > 0 && t.path.data[0] == '/');
    ENSURE(t.path.len + t.query.len <= raw.len + 1);
    for (size_t i = 0; i < t.path.len; i++)
        ENSURE(t.path.data[i] && !strchr(" ?#", t.path.data[i]));
    for (size_t i = 0; i < t.query.len; i++)
        ENSURE(t.query.data[i] && !strchr(" #", t.query.data[i]));
    ENSURE(t.has_query || t.query.len == 0);
}

/* First line: target; second: version; then header lines "name:value". */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_of(data, size);
    check_target(line(&rest));

    struct span raw = line(&rest);
    char version[16] = "";
    memcpy(version, raw.data ? (const char *) raw.data : "", raw.len < 15 ? raw.len : 15);
    bool old = false;
    if (guard_version(version, &old).status == 0) ENSURE(strlen(version) == 8);

    struct guard g = {0};
    while (rest.len) {
        struct span l = line(&rest);
        const uint8_t *colon = l.len ? memchr(l.data, ':', l.len) : NULL;
        size_t n = colon ? (size_t) (colon - l.data) : l.len;
        guard_header(&g, span_of(l.data, n), colon ? span_of(colon + 1, l.len - n - 1) : span_str(""));
    }
    if (guard_verdict(&g, old).status) return 0;
    ENSURE(g.lines <= HTTP_MAX_HEADERS && g.lengths + g.codings <= 1);
    ENSURE(g.lengths || g.length == 0);
    return 0;
}
