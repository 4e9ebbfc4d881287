/* Shared by the files of the converter: what is at work while one file is converted. */
#pragma once

#include "broker/config/kbs_convert.h"

struct kbs_converter {
    struct kbs_conversion *out;
    struct bump arena;      /* of what is needed until the text is made */
    const char **values;    /* by index of config_keys: JSON text, or NULL */
    struct kbs_note *last;
    struct buf providers, acls; /* JSON records with commas between */
    struct buf free_acls;   /* the same, of old operators whom no role restricts */
    bool roles_seen;        /* admin.roles */
    bool type_seen;         /* who verifies evidence */
};

/* A row's own way, for what is no plain copy. */
typedef struct err kbs_handler(struct kbs_converter *c, const char *path, const struct yaml_node *node);

struct kbs_row {
    const char *kbs;      /* path of a key or section; a section's row is for all below it */
    const char *ours;     /* path of our key: copied there. NULL: not copied */
    const char *section;  /* where a note of it stands; NULL: that of ours, or of the same name */
    const char *sentence; /* of a row that is not copied */
    bool harmless;        /* it is told, but nothing is lost */
    kbs_handler *handler; /* instead of copying */
};

extern const struct kbs_row kbs_rows[];
extern const size_t kbs_row_count;

/* ---- kbs_convert.c ---- */

/* Says something of a path; texts are copied, the path may hold anything. */
err_t kbs_tell(struct kbs_converter *c, const char *path, const char *section, bool left,
               const char *sentence);

/* Whether our table takes this JSON text at this path; ERR_USAGE with a sentence otherwise. */
err_t kbs_try(struct kbs_converter *c, const char *ours, const char *json);

/* Tries it and keeps it: the first one counts. */
err_t kbs_put(struct kbs_converter *c, const char *ours, const char *json);
bool kbs_has(const struct kbs_converter *c, const char *ours);

/* A scalar as JSON: numbers and truths as they are, all else as text. */
void kbs_put_scalar(struct buf *out, const struct yaml_node *node);

/* Copies a scalar or a list of scalars, telling what our table does not take. */
err_t kbs_copy(struct kbs_converter *c, const char *path, const struct yaml_node *node,
               const char *ours);

/* ---- kbs_keys.c ---- */

/* What one key says about another, after all were seen. */
err_t kbs_finish(struct kbs_converter *c);
