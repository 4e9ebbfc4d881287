/* Rego's values: immutable, shared freely, living in arenas. `const struct value *` everywhere;
 * NULL means undefined (or, from a constructor, that the arena is exhausted: arena_failed tells).
 * Objects and sets are stored sorted in the canonical order, without duplicates, so equality is a
 * walk side by side and look-up a binary search. Every value knows how deep it nests, and no
 * constructor makes one deeper than VALUE_DEPTH_MAX (it fails the arena instead): recursion over
 * values is bounded by that. Reading from many threads is safe. */
#pragma once

#include "policy/num.h"
#include "policy/text.h"

#include <string.h>

enum value_kind { /* in the canonical order */
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_NUMBER,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_OBJECT,
    VALUE_SET,
};

/* Values share their parts, so a small one may print, compare and walk like a giant one
 * ([x, x] of [y, y] of ...): its weight bounds that work, and no constructor makes a heavier one. */
enum { VALUE_DEPTH_MAX = 400, VALUE_WEIGHT_MAX = 1 << 22 };

struct value_pair { const struct value *key, *value; };

struct value {
    uint8_t kind;    /* enum value_kind */
    uint16_t depth;  /* 0 scalar; composites: 1 + the deepest member */
    uint32_t count;  /* members of a composite, bytes of a string */
    union {
        bool boolean;
        struct num number;
        struct {
            const char *string;            /* UTF-8, `count` bytes, NUL behind */
            uint64_t prefix;               /* value_prefix of it: most strings differ there */
        };
        struct {
            union {
                const struct value *const *items; /* array; set (sorted) */
                const struct value_pair *pairs;   /* object, sorted by key */
            };
            uint64_t weight; /* see value_weight */
        };
    };
};

extern const struct value VALUE_NULL_, VALUE_TRUE_, VALUE_FALSE_;
extern const struct value VALUE_EMPTY_STRING, VALUE_EMPTY_ARRAY, VALUE_EMPTY_OBJECT, VALUE_EMPTY_SET;

static inline const struct value *value_null(void) { return &VALUE_NULL_; }
static inline const struct value *value_bool(bool b) { return b ? &VALUE_TRUE_ : &VALUE_FALSE_; }

static inline bool value_is(const struct value *v, enum value_kind kind)
{
    return v && v->kind == kind;
}

/* What makes an expression fail: undefined or false. */
static inline bool value_truthy(const struct value *v)
{
    return v && !(v->kind == VALUE_BOOL && !v->boolean);
}

/* How much work it is to walk over the value as though nothing was shared: its parts, and a unit
 * for 32 bytes of text, or for a digit of a number that is not held as an integer. */
static inline uint64_t value_weight(const struct value *v)
{
    if (v->kind >= VALUE_ARRAY) return 1 + v->weight;
    if (v->kind == VALUE_NUMBER) return 1 + v->number.len;
    return v->kind == VALUE_STRING ? 1 + v->count / 32 : 1;
}

