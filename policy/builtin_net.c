/* net.cidr_*: text only, nothing is ever resolved. */
#include "policy/builtin.h"
#include "policy/cidr.h"
#include "policy/value.h"

#include <stdlib.h>

static bool read_cidr(struct builtin_call *call, const struct value *v, struct cidr *ret)
{
    if (v->kind != VALUE_STRING) return builtin_fail_type(call, 1, "string", v), false;
    if (cidr_parse(v->string, v->count, ret)) return true;
    return builtin_fail(call, "invalid CIDR address: %.100s", v->string), false;
}

/* The block or the single address within the first block; false with the error recorded or not. */
static bool contains(struct builtin_call *call, const struct value *outer, const struct value *inner)
{
    struct cidr block, other;
    struct ip ip;

    if (!read_cidr(call, outer, &block)) return false;
    if (inner->kind != VALUE_STRING) return builtin_fail_type(call, 1, "string", inner), false;
    if (ip_parse(inner->string, inner->count, &ip)) return cidr_has(&block, &ip);
    if (!cidr_parse(inner->string, inner->count, &other))
        return builtin_fail(call, "not a valid textual representation of an IP address or CIDR: %.100s",
                            inner->string), false;
    ip = cidr_last(&other);
    return cidr_has(&block, &other.first) && cidr_has(&block, &ip);
}

const struct value *builtin_net_cidr_contains(struct builtin_call *call, const struct value *const *args)
{
    return value_bool(contains(call, args[0], args[1]));
}

const struct value *builtin_net_cidr_intersects(struct builtin_call *call, const struct value *const *args)
{
    struct cidr x, y;

    if (!read_cidr(call, args[0], &x) || !read_cidr(call, args[1], &y)) return NULL;
    return value_bool(cidr_has(&x, &y.first) || cidr_has(&y, &x.first));
}

const struct value *builtin_net_cidr_is_valid(struct builtin_call *call, const struct value *const *args)
{
    struct cidr c;

    (void) call;
    return value_bool(args[0]->kind == VALUE_STRING && cidr_parse(args[0]->string, args[0]->count, &c));
}

/* ---- matches ---- */

/* One operand's entries: a string alone, or the members of a collection, each a string or an array
 * that begins with one. */
static uint32_t entry_count(const struct value *v)
{
    return v->kind == VALUE_STRING ? 1 : v->kind >= VALUE_ARRAY ? v->count : 0;
}

/* The entry's text; *ret_index names it in the answer. NULL with the error recorded. */
static const struct value *entry(struct builtin_call *call, unsigned operand, const struct value *v, uint32_t i,
                                 const struct value **ret_index)
{
    const struct value *found = v;

    *ret_index = v;
    if (v->kind != VALUE_STRING) {
        struct value_pair p = value_pair_at(call->arena, v, i);

        *ret_index = p.key;
        found = p.value;
    }
    if (found->kind == VALUE_ARRAY && found->count) return found->items[0];
    if (found->kind == VALUE_STRING) return found;
    return builtin_fail(call, "operand %u: element must be string or non-empty array", operand);
}

static bool add_match(struct builtin_call *call, struct value_builder *b, const struct value *x,
                      const struct value *y)
{
    const struct value **pair = arena_alloc_array(call->arena, 2, sizeof *pair);

    if (!pair || !x || !y) return false;
    pair[0] = x;
    pair[1] = y;
    const struct value *match = value_array(call->arena, pair, 2);
    return match && value_builder_add(b, match);
}

const struct value *builtin_net_cidr_contains_matches(struct builtin_call *call, const struct value *const *args)
{
    struct value_builder b;

    value_builder_init(&b, call->arena, VALUE_SET);
    for (uint32_t i = 0; i < entry_count(args[0]); i++) {
        const struct value *outer_index, *outer = entry(call, 1, args[0], i, &outer_index);

        for (uint32_t j = 0; outer && j < entry_count(args[1]); j++) {
            const struct value *index, *inner = entry(call, 2, args[1], j, &index);

            if (!inner || !builtin_spend(call, 4)) return NULL;
            bool match = contains(call, outer, inner);
            if (call->problem != BUILTIN_FINE) return NULL;
            if (match && !add_match(call, &b, outer_index, index)) return NULL;
        }
        if (!outer) return NULL;
    }
    return builtin_builder_end(call, &b);
}

/* ---- expand ---- */

