/* Policies that allow much: everything, everybody, every plugin. Each may be meant; it is said. */
#include "policy/linter.h"

/* Rules whose body holds give `true`. */
static bool allows(const struct checked_rule *r)
{
    return r->kind == CHECKED_COMPLETE && !r->rest_count && r->value && r->value->kind == CHECKED_CONST &&
           value_is(r->value->value, VALUE_BOOL) && r->value->value->boolean;
}

static const struct checked_group *entry(struct linter *l, size_t i)
{
    const struct checked_group *g = i == 0 ? lint_meant_entry(l) : l->entries[i];
    return g ? g : l->entries[i];
}

static enum outcome outcome_of(const struct linter *l, const struct checked_group *g, size_t rule)
{
    const enum outcome *outcomes = l->groups[g->number].outcomes;
    return outcomes ? outcomes[rule] : OUTCOME_MAYBE;
}

void lint_default_allow(struct linter *l)
{
    for (size_t i = 0; i < l->profile->rule_count; i++) {
        const struct checked_group *g = l->entries[i];
        if (!g || !g->fallback || !allows(g->fallback)) continue;
        struct finding *f = g->rule_count
            ? lint_find(l, LINT_DEFAULT_ALLOW, g->fallback->place,
                        "whatever no rule decides is allowed: a claim that is missing lets everybody in")
            : lint_find(l, LINT_DEFAULT_ALLOW, g->fallback->place,
                        "everything is allowed to every guest with a valid token");
        lint_hint(l, f, "write `default %s := false` and say when it is true", l->profile->rules[i]);
    }
}

void lint_always_true(struct linter *l)
{
    for (size_t i = 0; i < l->profile->rule_count; i++) {
        const struct checked_group *g = entry(l, i);
        for (size_t k = 0; g && k < g->rule_count; k++) {
            if (!allows(g->rules[k]) || outcome_of(l, g, k) != OUTCOME_ALWAYS) continue;
            struct finding *f = lint_find(l, LINT_ALWAYS_TRUE, g->rules[k]->place,
                                          "this rule always holds: every guest with a valid token gets everything");
            lint_hint(l, f, "make it depend on what the token says");
        }
    }
}

static void not_boolean(struct linter *l, const struct checked_group *g, const struct checked_rule *r,
                        const char *what)
{
    struct finding *f = lint_find(l, LINT_TYPE_MISMATCH, r->place, "%s is %s: only the boolean true counts",
                                  lint_group_name(l, g), what);
    lint_hint(l, f, "write `%s if { .. }`", l->profile->rules[0]);
}

/* `allow contains "x"`, `allow := "yes"`: there, and not true. */
void lint_not_boolean(struct linter *l)
{
    const struct checked_group *g = l->profile->rule_count ? entry(l, 0) : NULL;
    if (!g || !g->rule_count || !l->profile->decides) return;
    const struct cell *value = l->groups[g->number].value;
    if (g->kind == CHECKED_FUNCTION) {
        not_boolean(l, g, g->rules[0], "a function");
    } else if (value && !(value->kinds & KIND_BIT(BOOL))) {
        not_boolean(l, g, g->rules[0], kinds_name(l, value->kinds));
    } else if (g->kind == CHECKED_COMPLETE) {
        for (size_t k = 0; k < g->rule_count; k++) {
            const struct checked_term *v = g->rules[k]->value;
            if (v && v->kind == CHECKED_CONST && v->value->kind != VALUE_BOOL)
                not_boolean(l, g, g->rules[k], kinds_name(l, 1u << v->value->kind));
        }
    }
}

/* The host tells the plugin only to policies about requests. */
static bool knows_plugins(const struct linter *l)
{
    return infer_complete(l) && value_is(l->profile->data, VALUE_OBJECT) && object_get_z(l->profile->data, "plugin");
}

void lint_any_guest(struct linter *l)
{
    const struct checked_group *g = l->profile->rule_count ? entry(l, 0) : NULL;
    for (size_t k = 0; g && knows_plugins(l) && k < g->rule_count; k++) {
        unsigned on = lint_depends(l, g->rules[k]);
        bool decided = outcome_of(l, g, k) != OUTCOME_MAYBE;
        if (!allows(g->rules[k]) || decided || on & (DEPENDS_INPUT | DEPENDS_REQUEST)) continue;
        struct finding *f = lint_find(l, LINT_ANY_GUEST, g->rules[k]->place,
                                      "this does not look at the guest: every valid token will do, whatever it says");
        if (on & DEPENDS_PLUGIN)
            lint_hint(l, f, "if that is meant: other plugins, such as pkcs11, need naming as well; otherwise ask for a claim of input");
        else lint_hint(l, f, "ask for a claim of input");
    }
}

/* Said once, of the first rule, and not where more was said. */
void lint_all_plugins(struct linter *l)
{
    const struct checked_group *g = l->profile->rule_count ? entry(l, 0) : NULL, *first = NULL;
    size_t rule = 0;
    if (lint_found(l, LINT_DEFAULT_ALLOW) || lint_found(l, LINT_ALWAYS_TRUE) ||
        lint_found(l, LINT_ANY_GUEST)) return;
    for (size_t k = 0; g && knows_plugins(l) && k < g->rule_count; k++) {
        if (!allows(g->rules[k]) || outcome_of(l, g, k) == OUTCOME_NEVER) continue;
        if (lint_depends(l, g->rules[k]) & DEPENDS_PLUGIN) return;
        if (!first) rule = k;
        first = g;
    }
    if (!first) return;
    struct finding *f = lint_find(l, LINT_ALL_PLUGINS, first->rules[rule]->place,
                                  "no rule asks for the plugin: what is allowed is allowed to all of them");
    lint_hint(l, f, "ask for one: data.plugin == \"resource\"");
}
