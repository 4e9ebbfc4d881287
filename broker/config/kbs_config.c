#include "broker/config/kbs_config.h"

#include "broker/base/cleanup.h"
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/base/toml.h"

#include <string.h>

enum format { FORMAT_NONE, FORMAT_TOML, FORMAT_YAML };

static enum format format_of(const char *path)
{
    static const struct {
        const char *end;
        enum format format;
    } rows[] = {{".toml", FORMAT_TOML}, {".yaml", FORMAT_YAML}, {".yml", FORMAT_YAML},
                {".json", FORMAT_YAML} /* JSON is YAML too */};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(dot, rows[i].end) == 0) return rows[i].format;
    return FORMAT_NONE;
}

/* Such files hold PINs and passwords now and then. */
static void wipe(struct buf *b)
{
    if (b->data) explicit_bzero(b->data, b->len);
    buf_free(b);
}
#define _cleanup_wiped_ _cleanup_(wipe)

static err_t parse_toml(struct span text, const char *path, struct bump *arena,
                        struct yaml_node **ret)
{
    _cleanup_wiped_ struct buf json = BUF_INIT;
    TRYC(toml_to_json(text, &json), "%s", path);
    return yaml_parse(buf_span(&json), path, arena, ret);
}

struct err kbs_config_parse(struct span text, const char *path, struct bump *arena,
                            struct yaml_node **ret)
{
    struct yaml_node *root = NULL;
    enum format format = format_of(path);
    if (format == FORMAT_NONE)
        FAIL(ERR_USAGE, "%s: the name of a KBS configuration ends in .toml, .yaml, .yml or .json",
             path);
    if (text.len > CONFIG_MAX)
        FAIL(ERR_TOOLARGE, "%s has %zu bytes, the limit is %u", path, text.len, CONFIG_MAX);
    if (format == FORMAT_TOML) TRY(parse_toml(text, path, arena, &root));
    else TRY(yaml_parse(text, path, arena, &root));
    if (!root || root->type != YAML_MAP)
        FAIL(ERR_USAGE, "%s holds no configuration of a KBS: no keys and values", path);
    *ret = root;
    return ERR_OK;
}

struct err kbs_config_read(const char *path, struct bump *arena, struct yaml_node **ret)
{
    _cleanup_wiped_ struct buf text = BUF_INIT;
    TRY(file_read(path, CONFIG_MAX, &text));
    return kbs_config_parse(buf_span(&text), path, arena, ret);
}

const struct yaml_node *kbs_config_member(const struct yaml_node *map, const char *name)
{
    if (!map || map->type != YAML_MAP) return NULL;
    const struct yaml_node *child = map->first;
    while (child && strcmp(child->key, name) != 0) child = child->next;
    return child;
}

bool kbs_config_is_word(const char *given, const char *plain)
{
    for (; *given; given++) {
        if (*given == '_') continue;
        if ((*given | 0x20) != *plain++) return false;
    }
    return *plain == '\0';
}

const char *kbs_config_text(const struct yaml_node *map, const char *path)
{
    char name[64];
    for (;;) {
        size_t len = strcspn(path, ".");
        if (len >= sizeof name) return NULL;
        memcpy(name, path, len);
        name[len] = '\0';
        map = kbs_config_member(map, name);
        if (!path[len]) break;
        path += len + 1;
    }
    return map && map->type == YAML_SCALAR ? map->text : NULL;
}
