/* The syntax that regex_syntax.c and builtin_glob.c write, into a tree. They have refused what is not
 * allowed and bounded the nesting, so this only has to take it apart. */
#include "policy/regex_parse.h"

#include "policy/regex_syntax.h"
#include "policy/text.h"

#include <stdlib.h>

enum { REPEAT_PRODUCT_MAX = 1000 }; /* of repetitions within each other, as Go has it */

struct flags { bool ignore_case, multiline, dot_all, swap_greed; };

struct parser {
    struct regex_tree *tree;
    const char *at, *end;
    struct flags flags;
    struct regex_refusal *refusal;
};

static struct regex_node *refuse(struct parser *p, const char *kind)
{
    if (!p->refusal->kind && !arena_failed(p->tree->arena)) p->refusal->kind = kind;
    return NULL;
}

static struct regex_node *node(struct parser *p, struct regex_node content)
{
    struct regex_node *n = arena_take(p->tree->arena, sizeof *n);
    if (n) *n = content;
    return n;
}

static struct regex_node *one(struct parser *p, enum regex_op op, uint32_t x)
{
    bool consumes = op <= REGEX_NOT_LF;
    return node(p, (struct regex_node) { .kind = REGEX_NODE_ONE, .op = op, .x = x, .nullable = !consumes });
}

static bool take(struct parser *p, const char *s)
{
    size_t len = strlen(s);
    if ((size_t) (p->end - p->at) < len || memcmp(p->at, s, len) != 0) return false;
    p->at += len;
    return true;
}

/* ---- single characters and classes ---- */

static struct regex_node *add_class(struct parser *p, struct regex_class class)
{
    struct regex_tree *t = p->tree;
    struct regex_class *classes = arena_grow(t->arena, t->classes, t->class_count, &t->class_cap, sizeof *classes);
    if (!classes) return NULL;
    t->classes = classes;
    classes[t->class_count] = class;
    return one(p, REGEX_CLASS, (uint32_t) t->class_count++);
}

/* The grammar was checked before: what is left to be wrong with a class is a property's name. */
static void show_property(struct parser *p, const char *from)
{
    while (from + 2 < p->at && !(from[0] == '\\' && (from[1] == 'p' || from[1] == 'P'))) from++;
    const char *close = from + 2 < p->at && from[2] == '{' ? memchr(from, '}', (size_t) (p->at - from)) : NULL;
    p->refusal->near = from;
    p->refusal->near_len = close ? (size_t) (close + 1 - from) : 3;
    if (p->refusal->near_len > (size_t) (p->at - from)) p->refusal->near_len = (size_t) (p->at - from);
}

static struct regex_node *class_of(struct parser *p, const char *from)
{
    struct regex_class class;
    bool ok = regex_class_make(p->tree->arena, from, (size_t) (p->at - from), p->flags.ignore_case, &class);
    if (ok) return add_class(p, class);
    refuse(p, "invalid character class range");
    if (p->refusal->kind) show_property(p, from);
    return NULL;
}

/* k and s have partners beyond ASCII. */
static bool two_cases_only(uint32_t rune)
{
    uint32_t lower = rune | 0x20;
    return rune < 128 && lower >= 'a' && lower <= 'z' && lower != 'k' && lower != 's';
}

/* The character that was read from there. */
static struct regex_node *rune_node(struct parser *p, uint32_t rune, const char *from)
{
    uint32_t lower = rune | 0x20;
    bool letter = rune >= 128 || (lower >= 'a' && lower <= 'z');
    if (!p->flags.ignore_case || !letter) return one(p, REGEX_RUNE, rune);
    if (!two_cases_only(rune)) return class_of(p, from);
    uint64_t bit = (uint64_t) 1 << (lower - 64);
    return add_class(p, (struct regex_class) { .ascii = { 0, bit | bit >> 32 } });
}

static struct regex_node *class_node(struct parser *p)
{
    const char *from = p->at++;
    while (p->at < p->end && *p->at != ']') {
        const char *posix = *p->at == '[' && p->at + 1 < p->end && p->at[1] == ':'
                                ? memmem(p->at, (size_t) (p->end - p->at), ":]", 2) : NULL;
        if (posix) p->at = posix + 2;
        else p->at += *p->at == '\\' && p->at + 1 < p->end ? 2 : 1;
    }
    if (p->at == p->end) return refuse(p, "missing closing ]");
    p->at++;
    return class_of(p, from);
}