/* The first 8 bytes as a number that orders like the bytes; a shorter text counts as filled up with NULs. */
static inline uint64_t value_prefix(const char *s, size_t len)
{
    uint64_t word = 0;

    memcpy(&word, s, len < sizeof word ? len : sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* A string to look up by, on the caller's stack and over the caller's text: never to be kept. */
static inline struct value value_key(const char *s, size_t len)
{
    return (struct value) { .kind = VALUE_STRING, .count = (uint32_t) len, .string = s, .prefix = value_prefix(s, len) };
}

/* A static string from a literal: struct value name = VALUE_LITERAL("plugin"). */
#define VALUE_LITERAL(s) \
    { .kind = VALUE_STRING, .count = sizeof(s) - 1, .string = (s), .prefix = VALUE_LITERAL_HALF(s, 0) | VALUE_LITERAL_HALF(s, 4) }
#define VALUE_LITERAL_HALF(s, i) \
    (VALUE_LITERAL_BYTE(s, i) | VALUE_LITERAL_BYTE(s, i + 1) | VALUE_LITERAL_BYTE(s, i + 2) | VALUE_LITERAL_BYTE(s, i + 3))
#define VALUE_LITERAL_BYTE(s, i) ((uint64_t) (unsigned char) (s)[(i) < sizeof(s) ? (i) : sizeof(s) - 1] << (56 - 8 * (i)))

/* ---- scalars ---- */
const struct value *value_int(struct arena *a, int64_t i);
const struct value *value_num(struct arena *a, struct num n);
bool value_num_ready(struct num n); /* its value is there already, and takes no memory */
const struct value *value_string(struct arena *a, const char *s, size_t len); /* copies */
const struct value *value_string_z(struct arena *a, const char *s);           /* copies */
/* Without a copy: `s` has a NUL behind and lives as long as the value (arena or literal). */
const struct value *value_string_shared(struct arena *a, const char *s, size_t len);
const struct value *value_from_text(struct text *t); /* NULL when the text failed */

/* ---- composites: they take the array over (it lives in the arena and is not touched again) ---- */
const struct value *value_array(struct arena *a, const struct value **items, size_t count);
/* Sorts and drops duplicates in place. */
const struct value *value_set(struct arena *a, const struct value **items, size_t count);
/* Sorts in place. Same key twice: with equal values one is dropped; with different ones NULL, and
 * *ret_conflict is the key (not NULL); with ret_conflict NULL the later one wins. */
const struct value *value_object(struct arena *a, struct value_pair *pairs, size_t count,
                                 const struct value **ret_conflict);

/* Sorts in place into the canonical order, equal members in their old order; false without memory. */
bool value_sort(struct arena *a, const struct value **items, size_t count);

/* ---- builder of any composite, for loops ---- */
struct value_builder {
    struct arena *arena;
    struct value_pair *pairs;    /* of an object */
    const struct value **items;  /* of an array or set */
    size_t count, cap;
    enum value_kind kind;
};

static inline void value_builder_init(struct value_builder *b, struct arena *a, enum value_kind kind)
{
    *b = (struct value_builder) { .arena = a, .kind = kind };
}

bool value_builder_grow(struct value_builder *b);
bool value_builder_refuse(struct value_builder *b); /* fails the arena; always false */

/* False (and the arena failed) without memory. NULL values are refused: test for undefined first. */
static inline bool value_builder_add(struct value_builder *b, const struct value *item)
{
    if (!item || (b->count == b->cap && !value_builder_grow(b))) return value_builder_refuse(b);
    b->items[b->count++] = item;
    return true;
}
bool value_builder_put(struct value_builder *b, const struct value *key, const struct value *value);
/* The builder may not be used afterwards. ret_conflict as value_object's; ignored for others. */
const struct value *value_builder_end(struct value_builder *b, const struct value **ret_conflict);

/* ---- reading ---- */
/* Canonical order: null < false < true < numbers < strings by bytes < arrays by members, then
 * length < objects by their sorted pairs, then length < sets likewise. Neither may be NULL. */
int value_compare(const struct value *a, const struct value *b);
bool value_equal_slow(const struct value *a, const struct value *b);

static inline bool value_equal(const struct value *a, const struct value *b)
{
    if (a == b) return true;
    if (a->kind != b->kind || a->count != b->count || a->depth != b->depth) return false;
    if (a->kind == VALUE_STRING && (a->prefix != b->prefix || a->count <= sizeof a->prefix))
        return a->prefix == b->prefix;
    return value_equal_slow(a, b);
}
uint64_t value_hash(const struct value *v); /* equal values hash the same; walks the value */

/* Member by key; NULL when there is none. For arrays the key is a number, for sets the member. */
const struct value *value_get(const struct value *composite, const struct value *key);
const struct value *object_get(const struct value *object, const struct value *key);
const struct value *object_get_z(const struct value *object, const char *key);
/* An array's member by index; NULL beyond the end. */
static inline const struct value *array_at(const struct value *array, size_t i)
{
    return i < array->count ? array->items[i] : NULL;
}
bool set_has(const struct value *set, const struct value *member);
/* Position of the key (object) or member (set), or where it would stand. */
bool value_find(const struct value *composite, const struct value *key, size_t *ret_at);

/* The i-th pair, i < count: arrays give index and member, sets member and member. The index is
 * made in the arena; NULL key without memory. */
struct value_pair value_pair_at(struct arena *a, const struct value *composite, size_t i);

/* New object with one more (or changed) key; new set with one more member. O(n). */
const struct value *object_with(struct arena *a, const struct value *object, const struct value *key,
                                const struct value *value);
const struct value *object_without(struct arena *a, const struct value *object, const struct value *key);
/* Keys of both; where both hold an object, merged in turn; otherwise the right one wins (object.union). */
const struct value *object_merge(struct arena *a, const struct value *left, const struct value *right);
const struct value *set_union(struct arena *a, const struct value *x, const struct value *y);
const struct value *set_intersection(struct arena *a, const struct value *x, const struct value *y);
const struct value *set_minus(struct arena *a, const struct value *x, const struct value *y);

/* A deep copy into another arena, so that the first may go; and what it takes there, in bytes. */
const struct value *value_copy(struct arena *a, const struct value *v);
size_t value_copy_bytes(const struct value *v);

static inline bool string_is(const struct value *v, const char *s)
{
    return v && v->kind == VALUE_STRING && strlen(s) == v->count && memcmp(v->string, s, v->count) == 0;
}

/* "null" "boolean" "number" "string" "array" "object" "set" (type_name's words). */
const char *value_kind_name(enum value_kind kind);

/* In Rego's syntax: set(), {1, 2}, {"a": [true]}; what sprintf's %v shows of composites. */
void value_print(struct text *t, const struct value *v);
/* The same, about `max` bytes of it: what is left out is an ellipsis. */
void value_print_cut(struct text *t, const struct value *v, size_t max);
