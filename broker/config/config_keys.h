/* The table of keys: the only place that knows one. Reading, defaults and manual follow it. */
#pragma once

#include "broker/config/config.h"

enum config_type {
    CONFIG_TEXT,    /* const char * */
    CONFIG_PATH,    /* const char *; "file://" before it is dropped */
    CONFIG_PLACE,   /* const char *; a path like that, or a URL */
    CONFIG_TRUTH,   /* bool */
    CONFIG_NUMBER,  /* unsigned, size_t or int64_t; the file's number times unit, or one of choices */
    CONFIG_SIZE,    /* size_t in bytes; KiB, MiB, GiB may follow the number */
    CONFIG_CHOICE,  /* one of choices: its value into bool or enum */
    CONFIG_WORD,    /* one of choices: its name into const char * */
    CONFIG_TEXTS,   /* list of CONFIG_TEXT */
    CONFIG_PATHS,   /* list of CONFIG_PATH */
    CONFIG_PLACES,  /* list of CONFIG_PLACE */
    CONFIG_RECORDS, /* list of mappings, each read by `record` */
};

#define CONFIG_MAY_BE_EMPTY 1u /* "" is a text like any other */
#define CONFIG_MAY_BE_NULL 2u  /* null: the field is NULL */
#define CONFIG_REQUIRED 4u     /* in records */
#define CONFIG_RELOADED 8u     /* SIGHUP applies a new value; all others wait for a restart */

struct config_choice {
    const char *name; /* NULL ends the list */
    unsigned value;
};

struct config_table {
    const struct config_key *keys;
    size_t count;
    size_t size; /* bytes of the struct that the keys fill */
};

struct config_key {
    const char *path;     /* "section.name", as deep as the file */
    enum config_type type;
    unsigned flags;
    size_t offset, size;  /* of the field */
    size_t count_offset;  /* of a list's count, a size_t */
    uint64_t min, max;    /* as written in the file */
    uint64_t unit;        /* 0 is 1 */
    const char *unit_name;
    const struct config_choice *choices;
    const char *(*check)(const char *text); /* config_check.h */
    const struct config_table *record;
    const char *fallback; /* the default, as YAML; NULL in records */
    const char *doc;      /* sentences */
};

extern const struct config_table config_keys;

/* Why a key that people may expect is none of ours; NULL when we know of nothing. name is the
 * last part of path. */
const char *config_absent_key(const char *path, const char *name);

/* The defaults as the complete, commented file that config_print_defaults prints. */
err_t config_defaults(struct buf *ret);
