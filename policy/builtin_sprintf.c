/* sprintf with Go's verbs, flags and complaints (fmt), and what print and template strings show.
 * OPA hands over numbers as int, big integer or float64, strings as they are, and everything else
 * as the text of its value: so %t of true is "%!t(string=true)". */
#include "policy/builtin.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* fmt's own ceiling for width and precision. */
#define WIDTH_MAX 1000000

struct spec {
    bool minus, plus, sharp, space, zero;
    bool has_width, has_precision;
    int width, precision;
};

enum arg_kind { ARG_IS_INT, ARG_IS_BIG, ARG_IS_FLOAT, ARG_IS_TEXT };
static const char *const ARG_TYPES[] = { "int", "*big.Int", "float64", "string" };

struct arg {
    enum arg_kind kind;
    int64_t i;
    double f;
    const struct value *source;
    const char *text; /* of BIG and TEXT */
    size_t len;
};

struct format {
    struct builtin_call *call;
    struct text out;
    const char *at, *end;
    const struct value *args;
    size_t next;          /* index of the next argument */
    bool reordered;       /* an explicit [n] was used: no complaint about arguments left over */
    bool good_index;      /* the last [n] was in range */
    struct spec spec;
};

/* ---- arguments ---- */

static bool take_arg(struct format *f, const struct value *v, struct arg *ret)
{
    *ret = (struct arg) { .kind = ARG_IS_TEXT, .source = v };
    if (v->kind == VALUE_STRING) {
        ret->text = v->string;
        ret->len = v->count;
        return true;
    }
    if (v->kind == VALUE_NUMBER) {
        char buf[NUM_BUF];
        size_t len = 0;
        const char *text = num_text(v->number, buf, &len);
        ret->text = arena_copy(f->call->arena, text, len);
        ret->len = len;
        bool whole = !memchr(text, '.', len) && !memchr(text, 'e', len) && !memchr(text, 'E', len);
        if (num_is_int(v->number)) ret->kind = ARG_IS_INT;
        else if (whole) ret->kind = ARG_IS_BIG;
        else if (isfinite(ret->f = num_to_double(v->number))) ret->kind = ARG_IS_FLOAT;
        return ret->text && (ret->kind != ARG_IS_INT || num_to_i64(v->number, &ret->i));
    }
    struct text t;
    text_init(&t, f->call->arena);
    value_print(&t, v);
    ret->len = t.len;
    return (ret->text = text_end(&t)) != NULL;
}

/* ---- output ---- */

static void add_repeated(struct format *f, char c, size_t count)
{
    char run[64];
    memset(run, c, sizeof run);
    for (; count > 0 && !f->out.failed; count -= count < sizeof run ? count : sizeof run)
        text_add(&f->out, run, count < sizeof run ? count : sizeof run);
}

/* Padding counts code points. */
static void add_padded(struct format *f, const char *s, size_t len, bool zeros)
{
    size_t width = f->spec.has_width ? (size_t) f->spec.width : 0, have = utf8_count(s, len);
    size_t pad = width > have ? width - have : 0;
    if (!builtin_spend(f->call, pad / 16)) return arena_fail(f->call->arena);
    if (!f->spec.minus) add_repeated(f, zeros ? '0' : ' ', pad);
    text_add(&f->out, s, len);
    if (f->spec.minus) add_repeated(f, ' ', pad);
}

/* ---- integers ---- */

/* Digits of a magnitude in a base, most significant first; returns where they begin. */
static char *digits_of(uint64_t magnitude, unsigned base, bool upper, char buf[65], size_t *ret_len)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char *at = buf + 64;
    do *--at = digits[magnitude % base];
    while (magnitude /= base);
    *ret_len = (size_t) (buf + 64 - at);
    return at;
}

static const char *base_prefix(unsigned base, bool upper, bool octal_0o, bool sharp)
{
    if (octal_0o) return "0o";
    if (!sharp) return "";
    return base == 2 ? "0b" : base == 8 ? "0" : base == 16 ? (upper ? "0X" : "0x") : "";
}

