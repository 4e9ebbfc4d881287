/* Compiled patterns of one evaluation, for regular expressions and globs. Everything (code, match data)
 * lives in the evaluation's arena and goes with it.
 *
 * RE2 and gobwas/glob take time in proportion to the text; PCRE2 goes back and tries again. So what a
 * search may cost is bounded and charged, and a search that would cost more ends the evaluation: its
 * answer is unknown, and must not be taken for "no". */
#pragma once

#include "policy/builtin.h"
#include "policy/regex_syntax.h"

struct pattern;

enum { PATTERN_GROUPS_MAX = 100 };

/* A match: offsets in bytes, pairs of start and end; SIZE_MAX for a group that took no part. */
struct pattern_match {
    uint32_t count; /* of groups, the whole match being the first */
    const size_t *offsets;
};

/* The pattern for `key` (kind and text, any bytes), compiled on first use from `source`, PCRE2 syntax
 * that `make` writes, with the names of its groups. make returns false after recording an error. NULL:
 * call->problem says why. */
struct pattern *pattern_get(struct builtin_call *call, char kind, const struct value *const *key, size_t key_count,
                            bool (*make)(struct builtin_call *call, const struct value *const *key,
                                         struct text *source, struct regex_names *names));

uint32_t pattern_groups(const struct pattern *p); /* capture groups, without the whole match */

/* 1: a match at or behind `from`; 0: none; -1: the problem is recorded. ret's offsets are valid until
 * the next search with the same pattern. */
int pattern_search(struct builtin_call *call, struct pattern *p, const char *s, size_t len, size_t from,
                   struct pattern_match *ret);

/* The first group of that name that took part in the match; -1 when there is none. */
int pattern_group_named(const struct pattern *p, const struct pattern_match *match, const char *name, size_t len);
