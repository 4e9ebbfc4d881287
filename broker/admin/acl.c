#include "broker/admin/acl.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

struct rule {
    char *role, *methods; /* methods NULL: all */
    pcre2_code *code;
};

struct acl {
    struct rule *rules;
    size_t count;
    pcre2_match_context *limits;
};

/* ---- syntax ------------------------------------------------------------------------------- */

/* Reads one expression, so that the places of its alternatives are known for certain. Whatever
 * would make reading it harder (quoting, comments, lookaround, back references) is refused; no
 * access rule needs it, and without it matching stays near linear. */
struct scan {
    const char *p;
    size_t depth; /* open parentheses */
};

static err_t scan_escape(struct scan *s)
{
    static const char allowed[] = "dDwWsSbB.^$|()[]{}*+?\\/-_~%!@#&=:;,'\"<>";
    char c = *++s->p;
    if (c == '\0') FAIL(ERR_USAGE, "ends in a lone \\");
    if (!strchr(allowed, c))
        FAIL(ERR_USAGE, "\\%c is not allowed; escapes are \\d \\w \\s \\b and punctuation", c);
    s->p++;
    return ERR_OK;
}

static err_t scan_class(struct scan *s)
{
    s->p++;
    if (*s->p == '^') s->p++;
    if (*s->p == ']') s->p++; /* first in its class: itself */
    while (*s->p && *s->p != ']') {
        if (*s->p == '[' && s->p[1] == ':') {
            const char *end = strstr(s->p, ":]");
            if (!end) FAIL(ERR_USAGE, "[: without :]");
            s->p = end + 2;
        } else if (*s->p == '\\') {
            TRY(scan_escape(s));
        } else {
            s->p++;
        }
    }
    if (!*s->p) FAIL(ERR_USAGE, "[ without ]");
    s->p++;
    return ERR_OK;
}

static err_t scan_group(struct scan *s)
{
    if (s->p[1] == '*' || (s->p[1] == '?' && s->p[2] != ':'))
        FAIL(ERR_USAGE, "\"%.4s\" is not allowed; groups are ( ) and (?: )", s->p);
    s->p += s->p[1] == '?' ? 3 : 1;
    s->depth++;
    return ERR_OK;
}

/* Reads up to the next '|' outside of parentheses, or the end. */
static err_t scan_alternative(struct scan *s)
{
    while (*s->p && !(*s->p == '|' && s->depth == 0)) {
        if (*s->p == '\\') TRY(scan_escape(s));
        else if (*s->p == '[') TRY(scan_class(s));
        else if (*s->p == '(') TRY(scan_group(s));
        else if (*s->p == ')' && s->depth == 0) FAIL(ERR_USAGE, ") without (");
        else if (*s->p++ == ')') s->depth--;
    }
    return ERR_OK;
}

/* A rule that begins anywhere or ends anywhere allows more than it says: `^/kbs/a$|/b` among them,
 * so each alternative is looked at. */
static err_t check_anchors(const char *from, const char *to)
{
    struct span part = span_of(from, (size_t) (to - from));
    if (!span_starts(part, "^/kbs") && !span_starts(part, "^/strongroom"))
        FAIL(ERR_USAGE, "must begin with ^/kbs or ^/strongroom");
    if (to[-1] != '$' || to[-2] == '\\') FAIL(ERR_USAGE, "must end with $");
    return ERR_OK;
}

static err_t check_syntax(const char *expression)
{
    struct scan s = {.p = expression};
    for (;;) {
        const char *from = s.p;
        TRY(scan_alternative(&s));
        TRY(check_anchors(from, s.p));
        if (!*s.p) break;
        s.p++;
    }
    if (s.depth) FAIL(ERR_USAGE, "( without )");
    return ERR_OK;
}

/* ---- rules -------------------------------------------------------------------------------- */

