#include "broker/base/json.h"

#include "broker/base/json_check.h"
#include "broker/base/limits.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct json_doc {
    uint8_t *text;           /* our copy, which the spans point into */
    struct json_spans spans; /* in document order; a node's index lies in node->valueint */
    cJSON *root;
};

void json_free(struct json_doc *doc)
{
    if (!doc) return;
    cJSON_Delete(doc->root);
    free(doc->spans.at);
    free(doc->text);
    free(doc);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *) a)->string, (*(const cJSON *const *) b)->string);
}

/* cJSON keeps duplicate members and lets the first win; we refuse them. Sorting keeps that
 * n log n for large objects. */
static err_t refuse_duplicates(const cJSON *object, size_t count)
{
    if (count < 2) return ERR_OK;
    _cleanup_free_ const cJSON **all = malloc(count * sizeof *all);
    if (!all) FAIL(ERR_INTERNAL, "out of memory");
    size_t n = 0;
    for (const cJSON *c = object->child; c && n < count; c = c->next) all[n++] = c;
    qsort(all, n, sizeof *all, compare_names);
    for (size_t i = 1; i < n; i++)
        if (strcmp(all[i - 1]->string, all[i]->string) == 0)
            FAIL(ERR_USAGE, "not strict JSON: member \"%.60s\" comes twice", all[i]->string);
    return ERR_OK;
}

/* Walks cJSON's tree in document order, the order in which json_check counted the values. */
static err_t number_nodes(cJSON *node, size_t *next, size_t count)
{
    for (cJSON *n = node; n; n = n->next) {
        ENSURE(*next < count);
        n->valueint = (int) (*next)++;
        size_t children = 0;
        for (const cJSON *c = n->child; c; c = c->next) children++;
        if (cJSON_IsObject(n)) TRY(refuse_duplicates(n, children));
        if (n->child) TRY(number_nodes(n->child, next, count)); /* depth: JSON_MAX_DEPTH */
    }
    return ERR_OK;
}

struct err json_parse(struct span text, struct json_doc **ret)
{
    _cleanup_json_ struct json_doc *doc = calloc(1, sizeof *doc);
    if (!doc || !(doc->text = malloc(text.len + 1))) FAIL(ERR_INTERNAL, "out of memory");
    if (text.len) memcpy(doc->text, text.data, text.len);
    doc->text[text.len] = '\0';
    TRY(json_check((struct span){doc->text, text.len}, &doc->spans));
    doc->root = cJSON_ParseWithLength((const char *) doc->text, text.len);
    if (!doc->root) FAIL(ERR_USAGE, "not strict JSON");
    size_t next = 0;
    TRY(number_nodes(doc->root, &next, doc->spans.count));
    ENSURE(next == doc->spans.count);
    *ret = TAKE_PTR(doc);
    return ERR_OK;
}

struct json json_root(const struct json_doc *doc)
{
    return (struct json){doc, doc->root};
}

enum json_type json_type(struct json j)
{
    if (!j.node) return JSON_ABSENT;
    switch (j.node->type & 0xff) {
    case cJSON_NULL: return JSON_NULL;
    case cJSON_True:
    case cJSON_False: return JSON_BOOL;
    case cJSON_Number: return JSON_NUMBER;
    case cJSON_String: return JSON_STRING;
    case cJSON_Array: return JSON_ARRAY;
    default: return JSON_OBJECT;
    }
}

static struct json at(struct json j, const cJSON *node)
{
    return (struct json){j.doc, node};
}

struct json json_get(struct json object, const char *name)
{
    if (json_type(object) != JSON_OBJECT) return at(object, NULL);
    return at(object, cJSON_GetObjectItemCaseSensitive(object.node, name));
}

struct json json_first(struct json j)
{
    return at(j, j.node ? j.node->child : NULL);
}

struct json json_next(struct json j)
{
    return at(j, j.node ? j.node->next : NULL);
}

const char *json_name(struct json j)
{
    return j.node ? j.node->string : NULL;
}

size_t json_count(struct json j)
{
    size_t n = 0;
    for (struct json c = json_first(j); c.node; c = json_next(c)) n++;
    return n;
}

/* One reference token of a pointer, ~1 and ~0 undone (RFC 6901 section 4). False: too long. */
static bool pointer_token(const char **p, char out[256])
{
    size_t n = 0;
    for (; **p && **p != '/'; (*p)++) {
        char c = **p;
        if (c == '~' && ((*p)[1] == '0' || (*p)[1] == '1')) c = *++*p == '1' ? '/' : '~';
        if (n == 255) return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

struct json json_pointer(struct json j, const char *pointer)
{
    const char *p = pointer;
    while (*p == '/' && j.node) {
        char token[256];
        p++;
        if (!pointer_token(&p, token)) return at(j, NULL);
        if (json_type(j) == JSON_ARRAY) {
            char *end = NULL;
            unsigned long index = strtoul(token, &end, 10);
            if (!*token || *end) return at(j, NULL);
            j = json_first(j);
            while (index-- && j.node) j = json_next(j);
        } else {
            j = json_get(j, token);
        }
    }
    return *p ? at(j, NULL) : j;
}

const char *json_string(struct json j)
{
    return json_type(j) == JSON_STRING ? j.node->valuestring : NULL;
}

bool json_bool(struct json j, bool *ret)
{
    if (json_type(j) != JSON_BOOL) return false;
    *ret = cJSON_IsTrue(j.node);
    return true;
}

struct span json_text(struct json j)
{
    return j.node ? j.doc->spans.at[j.node->valueint] : (struct span){NULL, 0};
}

bool json_int(struct json j, int64_t *ret)
{
    if (json_type(j) != JSON_NUMBER) return false;
    struct span t = json_text(j);
    char digits[32];
    if (t.len >= sizeof digits) return false;
    memcpy(digits, t.data, t.len);
    digits[t.len] = '\0';
    char *end = NULL;
    errno = 0;
    long long v = strtoll(digits, &end, 10);
    if (*end || errno) return false; /* a fraction, an exponent, or out of range */
    *ret = v;
    return true;
}

static const char *const type_names[] = {"missing", "null",    "a truth value", "a number",
                                         "a string", "an array", "an object"};

struct err json_need(struct json object, const char *name, enum json_type type, const char *what,
                     struct json *ret)
{
    struct json j = json_get(object, name);
    if (json_type(j) != type)
        FAIL(ERR_USAGE, "member \"%s\" of %s is %s, not %s", name, what, type_names[json_type(j)],
             type_names[type]);
    *ret = j;
    return ERR_OK;
}

struct err json_need_string(struct json object, const char *name, const char *what,
                            const char **ret)
{
    struct json j;
    TRY(json_need(object, name, JSON_STRING, what, &j));
    *ret = json_string(j);
    return ERR_OK;
}
