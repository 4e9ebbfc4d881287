/* The word that somebody probably meant. */
#pragma once

#include <stddef.h>

#define NEAREST_MAX_WORD 48u /* characters; longer words are no slips of the pen */

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b; SIZE_MAX when
 * a word is longer than NEAREST_MAX_WORD. */
size_t nearest_distance(const char *a, const char *b);

/* Whether `distance` is small enough beside the word's length to be worth suggesting. */
_Bool nearest_is_near(const char *word, size_t distance);
