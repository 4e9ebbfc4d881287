/* strings: searching, cutting, joining. Positions and lengths count code points, as in OPA; text
 * that is not well-formed (a decoder's output) counts each bad byte as one. */
#include "policy/builtin.h"
#include "policy/builtin_case.h"

#include <string.h>

enum { COMPARED_A_STEP = 256 }; /* bytes */

struct span {
    const char *at;
    size_t len;
};

static struct span span_of(const struct value *v)
{
    return (struct span) { v->string, v->count };
}

static const struct value *string_of(struct builtin_call *call, const char *s, size_t len)
{
    if (!builtin_spend(call, len / 16)) return NULL;
    const struct value *v = value_string(call->arena, s, len);
    return v ? v : builtin_halt(call);
}

static const struct value *int_of(struct builtin_call *call, size_t n)
{
    const struct value *v = value_int(call->arena, (int64_t) n);
    return v ? v : builtin_halt(call);
}

/* Bytes from the front to the first occurrence; SIZE_MAX when there is none. */
static size_t find(struct span in, struct span what)
{
    if (what.len == 0) return 0;
    const char *at = memmem(in.at, in.len, what.at, what.len);
    return at ? (size_t) (at - in.at) : SIZE_MAX;
}

static struct span behind(struct span s, size_t bytes)
{
    return (struct span) { s.at + bytes, s.len - bytes };
}

static size_t rune_len(struct span s)
{
    uint32_t rune = 0;
    return utf8_decode(s.at, s.at + s.len, &rune);
}

static bool has_prefix(struct span s, struct span prefix)
{
    return s.len >= prefix.len && memcmp(s.at, prefix.at, prefix.len) == 0;
}

static bool has_suffix(struct span s, struct span suffix)
{
    return s.len >= suffix.len && memcmp(s.at + s.len - suffix.len, suffix.at, suffix.len) == 0;
}

/* ---- tests ---- */

const struct value *builtin_contains(struct builtin_call *call, const struct value *const *args)
{
    if (!builtin_spend(call, args[0]->count / 16)) return NULL;
    return value_bool(find(span_of(args[0]), span_of(args[1])) != SIZE_MAX);
}

const struct value *builtin_startswith(struct builtin_call *call, const struct value *const *args)
{
    return value_bool(has_prefix(span_of(args[0]), span_of(args[1])));
}

const struct value *builtin_endswith(struct builtin_call *call, const struct value *const *args)
{
    return value_bool(has_suffix(span_of(args[0]), span_of(args[1])));
}

/* A string alone counts as a collection of one. */
static const struct value *const *members(struct builtin_call *call, unsigned operand,
                                          const struct value *const *arg, size_t *ret_count)
{
    if ((*arg)->kind == VALUE_STRING) {
        *ret_count = 1;
        return arg;
    }
    const char *kind = value_kind_name((*arg)->kind);
    for (size_t i = 0; i < (*arg)->count; i++) {
        const struct value *item = (*arg)->items[i];
        if (item->kind == VALUE_STRING) continue;
        builtin_fail_operand(call, operand, "must be %s of strings but got %s containing %s", kind, kind,
                             value_kind_name(item->kind));
        return NULL;
    }
    *ret_count = (*arg)->count;
    return (*arg)->items ? (*arg)->items : arg;
}

static const struct value *any_match(struct builtin_call *call, const struct value *const *args,
                                     bool (*match)(struct span s, struct span part))
{
    size_t count = 0, part_count = 0;
    const struct value *const *strings = members(call, 1, &args[0], &count);
    const struct value *const *parts = strings ? members(call, 2, &args[1], &part_count) : NULL;
    if (!parts) return NULL;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < part_count; k++) {
            if (!builtin_spend(call, 1 + parts[k]->count / COMPARED_A_STEP)) return NULL;
            if (match(span_of(strings[i]), span_of(parts[k]))) return value_bool(true);
        }
    return value_bool(false);
}

const struct value *builtin_strings_any_prefix_match(struct builtin_call *call, const struct value *const *args)
{
    return any_match(call, args, has_prefix);
}

const struct value *builtin_strings_any_suffix_match(struct builtin_call *call, const struct value *const *args)
{
    return any_match(call, args, has_suffix);
}

/* ---- positions ---- */

