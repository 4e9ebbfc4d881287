/* Errors name the key and say what is allowed; they never quote the value, since it may be a PIN
 * in the wrong place. */
#include "broker/config/config_value.h"

#include "broker/base/limits.h"
#include "broker/config/nearest.h"

#include <string.h>

#define PATH_TEXT 128 /* characters of the longest "section.name" */
#define SHOWN_TEXT 64 /* characters of a foreign key that an error shows */

/* Where the values of one mapping go. */
struct target {
    uint8_t *base;
    struct bump *arena;
};

static const struct {
    const char *suffix;
    unsigned shift;
} size_units[] = {{"", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};

static void describe_size(struct buf *ret, uint64_t bytes)
{
    size_t i = bytes ? sizeof(size_units) / sizeof(size_units[0]) - 1 : 0;
    while (bytes & ((UINT64_C(1) << size_units[i].shift) - 1)) i--;
    buf_addf(ret, "%llu%s", (unsigned long long) (bytes >> size_units[i].shift),
             size_units[i].suffix);
}

static void describe_choices(struct buf *ret, const struct config_choice *choices)
{
    buf_add_str(ret, "one of ");
    for (const struct config_choice *c = choices; c->name; c++)
        buf_addf(ret, "%s%s", c == choices ? "" : ", ", c->name);
}

void config_describe(const struct config_key *key, struct buf *ret)
{
    static const char *const fixed[] = {
        [CONFIG_TEXT] = "text",
        [CONFIG_PATH] = "absolute path",
        [CONFIG_PLACE] = "absolute path or https:// URL",
        [CONFIG_TRUTH] = "true or false",
        [CONFIG_TEXTS] = "list of texts",
        [CONFIG_PATHS] = "list of absolute paths",
        [CONFIG_PLACES] = "list of absolute paths or https:// URLs",
        [CONFIG_RECORDS] = "list of mappings",
    };
    if (key->type == CONFIG_NUMBER) {
        buf_addf(ret, "%llu to %llu", (unsigned long long) key->min,
                 (unsigned long long) key->max);
        if (key->unit_name) buf_addf(ret, " %s", key->unit_name);
        for (const struct config_choice *c = key->choices; c && c->name; c++)
            buf_addf(ret, ", or %s", c->name);
    } else if (key->type == CONFIG_SIZE) {
        describe_size(ret, key->min);
        buf_add_str(ret, " to ");
        describe_size(ret, key->max);
    } else if (key->choices) {
        describe_choices(ret, key->choices);
    } else {
        buf_add_str(ret, fixed[key->type]);
    }
    if (key->flags & CONFIG_MAY_BE_EMPTY) buf_add_str(ret, ", may be empty");
    if (key->flags & CONFIG_MAY_BE_NULL) buf_add_str(ret, ", or null");
    if (key->flags & CONFIG_REQUIRED) buf_add_str(ret, ", required");
}

/* The one sentence for a wrong type and a wrong range alike. */
static err_t wrong_value(const struct config_key *key, const struct yaml_node *node)
{
    _cleanup_buf_ struct buf allowed = BUF_INIT;
    config_describe(key, &allowed);
    YAML_FAIL(node, "`%s` takes %s", key->path, buf_str(&allowed));
}

/* ---- scalars ------------------------------------------------------------------------------ */

static void store_integer(struct target *t, const struct config_key *key, uint64_t value)
{
    uint8_t byte = (uint8_t) value;
    uint32_t word = (uint32_t) value;
    uint8_t *field = t->base + key->offset;
    if (key->size == sizeof(byte)) memcpy(field, &byte, sizeof(byte));
    else if (key->size == sizeof(word)) memcpy(field, &word, sizeof(word));
    else memcpy(field, &value, sizeof(value));
}

static void store_pointer(struct target *t, const struct config_key *key, const void *pointer)
{
    memcpy(t->base + key->offset, &pointer, sizeof(pointer));
}

/* Decimal digits at the start of text; false when there are none or too many for 64 bits. */
static bool read_digits(const char **text, uint64_t *ret)
{
    const char *c = *text;
    for (*ret = 0; *c >= '0' && *c <= '9'; c++)
        if (__builtin_mul_overflow(*ret, 10u, ret) ||
            __builtin_add_overflow(*ret, (uint64_t) (*c - '0'), ret))
            return false;
    bool any = c != *text;
    *text = c;
    return any;
}

static bool in_range(const struct config_key *key, uint64_t value)
{
    return value >= key->min && value <= key->max;
}

static err_t read_number(const struct config_key *key, const struct yaml_node *node,
                         struct target *t)
{
    const char *text = node->text;
    uint64_t value = 0;
    for (const struct config_choice *c = key->choices; c && c->name; c++)
        if (node->type == YAML_SCALAR && strcmp(text, c->name) == 0) {
            store_integer(t, key, c->value);
            return ERR_OK;
        }
    bool whole = node->type == YAML_SCALAR && node->plain && read_digits(&text, &value) && !*text;
    if (!whole || !in_range(key, value)) return wrong_value(key, node);
    store_integer(t, key, value * (key->unit ? key->unit : 1));
    return ERR_OK;
}

static err_t read_size(const struct config_key *key, const struct yaml_node *node,
                       struct target *t)
{
    const char *text = node->text;
    uint64_t value = 0, most = 0;
    if (node->type != YAML_SCALAR || !read_digits(&text, &value)) return wrong_value(key, node);
    for (size_t i = 0; i < sizeof(size_units) / sizeof(size_units[0]); i++) {
        most = UINT64_MAX >> size_units[i].shift;
        if (strcmp(text, size_units[i].suffix) != 0 || value > most) continue;
        value <<= size_units[i].shift;
        if (!in_range(key, value)) break;
        store_integer(t, key, value);
        return ERR_OK;
    }
    return wrong_value(key, node);
}

static err_t read_truth(const struct config_key *key, const struct yaml_node *node,
                        struct target *t)
{
    bool plain = node->type == YAML_SCALAR && node->plain;
    bool truth = plain && strcmp(node->text, "true") == 0;
    if (!truth && !(plain && strcmp(node->text, "false") == 0)) return wrong_value(key, node);
    store_integer(t, key, truth);
    return ERR_OK;
}

static err_t read_choice(const struct config_key *key, const struct yaml_node *node,
                         struct target *t)
{
    if (node->type != YAML_SCALAR) return wrong_value(key, node);
    for (const struct config_choice *c = key->choices; c->name; c++) {
        if (strcmp(c->name, node->text) != 0) continue;
        if (key->type == CONFIG_WORD) store_pointer(t, key, c->name);
        else store_integer(t, key, c->value);
        return ERR_OK;
    }
    return wrong_value(key, node);
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((uint8_t) *text < 0x20 || *text == 0x7f) return true;
    return false;
}

/* One text or path, also of a list, checked and copied to the arena. */
static err_t take_text(const struct config_key *key, const struct yaml_node *node,
                       struct target *t, const char **ret)
{
    if (node->type != YAML_SCALAR || yaml_is_null(node)) return wrong_value(key, node);
    const char *text = node->text;
    bool path = key->type != CONFIG_TEXT && key->type != CONFIG_TEXTS;
    if (path && strncmp(text, "file://", 7) == 0) text += 7;
    if (has_control(text)) YAML_FAIL(node, "`%s` takes no control characters", key->path);
    bool empty = !*text;
    if (empty && !(key->flags & CONFIG_MAY_BE_EMPTY)) YAML_FAIL(node, "`%s` is empty", key->path);
    const char *wrong = !empty && key->check ? key->check(text) : NULL;
    if (wrong) YAML_FAIL(node, "`%s` %s", key->path, wrong);
    const char *copy = bump_text(t->arena, span_str(text));
    if (!copy) FAIL(ERR_INTERNAL, "out of memory for the configuration");
    *ret = copy;
    return ERR_OK;
}

static err_t read_text(const struct config_key *key, const struct yaml_node *node,
                       struct target *t)
{
    const char *text = NULL;
    bool null = (key->flags & CONFIG_MAY_BE_NULL) && yaml_is_null(node);
    if (!null) TRY(take_text(key, node, t, &text));
    store_pointer(t, key, text);
    return ERR_OK;
}

/* ---- lists -------------------------------------------------------------------------------- */

static err_t new_list(const struct config_key *key, const struct yaml_node *node,
                      struct target *t, size_t entry, void **ret)
{
    if (node->type != YAML_LIST) return wrong_value(key, node);
    if (node->count > CONFIG_MAX_LIST)
        YAML_FAIL(node, "`%s` has %zu entries, the limit is %u", key->path, node->count,
                  CONFIG_MAX_LIST);
    *ret = bump_alloc(t->arena, entry * node->count);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory for the configuration");
    return ERR_OK;
}

static void store_list(struct target *t, const struct config_key *key, void *list, size_t count)
{
    store_pointer(t, key, list);
    memcpy(t->base + key->count_offset, &count, sizeof(count));
}

static err_t read_texts(const struct config_key *key, const struct yaml_node *node,
                        struct target *t)
{
    void *list = NULL;
    TRY(new_list(key, node, t, sizeof(char *), &list));
    const char **next = list;
    for (const struct yaml_node *child = node->first; child; child = child->next)
        TRY(take_text(key, child, t, next++));
    store_list(t, key, list, node->count);
    return ERR_OK;
}

static err_t need_required(const struct config_table *table, const struct yaml_node *record,
                           const struct config_key *key)
{
    for (size_t i = 0; i < table->count; i++) {
        if (!(table->keys[i].flags & CONFIG_REQUIRED)) continue;
        const struct yaml_node *child = record->first;
        while (child && strcmp(child->key, table->keys[i].path) != 0) child = child->next;
        if (!child)
            YAML_FAIL(record, "an entry of `%s` needs `%s`", key->path, table->keys[i].path);
    }
    return ERR_OK;
}

static err_t read_records(const struct config_key *key, const struct yaml_node *node,
                          struct target *t)
{
    void *list = NULL;
    TRY(new_list(key, node, t, key->record->size, &list));
    uint8_t *next = list;
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        if (child->type != YAML_MAP) return wrong_value(key, child);
        TRY(config_read_map(key->record, child, next, t->arena, NULL));
        TRY(need_required(key->record, child, key));
        next += key->record->size;
    }
    store_list(t, key, list, node->count);
    return ERR_OK;
}

