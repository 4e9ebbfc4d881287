#include "policy/suggest.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NAME_MAX_BYTES 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau's distance with three rows: the one above and, for swaps, the one above that. */
size_t suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len, size_t most)
{
    uint8_t rows[3][NAME_MAX_BYTES + 1];
    size_t gap = a_len > b_len ? a_len - b_len : b_len - a_len;
    if (a_len > NAME_MAX_BYTES || b_len > NAME_MAX_BYTES || gap > most) return most + 1;
    for (size_t k = 0; k <= b_len; k++) rows[0][k] = (uint8_t) k;
    for (size_t i = 1; i <= a_len; i++) {
        uint8_t *row = rows[i % 3];
        const uint8_t *above = rows[(i + 2) % 3], *twice = rows[(i + 1) % 3];
        row[0] = (uint8_t) i;
        for (size_t k = 1; k <= b_len; k++) {
            size_t best = above[k - 1] + (size_t) (a[i - 1] != b[k - 1]);
            best = least(best, least(above[k], row[k - 1]) + 1);
            bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
            row[k] = (uint8_t) (swapped ? least(best, twice[k - 2] + 1u) : best);
        }
    }
    return least(rows[a_len % 3][b_len], most + 1);
}

void suggest_begin(struct suggestion *s, const char *wanted, size_t len)
{
    *s = (struct suggestion) { .wanted = wanted, .len = len, .distance = least(2, len / 3) + 1 };
}

void suggest_offer(struct suggestion *s, const char *name)
{
    if (s->distance == 0) return;
    size_t distance = suggest_distance(s->wanted, s->len, name, strlen(name), s->distance - 1);
    if (distance >= s->distance) return;
    s->distance = distance;
    s->best = name;
}