const struct value *builtin_indexof(struct builtin_call *call, const struct value *const *args)
{
    if (args[1]->count == 0) return builtin_fail(call, "empty search character");
    if (!builtin_spend(call, args[0]->count / 16)) return NULL;
    size_t at = find(span_of(args[0]), span_of(args[1]));
    const struct value *v = value_int(call->arena, at == SIZE_MAX ? -1 : (int64_t) utf8_count(args[0]->string, at));
    return v ? v : builtin_halt(call);
}

/* Of each beginning of `what`, how long its longest end is that is a beginning too (Knuth, Morris, Pratt):
 * so far back a search goes when the next byte does not fit. NULL without memory. */
static uint32_t *borders_of(struct arena *a, struct span what)
{
    uint32_t *borders = arena_alloc_array(a, what.len + 1, sizeof *borders);
    uint32_t border = 0;
    for (size_t i = 1; borders && i < what.len; i++) {
        while (border > 0 && what.at[border] != what.at[i]) border = borders[border];
        if (what.at[border] == what.at[i]) border++;
        borders[i + 1] = border;
    }
    return borders;
}

/* Overlapping occurrences count too; in one pass, since text and pattern may be made for each other. */
const struct value *builtin_indexof_n(struct builtin_call *call, const struct value *const *args)
{
    struct span in = span_of(args[0]), what = span_of(args[1]);
    if (what.len == 0) return builtin_fail(call, "empty search character");
    if (!builtin_spend(call, (uint64_t) in.len / 4 + what.len / 4)) return NULL;
    const uint32_t *borders = borders_of(call->arena, what);
    if (!borders) return builtin_halt(call);
    struct value_builder found;
    value_builder_init(&found, call->arena, VALUE_ARRAY);
    size_t begin = 0; /* of the code point that has the index */
    int64_t index = 0;
    uint32_t fits = 0;
    for (size_t i = 0; i < in.len; i++) {
        while (fits > 0 && (fits == what.len || what.at[fits] != in.at[i])) fits = borders[fits];
        if (what.at[fits] == in.at[i]) fits++;
        if (fits < what.len) continue;
        for (size_t start = i + 1 - what.len; begin < start; index++) begin += rune_len(behind(in, begin));
        bool whole = begin == i + 1 - what.len; /* not within a code point */
        if (whole && !value_builder_add(&found, value_int(call->arena, index))) return builtin_halt(call);
    }
    return builtin_builder_end(call, &found);
}

const struct value *builtin_strings_count(struct builtin_call *call, const struct value *const *args)
{
    struct span rest = span_of(args[0]), what = span_of(args[1]);
    if (!builtin_spend(call, rest.len / 16)) return NULL;
    if (what.len == 0) return int_of(call, utf8_count(rest.at, rest.len) + 1);
    size_t count = 0;
    for (size_t at; (at = find(rest, what)) != SIZE_MAX; count++) rest = behind(rest, at + what.len);
    return int_of(call, count);
}

const struct value *builtin_substring(struct builtin_call *call, const struct value *const *args)
{
    int64_t start = 0, length = 0;
    if (!builtin_integer(call, 2, args[1], &start) || !builtin_integer(call, 3, args[2], &length)) return NULL;
    if (start < 0) return builtin_fail(call, "negative offset");
    if (!builtin_spend(call, args[0]->count / 16)) return NULL;
    struct span s = span_of(args[0]);
    for (; start > 0 && s.len > 0; start--) s = behind(s, rune_len(s));
    struct span rest = s;
    for (; length > 0 && rest.len > 0; length--) rest = behind(rest, rune_len(rest));
    return string_of(call, s.at, length < 0 ? s.len : s.len - rest.len);
}

const struct value *builtin_strings_reverse(struct builtin_call *call, const struct value *const *args)
{
    struct span s = span_of(args[0]);
    char *out = arena_alloc(call->arena, s.len + 1);
    if (!out || !builtin_spend(call, s.len / 8)) return builtin_halt(call);
    for (char *to = out + s.len; s.len > 0;) {
        size_t n = rune_len(s);
        memcpy(to -= n, s.at, n);
        s = behind(s, n);
    }
    const struct value *v = value_string_shared(call->arena, out, args[0]->count);
    return v ? v : builtin_halt(call);
}

/* ---- joining, splitting, replacing ---- */

