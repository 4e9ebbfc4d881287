/* Calls of builtins and functions: operands that can never be right, and what results are known. */
#include "policy/linter.h"

#include "policy/builtin.h"

/* ---- what results may be ------------------------------------------------------------------------ */

static const struct {
    const char *name; /* of a builtin, or with a final dot the beginning of several */
    unsigned kinds;
} RESULTS[] = {
    { "plus", KIND_BIT(NUMBER) }, { "mul", KIND_BIT(NUMBER) }, { "div", KIND_BIT(NUMBER) },
    { "rem", KIND_BIT(NUMBER) }, { "abs", KIND_BIT(NUMBER) }, { "ceil", KIND_BIT(NUMBER) },
    { "floor", KIND_BIT(NUMBER) }, { "round", KIND_BIT(NUMBER) }, { "bits.", KIND_BIT(NUMBER) },
    { "minus", KIND_BIT(NUMBER) | KIND_BIT(SET) },
    { "count", KIND_BIT(NUMBER) }, { "sum", KIND_BIT(NUMBER) }, { "product", KIND_BIT(NUMBER) },
    { "to_number", KIND_BIT(NUMBER) }, { "indexof", KIND_BIT(NUMBER) },
    { "strings.count", KIND_BIT(NUMBER) }, { "semver.compare", KIND_BIT(NUMBER) },
    { "units.", KIND_BIT(NUMBER) }, { "time.now_ns", KIND_BIT(NUMBER) },
    { "time.parse_", KIND_BIT(NUMBER) }, { "time.add_date", KIND_BIT(NUMBER) },
    { "time.weekday", KIND_BIT(STRING) }, { "time.format", KIND_BIT(STRING) },
    { "time.date", KIND_BIT(ARRAY) }, { "time.clock", KIND_BIT(ARRAY) }, { "time.diff", KIND_BIT(ARRAY) },
    { "concat", KIND_BIT(STRING) }, { "format_int", KIND_BIT(STRING) }, { "lower", KIND_BIT(STRING) },
    { "upper", KIND_BIT(STRING) }, { "replace", KIND_BIT(STRING) }, { "sprintf", KIND_BIT(STRING) },
    { "substring", KIND_BIT(STRING) }, { "trim", KIND_BIT(STRING) }, { "trim_", KIND_BIT(STRING) },
    { "type_name", KIND_BIT(STRING) }, { "base64.encode", KIND_BIT(STRING) },
    { "base64.decode", KIND_BIT(STRING) }, { "base64url.", KIND_BIT(STRING) },
    { "hex.", KIND_BIT(STRING) }, { "json.marshal", KIND_BIT(STRING) }, { "crypto.sha", KIND_BIT(STRING) },
    { "regex.replace", KIND_BIT(STRING) }, { "internal.template_string", KIND_BIT(STRING) },
    { "contains", KIND_BIT(BOOL) }, { "startswith", KIND_BIT(BOOL) }, { "endswith", KIND_BIT(BOOL) },
    { "regex.match", KIND_BIT(BOOL) }, { "glob.match", KIND_BIT(BOOL) },
    { "regex.is_valid", KIND_BIT(BOOL) }, { "object.subset", KIND_BIT(BOOL) },
    { "internal.member_", KIND_BIT(BOOL) }, { "is_", KIND_BIT(BOOL) },
    { "net.cidr_contains", KIND_BIT(BOOL) },
    { "equal", KIND_BIT(BOOL) }, { "neq", KIND_BIT(BOOL) }, { "lt", KIND_BIT(BOOL) },
    { "lte", KIND_BIT(BOOL) }, { "gt", KIND_BIT(BOOL) }, { "gte", KIND_BIT(BOOL) },
    { "split", KIND_BIT(ARRAY) }, { "regex.split", KIND_BIT(ARRAY) }, { "sort", KIND_BIT(ARRAY) },
    { "array.", KIND_BIT(ARRAY) }, { "numbers.", KIND_BIT(ARRAY) },
    { "object.keys", KIND_BIT(SET) }, { "and", KIND_BIT(SET) }, { "or", KIND_BIT(SET) },
    { "union", KIND_BIT(SET) }, { "intersection", KIND_BIT(SET) },
    { "object.union", KIND_BIT(OBJECT) }, { "object.union_n", KIND_BIT(OBJECT) },
    { "object.filter", KIND_BIT(OBJECT) }, { "object.remove", KIND_BIT(OBJECT) },
};

static bool row_is(const char *row, const char *name)
{
    size_t len = strlen(row);
    bool several = row[len - 1] == '.' || row[len - 1] == '_' || strcmp(row, "crypto.sha") == 0;
    return several ? strncmp(row, name, len) == 0 : strcmp(row, name) == 0;
}

