/* What policies cost: one line a measure, with its bound where it has one. Times are of this thread's core, the
 * best of several rounds, since the machine does other things too; what is compared is measured side by side.
 *
 *     bench_policy VECTORS      the folder of recorded exchanges, tests/vectors/kbs
 *
 * A wrong decision ends it with status 1; a measure over its bound does not, it says so. */
#include "policy/json.h"
#include "policy/policy.h"
#include "tests/bench/policy_texts.h"
#include "tests/lib/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STOCK_US_MAX 1.0
#define KEYED_RATIO_MAX 2.0
#define COMPILE_MS_MAX 50.0   /* of 100 KiB; of more in proportion */
#define HOSTILE_MS_MAX 50.0
#define COMPILE_BYTES ((size_t) 100 << 10)
#define POLICY_BYTES_MAX ((size_t) 256 << 10)
#define ARENA ((size_t) 256 << 20)

static struct tally {
    unsigned measures, over, wrong;
} tally;

/* ---- measuring ---------------------------------------------------------------------------------- */

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

/* Microseconds of one call: rounds of at least 2 ms, the best of nine. */
static double best_us(void (*once)(void *context), void *context)
{
    double best = 1e12;
    unsigned calls = 1;
    for (unsigned round = 0; round < 9;) {
        double begin = now_us();
        for (unsigned i = 0; i < calls; i++) once(context);
        double took = now_us() - begin;
        if (took < 2000 && calls < 1u << 20) {
            calls *= 2;
            continue;
        }
        if (took / calls < best) best = took / calls;
        round++;
    }
    return best;
}

static const char *verdict(double value, double bound)
{
    tally.measures++;
    tally.over += value > bound;
    return value > bound ? "over" : "ok";
}

static void wrong(const char *what, const char *why)
{
    printf("  WRONG %s: %s\n", what, why ? why : "");
    tally.wrong++;
}

/* ---- one program ------------------------------------------------------------------------------- */

struct subject {
    struct rego_program *program;
    struct rego_run *run;
    struct rego_input in;
    struct rego_result result;
};

static bool subject_open(struct subject *s, const char *text, const char *query)
{
    static struct rego_errors errors;
    struct rego_module module = { "policy.rego", text, strlen(text) };
    struct rego_options options = { .queries = &query, .query_count = 1 };
    *s = (struct subject) { .program = rego_compile(&module, 1, &options, &errors) };
    if (!s->program) wrong(query, errors.items[0].text);
    s->run = s->program ? rego_run_new(s->program, 0) : NULL;
    return s->run != NULL;
}

static void subject_close(struct subject *s)
{
    rego_run_free(s->run);
    rego_program_free(s->program);
}

/* What a request brings: {plugin, resource-path, query}. */
static const struct value *request_data(struct arena *a, const char *plugin, const char *const path[3])
{
    struct value_builder data, segments;
    value_builder_init(&segments, a, VALUE_ARRAY);
    for (size_t i = 0; i < 3; i++) value_builder_add(&segments, value_string_z(a, path[i]));
    value_builder_init(&data, a, VALUE_OBJECT);
    value_builder_put(&data, value_string_z(a, "plugin"), value_string_z(a, plugin));
    value_builder_put(&data, value_string_z(a, "query"), &VALUE_EMPTY_OBJECT);
    value_builder_put(&data, value_string_z(a, "resource-path"), value_builder_end(&segments, NULL));
    return value_builder_end(&data, NULL);
}

static void evaluate(void *context)
{
    struct subject *s = context;
    rego_eval(s->run, 0, &s->in, &s->result);
}

/* ---- the stock policies ------------------------------------------------------------------------- */

static char *read_file(const char *folder, const char *name)
{
    char path[1024], *text = malloc(1 << 20);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r");
    size_t len = f && text ? fread(text, 1, (1 << 20) - 1, f) : 0;
    if (!len) {
        fprintf(stderr, "bench: cannot read %s\n", path);
        exit(2);
    }
    fclose(f);
    text[len] = 0;
    return text;
}

