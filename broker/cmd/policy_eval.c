/* strongroom policy eval, strongroom policy explain */
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/cmd/policy_case.h"
#include "policy/explain.h"
#include "policy/json.h"
#include "policy/value.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_BYTES = 4 << 20 };

/* What came of it. */
struct evaluated {
    struct rego_result result;
    struct policy_decision decision; /* when data.policy.allow was asked */
    const char *value;               /* JSON, NULL: undefined */
    const struct explanation *explanation;
    char reason[EXPLAIN_SHORT_MAX];
    bool is_release, holds;
};

static void print_line(void *context, const char *line, size_t len)
{
    struct arena *words = context;
    char *copy = arena_copy(words, line, len);
    if (!copy) return;
    text_tame(copy, len);
    fprintf(stderr, "print: %s\n", copy);
}

static const char *json_of(struct arena *words, const struct value *v)
{
    struct text t;
    if (!v) return NULL;
    text_init(&t, words);
    json_write(&t, v);
    return text_end(&t);
}

/* First as a broker does, then once more to see why. */
static err_t evaluate(struct policy_case *c, const char *rule, struct arena *words, struct evaluated *ret)
{
    *ret = (struct evaluated) {.is_release = strcmp(rule, "data.policy.allow") == 0};
    c->input.print = print_line;
    c->input.context = words;
    rego_eval(c->run, 0, &c->input, &ret->result);
    policy_judge(&ret->result, &ret->decision);
    ret->value = json_of(words, ret->result.value);
    ret->holds = ret->is_release ? ret->decision.allow : value_truthy(ret->result.value);
    if (ret->result.value && !ret->value) FAIL(ERR_TOOLARGE, "the value of %s is too large to be shown", rule);
    struct rego_result again;
    c->input.print = NULL;
    c->input.steps *= 2; /* being watched costs steps */
    ret->explanation = explain(c->run, 0, &c->input, words, &again);
    if (!ret->explanation) FAIL(ERR_INTERNAL, "no memory for the explanation");
    explain_short(ret->explanation, ret->reason, sizeof ret->reason);
    return ERR_OK;
}

/* ---- telling ------------------------------------------------------------------------------------ */

static void print_explanation(struct arena *words, const struct explanation *e)
{
    struct text t;
    text_init(&t, words);
    explain_print(&t, e);
    const char *text = text_end(&t);
    fputs(text ? text : "there is no memory for the explanation\n", stdout);
}

static void print_outcome(const struct evaluated *e)
{
    if (e->is_release && e->holds) printf("allow\n");
    else if (e->is_release) printf("deny: %s\n", e->decision.reason);
    else if (e->value) printf("%s\n", e->value);
    else printf("undefined\n");
}

static err_t print_json(struct arena *words, const char *rule, const struct evaluated *e, bool explained)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct json_out o = JSON_OUT(&text);
    json_begin_object(&o);
    json_member_str(&o, "rule", rule);
    if (e->is_release) json_member_bool(&o, "allow", e->decision.allow);
    if (e->is_release) json_member_str(&o, "outcome", policy_outcome_name(e->decision.outcome));
    if (e->value) json_member_raw(&o, "value", span_str(e->value));
    if (e->explanation->error) json_member_str(&o, "error", e->explanation->error);
    json_member_str(&o, "reason", e->reason);
    json_member_uint(&o, "steps", e->result.steps);
    const char *whole = explained ? json_of(words, explain_value(e->explanation, words)) : NULL;
    if (whole) json_member_raw(&o, "explanation", span_str(whole));
    json_end_object(&o);
    buf_add_str(&text, "\n");
    TRY(buf_ok(&text));
    return file_write_all(STDOUT_FILENO, buf_span(&text));
}

static err_t refusal(const struct evaluated *e, const char *rule)
{
    if (e->holds) return ERR_OK;
    if (e->is_release) FAIL(ERR_DENIED, "denied: %s", e->reason);
    FAIL(ERR_DENIED, "%s does not hold: %s", rule, e->reason);
}

/* ---- the commands ------------------------------------------------------------------------------- */

static err_t run_case(const struct policy_case_options *o, bool json, bool explained, bool decides)
{
    struct policy_case c = {0};
    struct evaluated e;
    struct arena *words = arena_new(WORDS_BYTES);
    struct err err = words ? policy_case_open(o, &c) : ERR_MAKE(ERR_INTERNAL, "out of memory");
    if (err_ok(err)) err = evaluate(&c, o->rule, words, &e);
    if (err_ok(err) && json) err = print_json(words, o->rule, &e, explained);
    if (err_ok(err) && !json && decides) print_outcome(&e);
    if (err_ok(err) && !json && explained) print_explanation(words, e.explanation);
    if (err_ok(err) && decides) err = refusal(&e, o->rule);
    policy_case_free(&c);
    arena_free(words);
    return err;
}

struct err cmd_policy_eval(const struct command *self, int argc, char **argv)
{
    struct policy_case_options o = POLICY_CASE_OPTIONS;
    const char *format = "table";
    bool explained = false, json = false;
    const struct opt table[] = {
        POLICY_CASE_ROWS(&o),
        {"explain", 0, OPT_FLAG, &explained, NULL, "tell why, too"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "Decides as a broker would: data has plugin, resource-path and query; print() goes to\n"
                  "stderr. Exit code 0 when it allows, 4 when it denies. Another --rule is shown as JSON,\n"
                  "with 4 for undefined and false.",
                  argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    return run_case(&o, json, explained, true);
}

struct err cmd_policy_explain(const struct command *self, int argc, char **argv)
{
    struct policy_case_options o = POLICY_CASE_OPTIONS;
    const char *format = "table";
    bool json = false;
    const struct opt table[] = {
        POLICY_CASE_ROWS(&o),
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "",
                  "For each body of the rule, and of those that decided it, the expression that stopped it,\n"
                  "with the values it had. Exit code 0 whatever was decided.",
                  argc, argv, 0, 0, NULL));
    TRY(opt_format(format, &json));
    return run_case(&o, json, true, false);
}