/* ---- mappings ----------------------------------------------------------------------------- */

/* `struct err`, since gcc takes the attribute of err_t for functions only. */
static struct err (*const readers[])(const struct config_key *, const struct yaml_node *,
                                     struct target *) = {
    [CONFIG_TEXT] = read_text,     [CONFIG_PATH] = read_text,     [CONFIG_TRUTH] = read_truth,
    [CONFIG_NUMBER] = read_number, [CONFIG_SIZE] = read_size,     [CONFIG_CHOICE] = read_choice,
    [CONFIG_WORD] = read_choice,   [CONFIG_TEXTS] = read_texts,   [CONFIG_PATHS] = read_texts,
    [CONFIG_PLACE] = read_text,    [CONFIG_PLACES] = read_texts,
    [CONFIG_RECORDS] = read_records,
};

/* A place in the tree of keys: the table and the section's path with its dot, "" for the root. */
struct section {
    const struct config_table *table;
    const char *prefix;
    struct target target;
    const struct yaml_node **seen;
};

/* The part of a key's path that stands in this section: "name" or "inner" of "inner.name". */
static bool member_of(const struct section *s, const struct config_key *key, char out[PATH_TEXT])
{
    size_t len = strlen(s->prefix);
    if (strncmp(key->path, s->prefix, len) != 0) return false;
    const char *name = key->path + len;
    size_t end = strcspn(name, ".");
    ENSURE(end < PATH_TEXT);
    memcpy(out, name, end);
    out[end] = 0;
    return true;
}

