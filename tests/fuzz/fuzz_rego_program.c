/* Target Functions: rego_compile rego_eval rego_parse_module rego_print_module compile_modules
 *
 * Bytes choose a policy out of a grammar, so that most of what is made compiles. Then whatever should
 * make no difference must make none: printing and reading again, the order of the rules, the way in
 * which a rule is asked for, evaluating once more; and less of steps or memory may end an evaluation,
 * but not turn its answer. */
#include "policy/ast_print.h"
#include "policy/checked_print.h"
#include "policy/compile.h"
#include "policy/json.h"
#include "policy/parser.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RULES_MAX = 8, NAMES_MAX = 24, DEPTH_MAX = 4, STEPS = 20000, WAYS = 4 };
#define ARENA ((size_t) 32 << 20)

/* ---- the grammar ------------------------------------------------------------------------------ */

enum rule_kind { COMPLETE, SET, OBJECT, DEEP, FUNCTION, RULE_KINDS };

struct maker {
    const uint8_t *at, *end;
    struct text out;
    enum rule_kind kinds[RULES_MAX];
    unsigned rule;                 /* being written; it uses those before it */
    unsigned names[NAMES_MAX];     /* variables that have a value here: x<number> */
    unsigned name_count, next_name;
    unsigned depth;
    bool closed;                   /* under `not`: nothing may loop */
};

static unsigned choose(struct maker *m, unsigned count)
{
    return m->at < m->end ? *m->at++ % count : 0;
}

static void put(struct maker *m, const char *s)
{
    text_add_string(&m->out, s);
}

static void term(struct maker *m);
static void body(struct maker *m, const char *between);

static void constant(struct maker *m)
{
    static const char *const TEXTS[] = {
        "1", "0", "2", "-1", "1.5", "18446744073709551615", "\"a\"", "\"b\"", "\"\"", "\"l\"", "true", "false", "null",
        "[]", "{}", "set()", "`r`", "1e400", "0.0",
    };
    put(m, TEXTS[choose(m, sizeof TEXTS / sizeof TEXTS[0])]);
}

static void variable(struct maker *m)
{
    if (m->name_count) text_addf(&m->out, "x%u", m->names[choose(m, m->name_count)]);
    else constant(m);
}

static unsigned new_name(struct maker *m)
{
    unsigned name = m->next_name++;
    if (m->name_count < NAMES_MAX) m->names[m->name_count++] = name;
    return name;
}

/* An operand of a reference. */
static void operand(struct maker *m)
{
    switch (choose(m, 6)) {
    case 0: put(m, ".a"); return;
    case 1: put(m, ".l"); return;
    case 2: put(m, "[0]"); return;
    case 3: put(m, m->closed ? ".b" : "[_]"); return;
    case 4: put(m, "[\"b\"]"); return;
    default:
        put(m, "[");
        variable(m);
        put(m, "]");
    }
}

/* What is there, so that not everything is undefined. */
static void known(struct maker *m)
{
    static const char *const LOOPS[] = { "input.l[_]", "input.o[_]", "data.d.a[_]", "data.t.base.l[_]", "data.d[_]" };
    static const char *const PLAIN[] = { "input.a", "input.b", "input.l[0]", "input.o.a.l", "data.d.b.a", "input.names", "data.d.l" };
    if (!m->closed && choose(m, 2)) put(m, LOOPS[choose(m, sizeof LOOPS / sizeof LOOPS[0])]);
    else put(m, PLAIN[choose(m, sizeof PLAIN / sizeof PLAIN[0])]);
}

/* Something to range over. */
static void domain(struct maker *m)
{
    static const char *const DOMAINS[] = {
        "input.l", "input.o", "data.d", "data.t.base.l", "[1, 2]", "{1, \"a\"}", "{\"a\": 1, \"b\": 1}", "numbers.range(0, 2)",
    };
    unsigned which = choose(m, 12);
    if (which < 8) put(m, DOMAINS[which]);
    else if (which < 10 && m->rule > 0 && m->kinds[m->rule - 1] != FUNCTION) text_addf(&m->out, "r%u", m->rule - 1);
    else term(m);
}

