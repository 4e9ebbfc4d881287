/* From RE2's syntax to PCRE2's, in one pass. */
#include "policy/regex_syntax.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    const char *from, *at, *end;
    struct text *out;
    struct regex_problem *problem;
    struct regex_names *names;
    unsigned groups;     /* open ones */
    uint32_t captures;
    bool can_repeat;  /* something stands before that a `*` may repeat */
    const char *repeated; /* .. and is repeated already, from here; NULL */
};

static bool refuse(struct reader *r, const char *kind, const char *near, size_t len)
{
    *r->problem = (struct regex_problem) { .kind = kind, .near = near, .near_len = len };
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool starts(const struct reader *r, const char *s)
{
    size_t len = strlen(s);
    return (size_t) (r->end - r->at) >= len && memcmp(r->at, s, len) == 0;
}

/* ASCII punctuation is escaped, letters and digits must not be. */
static void put_rune(struct text *out, uint32_t rune)
{
    if (rune < 0x20 || rune == 0x7f) text_addf(out, "\\x{%x}", rune);
    else {
        if (rune < 0x80 && !is_letter((char) rune) && !is_digit((char) rune)) text_add_char(out, '\\');
        text_add_rune(out, rune);
    }
}

void regex_quote(struct text *out, const char *s, size_t len)
{
    for (const char *end = s + len; s < end && !out->failed;) {
        uint32_t rune = 0;
        s += utf8_decode(s, end, &rune);
        put_rune(out, rune);
    }
}

/* ---- escapes ---- */

/* Escapes that name one character; `at` stands behind the backslash. Returns false without a word when
 * it is no such escape. */
static bool single_escape(struct reader *r, uint32_t *ret)
{
    static const char NAMES[] = "a\af\ft\tn\nr\rv\v";
    char c = *r->at;
    for (const char *n = NAMES; *n; n += 2)
        if (*n == c) return r->at++, *ret = (uint32_t) n[1], true;
    if ((unsigned char) c < 0x80 && !is_letter(c) && !is_digit(c)) return r->at++, *ret = (uint32_t) c, true;
    /* \0, \012, \12; a single digit but 0 would be a back-reference */
    bool octal = c == '0' || (c >= '1' && c <= '7' && r->at + 1 < r->end && r->at[1] >= '0' && r->at[1] <= '7');
    if (octal) {
        *ret = 0;
        for (int i = 0; i < 3 && r->at < r->end && *r->at >= '0' && *r->at <= '7'; i++)
            *ret = *ret * 8 + (uint32_t) (*r->at++ - '0');
        return true;
    }
    if (c != 'x' || r->at + 1 >= r->end) return false;
    const char *at = r->at + 1;
    bool braces = *at == '{';
    uint32_t rune = 0;
    int digits = 0;
    for (at += braces; at < r->end && hex_digit(*at) >= 0 && (braces || digits < 2); at++, digits++) {
        rune = rune * 16 + (uint32_t) hex_digit(*at);
        if (rune > 0x10ffff) return false;
    }
    if (braces ? digits == 0 || at == r->end || *at != '}' : digits != 2) return false;
    r->at = at + braces;
    *ret = rune;
    return true;
}

/* \d \s \w and their negations; inside a class without the brackets. */
static const char *perl_class(char c, bool inside)
{
    static const struct { char name; const char *inside, *alone; } CLASSES[] = {
        { 'd', "0-9", "[0-9]" },                 { 'D', "\\D", "[^0-9]" },
        { 's', "\\t\\n\\x0c\\r\\x20", "[\\t\\n\\x0c\\r\\x20]" }, { 'S', "\\x0b\\S", "[^\\t\\n\\x0c\\r\\x20]" },
        { 'w', "0-9A-Za-z_", "[0-9A-Za-z_]" },   { 'W', "\\W", "[^0-9A-Za-z_]" },
    };
    for (size_t i = 0; i < sizeof CLASSES / sizeof CLASSES[0]; i++)
        if (CLASSES[i].name == c) return inside ? CLASSES[i].inside : CLASSES[i].alone;
    return NULL;
}

/* \pL, \p{Greek}, \P{^Lu}; `at` stands on the p. Whether the name exists, PCRE2 says. */
static bool property(struct reader *r)
{
    const char *from = r->at - 1;
    size_t len = 3;
    if (r->at + 1 < r->end && r->at[1] == '{') {
        const char *close = memchr(r->at, '}', (size_t) (r->end - r->at));
        if (!close) return refuse(r, "invalid character class range", from, (size_t) (r->end - from));
        len = (size_t) (close + 1 - from);
    }
    if (from + len > r->end) return refuse(r, "invalid character class range", from, (size_t) (r->end - from));
    bool any = len == 7 && memcmp(from + 2, "{Any}", 5) == 0;
    if (any) text_add_string(r->out, from[1] == 'p' ? "\\p{Any}" : "\\P{Any}");
    else text_add(r->out, from, len);
    r->at = from + len;
    return true;
}

static bool bad_escape(struct reader *r, const char *from)
{
    if (r->at == r->end) return refuse(r, "trailing backslash at end of expression", "", 0);
    uint32_t rune = 0;
    size_t n = utf8_decode(r->at, r->end, &rune);
    return refuse(r, "invalid escape sequence", from, (size_t) (r->at + n - from));
}

/* \Q...\E: literal; the end of the pattern closes it too. */
static void quoted_part(struct reader *r)
{
    r->at++;
    const char *close = memmem(r->at, (size_t) (r->end - r->at), "\\E", 2);
    const char *to = close ? close : r->end;
    if (to > r->at) {
        regex_quote(r->out, r->at, (size_t) (to - r->at));
        r->can_repeat = true;
        r->repeated = NULL;
    }
    r->at = close ? close + 2 : r->end;
}

/* PCRE2 does not repeat an assertion by itself; RE2 does. */
static void put_assertion(struct reader *r, const char *assertion)
{
    bool repeat = r->at < r->end && strchr("*+?{", *r->at);
    text_addf(r->out, repeat ? "(?:%s)" : "%s", assertion);
}

static bool escape(struct reader *r)
{
    const char *from = r->at++;
    if (r->at == r->end) return bad_escape(r, from);
    char c = *r->at;
    if (c == 'Q') return quoted_part(r), true;
    r->can_repeat = true;
    r->repeated = NULL;
    if (c == 'p' || c == 'P') return property(r);
    if (c == 'A' || c == 'z' || c == 'b' || c == 'B') {
        char assertion[] = { '\\', c, 0 };
        r->at++;
        put_assertion(r, assertion);
        return true;
    }
    const char *class = perl_class(c, false);
    if (class) {
        r->at++;
        text_add_string(r->out, class);
        return true;
    }
    uint32_t rune = 0;
    if (!single_escape(r, &rune)) return bad_escape(r, from);
    put_rune(r->out, rune);
    return true;
}

/* ---- classes ---- */

static bool class_rune(struct reader *r, const char *class, uint32_t *ret)
{
    if (r->at == r->end) return refuse(r, "missing closing ]", class, (size_t) (r->end - class));
    if (*r->at != '\\') {
        r->at += utf8_decode(r->at, r->end, ret);
        return true;
    }
    const char *from = r->at++;
    return (r->at < r->end && single_escape(r, ret)) || bad_escape(r, from);
}

/* [:alpha:] and [:^alpha:]; false without a word when there is none. */
static bool posix_class(struct reader *r)
{
    static const char *const NAMES[] = { "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph",
                                         "lower", "print", "punct", "space", "upper", "word", "xdigit" };
    if (!starts(r, "[:")) return false;
    const char *name = r->at + 2;
    if (name < r->end && *name == '^') name++;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        size_t len = strlen(NAMES[i]);
        if ((size_t) (r->end - name) < len + 2 || memcmp(name, NAMES[i], len) != 0 || memcmp(name + len, ":]", 2) != 0)
            continue;
        text_add(r->out, r->at, (size_t) (name + len + 2 - r->at));
        r->at = name + len + 2;
        return true;
    }
    return false;
}

