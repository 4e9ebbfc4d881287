/* What template strings and print show: OPA's form, in which a string stands as it is and every other
 * part is a set of the one value it has, or an empty set when it is undefined. */
#include "policy/builtin.h"

static void show(struct text *t, const struct value *v)
{
    if (v->kind == VALUE_STRING) text_add(t, v->string, v->count);
    else value_print(t, v);
}

/* False when a part has more than one value. */
static bool join(struct text *t, const struct value *parts, const char *between)
{
    for (size_t i = 0; i < parts->count; i++) {
        const struct value *part = parts->items[i];
        if (i > 0) text_add_string(t, between);
        if (part->kind != VALUE_SET) show(t, part);
        else if (part->count == 0) text_add_string(t, "<undefined>");
        else if (part->count == 1) show(t, part->items[0]);
        else return false;
    }
    return true;
}

const struct value *builtin_template_string(struct builtin_call *call, const struct value *const *args)
{
    struct text t;
    text_init(&t, call->arena);
    if (!join(&t, args[0], "")) return builtin_fail_conflict(call, "template-strings must not produce multiple outputs");
    return builtin_text_end(call, &t);
}

/* One line for each call. Nothing happens when nobody listens. */
const struct value *builtin_print(struct builtin_call *call, const struct value *const *args)
{
    struct text t;
    text_init(&t, call->arena);
    join(&t, args[0], " ");
    const struct value *line = builtin_text_end(call, &t);
    if (line && call->print) call->print(call->context, line->string, line->count);
    return line ? value_bool(true) : NULL;
}

const struct value *builtin_trace(struct builtin_call *call, const struct value *const *args)
{
    if (call->print) call->print(call->context, args[0]->string, args[0]->count);
    return value_bool(true);
}