/* What a query gives for a recorded exchange, copied into the arena. */
static const struct value *ask(struct arena *a, const char *query, const char *json)
{
    struct subject s;
    if (!subject_open(&s, "package none\n", query)) exit(2);
    s.in.input = json_to_value(a, json, strlen(json), NULL, NULL);
    evaluate(&s);
    const struct value *v = s.result.value ? value_copy(a, s.result.value) : NULL;
    if (!v) {
        fprintf(stderr, "bench: %s gives nothing\n", query);
        exit(2);
    }
    subject_close(&s);
    return v;
}

static const char policy_of[] = "base64url.decode(json.unmarshal(input[0].request.body).policy)";
/* The claims of a token in an answer; then with enough of them for 6 KiB, affirming, of two devices. */
static const char claims_of[] =
    "json.unmarshal(base64url.decode(split([json.unmarshal(x.response.body).token | x := input[_];"
    " contains(x.response.body, \"token\")][0], \".\")[1]))";
static const char more_claims_of[] =
    "object.union(input, {\"submods\": {x: object.union(input.submods.cpu0, {\"ear.status\": \"affirming\","
    " \"more\": {sprintf(\"claim-%d\", [i]): concat(\"\", [\"0123456789abcdef\" | some _ in numbers.range(1, 4)])"
    " | some i in numbers.range(1, 22)}}) | some x in [\"cpu0\", \"gpu0\"]}})";

struct token {
    const char *name, *json;
    const struct value *claims;
    bool affirming;
};

static const struct stock {
    const char *file;
    bool always, affirming; /* allowed: in any case; an affirming token only */
} stocks[] = {
    { "old-admin-policy-default.json", false, false }, { "old-admin-policy-affirming.json", false, true },
    { "old-admin-policy-allow-all.json", true, false }, { "old-admin-policy-deny-all.json", false, false },
    { "new-admin-policy-default.json", false, false },  { "new-admin-policy-affirming.json", false, true },
    { "new-admin-policy-allow.json", true, false },     { "new-admin-policy-deny.json", false, false },
};

/* A whole decision, as the broker asks for it: data is built from the request, a reason is given. */
struct deciding {
    struct policy *policy;
    struct policy_run *run;
    struct policy_request request;
    struct policy_decision decision;
};

static void decide(void *context)
{
    struct deciding *d = context;
    policy_decide(d->policy, d->run, &d->request, &d->decision);
}

static double measure_decision(const char *text, const struct token *token, const char *const path[3], bool *ret_allow)
{
    static struct rego_errors errors;
    struct policy_claims_error error;
    struct deciding d = { .policy = policy_compile(text, strlen(text), NULL, &errors), .run = policy_run_new() };
    struct policy_claims *claims = policy_claims_new(token->json, strlen(token->json), &error);
    if (!d.policy || !d.run || !claims) exit(2);
    d.request = (struct policy_request) { .claims = claims, .plugin = "resource", .path = path, .path_count = 3 };
    double us = best_us(decide, &d);
    *ret_allow = d.decision.allow;
    policy_claims_free(claims);
    policy_run_free(d.run);
    policy_free(d.policy);
    return us;
}

static void measure_stock(struct arena *a, const char *folder, const struct stock *stock, const struct token *token)
{
    static const char *const path[] = { "repository", "type", "tag" };
    struct subject s;
    char *exchange = read_file(folder, stock->file);
    const char *text = ask(a, policy_of, exchange)->string;
    if (!subject_open(&s, text, "data.policy.allow")) return;
    s.in.input = token->claims;
    s.in.data = request_data(a, "resource", path);
    bool decided = false;
    double evaluation = best_us(evaluate, &s), decision = measure_decision(text, token, path, &decided);
    printf("  %-34s %-6s %7.3f us %7.3f us  %s\n", stock->file, token->name, evaluation, decision,
           verdict(decision, STOCK_US_MAX));
    bool want = stock->always || (stock->affirming && token->affirming);
    if ((s.result.value == value_bool(true)) != want || decided != want) wrong(stock->file, s.result.error_text);
    subject_close(&s);
    free(exchange);
}