/* Sign, prefix, zeros up to the precision (or up to the width with flag 0), digits. */
static void add_integer(struct format *f, bool negative, const char *digits, size_t len, const char *prefix)
{
    struct text t;
    text_init(&t, f->call->arena);
    const char *sign = negative ? "-" : f->spec.plus ? "+" : f->spec.space ? " " : "";
    size_t precision = f->spec.has_precision ? (size_t) f->spec.precision : 0;
    if (f->spec.has_precision && precision == 0 && len == 1 && digits[0] == '0') return add_padded(f, "", 0, false);
    if (f->spec.zero && !f->spec.minus && f->spec.has_width && !f->spec.has_precision) {
        precision = (size_t) f->spec.width;
        if (*sign && precision > 0) precision--;
    }
    size_t zeros = precision > len ? precision - len : 0;
    if (!builtin_spend(f->call, zeros / 16)) return arena_fail(f->call->arena);
    text_add_string(&t, sign);
    text_add_string(&t, prefix[0] == '0' && !prefix[1] && (zeros || digits[0] == '0') ? "" : prefix);
    for (size_t i = 0; i < zeros && !t.failed; i++) text_add_char(&t, '0');
    text_add(&t, digits, len);
    if (text_end(&t)) add_padded(f, t.data, t.len, false);
    else f->out.failed = true;
}

static void add_quoted_rune(struct format *f, uint32_t rune)
{
    struct text t;
    text_init(&t, f->call->arena);
    text_add_char(&t, '\'');
    if (rune == '\'' || rune == '\\') text_add_char(&t, '\\');
    text_add_rune(&t, rune);
    text_add_char(&t, '\'');
    if (text_end(&t)) add_padded(f, t.data, t.len, f->spec.zero);
}

static bool format_int(struct format *f, uint32_t verb, const struct arg *a)
{
    char buf[65];
    size_t len = 0;
    uint64_t magnitude = a->i < 0 ? -(uint64_t) a->i : (uint64_t) a->i;
    unsigned base = verb == 'b' ? 2 : verb == 'o' || verb == 'O' ? 8 : verb == 'x' || verb == 'X' ? 16 : 10;
    uint32_t rune = a->i < 0 || a->i > 0x10ffff ? 0xfffd : (uint32_t) a->i;
    char utf8[4];
    switch (verb) {
    case 'c': add_padded(f, utf8, utf8_encode(rune, utf8), f->spec.zero); return true;
    case 'q': add_quoted_rune(f, rune); return true;
    case 'U': {
        char hex[32];
        int n = snprintf(hex, sizeof hex, "U+%04" PRIX64, magnitude);
        if (f->spec.sharp && rune >= 0x20) /* the character itself behind it */
            n += snprintf(hex + n, sizeof hex - (size_t) n, " '%.*s'", (int) utf8_encode(rune, utf8), utf8);
        add_padded(f, hex, (size_t) n, false);
        return true;
    }
    case 'v': case 'd': case 'b': case 'o': case 'O': case 'x': case 'X': {
        const char *digits = digits_of(magnitude, base, verb == 'X', buf, &len);
        add_integer(f, a->i < 0, digits, len, base_prefix(base, verb == 'X', verb == 'O', f->spec.sharp));
        return true;
    }
    default: return false;
    }
}

/* The sum with nothing is written without an exponent. */
static char *decimal_digits(struct builtin_call *call, struct num n, size_t *ret_len)
{
    char buf[NUM_BUF];
    struct num plain;
    if (num_add(call->arena, n, num_of(0), &plain) != NUM_OK) return NULL;
    const char *text = num_text(plain, buf, ret_len);
    bool negative = text[0] == '-';
    *ret_len -= negative;
    return arena_copy(call->arena, text + negative, *ret_len);
}

