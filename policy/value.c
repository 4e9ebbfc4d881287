#include "policy/value.h"

#define SCALAR(kind_) .kind = kind_
const struct value VALUE_NULL_ = { SCALAR(VALUE_NULL) };
const struct value VALUE_TRUE_ = { SCALAR(VALUE_BOOL), .boolean = true };
const struct value VALUE_FALSE_ = { SCALAR(VALUE_BOOL), .boolean = false };
const struct value VALUE_EMPTY_STRING = { SCALAR(VALUE_STRING), .string = "" };
const struct value VALUE_EMPTY_ARRAY = { SCALAR(VALUE_ARRAY), .depth = 1 };
const struct value VALUE_EMPTY_OBJECT = { SCALAR(VALUE_OBJECT), .depth = 1 };
const struct value VALUE_EMPTY_SET = { SCALAR(VALUE_SET), .depth = 1 };

const char *value_kind_name(enum value_kind kind)
{
    static const char *const names[] = {
        [VALUE_NULL] = "null",   [VALUE_BOOL] = "boolean",  [VALUE_NUMBER] = "number", [VALUE_STRING] = "string",
        [VALUE_ARRAY] = "array", [VALUE_OBJECT] = "object", [VALUE_SET] = "set",
    };
    return names[kind];
}

/* ---- scalars ---- */

static const struct value *make(struct arena *a, struct value v)
{
    struct value *made = arena_take(a, sizeof *made);

    if (made) *made = v;
    return made;
}

/* Small integers are everywhere: indices, counts, claims. They are there already. */
#define ONE(n) { .kind = VALUE_NUMBER, .number = { .i = (n) } }
#define FOUR(n) ONE(n), ONE((n) + 1), ONE((n) + 2), ONE((n) + 3)
#define SIXTEEN(n) FOUR(n), FOUR((n) + 4), FOUR((n) + 8), FOUR((n) + 12)
#define SIXTY_FOUR(n) SIXTEEN(n), SIXTEEN((n) + 16), SIXTEEN((n) + 32), SIXTEEN((n) + 48)
static const struct value SMALL[] = { SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128), SIXTY_FOUR(192) };

bool value_num_ready(struct num n)
{
    return !n.len && (uint64_t) n.i < sizeof SMALL / sizeof SMALL[0];
}

const struct value *value_num(struct arena *a, struct num n)
{
    if (value_num_ready(n)) return arena_failed(a) ? NULL : &SMALL[n.i];
    return make(a, (struct value) { .kind = VALUE_NUMBER, .number = n });
}

const struct value *value_int(struct arena *a, int64_t i)
{
    return value_num(a, num_of(i));
}

const struct value *value_string_shared(struct arena *a, const char *s, size_t len)
{
    if (len == 0) return &VALUE_EMPTY_STRING;
    if (len > UINT32_MAX) return arena_fail(a), NULL;
    return make(a, (struct value) {
        .kind = VALUE_STRING, .count = (uint32_t) len, .string = s, .prefix = value_prefix(s, len),
    });
}

const struct value *value_string(struct arena *a, const char *s, size_t len)
{
    const char *copy = len ? arena_copy(a, s, len) : "";

    return copy ? value_string_shared(a, copy, len) : NULL;
}

const struct value *value_string_z(struct arena *a, const char *s)
{
    return value_string(a, s, strlen(s));
}

const struct value *value_from_text(struct text *t)
{
    const char *s = text_end(t);

    return s ? value_string_shared(t->arena, s, t->len) : NULL;
}

/* ---- sorting: elements whose first field is the key; `size` is always a constant ---- */

enum { RUN = 8 }; /* sorted by insertion before runs are merged */

static inline const struct value *key_at(const char *elements, size_t size, size_t i)
{
    const struct value *key;

    memcpy(&key, elements + i * size, sizeof key);
    return key;
}

static inline bool is_sorted(const char *elements, size_t count, size_t size)
{
    for (size_t i = 1; i < count; i++)
        if (value_compare(key_at(elements, size, i - 1), key_at(elements, size, i)) > 0) return false;
    return true;
}

