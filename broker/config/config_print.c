/* The reference: the table of keys as a complete, commented YAML file. */
#include "broker/config/config_print.h"

#include "broker/config/config_value.h"

#include <string.h>

#define LINE_WIDTH 92 /* characters of a comment line */

void config_print_indent(struct buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++) buf_add_str(out, "  ");
}

void config_print_comment(struct buf *out, size_t depth, const char *lead, const char *text)
{
    while (*text) {
        size_t len = strlen(text), room = LINE_WIDTH - 2 * depth - strlen(lead);
        if (len > room) {
            const char *space = memrchr(text, ' ', room);
            len = space ? (size_t) (space - text) : len;
        }
        config_print_indent(out, depth);
        buf_add_str(out, lead);
        buf_add(out, text, len);
        buf_add_byte(out, '\n');
        text += len;
        while (*text == ' ') text++;
    }
}

static void print_takes(struct buf *out, size_t depth, const char *lead,
                        const struct config_key *key)
{
    _cleanup_buf_ struct buf takes = BUF_INIT;
    buf_add_byte(&takes, '(');
    config_describe(key, &takes);
    if (key->flags & CONFIG_RELOADED) buf_add_str(&takes, "; SIGHUP applies it");
    buf_add_byte(&takes, ')');
    config_print_comment(out, depth, lead, buf_str(&takes));
}

static void print_record(struct buf *out, size_t depth, const struct config_table *record)
{
    config_print_comment(out, depth, "# ", "Each entry has:");
    for (size_t i = 0; i < record->count; i++) {
        _cleanup_buf_ struct buf line = BUF_INIT;
        buf_addf(&line, "%s (", record->keys[i].path);
        config_describe(&record->keys[i], &line);
        buf_addf(&line, "): %s", record->keys[i].doc);
        config_print_comment(out, depth, "#   ", buf_str(&line));
    }
}

size_t config_print_sections(struct buf *out, const char *path, const char *before)
{
    size_t depth = 0;
    bool shared = true;
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t) (dot - path) + 1;
        shared = shared && strncmp(path, before, len) == 0;
        if (!shared) {
            const char *name = memrchr(path, '.', len - 1);
            name = name ? name + 1 : path;
            if (depth == 0) buf_add_byte(out, '\n');
            config_print_indent(out, depth);
            buf_addf(out, "%.*s:\n", (int) (dot - name), name);
        }
        depth++;
    }
    return depth;
}

err_t config_defaults(struct buf *ret)
{
    buf_add_str(ret, "# Strongroom: every key of the configuration with its default.\n");
    const char *before = "";
    for (size_t i = 0; i < config_keys.count; i++) {
        const struct config_key *key = &config_keys.keys[i];
        size_t depth = config_print_sections(ret, key->path, before);
        config_print_comment(ret, depth, "# ", key->doc);
        print_takes(ret, depth, "# ", key);
        if (key->record) print_record(ret, depth, key->record);
        config_print_indent(ret, depth);
        buf_addf(ret, "%s: %s\n", strrchr(key->path, '.') + 1, key->fallback);
        before = key->path;
    }
    return buf_ok(ret);
}

void config_print_defaults(FILE *out)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    if (err_ok(config_defaults(&text))) fwrite(text.data, 1, text.len, out);
}
