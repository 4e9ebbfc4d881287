/* Names to numbers, for bodies and modules that have more names than one looks through one by one. Grows in
 * an arena, never forgets. The names' text is not copied. */
#pragma once

#include "policy/arena.h"
#include "policy/ast.h"

struct name_slot {
    struct rego_text name;
    uint32_t number; /* 1 + what was given; 0: the slot is free */
};

struct name_table { /* zeroed: empty */
    struct name_slot *slots;
    size_t size, count; /* size: a power of two or 0 */
};

/* The name must not be there yet. False without memory. */
bool name_table_add(struct arena *a, struct name_table *t, struct rego_text name, uint32_t number);
bool name_table_find(const struct name_table *t, struct rego_text name, uint32_t *ret_number);