static inline void insertion(char *elements, size_t left, size_t right, size_t size)
{
    char moved[sizeof(struct value_pair)];

    for (size_t i = left + 1; i < right; i++) {
        const struct value *key = key_at(elements, size, i);
        size_t to = i;

        while (to > left && value_compare(key_at(elements, size, to - 1), key) > 0) to--;
        if (to == i) continue;
        memcpy(moved, elements + i * size, size);
        memmove(elements + (to + 1) * size, elements + to * size, (i - to) * size);
        memcpy(elements + to * size, moved, size);
    }
}

static inline void merge(char *to, const char *from, size_t left, size_t middle, size_t right, size_t size)
{
    size_t l = left, r = middle;

    for (size_t i = left; i < right; i++) {
        bool take_left = r == right
                         || (l < middle && value_compare(key_at(from, size, l), key_at(from, size, r)) <= 0);

        memcpy(to + i * size, from + (take_left ? l++ : r++) * size, size);
    }
}

/* Stable, so that among equal keys the later one stays later. */
static inline __attribute__((always_inline)) bool sort(struct arena *a, void *elements, size_t count, size_t size)
{
    if (is_sorted(elements, count, size)) return true;
    for (size_t left = 0; left < count; left += RUN)
        insertion(elements, left, left + RUN < count ? left + RUN : count, size);
    if (count <= RUN) return true;
    char *from = elements, *to = arena_take_array(a, count, size);

    if (!to) return false;
    for (size_t run = RUN; run < count; run *= 2) {
        for (size_t left = 0; left < count; left += 2 * run) {
            size_t middle = left + run < count ? left + run : count;
            size_t right = left + 2 * run < count ? left + 2 * run : count;

            merge(to, from, left, middle, right, size);
        }
        char *swap = from;
        from = to;
        to = swap;
    }
    if (from != elements) memcpy(elements, from, count * size);
    return true;
}

static bool sort_pairs(struct arena *a, struct value_pair *pairs, size_t count)
{
    return sort(a, pairs, count, sizeof *pairs);
}

bool value_sort(struct arena *a, const struct value **items, size_t count)
{
    return sort(a, items, count, sizeof *items);
}

/* ---- composites ---- */

/* What members add up to. */
struct sum { unsigned depth; uint64_t weight; };

static void count_in(struct sum *sum, const struct value *member)
{
    if (member->depth > sum->depth) sum->depth = member->depth;
    sum->weight += value_weight(member);
}

static bool admit(struct arena *a, size_t count, struct sum sum)
{
    if (count <= UINT32_MAX && sum.depth < VALUE_DEPTH_MAX && sum.weight < VALUE_WEIGHT_MAX) return true;
    arena_fail(a);
    return false;
}

/* Duplicates may go yet, so this is generous. */
static bool admit_sorting(struct arena *a, struct sum sum)
{
    if (sum.weight < 4ull * VALUE_WEIGHT_MAX) return true;
    arena_fail(a);
    return false;
}

static struct sum sum_list(const struct value *const *items, size_t count)
{
    struct sum sum = { 0 };

    for (size_t i = 0; i < count; i++) count_in(&sum, items[i]);
    return sum;
}

static struct sum sum_pairs(const struct value_pair *pairs, size_t count)
{
    struct sum sum = { 0 };

    for (size_t i = 0; i < count; i++) {
        count_in(&sum, pairs[i].key);
        count_in(&sum, pairs[i].value);
    }
    return sum;
}

static const struct value *make_list(struct arena *a, enum value_kind kind, const struct value **items,
                                     size_t count)
{
    struct sum sum = sum_list(items, count);

    if (!admit(a, count, sum)) return NULL;
    return make(a, (struct value) { .kind = (uint8_t) kind, .depth = (uint16_t) (sum.depth + 1),
                                    .count = (uint32_t) count, .items = items, .weight = sum.weight });
}

