/* Keys, values and tables of TOML 1.0.0; words are in toml_lex.c, the tree in toml_tree.c. */
#include "broker/base/toml.h"

#include "broker/base/cleanup.h"
#include "broker/base/limits.h"
#include "broker/base/toml_lex.h"
#include "broker/base/toml_tree.h"

#include <string.h>

struct parser {
    struct toml_cursor c;
    struct toml_tree tree;
    struct toml_node *table; /* that key/value lines go to */
};

struct key {
    const char *parts[TOML_MAX_DEPTH];
    size_t count;
    size_t pos; /* where it begins */
};

/* toml_tree_add, with the place in the error: the tree knows none. */
static err_t add(struct parser *p, size_t pos, struct toml_node *parent, const char *name,
                 enum toml_kind kind, enum toml_origin origin, struct toml_node **ret)
{
    struct err e = toml_tree_add(&p->tree, parent, name, kind, origin, ret);
    if (err_ok(e)) return ERR_OK;
    struct toml_place place = toml_place(&p->c, pos); /* linear, hence only now */
    TRYC(e, "TOML line %zu, column %zu", place.line, place.column);
    return ERR_OK;
}

static err_t value(struct parser *p, struct toml_node *parent, const char *name);

/* ---- keys --------------------------------------------------------------------------------- */

static bool bare_char(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
}

static err_t key_part(struct parser *p, const char **ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    int first = toml_peek(&p->c);
    if (first == '"' || first == '\'') {
        TRY(toml_string(&p->c, false, &text));
    } else {
        size_t start = p->c.pos;
        while (bare_char(toml_peek(&p->c))) p->c.pos++;
        if (p->c.pos == start) TOML_FAIL(&p->c, start, "expected a key");
        buf_add(&text, p->c.text.data + start, p->c.pos - start);
    }
    TRY(buf_ok(&text));
    *ret = bump_text(&p->tree.arena, buf_span(&text));
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory for a TOML key");
    return ERR_OK;
}

static err_t dotted_key(struct parser *p, struct key *ret)
{
    ret->pos = p->c.pos;
    ret->count = 0;
    do {
        toml_skip_blanks(&p->c);
        if (ret->count == TOML_MAX_DEPTH)
            FAIL(ERR_TOOLARGE, "TOML key of more than %u parts", TOML_MAX_DEPTH);
        TRY(key_part(p, &ret->parts[ret->count]));
        ret->count++;
        toml_skip_blanks(&p->c);
    } while (toml_take(&p->c, "."));
    return ERR_OK;
}

static const char *last_part(const struct key *key)
{
    return key->parts[key->count - 1];
}

/* The table that a dotted key's last part goes to. Only tables that dotted keys made are open to
 * them ("Keys": one cannot use dotted keys to redefine tables already defined in [table] form). */
static err_t open_by_dots(struct parser *p, const struct key *key, struct toml_node *from,
                          struct toml_node **ret)
{
    for (size_t i = 0; i + 1 < key->count; i++) {
        struct toml_node *next = toml_tree_find(&p->tree, from, key->parts[i]);
        if (!next)
            TRY(add(p, key->pos, from, key->parts[i], TOML_TABLE, TOML_BY_DOTS, &next));
        else if (next->kind != TOML_TABLE || next->origin != TOML_BY_DOTS)
            TOML_FAIL(&p->c, key->pos, "`%s` is defined already, a dotted key cannot extend it",
                      key->parts[i]);
        from = next;
    }
    *ret = from;
    return ERR_OK;
}

static err_t key_value(struct parser *p, struct toml_node *table)
{
    struct key key = {.count = 0};
    TRY(dotted_key(p, &key));
    if (!toml_take(&p->c, "=")) TOML_FAIL(&p->c, p->c.pos, "expected `=` after the key");
    toml_skip_blanks(&p->c);
    struct toml_node *parent = NULL;
    TRY(open_by_dots(p, &key, table, &parent));
    if (toml_tree_find(&p->tree, parent, last_part(&key)))
        TOML_FAIL(&p->c, key.pos, "`%s` is defined twice", last_part(&key));
    return value(p, parent, last_part(&key));
}

/* ---- values ------------------------------------------------------------------------------- */

static err_t add_text(struct parser *p, struct toml_node *parent, const char *name, size_t pos,
                      enum toml_kind kind, const struct buf *text)
{
    struct toml_node *node = NULL;
    TRY(add(p, pos, parent, name, kind, TOML_BY_VALUE, &node));
    node->text.data = (const uint8_t *) bump_text(&p->tree.arena, buf_span(text));
    node->text.len = text->len;
    if (!node->text.data) FAIL(ERR_INTERNAL, "out of memory for a TOML value");
    return ERR_OK;
}

static err_t string_value(struct parser *p, struct toml_node *parent, const char *name)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    size_t pos = p->c.pos;
    TRY(toml_string(&p->c, true, &text));
    return add_text(p, parent, name, pos, TOML_STRING, &text);
}

static err_t scalar_value(struct parser *p, struct toml_node *parent, const char *name)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    size_t pos = p->c.pos;
    bool json = false;
    TRY(toml_scalar(&p->c, &text, &json));
    return add_text(p, parent, name, pos, json ? TOML_LITERAL : TOML_STRING, &text);
}

