#include "policy/planner.h"

#include <stdarg.h>
#include <stdio.h>

bool plan_fail(struct planner *p, const char *format, ...)
{
    if (!p->failed) {
        va_list args;
        va_start(args, format);
        vsnprintf(p->problem->text, sizeof p->problem->text, format, args);
        va_end(args);
        p->problem->module = p->place.module;
        p->problem->line = p->place.line;
        p->problem->column = p->place.column;
    }
    p->failed = true;
    return false;
}

static bool fail_memory(struct planner *p)
{
    return plan_fail(p, "the policy is too large: memory for its program is used up");
}

/* Makes room for one more; NULL when the arena is full. */
static void *room(struct planner *p, void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return items;
    void *grown = arena_grow(p->arena, items, count, cap, size);
    if (!grown) fail_memory(p);
    return grown;
}

static bool put_origin(struct planner *p)
{
    const struct plan_origin **origins = room(p, p->origins, p->length, &p->origin_cap, sizeof *origins);
    if (!origins) return false;
    p->origins = origins;
    origins[p->length] = p->origin;
    return true;
}

struct plan_insn *plan_emit(struct planner *p, enum plan_op op, int32_t a, int32_t b, int32_t c)
{
    if (p->failed) return &p->nowhere;
    struct plan_insn *code = room(p, p->code, p->length, &p->code_cap, sizeof *code);
    if (!code) return &p->nowhere;
    p->code = code;
    struct checked_place *places = room(p, p->places, p->length, &p->place_cap, sizeof *places);
    if (!places) return &p->nowhere;
    p->places = places;
    places[p->length] = p->place;
    if (p->traced && !put_origin(p)) return &p->nowhere;
    code[p->length] = (struct plan_insn) {
        .op = (uint8_t) op, .a = a, .b = b, .c = c, .to = (int32_t) p->otherwise,
    };
    return &code[p->length++];
}

void plan_jump(struct planner *p, plan_label to)
{
    plan_emit(p, PLAN_JUMP, -1, -1, -1)->to = (int32_t) to;
}

void plan_fail_here(struct planner *p, plan_label otherwise)
{
    struct plan_insn *jump = plan_emit(p, PLAN_JUMP, -1, -1, -1);
    jump->to = (int32_t) otherwise;
    jump->flag = true;
}

plan_label plan_label_new(struct planner *p)
{
    if (p->failed) return 0;
    uint32_t *labels = room(p, p->labels, p->label_count, &p->label_cap, sizeof *labels);
    if (!labels) return 0;
    p->labels = labels;
    labels[p->label_count] = UINT32_MAX;
    return (plan_label) p->label_count++;
}

void plan_label_here(struct planner *p, plan_label label)
{
    if (!p->failed) p->labels[label] = (uint32_t) p->length;
}

int32_t plan_slot(struct planner *p)
{
    if (p->slots >= PLAN_SLOTS_MAX) plan_fail(p, "the rule is too large");
    if (p->failed) return 0;
    int32_t slot = (int32_t) p->slots++;
    if (p->slots > p->slots_max) p->slots_max = p->slots;
    return slot;
}

int32_t plan_constant(struct planner *p, const struct value *v)
{
    if (!v) fail_memory(p);
    if (p->failed) return 0;
    /* The same term is often asked for twice in a row; more sharing would cost a table. */
    if (p->constant_count && p->constants[p->constant_count - 1] == v)
        return ~(int32_t) (p->constant_count - 1);
    const struct value **constants = room(p, p->constants, p->constant_count, &p->constant_cap,
                                          sizeof *constants);
    if (!constants) return 0;
    p->constants = constants;
    constants[p->constant_count] = v;
    return ~(int32_t) p->constant_count++;
}

uint32_t plan_iterator(struct planner *p)
{
    if (p->iterators == p->iterators_max) p->iterators_max++;
    return p->iterators++;
}

uint32_t plan_builder(struct planner *p)
{
    if (p->builders == p->builders_max) p->builders_max++;
    return p->builders++;
}

int32_t plan_args(struct planner *p, const int32_t *operands, size_t count)
{
    int32_t first = (int32_t) p->arg_count;
    if (count > PLAN_ARGS_MAX) plan_fail(p, "more than %d members in one term", PLAN_ARGS_MAX);
    for (size_t i = 0; i < count && !p->failed; i++) {
        int32_t *args = room(p, p->args, p->arg_count, &p->arg_cap, sizeof *args);
        if (!args) break;
        p->args = args;
        args[p->arg_count++] = operands[i];
    }
    return first;
}

int32_t plan_builtin(struct planner *p, const struct builtin *row)
{
    for (size_t i = 0; i < p->builtin_count; i++)
        if (p->builtins[i] == row) return (int32_t) i;
    const struct builtin **rows = room(p, p->builtins, p->builtin_count, &p->builtin_cap, sizeof *rows);
    if (!rows) return 0;
    p->builtins = rows;
    rows[p->builtin_count] = row;
    return (int32_t) p->builtin_count++;
}

int32_t plan_index_number(struct planner *p, const struct plan_index *index)
{
    const struct plan_index **indexes = room(p, p->indexes, p->index_count, &p->index_cap, sizeof *indexes);
    if (!indexes) return 0;
    p->indexes = indexes;
    indexes[p->index_count] = index;
    return (int32_t) p->index_count++;
}

int32_t *plan_scratch(struct planner *p, size_t count)
{
    int32_t *scratch = p->failed ? NULL : arena_alloc_array(p->arena, count, sizeof *scratch);
    if (!scratch) fail_memory(p);
    return scratch;
}

void plan_loop(struct planner *p, int32_t collection, int32_t key, int32_t value)
{
    int32_t iterator = (int32_t) plan_iterator(p);
    plan_emit(p, PLAN_ITERATE, iterator, collection, -1);
    plan_label next = plan_label_new(p);
    plan_label_here(p, next);
    plan_emit(p, PLAN_NEXT, iterator, key, value);
    p->otherwise = next;
    p->loops++;
}