/* One member or range; `class` is where the class begins, for the complaint. */
static bool class_member(struct reader *r, const char *class)
{
    if (starts(r, "[:")) {
        if (posix_class(r)) return true;
        const char *close = memmem(r->at, (size_t) (r->end - r->at), ":]", 2);
        if (close) return refuse(r, "invalid character class range", r->at, (size_t) (close + 2 - r->at));
    }
    if (*r->at == '\\' && r->at + 1 < r->end) {
        const char *perl = perl_class(r->at[1], true);
        if (perl) {
            r->at += 2;
            text_add_string(r->out, perl);
            return true;
        }
        if (r->at[1] == 'p' || r->at[1] == 'P') return r->at++, property(r);
    }
    const char *from = r->at;
    uint32_t low = 0, high = 0;
    if (!class_rune(r, class, &low)) return false;
    put_rune(r->out, low);
    if (r->end - r->at < 2 || r->at[0] != '-' || r->at[1] == ']') return true;
    r->at++;
    if (!class_rune(r, class, &high)) return false;
    if (high < low) return refuse(r, "invalid character class range", from, (size_t) (r->at - from));
    text_add_char(r->out, '-');
    put_rune(r->out, high);
    return true;
}

static bool class_(struct reader *r)
{
    const char *class = r->at++;
    text_add_char(r->out, '[');
    if (r->at < r->end && *r->at == '^') {
        text_add_char(r->out, '^');
        r->at++;
    }
    for (bool first = true; r->at == r->end || *r->at != ']' || first; first = false) {
        if (r->at == r->end) return refuse(r, "missing closing ]", class, (size_t) (r->end - class));
        /* A `-` in the middle is literal only next to a bracket. */
        if (*r->at == '-' && !first && r->at + 1 < r->end && r->at[1] != ']')
            return refuse(r, "invalid character class range", r->at, 2);
        if (!class_member(r, class)) return false;
    }
    r->at++;
    text_add_char(r->out, ']');
    r->can_repeat = true;
    r->repeated = NULL;
    return true;
}

