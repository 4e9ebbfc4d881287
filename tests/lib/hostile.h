/* Policies that mean harm: what the unit test holds to a limit, the benchmark times. */
#pragma once

#include <stddef.h>

struct hostile {
    const char *name;
    /* The module is head, `part` `times` times over, middle, `close` `times` times over, tail; in a part
     * `#` stands for its number from 0 and `@` for the next one. NULL for nothing. */
    const char *head, *part;
    unsigned times;
    const char *middle, *close, *tail;
    const char *input; /* JSON, or NULL */
    enum hostile_end {
        HOSTILE_REFUSED, /* does not compile */
        HOSTILE_LIMIT,   /* REGO_LIMIT */
        HOSTILE_FINE,    /* evaluates: harmless by construction; its memory is what is held */
    } end;
};

extern const struct hostile hostile_policies[];
extern const size_t hostile_count;

/* The query that meets the harm. */
#define HOSTILE_QUERY "data.h.p"

/* The module's text, from malloc, NUL-terminated. */
char *hostile_text(const struct hostile *h, size_t *ret_len);
