#include "policy/builtin.h"
#include "policy/value.h"

#include <math.h>
#include <strings.h>

#define IS(name, kind_)                                                                        \
    const struct value *name(struct builtin_call *call, const struct value *const *args)       \
    {                                                                                          \
        (void) call;                                                                           \
        return value_bool(args[0]->kind == kind_);                                             \
    }

IS(builtin_is_array, VALUE_ARRAY)
IS(builtin_is_boolean, VALUE_BOOL)
IS(builtin_is_null, VALUE_NULL)
IS(builtin_is_number, VALUE_NUMBER)
IS(builtin_is_object, VALUE_OBJECT)
IS(builtin_is_set, VALUE_SET)
IS(builtin_is_string, VALUE_STRING)

const struct value *builtin_type_name(struct builtin_call *call, const struct value *const *args)
{
    const char *name = value_kind_name(args[0]->kind);

    return value_string_shared(call->arena, name, strlen(name));
}

/* What strconv.ParseFloat reads and Rego has no number for. */
static bool is_no_finite_word(const char *s)
{
    while (*s == '+' || *s == '-') s++;
    return strcasecmp(s, "inf") == 0 || strcasecmp(s, "infinity") == 0 || strcasecmp(s, "nan") == 0;
}

static const struct value *parse(struct builtin_call *call, const struct value *v)
{
    struct num n;

    if (is_no_finite_word(v->string)) return builtin_fail_type(call, 1, "valid number string", v);
    if (!builtin_spend(call, v->count / 16)) return NULL;
    if (v->count > NUM_TEXT_MAX) return builtin_number_problem(call, NUM_TOO_LARGE);
    if (!num_parse_loose(call->arena, v->string, v->count, &n))
        return builtin_fail(call, "strconv.ParseFloat: parsing \"%.100s\": invalid syntax", v->string);
    if (isinf(num_to_double(n)))
        return builtin_fail(call, "strconv.ParseFloat: parsing \"%.100s\": value out of range", v->string);
    return value_num(call->arena, n);
}

const struct value *builtin_to_number(struct builtin_call *call, const struct value *const *args)
{
    const struct value *v = args[0];

    switch (v->kind) {
    case VALUE_NULL: return value_int(call->arena, 0);
    case VALUE_BOOL: return value_int(call->arena, v->boolean);
    case VALUE_NUMBER: return v;
    case VALUE_STRING: return parse(call, v);
    default: return builtin_fail_type(call, 1, "one of {null, boolean, number, string}", v);
    }
}
