/* units.*: amounts such as "10Gi" or "1.5kb". */
#include "policy/builtin.h"
#include "policy/decimal.h"
#include "policy/value.h"

enum { EXPONENT_DIGITS_MAX = 6, UNIT_MAX = 4 };

struct amount {
    char *number; /* as written */
    size_t number_len;
    char unit[UNIT_MAX + 1]; /* cut when longer: no unit is */
    char *rest;              /* the whole unit, for the error */
};

struct unit_words {
    const char *no_amount, *no_number;
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c + 'a' - 'A') : c;
}

static bool is_sign(char c)
{
    return c == '+' || c == '-';
}

/* How much of s is the number: an e begins an exponent only before a digit or sign. Returns false
 * when the exponent has too many digits. s ends with a NUL. */
static bool number_length(const char *s, size_t *ret)
{
    size_t i = 0;

    for (; s[i]; i++) {
        if (lower(s[i]) != 'e') {
            if (!is_digit(s[i]) && s[i] != '.' && !is_sign(s[i])) break;
            continue;
        }
        if (!is_digit(s[i + 1]) && !is_sign(s[i + 1])) break;
        size_t digits = 0;
        i += is_sign(s[i + 1]);
        while (is_digit(s[i + 1 + digits])) digits++;
        if (digits > EXPONENT_DIGITS_MAX) return false;
    }
    *ret = i;
    return true;
}

/* For the error: OPA shows what it compared with. */
static const struct value *unknown_unit(struct builtin_call *call, const char *what, char *unit, size_t lower_from)
{
    for (size_t i = 0; unit[i]; i++)
        if (i >= lower_from) unit[i] = lower(unit[i]);
    return builtin_fail(call, "%s %.100s not recognized", what, unit);
}

/* Splits the text without its quotation marks. False: the error is recorded. */
static bool split(struct builtin_call *call, const struct value *v, const struct unit_words *words,
                  struct amount *ret)
{
    char *s = arena_alloc(call->arena, v->count + 1u);
    size_t len = 0, number = 0;

    if (!s || !builtin_spend(call, v->count / 16)) return false;
    for (uint32_t i = 0; i < v->count; i++)
        if (v->string[i] != '"') s[len++] = v->string[i];
    if (memchr(s, ' ', len)) return builtin_fail(call, "spaces not allowed in resource strings"), false;
    if (memchr(s, '\0', len)) return builtin_fail(call, "NUL not allowed in resource strings"), false;
    if (!number_length(s, &number)) return builtin_fail(call, "exponent too large"), false;
    if (number == 0) return builtin_fail(call, "%s", words->no_amount), false;
    *ret = (struct amount) { .number = s, .number_len = number, .rest = s + number };
    for (size_t i = 0; i < UNIT_MAX && s[number + i]; i++) ret->unit[i] = s[number + i];
    return true;
}

/* |digits| * 10^exponent as plain decimal text, without trailing zeros behind the point. */
static void write_decimal(struct text *t, const char *digits, size_t len, int64_t exponent)
{
    int64_t point = (int64_t) len + exponent;

    if (exponent < 0)
        while (len && (int64_t) len > point && digits[len - 1] == '0') len--;
    if (point <= 0) text_add_string(t, len ? "0." : "0");
    for (int64_t i = point; len && i < 0; i++) text_add_char(t, '0');
    for (size_t i = 0; i < len; i++) {
        if (i && (int64_t) i == point) text_add_char(t, '.');
        text_add_char(t, digits[i]);
    }
    for (int64_t i = (int64_t) len; i < point; i++) text_add_char(t, '0');
}

/* n * 1000^thousands * 1024^kibis, exactly: the digits as an integer, the point put back at the end.
 * thousands may be negative. False: it is too large for us, or memory is short. */
