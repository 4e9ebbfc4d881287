#include "broker/config/nearest.h"

#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t nearest_distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > NEAREST_MAX_WORD || columns > NEAREST_MAX_WORD) return SIZE_MAX;
    size_t table[NEAREST_MAX_WORD + 1][NEAREST_MAX_WORD + 1] = {{0}};
    for (size_t i = 0; i <= rows; i++) table[i][0] = i;
    for (size_t j = 0; j <= columns; j++) table[0][j] = j;
    for (size_t i = 1; i <= rows; i++) {
        for (size_t j = 1; j <= columns; j++) {
            size_t replaced = table[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            size_t cost = least(least(table[i - 1][j], table[i][j - 1]) + 1, replaced);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost = least(cost, table[i - 2][j - 2] + 1);
            table[i][j] = cost;
        }
    }
    return table[rows][columns];
}

_Bool nearest_is_near(const char *word, size_t distance)
{
    size_t len = strlen(word);
    return distance <= (len < 4 ? 1 : len < 10 ? 2 : 4);
}
