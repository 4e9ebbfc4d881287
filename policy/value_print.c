#include "policy/json.h"
#include "policy/value.h"

static const char ellipsis[] = "\xe2\x80\xa6";

/* Is the text full? `end` is where it is to stop, SIZE_MAX for nowhere. Says so once. */
static bool cut(struct text *t, size_t end)
{
    if (t->len < end) return false;
    text_add_string(t, ellipsis);
    return true;
}

static void print(struct text *t, const struct value *v, size_t end);

/* Go's strconv.Quote: what OPA shows of strings. */
static void print_string(struct text *t, const struct value *v, size_t end)
{
    static const char letters[] = "abtnvfr"; /* from \a, 7 */
    const char *at = v->string, *last = at + v->count;
    uint32_t rune;

    text_add_char(t, '"');
    for (size_t len; (len = utf8_decode(at, last, &rune)); at += len) {
        if (cut(t, end)) break;
        if (rune == '"' || rune == '\\') {
            text_addf(t, "\\%c", (char) rune);
        } else if (rune >= 7 && rune <= 13) {
            text_addf(t, "\\%c", letters[rune - 7]);
        } else if (rune < ' ' || rune == 0x7F || (rune == 0xFFFD && len == 1)) {
            text_addf(t, "\\x%02x", (unsigned char) *at);
        } else {
            text_add(t, at, len);
        }
    }
    text_add_char(t, '"');
}

static void print_composite(struct text *t, const struct value *v, const char *brackets, size_t end)
{
    text_add_char(t, brackets[0]);
    for (uint32_t i = 0; i < v->count && !t->failed; i++) {
        if (i) text_add_string(t, ", ");
        if (cut(t, end)) break;
        if (v->kind == VALUE_OBJECT) {
            print(t, v->pairs[i].key, end);
            text_add_string(t, ": ");
            print(t, v->pairs[i].value, end);
        } else {
            print(t, v->items[i], end);
        }
    }
    text_add_char(t, brackets[1]);
}

static void print(struct text *t, const struct value *v, size_t end)
{
    switch (v->kind) {
    case VALUE_STRING: print_string(t, v, end); break;
    case VALUE_ARRAY: print_composite(t, v, "[]", end); break;
    case VALUE_OBJECT: print_composite(t, v, "{}", end); break;
    case VALUE_SET:
        if (v->count == 0) text_add_string(t, "set()");
        else print_composite(t, v, "{}", end);
        break;
    default: json_write(t, v); /* null, booleans and numbers are written as in JSON */
    }
}

void value_print(struct text *t, const struct value *v)
{
    print(t, v, SIZE_MAX);
}

void value_print_cut(struct text *t, const struct value *v, size_t max)
{
    print(t, v, t->len + max);
}
