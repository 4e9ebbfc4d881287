#include "policy/checked.h"

#include "policy/value.h"

const struct checked_node *checked_child(const struct checked_node *n, const struct value *key)
{
    size_t low = 0, high = n->child_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = value_compare(n->children[middle]->key, key);
        if (order == 0) return n->children[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}
