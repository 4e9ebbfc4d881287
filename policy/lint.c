/* The table of lints, and a run of all of them. */
#include "policy/lint.h"

#include <stdlib.h>

#include "policy/compile.h"
#include "policy/linter.h"
#include "policy/parser.h"

/* ---- the table ---------------------------------------------------------------------------------- */

/* A lint without a function is found by lint_walk (or by rego_lint, LINT_TOO_LARGE), which runs the bodies of all
 * rules at once; the functions run in this order, and may ask what was found before. LINT_TYPE_MISMATCH is both. */
static const struct {
    struct lint_row row;
    void (*run)(struct linter *l);
} LINTS[LINT_COUNT_] = {
    [LINT_PACKAGE] = { { "lint_package", "the package is not the one that is asked" }, lint_package },
    [LINT_WRONG_SLOT] = { { "lint_wrong_slot", "an attestation policy was given as resource policy, or the other way round" }, lint_wrong_slot },
    [LINT_RULE_NAME] = { { "lint_rule_name", "the rule that is asked for is missing; another has a name like it" }, lint_rule_name },
    [LINT_UNKNOWN_PATH] = { { "lint_unknown_path", "a path below `input` or `data` that no token and no request has" }, lint_walk },
    [LINT_ARRAY_AS_STRING] = { { "lint_array_as_string", "an array, such as `data[\"resource-path\"]`, is used as a string" }, NULL },
    [LINT_TYPE_MISMATCH] = { { "lint_type_mismatch", "kinds that have nothing in common are compared, or a value is not of the kind that is wanted" }, lint_not_boolean },
    [LINT_NEVER_TRUE] = { { "lint_never_true", "an expression that cannot hold: constants differ, or the same value is to be two" }, NULL },
    [LINT_FAIL_OPEN] = { { "lint_fail_open", "a negation also holds when a claim is missing, and nothing in the body demands it" }, NULL },
    [LINT_EVERY_EMPTY] = { { "lint_every_empty", "`every` over what may be empty: it holds then" }, NULL },
    [LINT_TEMPLATE] = { { "lint_template", "a template string is compared in which a missing value becomes `<undefined>`" }, NULL },
    [LINT_ALWAYS_TRUE] = { { "lint_always_true", "a rule that allows and always holds" }, lint_always_true },
    [LINT_DEFAULT_ALLOW] = { { "lint_default_allow", "`default allow := true`: what is not decided is allowed" }, lint_default_allow },
    [LINT_ANY_GUEST] = { { "lint_any_guest", "a rule allows without a look at the token's claims or the resource" }, lint_any_guest },
    [LINT_ALL_PLUGINS] = { { "lint_all_plugins", "no rule asks for the plugin" }, lint_all_plugins },
    [LINT_UNUSED_RULE] = { { "lint_unused_rule", "a rule or function that nothing uses, other than a test" }, lint_unused_rule },
    [LINT_TOO_LARGE] = { { "lint_too_large", "the policy takes more work or memory to look through than is allowed" }, NULL },
};

const struct lint_row *lint_row(size_t i)
{
    return i < LINT_COUNT_ ? &LINTS[i].row : NULL;
}

/* ---- profiles ----------------------------------------------------------------------------------- */

static const char *const RESOURCE_RULES[] = { "allow" };
static const char *const ATTESTATION_RULES[] = { "trust_claims", "extensions" };

const struct lint_profile LINT_RESOURCE_POLICY = {
    .package = "policy", .rules = RESOURCE_RULES, .rule_count = 1, .decides = true,
    .slot = "resource policy",
    .other_slot = "attestation policy", .other_rules = ATTESTATION_RULES, .other_rule_count = 1,
};
const struct lint_profile LINT_ATTESTATION_POLICY = {
    .package = "policy", .rules = ATTESTATION_RULES, .rule_count = 2, .slot = "attestation policy",
    .other_slot = "resource policy", .other_rules = RESOURCE_RULES, .other_rule_count = 1,
};

const char *lint_resource_data_schema(void)
{
    return "{\"plugin\": \"string\", \"resource-path\": [\"string\"], \"query\": {\"*\": \"string\"}}";
}

/* ---- setting up --------------------------------------------------------------------------------- */

static const struct checked_node *package_node(struct linter *l, const char *package)
{
    const struct checked_node *n = l->program->root;
    while (n && *package) {
        size_t len = strcspn(package, ".");
        const struct value *key = value_string(l->arena, package, len);
        n = key ? checked_child(n, key) : NULL;
        package += len + (package[len] == '.');
    }
    return n;
}

static bool package_is(const struct rego_module_ast *m, const char *package)
{
    for (size_t i = 0; i < m->package_count; i++) {
        size_t len = strcspn(package, ".");
        const struct rego_text name = m->package[i]->text;
        if (name.len != len || memcmp(name.at, package, len) != 0) return false;
        package += len + (package[len] == '.');
    }
    return !*package;
}

static const struct checked_node *node_of(struct linter *l, const struct rego_module_ast *m)
{
    const struct checked_node *n = l->program->root;
    for (size_t i = 0; n && i < m->package_count; i++) {
        const struct value *key = value_string(l->arena, m->package[i]->text.at, m->package[i]->text.len);
        n = key ? checked_child(n, key) : NULL;
    }
    return n;
}

/* The package that is asked for, or else that of the first module: its rules are looked at as though it
 * were the right one. Places of packages are in the syntax tree alone. */