const struct value *builtin_net_cidr_expand(struct builtin_call *call, const struct value *const *args)
{
    struct value_builder b;
    struct cidr c;
    char text[CIDR_TEXT];

    if (!read_cidr(call, args[0], &c)) return NULL;
    unsigned free_bits = ip_width(&c.first) - c.bits;
    /* Before the first address: a budget that cannot pay for all of them is not begun on. */
    if (!builtin_spend(call, free_bits < 63 ? 4ull << free_bits : UINT64_MAX)) return NULL;
    value_builder_init(&b, call->arena, VALUE_SET);
    struct ip ip = c.first;
    do {
        ip_text(&ip, text);
        const struct value *v = value_string_z(call->arena, text);
        if (!v || !value_builder_add(&b, v)) return builtin_halt(call);
    } while (ip_next(&ip) && cidr_has(&c, &ip));
    return builtin_builder_end(call, &b);
}

/* ---- merge ---- */

struct range { struct ip first, last; };

static int by_last(const void *x, const void *y)
{
    const struct range *a = x, *b = y;
    int order = ip_compare(&a->last, &b->last);

    return order ? order : ip_compare(&a->first, &b->first);
}

/* Without a prefix an IPv4 address stands for its classful network, as in Go's DefaultMask. */
static unsigned classful_bits(const struct ip *ip)
{
    return ip->bytes[12] < 128 ? 8 : ip->bytes[12] < 192 ? 16 : 24;
}

static bool read_range(struct builtin_call *call, const struct value *v, struct range *ret)
{
    struct cidr c;
    struct ip ip;

    if (v->kind != VALUE_STRING) return builtin_fail(call, "element must be string"), false;
    if (ip_parse(v->string, v->count, &ip)) {
        if (!ip.v4) return builtin_fail(call, "IPv6 invalid: needs prefix length"), false;
        c = cidr_of(ip, classful_bits(&ip));
    } else if (!read_cidr(call, v, &c)) {
        return false;
    }
    *ret = (struct range) { c.first, cidr_last(&c) };
    return true;
}

/* Joins what overlaps or touches, from the top down; returns how many are left. */
static uint32_t join(struct range *ranges, uint32_t count)
{
    uint32_t kept = count; /* ranges[kept..count-1] are done */

    for (uint32_t i = count; i--;) {
        struct range r = ranges[i];

        if (kept < count && r.last.v4 == ranges[kept].first.v4) {
            struct ip before = ranges[kept].first;
            bool first = !ip_previous(&before);

            if (first || ip_compare(&before, &r.last) <= 0) {
                if (ip_compare(&r.first, &ranges[kept].first) < 0) ranges[kept].first = r.first;
                continue;
            }
        }
        ranges[--kept] = r;
    }
    memmove(ranges, ranges + kept, (count - kept) * sizeof *ranges);
    return count - kept;
}

/* The fewest blocks that make up the range: at each address the largest that fits. */
static bool add_blocks(struct builtin_call *call, struct value_builder *b, struct range r)
{
    char text[CIDR_TEXT];

    for (;;) {
        struct cidr c = cidr_of(r.first, ip_width(&r.first));

        for (unsigned bits = c.bits; bits--;) {
            struct cidr wider = cidr_of(r.first, bits);
            struct ip last = cidr_last(&wider);

            if (ip_compare(&wider.first, &r.first) != 0 || ip_compare(&last, &r.last) > 0) break;
            c = wider;
        }
        cidr_text(&c, text);
        const struct value *v = value_string_z(call->arena, text);
        uint64_t widths = ip_width(&r.first) - c.bits + 1;
        if (!v || !value_builder_add(b, v) || !builtin_spend(call, 2 * widths)) return false;
        r.first = cidr_last(&c);
        if (ip_compare(&r.first, &r.last) >= 0 || !ip_next(&r.first)) return true;
    }
}

const struct value *builtin_net_cidr_merge(struct builtin_call *call, const struct value *const *args)
{
    const struct value *v = args[0];
    struct value_builder b;

    if (v->kind != VALUE_ARRAY && v->kind != VALUE_SET) return builtin_fail(call, "operand must be an array");
    struct range *ranges = arena_alloc_array(call->arena, v->count, sizeof *ranges);
    if (!ranges || !builtin_spend(call, 8 * (uint64_t) v->count)) return NULL;
    for (uint32_t i = 0; i < v->count; i++)
        if (!read_range(call, v->items[i], &ranges[i])) return NULL;
    if (v->count) qsort(ranges, v->count, sizeof *ranges, by_last);
    uint32_t count = join(ranges, v->count);
    value_builder_init(&b, call->arena, VALUE_SET);
    for (uint32_t i = 0; i < count; i++)
        if (!add_blocks(call, &b, ranges[i])) return NULL;
    return builtin_builder_end(call, &b);
}