static void reference(struct maker *m)
{
    static const char *const HEADS[] = { "input", "data.d", "data.t.base", "input.l", "input.o" };
    unsigned head = choose(m, 8);
    if (head < 5) put(m, HEADS[head]);
    else if (m->rule == 0) put(m, "input");
    else {
        unsigned r = choose(m, m->rule);
        if (m->kinds[r] == FUNCTION) {
            text_addf(&m->out, "r%u(", r);
            term(m);
            put(m, ")");
        } else {
            text_addf(&m->out, head == 7 ? "data.t.r%u" : "r%u", r);
        }
    }
    for (unsigned n = choose(m, 3); n > 0; n--) operand(m);
}

static void call(struct maker *m)
{
    static const struct { const char *name; unsigned arity; } CALLS[] = {
        { "count", 1 }, { "sum", 1 }, { "max", 1 }, { "sort", 1 }, { "upper", 1 }, { "concat", 2 }, { "object.get", 3 },
        { "object.union", 2 }, { "object.keys", 1 }, { "split", 2 }, { "sprintf", 2 }, { "json.marshal", 1 }, { "type_name", 1 },
        { "is_string", 1 }, { "to_number", 1 }, { "array.concat", 2 }, { "numbers.range", 2 }, { "regex.match", 2 },
        { "json.unmarshal", 1 }, { "startswith", 2 }, { "intersection", 1 }, { "abs", 1 }, { "json.patch", 2 }, { "is_number", 1 },
    };
    unsigned i = choose(m, sizeof CALLS / sizeof CALLS[0]);
    put(m, CALLS[i].name);
    for (unsigned k = 0; k < CALLS[i].arity; k++) {
        put(m, k ? ", " : "(");
        term(m);
    }
    put(m, ")");
}

static void infix(struct maker *m)
{
    static const char *const SIGNS[] = { " + ", " - ", " * ", " / ", " % ", " & ", " | ", " == ", " != ", " < ", " >= ", " in " };
    put(m, "(");
    term(m);
    put(m, SIGNS[choose(m, sizeof SIGNS / sizeof SIGNS[0])]);
    term(m);
    put(m, ")");
}

static void composite(struct maker *m)
{
    static const char *const BRACKETS[] = { "[]", "{}", "{}" };
    unsigned kind = choose(m, 3), count = 1 + choose(m, 3);
    text_add_char(&m->out, BRACKETS[kind][0]);
    for (unsigned i = 0; i < count; i++) {
        if (i) put(m, ", ");
        if (kind == 2) {
            constant(m);
            put(m, ": ");
        }
        term(m);
    }
    text_add_char(&m->out, BRACKETS[kind][1]);
}

static void template(struct maker *m)
{
    put(m, "$\"a{");
    term(m);
    put(m, "}b\"");
}

/* A name that is new here, bound to a term that does not know it. */
static void bind(struct maker *m, const char *before, const char *between, void (*to)(struct maker *m))
{
    unsigned name = m->next_name++;
    text_addf(&m->out, "%sx%u%s", before, name, between);
    to(m);
    if (m->name_count < NAMES_MAX) m->names[m->name_count++] = name;
}

/* What is bound within stays within. */
static void comprehension(struct maker *m)
{
    static const char *const OPEN[] = { "[", "{", "{" }, *const CLOSE[] = { "]", "}", "}" };
    unsigned kind = choose(m, 3), before = m->name_count, name = m->next_name;
    bool closed = m->closed;
    m->closed = false;
    /* The head comes first and names what the body binds. */
    text_addf(&m->out, "%sx%u", OPEN[kind], name);
    if (kind == 2) text_addf(&m->out, ": x%u", name);
    put(m, " | ");
    bind(m, choose(m, 2) ? "some " : "some _, ", " in ", domain);
    if (choose(m, 2)) {
        put(m, "; ");
        body(m, "; ");
    }
    put(m, CLOSE[kind]);
    m->name_count = before;
    m->closed = closed;
}

