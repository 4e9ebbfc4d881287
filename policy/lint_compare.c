/* Comparisons: kinds that never meet, constants that contradict each other, collections that are
 * tested for being empty. */
#include "policy/linter.h"

#include "policy/builtin.h"

/* ---- operators -------------------------------------------------------------------------------- */

enum comparison { EQUAL, NEQ, LT, LTE, GT, GTE, IN, COMPARISONS };

static const struct {
    const char *name, *sign;
    enum comparison turned;     /* a op b is b turned a */
    const char *of_other_kinds; /* what comes of two kinds that have nothing in common */
} COMPARISON[COMPARISONS] = {
    [EQUAL] = { "equal", "==", EQUAL, "never holds" },
    [NEQ] = { "neq", "!=", NEQ, "always holds" },
    [LT] = { "lt", "<", GT, "goes by the kinds alone" },
    [LTE] = { "lte", "<=", GTE, "goes by the kinds alone" },
    [GT] = { "gt", ">", LT, "goes by the kinds alone" },
    [GTE] = { "gte", ">=", LTE, "goes by the kinds alone" },
    [IN] = { "in", "in", IN, "never holds" }, /* equal to a member; kinds only */
};

static enum comparison find(const char *name)
{
    enum comparison c = EQUAL;
    while (c < IN && strcmp(COMPARISON[c].name, name) != 0) c++;
    return c;
}

static bool decide(enum comparison c, int order)
{
    switch (c) {
    case EQUAL: return order == 0;
    case NEQ: return order != 0;
    case LT: return order < 0;
    case LTE: return order <= 0;
    case GT: return order > 0;
    default: return order >= 0;
    }
}

/* ---- kinds ------------------------------------------------------------------------------------ */

static bool is_array_of_strings(const struct cell *c)
{
    return c->schema_count == 1 && c->schemas[0]->kind == VALUE_ARRAY &&
           schema_kinds(c->schemas[0]->items[0]) == KIND_BIT(STRING);
}

static const char *constant_name(struct linter *l, const struct value *v)
{
    struct text t;
    if (value_weight(v) > 64) return "another value";
    text_init(&t, l->arena);
    value_print(&t, v);
    const char *name = text_end(&t);
    return name && strlen(name) <= 60 ? name : "another value";
}

static const char *side_name(struct linter *l, const struct cell *c)
{
    return cell_has_name(c) || !c->constant ? cell_name(l, c) : constant_name(l, c->constant);
}

static void hint_kinds(struct linter *l, struct finding *f, const struct cell *known,
                       const struct cell *other)
{
    int64_t number = 0;
    const struct value *c = other->constant;
    if (is_array_of_strings(known) && other->kinds == KIND_BIT(STRING))
        lint_hint(l, f, "it is an array of its parts: %s[0] is the first, concat(\"/\", %s) is the text",
                  cell_name(l, known), cell_name(l, known));
    else if (known->kinds == KIND_BIT(NUMBER) && value_is(c, VALUE_STRING) &&
             strspn(c->string, "-0123456789") == c->count && c->count)
        lint_hint(l, f, "write %s without quotes", c->string);
    else if (known->kinds == KIND_BIT(STRING) && value_is(c, VALUE_NUMBER) &&
             num_to_i64(c->number, &number))
        lint_hint(l, f, "write \"%lld\", or to_number(%s)", (long long) number, cell_name(l, known));
    else if (known->kinds == KIND_BIT(BOOL) && (string_is(c, "true") || string_is(c, "false")))
        lint_hint(l, f, "write %s without quotes", c->string);
}

/* What has a name first, then what has not. */
static void tell_kinds(struct linter *l, struct compared at, const struct cell *a,
                       const struct cell *b, struct look *look, struct look *array_look)
{
    enum comparison op = find(at.op);
    const struct cell *known = cell_has_name(a) || !cell_has_name(b) ? a : b, *other = known == a ? b : a;
    bool array = is_array_of_strings(known) && other->kinds == KIND_BIT(STRING);
    struct finding *f = lint_look_hit(l, array ? array_look : look, at.place,
                                      "%s is %s, compared with %s: %s %s", side_name(l, known),
                                      kinds_name(l, known->kinds), kinds_name(l, other->kinds),
                                      COMPARISON[op].sign, COMPARISON[op].of_other_kinds);
    if (f && cell_has_name(known)) hint_kinds(l, f, known, other);
}

