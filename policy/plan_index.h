/* The rule index: which rules of a unit can succeed at all, known from a few look-ups instead of by
 * running each.
 *
 * A rule that compares something known from outside (input, base documents, its arguments, or a pure
 * builtin of these) with a constant cannot succeed unless they are equal. The paths that a rule compares
 * make its key; rules that compare the same paths share a table from the constants to the rules. What
 * compares nothing, or too much, is a candidate always. So of a thousand rules for a thousand resources
 * one runs. Candidates keep the order of the text. Immutable, as the plan of which it is a part. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct builtin;
struct plan_draft;
struct value;

enum {
    PLAN_INDEX_RULES_MIN = 4,   /* below it running all is cheaper, and is done where nobody can tell */
    PLAN_INDEX_PATHS_MAX = 16,  /* of all tables of an index */
    PLAN_INDEX_TABLES_MAX = 8,
    PLAN_INDEX_KEY_MAX = 4,     /* paths of one table */
    PLAN_INDEX_STEPS_MAX = 16,  /* of one path */
    PLAN_INDEX_COPIES_MAX = 64, /* entries of one rule: `x in {..}` has one for each member */
    PLAN_INDEX_PROBES_MAX = 16, /* from an entry's place by its hash to where it stands */
};

enum plan_path_root { PLAN_PATH_INPUT, PLAN_PATH_DATA, PLAN_PATH_ARGUMENT, PLAN_PATH_CALL };

struct plan_step {
    const struct value *key;
    bool base; /* of a base document, as PLAN_GET's flag */
};

struct plan_path_operand {
    const struct value *constant; /* or NULL: */
    const struct plan_path *path;
};

struct plan_path {
    enum plan_path_root root;
    uint32_t argument;                         /* ARGUMENT: its number */
    const struct builtin *builtin;             /* CALL: deterministic, without side effects */
    const struct plan_path_operand *operands;  /* CALL: as many as its arity */
    const struct plan_step *steps;
    size_t count;
    uint64_t hash; /* of the path itself */
};

/* The rules whose key are these values. */
struct plan_entry {
    uint64_t hash;
    const struct value *const *values; /* one for each path of the table; NULL: the entry is free */
    uint32_t *rules;                   /* ascending */
    size_t count, cap;
};

struct plan_table {
    uint8_t paths[PLAN_INDEX_KEY_MAX]; /* numbers of paths, ascending */
    size_t path_count;
    struct plan_entry *entries;
    size_t mask; /* entries less one, a power of two less one */
};

struct plan_index {
    const struct plan_path *paths[PLAN_INDEX_PATHS_MAX];
    /* What each path is compared with: kinds (bits), and the most that something equal may weigh. */
    unsigned kinds[PLAN_INDEX_PATHS_MAX];
    uint64_t weights[PLAN_INDEX_PATHS_MAX];
    size_t path_count;
    struct plan_table tables[PLAN_INDEX_TABLES_MAX];
    size_t table_count;
    uint32_t *always; /* rules that no table has, ascending */
    size_t always_count;
    uint32_t *all;    /* 0, 1, .. */
    uint32_t *starts; /* where each rule's code begins in the unit, and where the last one's ends */
    size_t rule_count;
    struct plan_draft *drafts; /* while it is made */
};

/* As text, a line for each rule: "0: input.x = 1, argument 0 = \"a\"", for each of its entries, or "0: always". */
struct text;
void plan_print_index(struct text *t, const struct plan_index *index);

static inline uint64_t plan_hash_add(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}