static err_t check_methods(const char *methods)
{
    if (!methods) return ERR_OK;
    size_t letters = strspn(methods, "ABCDEFGHIJKLMNOPQRSTUVWXYZ,");
    if (methods[letters] || !*methods || *methods == ',' || methods[letters - 1] == ',' ||
        strstr(methods, ",,"))
        FAIL(ERR_USAGE, "methods \"%.60s\": write them as GET,POST", methods);
    return ERR_OK;
}

static err_t compile(const char *expression, pcre2_code **ret)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    /* ANCHORED and ENDANCHORED beside ^ and $: $ alone would match before a last newline. */
    *ret = pcre2_compile((PCRE2_SPTR) expression, PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_ANCHORED |
                             PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY,
                         &code, &at, NULL);
    if (*ret) return ERR_OK;
    PCRE2_UCHAR text[120];
    pcre2_get_error_message(code, text, sizeof text);
    FAIL(ERR_USAGE, "at character %zu: %s", at, (const char *) text);
}

static err_t add_rule(const struct admin_acl *entry, struct rule *r)
{
    if (!entry->role || !*entry->role || strlen(entry->role) >= ADMIN_ROLE_MAX)
        FAIL(ERR_USAGE, "role must have 1 to %u bytes", ADMIN_ROLE_MAX - 1);
    if (!entry->allowed_endpoints) FAIL(ERR_USAGE, "allowed_endpoints is missing");
    TRY(check_methods(entry->methods));
    TRYC(check_syntax(entry->allowed_endpoints), "\"%.120s\"", entry->allowed_endpoints);
    TRYC(compile(entry->allowed_endpoints, &r->code), "\"%.120s\"", entry->allowed_endpoints);
    r->role = strdup(entry->role);
    r->methods = entry->methods ? strdup(entry->methods) : NULL;
    if (!r->role || (entry->methods && !r->methods)) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

struct err acl_new(const struct admin_acl *entries, size_t count, struct acl **ret)
{
    _cleanup_(acl_freep) struct acl *a = calloc(1, sizeof *a);
    if (!a || !(a->rules = calloc(count + 1, sizeof *a->rules)) ||
        !(a->limits = pcre2_match_context_create(NULL)))
        FAIL(ERR_INTERNAL, "out of memory");
    pcre2_set_match_limit(a->limits, ACL_MATCH_LIMIT);
    pcre2_set_depth_limit(a->limits, ACL_MATCH_LIMIT);
    for (size_t i = 0; i < count; i++) {
        a->count++; /* first, so that acl_free finds a half-made rule */
        TRYC(add_rule(&entries[i], &a->rules[i]), "acl entry %zu (role %.40s)", i + 1,
             entries[i].role ? entries[i].role : "missing");
    }
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

void acl_free(struct acl *a)
{
    if (!a) return;
    for (size_t i = 0; i < a->count; i++) {
        pcre2_code_free(a->rules[i].code);
        free(a->rules[i].role);
        free(a->rules[i].methods);
    }
    free(a->rules);
    pcre2_match_context_free(a->limits);
    free(a);
}

/* ---- asking ------------------------------------------------------------------------------- */

static bool method_listed(const char *methods, const char *method)
{
    if (!methods) return true;
    for (const char *p = methods; *p; p += *p == ',') {
        size_t len = strcspn(p, ",");
        if (strlen(method) == len && memcmp(p, method, len) == 0) return true;
        p += len;
    }
    return false;
}

/* Anything but a clean match is a refusal: no match, the limit reached, a path that is no UTF-8. */
static bool matches(const struct acl *a, const struct rule *r, const char *path)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data) return false;
    int n = pcre2_match(r->code, (PCRE2_SPTR) path, strlen(path), 0, 0, data, a->limits);
    pcre2_match_data_free(data);
    return n >= 0;
}

bool acl_allows(const struct acl *a, const char *role, const char *method, const char *path)
{
    if (a->count == 0) return strcmp(role, "admin") == 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct rule *r = &a->rules[i];
        if (strcmp(r->role, role) == 0 && method_listed(r->methods, method) && matches(a, r, path))
            return true;
    }
    return false;
}