static const char *json_of(struct arena *a, const struct value *v)
{
    struct text t;
    text_init(&t, a);
    json_write(&t, v);
    return text_end(&t);
}

static void bench_stock(struct arena *a, const char *folder)
{
    char *attest = read_file(folder, "new-attest-p256.json");
    struct token tokens[] = { { "1 KiB", .claims = ask(a, claims_of, attest) }, { "6 KiB", .affirming = true } };
    tokens[0].json = json_of(a, tokens[0].claims);
    tokens[1].claims = ask(a, more_claims_of, tokens[0].json);
    tokens[1].json = json_of(a, tokens[1].claims);
    printf("stock policies, claims parsed before: an evaluation; a decision, data built for it (bound %.1f us)\n",
           STOCK_US_MAX);
    for (size_t i = 0; i < sizeof stocks / sizeof *stocks; i++)
        for (size_t k = 0; k < 2; k++) measure_stock(a, folder, &stocks[i], &tokens[k]);
    free(attest);
}

/* ---- rules by key ------------------------------------------------------------------------------- */

static double measure_keyed(struct arena *a, const struct shape *shape, unsigned rules, bool all_rules)
{
    struct subject s;
    char tag[32], input[128];
    if (!subject_open(&s, bench_text_of_parts(a, shape, rules), "data.policy.allow")) return 0;
    snprintf(tag, sizeof tag, "c%u", rules / 2);
    snprintf(input, sizeof input, "{\"x\": \"%s\", \"n\": \"%u\", \"ok\": true}", tag, rules / 2);
    s.in.input = json_to_value(a, input, strlen(input), NULL, NULL);
    s.in.data = request_data(a, "resource", (const char *const[]) { "a", "b", tag });
    s.in.all_rules = all_rules;
    double us = best_us(evaluate, &s);
    if (s.result.value != value_bool(true)) wrong(shape->name, s.result.error_text);
    subject_close(&s);
    return us;
}

static void bench_rules(struct arena *a)
{
    printf("rules by key: of 10, of 1,000, without the index; growth (bound %.1f times)\n", KEYED_RATIO_MAX);
    for (size_t i = 0; i < bench_keyed_count; i++) {
        double few = measure_keyed(a, &bench_keyed[i], 10, false);
        double many = measure_keyed(a, &bench_keyed[i], 1000, false);
        double all = measure_keyed(a, &bench_keyed[i], 1000, true);
        printf("  %-28s %7.3f us %7.3f us %9.3f us  %5.2f times  %s\n", bench_keyed[i].name, few, many, all, many / few,
               verdict(many / few, KEYED_RATIO_MAX));
    }
}

/* ---- compiling ---------------------------------------------------------------------------------- */

struct compiling {
    const char *text;
    size_t bytes; /* of the program */
    struct rego_errors errors;
};

/* As the broker does it when a policy is set. */
static void compile(void *context)
{
    struct compiling *c = context;
    struct policy *p = policy_compile(c->text, strlen(c->text), NULL, &c->errors);
    c->bytes = p ? rego_program_bytes(policy_program(p)) : 0;
    policy_free(p);
}

static void bench_compiling(struct arena *a)
{
    static struct compiling c;
    printf("compiling, time and memory of %zu KiB (bound %.0f ms) and %zu KiB (in proportion)\n", COMPILE_BYTES >> 10,
           COMPILE_MS_MAX, POLICY_BYTES_MAX >> 10);
    for (size_t i = 0; i < bench_shape_count; i++) {
        const char *ends = "";
        printf("  %-24s", bench_shapes[i].name);
        for (size_t bytes = COMPILE_BYTES; bytes <= POLICY_BYTES_MAX; bytes += POLICY_BYTES_MAX - COMPILE_BYTES) {
            c.text = bench_text_of_size(a, &bench_shapes[i], bytes);
            double ms = best_us(compile, &c) / 1000;
            double bound = COMPILE_MS_MAX * (double) bytes / (double) COMPILE_BYTES;
            printf(" %7.1f ms %5.1f MiB  %-4s", ms, (double) c.bytes / (1 << 20), verdict(ms, bound));
            ends = c.errors.count ? c.errors.items[0].code : "";
        }
        printf("  %s\n", ends);
    }
}

