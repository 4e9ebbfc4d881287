/* RE2's syntax (as Go's regexp reads it) written in PCRE2's. What RE2 does not have is refused:
 * back-references, look-around, possessive and atomic groups, recursion, verbs. What both write alike
 * but mean differently (\s, \v, class members, braces that count nothing) is spelt out. */
#pragma once

#include "policy/text.h"

struct regex_problem {
    const char *kind;  /* Go's words: "missing closing )" */
    const char *near;  /* within the pattern, near_len bytes */
    size_t near_len;
    bool limit;        /* RE2 might take it: it is we who do not */
};

/* (?P<name>..): the groups become plain ones, since PCRE2 wants short, unlike and undigital names. */
struct regex_name {
    const char *at; /* within the pattern, len bytes */
    size_t len;
    uint32_t group; /* from 1 */
};

struct regex_names {
    struct regex_name *items; /* by group; in the arena of the translation */
    size_t count, cap;
};

enum { REGEX_NESTING_MAX = 200, REGEX_REPEAT_MAX = 1000 };

/* Appends the translation to *out and the names of groups to *names. False: *ret_problem says why; out
 * has rubbish behind its old end. A text that failed (memory) is not a problem: the caller sees
 * out->failed. */
bool regex_translate(struct text *out, const char *pattern, size_t len, struct regex_names *names,
                     struct regex_problem *ret_problem);

/* Appends the text with everything special escaped. */
void regex_quote(struct text *out, const char *s, size_t len);
