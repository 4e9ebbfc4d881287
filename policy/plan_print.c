/* Plans as text: one line for each instruction. */
#include "policy/builtin.h"
#include "policy/plan.h"
#include "policy/plan_index.h"
#include "policy/value.h"

static const char *const names[PLAN_OPS] = {
    [PLAN_NOP] = "nop",
    [PLAN_JUMP] = "jump",
    [PLAN_MOVE] = "move",
    [PLAN_TRUE] = "true",
    [PLAN_EQUAL] = "equal",
    [PLAN_COMPARE] = "compare",
    [PLAN_COMPARED] = "compared",
    [PLAN_ITERATE] = "iterate",
    [PLAN_NEXT] = "next",
    [PLAN_GET] = "get",
    [PLAN_AT] = "at",
    [PLAN_ARRAY_OF] = "array-of",
    [PLAN_OBJECT_OF] = "object-of",
    [PLAN_MEMBER] = "member",
    [PLAN_ARRAY] = "array",
    [PLAN_SET] = "set",
    [PLAN_OBJECT] = "object",
    [PLAN_BUILD] = "build",
    [PLAN_ADD] = "add",
    [PLAN_PUT] = "put",
    [PLAN_BUILT] = "built",
    [PLAN_INPUT] = "input",
    [PLAN_BASE] = "base",
    [PLAN_RULE] = "rule",
    [PLAN_CALL] = "call",
    [PLAN_BUILTIN] = "builtin",
    [PLAN_ARITHMETIC] = "arithmetic",
    [PLAN_PRINT] = "print",
    [PLAN_DOCUMENT] = "document",
    [PLAN_KEYS] = "keys",
    [PLAN_WITH] = "with",
    [PLAN_WITH_END] = "with-end",
    [PLAN_CLEAR] = "clear",
    [PLAN_WHEN_SET] = "when-set",
    [PLAN_RESULT] = "result",
    [PLAN_WHEN_RESULT] = "when-result",
    [PLAN_CANDIDATES] = "candidates",
    [PLAN_RULES] = "rules",
    [PLAN_INSERT] = "insert",
    [PLAN_INSERT_MISSING] = "insert-missing",
    [PLAN_MARK] = "mark",
    [PLAN_END] = "end",
};

void plan_print(struct text *t, const struct plan *p, const struct plan_unit *u)
{
    text_addf(t, "%s: %u slots, %u iterators, %u builders\n", u->name, u->slots, u->iterators, u->builders);
    for (uint32_t n = 0; n < u->length; n++) {
        const struct plan_insn *i = &u->code[n];
        text_addf(t, "%4u %-14s %d %d %d", n, names[i->op], i->a, i->b, i->c);
        if (i->flag || i->count) text_addf(t, " flag %u count %u", i->flag, i->count);
        text_addf(t, " else %d", (int) n + i->to);
        const int32_t operands[] = { i->b, i->c };
        for (size_t o = 0; o < 2; o++) {
            if (operands[o] >= -1 && !(i->op >= PLAN_TRUE && i->op <= PLAN_OBJECT_OF)) continue;
            if (operands[o] >= 0) continue;
            if (i->op == PLAN_NEXT || ~operands[o] >= (int32_t) p->constant_count) continue;
            text_add_string(t, o ? "  c=" : "  b=");
            value_print(t, p->constants[~operands[o]]);
        }
        text_add_char(t, '\n');
    }
}

/* ---- indexes ------------------------------------------------------------------------------------ */

static void print_path(struct text *t, const struct plan_path *path)
{
    static const char *const roots[] = {
        [PLAN_PATH_INPUT] = "input", [PLAN_PATH_DATA] = "data", [PLAN_PATH_ARGUMENT] = "argument", [PLAN_PATH_CALL] = "",
    };
    text_add_string(t, roots[path->root]);
    if (path->root == PLAN_PATH_ARGUMENT) text_addf(t, " %u", path->argument);
    if (path->root == PLAN_PATH_CALL) text_addf(t, "%s(", path->builtin->name);
    for (size_t i = 0; path->root == PLAN_PATH_CALL && i < path->builtin->arity; i++) {
        text_add_string(t, i ? ", " : "");
        if (path->operands[i].path) print_path(t, path->operands[i].path);
        else value_print(t, path->operands[i].constant);
    }
    if (path->root == PLAN_PATH_CALL) text_add_char(t, ')');
    for (size_t i = 0; i < path->count; i++) {
        text_add_char(t, '[');
        value_print(t, path->steps[i].key);
        text_add_char(t, ']');
    }
}

static bool has_rule(const uint32_t *rules, size_t count, uint32_t rule)
{
    for (size_t i = 0; i < count; i++)
        if (rules[i] == rule) return true;
    return false;
}

static void print_entries(struct text *t, const struct plan_index *index, const struct plan_table *table, uint32_t rule)
{
    for (size_t n = 0; n <= table->mask; n++) {
        const struct plan_entry *e = &table->entries[n];
        if (!e->values || !has_rule(e->rules, e->count, rule)) continue;
        text_addf(t, "%u:", rule);
        for (size_t i = 0; i < table->path_count; i++) {
            text_add_string(t, i ? ", " : " ");
            print_path(t, index->paths[table->paths[i]]);
            text_add_string(t, " = ");
            value_print(t, e->values[i]);
        }
        text_add_char(t, '\n');
    }
}

void plan_print_index(struct text *t, const struct plan_index *index)
{
    for (uint32_t rule = 0; rule < index->rule_count; rule++) {
        if (has_rule(index->always, index->always_count, rule)) text_addf(t, "%u: always\n", rule);
        for (size_t n = 0; n < index->table_count; n++) print_entries(t, index, &index->tables[n], rule);
    }
}
