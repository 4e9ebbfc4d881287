/* A pattern's syntax tree; between regex_program.c and regex_parse.c. */
#pragma once

#include "policy/arena.h"
#include "policy/regex_class.h"
#include "policy/regex_program.h"

enum regex_node_kind {
    REGEX_NODE_EMPTY,
    REGEX_NODE_ONE,       /* one instruction: op, x */
    REGEX_NODE_SEQUENCE,  /* first, second */
    REGEX_NODE_ALTERNATE, /* first, or else second */
    REGEX_NODE_REPEAT,    /* first, min to max times; max -1: without end */
    REGEX_NODE_GROUP,     /* first, captured as x */
};

struct regex_node {
    enum regex_node_kind kind;
    enum regex_op op;
    uint32_t x;
    int min, max;
    bool lazy, nullable; /* nullable: may match nothing */
    struct regex_node *first, *second;
};

struct regex_tree {
    struct arena *arena;
    struct regex_node *root;
    struct regex_class *classes;
    size_t class_count, class_cap;
    uint32_t groups;
};

/* False with ret->kind set, or NULL when memory is short. */
bool regex_parse(struct regex_tree *t, const char *source, size_t len, struct regex_refusal *ret);
