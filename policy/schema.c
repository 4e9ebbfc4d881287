#include "policy/schema.h"

/* ---- words ------------------------------------------------------------------------------------ */

static const struct {
    const char *word;
    unsigned kinds;
} WORDS[] = {
    { "string", KIND_BIT(STRING) }, { "number", KIND_BIT(NUMBER) }, { "boolean", KIND_BIT(BOOL) },
    { "null", KIND_BIT(NULL) },
};

/* The word in front of a list of strings: "string" of "string a|b". */
static size_t word_len(const struct value *schema)
{
    const char *blank = memchr(schema->string, ' ', schema->count);
    return blank ? (size_t) (blank - schema->string) : schema->count;
}

unsigned schema_kinds(const struct value *schema)
{
    if (schema->kind == VALUE_OBJECT) return KIND_BIT(OBJECT);
    if (schema->kind == VALUE_ARRAY && schema->count == 1) return KIND_BIT(ARRAY);
    if (schema->kind != VALUE_STRING) return KIND_ANY;
    size_t len = word_len(schema);
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (strlen(WORDS[i].word) == len && memcmp(WORDS[i].word, schema->string, len) == 0)
            return WORDS[i].kinds;
    return KIND_ANY;
}

bool schema_is_any(const struct value *schema)
{
    return schema_kinds(schema) == KIND_ANY;
}

bool schema_each_word(const struct value *schema, schema_visit_word *visit, void *context)
{
    if (schema->kind != VALUE_STRING) return true;
    const char *at = schema->string + word_len(schema), *end = schema->string + schema->count;
    bool answer = true;
    while (answer && at < end) {
        const char *word = at + 1, *bar = memchr(word, '|', (size_t) (end - word));
        at = bar ? bar : end;
        answer = visit(context, word, (size_t) (at - word));
    }
    return answer;
}

struct wanted {
    const struct value *string;
    bool listed, found;
};

static bool compare_word(void *context, const char *word, size_t len)
{
    struct wanted *w = context;
    w->listed = true;
    w->found = len == w->string->count && memcmp(word, w->string->string, len) == 0;
    return !w->found;
}

bool schema_allows_string(const struct value *schema, const struct value *string)
{
    struct wanted w = { .string = string };
    schema_each_word(schema, compare_word, &w);
    return w.found || !w.listed;
}

bool schema_is_filled(const struct value *schema)
{
    for (uint32_t i = 0; schema->kind == VALUE_OBJECT && i < schema->count; i++) {
        struct schema_key k = { 0 };
        if (schema_key(schema->pairs[i].key, &k) && k.len == schema->pairs[i].key->count) return true;
    }
    return false;
}

/* ---- members ---------------------------------------------------------------------------------- */

static bool ends_with(const struct value *key, char sign)
{
    return key->count > 1 && key->string[key->count - 1] == sign;
}

bool schema_key(const struct value *key, struct schema_key *ret)
{
    if (!value_is(key, VALUE_STRING) || key->count == 0) return false;
    if (key->string[0] == '~' || key->string[0] == '*') return false;
    bool optional = ends_with(key, '?'), numbered = ends_with(key, '#');
    *ret = (struct schema_key) { key->string, key->count - (optional || numbered), numbered };
    return true;
}

/* "cpu12" for "cpu#": the same name, then digits and nothing else. */
static bool fits_numbered(const struct value *pattern, const struct value *key)
{
    size_t digits = 0, name = pattern->count - 1;
    while (digits < key->count && key->string[key->count - 1 - digits] >= '0' &&
           key->string[key->count - 1 - digits] <= '9') digits++;
    if (digits == 0) return false;
    if (string_is(pattern, "*#")) return digits < key->count;
    return key->count > name && key->count - name <= digits &&
           memcmp(key->string, pattern->string, name) == 0;
}

/* How exactly the key of a schema speaks of the member: 0 not at all. */
static int key_rank(const struct value *pattern, const struct value *key)
{
    struct schema_key k = { 0 };
    if (string_is(pattern, "*")) return 1;
    if (string_is(pattern, "*#")) return fits_numbered(pattern, key) ? 2 : 0;
    if (!schema_key(pattern, &k)) return 0;
    if (k.numbered) return fits_numbered(pattern, key) ? 3 : 0;
    return k.len == key->count && memcmp(k.name, key->string, k.len) == 0 ? 4 : 0;
}