/* Looked at even when all is well: one call of a function may be right where another is not. */
bool infer_mismatch(struct infer *w, struct compared at, const struct cell *a, const struct cell *b)
{
    struct linter *l = w->linter;
    struct look *look = lint_look(l, LINT_TYPE_MISMATCH, at.what);
    struct look *array_look = lint_look(l, LINT_ARRAY_AS_STRING, at.what);
    if (a->kinds & b->kinds) return false;
    tell_kinds(l, at, a, b, look, array_look);
    return true;
}

/* ---- empty or not ----------------------------------------------------------------------------- */

/* `count(x) op n`: 1 it says that x has something in it, -1 that it has nothing, 0 neither. */
static int count_says(enum comparison op, int64_t n)
{
    switch (op) {
    case EQUAL: return n == 0 ? -1 : n > 0;
    case NEQ: return n == 0;
    case LT: return n == 1 ? -1 : 0;
    case LTE: return n == 0 ? -1 : 0;
    case GT: return n >= 0;
    default: return n >= 1;
    }
}

static int emptiness(enum comparison op, const struct cell *a, const struct cell *b, struct cell **ret)
{
    int64_t n = 0;
    const struct value *v = b->constant;
    *ret = a->counted;
    if (a->counted && value_is(v, VALUE_NUMBER) && num_to_i64(v->number, &n)) return count_says(op, n);
    *ret = (struct cell *) a;
    if (v && v->kind >= VALUE_ARRAY && v->count == 0) return op == EQUAL ? -1 : op == NEQ;
    return 0;
}

void infer_filled(struct infer *w, struct cell *c)
{
    effect_need(w->linter, w->effect, cell_some_member(w->linter, c));
    if (c->inside) effect_and(w->linter, w->effect, c->inside);
}

void infer_empty(struct infer *w, const struct cell *c, struct checked_place place)
{
    if (c->inside) effect_and_not(w->linter, w->effect, c->inside, place);
}

static void infer_emptiness(struct infer *w, struct compared at, enum comparison op,
                            struct cell *a, struct cell *b)
{
    struct cell *collection = NULL;
    int says = emptiness(op, a, b, &collection);
    if (!says) says = emptiness(COMPARISON[op].turned, b, a, &collection);
    if (says > 0) infer_filled(w, collection);
    if (says < 0) infer_empty(w, collection, at.place);
}

/* ---- texts with blanks -------------------------------------------------------------------------- */

/* Against a text of its own such a text fails, as it should; against another value it need not. */
static void infer_blanks(struct infer *w, struct compared at, enum comparison op,
                         const struct cell *text, const struct cell *other)
{
    struct linter *l = w->linter;
    bool fails = op == EQUAL && value_is(other->constant, VALUE_STRING) &&
                 !strstr(other->constant->string, "<undefined>");
    for (size_t i = 0; i < text->blank_count; i++) {
        if (fails) effect_open(l, w->effect, text->blanks[i]);
        else effect_loose(l, w->effect, (struct loose) { LINT_TEMPLATE, at.place, text->blanks[i] });
    }
}

/* ---- equality --------------------------------------------------------------------------------- */

static void contradiction(struct infer *w, struct compared at, const struct cell *a,
                          const struct cell *b, struct look *look)
{
    struct linter *l = w->linter;
    const struct cell *known = cell_has_name(a) || !cell_has_name(b) ? a : b, *other = known == a ? b : a;
    const char *is = constant_name(l, known->constant), *wanted = constant_name(l, other->constant);
    enum comparison op = known == a ? find(at.op) : COMPARISON[find(at.op)].turned;
    effect_limit(w->effect, OUTCOME_NEVER);
    if (!cell_has_name(known))
        lint_look_hit(l, look, at.place, "this is never true");
    else if (op == EQUAL)
        lint_look_hit(l, look, at.place, "%s cannot be %s here: it is %s", cell_name(l, known),
                      wanted, is);
    else
        lint_look_hit(l, look, at.place, "%s is %s here, never %s %s", cell_name(l, known), is,
                      COMPARISON[op].sign, wanted);
}

