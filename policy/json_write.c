#include "policy/json.h"

/* Indentation; NULL for the compact form. */
struct layout {
    const char *prefix, *indent;
    unsigned depth;
};

static void write_value(struct text *t, const struct value *v, const struct layout *layout);

static bool is_plain(uint32_t rune, size_t len, bool html)
{
    if (rune < ' ' || rune == '"' || rune == '\\') return false;
    if (html && (rune == '<' || rune == '>' || rune == '&')) return false;
    if (rune == 0xFFFD && len == 1) return false; /* a bad byte */
    return !(html && (rune == 0x2028 || rune == 0x2029));
}

void json_write_string(struct text *t, const char *s, size_t len, bool html)
{
    static const char shorts[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *at = s, *run = s, *end = s + len;
    uint32_t rune;

    text_add_char(t, '"');
    for (size_t n; (n = utf8_decode(at, end, &rune)); at += n) {
        if (is_plain(rune, n, html)) continue;
        text_add(t, run, (size_t) (at - run));
        run = at + n;
        const char *found = rune && rune < 0x80 ? strchr(shorts, (char) rune) : NULL;
        if (found)
            text_addf(t, "\\%c", letters[found - shorts]);
        else
            text_addf(t, "\\u%04x", (unsigned) rune);
    }
    text_add(t, run, (size_t) (end - run));
    text_add_char(t, '"');
}

static void new_line(struct text *t, const struct layout *layout, unsigned depth)
{
    if (!layout) return;
    text_add_char(t, '\n');
    text_add_string(t, layout->prefix);
    for (unsigned i = 0; i < depth; i++) text_add_string(t, layout->indent);
}

static void write_key(struct text *t, const struct value *key)
{
    struct text inner;

    if (key->kind == VALUE_STRING) {
        json_write_string(t, key->string, key->count, true);
        return;
    }
    text_init(&inner, t->arena);
    write_value(&inner, key, NULL);
    if (!text_end(&inner)) t->failed = true;
    json_write_string(t, inner.data ? inner.data : "", inner.len, true);
}

static void write_composite(struct text *t, const struct value *v, const struct layout *layout,
                            const char *brackets)
{
    struct layout deeper = layout ? *layout : (struct layout) { 0 };
    const struct layout *inside = layout ? &deeper : NULL;

    deeper.depth++;
    text_add_char(t, brackets[0]);
    for (uint32_t i = 0; i < v->count && !t->failed; i++) {
        if (i) text_add_char(t, ',');
        new_line(t, inside, deeper.depth);
        if (v->kind == VALUE_OBJECT) {
            write_key(t, v->pairs[i].key);
            text_add_string(t, layout ? ": " : ":");
            write_value(t, v->pairs[i].value, inside);
        } else {
            write_value(t, v->items[i], inside);
        }
    }
    if (v->count) new_line(t, layout, deeper.depth - 1);
    text_add_char(t, brackets[1]);
}

static void write_value(struct text *t, const struct value *v, const struct layout *layout)
{
    char buf[NUM_BUF];
    size_t len;

    switch (v->kind) {
    case VALUE_NULL: text_add_string(t, "null"); break;
    case VALUE_BOOL: text_add_string(t, v->boolean ? "true" : "false"); break;
    case VALUE_NUMBER: {
        const char *number = num_text(v->number, buf, &len);
        text_add(t, number, len);
        break;
    }
    case VALUE_STRING: json_write_string(t, v->string, v->count, true); break;
    case VALUE_OBJECT: write_composite(t, v, layout, "{}"); break;
    default: write_composite(t, v, layout, "[]"); break;
    }
}

void json_write(struct text *t, const struct value *v)
{
    write_value(t, v, NULL);
}

void json_write_pretty(struct text *t, const struct value *v, const char *prefix, const char *indent)
{
    struct layout layout = { prefix, indent, 0 };

    write_value(t, v, &layout);
}
