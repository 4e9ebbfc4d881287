/* The shape of a policy: its package, the rules that the host asks for, and those that nobody does. */
#include "policy/linter.h"

/* Where the reader should look: the first rule, or the default. */
static struct checked_place group_place(const struct checked_group *g)
{
    return g->rule_count ? g->rules[0]->place : g->fallback->place;
}

static const struct checked_group *rule_named(const struct linter *l, const char *name)
{
    for (size_t i = 0; l->package && i < l->package->child_count; i++) {
        const struct checked_node *n = l->package->children[i];
        if (string_is(n->key, name)) return n->group;
    }
    return NULL;
}

/* A default alone decides nothing. */
static bool has_rules(const struct checked_group *g)
{
    return g && g->rule_count;
}

/* ---- package and slot --------------------------------------------------------------------------- */

void lint_package(struct linter *l)
{
    if (l->package_right) return;
    struct finding *f = lint_find(l, LINT_PACKAGE, l->package_place,
                                  "the %s is looked for in package %s, which is not there",
                                  l->profile->slot ? l->profile->slot : "policy", l->profile->package);
    lint_hint(l, f, "write `package %s`", l->profile->package);
}

void lint_wrong_slot(struct linter *l)
{
    const struct lint_profile *p = l->profile;
    if (!p->rule_count || !p->other_rule_count || has_rules(l->entries[0])) return;
    const struct checked_group *other = rule_named(l, p->other_rules[0]);
    if (!other) return;
    struct finding *f = lint_find(l, LINT_WRONG_SLOT, group_place(other),
                                  "%s given as %s: it has %s and no %s", p->other_slot,
                                  p->slot ? p->slot : "another", p->other_rules[0], p->rules[0]);
    lint_hint(l, f, "set it as the %s; the %s asks for %s", p->other_slot, p->slot ? p->slot : "host",
              p->rules[0]);
}

/* ---- the entry ---------------------------------------------------------------------------------- */

/* A rule that nothing uses, with a name like the one that is missing. */
static const struct checked_group *near_entry(struct linter *l)
{
    for (size_t i = 0; l->package && i < l->package->child_count; i++) {
        const struct checked_node *n = l->package->children[i];
        bool candidate = n->group && has_rules(n->group) && !l->groups[n->group->number].reached;
        if (candidate && value_is(n->key, VALUE_STRING) &&
            lint_is_near(n->key->string, l->profile->rules[0])) return n->group;
    }
    return NULL;
}

const struct checked_group *lint_meant_entry(struct linter *l)
{
    if (!l->profile->rule_count) return NULL;
    return has_rules(l->entries[0]) ? l->entries[0] : near_entry(l);
}

void lint_rule_name(struct linter *l)
{
    if (!l->profile->rule_count || has_rules(l->entries[0]) || lint_found(l, LINT_WRONG_SLOT)) return;
    const char *wanted = l->profile->rules[0];
    const struct checked_group *near = near_entry(l);
    if (near) {
        struct finding *f = lint_find(l, LINT_RULE_NAME, group_place(near),
                                      "rule %s is never asked for; the rule is called %s",
                                      lint_group_name(l, near), wanted);
        lint_hint(l, f, "did you mean %s?", wanted);
    } else if (!l->entries[0]) {
        struct finding *f = lint_find(l, LINT_RULE_NAME, l->package_place,
                                      "there is no rule %s: everything is denied", wanted);
        lint_hint(l, f, "write `%s if { .. }`", wanted);
    }
}

/* ---- rules that nobody asks for ----------------------------------------------------------------- */

static bool is_ours(const struct linter *l, const struct checked_group *g)
{
    const struct checked_node *n = g->node;
    while (n && n != l->package) n = n->parent;
    return n != NULL;
}

void lint_unused_rule(struct linter *l)
{
    bool other_cause = !infer_complete(l) || !l->profile->rule_count || !l->entries[0] || lint_found(l, LINT_RULE_NAME) ||
                       lint_found(l, LINT_WRONG_SLOT);
    for (size_t i = 0; !other_cause && i < l->program->group_count; i++) {
        const struct checked_group *g = l->program->groups[i];
        if (l->groups[g->number].reached || !is_ours(l, g)) continue;
        struct finding *f = lint_find(l, LINT_UNUSED_RULE, group_place(g), "nothing uses %s %s",
                                      g->kind == CHECKED_FUNCTION ? "function" : "rule",
                                      lint_group_name(l, g));
        lint_hint(l, f, "use it in %s, or remove it", l->profile->rules[0]);
    }
}
