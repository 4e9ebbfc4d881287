/* What the files of the linter share. Internal to lint*.c.
 *
 * The linter runs a policy without values. Each value is a cell: what is known of it, and the way to
 * it from `input` or `data`. A body's effect says what must be there for it to hold (needs), what
 * makes it fail when missing (opens), and what makes a test in it pass unduly when missing (loose).
 * `not` swaps the last two; a need beside a loose end settles it. What is loose at an entry rule is
 * told. Bodies of rules are looked at once, those of functions once a call. */
#pragma once

#include "policy/checked.h"
#include "policy/lint.h"
#include "policy/schema.h"

#define LINT_BYTES ((size_t) 96 << 20)
#define LINT_DEPTH_MAX 100    /* rules, functions and closures inside each other */
#define LINT_CONTEXTS_MAX 32  /* calls of one function that are looked into */
#define LINT_LIST_MAX 64      /* needs, opens and loose ends kept of one body */
#define LINT_SCHEMAS_MAX 16   /* shapes that one value may have before nothing is known of it */
#define LINT_WAY_MAX 64       /* members of members that are kept apart */
#define LINT_FINDINGS_KEPT 256 /* that have a place even when memory is used up */
#define LINT_STEPS_MAX 5000000 /* terms and expressions looked at */

/* The order is that of the table in lint.c. */
enum lint_id {
    LINT_PACKAGE, LINT_WRONG_SLOT, LINT_RULE_NAME, LINT_UNKNOWN_PATH, LINT_ARRAY_AS_STRING,
    LINT_TYPE_MISMATCH, LINT_NEVER_TRUE, LINT_FAIL_OPEN, LINT_EVERY_EMPTY, LINT_TEMPLATE,
    LINT_ALWAYS_TRUE, LINT_DEFAULT_ALLOW, LINT_ANY_GUEST, LINT_ALL_PLUGINS, LINT_UNUSED_RULE,
    LINT_TOO_LARGE,
    LINT_COUNT_
};

struct builtin;
struct linter;
struct text;

/* ---- cells (lint_cell.c) ----------------------------------------------------------------------- */

enum cell_root { CELL_MADE, CELL_INPUT, CELL_DATA, CELL_RULE };

struct cell {
    enum cell_root root;
    struct cell *parent;                /* NULL: the root itself */
    const struct value *key;            /* a member by this key, or .. */
    const struct cell *var;             /* .. by whatever this ranges over */
    const struct checked_group *group;  /* root RULE: whose value */
    bool optional;                      /* its parent may be there without it */
    bool absent;                        /* its parent has no such member */
    unsigned kinds;                     /* KIND_BIT(STRING) | ...: what it may be */
    const struct value *constant;       /* it is exactly this; or NULL */
    const struct value *const *schemas; /* its shape is one of these; count 0: unknown */
    size_t schema_count;
    struct cell *element;               /* of a collection made by the policy: what it holds; or NULL */
    bool filled;                        /* it is a collection with something in it */
    unsigned way;                       /* how many members lead to it */
    struct cell *counted;               /* it is count(counted) */
    const struct effect *inside;        /* of such a collection: what decides that it holds something */
    const struct effect *bodies;        /* value of a rule with default: effect of the others .. */
    const struct value *given;          /* .. what they give when it is always the same .. */
    const struct value *otherwise;      /* .. and the default */
    const struct read *blanks;          /* of a text made by a template: what may be <undefined> in it */
    size_t blank_count;
    const char *called;                 /* of a made value: the variable that has it; or NULL */
    struct cell *next;                  /* in the table of members */
};

/* No constructor gives NULL; without memory the steps end, and nothing is known of the cell. */
struct cell *cell_new(struct linter *l, unsigned kinds);
struct cell *cell_constant(struct linter *l, const struct value *v);
/* The same cell for the same parent and key, or var when key is NULL. fresh: the var ranges here for
 * the first time, so there cannot be one yet. */
struct cell *cell_member(struct linter *l, struct cell *parent, const struct value *key,
                         const struct cell *var, bool fresh);
/* "some member of it"; for needs and missing parts only. */
struct cell *cell_some_member(struct linter *l, struct cell *parent);
/* What holds for one of several: a new cell, or the one when they are the same. NULL joins nothing. */
struct cell *cell_join(struct linter *l, struct cell *a, struct cell *b);
/* Same way from the same root; two that range are the same when their parents are. */
bool cell_same(const struct cell *a, const struct cell *b);
/* Narrows what is known, until cells_undo. */
void cell_refine(struct linter *l, struct cell *c, unsigned kinds, const struct value *constant);
size_t cells_mark(const struct linter *l);
void cells_undo(struct linter *l, size_t mark);
/* Everything narrowed so far is forgotten for a while. */
void cells_suspend(struct linter *l, size_t count);
void cells_resume(struct linter *l, size_t count);
/* There whenever its root is. */
bool cell_is_there(const struct cell *c);
/* input.submods.cpu0["ear.status"]; "[_]" where it ranges; "this value" for what has no name. */
const char *cell_name(struct linter *l, const struct cell *c);
bool cell_has_name(const struct cell *c);
/* It is a part of input, data or a rule's value. */
bool cell_has_way(const struct cell *c);
/* "a string", "an array or an object", "anything". */
const char *kinds_name(struct linter *l, unsigned kinds);
void lint_put_key(struct text *t, const struct value *key);

