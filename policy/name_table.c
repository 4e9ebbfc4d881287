#include "policy/name_table.h"

static uint64_t hash(struct rego_text name)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < name.len; i++) h = (h ^ (unsigned char) name.at[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* Where the name stands, or the free slot where it would; there is always a free one. */
static struct name_slot *slot_of(const struct name_table *t, struct rego_text name)
{
    size_t at = hash(name) & (t->size - 1);

    while (t->slots[at].number && !rego_text_equal(t->slots[at].name, name)) at = (at + 1) & (t->size - 1);
    return &t->slots[at];
}

static bool grow(struct arena *a, struct name_table *t)
{
    struct name_table larger = { .size = t->size ? 2 * t->size : 32, .count = t->count };

    larger.slots = arena_alloc_array(a, larger.size, sizeof *larger.slots);
    if (!larger.slots) return false;
    for (size_t i = 0; i < t->size; i++)
        if (t->slots[i].number) *slot_of(&larger, t->slots[i].name) = t->slots[i];
    *t = larger;
    return true;
}

bool name_table_add(struct arena *a, struct name_table *t, struct rego_text name, uint32_t number)
{
    if (2 * (t->count + 1) > t->size && !grow(a, t)) return false;
    *slot_of(t, name) = (struct name_slot) { name, number + 1 };
    t->count++;
    return true;
}

bool name_table_find(const struct name_table *t, struct rego_text name, uint32_t *ret_number)
{
    const struct name_slot *slot = t->size ? slot_of(t, name) : NULL;

    if (!slot || !slot->number) return false;
    *ret_number = slot->number - 1;
    return true;
}