static void term(struct maker *m)
{
    static void (*const FORMS[])(struct maker *m) = {
        constant, variable, known, variable, reference, known, call, infix, composite, comprehension, template,
    };
    unsigned forms = m->depth < DEPTH_MAX ? sizeof FORMS / sizeof FORMS[0] : 6;
    m->depth++;
    FORMS[choose(m, forms)](m);
    m->depth--;
}

static void every(struct maker *m)
{
    unsigned before = m->name_count;
    put(m, "every x");
    unsigned name = m->next_name++;
    text_addf(&m->out, "%u in ", name);
    domain(m);
    if (m->name_count < NAMES_MAX) m->names[m->name_count++] = name;
    text_addf(&m->out, " { x%u == x%u; ", name, name);
    body(m, "; ");
    put(m, " }");
    m->name_count = before;
}

static void negated(struct maker *m)
{
    bool closed = m->closed;
    m->closed = true;
    put(m, "not ");
    term(m);
    m->closed = closed;
}

static void with(struct maker *m)
{
    static const char *const TARGETS[] = { "input.a", "input", "data.d", "data.t.base.l", "count", "upper" };
    term(m);
    put(m, " with ");
    unsigned which = choose(m, 8);
    if (which < 6 || m->rule == 0) put(m, TARGETS[which % 6]);
    else text_addf(&m->out, "data.t.r%u", choose(m, m->rule));
    put(m, " as ");
    term(m);
}

static void statement(struct maker *m)
{
    switch (choose(m, 10)) {
    case 0: bind(m, "", " := ", term); return;
    case 1: bind(m, "some ", " in ", domain); return;
    case 2: bind(m, "some _, ", " in ", domain); return;
    case 3: bind(m, "[_, ", "] = ", term); return;
    case 4: bind(m, "", " = ", known); return;
    case 5: every(m); return;
    case 6: negated(m); return;
    case 7: with(m); return;
    default: term(m);
    }
}

static void body(struct maker *m, const char *between)
{
    unsigned count = 1 + choose(m, 3);
    if (m->depth >= DEPTH_MAX) count = 1;
    m->depth++;
    for (unsigned i = 0; i < count; i++) {
        if (i) put(m, between);
        statement(m);
    }
    m->depth--;
}

static void rule(struct maker *m)
{
    m->name_count = m->next_name = 0;
    if (m->kinds[m->rule] == FUNCTION) new_name(m);
    if (choose(m, 6) == 1 && (m->kinds[m->rule] == COMPLETE)) text_addf(&m->out, "default r%u := false\n", m->rule);
    bool keyed = m->kinds[m->rule] == OBJECT || m->kinds[m->rule] == DEEP;
    static const char *const HEADS[RULE_KINDS] = { " := v", " contains v", "[k] := v", "[k].n := v", "(x0) := v" };
    text_addf(&m->out, "r%u%s if {\n", m->rule, HEADS[m->kinds[m->rule]]);
    body(m, "\n");
    if (keyed) {
        put(m, "\nk := ");
        term(m);
    }
    put(m, "\nv := ");
    term(m);
    put(m, "\n}\n");
    if (m->kinds[m->rule] == COMPLETE && choose(m, 4) == 1) {
        put(m, "else := ");
        m->name_count = 0;
        m->closed = true;
        term(m);
        m->closed = false;
        put(m, "\n");
    }
}

/* Returns the number of rules that have a name. */
static unsigned module(struct maker *m)
{
    unsigned count = 1 + choose(m, RULES_MAX);
    put(m, "package t\n");
    for (unsigned i = 0; i < count; i++) m->kinds[i] = (enum rule_kind) choose(m, RULE_KINDS);
    for (m->rule = 0; m->rule < count; m->rule++) {
        rule(m);
        if (choose(m, 3) == 1) rule(m); /* a second definition of the same name */
    }
    return count;
}