/* ---- effects (lint_effect.c) ------------------------------------------------------------------- */

enum outcome { OUTCOME_NEVER, OUTCOME_MAYBE, OUTCOME_ALWAYS };

struct read {
    struct cell *missing;    /* the deepest part of the way that may be missing */
    const struct cell *leaf;
};

struct loose {
    enum lint_id lint;
    struct checked_place place;
    struct read read;
};

struct effect {
    enum outcome outcome;
    struct cell **needs;
    struct read *opens;
    struct loose *loose;
    size_t need_count, need_cap, open_count, open_cap, loose_count, loose_cap;
};

struct effect *effect_new(struct linter *l); /* of an empty body: ALWAYS */
void effect_limit(struct effect *e, enum outcome o); /* at best that */
void effect_need(struct linter *l, struct effect *e, struct cell *c);
void effect_open(struct linter *l, struct effect *e, struct read r);
void effect_loose(struct linter *l, struct effect *e, struct loose loose);
/* A value is read: it is needed, and its missing parts open. whole: that the last part is missing is
 * what the test is for. */
void effect_read(struct linter *l, struct effect *e, struct cell *c, bool whole);
/* The expression holds when the other body does; when it does not. Outcomes are left to the caller. */
void effect_and(struct linter *l, struct effect *e, const struct effect *other);
void effect_and_not(struct linter *l, struct effect *e, const struct effect *other,
                    struct checked_place place);
/* Only its loose ends; takes them out again. */
void effect_keep_loose(struct linter *l, struct effect *e, const struct effect *other);
void effect_drop_loose(struct effect *e, const struct effect *other);
/* One of the two holds; either may be NULL. Gives a new one or one of the two. */
struct effect *effect_or(struct linter *l, struct effect *a, struct effect *b);
/* At the end of a body: what is needed anyway is not loose. */
void effect_settle(struct effect *e);

/* ---- findings (lint_find.c) -------------------------------------------------------------------- */

struct finding {
    enum lint_id lint;
    struct checked_place place;
    const char *text, *hint; /* hint may be NULL */
};

