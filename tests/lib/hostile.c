#include "tests/lib/hostile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define P "package h\n"
#define R "r := numbers.range(1, 1000)\n"

const struct hostile hostile_policies[] = {
    /* ---- nesting: the compiler's recursion ---- */
    { .name = "deep arrays", .head = P "p := ", .part = "[", .times = 100000, .close = "]", .end = HOSTILE_REFUSED },
    { .name = "deep objects", .head = P "p := ", .part = "{\"a\":", .times = 40000, .middle = "1", .close = "}", .end = HOSTILE_REFUSED },
    { .name = "deep parentheses", .head = P "p := ", .part = "(", .times = 100000, .middle = "1", .close = ")", .end = HOSTILE_REFUSED },
    { .name = "deep comprehensions", .head = P "p := ", .part = "[x | x := ", .times = 20000, .middle = "1", .close = "]", .end = HOSTILE_REFUSED },
    { .name = "deep calls", .head = P "p := ", .part = "abs(", .times = 40000, .middle = "1", .close = ")", .end = HOSTILE_REFUSED },
    { .name = "deep every", .head = P "p if {", .part = "every x# in [1] {", .times = 10000, .middle = "true", .close = "}", .tail = "}", .end = HOSTILE_REFUSED },
    { .name = "deep references", .head = P "p := input", .part = "[input", .times = 30000, .close = "]", .end = HOSTILE_REFUSED },
    { .name = "minus signs", .head = P "p := ", .part = "- ", .times = 100000, .middle = "1", .end = HOSTILE_REFUSED },
    { .name = "long sum", .head = P "p := 1", .part = " + 1", .times = 60000, .end = HOSTILE_REFUSED },
    { .name = "long union", .head = P "p := {1}", .part = " | {#}", .times = 30000, .end = HOSTILE_REFUSED },
    { .name = "long else", .head = P "p := 1 if input.a", .part = " else := # if input.a", .times = 10000, .input = "{}", .end = HOSTILE_FINE },
    { .name = "long reference", .head = P "p := input", .part = ".a", .times = 100000, .input = "{}", .end = HOSTILE_FINE },
    { .name = "deep packages", .head = "package h", .part = ".a", .times = 100000, .middle = "\nq := 1", .end = HOSTILE_REFUSED },
    { .name = "circle of rules", .head = P "p := r0\n", .part = "r# := r@\n", .times = 10000, .tail = "r10000 := r0\n", .end = HOSTILE_REFUSED },
    { .name = "unsafe variables", .head = P "p if {\n", .part = "x# == y#\n", .times = 10000, .tail = "}\n", .end = HOSTILE_REFUSED },
    { .name = "variables backwards", .head = P "p if {\n", .part = "x# = x@ + 1\n", .times = 8000, .tail = "x8000 = 1\n}\n", .end = HOSTILE_FINE },
    { .name = "giant exponent", .head = P "p := 1e999999999999", .end = HOSTILE_REFUSED },
    { .name = "giant literal", .head = P "p := ", .part = "9", .times = 200000, .end = HOSTILE_REFUSED },

    /* ---- depth at run time ---- */
    { .name = "chain of rules", .head = P "p := r0\n", .part = "r# := r@\n", .times = 8000, .tail = "r8000 := 1\n", .end = HOSTILE_LIMIT },
    { .name = "chain of functions", .head = P "p := f0(1)\n", .part = "f#(x) := f@(x)\n", .times = 5000, .tail = "f5000(x) := x\n", .end = HOSTILE_LIMIT },

    /* ---- steps ---- */
    { .name = "loop of 10^9", .head = P R "p if { some a in r; some b in r; some c in r; a + b + c == 4000 }", .end = HOSTILE_LIMIT },
    { .name = "loop without work", .head = P R "p if { some a in r; some b in r; some c in r; false }", .end = HOSTILE_LIMIT },
    { .name = "loop over an object", .head = P R "o := {x: x | some x in r}\np if { some a, _ in o; some b, _ in o; some c, _ in o; a == 5000 }", .end = HOSTILE_LIMIT },
    { .name = "loop of not", .head = P R "p if { some a in r; some b in r; some c in r; not a == 1000; a < 0 }", .end = HOSTILE_LIMIT },
    { .name = "every in every", .head = P R "p if { every a in r { every b in r { every c in r { a + b + c > 0 } } } }", .end = HOSTILE_LIMIT },
    { .name = "calls", .head = P R "f(x) := x + 1\np if { some a in r; some b in r; some c in r; f(a) == f(b) + 5000 }", .end = HOSTILE_LIMIT },
    { .name = "exponential calls", .head = P "p := f0(1)\n", .part = "f#(x) := f@(x) + f@(x + 1)\n", .times = 60, .tail = "f60(x) := x\n", .end = HOSTILE_LIMIT },
    { .name = "exponential comprehensions", .head = P "p := count(", .part = "[x | some i in [1, 2, 3]; x := ", .times = 60, .middle = "1", .close = "]", .tail = ")", .end = HOSTILE_LIMIT },
    { .name = "cross product", .head = P R "p := {[a, b, c] | some a in r; some b in r; some c in r}", .end = HOSTILE_LIMIT },
    { .name = "cross product of an object", .head = P R "p := {k: 1 | some a in r; some b in r; k := [a, b]}", .end = HOSTILE_LIMIT },
    { .name = "partial set", .head = P R "p contains x if { some a in r; some b in r; x := a * 1000 + b }", .end = HOSTILE_LIMIT },
    { .name = "partial object", .head = P R "p[a][b] := 1 if { some a in r; some b in r }", .end = HOSTILE_LIMIT },
    { .name = "same member again", .head = P R "p := {1 | some a in r; some b in r; some c in r}", .end = HOSTILE_LIMIT },
    { .name = "with in a loop", .head = P R "q := input\np if { some a in r; some b in r; some c in r; q == 5000 with input as a }", .end = HOSTILE_LIMIT },
    { .name = "with over many rules", .head = P R "p if { some a in r; some b in r; some c in r; q0 == 5000 with input as a }\n", .part = "q# := input\n", .times = 5000, .end = HOSTILE_LIMIT },
    { .name = "many rules in a loop", .head = P R "p if { some a in r; some b in r; some c in r; f(a) }\n", .part = "f(x) if { x < 0; x > # }\n", .times = 2000, .end = HOSTILE_LIMIT },
    { .name = "long body in a loop", .head = P R "p if {\nsome a in r; some b in r\n", .part = "a + b > 0 - #\n", .times = 8000, .tail = "a < 0 }\n", .end = HOSTILE_LIMIT },
    { .name = "many bodies in a loop", .head = P R "p if { some a in r; some b in r; f(a + b) }\n", .part = "f(x) if { x == 1 - #; true }\n", .times = 2000, .tail = "f(x) if x < 0\n", .end = HOSTILE_LIMIT },
    { .name = "member of an array", .head = P R "p if { some a in r; some b in r; (a * 1000) + b in r; false }", .end = HOSTILE_LIMIT },
    { .name = "equal strings", .head = P R "s := concat(\"\", [\"x\" | some a in r; some b in numbers.range(1, 100)])\nt := concat(\"\", [s, \"\"])\np if { some a in r; some b in r; s == t; false }", .end = HOSTILE_LIMIT },
    { .name = "equal arrays", .head = P R "q := [[x] | some x in r]\nt := [[x] | some x in r]\np if { some a in r; some b in r; q == t; false }", .end = HOSTILE_LIMIT },
    { .name = "sort in a loop", .head = P R "q := [x | some y in r; x := 1000 - y]\np if { some a in r; some b in r; sort(q) == 1 }", .end = HOSTILE_LIMIT },
    { .name = "sort of long strings", .head = P "s := concat(\"\", [\"x\" | some a in numbers.range(1, 2000)])\nq := [x | some y in numbers.range(1, 1000); x := concat(\"\", [s, format_int(1000 - y, 10)])]\np if { some a in numbers.range(1, 1000); sort(q) == a }", .end = HOSTILE_LIMIT },
    { .name = "print in a loop", .head = P R "p if { some a in r; some b in r; some c in r; print(a, b, c); false }", .end = HOSTILE_LIMIT },

    /* ---- amplifiers ---- */
    { .name = "doubling strings", .head = P "s0 := \"xxxxxxxx\"\n", .part = "s@ := concat(\"\", [s#, s#])\n", .times = 40, .tail = "p := s40\n", .end = HOSTILE_LIMIT },
    { .name = "doubling by sprintf", .head = P "s0 := \"xxxxxxxx\"\n", .part = "s@ := sprintf(\"%s%s\", [s#, s#])\n", .times = 40, .tail = "p := s40\n", .end = HOSTILE_LIMIT },
    { .name = "doubling by replace", .head = P "s0 := \"xx\"\n", .part = "s@ := replace(s#, \"x\", \"xx\")\n", .times = 40, .tail = "p := s40\n", .end = HOSTILE_LIMIT },
    { .name = "doubling arrays", .head = P "s0 := [1]\n", .part = "s@ := array.concat(s#, s#)\n", .times = 40, .tail = "p := s40\n", .end = HOSTILE_LIMIT },
    { .name = "shared arrays", .head = P "s0 := [1]\n", .part = "s@ := [s#, s#]\n", .times = 40, .tail = "p := s40\n", .end = HOSTILE_LIMIT },
    { .name = "marshalling what is shared", .head = P "s0 := [1]\n", .part = "s@ := [s#, s#]\n", .times = 20, .tail = "p := [x | some i in numbers.range(1, 1000); x := json.marshal(s20)]\n", .end = HOSTILE_LIMIT },
    { .name = "template strings", .head = P "s0 := \"xxxxxxxx\"\n", .part = "s@ := $\"{s#}{s#}\"\n", .times = 40, .tail = "p := s40\n", .end = HOSTILE_LIMIT },
    { .name = "giant range", .head = P "p := numbers.range(1, 1000000000)", .end = HOSTILE_LIMIT },
    { .name = "giant range in a loop", .head = P R "p if { some a in r; count(numbers.range(1, 10000)) == a; false }", .end = HOSTILE_LIMIT },
    { .name = "all addresses", .head = P "p := net.cidr_expand(\"0.0.0.0/0\")", .end = HOSTILE_LIMIT },
    { .name = "all paths", .head = P "v := numbers.range(1, 30)\ng := {x: v | some x in v}\np := graph.reachable_paths(g, [1])", .end = HOSTILE_LIMIT },
    { .name = "walk in walk", .head = P R "o := [[x] | some x in r]\np if { walk(o, [a, _]); walk(o, [b, _]); a == [b] }", .end = HOSTILE_LIMIT },
    { .name = "wide sprintf", .head = P R "p if { some a in r; some b in r; count(sprintf(\"%100000d\", [a])) == b; false }", .end = HOSTILE_LIMIT },
    { .name = "shift", .head = P R "p if { some a in r; some b in r; bits.lsh(1, 19000) == a + b }", .end = HOSTILE_LIMIT },
    { .name = "large products", .head = P R "x := bits.lsh(1, 9000)\np if { some a in r; some b in r; x * x == a + b }", .end = HOSTILE_LIMIT },
    { .name = "long products", .head = P R "p if { some a in r; product(numbers.range(1, 5000)) == a }", .end = HOSTILE_LIMIT },
    { .name = "binary digits", .head = P R "x := bits.lsh(1, 19000) + 1\np if { some a in r; some b in r; format_int(x, 2) == sprintf(\"%b%o%x\", [x + a, x + b, x]) }", .end = HOSTILE_LIMIT },
    { .name = "distant exponents", .head = P R "p if { some a in r; some b in r; 1e4900 + 1e-4900 == a + b }", .end = HOSTILE_LIMIT },
    { .name = "wide comparisons", .head = P R "x := bits.lsh(1, 400)\np if { some a in r; some b in r; some c in r; x == 1e3000; a + b + c < 0 }", .end = HOSTILE_LIMIT },
    { .name = "large quotients", .head = P R "x := bits.lsh(1, 19000)\ny := bits.lsh(1, 9000) + 1\np if { some a in r; some b in r; x % y == a + b }", .end = HOSTILE_LIMIT },
    { .name = "unions", .head = P R "s := {x | some x in r}\np if { some a in r; some b in r; count(s | {b}) == a; false }", .end = HOSTILE_LIMIT },
    { .name = "merged objects", .head = P R "o := {format_int(x, 10): x | some x in r}\np if { some a in r; some b in r; count(object.union(o, {\"a\": b})) == a; false }", .end = HOSTILE_LIMIT },
    { .name = "objects with one more", .head = P R "o := {format_int(x, 10): x | some x in r}\nq := input\np if { some a in r; some b in r; q == a with input as o with input.z as b }", .end = HOSTILE_LIMIT },
    { .name = "strings in pieces", .head = P R "s := concat(\"\", [\"x,\" | some a in r])\np if { some a in r; some b in r; count(split(s, \",\")) == a; false }", .end = HOSTILE_LIMIT },
    { .name = "upper case", .head = P R "s := concat(\"\", [\"\u00e4x,\" | some a in r])\np if { some a in r; some b in r; upper(s) == a }", .end = HOSTILE_LIMIT },
    { .name = "text to values", .head = P R "s := json.marshal(r)\np if { some a in r; some b in r; json.unmarshal(s) == a }", .end = HOSTILE_LIMIT },
    { .name = "base64", .head = P R "s := concat(\"\", [\"xyz,\" | some a in r])\np if { some a in r; some b in r; base64.encode(s) == a }", .end = HOSTILE_LIMIT },
    { .name = "patches", .head = P R "o := {format_int(x, 10): x | some x in r}\np if { some a in r; some b in r; count(json.patch(o, [{\"op\": \"add\", \"path\": \"z\", \"value\": b}])) == a; false }", .end = HOSTILE_LIMIT },

    /* ---- patterns ---- */
    { .name = "nested repetition", .head = P R "s := concat(\"\", [\"a\" | some a in r])\np if { some x in r; regex.match(\"^(a+)+$\", concat(\"\", [s, \"b\", format_int(x, 10)])) }", .end = HOSTILE_LIMIT },
    { .name = "alternatives", .head = P R "s := concat(\"\", [\"a\" | some a in r])\np if { some x in r; regex.match(\"^(a|aa|a?)*$\", concat(\"\", [s, \"b\", format_int(x, 10)])) }", .end = HOSTILE_LIMIT },
    { .name = "many stars", .head = P R "s := concat(\"\", [\"a\" | some a in r])\np if { some x in r; regex.match(\".*.*.*.*.*.*=b\", concat(\"\", [s, format_int(x, 10)])) }", .end = HOSTILE_LIMIT },
    { .name = "quadratic search", .head = P "s := concat(\"\", [\"aaaaaaaaaa\" | some a in numbers.range(1, 3000)])\np if { some x in numbers.range(1, 1000); regex.match(\"[a-z]+[0-9]\", concat(\"\", [s, \"-\", format_int(x, 10)])) }", .end = HOSTILE_LIMIT },
    { .name = "cubic search", .head = P R "s := concat(\"\", [\"a\" | some a in r])\np if { some x in r; regex.match(\"a*a*a*[bc]\", concat(\"\", [s, \"-\", format_int(x, 10)])) }", .end = HOSTILE_LIMIT },
    { .name = "all matches", .head = P R "s := concat(\"\", [\"ab\" | some a in r])\np if { some x in r; count(regex.find_all_string_submatch_n(\"(a)|(b.*c)|b\", s, -1)) == x }", .end = HOSTILE_LIMIT },
    { .name = "counted repetition", .head = P R "p if { some x in r; regex.match(sprintf(\"(((a{1,100}){1,100}){1,10})%d\", [x]), \"aaa\") }", .end = HOSTILE_FINE },
    { .name = "new patterns", .head = P R "p if { some x in r; some y in r; regex.match(sprintf(\"^[a-z]+(%d|%d)$\", [x, y]), \"aaa\") }", .end = HOSTILE_LIMIT },
    { .name = "globs", .head = P R "s := concat(\"\", [\"a\" | some a in r])\np if { some x in r; glob.match(\"*a*a*a*a*a*b\", [], concat(\"\", [s, format_int(x, 10)])) }", .end = HOSTILE_LIMIT },
};