static struct regex_node *property_node(struct parser *p, const char *from)
{
    if (p->at < p->end && *p->at == '{') {
        const char *close = memchr(p->at, '}', (size_t) (p->end - p->at));
        p->at = close ? close + 1 : p->end;
    } else if (p->at < p->end) {
        uint32_t rune = 0;
        p->at += utf8_decode(p->at, p->end, &rune);
    }
    return class_of(p, from);
}

static struct regex_node *escape_node(struct parser *p)
{
    static const struct { char name; enum regex_op op; } ASSERTIONS[] = {
        { 'A', REGEX_BEGIN }, { 'z', REGEX_END }, { 'b', REGEX_WORD }, { 'B', REGEX_NOT_WORD },
    };
    const char *from = p->at++;
    if (p->at == p->end) return refuse(p, "trailing backslash at end of expression");
    char c = *p->at++;
    for (size_t i = 0; i < sizeof ASSERTIONS / sizeof ASSERTIONS[0]; i++)
        if (ASSERTIONS[i].name == c) return one(p, ASSERTIONS[i].op, 0);
    if (c == 'p' || c == 'P') return property_node(p, from);
    if (c == 'x' && take(p, "{")) {
        char *close = NULL;
        uint32_t rune = (uint32_t) strtoul(p->at, &close, 16);
        p->at = close;
        if (!take(p, "}")) return refuse(p, "invalid escape sequence");
        return rune_node(p, rune, from);
    }
    return rune_node(p, (unsigned char) c, from);
}

/* ---- groups ---- */

static struct regex_node *alternatives(struct parser *p);

static struct regex_node *close_group(struct parser *p, struct flags outer, bool captures, uint32_t number)
{
    struct regex_node *inner = alternatives(p);
    p->flags = outer;
    if (!inner) return NULL;
    if (!take(p, ")")) return refuse(p, "missing closing )");
    if (!captures) return inner;
    return node(p, (struct regex_node) {
        .kind = REGEX_NODE_GROUP, .x = number, .first = inner, .nullable = inner->nullable,
    });
}

/* (?flags) holds to the end of the group around it, (?flags:...) for its own. */
static struct regex_node *flag_group(struct parser *p)
{
    struct flags outer = p->flags;
    bool on = true;
    for (; p->at < p->end && *p->at != ':' && *p->at != ')'; p->at++) {
        if (*p->at == '-') on = false;
        if (*p->at == 'i') p->flags.ignore_case = on;
        if (*p->at == 'm') p->flags.multiline = on;
        if (*p->at == 's') p->flags.dot_all = on;
        if (*p->at == 'U') p->flags.swap_greed = on;
    }
    if (take(p, ")")) return node(p, (struct regex_node) { .kind = REGEX_NODE_EMPTY, .nullable = true });
    if (!take(p, ":")) return refuse(p, "missing closing )");
    return close_group(p, outer, false, 0);
}

static struct regex_node *group_node(struct parser *p)
{
    p->at++;
    if (take(p, "?")) return flag_group(p);
    uint32_t number = ++p->tree->groups;
    if (number > REGEX_GROUPS_MAX) {
        refuse(p, "expression has too many groups");
        p->refusal->limit = p->refusal->kind != NULL;
        return NULL;
    }
    return close_group(p, p->flags, true, number);
}

/* ---- repetition ---- */

/* The largest product of counts within each other: {n} of {m} writes n * m copies. */
static long repeat_product(const struct regex_node *n)
{
    if (!n) return 1;
    long first = repeat_product(n->first), second = repeat_product(n->second);
    long most = first > second ? first : second;
    if (n->kind != REGEX_NODE_REPEAT) return most;
    int times = n->max > n->min ? n->max : n->min;
    return most * (times > 1 ? times : 1);
}

static struct regex_node *repeated(struct parser *p, struct regex_node *what, int min, int max)
{
    bool lazy = take(p, "?") != p->flags.swap_greed;
    struct regex_node *n = node(p, (struct regex_node) {
        .kind = REGEX_NODE_REPEAT, .first = what, .min = min, .max = max, .lazy = lazy,
        .nullable = min == 0 || what->nullable,
    });
    bool counted = min > 1 || max > 1;
    if (n && counted && repeat_product(n) > REPEAT_PRODUCT_MAX) return refuse(p, "invalid repeat count");
    return n;
}