static err_t unknown_key(const struct section *s, const char *path, const struct yaml_node *node)
{
    const char *why = config_absent_key(path, node->key);
    if (why) YAML_FAIL_KEY(node, "%s", why);
    char name[PATH_TEXT] = "", best[PATH_TEXT] = "";
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < s->table->count; i++) {
        if (!member_of(s, &s->table->keys[i], name)) continue;
        size_t distance = nearest_distance(node->key, name);
        if (distance >= least) continue;
        least = distance;
        memcpy(best, name, sizeof(best));
    }
    char shown[SHOWN_TEXT];
    log_escape(shown, sizeof(shown), span_str(node->key));
    if (nearest_is_near(node->key, least))
        YAML_FAIL_KEY(node, "unknown key `%s`; did you mean `%s`?", shown, best);
    YAML_FAIL_KEY(node, "unknown key `%s`; `strongroom serve --print-defaults` lists all", shown);
}

static err_t read_section(const struct section *s, const struct yaml_node *map);

/* A key of the table, a section of it, or unknown. */
static err_t read_member(const struct section *s, const struct yaml_node *node)
{
    char path[PATH_TEXT] = "", name[PATH_TEXT] = "";
    int len = snprintf(path, sizeof(path), "%s%s", s->prefix, node->key);
    if (len < 0 || (size_t) len + 2 > sizeof(path)) return unknown_key(s, "", node);
    for (size_t i = 0; i < s->table->count; i++) {
        const struct config_key *key = &s->table->keys[i];
        /* The name has no dot, so `token.uri:` in one line is not mistaken for a key. */
        if (!member_of(s, key, name) || strcmp(name, node->key) != 0) continue;
        if (strcmp(key->path, path) == 0) {
            struct target target = s->target;
            if (s->seen) s->seen[i] = node;
            return readers[key->type](key, node, &target);
        }
        memcpy(path + len, ".", 2); /* room for it was asked above */
        struct section inner = *s;
        inner.prefix = path;
        return read_section(&inner, node);
    }
    return unknown_key(s, path, node);
}

/* Recursion is bounded by yaml.c (YAML_MAX_DEPTH) and by the dots in the table's paths. */
static err_t read_section(const struct section *s, const struct yaml_node *map)
{
    if (yaml_is_null(map)) return ERR_OK;
    if (map->type != YAML_MAP) {
        int len = *s->prefix ? (int) strlen(s->prefix) - 1 : 0;
        YAML_FAIL(map, "%s%.*s%s takes keys and values, such as `name: value`",
                  len ? "`" : "the file", len, s->prefix, len ? "`" : "");
    }
    for (const struct yaml_node *child = map->first; child; child = child->next)
        TRY(read_member(s, child));
    return ERR_OK;
}

err_t config_read_map(const struct config_table *table, const struct yaml_node *map, void *base,
                      struct bump *arena, const struct yaml_node **seen)
{
    const struct section root = {table, "", {base, arena}, seen};
    return read_section(&root, map);
}
