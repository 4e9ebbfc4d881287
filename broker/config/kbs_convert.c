#include "broker/config/kbs_convert_internal.h"

#include "broker/base/cleanup.h"
#include "broker/base/json.h"
#include "broker/config/config_print.h"
#include "broker/config/config_value.h"

#include <stdio.h>
#include <string.h>

#define PATH_ROOM 300  /* characters of a path in the KBS's file that a note shows */
#define UNKNOWN "no key that a KBS of today knows"

/* ---- notes --------------------------------------------------------------------------------- */

/* The section of ours that a path belongs to; "" for none. */
static const char *section_of(const char *path)
{
    size_t len = strcspn(path, ".[");
    for (size_t i = 0; i < config_keys.count; i++) {
        const char *ours = config_keys.keys[i].path;
        if (strncmp(ours, path, len) == 0 && ours[len] == '.') return ours;
    }
    return "";
}

struct err kbs_tell(struct kbs_converter *c, const char *path, const char *section, bool left,
                    const char *sentence)
{
    char shown[PATH_ROOM], name[40];
    log_escape(shown, sizeof shown, span_str(path));
    const char *in = section_of(section ? section : path);
    snprintf(name, sizeof name, "%.*s", (int) strcspn(in, "."), in);
    struct kbs_note *note = bump_alloc(&c->out->arena, sizeof *note);
    if (!note) FAIL(ERR_INTERNAL, "out of memory for a note");
    note->path = bump_text(&c->out->arena, span_str(shown));
    note->section = bump_text(&c->out->arena, span_str(name));
    note->sentence = bump_text(&c->out->arena, span_str(sentence));
    note->left = left;
    if (!note->path || !note->section || !note->sentence)
        FAIL(ERR_INTERNAL, "out of memory for a note");
    if (c->last) c->last->next = note;
    else c->out->notes = note;
    c->last = note;
    c->out->left += left;
    return ERR_OK;
}

/* ---- values -------------------------------------------------------------------------------- */

/* {"a":{"b":JSON}} for a.b */
static void nest(struct buf *out, const char *path, const char *json)
{
    size_t depth = 0;
    for (const char *at = path; *at; depth++) {
        size_t len = strcspn(at, ".");
        buf_addf(out, "{\"%.*s\":", (int) len, at);
        at += at[len] ? len + 1 : len;
    }
    buf_add_str(out, json);
    while (depth--) buf_add_byte(out, '}');
}

/* The place is one of a text that nobody has seen. */
static const char *without_place(struct err e)
{
    const char *reason = err_reason(e), *sentence = strstr(reason, ": ");
    return sentence ? sentence + 2 : reason;
}

/* Our own reader decides: what it takes is right, and what it does not take it says why. */
struct err kbs_try(struct kbs_converter *c, const char *ours, const char *json)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    _cleanup_(bump_free) struct bump arena = {0};
    struct yaml_node *root = NULL;
    struct config scratch = {0};
    (void) c;
    nest(&text, ours, json);
    TRY(buf_ok(&text));
    struct err e = yaml_parse(buf_span(&text), "kbs", &arena, &root);
    if (err_ok(e)) e = config_read_map(&config_keys, root, &scratch, &arena, NULL);
    if (err_ok(e) || e.code == ERR_INTERNAL) return e;
    char reason[ERR_TEXT];
    snprintf(reason, sizeof reason, "%s", without_place(e));
    FAIL(ERR_USAGE, "%s", reason);
}

static const char **slot(const struct kbs_converter *c, const char *ours)
{
    for (size_t i = 0; i < config_keys.count; i++)
        if (strcmp(config_keys.keys[i].path, ours) == 0) return &c->values[i];
    return NULL;
}

bool kbs_has(const struct kbs_converter *c, const char *ours)
{
    const char **at = slot(c, ours);
    return at && *at;
}

struct err kbs_put(struct kbs_converter *c, const char *ours, const char *json)
{
    const char **at = slot(c, ours);
    TRY(kbs_try(c, ours, json));
    ENSURE(at != NULL);
    if (*at) FAIL(ERR_USAGE, "an earlier key says %s already", ours);
    *at = bump_text(&c->arena, span_str(json));
    if (!*at) FAIL(ERR_INTERNAL, "out of memory for the configuration");
    return ERR_OK;
}