static struct regex_node *quantified(struct parser *p, struct regex_node *what)
{
    if (!what || p->at == p->end) return what;
    if (take(p, "*")) return repeated(p, what, 0, -1);
    if (take(p, "+")) return repeated(p, what, 1, -1);
    if (take(p, "?")) return repeated(p, what, 0, 1);
    if (*p->at != '{') return what;
    char *at = NULL;
    long min = strtol(p->at + 1, &at, 10), max = min;
    p->at = at;
    if (take(p, ",")) {
        max = -1;
        if (p->at < p->end && *p->at != '}') {
            max = strtol(p->at, &at, 10);
            p->at = at;
        }
    }
    return take(p, "}") ? repeated(p, what, (int) min, (int) max) : refuse(p, "invalid repeat count");
}

/* ---- all of it ---- */

static struct regex_node *atom(struct parser *p)
{
    switch (*p->at) {
    case '(': return group_node(p);
    case '[': return class_node(p);
    case '\\': return escape_node(p);
    case '.': return p->at++, one(p, p->flags.dot_all ? REGEX_ANY : REGEX_NOT_LF, 0);
    case '^': return p->at++, one(p, p->flags.multiline ? REGEX_LINE_BEGIN : REGEX_BEGIN, 0);
    case '$': return p->at++, one(p, p->flags.multiline ? REGEX_LINE_END : REGEX_END, 0);
    default: break;
    }
    const char *from = p->at;
    uint32_t rune = 0;
    p->at += utf8_decode(p->at, p->end, &rune);
    return rune_node(p, rune, from);
}

/* Balanced, since its depth is that of the recursion over it. */
static struct regex_node *sequence(struct parser *p, struct regex_node **parts, size_t count)
{
    if (count == 0) return node(p, (struct regex_node) { .kind = REGEX_NODE_EMPTY, .nullable = true });
    if (count == 1) return parts[0];
    struct regex_node *first = sequence(p, parts, count / 2);
    struct regex_node *second = sequence(p, parts + count / 2, count - count / 2);
    if (!first || !second) return NULL;
    return node(p, (struct regex_node) {
        .kind = REGEX_NODE_SEQUENCE, .first = first, .second = second, .nullable = first->nullable && second->nullable,
    });
}

static struct regex_node *alternate(struct parser *p, struct regex_node **parts, size_t count)
{
    if (count == 1) return parts[0];
    struct regex_node *first = alternate(p, parts, count / 2);
    struct regex_node *second = alternate(p, parts + count / 2, count - count / 2);
    if (!first || !second) return NULL;
    return node(p, (struct regex_node) {
        .kind = REGEX_NODE_ALTERNATE, .first = first, .second = second, .nullable = first->nullable || second->nullable,
    });
}

struct list { struct regex_node **at; size_t count, cap; };

static bool push(struct parser *p, struct list *l, struct regex_node *n)
{
    struct regex_node **at = n ? arena_grow(p->tree->arena, l->at, l->count, &l->cap, sizeof *at) : NULL;
    if (!at) return false;
    l->at = at;
    at[l->count++] = n;
    return true;
}

/* Up to the closing parenthesis or the end. */
static struct regex_node *alternatives(struct parser *p)
{
    struct list branches = { 0 };
    do {
        struct list parts = { 0 };
        while (p->at < p->end && *p->at != '|' && *p->at != ')')
            if (!push(p, &parts, quantified(p, atom(p)))) return NULL;
        if (!push(p, &branches, sequence(p, parts.at, parts.count))) return NULL;
    } while (take(p, "|"));
    return alternate(p, branches.at, branches.count);
}

bool regex_parse(struct regex_tree *t, const char *source, size_t len, struct regex_refusal *ret)
{
    struct parser p = { .tree = t, .at = source, .end = source + len, .refusal = ret };
    *ret = (struct regex_refusal) { 0 };
    t->root = alternatives(&p);
    if (t->root && p.at < p.end) refuse(&p, "unexpected )");
    return t->root && p.at == p.end;
}