static const struct value *make_object(struct arena *a, const struct value_pair *pairs, size_t count)
{
    struct sum sum = sum_pairs(pairs, count);

    if (!admit(a, count, sum)) return NULL;
    return make(a, (struct value) { .kind = VALUE_OBJECT, .depth = (uint16_t) (sum.depth + 1),
                                    .count = (uint32_t) count, .pairs = pairs, .weight = sum.weight });
}

const struct value *value_array(struct arena *a, const struct value **items, size_t count)
{
    return count ? make_list(a, VALUE_ARRAY, items, count) : &VALUE_EMPTY_ARRAY;
}

const struct value *value_set(struct arena *a, const struct value **items, size_t count)
{
    size_t kept = 0;

    if (!count) return &VALUE_EMPTY_SET;
    /* Sorting compares: what is refused for its weight must be so before. */
    if (!admit_sorting(a, sum_list(items, count))) return NULL;
    if (!value_sort(a, items, count)) return NULL;
    for (size_t i = 0; i < count; i++)
        if (!kept || !value_equal(items[kept - 1], items[i])) items[kept++] = items[i];
    return make_list(a, VALUE_SET, items, kept);
}

const struct value *value_object(struct arena *a, struct value_pair *pairs, size_t count,
                                 const struct value **ret_conflict)
{
    size_t kept = 0;

    if (!count) return &VALUE_EMPTY_OBJECT;
    if (!admit_sorting(a, sum_pairs(pairs, count))) return NULL;
    if (!sort_pairs(a, pairs, count)) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!kept || !value_equal(pairs[kept - 1].key, pairs[i].key)) {
            pairs[kept++] = pairs[i];
        } else if (!ret_conflict) {
            pairs[kept - 1] = pairs[i];
        } else if (!value_equal(pairs[kept - 1].value, pairs[i].value)) {
            *ret_conflict = pairs[i].key;
            return NULL;
        }
    }
    return make_object(a, pairs, kept);
}

bool value_builder_refuse(struct value_builder *b)
{
    arena_fail(b->arena);
    return false;
}

bool value_builder_grow(struct value_builder *b)
{
    const struct value **items = arena_grow(b->arena, b->items, b->count, &b->cap, sizeof *items);

    if (items) b->items = items;
    return items != NULL;
}

bool value_builder_put(struct value_builder *b, const struct value *key, const struct value *value)
{
    struct value_pair *pairs = arena_grow(b->arena, b->pairs, b->count, &b->cap, sizeof *pairs);

    if (!pairs || !key || !value) return value_builder_refuse(b);
    b->pairs = pairs;
    pairs[b->count++] = (struct value_pair) { key, value };
    return true;
}

const struct value *value_builder_end(struct value_builder *b, const struct value **ret_conflict)
{
    if (arena_failed(b->arena)) return NULL;
    if (b->kind == VALUE_OBJECT) return value_object(b->arena, b->pairs, b->count, ret_conflict);
    return (b->kind == VALUE_SET ? value_set : value_array)(b->arena, b->items, b->count);
}

/* ---- order, equality, hash ---- */

static int compare_strings(const struct value *a, const struct value *b)
{
    uint32_t common = a->count < b->count ? a->count : b->count;

    if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
    int order = common > sizeof a->prefix ? memcmp(a->string, b->string, common) : 0;

    return order ? order : (a->count > b->count) - (a->count < b->count);
}

