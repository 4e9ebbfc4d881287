/* The built-in table: finding a row, checking operands, running, reporting. */
#include "policy/builtin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct builtin ROWS[] = {
#define BUILTIN_ROW(name_, run_, flags_, infix_, arity_, ...) \
    { .name = name_, .infix = infix_, .run = run_, .flags = flags_, .arity = arity_, \
      .operands = { __VA_ARGS__ } },
#define BUILTIN_ROW_WITHOUT(name_, flags_, arity_, ...) \
    { .name = name_, .flags = flags_, .arity = arity_, .operands = { __VA_ARGS__ } },
#include "policy/builtin_rows.inc"
#undef BUILTIN_ROW
#undef BUILTIN_ROW_WITHOUT
};

#define ROW_COUNT (sizeof ROWS / sizeof ROWS[0])

/* Which kinds an operand may have and how OPA says so. */
#define KIND(k) (1u << VALUE_##k)
static const struct operand_type {
    unsigned kinds;
    const char *wanted;
} OPERAND_TYPES[ARG_COUNT_] = {
    [ARG_ANY] = { ~0u, "any" },
    [ARG_NULL] = { KIND(NULL), "null" },
    [ARG_BOOLEAN] = { KIND(BOOL), "boolean" },
    [ARG_NUMBER] = { KIND(NUMBER), "number" },
    [ARG_INTEGER] = { KIND(NUMBER), "number" },
    [ARG_STRING] = { KIND(STRING), "string" },
    [ARG_ARRAY] = { KIND(ARRAY), "array" },
    [ARG_OBJECT] = { KIND(OBJECT), "object" },
    [ARG_SET] = { KIND(SET), "set" },
    [ARG_COUNTABLE] = { KIND(ARRAY) | KIND(OBJECT) | KIND(SET) | KIND(STRING),
                        "one of {array, object, set, string}" },
    [ARG_ARRAY_OR_SET] = { KIND(ARRAY) | KIND(SET), "one of {array, set}" },
    [ARG_SET_OR_ARRAY] = { KIND(ARRAY) | KIND(SET), "one of {set, array}" },
    [ARG_OBJECT_SET_ARRAY] = { KIND(OBJECT) | KIND(SET) | KIND(ARRAY), "one of {object, set, array}" },
    [ARG_STRING_SET_ARRAY] = { KIND(STRING) | KIND(SET) | KIND(ARRAY), "one of {string, set, array}" },
    [ARG_NUMBER_OR_SET] = { KIND(NUMBER) | KIND(SET), "one of {number, set}" },
    [ARG_NULL_OR_ARRAY] = { KIND(NULL) | KIND(ARRAY), "one of {array, null}" },
};

/* ---- finding ---- */

static bool named(const char *name, const char *wanted, size_t len)
{
    return strlen(name) == len && memcmp(name, wanted, len) == 0;
}

const struct builtin *builtin_find(const struct builtin_host *host, const char *name, size_t len)
{
    for (size_t i = 0; host && i < host->row_count; i++)
        if (named(host->rows[i].name, name, len)) return &host->rows[i];
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (named(ROWS[i].name, name, len)) return &ROWS[i];
    return NULL;
}

const struct builtin *builtin_all(size_t *ret_count)
{
    *ret_count = ROW_COUNT;
    return ROWS;
}

unsigned builtin_operand_kinds(const struct builtin *row, unsigned operand)
{
    bool listed = operand >= 1 && operand <= row->arity && operand <= BUILTIN_ARGS_MAX;
    unsigned type = listed ? row->operands[operand - 1] : ARG_ANY;
    return OPERAND_TYPES[type < ARG_COUNT_ ? type : ARG_ANY].kinds;
}

/* ---- running ---- */

static inline bool operand_fits(unsigned type, const struct value *v)
{
    return OPERAND_TYPES[type].kinds >> v->kind & 1
           && (type != ARG_INTEGER || num_is_int(v->number) || num_is_integer(v->number));
}

static const struct value *operand_refused(struct builtin_call *call, unsigned operand, const struct value *v)
{
    const struct operand_type *t = &OPERAND_TYPES[call->builtin->operands[operand - 1]];
    if (!(t->kinds >> v->kind & 1)) return builtin_fail_type(call, operand, t->wanted, v);
    return builtin_fail_operand(call, operand, "must be integer number but got floating-point number");
}