static const struct value *object_member(const struct value *schema, const struct value *key,
                                         bool *ret_optional)
{
    const struct value *found = NULL;
    int best = 0;
    for (size_t i = 0; i < schema->count; i++) {
        const struct value *pattern = schema->pairs[i].key;
        int rank = value_is(pattern, VALUE_STRING) ? key_rank(pattern, key) : 0;
        if (rank <= best) continue;
        best = rank;
        found = schema->pairs[i].value;
        *ret_optional = rank < 4 || ends_with(pattern, '?');
    }
    return found;
}

const struct value *schema_member(const struct value *schema, const struct value *key,
                                  bool *ret_optional)
{
    unsigned kinds = schema_kinds(schema);
    *ret_optional = true;
    if (kinds == KIND_ANY) return schema;
    if (kinds == KIND_BIT(ARRAY)) return value_is(key, VALUE_NUMBER) ? schema->items[0] : NULL;
    if (kinds != KIND_BIT(OBJECT) || !value_is(key, VALUE_STRING)) return NULL;
    return object_member(schema, key, ret_optional);
}

const struct value *schema_advice(const struct value *schema, const struct value *key)
{
    if (!value_is(schema, VALUE_OBJECT) || !value_is(key, VALUE_STRING)) return NULL;
    for (size_t i = 0; i < schema->count; i++) {
        const struct value *pattern = schema->pairs[i].key, *advice = schema->pairs[i].value;
        if (value_is(pattern, VALUE_STRING) && pattern->count == key->count + 1 &&
            pattern->string[0] == '~' && value_is(advice, VALUE_STRING) &&
            memcmp(pattern->string + 1, key->string, key->count) == 0) return advice;
    }
    return NULL;
}

/* ---- conforming ------------------------------------------------------------------------------- */

/* The way to the value that is looked at, for messages. */
struct step {
    const struct step *up;
    const struct value *key;
};

struct conform {
    struct text *why;
    unsigned depth;
};

static void put_way(struct text *t, const struct step *s)
{
    if (!s) return;
    put_way(t, s->up);
    if (s->up) text_add_char(t, '.');
    if (s->key->kind == VALUE_STRING) text_add(t, s->key->string, s->key->count);
    else value_print(t, s->key);
}

static bool differs(struct conform *c, const struct step *at, const char *what)
{
    if (!c->why) return false;
    put_way(c->why, at);
    text_addf(c->why, "%s%s", at ? ": " : "", what);
    return false;
}

static bool conforms(struct conform *c, const struct value *schema, const struct value *v,
                     const struct step *at);

static bool nothing_missing(struct conform *c, const struct value *schema, const struct value *v,
                            const struct step *at)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct value *pattern = schema->pairs[i].key;
        struct schema_key k = { 0 };
        if (!schema_key(pattern, &k) || k.len != pattern->count) continue;
        struct step member = { at, pattern };
        if (!object_get(v, pattern)) return differs(c, &member, "is missing");
    }
    return true;
}

static bool object_conforms(struct conform *c, const struct value *schema, const struct value *v,
                            const struct step *at)
{
    for (size_t i = 0; i < v->count; i++) {
        bool optional = false;
        struct step member = { at, v->pairs[i].key };
        const struct value *of = schema_member(schema, v->pairs[i].key, &optional);
        if (!of) return differs(c, &member, "is not in the schema");
        if (!conforms(c, of, v->pairs[i].value, &member)) return false;
    }
    return nothing_missing(c, schema, v, at);
}

static bool array_conforms(struct conform *c, const struct value *schema, const struct value *v,
                           const struct step *at)
{
    for (size_t i = 0; i < v->count; i++) {
        const struct value number = { .kind = VALUE_NUMBER, .number = num_of((int64_t) i) };
        struct step member = { at, &number };
        if (!conforms(c, schema->items[0], v->items[i], &member)) return false;
    }
    return true;
}

static bool conforms(struct conform *c, const struct value *schema, const struct value *v,
                     const struct step *at)
{
    if (schema_is_any(schema)) return true;
    if (!(schema_kinds(schema) & 1u << v->kind)) return differs(c, at, "is of another kind");
    if (v->kind == VALUE_STRING)
        return schema_allows_string(schema, v) || differs(c, at, "is none of the strings listed");
    if (v->kind < VALUE_ARRAY) return true;
    if (++c->depth > SCHEMA_DEPTH_MAX) return differs(c, at, "is nested too deeply");
    bool ok = v->kind == VALUE_OBJECT ? object_conforms(c, schema, v, at)
                                      : array_conforms(c, schema, v, at);
    c->depth--;
    return ok;
}

bool schema_conforms(const struct value *schema, const struct value *v, struct text *why)
{
    struct conform c = { .why = why };
    return conforms(&c, schema, v, NULL);
}