/* One side is a string that the other side's schema does not list. */
static bool not_listed(struct infer *w, struct compared at, const struct cell *c,
                       const struct cell *other, struct look *look)
{
    const struct value *string = other->constant;
    if (!value_is(string, VALUE_STRING) || !c->schema_count) return false;
    for (size_t i = 0; i < c->schema_count; i++)
        if (schema_allows_string(c->schemas[i], string)) return false;
    struct finding *f = lint_look_hit(w->linter, look, at.place, "%s is never \"%.60s\"",
                                      cell_name(w->linter, c), string->string);
    lint_near_word(w->linter, f, c, string);
    return true;
}

static void infer_equal(struct infer *w, struct compared at, struct cell *a, struct cell *b,
                        struct look *look)
{
    struct linter *l = w->linter;
    if (a->constant && b->constant) {
        if (!value_equal(a->constant, b->constant)) contradiction(w, at, a, b, look);
        else if (!cell_is_there(a) || !cell_is_there(b)) effect_limit(w->effect, OUTCOME_MAYBE);
        return;
    }
    effect_limit(w->effect, OUTCOME_MAYBE);
    if (not_listed(w, at, a, b, look) || not_listed(w, at, b, a, look)) {
        effect_limit(w->effect, OUTCOME_NEVER);
        return;
    }
    const struct value *constant = a->constant ? a->constant : b->constant;
    unsigned kinds = a->kinds & b->kinds;
    cell_refine(l, a, kinds, constant);
    cell_refine(l, b, kinds, constant);
}

/* A != or an order between constants is decided; of other values nothing follows. */
static void infer_order(struct infer *w, struct compared at, enum comparison op,
                        const struct cell *a, const struct cell *b, struct look *look)
{
    if (!a->constant || !b->constant) {
        effect_limit(w->effect, OUTCOME_MAYBE);
        return;
    }
    if (!decide(op, value_compare(a->constant, b->constant))) contradiction(w, at, a, b, look);
    else if (!cell_is_there(a) || !cell_is_there(b)) effect_limit(w->effect, OUTCOME_MAYBE);
}

/* ---- rules with a default ----------------------------------------------------------------------- */

static bool compare_defaulted(struct infer *w, struct compared at, enum comparison op,
                              const struct cell *c, const struct cell *other, struct look *look)
{
    if (!c->bodies || !c->given || !other->constant) return false;
    bool by_bodies = decide(op, value_compare(c->given, other->constant));
    bool by_default = decide(op, value_compare(c->otherwise, other->constant));
    infer_defaulted(w, c, by_bodies, by_default, at.place);
    if (!by_bodies && !by_default)
        lint_look_hit(w->linter, look, at.place, "this is never true: %s is %s or %s",
                      cell_name(w->linter, c), constant_name(w->linter, c->given),
                      constant_name(w->linter, c->otherwise));
    return true;
}

void infer_comparison(struct infer *w, struct compared at, struct cell *a, struct cell *b)
{
    enum comparison op = find(at.op);
    struct look *look = lint_look(w->linter, LINT_NEVER_TRUE, at.what);
    if (a->blank_count) infer_blanks(w, at, op, a, b);
    if (b->blank_count) infer_blanks(w, at, op, b, a);
    infer_emptiness(w, at, op, a, b);
    if (compare_defaulted(w, at, op, a, b, look) ||
        compare_defaulted(w, at, COMPARISON[op].turned, b, a, look)) return;
    if (infer_mismatch(w, at, a, b))
        effect_limit(w->effect, op == EQUAL ? OUTCOME_NEVER : OUTCOME_MAYBE);
    else if (op == EQUAL) infer_equal(w, at, a, b, look);
    else infer_order(w, at, op, a, b, look);
}
