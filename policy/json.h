/* JSON text to values and back. */
#pragma once

#include "policy/budget.h"
#include "policy/value.h"

enum { JSON_DEPTH_MAX = 128 };

struct json_error {
    size_t offset;    /* bytes into the text */
    const char *text; /* static: what is wrong; "out of memory" when the arena is exhausted */
    bool limit;       /* the text may be fine, but it is too much: memory, steps, nesting, digits */
};

struct json_options {
    unsigned depth_max;    /* nested arrays and objects; 0: JSON_DEPTH_MAX; at most VALUE_DEPTH_MAX */
    bool last_key_wins;    /* duplicate members are refused otherwise (json.unmarshal keeps the last) */
    struct budget *budget; /* charged a step per value; may be NULL */
};

/* RFC 8259, strictly: one value, white space around, well-formed UTF-8; lone surrogate escapes
 * become U+FFFD as in OPA; numbers are exact. Strings are copied into the arena: the text may
 * go. `options` may be NULL. NULL on failure, *error (may be NULL) filled. */
const struct value *json_to_value(struct arena *a, const char *text, size_t len,
                               const struct json_options *options, struct json_error *error);

/* Compact JSON: sets as sorted arrays, keys that are not strings as the string of their own JSON, members sorted by
 * the text of their keys; < > & U+2028 U+2029 escaped as Go does (json.marshal's form). Fails the text, not the
 * caller. */
void json_write(struct text *t, const struct value *v);

/* The same over several lines: each member begins with `prefix` and `indent` times its depth. */
void json_write_pretty(struct text *t, const struct value *v, const char *prefix, const char *indent);

/* A string as JSON writes it, quotes included; html: also < > & escaped. */
void json_write_string(struct text *t, const char *s, size_t len, bool html);