/* Digits of an integer of any width; base 2, 8, 10 or 16. NULL without memory or steps. */
static char *big_digits(struct builtin_call *call, struct num n, unsigned base, bool upper, size_t *ret_len)
{
    char buf[NUM_BUF];
    size_t decimal = 0;
    num_text(n, buf, &decimal);
    if (!builtin_spend(call, decimal + (uint64_t) decimal * decimal / 1000)) return NULL;
    if (base == 10) return decimal_digits(call, n, ret_len);
    char *out = num_digits(call->arena, n, base == 2 ? 1 : base == 8 ? 3 : 4, ret_len);
    for (char *c = out; c && upper && *c; c++)
        if (*c >= 'a') *c = (char) (*c - 'a' + 'A');
    return out;
}

static bool format_big(struct format *f, uint32_t verb, const struct arg *a)
{
    if (verb >= 0x80 || !strchr("bodxXsvO", (int) verb)) return false;
    unsigned base = verb == 'b' ? 2 : verb == 'o' || verb == 'O' ? 8 : verb == 'x' || verb == 'X' ? 16 : 10;
    bool negative = a->text[0] == '-';
    size_t len = a->len - negative;
    const char *digits = base == 10 ? a->text + negative
                                    : big_digits(f->call, a->source->number, base, verb == 'X', &len);
    if (digits) add_integer(f, negative, digits, len, base_prefix(base, verb == 'X', verb == 'O', f->spec.sharp));
    else f->out.failed = true;
    return true;
}

/* ---- floats ---- */

/* %v and %g without precision: as many digits as it takes to read the same number back, in exponent
 * form below 10^-4 and from 10^6 on. */
static int shortest_general(char *out, size_t size, double d, bool upper)
{
    int n = 0;
    for (int digits = 1; digits <= 17; digits++) {
        n = snprintf(out, size, "%.*e", digits - 1, d);
        if (strtod(out, NULL) != d) continue;
        const char *e = strchr(out, 'e');
        long exponent = e ? strtol(e + 1, NULL, 10) : 0;
        if (exponent < -4 || exponent >= 6) break;
        int decimals = digits - 1 - (int) exponent;
        n = snprintf(out, size, "%.*f", decimals > 0 ? decimals : 0, d);
        break;
    }
    for (char *at = out; upper && *at; at++)
        if (*at == 'e') *at = 'E';
    return n;
}

/* Writes the magnitude; returns its length. */
static int write_float(char *out, size_t size, const struct spec *spec, uint32_t verb, double d)
{
    if (!spec->has_precision && strchr("vgG", (int) verb)) return shortest_general(out, size, d, verb == 'G');
    int precision = spec->has_precision ? spec->precision : 6;
    switch (verb) {
    case 'f': case 'F': return snprintf(out, size, "%.*f", precision, d);
    case 'e': return snprintf(out, size, "%.*e", precision, d);
    case 'E': return snprintf(out, size, "%.*E", precision, d);
    case 'G': return snprintf(out, size, "%.*G", precision, d);
    default: return snprintf(out, size, "%.*g", precision, d);
    }
}

static bool format_float(struct format *f, uint32_t verb, const struct arg *a)
{
    if (verb >= 0x80 || !strchr("vgGfFeE", (int) verb)) return false;
    size_t size = 512 + (f->spec.has_precision ? (size_t) f->spec.precision : 0);
    char *out = arena_alloc(f->call->arena, size);
    if (!out || !builtin_spend(f->call, size / 8)) return f->out.failed = true;
    const char *sign = signbit(a->f) ? "-" : f->spec.plus ? "+" : f->spec.space ? " " : "";
    size_t len = strlen(sign);
    memcpy(out, sign, len);
    write_float(out + len, size - len, &f->spec, verb, fabs(a->f));
    bool zeros = f->spec.zero && !f->spec.minus && f->spec.has_width;
    if (zeros && len > 0) { /* the sign stands before the zeros */
        text_add(&f->out, out, len);
        if (f->spec.width > 0) f->spec.width--;
        add_padded(f, out + len, strlen(out + len), true);
    } else {
        add_padded(f, out, strlen(out), zeros);
    }
    return true;
}

