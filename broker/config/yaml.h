/* YAML 1.2 as this project takes it: one document of mappings, sequences and scalars; no anchors,
 * no aliases, no tags, no duplicate keys. JSON is YAML too. libfyaml does the parsing. */
#pragma once

#include "broker/base/bump.h"

enum yaml_type { YAML_SCALAR, YAML_LIST, YAML_MAP };

/* Lives in the arena it was parsed into. */
struct yaml_node {
    enum yaml_type type;
    bool plain;            /* scalar without quotes: `true` is a truth, "true" a text */
    const char *file;      /* for errors */
    unsigned line, column; /* of the value, from 1 */
    const char *key;       /* in a mapping, else NULL */
    unsigned key_line, key_column;
    const char *text;      /* scalar: UTF-8 without NUL */
    size_t count;          /* children */
    struct yaml_node *first, *last, *next;
};

#define YAML_FAIL(node, fmt, ...)                                                \
    FAIL(ERR_USAGE, "%s:%u:%u: " fmt, (node)->file, (node)->line,                \
         (node)->column __VA_OPT__(, ) __VA_ARGS__)
#define YAML_FAIL_KEY(node, fmt, ...)                                            \
    FAIL(ERR_USAGE, "%s:%u:%u: " fmt, (node)->file, (node)->key_line,            \
         (node)->key_column __VA_OPT__(, ) __VA_ARGS__)

/* The root, or NULL for a document that is empty. name: for errors, copied. ERR_USAGE
 * "NAME:LINE:COLUMN: ..."; ERR_TOOLARGE over YAML_MAX_DEPTH or YAML_MAX_ENTRIES (limits.h); the
 * caller bounds the length. Thread-safe for different arenas. */
err_t yaml_parse(struct span text, const char *name, struct bump *arena, struct yaml_node **ret);

/* Nothing at all, `~` or `null`, without quotes (YAML 1.2 10.3.2). */
bool yaml_is_null(const struct yaml_node *node);
