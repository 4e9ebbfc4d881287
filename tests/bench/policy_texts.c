#include "tests/bench/policy_texts.h"

#include "policy/text.h"

#include <stdlib.h>

#define P "package policy\n"
#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

const struct shape bench_shapes[] = {
    { "rules by path", P "default allow = false\n",
      "allow if { data[\"resource-path\"] == [\"a\", \"b\", \"c#\"]; input.submods.cpu0[\"ear.status\"] == \"affirming\" }\n", "" },
    { "named rules", P, "r# if { input.a# == \"x\"; input.b > # }\n", "" },
    { "chain of rules", P "r0 := 1\n", "r@ := r# + 1\n", "" },
    { "functions", P, "f#(x) := y if { y := x + #; y > 2 }\n", "" },
    { "bodies of a function", P, "f(x) := y if { x == #; y := x + # }\n", "" },
    { "long body", P "allow if {\n", "x# := input.a#\nx# > 1\n", "}\n" },
    { "long body backwards", P "allow if {\nx0 > 0\n", "x# = x@ + input.a\n", "x# = input.y }\n" },
    { "loops in a body", P "allow if {\n", "some x# in input.a\nx# > 1\n", "}\n" },
    { "unused variables", P "allow if {\n", "some x# in input.a\n", "}\n" },
    { "closures in a body", P "allow if {\n", "count([x | some x in input.a; x > #]) > 0\n", "}\n" },
    { "replacements", P "q := input\nallow if {\n", "q == # with input as #\n", "}\n" },
    { "else branches", P "p := 1 if input.x\n", "else := # if input.a == #\n", "" },
    { "object literal", P "o := {", "\"key#\": [#, \"value\"],\n", "}\n" },
    { "array pattern", P "allow if { [", "x#, ", "1] = input }\n" },
    { "deep nesting", P, "p# := [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[#]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n", "" },
    { "partial object", P, "o[\"k#\"] := #\n", "" },
    { "general heads", P, "a.b#[x].c contains y if { some x, y in input.a# }\n", "" },
    { "dynamic references", P, "p# if { some x; data.policy.q[x] == # }\nq[#] := #\n", "" },
    { "patterns", P, "p# if regex.match(\"^[a-z]+#$\", input.a)\n", "" },
    { "template strings", P, "t# := $\"a {input.x} b {input.y#}\"\n", "" },
    { "imports", P, "import data.lib# as l#\n", "allow := 1\n" },
};
const size_t bench_shape_count = COUNT(bench_shapes);

#define ALLOW P "default allow = false\n"

const struct shape bench_keyed[] = {
    { "path == [...]", ALLOW, "allow if { data[\"resource-path\"] == [\"a\", \"b\", \"c#\"]; input.ok }\n", "" },
    { "[...] == path", ALLOW, "allow if { [\"a\", \"b\", \"c#\"] == data[\"resource-path\"]; input.ok }\n", "" },
    { "path = [..., _]", ALLOW, "allow if { data[\"resource-path\"] = [\"a\", _, \"c#\"]; input.ok }\n", "" },
    { "path[i] == ...", ALLOW, "allow if { data[\"resource-path\"][0] == \"a\"; data[\"resource-path\"][2] == \"c#\"; input.ok }\n", "" },
    { "p := path; p[i] == ...", ALLOW, "allow if { p := data[\"resource-path\"]; p[2] == \"c#\"; input.ok }\n", "" },
    { "concat(path) == ...", ALLOW, "allow if { concat(\"/\", data[\"resource-path\"]) == \"a/b/c#\"; input.ok }\n", "" },
    { "input.x == ...", ALLOW, "allow if { input.x == \"c#\"; input.ok }\n", "" },
    { "input.x in {...}", ALLOW, "allow if { input.x in {\"c#\", \"d#\"}; input.ok }\n", "" },
    { "f(x), x == ...", ALLOW "allow if f(input.x)\n", "f(x) if { x == \"c#\"; input.ok }\n", "" },
    { "f(constant)", ALLOW "allow if f(input.x)\n", "f(\"c#\") if input.ok\n", "" },
    { "partial set", ALLOW "allow if count(s) == 1\n", "s contains \"x#\" if { input.x == \"c#\"; input.ok }\n", "" },
    { "partial object", ALLOW "allow if count(o) == 1\n", "o[input.x] := # if { input.x == \"c#\"; input.ok }\n", "" },
    { "with input", ALLOW "allow if keyed with input.x as concat(\"\", [\"c\", input.n])\n", "keyed if { input.x == \"c#\"; input.ok }\n", "" },
};
const size_t bench_keyed_count = COUNT(bench_keyed);

