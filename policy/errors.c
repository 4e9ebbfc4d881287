#include "policy/errors.h"

#include "policy/text.h"

#include <stdio.h>
#include <string.h>

/* The line that offset is in, tabs and control characters as spaces so that a caret fits below. */
static void copy_line(char *to, size_t size, const struct rego_source *source, size_t offset)
{
    if (offset > source->len) offset = source->len;
    size_t first = offset, end = offset;
    while (first > 0 && source->text[first - 1] != '\n') first--;
    while (end < source->len && source->text[end] != '\n') end++;
    text_cut(to, size, source->text + first, end - first);
    for (char *c = to; *c; c++)
        if ((unsigned char) *c < 0x20) *c = ' ';
}

struct rego_error *rego_error_addv(struct rego_errors *errors, const char *code,
                                   const struct rego_source *source, const struct rego_span *at,
                                   const char *format, va_list args)
{
    char whole[2 * REGO_TEXT_MAX];

    if (errors->count == REGO_ERRORS_MAX) {
        errors->more++;
        return NULL;
    }
    struct rego_error *e = &errors->items[errors->count++];
    *e = (struct rego_error){0};
    text_cut(e->code, sizeof e->code, code, strlen(code));
    vsnprintf(whole, sizeof whole, format, args);
    text_cut(e->text, sizeof e->text, whole, strlen(whole));
    if (source && source->name)
        text_cut(e->module, sizeof e->module, source->name, strlen(source->name));
    if (!at || at->line == 0) return e;
    e->line = at->line;
    e->column = at->column;
    if (source && source->text) copy_line(e->source, sizeof e->source, source, at->offset);
    return e;
}

struct rego_error *rego_error_add(struct rego_errors *errors, const char *code,
                                  const struct rego_source *source, const struct rego_span *at,
                                  const char *format, ...)
{
    va_list args;

    va_start(args, format);
    struct rego_error *e = rego_error_addv(errors, code, source, at, format, args);
    va_end(args);
    return e;
}

void rego_error_hint(struct rego_error *error, const char *format, ...)
{
    char whole[2 * sizeof error->hint];
    va_list args;

    if (!error) return;
    va_start(args, format);
    vsnprintf(whole, sizeof whole, format, args);
    va_end(args);
    text_cut(error->hint, sizeof error->hint, whole, strlen(whole));
}

static bool comes_before(const struct rego_error *a, const struct rego_error *b)
{
    if (strcmp(a->module, b->module) != 0) return false; /* modules keep their order */
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* Insertion: at most REGO_ERRORS_MAX, and qsort is not stable. */
void rego_errors_sort(struct rego_errors *errors)
{
    for (size_t i = 1; i < errors->count; i++) {
        for (size_t k = i; k > 0 && comes_before(&errors->items[k], &errors->items[k - 1]); k--) {
            struct rego_error swap = errors->items[k];
            errors->items[k] = errors->items[k - 1];
            errors->items[k - 1] = swap;
        }
    }
}

size_t rego_error_print(const struct rego_error *error, char *ret_text, size_t size)
{
    const char *module = error->module[0] ? error->module : "<query>";
    int len = error->line
                  ? snprintf(ret_text, size, "%s:%u:%u: %s: %s", module, error->line, error->column,
                             error->code, error->text)
                  : snprintf(ret_text, size, "%s: %s", error->code, error->text);
    return len < 0 ? 0 : (size_t) len;
}
