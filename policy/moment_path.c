/* The way a value came, read backwards from where it was needed. */
#include "policy/lexer.h"
#include "policy/machine.h"
#include "policy/moment.h"

enum { PATH_DEPTH_MAX = 64 };

/* ---- the way a value came ----------------------------------------------------------------------- */

bool moment_is_name(const struct value *v)
{
    if (!value_is(v, VALUE_STRING) || v->count == 0) return false;
    for (uint32_t i = 0; i < v->count; i++) {
        char c = v->string[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) return false;
    }
    return rego_keyword(v->string, v->count) == REGO_SYMBOL_NONE;
}

void moment_print_key(struct text *t, const struct value *key)
{
    if (moment_is_name(key)) {
        text_add_char(t, '.');
        text_add(t, key->string, key->count);
        return;
    }
    text_add_char(t, '[');
    value_print_cut(t, key, MOMENT_KEY_MAX);
    text_add_char(t, ']');
}

static bool print_path(struct text *t, const struct moment *m, const struct plan_insn *before, int32_t operand,
                       unsigned depth);

static bool print_member(struct text *t, const struct moment *m, const struct plan_insn *i, const struct value *key,
                         unsigned depth)
{
    if (!key || !print_path(t, m, i, i->b, depth + 1)) return false;
    moment_print_key(t, key);
    return true;
}

static bool print_turn(struct text *t, const struct moment *m, const struct plan_insn *i, int32_t slot, unsigned depth)
{
    struct value room;
    const struct value *key = moment_loop_key(m, i, &room);
    if (!key || i->c != slot) return false;
    for (const struct plan_insn *begin = i; begin-- > m->unit->code;)
        if (begin->op == PLAN_ITERATE && begin->a == i->a) return print_member(t, m, begin, key, depth);
    return false;
}

static const char *argument_name(const struct moment *m, int32_t slot)
{
    const struct checked_rule *r = m->origin->rule;
    if (!r || (uint32_t) slot >= m->unit->arity || (size_t) slot >= r->arg_count) return NULL;
    const struct checked_term *arg = r->args[slot];
    return arg->kind == CHECKED_LOCAL ? arg->local.name : NULL;
}

void moment_print_node(struct text *t, const struct checked_node *n, unsigned depth)
{
    if (!n->parent || depth > PATH_DEPTH_MAX) {
        text_add_string(t, "data");
        return;
    }
    moment_print_node(t, n->parent, depth + 1);
    moment_print_key(t, n->key);
}

/* A path of which only its end was evaluated. */
bool moment_print_document(struct text *t, const struct moment *m, const struct plan_insn *i)
{
    moment_print_node(t, m->plan->checked->nodes[i->b], 0);
    for (uint16_t n = 0; n < i->count; n++) {
        const struct value *key = moment_operand(m, m->plan->args[i->c + (int32_t) n]);
        if (key) moment_print_key(t, key);
    }
    return true;
}

static bool print_named(struct text *t, const char *name)
{
    if (name) text_add_string(t, name);
    return name != NULL;
}

static bool print_path(struct text *t, const struct moment *m, const struct plan_insn *before, int32_t operand,
                       unsigned depth)
{
    if (operand < 0 || depth > PATH_DEPTH_MAX) return false;
    const struct plan_insn *i = moment_definer(m, before, operand);
    if (!i) return print_named(t, argument_name(m, operand));
    switch (i->op) {
    case PLAN_INPUT: return print_named(t, "input");
    case PLAN_BASE: return print_named(t, "data");
    case PLAN_RULE: return print_named(t, m->plan->checked->groups[i->b]->name);
    case PLAN_MOVE: return print_path(t, m, i, i->b, depth + 1);
    case PLAN_GET: return print_member(t, m, i, moment_operand(m, i->c), depth);
    case PLAN_AT: {
        const struct value key = { .kind = VALUE_NUMBER, .number = num_of(i->count) };
        return print_member(t, m, i, &key, depth);
    }
    case PLAN_NEXT: return print_turn(t, m, i, operand, depth);
    case PLAN_DOCUMENT:
    case PLAN_KEYS: return moment_print_document(t, m, i);
    default: return false;
    }
}

bool moment_print_path(struct text *t, const struct moment *m, const struct plan_insn *before, int32_t operand)
{
    size_t len = t->len;
    if (print_path(t, m, before, operand, 0)) return true;
    t->len = len;
    return false;
}

/* ---- calls -------------------------------------------------------------------------------------- */

void moment_print_args(struct text *t, const struct moment *m, const int32_t *args, size_t count)
{
    text_add_char(t, '(');
    for (size_t n = 0; n < count; n++) {
        const struct value *v = moment_operand(m, args[n]);
        if (n) text_add_string(t, ", ");
        if (v) value_print_cut(t, v, MOMENT_ARGUMENT_MAX);
    }
    text_add_char(t, ')');
}

/* The call that gave the value, with its arguments. */
bool moment_print_call(struct text *t, const struct moment *m, const struct plan_insn *i)
{
    if (!i || (i->op != PLAN_CALL && i->op != PLAN_BUILTIN)) return false;
    text_add_string(t, i->op == PLAN_CALL ? m->plan->checked->groups[i->b]->name : m->plan->builtins[i->b]->name);
    moment_print_args(t, m, m->plan->args + i->c, i->count);
    return true;
}
