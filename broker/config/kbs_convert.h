/* A KBS's configuration (kbs-api.md 11) as one of ours. */
#pragma once

#include "broker/config/kbs_config.h"

/* Something that was not carried over as it stands. */
struct kbs_note {
    const char *path;     /* in the KBS's file, such as plugins[1].pin; printable */
    const char *sentence; /* why, and what to do */
    const char *section;  /* of ours, to stand in; "" for the head of the file */
    bool left;            /* something is lost that the KBS would have done; else it is only told */
    const struct kbs_note *next;
};

struct kbs_conversion {
    struct buf yaml;              /* ours, with the notes as comments beside the place */
    const struct kbs_note *notes; /* in the order of the file */
    size_t left;                  /* notes that tell of a loss */
    struct bump arena;            /* of the notes */
};

/* root: kbs_config_read's. Values are carried over only by a table of keys and only when our own
 * table of keys takes them, so a PIN or password never is; notes name keys and never values. name
 * is that of the file, for the first line. ERR_INTERNAL: out of memory. The caller ends with
 * kbs_conversion_done, success or not. */
err_t kbs_convert(const struct yaml_node *root, const char *name, struct kbs_conversion *ret);
void kbs_conversion_done(struct kbs_conversion *c);
