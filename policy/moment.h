/* What stood in a frame when a watched evaluation could not go on: kept beyond the event, so that it
 * is put into words only when it turns out to matter. Values are named by the way they came: the code
 * before the place says that this slot is a member of that one, up to input, data, a rule or an
 * argument. One thread at a time; everything lives in the arena given. */
#pragma once

#include "policy/plan.h"
#include "policy/trace.h"

enum {
    MOMENT_VALUE_MAX = 100,   /* bytes of a value that are shown */
    MOMENT_ARGUMENT_MAX = 40, /* of an argument of a call */
    MOMENT_KEYS_MAX = 8,      /* keys listed of what lacks the wanted one */
    MOMENT_PROBLEM_MAX = 200,
};

struct arena;
struct text;
struct vm_iterator;

struct moment {
    const struct plan_insn *insn; /* NULL: nothing is kept */
    const struct plan_origin *origin;
    const struct plan_unit *unit;
    const struct plan *plan;
    enum trace_reason reason;
    const struct value *left, *right;
    size_t turns;
    char problem[MOMENT_PROBLEM_MAX];
    const struct value **slots;
    struct vm_iterator *iterators;
};

/* Keeps a FAILED event, in place of what was kept before. A moment is used for events of one unit only,
 * and is all zero at first. Values in it live until the run's next evaluation. False without memory:
 * then nothing is kept. */
bool moment_keep(struct moment *m, struct arena *a, const struct trace_event *e);

/* The reason in words: `left is "warning"`, `input.submods.cpu is undefined; submods has cpu0, gpu0`.
 * What stands in `statement` (what the author wrote) is not named again. */
void moment_print(struct text *t, const struct moment *m, const char *statement);

/* Of every `every` around: which element it was. Nothing when there is none. */
void moment_print_elements(struct text *t, const struct moment *m);

/* On what it depended: rules and functions (group), comprehensions (their origin); the other is NULL. */
typedef void moment_use(void *context, const struct checked_group *group,
                        const struct plan_origin *comprehension);
void moment_each_use(const struct moment *m, moment_use *visit, void *context);

/* ---- for moment*.c ---- */

/* The instruction that decided: for a `not` the test in it that held. */
const struct plan_insn *moment_decider(const struct moment *m);
/* The instruction that filled the slot, the last one before the place; NULL: it is an argument. */
const struct plan_insn *moment_definer(const struct moment *m, const struct plan_insn *before, int32_t slot);
const struct value *moment_operand(const struct moment *m, int32_t operand);
/* The key that a loop stands at; NULL when it stands nowhere or the key is the member itself. */
const struct value *moment_loop_key(const struct moment *m, const struct plan_insn *next, struct value *room);
/* ---- moment_path.c ---- */

enum { MOMENT_KEY_MAX = 40 }; /* bytes of a key */

bool moment_is_name(const struct value *key);                    /* can be written after a dot */
void moment_print_key(struct text *t, const struct value *key); /* .name, ["other"] or [1] */
void moment_print_node(struct text *t, const struct checked_node *n, unsigned depth); /* depth 0 */
bool moment_print_document(struct text *t, const struct moment *m, const struct plan_insn *i);
void moment_print_args(struct text *t, const struct moment *m, const int32_t *args, size_t count);
/* The call that gave the value, with its arguments; false when i is no call, or NULL. */
bool moment_print_call(struct text *t, const struct moment *m, const struct plan_insn *i);
/* The way a value came, such as input.submods.cpu0["ear.status"]. False, and nothing is printed, when it
 * was computed or is a constant. */
bool moment_print_path(struct text *t, const struct moment *m, const struct plan_insn *before, int32_t operand);
