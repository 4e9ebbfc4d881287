#include "policy/statement.h"

#include "policy/errors.h"
#include "policy/text.h"

static const char *behind_space(const char *at, const char *end)
{
    while (at < end) {
        if (*at == '#') {
            while (at < end && *at != '\n') at++;
        } else if (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') {
            at++;
        } else {
            break;
        }
    }
    return at;
}

static size_t character(const char *at, const char *end)
{
    size_t len = 1;
    while (at + len < end && ((unsigned char) at[len] & 0xc0) == 0x80) len++;
    return len;
}

/* In a string until its quote comes back; a backslash takes the next character's meaning away. */
struct quoting { char quote; bool escaped; };

static void follow(struct quoting *q, char c)
{
    if (!q->quote) {
        if (c == '"' || c == '`') q->quote = c;
    } else if (q->escaped) {
        q->escaped = false;
    } else if (c == '\\' && q->quote == '"') {
        q->escaped = true;
    } else if (c == q->quote) {
        q->quote = '\0';
    }
}

static void print_cut(struct text *t, const char *at, const char *end, size_t max)
{
    struct quoting q = { 0 };
    size_t from = t->len;
    while (at < end && t->len - from < max) {
        const char *next = q.quote ? at : behind_space(at, end);
        if (next > at) {
            if (next < end) text_add_char(t, ' ');
            at = next;
            continue;
        }
        follow(&q, *at);
        bool control = (unsigned char) *at < 0x20 || *at == 0x7f;
        size_t len = character(at, end);
        text_add(t, control ? " " : at, len);
        at += len;
    }
    if (at < end) text_add_string(t, "\xe2\x80\xa6");
}

void statement_print(struct text *t, const struct checked_program *p, struct checked_span span, size_t max)
{
    if (!p->sources || span.place.module >= p->module_count || !span.place.line) return;
    const struct rego_source *source = &p->sources[span.place.module];
    if (span.place.offset > source->len || span.len > source->len - span.place.offset) return;
    const char *at = source->text + span.place.offset;
    print_cut(t, at, at + span.len, max);
}