#define B "package bench\n"

const struct larger bench_larger[] = {
    { "comprehension", B "r := count([y | some x in input.numbers; x % 3 == 0; y := x * x])" },
    { "every", B "r if { every x in input.numbers { x >= 0; x < 2000 } }" },
    { "sets of 1,000", B "a := {x | some x in input.numbers}\nb := {y | some x in input.numbers; y := x + 500}\n"
                       "r := [count(a & b), count(a | b), count(a - b), 777 in a]" },
    { "regular expression", B "r := count([x | some x in input.names; regex.match(`^user-[0-9]+s$`, x)])" },
    { "string building", B "r := count([s | some x in input.names; s := concat(\"/\", [upper(x), trim_suffix(x, \"s\"), "
                         "replace(x, \"e\", \"3\")]); startswith(s, \"U\")])" },
    { "sprintf", B "r := count([s | some x in input.numbers; s := sprintf(\"%s/%d/%v\", [\"repo\", x, [x, \"a\"]])])" },
    { "nested loops", B "r := count([1 | some x in input.numbers; x < 100; some y in input.numbers; y < 100; x + y == 100])" },
    { "object.get, keys", B "r := sum([object.get(input.object, k, 0) | some k in object.keys(input.object)])" },
    { "walk", B "r := count([p | walk(input, [p, v]); is_number(v)])" },
    { "sort", B "r := sort([x | some y in input.numbers; x := (y * 7919) % 1009])[0]" },
    { "partial rules", B "q contains x if { some x in input.numbers; x % 2 == 0 }\no[k] := v if { some v, k in input.names }\n"
                       "r := [count(q), count(o)]" },
    { "functions", B "f(x) := 1 if x < 500\nf(x) := 2 if x >= 500\nr := sum([f(x) | some x in input.numbers])" },
};
const size_t bench_larger_count = COUNT(bench_larger);

/* ---- writing ---- */

static void add_part(struct text *t, const char *part, size_t number)
{
    for (const char *p = part; *p; p++) {
        if (*p == '#' || *p == '@') text_addf(t, "%zu", number + (*p == '@'));
        else text_add_char(t, *p);
    }
}

static const char *finish(struct text *t)
{
    const char *text = text_end(t);
    if (!text) abort();
    return text;
}

const char *bench_text_of_size(struct arena *a, const struct shape *s, size_t bytes)
{
    struct text t;
    text_init(&t, a);
    text_add_string(&t, s->head);
    size_t tail = strlen(s->tail) + 20, before = t.len, parts = 0;
    for (;; parts++) {
        before = t.len;
        add_part(&t, s->part, parts);
        if (t.len + tail > bytes) break;
    }
    t.len = before; /* the last one was too much */
    add_part(&t, s->tail, parts);
    return finish(&t);
}

const char *bench_text_of_parts(struct arena *a, const struct shape *s, size_t parts)
{
    struct text t;
    text_init(&t, a);
    text_add_string(&t, s->head);
    for (size_t i = 0; i < parts; i++) add_part(&t, s->part, i);
    add_part(&t, s->tail, parts);
    return finish(&t);
}

const char *bench_document(struct arena *a)
{
    struct text t;
    text_init(&t, a);
    text_add_string(&t, "{\"numbers\": [0");
    for (int i = 1; i < 1000; i++) text_addf(&t, ", %d", i);
    text_add_string(&t, "], \"names\": [\"user-0s\"");
    for (int i = 1; i < 500; i++) text_addf(&t, ", \"user-%ds\"", i);
    text_add_string(&t, "], \"object\": {\"key-0\": 0");
    for (int i = 1; i < 200; i++) text_addf(&t, ", \"key-%d\": %d", i, i);
    text_add_string(&t, "}}");
    return finish(&t);
}