const struct value *builtin_concat(struct builtin_call *call, const struct value *const *args)
{
    size_t count = 0;
    const struct value *const *parts = members(call, 2, &args[1], &count);
    if (!parts) return NULL;
    struct text t;
    text_init(&t, call->arena);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) text_add(&t, args[0]->string, args[0]->count);
        text_add(&t, parts[i]->string, parts[i]->count);
    }
    return builtin_text_end(call, &t);
}

static bool add_part(struct builtin_call *call, struct value_builder *parts, const char *s, size_t len)
{
    return builtin_spend(call, 1) && value_builder_add(parts, value_string(call->arena, s, len));
}

const struct value *builtin_split(struct builtin_call *call, const struct value *const *args)
{
    struct span rest = span_of(args[0]), by = span_of(args[1]);
    struct value_builder parts;
    value_builder_init(&parts, call->arena, VALUE_ARRAY);
    if (by.len == 0) {
        for (; rest.len > 0; rest = behind(rest, rune_len(rest)))
            if (!add_part(call, &parts, rest.at, rune_len(rest))) return builtin_halt(call);
        return builtin_builder_end(call, &parts);
    }
    for (size_t at; (at = find(rest, by)) != SIZE_MAX; rest = behind(rest, at + by.len))
        if (!add_part(call, &parts, rest.at, at)) return builtin_halt(call);
    if (!add_part(call, &parts, rest.at, rest.len)) return builtin_halt(call);
    return builtin_builder_end(call, &parts);
}

/* An empty `old` matches before every code point and at the end. */
const struct value *builtin_replace(struct builtin_call *call, const struct value *const *args)
{
    struct span rest = span_of(args[0]), old = span_of(args[1]), new = span_of(args[2]);
    if (!builtin_spend(call, rest.len / 16)) return NULL;
    struct text t;
    text_init(&t, call->arena);
    if (old.len > 0) {
        for (size_t at; (at = find(rest, old)) != SIZE_MAX && !t.failed; rest = behind(rest, at + old.len)) {
            text_add(&t, rest.at, at);
            text_add(&t, new.at, new.len);
        }
        text_add(&t, rest.at, rest.len);
        return builtin_text_end(call, &t);
    }
    for (; rest.len > 0 && !t.failed; rest = behind(rest, rune_len(rest))) {
        text_add(&t, new.at, new.len);
        text_add(&t, rest.at, rune_len(rest));
    }
    text_add(&t, new.at, new.len);
    return builtin_text_end(call, &t);
}

/* All patterns in one pass, at each position the first (in sorted order) that fits: {"f": "x",
 * "foo": "y"} makes "xoo" of "foo". An empty pattern fits once at every position, before what else
 * fits there. */
static const struct value_pair *first_match(const struct value *patterns, struct span rest, bool empty_fits)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const struct value_pair *p = &patterns->pairs[i];
        if ((p->key->count > 0 || empty_fits) && has_prefix(rest, span_of(p->key))) return p;
    }
    return NULL;
}

const struct value *builtin_strings_replace_n(struct builtin_call *call, const struct value *const *args)
{
    const struct value *patterns = args[0];
    uint64_t at_each = 1 + patterns->count; /* what looking for all patterns at one place may cost */
    for (size_t i = 0; i < patterns->count; i++) {
        at_each += patterns->pairs[i].key->count / COMPARED_A_STEP;
        if (patterns->pairs[i].key->kind != VALUE_STRING)
            return builtin_fail_operand(call, 1, "non-string key found in pattern object");
        if (patterns->pairs[i].value->kind != VALUE_STRING)
            return builtin_fail_operand(call, 1, "non-string value found in pattern object");
    }
    if (!builtin_spend(call, args[1]->count * at_each)) return NULL;
    struct text t;
    text_init(&t, call->arena);
    bool after_empty = false;
    for (struct span rest = span_of(args[1]); !t.failed;) {
        const struct value_pair *p = first_match(patterns, rest, !after_empty);
        after_empty = p && p->key->count == 0;
        if (p) {
            text_add(&t, p->value->string, p->value->count);
            rest = behind(rest, p->key->count);
        } else if (rest.len > 0) {
            text_add(&t, rest.at, rune_len(rest));
            rest = behind(rest, rune_len(rest));
        } else {
            break;
        }
    }
    return builtin_text_end(call, &t);
}

/* ---- trimming ---- */

