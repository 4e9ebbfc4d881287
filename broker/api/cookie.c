#include "broker/api/cookie.h"

#include "broker/base/clock.h"

#include <stdio.h>
#include <string.h>

struct search {
    char *out;
    bool found;
};

/* One Cookie header: pairs split at ';' (RFC 6265 5.4). The first of our name counts, and the
 * name is case-sensitive (kbs-api.md 15.8). */
static bool look(void *arg, const char *header)
{
    struct search *s = arg;
    static const size_t name = sizeof SESSION_COOKIE - 1;
    for (const char *p = header; *p && !s->found;) {
        p += strspn(p, "; \t");
        size_t len = strcspn(p, ";");
        if (len > name && p[name] == '=' && memcmp(p, SESSION_COOKIE, name) == 0) {
            snprintf(s->out, SESSION_COOKIE_TEXT, "%.*s", (int) (len - name - 1), p + name + 1);
            s->found = true;
        }
        p += len;
    }
    return !s->found;
}

bool cookie_read(const struct request *r, char out[SESSION_COOKIE_TEXT])
{
    struct search s = {.out = out};
    out[0] = '\0';
    if (r->each_header) r->each_header(r, "Cookie", look, &s);
    return s.found;
}

void cookie_set(struct response *resp, const char *session, int64_t expires)
{
    char date[CLOCK_TEXT];
    response_header(resp, "Set-Cookie", SESSION_COOKIE "=%s; Expires=%s", session,
                    clock_imf_fixdate(expires, date));
}
