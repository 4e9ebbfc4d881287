/* Regular expressions that are matched in time linear in the text, whatever the pattern: a program of the
 * pattern's size is run over the text once, all its ways side by side (Thompson, Pike). A backtracking matcher
 * takes quadratic time for patterns as harmless as [a-z]+[0-9], and no limit of its own sees that.
 *
 * Which way wins is Perl's and Go's rule: the leftmost match, and of those the one that trying the
 * alternatives in their order would have found first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct budget;
struct regex_class;

enum {
    REGEX_INSNS_MAX = 20000, /* of a program; repetitions with counts are written out */
    REGEX_GROUPS_MAX = 1000,
};

enum regex_op {
    REGEX_RUNE,       /* the code point x */
    REGEX_CLASS,      /* one of classes[x] */
    REGEX_ANY,        /* any code point */
    REGEX_NOT_LF,     /* any but a line feed */
    REGEX_SPLIT,      /* on at x, or else at y */
    REGEX_JUMP,       /* on at x */
    REGEX_SAVE,       /* the place is offset x */
    REGEX_BEGIN,      /* of the text */
    REGEX_END,
    REGEX_LINE_BEGIN, /* of the text or behind a line feed */
    REGEX_LINE_END,
    REGEX_WORD,       /* between a word's character and something else */
    REGEX_NOT_WORD,
    REGEX_MATCH,
};

struct regex_insn {
    uint32_t op, x, y;
};

struct regex_program {
    const struct regex_insn *code;
    size_t count;
    const struct regex_class *classes;
    size_t class_count;
    uint32_t groups; /* without the whole match */
    bool anchored;        /* nothing can match but at the beginning of the text */
    bool first_known;     /* a match takes a character, and begins with one of these bytes: */
    uint64_t first[4];    /* .. bits by byte */
};

/* What went wrong. */
struct regex_refusal {
    const char *kind; /* Go's word for it; NULL: memory is short */
    bool limit;       /* it is a limit of ours */
    const char *near; /* within the source, near_len bytes; NULL when nothing is to be shown */
    size_t near_len;
};

/* source is PCRE2's syntax as regex_syntax.h writes it (no look-around, references, possessive or atomic
 * groups): what else may stand there is not checked again. The program lives in the arena. NULL on failure. */
const struct regex_program *regex_compile(struct arena *a, const char *source, size_t len,
                                          struct regex_refusal *ret);

/* What matching needs beside the program; reused by one search after the other. Zeroed but for arena and
 * budget: nothing yet. */
struct regex_scratch {
    struct arena *arena;
    struct budget *budget;
    void *rooms;           /* for so many instructions and offsets: */
    size_t insns, offsets;
    uint32_t mark;         /* the last one used in them */
    void *class_match;     /* regex_class.h's */
};

enum regex_outcome { REGEX_NONE, REGEX_FOUND, REGEX_SPENT }; /* SPENT: steps or memory */

/* The first match at or behind `from`. offsets gets the first offset_count offsets, pairs of start and end, the
 * whole match first; SIZE_MAX for a group that took no part. 0 when only the fact is wanted, which is fastest;
 * at most 2 * (groups + 1). */
enum regex_outcome regex_search(struct regex_scratch *s, const struct regex_program *p, const char *text, size_t len,
                                size_t from, size_t *offsets, size_t offset_count);