/* ---- groups ---- */

static bool bad_group(struct reader *r, const char *from)
{
    size_t len = (size_t) (r->end - from);
    return refuse(r, "invalid or unsupported Perl syntax", from, len < 3 ? len : 3);
}

/* (?P<name> and (?<name>; `at` stands on the name. */
static bool named_group(struct reader *r, const char *from)
{
    const char *close = memchr(r->at, '>', (size_t) (r->end - r->at));
    if (!close) return refuse(r, "invalid named capture", from, (size_t) (r->end - from));
    bool good = close > r->at;
    for (const char *c = r->at; c < close; c++) good = good && (is_letter(*c) || is_digit(*c) || *c == '_');
    if (!good) return refuse(r, "invalid named capture", from, (size_t) (close + 1 - from));
    struct regex_names *names = r->names;
    struct regex_name *items = arena_grow(r->out->arena, names->items, names->count, &names->cap, sizeof *items);
    if (!items) return r->out->failed = true; /* the caller sees it */
    names->items = items;
    items[names->count++] = (struct regex_name) { r->at, (size_t) (close - r->at), ++r->captures };
    text_add_char(r->out, '(');
    r->at = close + 1;
    return true;
}

/* (?flags) and (?flags:; `at` stands behind the question mark. */
static bool flags(struct reader *r, const char *from, bool *ret_opens)
{
    bool minus = false, any = false;
    text_add_string(r->out, "(?");
    for (; r->at < r->end; r->at++) {
        char c = *r->at;
        if (c == ':' || c == ')') {
            if (minus && !any) return bad_group(r, from);
            text_add_char(r->out, c);
            r->at++;
            *ret_opens = c == ':';
            return true;
        }
        if (c == '-' && !minus) minus = true, any = false;
        else if (strchr("imsU", c) && c) any = true;
        else return bad_group(r, from);
        text_add_char(r->out, c);
    }
    return refuse(r, "missing argument to repetition operator", from, (size_t) (r->end - from));
}