static err_t array_value(struct parser *p, struct toml_node *parent, const char *name)
{
    struct toml_node *array = NULL;
    size_t pos = p->c.pos++;
    TRY(add(p, pos, parent, name, TOML_ARRAY, TOML_BY_VALUE, &array));
    for (;;) {
        toml_skip_lines(&p->c);
        if (toml_take(&p->c, "]")) return ERR_OK;
        TRY(value(p, array, NULL));
        toml_skip_lines(&p->c);
        if (toml_take(&p->c, "]")) return ERR_OK;
        if (!toml_take(&p->c, ",")) TOML_FAIL(&p->c, p->c.pos, "expected `,` or `]` in the array");
    }
}

/* One line, no trailing comma (TOML 1.0.0 "Inline Table"). While it is read, the table is open to
 * its own keys only: they start from it, and no other path leads here. */
static err_t inline_table(struct parser *p, struct toml_node *parent, const char *name)
{
    struct toml_node *table = NULL;
    size_t pos = p->c.pos++;
    TRY(add(p, pos, parent, name, TOML_TABLE, TOML_BY_VALUE, &table));
    toml_skip_blanks(&p->c);
    if (toml_take(&p->c, "}")) return ERR_OK;
    do {
        toml_skip_blanks(&p->c);
        TRY(key_value(p, table));
        toml_skip_blanks(&p->c);
    } while (toml_take(&p->c, ","));
    if (!toml_take(&p->c, "}"))
        TOML_FAIL(&p->c, p->c.pos, "expected `,` or `}` in the inline table");
    return ERR_OK;
}

/* Recursion ends at TOML_MAX_DEPTH: whatever calls back here has added a node one level deeper. */
static err_t value(struct parser *p, struct toml_node *parent, const char *name)
{
    static const struct {
        char first;
        err_t (*read)(struct parser *, struct toml_node *, const char *);
    } kinds[] = {{'"', string_value}, {'\'', string_value}, {'[', array_value},
                 {'{', inline_table}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (toml_peek(&p->c) == kinds[i].first) return kinds[i].read(p, parent, name);
    return scalar_value(p, parent, name);
}

/* ---- tables ------------------------------------------------------------------------------- */

/* The table above a header's last part. Elements of an array of tables are reached by its last. */
static err_t open_by_path(struct parser *p, const struct key *key, struct toml_node **ret)
{
    struct toml_node *at = p->tree.root;
    for (size_t i = 0; i + 1 < key->count; i++) {
        struct toml_node *next = toml_tree_find(&p->tree, at, key->parts[i]);
        if (!next)
            TRY(add(p, key->pos, at, key->parts[i], TOML_TABLE, TOML_BY_PATH, &next));
        if (next->origin == TOML_BY_VALUE)
            TOML_FAIL(&p->c, key->pos, "`%s` is a value already, no table can stand beneath it",
                      key->parts[i]);
        at = next->kind == TOML_ARRAY ? next->last : next;
    }
    *ret = at;
    return ERR_OK;
}

static err_t define_table(struct parser *p, const struct key *key, struct toml_node *parent)
{
    struct toml_node *table = toml_tree_find(&p->tree, parent, last_part(key));
    if (!table)
        TRY(add(p, key->pos, parent, last_part(key), TOML_TABLE, TOML_BY_HEADER, &table));
    else if (table->kind != TOML_TABLE || table->origin != TOML_BY_PATH)
        TOML_FAIL(&p->c, key->pos, "`%s` is defined twice", last_part(key));
    table->origin = TOML_BY_HEADER;
    p->table = table;
    return ERR_OK;
}

static err_t define_element(struct parser *p, const struct key *key, struct toml_node *parent)
{
    struct toml_node *array = toml_tree_find(&p->tree, parent, last_part(key));
    if (!array)
        TRY(add(p, key->pos, parent, last_part(key), TOML_ARRAY, TOML_BY_HEADER, &array));
    else if (array->kind != TOML_ARRAY || array->origin != TOML_BY_HEADER)
        TOML_FAIL(&p->c, key->pos, "`%s` is defined already and is no array of tables",
                  last_part(key));
    TRY(add(p, key->pos, array, NULL, TOML_TABLE, TOML_BY_HEADER, &p->table));
    return ERR_OK;
}

static err_t header(struct parser *p)
{
    bool element = toml_take(&p->c, "[[");
    if (!element) p->c.pos++;
    struct key key = {.count = 0};
    TRY(dotted_key(p, &key));
    const char *close = element ? "]]" : "]";
    if (!toml_take(&p->c, close))
        TOML_FAIL(&p->c, p->c.pos, "expected `%s` after the table's name", close);
    struct toml_node *parent = NULL;
    TRY(open_by_path(p, &key, &parent));
    TRY(element ? define_element(p, &key, parent) : define_table(p, &key, parent));
    return toml_end_line(&p->c, "the table's name");
}

static err_t document(struct parser *p)
{
    for (;;) {
        toml_skip_lines(&p->c);
        if (toml_peek(&p->c) < 0) return ERR_OK;
        if (toml_peek(&p->c) == '[') {
            TRY(header(p));
        } else {
            TRY(key_value(p, p->table));
            TRY(toml_end_line(&p->c, "the value"));
        }
    }
}

static void parser_done(struct parser *p)
{
    toml_tree_done(&p->tree);
}

err_t toml_to_json(struct span text, struct buf *ret)
{
    TRY(toml_check_text(text));
    _cleanup_(parser_done) struct parser p = {.c = {.text = text}};
    TRY(toml_tree_init(&p.tree));
    p.table = p.tree.root;
    TRY(document(&p));
    return toml_tree_print(&p.tree, ret);
}
