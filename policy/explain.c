/* Watching: of every body the attempt that came furthest is kept. Code runs straight on, so further is
 * a later instruction; of equals the last one counts, which is the one that ended an `every`. */
#include "policy/explain.h"

#include "policy/explain_record.h"
#include "policy/vm.h"

#include <stdio.h>

bool recorder_init(struct recorder *r, struct arena *a, const struct checked_program *p)
{
    *r = (struct recorder) { .arena = a, .program = p };
    r->groups = arena_alloc_array(a, p->group_count, sizeof *r->groups);
    return r->groups != NULL;
}

static struct record_group *group_of(struct recorder *r, const struct checked_group *g)
{
    if (!g) return &r->query;
    struct record_group **at = &r->groups[g->number];
    if (*at) return *at;
    *at = arena_alloc(r->arena, sizeof **at);
    if (*at) (*at)->group = g;
    else r->incomplete = true;
    return *at;
}

/* Bodies come in the same order each time, so the wanted one mostly is the next. */
static struct record_body *body_of(struct recorder *r, struct record_group *g, const struct checked_rule *rule)
{
    if (g->current && g->current->next && g->current->next->rule == rule) return g->current->next;
    struct record_body **at = &g->bodies;
    for (; *at; at = &(*at)->next)
        if ((*at)->rule == rule) return *at;
    *at = arena_alloc(r->arena, sizeof **at);
    if (*at) (*at)->rule = rule;
    else r->incomplete = true;
    return *at;
}

static void enter(struct recorder *r, struct record_group *g)
{
    g->calls++;
    g->value = NULL;
    g->current = NULL;
    for (struct record_body *b = g->bodies; b; b = b->next) {
        b->tried = b->held = false;
        b->attempts = 0;
        b->best.insn = b->absent.insn = NULL;
        for (size_t i = 0; i < RECORD_DROPS_MAX; i++) {
            b->drops[i].count = 0;
            b->drops[i].best.insn = NULL;
        }
    }
    if (g->group && !r->entry) r->entry = g;
}

static void try_body(struct recorder *r, struct record_group *g, const struct checked_rule *rule)
{
    g->current = body_of(r, g, rule);
    if (g->current) g->current->tried = true;
}

/* ---- failures ----------------------------------------------------------------------------------- */

static void keep(struct recorder *r, struct moment *best, const struct trace_event *e)
{
    if (best->insn && e->insn < best->insn) return;
    if (!moment_keep(best, r->arena, e)) r->incomplete = true;
}

static struct record_drop *drop_of(struct record_body *b, const struct plan_origin *comprehension)
{
    for (size_t i = 0; i < RECORD_DROPS_MAX; i++) {
        if (!b->drops[i].of) b->drops[i].of = comprehension;
        if (b->drops[i].of == comprehension) return &b->drops[i];
    }
    return NULL;
}

/* Whose failure it is: the body's, a comprehension's in it, or a wish fulfilled under `not`. */
static void failed(struct recorder *r, struct record_body *b, const struct trace_event *e)
{
    const struct plan_origin *o = e->origin->outer;
    while (o && (o->expr->kind == CHECKED_EVERY || o->expr->kind == CHECKED_WITH)) o = o->outer;
    if (o && o->expr->kind == CHECKED_NOT) {
        bool nowhere = e->reason == TRACE_NO_MEMBER || (e->reason == TRACE_UNDEFINED && e->insn->op == PLAN_INPUT);
        if (nowhere && !o->outer && !b->absent.insn) keep(r, &b->absent, e);
        return;
    }
    if (!o) {
        b->attempts += e->reason != TRACE_TURNS_OVER;
        keep(r, &b->best, e);
        return;
    }
    struct record_drop *drop = o->outer ? NULL : drop_of(b, o);
    if (!drop || e->reason == TRACE_TURNS_OVER) return;
    drop->count++;
    keep(r, &drop->best, e);
}

void recorder_event(void *recorder, const struct trace_event *e)
{
    struct recorder *r = recorder;
    struct record_group *g = group_of(r, e->group);
    if (!g) return;
    switch (e->kind) {
    case TRACE_ENTER:
        enter(r, g);
        if (!e->group) try_body(r, g, NULL);
        break;
    case TRACE_LEAVE: g->value = e->value; break;
    case TRACE_BODY: try_body(r, g, e->origin->rule); break;
    case TRACE_EXPR: break;
    case TRACE_FAILED:
        if (g->current) failed(r, g->current, e);
        break;
    case TRACE_HELD:
        if (!g->current) break;
        g->current->held = true;
        g->current->value = e->value;
        break;
    }
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static const char *error_text(struct arena *a, const struct rego_result *result)
{
    struct text t;
    text_init(&t, a);
    const char *module = result->error_module ? result->error_module : "";
    if (result->error_line) text_addf(&t, "%s:%u:%u: ", module, result->error_line, result->error_column);
    text_addf(&t, "%s: %s", result->error_code, result->error_text);
    text_tame(t.data, t.len);
    return text_end(&t);
}

const struct explanation *explain(struct rego_run *run, size_t query, const struct rego_input *in,
                                  struct arena *a, struct rego_result *ret_result)
{
    struct recorder r;
    struct arena *notes = arena_new(EXPLAIN_RECORD_BYTES);
    struct explanation *e = arena_alloc(a, sizeof *e);
    *ret_result = (struct rego_result) { 0 };
    if (!notes || !e || !recorder_init(&r, notes, rego_run_checked(run))) {
        arena_free(notes);
        return NULL;
    }
    const struct tracer tracer = { recorder_event, &r };
    struct rego_input watched = *in;
    watched.tracer = &tracer;
    rego_eval(run, query, &watched, ret_result);
    bool built = explain_build(&r, a, e);
    arena_free(notes);
    e->status = ret_result->status;
    e->steps = ret_result->steps;
    if (e->status != REGO_OK) e->error = error_text(a, ret_result);
    return built && !arena_failed(a) ? e : NULL;
}