const size_t hostile_count = sizeof hostile_policies / sizeof hostile_policies[0];

/* Writes the part with its number; without a buffer it only counts. */
static size_t write_part(char *to, const char *part, unsigned number)
{
    size_t len = 0;
    for (const char *p = part ? part : ""; *p; p++) {
        char digits[16] = { *p, 0 };
        if (*p == '#' || *p == '@') snprintf(digits, sizeof digits, "%u", number + (*p == '@'));
        size_t n = strlen(digits);
        if (to) memcpy(to + len, digits, n);
        len += n;
    }
    return len;
}

static size_t write_all(char *to, const struct hostile *h)
{
    const char *const singles[] = { h->head, h->middle, h->tail }, *const many[] = { h->part, h->close };
    size_t len = 0;
    for (size_t i = 0; i < 3; i++) {
        size_t n = singles[i] ? strlen(singles[i]) : 0;
        if (to && n) memcpy(to + len, singles[i], n);
        len += n;
        for (unsigned k = 0; i < 2 && k < h->times; k++) len += write_part(to ? to + len : NULL, many[i], k);
    }
    return len;
}

char *hostile_text(const struct hostile *h, size_t *ret_len)
{
    *ret_len = write_all(NULL, h);
    char *text = malloc(*ret_len + 1);
    if (!text) abort();
    write_all(text, h);
    text[*ret_len] = 0;
    return text;
}