const struct value *builtin_run(struct builtin_call *call, const struct builtin *row,
                                const struct value *const *args)
{
    call->builtin = row;
    call->problem = BUILTIN_FINE;
    if (!builtin_spend(call, row->flags & BUILTIN_OPERATOR ? 1 : BUILTIN_STEPS)) return NULL;
    if (!row->run) return builtin_fail(call, "unsafe built-in function call");
    for (unsigned i = 0; i < row->arity; i++)
        if (!operand_fits(row->operands[i], args[i])) return operand_refused(call, i + 1, args[i]);
    const struct value *v = row->run(call, args);
    if (!v && arena_failed(call->arena)) return builtin_halt(call);
    return call->problem == BUILTIN_FINE ? v : NULL;
}

/* ---- reporting ---- */

/* OPA's names of internal functions have no prefix in its texts either. */
static __attribute__((format(printf, 3, 0))) const struct value *
fail(struct builtin_call *call, enum builtin_problem problem, const char *format, va_list list)
{
    call->problem = problem;
    size_t len = strlen(call->text);
    /* On top of the caller's prefix; a text that does not fit is cut. */
    vsnprintf(call->text + len, sizeof call->text - len, format, list);
    return NULL;
}

static void begin(struct builtin_call *call)
{
    snprintf(call->text, sizeof call->text, "%s: ", call->builtin ? call->builtin->name : "?");
}

const struct value *builtin_fail(struct builtin_call *call, const char *format, ...)
{
    begin(call);
    va_list list;
    va_start(list, format);
    fail(call, BUILTIN_ERROR, format, list);
    va_end(list);
    return NULL;
}

const struct value *builtin_fail_operand(struct builtin_call *call, unsigned operand, const char *format, ...)
{
    begin(call);
    size_t len = strlen(call->text);
    snprintf(call->text + len, sizeof call->text - len, "operand %u ", operand);
    va_list list;
    va_start(list, format);
    fail(call, BUILTIN_TYPE_ERROR, format, list);
    va_end(list);
    return NULL;
}

const struct value *builtin_fail_type(struct builtin_call *call, unsigned operand, const char *wanted,
                                      const struct value *got)
{
    return builtin_fail_operand(call, operand, "must be %s but got %s", wanted,
                                value_kind_name(got->kind));
}

const struct value *builtin_nothing(struct builtin_call *call, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(call->text, sizeof call->text, format, list);
    va_end(list);
    return NULL;
}

const struct value *builtin_fail_conflict(struct builtin_call *call, const char *text)
{
    call->problem = BUILTIN_CONFLICT;
    snprintf(call->text, sizeof call->text, "%s", text);
    return NULL;
}

const struct value *builtin_halt(struct builtin_call *call)
{
    if (call->problem == BUILTIN_HALT) return NULL; /* the first reason stays */
    call->problem = BUILTIN_HALT;
    snprintf(call->text, sizeof call->text, "%s", arena_failed(call->arena)
             ? "the evaluation needs too much memory"
             : "the evaluation takes too many steps");
    return NULL;
}

const struct value *builtin_limit(struct builtin_call *call, const char *format, ...)
{
    if (call->problem == BUILTIN_HALT) return NULL;
    begin(call);
    va_list list;
    va_start(list, format);
    fail(call, BUILTIN_HALT, format, list);
    va_end(list);
    return NULL;
}

bool builtin_spend(struct builtin_call *call, uint64_t steps)
{
    if (budget_spend(call->budget, steps)) return true;
    builtin_halt(call);
    return false;
}

const struct value *builtin_number_problem(struct builtin_call *call, enum num_status status)
{
    if (status == NUM_NO_MEMORY) return builtin_halt(call);
    if (status == NUM_TOO_LARGE) return builtin_limit(call, "%s", num_status_text(status));
    return builtin_fail(call, "%s", num_status_text(status));
}

bool builtin_integer(struct builtin_call *call, unsigned operand, const struct value *v, int64_t *ret)
{
    if (v->kind != VALUE_NUMBER) {
        builtin_fail_type(call, operand, "number", v);
        return false;
    }
    if (num_to_i64(v->number, ret)) return true;
    builtin_fail_operand(call, operand, "must be integer number but got %s",
                         num_is_integer(v->number) ? "number of more than 64 bits" : "floating-point number");
    return false;
}

const struct value *builtin_text_end(struct builtin_call *call, struct text *t)
{
    if (!builtin_spend(call, t->len / 8)) return NULL;
    const struct value *v = value_from_text(t);
    return v ? v : builtin_halt(call);
}

const struct value *builtin_builder_end(struct builtin_call *call, struct value_builder *b)
{
    if (!builtin_spend(call, b->count)) return NULL;
    const struct value *v = value_builder_end(b, NULL);
    return v ? v : builtin_halt(call);
}