/* In a complaint: "int=1". A float is written as %v does, not as the policy spells it. */
static void add_named(struct format *f, const struct arg *a)
{
    text_addf(&f->out, "%s=", ARG_TYPES[a->kind]);
    f->spec = (struct spec) { 0 };
    if (a->kind == ARG_IS_FLOAT) format_float(f, 'v', a);
    else text_add(&f->out, a->text, a->len);
}

static void bad_verb(struct format *f, uint32_t verb, const struct arg *a)
{
    text_add_string(&f->out, "%!");
    text_add_rune(&f->out, verb);
    text_add_char(&f->out, '(');
    add_named(f, a);
    text_add_char(&f->out, ')');
}

/* ---- strings ---- */

static void add_hex(struct format *f, const char *s, size_t len, bool upper)
{
    struct text t;
    text_init(&t, f->call->arena);
    size_t count = f->spec.has_precision && (size_t) f->spec.precision < len ? (size_t) f->spec.precision : len;
    for (size_t i = 0; i < count && !t.failed; i++) {
        if (f->spec.space && i > 0) text_add_char(&t, ' ');
        if (f->spec.sharp && (f->spec.space || i == 0)) text_add_string(&t, upper ? "0X" : "0x");
        text_add_hex(&t, (unsigned char) s[i], upper);
    }
    if (text_end(&t)) add_padded(f, t.data, t.len, f->spec.zero && !f->spec.minus);
    else f->out.failed = true;
}

/* Go's strconv.Quote; raw: between back quotes when the text allows it (%#q). */
static void quote(struct text *t, const char *s, size_t len, bool raw, bool ascii)
{
    if (raw && !memchr(s, '`', len) && !memchr(s, '\n', len)) {
        text_add_char(t, '`');
        text_add(t, s, len);
        return text_add_char(t, '`');
    }
    static const char ESCAPES[] = "\aa\bb\ff\nn\rr\tt\vv\"\"\\\\";
    text_add_char(t, '"');
    for (const char *at = s, *end = s + len; at < end && !t->failed;) {
        uint32_t rune = 0;
        size_t n = utf8_decode(at, end, &rune);
        const char *escape = NULL;
        for (const char *e = ESCAPES; *e && !escape; e += 2)
            if ((uint32_t) *e == rune) escape = e;
        if (escape) text_addf(t, "\\%c", escape[1]);
        else if (rune == 0xfffd && n == 1) text_addf(t, "\\x%02x", (unsigned char) *at);
        else if (rune < ' ' || rune == 0x7f) text_addf(t, "\\x%02x", rune);
        else if (rune >= 0x80 && (ascii || rune < 0xa0)) text_addf(t, rune > 0xffff ? "\\U%08x" : "\\u%04x", rune);
        else text_add(t, at, n);
        at += n;
    }
    text_add_char(t, '"');
}

static bool format_string(struct format *f, uint32_t verb, const struct arg *a)
{
    if (verb == 'x' || verb == 'X') {
        add_hex(f, a->text, a->len, verb == 'X');
        return true;
    }
    if (verb != 'v' && verb != 's' && verb != 'q') return false;
    size_t len = a->len;
    if (f->spec.has_precision) { /* truncates, in code points */
        const char *at = a->text, *end = at + a->len;
        uint32_t rune = 0;
        for (int i = 0; i < f->spec.precision && at < end; i++) at += utf8_decode(at, end, &rune);
        len = (size_t) (at - a->text);
    }
    if (verb == 'q' || (verb == 'v' && f->spec.sharp)) {
        struct text t;
        text_init(&t, f->call->arena);
        if (!builtin_spend(f->call, len / 8)) return f->out.failed = true;
        quote(&t, a->text, len, f->spec.sharp && verb == 'q', f->spec.plus);
        if (text_end(&t)) add_padded(f, t.data, t.len, f->spec.zero && !f->spec.minus);
        return true;
    }
    add_padded(f, a->text, len, f->spec.zero && !f->spec.minus);
    return true;
}

