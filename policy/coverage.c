#include "policy/coverage.h"

#include "policy/checked.h"
#include "policy/errors.h"
#include "policy/plan.h"

#include <stdlib.h>
#include <string.h>

enum line { LINE_EMPTY, LINE_MISSED, LINE_COVERED };

struct module { uint8_t *lines; unsigned count; }; /* enum line, by number - 1 */

struct coverage {
    const struct checked_program *program;
    struct tracer tracer;
    struct module *modules;
};

static uint8_t *line_at(const struct coverage *c, struct checked_place place)
{
    if (place.module >= c->program->module_count) return NULL;
    struct module *m = &c->modules[place.module];
    return place.line && place.line <= m->count ? &m->lines[place.line - 1] : NULL;
}

static void mark(const struct coverage *c, struct checked_place place, enum line as)
{
    uint8_t *line = line_at(c, place);
    if (line && *line < as) *line = (uint8_t) as;
}

/* ---- what there is ------------------------------------------------------------------------------ */

static void mark_body(const struct coverage *c, const struct checked_body *body);

static void mark_term(const struct coverage *c, const struct checked_term *t)
{
    if (t->kind == CHECKED_COMPREHENSION) mark_body(c, &t->comprehension->body);
}

/* Closures are as deep as the parser allows. */
static void mark_expr(const struct coverage *c, const struct checked_expr *e)
{
    mark(c, e->place, LINE_MISSED);
    switch (e->kind) {
    case CHECKED_TEST: mark_term(c, e->test); break;
    case CHECKED_UNIFY:
        mark_term(c, e->unify.left);
        mark_term(c, e->unify.right);
        break;
    case CHECKED_CALL: break;
    case CHECKED_NOT: mark_body(c, &e->negated); break;
    case CHECKED_EVERY: mark_body(c, &e->every.body); break;
    case CHECKED_WITH: mark_body(c, &e->with.body); break;
    }
}

static void mark_body(const struct coverage *c, const struct checked_body *body)
{
    for (size_t i = 0; i < body->count; i++) mark_expr(c, body->at[i]);
}

static void mark_rule(const struct coverage *c, const struct checked_rule *r)
{
    for (; r; r = r->otherwise) {
        mark(c, r->place, LINE_MISSED);
        mark_body(c, &r->body);
    }
}

static void mark_all(const struct coverage *c)
{
    for (size_t i = 0; i < c->program->group_count; i++) {
        const struct checked_group *g = c->program->groups[i];
        for (size_t n = 0; n < g->rule_count; n++) mark_rule(c, g->rules[n]);
        mark_rule(c, g->fallback);
    }
}

/* ---- what was reached --------------------------------------------------------------------------- */

static void event(void *context, const struct trace_event *e)
{
    const struct coverage *c = context;
    if (e->kind == TRACE_EXPR) mark(c, e->origin->expr->place, LINE_COVERED);
    if (e->kind == TRACE_HELD) mark(c, e->origin->rule->place, LINE_COVERED);
}

/* ---- all ---------------------------------------------------------------------------------------- */

static bool count_lines(const struct rego_source *source, struct module *m)
{
    m->count = 1;
    for (size_t i = 0; i < source->len; i++) m->count += source->text[i] == '\n';
    m->lines = calloc(m->count, 1);
    return m->lines != NULL;
}

struct coverage *coverage_new(const struct checked_program *p)
{
    struct coverage *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->program = p;
    c->tracer = (struct tracer) { event, c };
    c->modules = calloc(p->module_count + 1, sizeof *c->modules);
    bool ok = c->modules != NULL;
    for (size_t i = 0; ok && i < p->module_count; i++) ok = count_lines(&p->sources[i], &c->modules[i]);
    if (!ok) {
        coverage_free(c);
        return NULL;
    }
    mark_all(c);
    return c;
}

void coverage_free(struct coverage *c)
{
    if (!c) return;
    for (size_t i = 0; c->modules && i < c->program->module_count; i++) free(c->modules[i].lines);
    free(c->modules);
    free(c);
}

const struct tracer *coverage_tracer(struct coverage *c)
{
    return &c->tracer;
}

unsigned coverage_lines(const struct coverage *c, size_t module)
{
    return module < c->program->module_count ? c->modules[module].count : 0;
}

bool coverage_line(const struct coverage *c, size_t module, unsigned line, bool *ret_covered)
{
    const struct checked_place place = { .module = (uint32_t) module, .line = line };
    const uint8_t *at = line_at(c, place);
    *ret_covered = at && *at == LINE_COVERED;
    return at && *at != LINE_EMPTY;
}

struct coverage_count coverage_count(const struct coverage *c, size_t module)
{
    struct coverage_count n = { 0 };
    for (unsigned line = 1; line <= coverage_lines(c, module); line++) {
        bool covered = false;
        n.lines += coverage_line(c, module, line, &covered);
        n.covered += covered;
    }
    return n;
}

unsigned coverage_permille(struct coverage_count n)
{
    return n.lines ? (unsigned) (1000 * n.covered / n.lines) : 1000;
}