static bool scale(struct arena *a, struct num n, int thousands, int kibis, struct num *ret)
{
    char buf[NUM_BUF], product_buf[NUM_BUF];
    struct decimal d = decimal_of(n, buf);
    int64_t exponent = d.point - (int64_t) d.count + 3 * thousands;
    char *digits = arena_alloc(a, d.count + 1);
    struct num product = num_of(0);
    struct text t;
    size_t len;

    if (!digits) return false;
    if (!d.count) return *ret = num_of(0), true;
    if (exponent > NUM_EXPONENT_MAX || exponent < -NUM_EXPONENT_MAX) return false;
    decimal_digits(&d, digits);
    if (!num_parse(a, digits, d.count, &product)) return false;
    if (kibis && num_mul(a, product, num_of((int64_t) 1 << 10 * kibis), &product) != NUM_OK) return false;
    const char *text = num_text(product, product_buf, &len);
    text_init(&t, a);
    if (d.negative) text_add_char(&t, '-');
    write_decimal(&t, text, len, exponent);
    return text_end(&t) && num_parse(a, t.data, t.len, ret);
}

/* The power in the unit's first letter (k 1 ... e 6), 0 for none of them. */
static int power_of(char letter)
{
    static const char letters[] = "kmgtpe";
    const char *found = letter ? strchr(letters, lower(letter)) : NULL;

    return found ? (int) (found - letters) + 1 : 0;
}

static const struct value *scaled(struct builtin_call *call, const struct amount *amount,
                                  const struct unit_words *words, int thousands, int kibis, num_unary *finish)
{
    struct num n, result = num_of(0);

    if (amount->number_len > NUM_TEXT_MAX) return builtin_number_problem(call, NUM_TOO_LARGE);
    if (!num_parse_loose(call->arena, amount->number, amount->number_len, &n))
        return builtin_fail(call, "%s", words->no_number);
    if (!builtin_spend_numbers(call, n, n)) return NULL;
    if (!scale(call->arena, n, thousands, kibis, &result)) return builtin_number_problem(call, NUM_TOO_LARGE);
    enum num_status status = finish ? finish(call->arena, result, &result) : NUM_OK;
    if (status != NUM_OK) return builtin_number_problem(call, status);
    return builtin_spend_result(call, result) ? value_num(call->arena, result) : NULL;
}

static enum num_status towards_zero(struct arena *a, struct num x, struct num *ret)
{
    return num_sign(x) < 0 ? num_ceil(a, x, ret) : num_floor(a, x, ret);
}

/* Kubernetes quantities: m is a thousandth, M a million; other first letters in either case. */
const struct value *builtin_units_parse(struct builtin_call *call, const struct value *const *args)
{
    static const struct unit_words words = { "no amount provided", "could not parse amount to a number" };
    struct amount amount;

    if (!split(call, args[0], &words, &amount)) return NULL;
    const char *unit = amount.unit;
    int power = power_of(unit[0]);
    bool binary = power && lower(unit[1]) == 'i' && unit[2] == '\0';
    if (unit[0] && !binary && (!power || unit[1]))
        return unknown_unit(call, "unit", amount.rest, 1);
    bool milli = unit[0] == 'm' && !binary;
    return scaled(call, &amount, &words, binary ? 0 : milli ? -1 : power, binary ? power : 0, NULL);
}

/* Bytes: any case, with or without the b, cut to an integer. */
const struct value *builtin_units_parse_bytes(struct builtin_call *call, const struct value *const *args)
{
    static const struct unit_words words = { "no byte amount provided",
                                             "could not parse byte amount to a number" };
    struct amount amount;

    if (!split(call, args[0], &words, &amount)) return NULL;
    const char *unit = amount.unit;
    int power = power_of(unit[0]);
    bool binary = power && lower(unit[1]) == 'i';
    const char *rest = unit + (power ? 1 + binary : 0);
    if (power && lower(rest[0]) == 'b') rest++;
    if (unit[0] && (!power || *rest)) return unknown_unit(call, "byte unit", amount.rest, 0);
    return scaled(call, &amount, &words, binary ? 0 : power, binary ? power : 0, towards_zero);
}