void kbs_put_scalar(struct buf *out, const struct yaml_node *node)
{
    size_t digits = strspn(node->text, "0123456789");
    bool number = digits && !node->text[digits] && digits < 19 && (node->text[0] != '0' || digits == 1);
    bool truth = strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0;
    struct json_out o = JSON_OUT(out);
    if (node->plain && (number || truth)) buf_add_str(out, node->text);
    else json_put_span(&o, span_str(node->text));
}

static err_t put_or_tell(struct kbs_converter *c, const char *path, const char *ours,
                         const char *json)
{
    char reason[ERR_TEXT];
    struct err e = kbs_put(c, ours, json);
    if (e.code != ERR_USAGE) return e;
    snprintf(reason, sizeof reason, "%s", err_reason(e));
    return kbs_tell(c, path, ours, true, reason);
}

/* The entries that our table takes, the others told one by one. */
static err_t copy_list(struct kbs_converter *c, const char *path, const struct yaml_node *node,
                       const char *ours)
{
    _cleanup_buf_ struct buf list = BUF_INIT;
    size_t index = 0, taken = 0;
    buf_add_byte(&list, '[');
    for (const struct yaml_node *child = node->first; child; child = child->next, index++) {
        char inner[PATH_ROOM], reason[ERR_TEXT] = "an entry is a text";
        _cleanup_buf_ struct buf one = BUF_INIT, alone = BUF_INIT;
        snprintf(inner, sizeof inner, "%s[%zu]", path, index);
        struct err e = {ERR_USAGE};
        if (child->type == YAML_SCALAR) {
            kbs_put_scalar(&one, child);
            buf_addf(&alone, "[%s]", buf_str(&one));
            e = kbs_try(c, ours, buf_str(&alone));
            if (!err_ok(e)) snprintf(reason, sizeof reason, "%s", err_reason(e));
        }
        if (e.code == ERR_INTERNAL) return e;
        if (!err_ok(e)) TRY(kbs_tell(c, inner, ours, true, reason));
        else buf_addf(&list, "%s%s", taken++ ? ", " : "", buf_str(&one));
    }
    buf_add_byte(&list, ']');
    TRY(buf_ok(&list));
    return taken || !index ? put_or_tell(c, path, ours, buf_str(&list)) : ERR_OK;
}

struct err kbs_copy(struct kbs_converter *c, const char *path, const struct yaml_node *node,
                    const char *ours)
{
    _cleanup_buf_ struct buf json = BUF_INIT;
    if (node->type == YAML_LIST) return copy_list(c, path, node, ours);
    if (node->type == YAML_MAP) return kbs_tell(c, path, ours, true, "a single value is expected");
    kbs_put_scalar(&json, node);
    TRY(buf_ok(&json));
    return put_or_tell(c, path, ours, buf_str(&json));
}

/* ---- the walk ------------------------------------------------------------------------------ */

static const struct kbs_row *row_of(const char *path)
{
    for (size_t i = 0; i < kbs_row_count; i++)
        if (strcmp(kbs_rows[i].kbs, path) == 0) return &kbs_rows[i];
    return NULL;
}

static err_t use_row(struct kbs_converter *c, const struct kbs_row *row, const char *path,
                     const struct yaml_node *node)
{
    if (row->handler) return row->handler(c, path, node);
    if (row->ours) return kbs_copy(c, path, node, row->ours);
    return kbs_tell(c, path, row->section, !row->harmless, row->sentence);
}

/* Recursion is bounded by YAML_MAX_DEPTH. A key that is null is as one that is not there. */
static err_t walk(struct kbs_converter *c, const char *path, const struct yaml_node *node)
{
    const struct kbs_row *row = row_of(path);
    if (yaml_is_null(node)) return ERR_OK;
    if (row) return use_row(c, row, path, node);
    if (node->type != YAML_MAP) return kbs_tell(c, path, NULL, true, UNKNOWN);
    for (const struct yaml_node *child = node->first; child; child = child->next) {
        char inner[PATH_ROOM];
        int len = snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", child->key);
        if (len < 0 || (size_t) len >= sizeof inner) TRY(kbs_tell(c, inner, NULL, true, UNKNOWN));
        else TRY(walk(c, inner, child));
    }
    return ERR_OK;
}

