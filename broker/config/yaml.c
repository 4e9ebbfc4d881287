#include "broker/config/yaml.h"

#include "broker/base/cleanup.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <libfyaml.h>
#include <string.h>

struct parser {
    struct fy_parser *fy;
    struct fy_diag *diag;
    struct bump *arena;
    const char *name;
    unsigned documents;
    struct yaml_node *root;
    struct yaml_node *open[YAML_MAX_DEPTH]; /* containers we are in, outermost first */
    size_t depth;
    struct yaml_node *key; /* a key that waits for its value */
    unsigned line, column; /* of the last token that had a place */
};

static void parser_done(struct parser *p)
{
    if (p->fy) fy_parser_destroy(p->fy);
    if (p->diag) fy_diag_destroy(p->diag);
}

#define FAIL_HERE(p, code, fmt, ...)                                             \
    FAIL(code, "%s:%u:%u: " fmt, (p)->name, (p)->line, (p)->column __VA_OPT__(, ) __VA_ARGS__)

/* libfyaml's own errors are collected, never printed. */
static err_t parser_init(struct parser *p, struct span text)
{
    struct fy_diag_cfg diag = {.level = FYET_ERROR, .module_mask = UINT32_MAX};
    p->diag = fy_diag_create(&diag);
    if (!p->diag) FAIL(ERR_INTERNAL, "out of memory to read %s", p->name);
    fy_diag_set_collect_errors(p->diag, true);
    const struct fy_parse_cfg config = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
        .diag = p->diag,
    };
    p->fy = fy_parser_create(&config);
    if (!p->fy || fy_parser_set_string(p->fy, (const char *) text.data, text.len) != 0)
        FAIL(ERR_INTERNAL, "out of memory to read %s", p->name);
    return ERR_OK;
}

static err_t syntax_error(struct parser *p)
{
    void *first = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(p->diag, &first);
    if (!e || !e->msg) FAIL_HERE(p, ERR_USAGE, "no valid YAML from here on");
    FAIL(ERR_USAGE, "%s:%d:%d: no valid YAML: %s", p->name, e->line, e->column, e->msg);
}

static struct yaml_node *new_node(struct parser *p, enum yaml_type type)
{
    struct yaml_node *node = bump_alloc(p->arena, sizeof(*node));
    if (node)
        *node = (struct yaml_node){.type = type, .file = p->name, .line = p->line,
                                   .column = p->column};
    return node;
}

static err_t new_scalar(struct parser *p, struct fy_event *event, struct yaml_node **ret)
{
    size_t len = 0;
    const char *text = fy_token_get_text(event->scalar.value, &len);
    if (!text) len = 0;
    if (len && memchr(text, 0, len)) FAIL_HERE(p, ERR_USAGE, "no text here may contain U+0000");
    struct yaml_node *node = new_node(p, YAML_SCALAR);
    char *copy = bump_text(p->arena, span_of(text, len));
    if (!node || !copy) FAIL(ERR_INTERNAL, "out of memory to read %s", p->name);
    node->text = copy;
    node->plain = !event->scalar.value ||
                  fy_scalar_token_get_style(event->scalar.value) == FYSS_PLAIN;
    *ret = node;
    return ERR_OK;
}

static err_t take_key(struct parser *p, struct yaml_node *map, struct yaml_node *node)
{
    if (node->type != YAML_SCALAR) YAML_FAIL(node, "a key must be a plain word");
    for (const struct yaml_node *other = map->first; other; other = other->next)
        if (strcmp(other->key, node->text) == 0)
            YAML_FAIL(node, "this key is in line %u already; a key may stand once",
                      other->key_line);
    p->key = node;
    return ERR_OK;
}

