/* Target Functions: rego_lexer_init rego_lexer_next rego_lexer_template rego_token_name */
#include "policy/lexer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    const char *at, *end;
};

/* Tokens and comments lie in the text, one behind the other. */
static void see(void *context, const struct rego_token *t)
{
    struct seen *seen = context;

    if (t->text < seen->at || t->text + t->len > seen->end) abort();
    if (t->line == 0 || t->column == 0) abort();
    seen->at = t->text + t->len;
}

/* Every template literal on the way is read, expressions as plain tokens. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *) data;
    size_t valid = 0;
    struct seen seen = {text, text + size};
    struct rego_lexer l;

    if (!rego_utf8_valid(text, size, &valid)) {
        if (valid >= size) abort();
        seen.end = text + valid;
    }
    rego_lexer_init(&l, text, (size_t) (seen.end - text));
    l.comment = see;
    l.context = &seen;
    for (;;) {
        struct rego_token t = rego_lexer_next(&l);
        see(&seen, &t);
        if (rego_token_name(&t)[0] == '\0' || (t.kind == REGO_BAD) != (t.problem != NULL)) abort();
        if (t.kind == REGO_END || t.kind == REGO_BAD) break;
        if (t.len == 0) abort(); /* it would never end */
        if (t.kind != REGO_TEMPLATE) continue;
        bool more = false;
        struct rego_token literal = rego_lexer_template(&l, t.text[1], &more);
        see(&seen, &literal);
        if (literal.kind == REGO_BAD) break;
    }
    return 0;
}