static unsigned result_kinds(const char *name)
{
    for (size_t i = 0; i < sizeof RESULTS / sizeof *RESULTS; i++)
        if (row_is(RESULTS[i].name, name)) return RESULTS[i].kinds;
    return KIND_ANY;
}

/* ---- builtins of which more is known ------------------------------------------------------------ */

struct call {
    struct infer *w;
    const struct checked_expr *at;
    const char *name;
    struct cell *args[BUILTIN_ARGS_MAX];
    struct cell *result;
    bool statement; /* its answer has to be true */
};

static void call_compare(struct call *c)
{
    struct compared at = { c->at, c->at->place, c->name };
    if (c->statement) infer_comparison(c->w, at, c->args[0], c->args[1]);
    else infer_mismatch(c->w, at, c->args[0], c->args[1]);
}

static void call_count(struct call *c)
{
    const struct value *v = c->args[0]->constant;
    effect_limit(c->w->effect, OUTCOME_MAYBE);
    c->result->counted = c->args[0];
    if (v && v->kind >= VALUE_ARRAY) c->result->constant = value_int(c->w->linter->arena, v->count);
}

/* What asks for the kind knows that there are others: no word when it is never this one. */
static void call_is(struct call *c)
{
    static const struct { const char *name; unsigned kinds; } ASKED[] = {
        { "is_array", KIND_BIT(ARRAY) }, { "is_boolean", KIND_BIT(BOOL) }, { "is_null", KIND_BIT(NULL) },
        { "is_number", KIND_BIT(NUMBER) }, { "is_object", KIND_BIT(OBJECT) },
        { "is_set", KIND_BIT(SET) }, { "is_string", KIND_BIT(STRING) },
    };
    effect_limit(c->w->effect, OUTCOME_MAYBE);
    for (size_t i = 0; c->statement && i < sizeof ASKED / sizeof *ASKED; i++) {
        if (strcmp(ASKED[i].name, c->name) != 0) continue;
        if (c->args[0]->kinds & ASKED[i].kinds)
            cell_refine(c->w->linter, c->args[0], ASKED[i].kinds, NULL);
        else effect_limit(c->w->effect, OUTCOME_NEVER), c->w->dead = true;
    }
}

/* What `x in collection` compares x with; NULL: nothing is known. */
static struct cell *element_of(struct infer *w, struct cell *collection)
{
    if (!(collection->kinds & (KIND_BIT(ARRAY) | KIND_BIT(SET) | KIND_BIT(OBJECT)))) return NULL;
    return cell_some_member(w->linter, collection);
}

static bool some_is_listed(const struct cell *c, const struct value *collection)
{
    if (!c->schema_count || collection->kind == VALUE_OBJECT) return true;
    for (size_t i = 0; i < c->schema_count; i++)
        for (uint32_t k = 0; k < collection->count; k++)
            if (!value_is(collection->items[k], VALUE_STRING) ||
                schema_allows_string(c->schemas[i], collection->items[k])) return true;
    return collection->count == 0;
}

static void call_member(struct call *c)
{
    struct infer *w = c->w;
    bool with_key = strcmp(c->name, "internal.member_3") == 0;
    struct cell *value = c->args[with_key], *collection = c->args[1 + with_key];
    struct cell *element = element_of(w, collection);
    struct look *look = lint_look(w->linter, LINT_NEVER_TRUE, c->at);
    effect_limit(w->effect, OUTCOME_MAYBE);
    struct compared at = { c->at, c->at->place, "in" };
    if (element && infer_mismatch(w, at, value, element)) {
        if (c->statement) effect_limit(w->effect, OUTCOME_NEVER);
    } else if (collection->constant && collection->constant->kind >= VALUE_ARRAY &&
               !some_is_listed(value, collection->constant)) {
        struct finding *f = lint_look_hit(w->linter, look, c->at->place, "%s is never one of these",
                                          cell_name(w->linter, value));
        lint_near_word(w->linter, f, value, collection->constant->items[0]);
    }
    if (c->statement) infer_filled(w, collection);
}

static void call_template(struct call *c)
{
    struct linter *l = c->w->linter;
    const struct checked_term *parts = c->at->call.args[0];
    size_t count = 0, cap = 0;
    struct read *blanks = NULL;
    for (size_t i = 0; parts->kind == CHECKED_ARRAY && i < parts->items.count; i++) {
        const struct cell *part = infer_term(c->w, parts->items.at[i], false);
        const struct effect *inside = part ? part->inside : NULL;
        for (size_t k = 0; inside && k < inside->open_count && count < LINT_LIST_MAX; k++) {
            struct read *at = arena_grow(l->arena, blanks, count, &cap, sizeof *at);
            if (!at) return;
            blanks = at;
            blanks[count++] = inside->opens[k];
        }
    }
    c->result->blanks = blanks;
    c->result->blank_count = count;
}

