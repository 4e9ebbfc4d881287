/* The configuration file of a KBS (kbs-api.md 11), as a tree. */
#pragma once

#include "broker/config/yaml.h"

/* Reads a file by the end of its name: .toml, .yaml, .yml or .json. The tree lives in the arena and
 * is a mapping; places in it are those of the file, except for TOML, where only names count.
 * ERR_NOTFOUND, ERR_USAGE, ERR_TOOLARGE over CONFIG_MAX. */
err_t kbs_config_read(const char *path, struct bump *arena, struct yaml_node **ret);

/* The same from text; `path` says by its end what it is, and stands in errors. */
err_t kbs_config_parse(struct span text, const char *path, struct bump *arena,
                       struct yaml_node **ret);

/* A member of a mapping, NULL when it is not there or map is NULL or no mapping. */
const struct yaml_node *kbs_config_member(const struct yaml_node *map, const char *name);

/* Whether a word of a KBS, such as coco_as_grpc or CoCoASGrpc, is this one, which is in small letters: '_' and
 * case do not count. */
bool kbs_config_is_word(const char *given, const char *plain);

/* A text below map by names with dots between; NULL unless it is there and a scalar. */
const char *kbs_config_text(const struct yaml_node *map, const char *path);