static bool find_package(struct linter *l)
{
    struct rego_errors none = { 0 };
    const struct rego_module_ast *first = NULL;
    for (size_t i = 0; i < l->module_count && !l->package_right; i++) {
        const struct rego_module *m = &l->modules[i];
        const struct rego_module_ast *ast = rego_parse_module(l->arena, "", m->text, m->len, &none);
        if (!ast) return false;
        l->package_right = package_is(ast, l->profile->package);
        if (first && !l->package_right) continue;
        first = ast;
        l->package_place = (struct checked_place) {
            (uint32_t) i, ast->package_at.line, ast->package_at.column, ast->package_at.offset,
        };
    }
    l->package = l->package_right ? package_node(l, l->profile->package) : first ? node_of(l, first) : NULL;
    return first;
}

static bool find_entries(struct linter *l)
{
    const struct checked_group **entries = arena_alloc_array(l->arena, l->profile->rule_count + 1,
                                                             sizeof *entries);
    if (!entries) return false;
    for (size_t i = 0; i < l->profile->rule_count; i++) {
        const struct value *name = value_string_z(l->arena, l->profile->rules[i]);
        const struct checked_node *n = name && l->package ? checked_child(l->package, name) : NULL;
        entries[i] = n ? n->group : NULL;
    }
    l->entries = entries;
    return true;
}

static struct cell *document(struct linter *l, enum cell_root root, const struct value *schema)
{
    struct cell *c = cell_new(l, schema ? schema_kinds(schema) : KIND_ANY);
    const struct value **schemas = arena_alloc(l->arena, sizeof *schemas);
    if (c == &l->nothing || !schemas) return NULL;
    c->root = root;
    if (!schema || schema_is_any(schema)) return c;
    schemas[0] = schema;
    c->schemas = schemas;
    c->schema_count = 1;
    return c;
}

static bool set_up(struct linter *l, const struct rego_options *options)
{
    const struct compile_options o = {
        .host = options ? options->host : NULL, .allow_refused = options && options->allow_refused,
    };
    struct rego_errors none = { 0 };
    l->program = compile_modules(l->arena, l->modules, l->module_count, &o, &none);
    if (!l->program) return false;
    l->steps_left = LINT_STEPS_MAX;
    l->nothing = (struct cell) { .kinds = KIND_ANY, .optional = true };
    l->finding_cap = LINT_FINDINGS_KEPT;
    l->findings = arena_alloc_array(l->arena, l->finding_cap, sizeof *l->findings);
    l->groups = arena_alloc_array(l->arena, l->program->group_count + 1, sizeof *l->groups);
    l->input = document(l, CELL_INPUT, l->profile->claims);
    l->data = document(l, CELL_DATA, l->profile->data);
    return l->findings && l->groups && l->input && l->data && find_package(l) && find_entries(l);
}

/* ---- telling ------------------------------------------------------------------------------------ */

static int by_place(const void *left, const void *right)
{
    const struct finding *a = *(struct finding *const *) left, *b = *(struct finding *const *) right;
    if (a->place.module != b->place.module) return a->place.module < b->place.module ? -1 : 1;
    if (a->place.offset != b->place.offset) return a->place.offset < b->place.offset ? -1 : 1;
    return (int) a->lint - (int) b->lint;
}

static bool repeats(const struct finding *a, const struct finding *b)
{
    return by_place(&a, &b) == 0;
}

static void tell(struct linter *l, struct rego_errors *ret)
{
    if (l->finding_count) qsort(l->findings, l->finding_count, sizeof *l->findings, by_place);
    for (size_t i = 0; i < l->finding_count; i++) {
        const struct finding *f = l->findings[i];
        if (i && repeats(f, l->findings[i - 1])) continue;
        const struct rego_module *m = &l->modules[f->place.module];
        const struct rego_source source = { m->name ? m->name : "", m->text, m->len };
        const struct rego_span at = { f->place.line, f->place.column, f->place.offset, 0 };
        const struct lint_row *row = &LINTS[f->lint].row; /* its words when memory was short */
        struct rego_error *e = rego_error_add(ret, row->code, &source, &at, "%s",
                                              *f->text ? f->text : row->doc);
        if (f->hint) rego_error_hint(e, "%s", f->hint);
    }
}

/* Without the arena, which may be full. */
static void tell_too_large(const struct linter *l, struct rego_errors *ret)
{
    static const struct rego_span START = { .line = 1, .column = 1 };
    const struct rego_module *m = &l->modules[0];
    const struct rego_source source = { m->name ? m->name : "", m->text, m->len };
    struct rego_error *e = rego_error_add(ret, LINTS[LINT_TOO_LARGE].row.code, &source, &START,
                                          "the policy is too large to be looked through to its end");
    rego_error_hint(e, "what is told here is not all there may be to tell");
}

void rego_lint(const struct rego_module *modules, size_t count, const struct rego_options *options,
               const struct lint_profile *profile, struct rego_errors *ret_warnings)
{
    struct linter l = { .modules = modules, .module_count = count, .profile = profile };
    *ret_warnings = (struct rego_errors) { 0 };
    l.arena = arena_new(LINT_BYTES);
    if (!l.arena) return;
    bool compiles = set_up(&l, options);
    if (compiles) {
        lint_reach(&l);
        for (size_t i = 0; i < LINT_COUNT_; i++)
            if (LINTS[i].run) LINTS[i].run(&l);
        tell(&l, ret_warnings);
    }
    bool cut_short = compiles ? !infer_complete(&l) : arena_failed(l.arena);
    if (cut_short && count) tell_too_large(&l, ret_warnings);
    arena_free(l.arena);
}