static const struct {
    const char *name; /* as in RESULTS */
    void (*run)(struct call *c);
} HANDLERS[] = {
    { "equal", call_compare }, { "neq", call_compare }, { "lt", call_compare }, { "lte", call_compare },
    { "gt", call_compare }, { "gte", call_compare }, { "count", call_count }, { "is_", call_is },
    { "internal.member_", call_member }, { "internal.template_string", call_template },
};

/* ---- builtins ----------------------------------------------------------------------------------- */

/* The first operand that can never be right: the call is undefined then. 0: none. */
static unsigned wrong_operand(const struct call *c, const struct builtin *b)
{
    for (unsigned i = 1; i <= b->arity && i <= BUILTIN_ARGS_MAX; i++)
        if (!(c->args[i - 1]->kinds & builtin_operand_kinds(b, i))) return i;
    return 0;
}

static bool takes_anything(const struct builtin *b)
{
    for (unsigned i = 1; i <= b->arity && i <= BUILTIN_ARGS_MAX; i++)
        if ((builtin_operand_kinds(b, i) & KIND_ANY) != KIND_ANY) return false;
    return true;
}

static bool operands_fit(struct call *c, const struct builtin *b)
{
    struct linter *l = c->w->linter;
    if (takes_anything(b)) return true; /* comparisons, which are looked at on their own */
    struct look *look = lint_look(l, LINT_TYPE_MISMATCH, c->at);
    struct look *array_look = lint_look(l, LINT_ARRAY_AS_STRING, c->at);
    unsigned wrong = wrong_operand(c, b);
    if (!wrong) return true;
    const struct cell *arg = c->args[wrong - 1];
    unsigned wanted = builtin_operand_kinds(b, wrong);
    bool array = wanted == KIND_BIT(STRING) && arg->kinds == KIND_BIT(ARRAY) && cell_has_name(arg);
    struct finding *f = lint_look_hit(l, array ? array_look : look, c->at->place,
                                      "%s is %s: %s wants %s", cell_name(l, arg),
                                      kinds_name(l, arg->kinds), b->infix ? b->infix : b->name,
                                      kinds_name(l, wanted));
    if (array)
        lint_hint(l, f, "it is an array of its parts: %s[0] is the first, concat(\"/\", %s) is the text",
                  cell_name(l, arg), cell_name(l, arg));
    return false;
}

static void call_builtin(struct call *c, const struct builtin *b)
{
    if (!operands_fit(c, b)) {
        effect_limit(c->w->effect, OUTCOME_NEVER);
        return;
    }
    for (size_t i = 0; i < sizeof HANDLERS / sizeof *HANDLERS; i++) {
        if (!row_is(HANDLERS[i].name, c->name)) continue;
        HANDLERS[i].run(c);
        return;
    }
    if (!(b->flags & BUILTIN_NO_RESULT)) effect_limit(c->w->effect, OUTCOME_MAYBE);
}

/* ---- calls -------------------------------------------------------------------------------------- */

static struct cell *argument(struct infer *w, const struct checked_term *t)
{
    struct cell *c = infer_term(w, t, false);
    return c ? c : cell_new(w->linter, KIND_ANY);
}

static struct cell *function_result(struct infer *w, const struct checked_expr *e)
{
    struct linter *l = w->linter;
    struct cell **args = arena_alloc_array(l->arena, e->call.count, sizeof *args);
    if (!args) return &l->nothing;
    for (size_t i = 0; i < e->call.count; i++) args[i] = argument(w, e->call.args[i]);
    return infer_function(w, e->call.callee.function, args, e->call.count);
}

static struct cell *builtin_result(struct infer *w, const struct checked_expr *e)
{
    const struct builtin *b = e->call.callee.builtin;
    struct call c = {
        .w = w, .at = e, .name = b->name, .statement = !e->call.output,
        .result = cell_new(w->linter, result_kinds(b->name)),
    };
    if (c.result == &w->linter->nothing) return c.result;
    for (size_t i = 0; i < BUILTIN_ARGS_MAX; i++)
        c.args[i] = i < e->call.count ? argument(w, e->call.args[i]) : &w->linter->nothing;
    call_builtin(&c, b);
    return c.result;
}

void infer_call(struct infer *w, const struct checked_expr *e)
{
    bool function = e->call.callee.function;
    struct cell *result = function ? function_result(w, e) : builtin_result(w, e);
    const struct checked_term *output = e->call.output;
    if (!output) {
        if (function) infer_truth(w, result, e);
        return;
    }
    if (output->kind != CHECKED_LOCAL) effect_limit(w->effect, OUTCOME_MAYBE);
    const struct compared at = { output, e->place, "equal" };
    if (output->kind == CHECKED_LOCAL && w->locals[output->local.number])
        infer_comparison(w, at, w->locals[output->local.number], result);
    else if (output->kind == CHECKED_CONST)
        infer_comparison(w, at, result, cell_constant(w->linter, output->value));
    else infer_pattern(w, output, result);
}
