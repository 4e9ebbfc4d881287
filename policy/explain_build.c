/* From what was noted to what is told: the rule asked for, then those that decided it. */
#include "policy/checked.h"
#include "policy/explain_record.h"
#include "policy/statement.h"

struct builder {
    const struct recorder *recorder;
    struct arena *arena;
    const struct record_group *queue[EXPLAIN_RULES_MAX]; /* what is told, in order */
    size_t queued, left_out;
};

/* ---- words -------------------------------------------------------------------------------------- */

/* Cut at a character, and safe to show. */
static const char *finish(struct text *t)
{
    if (t->len > EXPLAIN_WHY_MAX) {
        t->len = EXPLAIN_WHY_MAX;
        while (t->len && ((unsigned char) t->data[t->len] & 0xc0) == 0x80) t->len--;
        text_add_string(t, "\xe2\x80\xa6");
    }
    text_tame(t->data, t->len);
    return text_end(t);
}

static const char *value_text(struct builder *b, const struct value *v)
{
    struct text t;
    if (!v) return NULL;
    text_init(&t, b->arena);
    value_print_cut(&t, v, MOMENT_VALUE_MAX);
    return finish(&t);
}

static const char *span_text(struct builder *b, struct checked_span span)
{
    struct text t;
    text_init(&t, b->arena);
    statement_print(&t, b->recorder->program, span, EXPLAIN_STATEMENT_MAX);
    return finish(&t);
}

static const char *module_name(struct builder *b, struct checked_place place)
{
    const struct checked_program *p = b->recorder->program;
    return place.module < p->module_count ? p->module_names[place.module] : "";
}

static struct explain_stop stop_of(struct builder *b, const struct moment *m)
{
    const struct checked_span none = { 0 };
    const struct plan_origin *o = m->origin;
    struct checked_span span = o->expr ? o->expr->statement : o->rule ? o->rule->head : none;
    struct explain_stop stop = {
        .module = module_name(b, span.place),
        .line = span.place.line,
        .column = span.place.column,
        .statement = span_text(b, span),
    };
    struct text why, element;
    text_init(&why, b->arena);
    text_init(&element, b->arena);
    moment_print(&why, m, stop.statement);
    moment_print_elements(&element, m);
    stop.why = finish(&why);
    stop.element = finish(&element);
    return stop;
}

/* ---- which rules -------------------------------------------------------------------------------- */

/* Its place in the queue; EXPLAIN_RULES_MAX when that is full. */
static size_t enqueue(struct builder *b, const struct record_group *g)
{
    for (size_t i = 0; i < b->queued; i++)
        if (b->queue[i] == g) return i;
    if (b->queued == EXPLAIN_RULES_MAX) return b->left_out++, EXPLAIN_RULES_MAX;
    b->queue[b->queued] = g;
    return b->queued++;
}

struct seeking { struct builder *builder; const struct record_body *body; struct explain_body *told; };

static void seek(void *context, const struct checked_group *g, const struct plan_origin *comprehension)
{
    struct seeking *s = context;
    const struct record_group *used = g ? s->builder->recorder->groups[g->number] : NULL;
    size_t at = used ? enqueue(s->builder, used) : EXPLAIN_RULES_MAX;
    if (at < EXPLAIN_RULES_MAX && !s->told->leads_to && !value_truthy(used->value)) s->told->leads_to = at;
    for (size_t i = 0; comprehension && i < RECORD_DROPS_MAX; i++) {
        const struct record_drop *drop = &s->body->drops[i];
        if (drop->of != comprehension || !drop->count || !drop->best.insn || s->told->dropped) continue;
        s->told->dropped = drop->count;
        s->told->drop = stop_of(s->builder, &drop->best);
        struct seeking within = *s;
        moment_each_use(&drop->best, seek, &within);
    }
}

/* ---- bodies ------------------------------------------------------------------------------------- */

/* The author's expressions that began before the one it stopped at. */
static size_t passed(const struct moment *m)
{
    size_t count = 0;
    const struct plan_origin *own = m->origin;
    while (own->outer) own = own->outer;
    uint32_t line = own->expr ? own->expr->statement.place.offset : 0;
    for (const struct plan_insn *i = m->insn; i-- > m->unit->code;) {
        const struct plan_origin *o = m->unit->origins[i - m->unit->code];
        if (o->rule != own->rule) break;
        if (i->op != PLAN_MARK || i->flag != PLAN_MARK_EXPR || o->outer || o->expr->made) continue;
        count += o->expr->statement.place.offset != line;
    }
    return count;
}

