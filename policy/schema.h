/* The shape of a document, written as a JSON value, so that it can stand in a text and be read by
 * people: what a claim may be, and which claims there can be at all.
 *
 *     "string" "number" "boolean" "null"   a value of that kind
 *     "string a|b|c"                       one of these strings
 *     "any"                                anything, and below it anything as well
 *     [x]                                  an array of x, of any length
 *     {..}                                 an object; its keys are
 *         "name"    a member that is always there
 *         "name?"   one that may be missing
 *         "name#"   the name with a decimal number behind it, such as cpu0; "*#": any name with one
 *         "*"       every other member
 *         "~name"   none, but people write it: the value is a string that says what to write instead
 *
 * A word that is none of these, or an array of not exactly one, stands for "any". Pure. */
#pragma once

#include "policy/value.h"

#define SCHEMA_DEPTH_MAX 64      /* of nesting that is looked into */
#define KIND_BIT(k) (1u << VALUE_##k)
#define KIND_ANY ((2u << VALUE_SET) - 1)

/* Kinds as bits, KIND_BIT(STRING) | ...; all of them for "any". */
unsigned schema_kinds(const struct value *schema);

/* What a member may be; NULL when there is none by that key. *ret_optional: it may be missing. */
const struct value *schema_member(const struct value *schema, const struct value *key,
                                  bool *ret_optional);

/* True when the schema says nothing of what is below it. */
bool schema_is_any(const struct value *schema);

/* True for an object with a member that is always there. */
bool schema_is_filled(const struct value *schema);

/* The strings of "string a|b|c": calls visit for each until one says false; returns the last
 * answer, true when there are none. */
typedef bool schema_visit_word(void *context, const char *word, size_t len);
bool schema_each_word(const struct value *schema, schema_visit_word *visit, void *context);
/* False only when the schema lists strings and this is none of them. */
bool schema_allows_string(const struct value *schema, const struct value *string);

/* A key of an object schema without its signs: the name to write for it ("cpu0" for "cpu#", "name"
 * for "name?"). False for "*", "*#" and "~name", which name nothing. */
struct schema_key {
    const char *name;
    size_t len;
    bool numbered; /* write a 0 behind it */
};
bool schema_key(const struct value *key, struct schema_key *ret);

/* The advice of "~name"; NULL when there is none. */
const struct value *schema_advice(const struct value *schema, const struct value *key);

/* Whether the value has the schema's shape: every member known, none missing, kinds right. When not,
 * *why (if given) gets the first place and what is wrong: "submods.cpu0.x: is not in the schema". */
bool schema_conforms(const struct value *schema, const struct value *v, struct text *why);