/* ---- the format ---- */

static void read_flags(struct format *f)
{
    f->spec = (struct spec) { 0 };
    for (; f->at < f->end; f->at++)
        switch (*f->at) {
        case '#': f->spec.sharp = true; break;
        case '0': f->spec.zero = !f->spec.minus; break;
        case '+': f->spec.plus = true; break;
        case '-': f->spec.minus = true; f->spec.zero = false; break;
        case ' ': f->spec.space = true; break;
        default: return;
        }
}

static bool read_number(struct format *f, int *ret)
{
    int n = 0;
    const char *from = f->at;
    for (; f->at < f->end && *f->at >= '0' && *f->at <= '9'; f->at++) {
        n = n * 10 + (*f->at - '0');
        if (n > WIDTH_MAX) n = WIDTH_MAX + 1;
    }
    *ret = n > WIDTH_MAX ? 0 : n;
    return f->at > from && n <= WIDTH_MAX;
}

/* [n]: the next argument is the n-th, from 1. True when one was there. */
static bool read_index(struct format *f)
{
    if (f->at == f->end || *f->at != '[') return false;
    f->reordered = true;
    const char *close = memchr(f->at, ']', (size_t) (f->end - f->at));
    if (!close) {
        f->good_index = false;
        f->at++;
        return false;
    }
    int n = 0;
    f->at++;
    bool number = read_number(f, &n) && f->at == close;
    f->at = close + 1;
    if (number && n >= 1 && (size_t) n <= f->args->count) f->next = (size_t) n - 1;
    else f->good_index = false;
    return true;
}

/* The argument of a `*`. */
static bool star(struct format *f, int *ret)
{
    int64_t n = 0;
    f->at++;
    if (f->next >= f->args->count) return false;
    const struct value *v = f->args->items[f->next++];
    if (v->kind != VALUE_NUMBER || !num_is_int(v->number) || !num_to_i64(v->number, &n)) return false;
    if (n < -WIDTH_MAX || n > WIDTH_MAX) return false;
    *ret = (int) n;
    return true;
}

static void read_width(struct format *f, bool *after_index)
{
    if (f->at < f->end && *f->at == '*') {
        f->spec.has_width = star(f, &f->spec.width);
        if (!f->spec.has_width) text_add_string(&f->out, "%!(BADWIDTH)");
        if (f->spec.width < 0) {
            f->spec.width = -f->spec.width;
            f->spec.minus = true;
            f->spec.zero = false;
        }
        *after_index = false;
        return;
    }
    const char *from = f->at;
    f->spec.has_width = read_number(f, &f->spec.width);
    if (*after_index && f->at > from) f->good_index = false; /* "%[3]2d" */
}

static void read_precision(struct format *f, bool *after_index)
{
    if (f->at == f->end || *f->at != '.') return;
    f->at++;
    if (*after_index) f->good_index = false; /* "%[3].2d" */
    *after_index = read_index(f);
    if (f->at < f->end && *f->at == '*') {
        f->spec.has_precision = star(f, &f->spec.precision);
        if (f->spec.precision < 0) f->spec.has_precision = false;
        if (!f->spec.has_precision) {
            f->spec.precision = 0;
            text_add_string(&f->out, "%!(BADPREC)");
        }
        *after_index = false;
        return;
    }
    if (!read_number(f, &f->spec.precision)) f->spec.precision = 0;
    f->spec.has_precision = true;
}

static void complain(struct format *f, uint32_t verb, const char *what)
{
    text_add_string(&f->out, "%!");
    text_add_rune(&f->out, verb);
    text_add_string(&f->out, what);
}