static struct explain_body body_told(struct builder *b, const struct record_body *body)
{
    struct explain_body told = { .outcome = body->held ? EXPLAIN_HELD : EXPLAIN_STOPPED };
    if (body->rule) {
        told.module = module_name(b, body->rule->place);
        told.line = body->rule->place.line;
        told.head = span_text(b, body->rule->head);
        told.is_default = body->rule->is_default;
    } else {
        told.module = told.head = "";
    }
    if (body->held) told.value = value_text(b, body->value);
    if (body->held) {
        told.by_absence = body->absent.insn != NULL;
        if (told.by_absence) told.stop = stop_of(b, &body->absent);
        return told;
    }
    if (!body->best.insn) return told;
    told.attempts = body->attempts;
    told.passed = passed(&body->best);
    told.stop = stop_of(b, &body->best);
    struct seeking s = { b, body, &told };
    moment_each_use(&body->best, seek, &s);
    return told;
}

/* How much it says: what held before all, then who came furthest. What an early success made needless
 * was not tried and says nothing: 0. */
static size_t worth(const struct record_body *body)
{
    if (!body->tried) return 0;
    return body->held ? SIZE_MAX : body->best.insn ? 1 + passed(&body->best) : 0;
}

/* The bodies that say most; of equals the first ones do. */
struct chosen { const struct record_body *at[EXPLAIN_BODIES_MAX]; size_t worth[EXPLAIN_BODIES_MAX], count, left_out; };

static void choose(struct chosen *c, const struct record_body *body)
{
    size_t own = worth(body), at = c->count;
    if (!own) return;
    while (at > 0 && c->worth[at - 1] < own) at--;
    c->left_out += c->count == EXPLAIN_BODIES_MAX;
    if (at == EXPLAIN_BODIES_MAX) return;
    if (c->count < EXPLAIN_BODIES_MAX) c->count++;
    for (size_t i = c->count - 1; i > at; i--) {
        c->at[i] = c->at[i - 1];
        c->worth[i] = c->worth[i - 1];
    }
    c->at[at] = body;
    c->worth[at] = own;
}

static bool is_chosen(const struct chosen *c, const struct record_body *body)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->at[i] == body) return true;
    return false;
}

static bool rule_told(struct builder *b, const struct record_group *g, struct explain_rule *ret)
{
    struct explain_body *bodies = arena_alloc_array(b->arena, EXPLAIN_BODIES_MAX, sizeof *bodies);
    if (!bodies) return false;
    *ret = (struct explain_rule) {
        .name = g->group ? g->group->name : "the query",
        .value = value_text(b, g->value),
        .calls = g->calls,
        .bodies = bodies,
    };
    struct chosen chosen = { 0 };
    for (const struct record_body *body = g->bodies; body; body = body->next) choose(&chosen, body);
    for (const struct record_body *body = g->bodies; body; body = body->next)
        if (is_chosen(&chosen, body)) bodies[ret->body_count++] = body_told(b, body);
    ret->bodies_left_out = chosen.left_out;
    return true;
}

/* ---- all ---------------------------------------------------------------------------------------- */

static bool is_told(const struct builder *b, const struct record_group *g)
{
    for (size_t i = 0; i < b->queued; i++)
        if (b->queue[i] == g) return true;
    return false;
}

static bool tell_others(struct builder *b, struct explanation *e)
{
    const char **names = arena_alloc_array(b->arena, EXPLAIN_OTHERS_MAX, sizeof *names);
    if (!names) return false;
    for (size_t i = 0; i < b->recorder->program->group_count && e->other_count < EXPLAIN_OTHERS_MAX; i++) {
        const struct record_group *g = b->recorder->groups[i];
        if (!g || is_told(b, g) || !value_truthy(g->value)) continue;
        if (g->group->kind != CHECKED_FUNCTION) names[e->other_count++] = g->group->name;
    }
    e->others = names;
    return true;
}

bool explain_build(const struct recorder *r, struct arena *a, struct explanation *ret)
{
    struct builder b = { .recorder = r, .arena = a };
    struct explain_rule *rules = arena_alloc_array(b.arena, EXPLAIN_RULES_MAX, sizeof *rules);
    if (!rules) return false;
    *ret = (struct explanation) { .incomplete = r->incomplete, .rules = rules };
    enqueue(&b, r->entry ? r->entry : &r->query);
    for (; ret->rule_count < b.queued; ret->rule_count++)
        if (!rule_told(&b, b.queue[ret->rule_count], &rules[ret->rule_count])) return false;
    ret->rules_left_out = b.left_out;
    ret->value = value_text(&b, r->query.value);
    return tell_others(&b, ret) && !arena_failed(b.arena);
}