/* Found for certain. The text is printed into the arena; a hint may be set afterwards. */
struct finding *lint_find(struct linter *l, enum lint_id lint, struct checked_place place,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));
void lint_hint(struct linter *l, struct finding *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What is looked at several times, in several calls of a function, is told only when it was found
 * each time. `what` identifies what is looked at. Counts a look; lint_look_hit the finding of it,
 * whose text the first look to find it gives: the struct to fill, or NULL when that was done. */
struct look;
struct look *lint_look(struct linter *l, enum lint_id lint, const void *what);
struct finding *lint_look_hit(struct linter *l, struct look *look, struct checked_place place,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Moves what was found in every look to the findings. */
void lint_looks_end(struct linter *l);
/* What is loose at an entry. */
void lint_tell_loose(struct linter *l, const struct effect *e);
bool lint_found(const struct linter *l, enum lint_id lint);
/* "x" of data.policy.x, in the package that is looked at; else the whole name. */
const char *lint_group_name(const struct linter *l, const struct checked_group *g);

/* ---- inferring (lint_term.c, lint_body.c, lint_call.c, lint_compare.c, lint_group.c) ------------ */

/* Where the linter stands: in a body of a rule, whose locals it fills. */
struct infer {
    struct linter *linter;
    struct cell **locals; /* NULL: not bound yet */
    struct effect *effect;
    unsigned depth;
    bool negated;         /* under `not` in the same rule */
    bool dead;            /* the body asked for a kind that the value never is: nothing more is said */
};

/* False when the work or the memory is used up; counts a step. From then on only what was found for
 * certain is told, and that there was more (LINT_TOO_LARGE). */
bool infer_step(struct linter *l);
bool infer_complete(const struct linter *l);
void infer_spend(struct linter *l, uint64_t steps);
/* The value of a term, NULL for a local that is not bound. References are read into the effect. whole:
 * as effect_read. */
struct cell *infer_term(struct infer *w, const struct checked_term *t, bool whole);
/* Gives the locals of a pattern that are not bound their parts of the value. False when it cannot
 * match. */
bool infer_pattern(struct infer *w, const struct checked_term *pattern, struct cell *value);
void infer_body(struct infer *w, const struct checked_body *body);
/* A body inside: its own effect, settled, and nothing narrowed by it stays. NULL when it is nested too
 * deeply. */
struct effect *infer_closure(struct infer *w, const struct checked_body *body, bool negated);
void infer_call(struct infer *w, const struct checked_expr *e);
/* A comparison that is looked at: what identifies it, where it stands, the name of its builtin. */
struct compared {
    const void *what;
    struct checked_place place;
    const char *op;
};
/* `a op b` as a statement. */
void infer_comparison(struct infer *w, struct compared at, struct cell *a, struct cell *b);
/* Two kinds that have nothing in common; true when it is so, and told. */
bool infer_mismatch(struct infer *w, struct compared at, const struct cell *a, const struct cell *b);
/* The value is there and not false. */
void infer_truth(struct infer *w, struct cell *c, const struct checked_expr *at);
/* A rule with a default gives what is wanted: by its bodies, by its default, or either. */
void infer_defaulted(struct infer *w, const struct cell *c, bool by_bodies, bool by_default,
                     struct checked_place place);
/* Something is in the collection, or nothing. */
void infer_filled(struct infer *w, struct cell *c);
void infer_empty(struct infer *w, const struct cell *c, struct checked_place place);

/* The value of a rule, or of a call; its effect is joined to the walk's. */
struct cell *infer_group(struct infer *w, const struct checked_group *g);
struct cell *infer_function(struct infer *w, const struct checked_group *g, struct cell *const *args,
                            size_t count);
/* Each entry rule, on behalf of the host. */
void lint_walk(struct linter *l);

/* ---- names (lint_near.c) ----------------------------------------------------------------------- */

/* The hint for a member that is not there: the nearest that is, or what there is. rest: the operands
 * behind the missing one. */
void lint_near_member(struct linter *l, struct finding *f, const struct cell *parent,
                      const struct value *key, struct checked_term *const *rest, size_t rest_count);
/* The same for a package or a rule below it. */
void lint_near_node(struct linter *l, struct finding *f, const struct checked_node *n,
                    const struct value *key);
/* The nearest of the strings that a value may be; NULL when it may be any, or none is near. */
void lint_near_word(struct linter *l, struct finding *f, const struct cell *c,
                    const struct value *string);
/* Whether `name` was probably meant to be `wanted`: is_allowed, allowed, alow for allow. */
bool lint_is_near(const char *name, const char *wanted);

/* ---- what depends on what (lint_reach.c) ------------------------------------------------------- */

enum { DEPENDS_INPUT = 1, DEPENDS_PLUGIN = 2, DEPENDS_REQUEST = 4 };

/* Marks the groups that entries and tests reach, and fills in what each depends on. */
void lint_reach(struct linter *l);
/* DEPENDS_.. of a rule, its else branches, and everything they read. */
unsigned lint_depends(struct linter *l, const struct checked_rule *r);
bool lint_is_test(const struct checked_group *g);

/* ---- whole policies (lint_shape.c, lint_broad.c) ----------------------------------------------- */

void lint_package(struct linter *l);
void lint_wrong_slot(struct linter *l);
void lint_rule_name(struct linter *l);
/* The first entry's rules, or what was probably meant to be them; NULL. */
const struct checked_group *lint_meant_entry(struct linter *l);
void lint_default_allow(struct linter *l);
void lint_not_boolean(struct linter *l);
void lint_unused_rule(struct linter *l);
void lint_always_true(struct linter *l);
void lint_any_guest(struct linter *l);
void lint_all_plugins(struct linter *l);

/* ---- the linter -------------------------------------------------------------------------------- */

struct group_state {
    bool done, reached;
    unsigned depends;        /* DEPENDS_.. */
    unsigned contexts;       /* calls of a function looked into */
    struct cell *value;      /* of a rule, when done .. */
    struct effect *effect;   /* .. and when it is defined; NULL: it has a default or always is */
    enum outcome *outcomes;  /* of each rule; NULL when not looked at */
};

struct narrowed {
    struct cell *cell;
    unsigned kinds;
    const struct value *constant;
};

struct linter {
    struct arena *arena;
    const struct rego_module *modules;
    size_t module_count;
    const struct checked_program *program;
    const struct lint_profile *profile;
    const struct checked_node *package;          /* where the entries are looked for; NULL: no rules */
    bool package_right;                          /* it is the profile's */
    struct checked_place package_place;          /* of its `package`, or of the first module's */
    const struct checked_group *const *entries;  /* one a rule of the profile; NULL: not defined */
    struct cell *input, *data;
    struct cell nothing;                         /* what every cell is without memory; never changed */
    struct cell **members;                       /* hash table of cells with a key or bound var */
    struct group_state *groups;                  /* by group->number */
    struct narrowed *narrowed;
    size_t narrowed_count, narrowed_cap;
    struct look **looks;                         /* hash table */
    struct look *first_look, *last_look;         /* in the order in which they were first looked at */
    uint64_t steps_left;
    struct finding **findings;
    size_t finding_count, finding_cap;
};
