/* Compiled patterns, for regular expressions and globs: those of one evaluation, which live in its arena and go
 * with it, and those of a program (pattern_set), whose patterns are constants. */
#pragma once

#include "policy/builtin.h"
#include "policy/regex_syntax.h"

struct pattern;

enum { PATTERN_KEY_MAX = 3, PATTERN_GROUPS_MAX = 100 };

/* A match: offsets in bytes, pairs of start and end; SIZE_MAX for a group that took no part. */
struct pattern_match {
    uint32_t count; /* of groups, the whole match being the first */
    const size_t *offsets;
};

/* Writes the source of a pattern, PCRE2's syntax as regex_syntax.h does, and the names of its groups. False
 * after recording an error. */
typedef bool pattern_make(struct builtin_call *call, const struct value *const *key, struct text *source,
                          struct regex_names *names);
pattern_make pattern_make_regex, pattern_make_template, pattern_make_glob;

/* What a function makes its pattern of. */
struct pattern_use {
    pattern_make *make;
    uint8_t operands[PATTERN_KEY_MAX], count; /* the key */
};
extern const struct pattern_use PATTERN_FIRST, PATTERN_SECOND, PATTERN_TEMPLATE, PATTERN_GLOB;

/* How the builtin uses patterns; NULL when it does not. */
const struct pattern_use *pattern_use_of(const struct builtin *row);

/* The pattern for the operands, compiled on first use. NULL: call->problem says why. */
const struct pattern *pattern_get(struct builtin_call *call, const struct pattern_use *use,
                                  const struct value *const *args);

/* Compiles the pattern for these operands, constants of a program, into the program's arena and adds it to the
 * set (NULL at first). False, and nothing added, when it cannot be. */
bool pattern_prepare(struct arena *a, const struct builtin_patterns **set, const struct pattern_use *use,
                     const struct value *const *args);

uint32_t pattern_groups(const struct pattern *p); /* capture groups, without the whole match */

/* Is there a match in the text? 1, 0, or -1: the problem is recorded. */
int pattern_matches(struct builtin_call *call, const struct pattern *p, const struct value *text);

/* 1: a match at or behind `from`; 0: none; -1: the problem is recorded. groups: with those, otherwise the whole
 * match only. ret's offsets are valid until the next search. */
int pattern_search(struct builtin_call *call, const struct pattern *p, const char *s, size_t len, size_t from,
                   bool groups, struct pattern_match *ret);

/* The first group of that name that took part in the match; -1 when there is none. */
int pattern_group_named(const struct pattern *p, const struct pattern_match *match, const char *name, size_t len);