static bool is_space(uint32_t rune)
{
    return (rune >= '\t' && rune <= '\r') || rune == ' ' || rune == 0x85 || rune == 0xa0 || rune == 0x1680 ||
           (rune >= 0x2000 && rune <= 0x200a) || rune == 0x2028 || rune == 0x2029 || rune == 0x202f ||
           rune == 0x205f || rune == 0x3000;
}

/* cutset NULL: white space. */
static bool to_cut(uint32_t rune, const struct value *cutset)
{
    if (!cutset) return is_space(rune);
    for (struct span s = span_of(cutset); s.len > 0; s = behind(s, rune_len(s))) {
        uint32_t other = 0;
        utf8_decode(s.at, s.at + s.len, &other);
        if (other == rune) return true;
    }
    return false;
}

static struct span trim_front(struct span s, const struct value *cutset)
{
    while (s.len > 0) {
        uint32_t rune = 0;
        size_t n = utf8_decode(s.at, s.at + s.len, &rune);
        if (!to_cut(rune, cutset)) break;
        s = behind(s, n);
    }
    return s;
}

/* The last code point starts at most four bytes before the end. */
static size_t last_rune(struct span s, uint32_t *ret_rune)
{
    for (size_t n = s.len < 4 ? s.len : 4; n > 1; n--)
        if (utf8_decode(s.at + s.len - n, s.at + s.len, ret_rune) == n) return n;
    return utf8_decode(s.at + s.len - 1, s.at + s.len, ret_rune);
}

static struct span trim_back(struct span s, const struct value *cutset)
{
    while (s.len > 0) {
        uint32_t rune = 0;
        size_t n = last_rune(s, &rune);
        if (!to_cut(rune, cutset)) break;
        s.len -= n;
    }
    return s;
}

static const struct value *trimmed(struct builtin_call *call, const struct value *const *args, bool front,
                                   bool back, const struct value *cutset)
{
    uint64_t width = cutset ? cutset->count + 1 : 1;
    if (!builtin_spend(call, args[0]->count * width / 16)) return NULL;
    struct span s = span_of(args[0]);
    if (front) s = trim_front(s, cutset);
    if (back) s = trim_back(s, cutset);
    return s.len == args[0]->count ? args[0] : string_of(call, s.at, s.len);
}

const struct value *builtin_trim(struct builtin_call *call, const struct value *const *args)
{
    return trimmed(call, args, true, true, args[1]);
}

const struct value *builtin_trim_left(struct builtin_call *call, const struct value *const *args)
{
    return trimmed(call, args, true, false, args[1]);
}

const struct value *builtin_trim_right(struct builtin_call *call, const struct value *const *args)
{
    return trimmed(call, args, false, true, args[1]);
}

const struct value *builtin_trim_space(struct builtin_call *call, const struct value *const *args)
{
    return trimmed(call, args, true, true, NULL);
}

const struct value *builtin_trim_prefix(struct builtin_call *call, const struct value *const *args)
{
    struct span s = span_of(args[0]), prefix = span_of(args[1]);
    return has_prefix(s, prefix) ? string_of(call, s.at + prefix.len, s.len - prefix.len) : args[0];
}

const struct value *builtin_trim_suffix(struct builtin_call *call, const struct value *const *args)
{
    struct span s = span_of(args[0]), suffix = span_of(args[1]);
    return has_suffix(s, suffix) ? string_of(call, s.at, s.len - suffix.len) : args[0];
}

/* ---- case ---- */

static const struct value *recase(struct builtin_call *call, const struct value *s,
                                  uint32_t (*change)(uint32_t rune))
{
    struct text t;
    text_init(&t, call->arena);
    if (!builtin_spend(call, s->count / 8) || !text_reserve(&t, s->count)) return builtin_halt(call);
    for (struct span rest = span_of(s); rest.len > 0 && !t.failed;) {
        uint32_t rune = (unsigned char) *rest.at;
        size_t n = rune < 0x80 ? 1 : utf8_decode(rest.at, rest.at + rest.len, &rune);
        text_add_rune(&t, change(rune));
        rest = behind(rest, n);
    }
    return builtin_text_end(call, &t);
}

const struct value *builtin_lower(struct builtin_call *call, const struct value *const *args)
{
    return recase(call, args[0], rune_lower);
}

const struct value *builtin_upper(struct builtin_call *call, const struct value *const *args)
{
    return recase(call, args[0], rune_upper);
}
