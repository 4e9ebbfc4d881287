#include "policy/policy_claims.h"

#include "policy/json.h"

/* Everything lies in the arena, this too. */
struct policy_claims {
    struct arena *arena;
    const struct value *value;
    size_t bytes;
};

/* Parsing leaves outgrown arrays behind, and arenas come in large chunks. Claims are kept by the
 * thousand, so they are parsed aside and then copied into one piece of the size they need. */
enum { SCRATCH_COPIES = 8 };

static const struct value *parse(struct arena *scratch, const char *json, size_t len,
                                 struct policy_claims_error *error)
{
    const struct json_options options = { .depth_max = POLICY_CLAIMS_DEPTH_MAX };
    struct json_error why = { 0 };
    const struct value *v = json_to_value(scratch, json, len, &options, &why);

    if (value_is(v, VALUE_OBJECT)) return v;
    *error = arena_failed(scratch) ? (struct policy_claims_error) { 0, "the claims are too large" }
             : v                   ? (struct policy_claims_error) { 0, "the claims are no JSON object" }
                                   : (struct policy_claims_error) { why.offset, why.text };
    return NULL;
}

static struct policy_claims *keep(const struct value *v, struct policy_claims_error *error)
{
    size_t bytes = arena_whole(sizeof(struct policy_claims)) + value_copy_bytes(v);

    *error = (struct policy_claims_error) { 0, "the claims are too large" };
    if (bytes > POLICY_CLAIMS_MAX) return NULL;
    struct arena *a = arena_new_whole(bytes);
    struct policy_claims *c = a ? arena_alloc(a, sizeof *c) : NULL;
    if (c) *c = (struct policy_claims) { .arena = a, .value = value_copy(a, v), .bytes = bytes };
    if (c && c->value) return c;
    arena_free(a);
    *error = (struct policy_claims_error) { 0, "out of memory" };
    return NULL;
}

struct policy_claims *policy_claims_new(const char *json, size_t len,
                                        struct policy_claims_error *ret_error)
{
    struct policy_claims_error error = { 0, "out of memory" };
    struct arena *scratch = arena_new(SCRATCH_COPIES * POLICY_CLAIMS_MAX);
    const struct value *v = scratch ? parse(scratch, json, len, &error) : NULL;
    struct policy_claims *c = v ? keep(v, &error) : NULL;

    arena_free(scratch);
    if (!c && ret_error) *ret_error = error;
    return c;
}

void policy_claims_free(struct policy_claims *c)
{
    if (c) arena_free(c->arena);
}

const struct value *policy_claims_value(const struct policy_claims *c)
{
    return c->value;
}

size_t policy_claims_bytes(const struct policy_claims *c)
{
    return c->bytes;
}
