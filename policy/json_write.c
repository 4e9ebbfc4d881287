#include "policy/json.h"

#include <stdlib.h>

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

/* One member on its way out: the text of its key, and where it stands. */
struct member {
    const char *key;
    size_t len;
    const struct value *value;
    uint32_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int c = memcmp(x->key, y->key, x->len < y->len ? x->len : y->len);

    if (c == 0 && x->len != y->len) c = x->len < y->len ? -1 : 1;
    return c ? c : x->at < y->at ? -1 : 1;
}

/* A key that is no string is the string of its own JSON. */
static bool read_key(struct text *t, const struct value *key, struct member *ret)
{
    struct text inner;

    ret->key = key->string;
    ret->len = key->count;
    if (key->kind == VALUE_STRING) return true;
    text_init(&inner, t->arena);
    write_value(&inner, key, NULL);
    ret->key = text_end(&inner);
    ret->len = inner.len;
    return ret->key != NULL;
}

/* The members of v by the text of their keys, as OPA has them. Of two keys with one text ({1: x, "1": y})
 * the later one counts. NULL without memory. */
static const struct member *members_by_text(struct text *t, const struct value *v, uint32_t *ret_count)
{
    struct member *m = arena_alloc_array(t->arena, v->count, sizeof *m);
    uint32_t kept = 0;

    for (uint32_t i = 0; m && i < v->count; i++) {
        m[i].at = i;
        m[i].value = v->pairs[i].value;
        if (!read_key(t, v->pairs[i].key, &m[i])) return NULL;
    }
    if (!m) return NULL;
    qsort(m, v->count, sizeof *m, by_key);
    for (uint32_t i = 0; i < v->count; i++) {
        bool twice = i + 1 < v->count && m[i].len == m[i + 1].len && memcmp(m[i].key, m[i + 1].key, m[i].len) == 0;
        if (!twice) m[kept++] = m[i];
    }
    *ret_count = kept;
    return m;
}

static void write_member(struct text *t, const char *key, size_t len, const struct value *v, bool first,
                         const struct layout *inside)
{
    if (!first) text_add_char(t, ',');
    new_line(t, inside, inside ? inside->depth : 0);
    json_write_string(t, key, len, true);
    text_add_string(t, inside ? ": " : ":");
    write_value(t, v, inside);
}

static void write_members(struct text *t, const struct value *v, const struct layout *inside)
{
    /* Kinds stand in order, strings among themselves by their bytes. */
    bool strings = v->count && v->pairs[0].key->kind == VALUE_STRING && v->pairs[v->count - 1].key->kind == VALUE_STRING;
    uint32_t count = v->count;
    const struct member *m = NULL;

    if (count && !strings && !(m = members_by_text(t, v, &count))) t->failed = true;
    for (uint32_t i = 0; i < count && !t->failed; i++)
        if (m) write_member(t, m[i].key, m[i].len, m[i].value, i == 0, inside);
        else write_member(t, v->pairs[i].key->string, v->pairs[i].key->count, v->pairs[i].value, i == 0, inside);
}

static void write_composite(struct text *t, const struct value *v, const struct layout *layout,
                            const char *brackets)
{
    struct layout deeper = layout ? *layout : (struct layout) { 0 };
    const struct layout *inside = layout ? &deeper : NULL;

    deeper.depth++;
    text_add_char(t, brackets[0]);
    if (v->kind == VALUE_OBJECT) write_members(t, v, inside);
    for (uint32_t i = 0; v->kind != VALUE_OBJECT && i < v->count && !t->failed; i++) {
        if (i) text_add_char(t, ',');
        new_line(t, inside, deeper.depth);
        write_value(t, v->items[i], inside);
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