static bool open_group(struct reader *r)
{
    const char *from = r->at++;
    bool opens = true;
    if (starts(r, "?P<") || (starts(r, "?<") && !starts(r, "?<=") && !starts(r, "?<!"))) {
        r->at += r->at[1] == 'P' ? 3 : 2;
        if (!named_group(r, from)) return false;
    } else if (starts(r, "?")) {
        r->at++;
        if (!flags(r, from, &opens)) return false;
    } else {
        text_add_char(r->out, '(');
        r->captures++;
    }
    if (opens && ++r->groups > REGEX_NESTING_MAX) {
        refuse(r, "expression nests too deeply", r->from, (size_t) (r->end - r->from));
        return r->problem->limit = true, false;
    }
    r->can_repeat = false;
    r->repeated = NULL;
    return true;
}

/* ---- repetition ---- */

/* {n}, {n,}, {n,m}; false without a word when the brace is an ordinary character. */
static bool counted(struct reader *r, long *ret_low, long *ret_high, const char **ret_end)
{
    const char *at = r->at + 1;
    long bounds[2] = { 0, -1 };
    if (at == r->end || !is_digit(*at)) return false;
    for (int i = 0; i < 2; i++) {
        if (at < r->end && is_digit(*at)) {
            bounds[i] = 0;
            for (; at < r->end && is_digit(*at); at++)
                if (bounds[i] <= REGEX_REPEAT_MAX) bounds[i] = bounds[i] * 10 + (*at - '0');
        }
        if (i == 0 && at < r->end && *at == '}') bounds[1] = bounds[0];
        if (at == r->end || *at != ',' || i == 1) break;
        at++;
    }
    if (at == r->end || *at != '}') return false;
    *ret_low = bounds[0];
    *ret_high = bounds[1];
    *ret_end = at + 1;
    return true;
}

static bool repetition(struct reader *r)
{
    const char *from = r->at, *to = r->at + 1;
    long low = 0, high = -1;
    if (*from == '{') {
        if (!counted(r, &low, &high, &to)) {
            text_add_string(r->out, "\\{");
            r->at++;
            r->can_repeat = true;
            r->repeated = NULL;
            return true;
        }
        if (low > REGEX_REPEAT_MAX || high > REGEX_REPEAT_MAX || (high >= 0 && high < low))
            return refuse(r, "invalid repeat count", from, (size_t) (to - from));
    }
    if (to < r->end && *to == '?') to++;
    if (r->repeated) return refuse(r, "invalid nested repetition operator", r->repeated, (size_t) (to - r->repeated));
    if (!r->can_repeat) return refuse(r, "missing argument to repetition operator", from, (size_t) (to - from));
    text_add(r->out, from, (size_t) (to - from));
    r->at = to;
    r->repeated = from;
    return true;
}

/* ---- all of it ---- */

static bool close_group(struct reader *r)
{
    if (r->groups == 0) return refuse(r, "unexpected )", r->from, (size_t) (r->end - r->from));
    r->groups--;
    r->at++;
    text_add_char(r->out, ')');
    r->can_repeat = true;
    r->repeated = NULL;
    return true;
}

static bool step(struct reader *r)
{
    switch (*r->at) {
    case '\\': return escape(r);
    case '[': return class_(r);
    case '(': return open_group(r);
    case ')': return close_group(r);
    case '*': case '+': case '?': case '{': return repetition(r);
    case '|':
        r->at++;
        text_add_char(r->out, '|');
        r->can_repeat = false;
        r->repeated = NULL;
        return true;
    case '^': case '$': {
        char assertion[] = { *r->at++, 0 };
        put_assertion(r, assertion);
        break;
    }
    case '.':
        r->at++;
        text_add_char(r->out, '.');
        break;
    default: {
        uint32_t rune = 0;
        size_t n = utf8_decode(r->at, r->end, &rune);
        if (rune == 0xfffd && n == 1) return refuse(r, "invalid UTF-8", r->at, 1);
        r->at += n;
        put_rune(r->out, rune);
    }
    }
    r->can_repeat = true;
    r->repeated = NULL;
    return true;
}

bool regex_translate(struct text *out, const char *pattern, size_t len, struct regex_names *names,
                     struct regex_problem *ret_problem)
{
    struct reader r = {
        .from = pattern, .at = pattern, .end = pattern + len, .out = out, .names = names, .problem = ret_problem,
    };
    while (r.at < r.end && !out->failed)
        if (!step(&r)) return false;
    if (r.groups > 0) return refuse(&r, "missing closing )", pattern, len);
    return true;
}