/* ---- the text ------------------------------------------------------------------------------ */

static void print_notes(const struct kbs_conversion *out, const char *section, size_t depth,
                        struct buf *ret)
{
    for (const struct kbs_note *n = out->notes; n; n = n->next) {
        _cleanup_buf_ struct buf line = BUF_INIT;
        if (strcmp(n->section, section) != 0) continue;
        buf_addf(&line, "%s%s: %s.", n->left ? "NOT CARRIED OVER: " : "", n->path, n->sentence);
        config_print_comment(ret, depth, "# ", buf_str(&line));
    }
}

static bool has_notes(const struct kbs_conversion *out, const char *section)
{
    const struct kbs_note *n = out->notes;
    while (n && strcmp(n->section, section) != 0) n = n->next;
    return n != NULL;
}

static void print_values(const struct kbs_converter *c, struct buf *ret)
{
    char section[40] = "", before[60] = "";
    const char *last = before;
    for (size_t i = 0; i < config_keys.count; i++) {
        const char *path = config_keys.keys[i].path;
        size_t len = strcspn(path, ".");
        bool begins = strncmp(path, section, len) != 0 || section[len];
        snprintf(section, sizeof section, "%.*s", (int) len, path);
        if (begins && has_notes(c->out, section)) {
            snprintf(before, sizeof before, "%s.notes", section);
            config_print_sections(ret, before, "");
            print_notes(c->out, section, 1, ret);
            last = before;
        }
        if (!c->values[i]) continue;
        size_t depth = config_print_sections(ret, path, last);
        config_print_indent(ret, depth);
        buf_addf(ret, "%s: %s\n", strrchr(path, '.') + 1, c->values[i]);
        last = path;
    }
}

static err_t print(struct kbs_converter *c, const char *name)
{
    char shown[120];
    struct buf *ret = &c->out->yaml;
    buf_addf(ret, "# Strongroom, converted from the KBS configuration %s.\n",
             log_escape(shown, sizeof shown, span_str(name)));
    buf_add_str(ret, "# What is not here has its default: strongroom serve --print-defaults\n");
    print_notes(c->out, "", 0, ret);
    print_values(c, ret);
    return buf_ok(ret);
}

/* Each key was tried alone; what they say about each other only the whole shows. */
static err_t check_whole(struct kbs_converter *c, const char *name)
{
    struct config *config = NULL;
    char reason[ERR_TEXT];
    TRY(print(c, name));
    struct err e = config_parse(buf_span(&c->out->yaml), "it", &config);
    config_free(config);
    if (e.code != ERR_USAGE) return e;
    snprintf(reason, sizeof reason, "the result is not right yet: %.190s", without_place(e));
    TRY(kbs_tell(c, "(all)", "", true, reason));
    buf_reset(&c->out->yaml);
    return print(c, name);
}

static void converter_done(struct kbs_converter *c)
{
    bump_free(&c->arena);
    buf_free(&c->providers);
    buf_free(&c->acls);
    buf_free(&c->free_acls);
    free(c->values);
}

struct err kbs_convert(const struct yaml_node *root, const char *name, struct kbs_conversion *ret)
{
    *ret = (struct kbs_conversion){0};
    _cleanup_(converter_done) struct kbs_converter c = {.out = ret};
    c.values = calloc(config_keys.count, sizeof *c.values);
    if (!c.values) FAIL(ERR_INTERNAL, "out of memory");
    TRY(walk(&c, "", root));
    TRY(kbs_finish(&c));
    return check_whole(&c, name);
}

void kbs_conversion_done(struct kbs_conversion *c)
{
    buf_free(&c->yaml);
    bump_free(&c->arena);
    *c = (struct kbs_conversion){0};
}
