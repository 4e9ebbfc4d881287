/* Explanations as text, as one line, and as a value for JSON. */
#include "policy/explain.h"

#include "policy/text.h"
#include "policy/value.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- a screen ----------------------------------------------------------------------------------- */

struct screen { struct text *text; size_t lines; };

__attribute__((format(printf, 2, 3)))
static void line(struct screen *s, const char *format, ...)
{
    if (s->lines++ >= EXPLAIN_LINES_MAX) return;
    char buf[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(buf, sizeof buf, format, args);
    va_end(args);
    text_add_string(s->text, buf);
    text_add_char(s->text, '\n');
}

static void print_stop(struct screen *s, const char *indent, const struct explain_stop *stop)
{
    line(s, "%sline %u: %s", indent, stop->line, stop->statement);
    if (stop->why[0]) line(s, "%s    %s", indent, stop->why);
    if (stop->element[0]) line(s, "%s    where %s", indent, stop->element);
}

static void print_body(struct screen *s, const struct explain_body *b)
{
    const char *colon = b->module[0] ? ":" : "";
    if (b->module[0] && b->outcome == EXPLAIN_HELD) {
        line(s, "  %s%s%u: %s  holds%s%s", b->module, colon, b->line, b->head,
             b->value && strcmp(b->value, "true") ? ": " : "", b->value && strcmp(b->value, "true") ? b->value : "");
        if (b->by_absence) line(s, "    but a negation in it holds only because a path leads nowhere:");
        if (b->by_absence) print_stop(s, "    ", &b->stop);
        return;
    }
    if (b->module[0]) line(s, "  %s:%u: %s  stopped", b->module, b->line, b->head);
    if (b->attempts > 1) line(s, "    the best of %zu attempts:", b->attempts);
    print_stop(s, "    ", &b->stop);
    if (!b->dropped) return;
    line(s, "    of what was collected, %zu attempt%s dropped; the best of these:", b->dropped,
         b->dropped == 1 ? " was" : "s were");
    print_stop(s, "      ", &b->drop);
}

static void print_rule(struct screen *s, const struct explain_rule *r)
{
    char calls[64] = "";
    if (r->calls > 1) snprintf(calls, sizeof calls, "  (the last of %zu evaluations)", r->calls);
    if (r->value) line(s, "%s is %s%s", r->name, r->value, calls);
    else line(s, "%s is undefined%s", r->name, calls);
    for (size_t i = 0; i < r->body_count; i++) print_body(s, &r->bodies[i]);
    if (r->bodies_left_out) line(s, "  and %zu more rules of that name", r->bodies_left_out);
}

static void print_others(struct screen *s, const struct explanation *e)
{
    if (!e->other_count || s->lines >= EXPLAIN_LINES_MAX) return;
    text_add_string(s->text, "also held: ");
    for (size_t i = 0; i < e->other_count; i++) text_addf(s->text, "%s%s", i ? ", " : "", e->others[i]);
    text_add_char(s->text, '\n');
    s->lines++;
}

void explain_print(struct text *t, const struct explanation *e)
{
    struct screen s = { t, 0 };
    if (e->error) line(&s, "error: %s", e->error);
    for (size_t i = 0; i < e->rule_count; i++) print_rule(&s, &e->rules[i]);
    if (e->rules_left_out) line(&s, "and %zu more rules", e->rules_left_out);
    print_others(&s, e);
    if (e->incomplete) line(&s, "(there was more than memory for it)");
    if (s.lines > EXPLAIN_LINES_MAX) text_addf(t, "... %zu more lines\n", s.lines - EXPLAIN_LINES_MAX);
}

/* ---- one line ----------------------------------------------------------------------------------- */

static const struct explain_body *furthest(const struct explain_rule *r)
{
    const struct explain_body *best = NULL;
    for (size_t i = 0; i < r->body_count; i++) {
        const struct explain_body *b = &r->bodies[i];
        if (b->outcome == EXPLAIN_STOPPED && (!best || b->passed > best->passed)) best = b;
    }
    return best;
}

/* What gave the value, when something did. */
static const struct explain_body *holder(const struct explain_rule *r)
{
    for (size_t i = 0; i < r->body_count; i++)
        if (r->bodies[i].outcome == EXPLAIN_HELD) return &r->bodies[i];
    return NULL;
}

static void write_stop(char *ret, size_t size, const struct explain_stop *stop)
{
    bool element = stop->element[0] != '\0';
    snprintf(ret, size, "%s:%u: %s: %s%s%s%s", stop->module, stop->line, stop->statement, stop->why,
             element ? " (" : "", stop->element, element ? ")" : "");
}

/* Whole characters only, after snprintf has cut. */
static void trim_cut(char *text, size_t size)
{
    size_t len = strlen(text), back = 0;
    if (len + 1 < size) return;
    while (back < 4 && back < len && ((unsigned char) text[len - 1 - back] & 0xc0) == 0x80) back++;
    if (back < len && ((unsigned char) text[len - 1 - back] & 0xc0) == 0xc0) text[len - 1 - back] = '\0';
}

void explain_short(const struct explanation *e, char *ret, size_t size)
{
    const struct explain_rule *r = e->rules;
    const struct explain_body *held = holder(r);
    bool holds = held && held->value && strcmp(held->value, "false") != 0;
    const struct explain_body *b = holds ? NULL : furthest(r);
    for (size_t i = 0; b && b->leads_to && i < e->rule_count; i++) {
        const struct explain_body *next = furthest(&e->rules[b->leads_to]);
        if (!next || next == b) break;
        b = next;
    }
    if (e->error) snprintf(ret, size, "%s", e->error);
    else if (b) write_stop(ret, size, &b->stop);
    else if (held) snprintf(ret, size, "%s:%u: %s: holds with %s", held->module, held->line, held->head, held->value);
    else snprintf(ret, size, "%s is undefined", r->name);
    trim_cut(ret, size);
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static void put(struct value_builder *b, const char *key, const struct value *v)
{
    const struct value *k = value_string_z(b->arena, key);
    if (k && v) value_builder_put(b, k, v);
}

static void put_text(struct value_builder *b, const char *key, const char *text)
{
    if (text) put(b, key, value_string_z(b->arena, text));
}

static void put_number(struct value_builder *b, const char *key, size_t n)
{
    put(b, key, value_int(b->arena, (int64_t) n));
}

static const struct value *stop_value(struct arena *a, const struct explain_stop *stop)
{
    struct value_builder b;
    value_builder_init(&b, a, VALUE_OBJECT);
    put_text(&b, "file", stop->module);
    put_number(&b, "line", stop->line);
    put_number(&b, "column", stop->column);
    put_text(&b, "expression", stop->statement);
    put_text(&b, "why", stop->why);
    if (stop->element[0]) put_text(&b, "element", stop->element);
    return value_builder_end(&b, NULL);
}

static const struct value *body_value(struct arena *a, const struct explain_body *body)
{
    struct value_builder b;
    bool held = body->outcome == EXPLAIN_HELD;
    value_builder_init(&b, a, VALUE_OBJECT);
    put_text(&b, "file", body->module);
    put_number(&b, "line", body->line);
    put_text(&b, "head", body->head);
    put(&b, "default", value_bool(body->is_default));
    put_text(&b, "outcome", held ? "held" : "stopped");
    if (held) put_text(&b, "value", body->value);
    if (!held) put_number(&b, "attempts", body->attempts);
    if (!held) put_number(&b, "passed", body->passed);
    if (!held) put(&b, "stop", stop_value(a, &body->stop));
    if (body->by_absence) put(&b, "absent", stop_value(a, &body->stop));
    if (body->dropped) put_number(&b, "dropped", body->dropped);
    if (body->dropped) put(&b, "drop", stop_value(a, &body->drop));
    return value_builder_end(&b, NULL);
}

static const struct value *rule_value(struct arena *a, const struct explain_rule *r)
{
    struct value_builder b, bodies;
    value_builder_init(&b, a, VALUE_OBJECT);
    value_builder_init(&bodies, a, VALUE_ARRAY);
    for (size_t i = 0; i < r->body_count; i++) {
        const struct value *body = body_value(a, &r->bodies[i]);
        if (body) value_builder_add(&bodies, body);
    }
    put_text(&b, "name", r->name);
    put(&b, "defined", value_bool(r->value != NULL));
    put_text(&b, "value", r->value);
    put_number(&b, "evaluations", r->calls);
    put(&b, "bodies", value_builder_end(&bodies, NULL));
    if (r->bodies_left_out) put_number(&b, "bodies_left_out", r->bodies_left_out);
    return value_builder_end(&b, NULL);
}

const struct value *explain_value(const struct explanation *e, struct arena *a)
{
    char reason[EXPLAIN_SHORT_MAX];
    struct value_builder b, rules, others;
    value_builder_init(&b, a, VALUE_OBJECT);
    value_builder_init(&rules, a, VALUE_ARRAY);
    value_builder_init(&others, a, VALUE_ARRAY);
    for (size_t i = 0; i < e->rule_count; i++) {
        const struct value *rule = rule_value(a, &e->rules[i]);
        if (rule) value_builder_add(&rules, rule);
    }
    for (size_t i = 0; i < e->other_count; i++) {
        const struct value *name = value_string_z(a, e->others[i]);
        if (name) value_builder_add(&others, name);
    }
    explain_short(e, reason, sizeof reason);
    put_text(&b, "reason", reason);
    put_text(&b, "error", e->error);
    put_number(&b, "steps", e->steps);
    put(&b, "rules", value_builder_end(&rules, NULL));
    put(&b, "held", value_builder_end(&others, NULL));
    if (e->rules_left_out) put_number(&b, "rules_left_out", e->rules_left_out);
    if (e->incomplete) put(&b, "incomplete", value_bool(true));
    const struct value *v = value_builder_end(&b, NULL);
    return arena_failed(a) ? NULL : v;
}
