/* Target Functions: builtin_run json_to_value regex_translate */
#include "broker/builtins/builtins.h"
#include "policy/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first line is a function's name, the rest its operands as a JSON array. Text made of the result can be
 * read again, and whatever goes wrong has a text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
    if (!end) return 0;
    size_t len = (size_t) (end - data);
    const struct builtin *row = builtin_find(builtins_host(), (const char *) data, len);
    if (!row || !row->run || row->flags & BUILTIN_VARIADIC) return 0;
    struct arena *arena = arena_new((size_t) 32 << 20);
    struct budget budget;
    budget_init(&budget, 300000);
    struct builtin_call call = { .arena = arena, .budget = &budget, .host = builtins_host(),
                                 .now_ns = 1700000000000000000 };
    const struct value *operands = json_to_value(arena, (const char *) end + 1, size - len - 1, NULL, NULL);
    if (value_is(operands, VALUE_ARRAY) && operands->count == row->arity) {
        const struct value *v = builtin_run(&call, row, operands->items);
        if (v && call.problem != BUILTIN_FINE) abort();
        if (call.problem != BUILTIN_FINE && call.text[0] == 0) abort();
        struct text t;
        text_init(&t, arena);
        if (v) value_print(&t, v);
        text_init(&t, arena);
        if (v) json_write(&t, v);
        const char *json = v ? text_end(&t) : NULL;
        if (json && !json_to_value(arena, json, t.len, NULL, NULL) && !arena_failed(arena)) abort();
    }
    arena_free(arena);
    return 0;
}
