/* semver.*: Semantic Versioning 2.0.0, 11, with a leading "v" allowed. */
#include "policy/builtin.h"
#include "policy/value.h"

struct part { const char *at, *end; };

struct version {
    uint64_t numbers[3];
    struct part before; /* pre-release identifiers, empty when there are none */
};

static bool is_identifier(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* Identifiers with single dots between them. */
static bool are_identifiers(struct part p)
{
    bool empty = true;

    for (const char *at = p.at; at < p.end; at++) {
        if (*at == '.' ? empty : !is_identifier(*at)) return false;
        empty = *at == '.';
    }
    return !empty;
}

/* Cuts what follows `mark` off; true when that is absent or well-formed. */
static bool cut_suffix(struct part *p, char mark, struct part *ret)
{
    const char *found = p->at < p->end ? memchr(p->at, mark, (size_t) (p->end - p->at)) : NULL;

    *ret = (struct part) { p->end, p->end };
    if (!found) return true;
    *ret = (struct part) { found + 1, p->end };
    p->end = found;
    return ret->at == ret->end || are_identifiers(*ret);
}

static bool read_number(struct part *p, uint64_t *ret)
{
    const char *start = p->at;

    *ret = 0;
    for (; p->at < p->end && is_digit(*p->at); p->at++)
        if (__builtin_mul_overflow(*ret, 10u, ret) || __builtin_add_overflow(*ret, (uint64_t) (*p->at - '0'), ret))
            return false;
    return p->at > start && *ret <= INT64_MAX;
}

static bool read_version(const struct value *v, struct version *ret)
{
    struct part p = { v->string, v->string + v->count }, build;

    if (p.at < p.end && *p.at == 'v') p.at++;
    if (!cut_suffix(&p, '+', &build) || !cut_suffix(&p, '-', &ret->before)) return false;
    for (int i = 0; i < 3; i++) {
        if (i && (p.at == p.end || *p.at++ != '.')) return false;
        if (!read_number(&p, &ret->numbers[i])) return false;
    }
    return p.at == p.end;
}

static struct part next_identifier(struct part *p)
{
    struct part id = { p->at, p->at };

    while (id.end < p->end && *id.end != '.') id.end++;
    p->at = id.end + (id.end < p->end);
    return id;
}

static bool is_numeric(struct part p)
{
    for (const char *at = p.at; at < p.end; at++)
        if (!is_digit(*at)) return false;
    return true;
}

static int compare_text(struct part x, struct part y)
{
    size_t a = (size_t) (x.end - x.at), b = (size_t) (y.end - y.at);
    int order = memcmp(x.at, y.at, a < b ? a : b);

    return order ? (order > 0) - (order < 0) : (a > b) - (a < b);
}

/* Numeric ones by number, of any length, and before the others. */
static int compare_identifiers(struct part x, struct part y)
{
    bool numeric_x = is_numeric(x), numeric_y = is_numeric(y);

    if (numeric_x != numeric_y) return numeric_x ? -1 : 1;
    if (!numeric_x) return compare_text(x, y);
    while (x.at < x.end && *x.at == '0') x.at++;
    while (y.at < y.end && *y.at == '0') y.at++;
    if (x.end - x.at != y.end - y.at) return x.end - x.at < y.end - y.at ? -1 : 1;
    return compare_text(x, y);
}

static int compare_versions(struct version *x, struct version *y)
{
    for (int i = 0; i < 3; i++)
        if (x->numbers[i] != y->numbers[i]) return x->numbers[i] < y->numbers[i] ? -1 : 1;
    struct part *p = &x->before, *q = &y->before;
    if (p->at == p->end || q->at == q->end) return (p->at == p->end) - (q->at == q->end);
    while (p->at < p->end && q->at < q->end) {
        int order = compare_identifiers(next_identifier(p), next_identifier(q));

        if (order) return order;
    }
    return (p->at < p->end) - (q->at < q->end);
}

const struct value *builtin_semver_compare(struct builtin_call *call, const struct value *const *args)
{
    struct version v[2];

    for (unsigned i = 0; i < 2; i++)
        if (!builtin_spend(call, args[i]->count / 16) || !read_version(args[i], &v[i]))
            return builtin_fail(call, "operand %u: string \"%.100s\" is not a valid SemVer", i + 1,
                                args[i]->string);
    return value_int(call->arena, compare_versions(&v[0], &v[1]));
}

const struct value *builtin_semver_is_valid(struct builtin_call *call, const struct value *const *args)
{
    struct version v;

    if (args[0]->kind != VALUE_STRING) return value_bool(false);
    return builtin_spend(call, args[0]->count / 16) ? value_bool(read_version(args[0], &v)) : NULL;
}