/* ---- what must hold --------------------------------------------------------------------------- */

static const char DOCUMENTS[] =
    "{\"input\": {\"a\": 1, \"b\": \"a\", \"l\": [1, 2, \"a\", [1, 2], null, false], \"o\": {\"a\": {\"l\": [3]}, \"b\": 2},"
    " \"names\": [\"r0\", \"r1\", \"r2\", \"r3\", \"r4\", \"r5\", \"r6\", \"r7\"]},"
    " \"data\": {\"d\": {\"a\": [1], \"b\": {\"a\": true}, \"l\": [\"b\"]}, \"t\": {\"base\": {\"l\": [1, 2]}}}}";

struct world {
    struct arena *arena; /* texts of answers, documents */
    struct rego_input in;
    char queries[RULES_MAX * WAYS][80];
    const char *list[RULES_MAX * WAYS];
    size_t count;
};

static void ask(struct world *w, const enum rule_kind *kinds, unsigned rules)
{
    static const struct { const char *before, *after; } FORMS[WAYS] = {
        { "data.t.r", " = x" }, { "x = data.t[input.names[", "]]" }, { "x = data.t.r", " with data.unused as 1" },
        { "[x, 1] = [data.t.r", ", 1]" },
    };
    for (unsigned r = 0; r < rules; r++) {
        if (kinds[r] == FUNCTION) continue;
        for (unsigned k = 0; k < WAYS; k++) {
            snprintf(w->queries[w->count], sizeof w->queries[0], "%s%u%s", FORMS[k].before, r, FORMS[k].after);
            w->list[w->count] = w->queries[w->count];
            w->count++;
        }
    }
}

struct answer {
    enum rego_status status;
    const char *code;
    const struct value *bindings; /* of the world's arena; NULL when there is no room to keep them */
};

static struct answer answer(struct world *w, struct rego_run *run, size_t query)
{
    struct rego_result r = { 0 };
    bool ok = rego_eval(run, query, &w->in, &r);
    if (ok != (r.status == REGO_OK) || (!ok && (!r.error_code || !r.error_text))) abort();
    struct answer a = { .status = r.status, .code = r.error_code };
    if (ok) a.bindings = value_copy(w->arena, r.bindings);
    if (getenv("SHOW")) {
        struct text t;
        text_init(&t, w->arena);
        if (a.bindings) value_print(&t, a.bindings);
        const char *text = text_end(&t);
        fprintf(stderr, "%s gives %s %.200s\n", w->list[query], ok ? "" : a.code, text ? text : "?");
    }
    return a;
}

/* By value: of 1 and 1.0 either may come out. An evaluation that ended early says nothing. */
static void must_agree(struct answer x, struct answer y)
{
    if (x.status == REGO_LIMIT || y.status == REGO_LIMIT) return;
    if (x.status != y.status) abort();
    if (x.status == REGO_FAILED && strcmp(x.code, y.code) != 0) abort();
    if (x.bindings && y.bindings && !value_equal(x.bindings, y.bindings)) abort();
}

static struct rego_program *compile(const struct world *w, const char *text, size_t len)
{
    const struct rego_module module = { "fuzz.rego", text, len };
    const struct rego_options options = { .queries = w->list, .query_count = w->count, .arena_bytes = ARENA };
    struct rego_errors errors = { 0 };
    struct rego_program *p = rego_compile(&module, 1, &options, &errors);
    if (!p && (errors.count == 0 || !errors.items[0].text[0])) abort();
    if (!p && getenv("SHOW")) fprintf(stderr, "%u: %s\n", errors.items[0].line, errors.items[0].text);
    return p;
}