static int compare_composites(const struct value *a, const struct value *b)
{
    uint32_t common = a->count < b->count ? a->count : b->count;

    for (uint32_t i = 0; i < common; i++) {
        bool object = a->kind == VALUE_OBJECT;
        int order = object ? value_compare(a->pairs[i].key, b->pairs[i].key)
                           : value_compare(a->items[i], b->items[i]);

        if (order == 0 && object) order = value_compare(a->pairs[i].value, b->pairs[i].value);
        if (order) return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

int value_compare(const struct value *a, const struct value *b)
{
    if (a == b) return 0;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case VALUE_NULL: return 0;
    case VALUE_BOOL: return a->boolean - b->boolean;
    case VALUE_NUMBER: return num_compare(a->number, b->number);
    case VALUE_STRING: return compare_strings(a, b);
    default: return compare_composites(a, b);
    }
}

bool value_equal_slow(const struct value *a, const struct value *b)
{
    return value_compare(a, b) == 0;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static uint64_t hash_string(const struct value *v, uint64_t h)
{
    size_t i = 0;

    for (uint64_t word; i + sizeof word <= v->count; i += sizeof word) {
        memcpy(&word, v->string + i, sizeof word);
        h = mix(h, word);
    }
    for (; i < v->count; i++) h = mix(h, (unsigned char) v->string[i]);
    return h;
}

uint64_t value_hash(const struct value *v)
{
    uint64_t h = mix(v->kind + 1, v->count);

    if (v->kind == VALUE_BOOL) return mix(h, v->boolean);
    if (v->kind == VALUE_NUMBER) return mix(h, num_hash(v->number));
    if (v->kind == VALUE_STRING) return hash_string(v, h);
    for (uint32_t i = 0; v->kind > VALUE_STRING && i < v->count; i++) {
        if (v->kind != VALUE_OBJECT) {
            h = mix(h, value_hash(v->items[i]));
        } else {
            h = mix(h, value_hash(v->pairs[i].key));
            h = mix(h, value_hash(v->pairs[i].value));
        }
    }
    return h;
}

/* ---- look-up ---- */

bool value_find(const struct value *composite, const struct value *key, size_t *ret_at)
{
    const char *elements = composite->kind == VALUE_OBJECT ? (const char *) composite->pairs
                                                           : (const char *) composite->items;
    size_t size = composite->kind == VALUE_OBJECT ? sizeof *composite->pairs : sizeof *composite->items;
    size_t low = 0, high = composite->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = value_compare(key_at(elements, size, middle), key);

        if (order == 0) return *ret_at = middle, true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_at = low;
    return false;
}

enum { SMALL_OBJECT = 8 }; /* members up to which looking at all beats a binary search */

static const struct value *small_get(const struct value *object, const struct value *name)
{
    for (size_t i = 0; i < object->count; i++) {
        const struct value *key = object->pairs[i].key;

        if (key->kind == VALUE_STRING && key->count == name->count && key->prefix == name->prefix
            && (name->count <= sizeof name->prefix || memcmp(key->string, name->string, name->count) == 0))
            return object->pairs[i].value;
    }
    return NULL;
}

const struct value *object_get(const struct value *object, const struct value *key)
{
    size_t at;

    if (key->kind == VALUE_STRING && object->count <= SMALL_OBJECT) return small_get(object, key);
    return value_find(object, key, &at) ? object->pairs[at].value : NULL;
}

const struct value *object_get_z(const struct value *object, const char *key)
{
    size_t len = strlen(key);
    struct value name = value_key(key, len);

    return object_get(object, &name);
}

bool set_has(const struct value *set, const struct value *member)
{
    size_t at;

    return value_find(set, member, &at);
}

const struct value *value_get(const struct value *composite, const struct value *key)
{
    int64_t index;
    size_t at;

    switch (composite->kind) {
    case VALUE_OBJECT: return object_get(composite, key);
    case VALUE_SET: return value_find(composite, key, &at) ? composite->items[at] : NULL;
    case VALUE_ARRAY:
        if (key->kind != VALUE_NUMBER || !num_to_i64(key->number, &index) || index < 0) return NULL;
        return array_at(composite, (size_t) index);
    default: return NULL;
    }
}

struct value_pair value_pair_at(struct arena *a, const struct value *composite, size_t i)
{
    if (composite->kind == VALUE_OBJECT) return composite->pairs[i];
    const struct value *item = composite->items[i];

    return (struct value_pair) { composite->kind == VALUE_SET ? item : value_int(a, (int64_t) i), item };
}
