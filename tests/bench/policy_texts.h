/* Policies of a chosen size for the policy benchmark. All texts live in the arena given. */
#pragma once

#include <stddef.h>

struct arena;

/* A text made of copies of `part` between `head` and `tail`; in a part `#` stands for its number from 0 and `@`
 * for the next one; in the tail for that of the first part that is not there. */
struct shape { const char *name, *head, *part, *tail; };

extern const struct shape bench_shapes[]; /* for compiling: what policies are large by */
extern const size_t bench_shape_count;

/* As many parts as fit into `bytes`. */
const char *bench_text_of_size(struct arena *a, const struct shape *s, size_t bytes);
/* So many parts. */
const char *bench_text_of_parts(struct arena *a, const struct shape *s, size_t parts);

/* Rules keyed by what a request brings: allow is true for the one whose number is in resource path and input. */
extern const struct shape bench_keyed[];
extern const size_t bench_keyed_count;

/* Larger policies over the document that bench_document gives: `data.bench.r`. */
struct larger { const char *name, *text; };
extern const struct larger bench_larger[];
extern const size_t bench_larger_count;
const char *bench_document(struct arena *a); /* JSON */