/* The module as printed from its tree; reverse: with the rules in the opposite order. */
static const char *printed(struct arena *a, const char *text, size_t len, bool reverse)
{
    struct rego_errors errors = { 0 };
    struct rego_module_ast *m = rego_parse_module(a, "fuzz.rego", text, len, &errors);
    struct text t;
    if (!m) abort();
    for (size_t i = 0; reverse && i < m->rule_count / 2; i++) {
        struct rego_rule *other = m->rules[m->rule_count - 1 - i];
        m->rules[m->rule_count - 1 - i] = m->rules[i];
        m->rules[i] = other;
    }
    text_init(&t, a);
    rego_print_module(&t, m);
    return text_end(&t);
}

static const char *checked(struct arena *a, const char *text, size_t len)
{
    const struct rego_module module = { "fuzz.rego", text, len };
    struct rego_errors errors = { 0 };
    const struct checked_program *p = compile_modules(a, &module, 1, NULL, &errors);
    struct text t;
    if (!p) return NULL;
    text_init(&t, a);
    checked_print_program(&t, p);
    return text_end(&t);
}

static void check_printing(const char *text, size_t len)
{
    struct arena *a = arena_new(ARENA);
    const char *again = printed(a, text, len, false);
    const char *x = checked(a, text, len), *y = again ? checked(a, again, strlen(again)) : NULL;
    bool same = x && y && strcmp(x, y) == 0;
    if (again && !same && getenv("SHOW")) fprintf(stderr, "%s\n%s\n%s", again, x ? x : "?", y ? y : "?");
    if (again && !arena_failed(a) && !same) abort();
    arena_free(a);
}

/* The same policy with its rules in the opposite order. */
static void check_order(struct world *w, struct rego_run *run, const char *text, size_t len)
{
    const char *reversed = printed(w->arena, text, len, true);
    struct rego_program *p = reversed ? compile(w, reversed, strlen(reversed)) : NULL;
    struct rego_run *other = p ? rego_run_new(p, ARENA) : NULL;
    if (reversed && !other) abort();
    for (size_t q = 0; other && q < w->count; q += WAYS) {
        must_agree(answer(w, run, q), answer(w, other, q));
    }
    rego_run_free(other);
    rego_program_free(p);
}

static void check_answers(struct world *w, struct rego_program *p, struct rego_run *run, unsigned seed)
{
    struct rego_run *poor = rego_run_new(p, 4096 + 64 * seed);
    if (!poor) abort();
    for (size_t q = 0; q < w->count; q++) {
        struct answer plain = answer(w, run, q - q % WAYS);
        must_agree(plain, answer(w, run, q));
        must_agree(plain, answer(w, poor, q));
        w->in.steps = 1 + seed * (q + 1) % 700;
        must_agree(plain, answer(w, run, q));
        w->in.steps = STEPS;
    }
    rego_run_free(poor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = { .arena = arena_new(ARENA) };
    struct maker m = { .at = data, .end = data + size };
    if (!w.arena || size > 4000) return arena_free(w.arena), 0;
    const struct value *documents = json_to_value(w.arena, DOCUMENTS, sizeof DOCUMENTS - 1, NULL, NULL);
    w.in = (struct rego_input) {
        .input = object_get_z(documents, "input"), .data = object_get_z(documents, "data"), .steps = STEPS,
    };
    text_init(&m.out, w.arena);
    unsigned rules = module(&m);
    const char *text = text_end(&m.out);
    ask(&w, m.kinds, rules);
    if (text && getenv("SHOW")) fprintf(stderr, "%s", text);
    struct rego_program *p = text ? compile(&w, text, m.out.len) : NULL;
    struct rego_run *run = p ? rego_run_new(p, ARENA) : NULL;
    if (run) {
        check_printing(text, m.out.len);
        check_answers(&w, p, run, size ? data[size - 1] : 0);
        check_order(&w, run, text, m.out.len);
    }
    rego_run_free(run);
    rego_program_free(p);
    arena_free(w.arena);
    return 0;
}
