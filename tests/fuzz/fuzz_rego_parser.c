/* Target Functions: rego_format rego_parse_module rego_parse_query rego_print_module rego_print_body */
#include "policy/arena.h"
#include "policy/ast_print.h"
#include "policy/format.h"
#include "policy/lexer.h"
#include "policy/parser.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text as printed after parsing, or NULL. An answer without tree must have a reason. */
typedef const char *form_fn(struct arena *a, const char *text, size_t len);

static void judge(bool tree, const struct rego_errors *errors)
{
    if (tree != (errors->count == 0)) abort();
    for (size_t i = 0; i < errors->count; i++) {
        const struct rego_error *e = &errors->items[i];
        size_t valid;
        if (e->text[0] == '\0' || memchr(e->source, 0, sizeof e->source) == NULL) abort();
        if (!rego_utf8_valid(e->source, strlen(e->source), &valid)) abort();
    }
}

static const char *form_module(struct arena *a, const char *text, size_t len)
{
    struct rego_errors errors = {0};
    struct text to;
    const struct rego_module_ast *m = rego_parse_module(a, "m", text, len, &errors);

    judge(m, &errors);
    text_init(&to, a);
    if (m) rego_print_module(&to, m);
    return m ? text_end(&to) : NULL;
}

/* Laid out, which every text that parses can be. */
static const char *form_layout(struct arena *a, const char *text, size_t len)
{
    struct rego_errors errors = {0};
    const struct rego_module module = {.name = "m", .text = text, .len = len};
    struct text to;

    if (memchr(text, 0, len)) return NULL; /* a raw string may hold one; the loop below knows strings only */
    text_init(&to, a);
    bool done = rego_format(&to, &module, &errors);
    judge(done, &errors);
    if (!done && !arena_failed(a) && rego_parse_module(a, "m", text, len, &errors)) abort();
    return done ? text_end(&to) : NULL;
}

static const char *form_query(struct arena *a, const char *text, size_t len)
{
    struct rego_errors errors = {0};
    struct text to;
    const struct rego_body *b = rego_parse_query(a, text, len, &errors);

    judge(b, &errors);
    text_init(&to, a);
    if (b) rego_print_body(&to, b);
    return b ? text_end(&to) : NULL;
}

/* What was printed is read and printed the same again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static form_fn *const forms[] = {form_module, form_query, form_layout};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct arena *a = arena_new((size_t) 128 << 20);
        if (!a) abort();
        const char *once = forms[i](a, (const char *) data, size);
        const char *twice = once && strlen(once) < 100000 ? forms[i](a, once, strlen(once)) : once;
        if (once && (!twice || strcmp(once, twice) != 0)) abort();
        arena_free(a);
    }
    return 0;
}