/* Hangs a finished scalar or a container that begins where it belongs. */
static err_t place_node(struct parser *p, struct yaml_node *node)
{
    if (p->depth == 0) {
        p->root = node;
        return ERR_OK;
    }
    struct yaml_node *parent = p->open[p->depth - 1];
    if (parent->type == YAML_MAP && !p->key) return take_key(p, parent, node);
    if (parent->count == YAML_MAX_ENTRIES)
        FAIL_HERE(p, ERR_TOOLARGE, "more than %u entries", YAML_MAX_ENTRIES);
    if (parent->type == YAML_MAP) {
        node->key = p->key->text;
        node->key_line = p->key->line;
        node->key_column = p->key->column;
        p->key = NULL;
    }
    if (parent->last) parent->last->next = node;
    else parent->first = node;
    parent->last = node;
    parent->count++;
    return ERR_OK;
}

static err_t open_container(struct parser *p, enum yaml_type type)
{
    if (p->depth == YAML_MAX_DEPTH)
        FAIL_HERE(p, ERR_TOOLARGE, "nested deeper than %u levels", YAML_MAX_DEPTH);
    struct yaml_node *node = new_node(p, type);
    if (!node) FAIL(ERR_INTERNAL, "out of memory to read %s", p->name);
    TRY(place_node(p, node));
    p->open[p->depth++] = node;
    return ERR_OK;
}

/* What hides a value from the eye of whoever reviews the file. */
static err_t refuse_indirection(struct parser *p, struct fy_event *event)
{
    if (event->type == FYET_ALIAS || fy_event_get_anchor_token(event))
        FAIL_HERE(p, ERR_USAGE, "anchors and aliases are not accepted; write the value out");
    if (fy_event_get_tag_token(event))
        FAIL_HERE(p, ERR_USAGE, "tags are not accepted; write the bare value");
    return ERR_OK;
}

static err_t take_event(struct parser *p, struct fy_event *event)
{
    TRY(refuse_indirection(p, event));
    struct yaml_node *node = NULL;
    switch (event->type) {
    case FYET_DOCUMENT_START:
        if (++p->documents > 1) FAIL_HERE(p, ERR_USAGE, "a second document begins; one is read");
        return ERR_OK;
    case FYET_MAPPING_START: return open_container(p, YAML_MAP);
    case FYET_SEQUENCE_START: return open_container(p, YAML_LIST);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END: p->depth--; return ERR_OK;
    case FYET_SCALAR: TRY(new_scalar(p, event, &node)); return place_node(p, node);
    default: return ERR_OK;
    }
}

/* An empty value has no token of its own: then it stands where its key stands. */
static void note_place(struct parser *p, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (!mark) return;
    p->line = (unsigned) mark->line + 1;
    p->column = (unsigned) mark->column + 1;
    if (event->type != FYET_SCALAR || !event->scalar.value) return;
    /* The mark of a quoted scalar is behind its quote. */
    enum fy_scalar_style style = fy_scalar_token_get_style(event->scalar.value);
    bool quoted = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    if (quoted && p->column > 1) p->column--;
}

static err_t parse(struct parser *p)
{
    for (;;) {
        struct fy_event *event = fy_parser_parse(p->fy);
        if (!event) return syntax_error(p);
        note_place(p, event);
        bool end = event->type == FYET_STREAM_END;
        struct err e = take_event(p, event);
        fy_parser_event_free(p->fy, event);
        if (end || !err_ok(e)) return e;
    }
}

err_t yaml_parse(struct span text, const char *name, struct bump *arena, struct yaml_node **ret)
{
    if (!utf8_valid(text) || (text.len && memchr(text.data, 0, text.len)))
        FAIL(ERR_USAGE, "%s: the text is not UTF-8", name);
    _cleanup_(parser_done) struct parser p = {.arena = arena, .line = 1, .column = 1};
    p.name = bump_text(arena, span_str(name));
    if (!p.name) FAIL(ERR_INTERNAL, "out of memory to read %s", name);
    /* libfyaml refuses a NULL text even when it is empty. */
    if (text.len == 0) text = SPAN_LIT("\n");
    TRY(parser_init(&p, text));
    TRY(parse(&p));
    *ret = p.root;
    return ERR_OK;
}

bool yaml_is_null(const struct yaml_node *node)
{
    if (node->type != YAML_SCALAR || !node->plain) return false;
    return !*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0;
}