static void apply(struct format *f, uint32_t verb)
{
    struct arg a = { 0 };
    if (!take_arg(f, f->args->items[f->next++], &a)) {
        f->out.failed = true;
        return;
    }
    static bool (*const FORMATS[])(struct format *, uint32_t, const struct arg *) = {
        [ARG_IS_INT] = format_int, [ARG_IS_BIG] = format_big,
        [ARG_IS_FLOAT] = format_float, [ARG_IS_TEXT] = format_string,
    };
    if (verb == 'T') add_padded(f, ARG_TYPES[a.kind], strlen(ARG_TYPES[a.kind]), false);
    else if (!FORMATS[a.kind](f, verb, &a)) bad_verb(f, verb, &a);
}

/* One directive; `at` stands behind its %. */
static void directive(struct format *f)
{
    f->good_index = true;
    read_flags(f);
    bool after_index = read_index(f);
    read_width(f, &after_index);
    read_precision(f, &after_index);
    if (!after_index) read_index(f);
    if (f->at == f->end) return text_add_string(&f->out, "%!(NOVERB)");
    uint32_t verb = 0;
    f->at += utf8_decode(f->at, f->end, &verb);
    if (verb == '%') return text_add_char(&f->out, '%');
    if (!f->good_index) return complain(f, verb, "(BADINDEX)");
    if (f->next >= f->args->count) return complain(f, verb, "(MISSING)");
    apply(f, verb);
}

/* Arguments that no directive took. */
static void extra(struct format *f)
{
    text_add_string(&f->out, "%!(EXTRA ");
    for (bool first = true; f->next < f->args->count && !f->out.failed; first = false) {
        struct arg a = { 0 };
        if (!take_arg(f, f->args->items[f->next++], &a)) break;
        if (!first) text_add_string(&f->out, ", ");
        add_named(f, &a);
    }
    text_add_char(&f->out, ')');
}

const struct value *builtin_sprintf(struct builtin_call *call, const struct value *const *args)
{
    struct format f = {
        .call = call, .at = args[0]->string, .end = args[0]->string + args[0]->count, .args = args[1],
    };
    text_init(&f.out, call->arena);
    if (!builtin_spend(call, args[0]->count / 16 + args[1]->count)) return NULL;
    while (f.at < f.end && !f.out.failed) {
        const char *percent = memchr(f.at, '%', (size_t) (f.end - f.at));
        text_add(&f.out, f.at, (size_t) ((percent ? percent : f.end) - f.at));
        f.at = percent ? percent + 1 : f.end;
        if (percent) directive(&f);
    }
    if (!f.reordered && f.next < args[1]->count) extra(&f);
    return builtin_text_end(call, &f.out);
}

/* ---- format_int ---- */

const struct value *builtin_format_int(struct builtin_call *call, const struct value *const *args)
{
    int64_t base = 0, small = 0;
    /* As it is written: 2.0 is no base in OPA. */
    if (!num_is_int(args[1]->number) || !num_to_i64(args[1]->number, &base) || (base != 2 && base != 8 && base != 10 && base != 16))
        return builtin_fail_operand(call, 2, "must be one of {2, 8, 10, 16}");
    struct num n = args[0]->number;
    enum num_status s = num_sign(n) < 0 ? num_ceil(call->arena, n, &n) : num_floor(call->arena, n, &n);
    if (s != NUM_OK) return builtin_number_problem(call, s);
    char buf[65];
    size_t len = 0;
    const char *digits = num_to_i64(n, &small)
        ? digits_of(small < 0 ? -(uint64_t) small : (uint64_t) small, (unsigned) base, false, buf, &len)
        : big_digits(call, n, (unsigned) base, false, &len);
    if (!digits) return builtin_halt(call);
    struct text t;
    text_init(&t, call->arena);
    if (num_sign(n) < 0) text_add_char(&t, '-');
    text_add(&t, digits, len);
    return builtin_text_end(call, &t);
}