/* ---- hostile policies --------------------------------------------------------------------------- */

static void evaluate_hostile(const struct hostile *h, struct subject *s, struct arena *a, double compiled_ms)
{
    double best = 1e12;
    if (h->input) s->in.input = json_to_value(a, h->input, strlen(h->input), NULL, NULL);
    for (int i = 0; i < 3; i++) {
        double begin = now_us();
        evaluate(s);
        double ms = (now_us() - begin) / 1000;
        if (ms < best) best = ms;
    }
    enum rego_status want = h->end == HOSTILE_LIMIT ? REGO_LIMIT : REGO_OK;
    if (s->result.status != want) wrong(h->name, s->result.error_text);
    printf("  %-28s %7.1f ms %7.1f ms %8llu steps %5.1f MiB  %s\n", h->name, compiled_ms, best,
           (unsigned long long) s->result.steps, (double) rego_run_bytes(s->run) / (1 << 20),
           verdict(compiled_ms > best ? compiled_ms : best, HOSTILE_MS_MAX));
}

static void bench_hostile(struct arena *a)
{
    static struct rego_errors errors;
    printf("hostile policies, compiling and evaluating up to the limit (bound %.0f ms each)\n", HOSTILE_MS_MAX);
    for (size_t i = 0; i < hostile_count; i++) {
        const struct hostile *h = &hostile_policies[i];
        size_t len = 0;
        char *text = hostile_text(h, &len);
        struct rego_module module = { "hostile.rego", text, len };
        const char *query = HOSTILE_QUERY;
        struct rego_options options = { .queries = &query, .query_count = 1 };
        double begin = now_us();
        struct subject s = { .program = rego_compile(&module, 1, &options, &errors) };
        double ms = (now_us() - begin) / 1000;
        if (!s.program != (h->end == HOSTILE_REFUSED)) wrong(h->name, s.program ? "compiles" : errors.items[0].text);
        if (!s.program)
            printf("  %-28s %7.1f ms %36s  %s\n", h->name, ms, errors.items[0].code, verdict(ms, HOSTILE_MS_MAX));
        s.run = s.program ? rego_run_new(s.program, 0) : NULL;
        if (s.run) evaluate_hostile(h, &s, a, ms);
        subject_close(&s);
        free(text);
    }
}

/* ---- larger policies ---------------------------------------------------------------------------- */

static void bench_larger_policies(struct arena *a)
{
    const char *document = bench_document(a);
    const struct value *input = json_to_value(a, document, strlen(document), NULL, NULL);
    printf("larger policies, one evaluation\n");
    for (size_t i = 0; i < bench_larger_count; i++) {
        struct subject s;
        if (!subject_open(&s, bench_larger[i].text, "data.bench.r")) continue;
        s.in.input = input;
        double us = best_us(evaluate, &s);
        if (!s.result.value) wrong(bench_larger[i].name, s.result.error_text);
        printf("  %-28s %9.2f us %8llu steps %7.1f KiB\n", bench_larger[i].name, us, (unsigned long long) s.result.steps,
               (double) rego_run_bytes(s.run) / 1024);
        subject_close(&s);
    }
}

int main(int argc, char **argv)
{
    struct arena *a = arena_new(ARENA);
    if (argc != 2 || !a) {
        fprintf(stderr, "usage: bench_policy VECTORS\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_stock(a, argv[1]);
    bench_rules(a);
    bench_compiling(a);
    bench_hostile(a);
    bench_larger_policies(a);
    printf("policy: %u measures, %u over their bound\n", tally.measures, tally.over);
    arena_free(a);
    return tally.wrong ? 1 : 0;
}
