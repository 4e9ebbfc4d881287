/* Parts of a commented YAML file: for the reference of all keys and for converted configurations. */
#pragma once

#include "broker/base/buf.h"

void config_print_indent(struct buf *out, size_t depth);

/* Text as comment lines that break between words. */
void config_print_comment(struct buf *out, size_t depth, const char *lead, const char *text);

/* The lines of the sections that path ("a.b.name") opens beyond those that the path before was in;
 * how deep name stands. */
size_t config_print_sections(struct buf *out, const char *path, const char *before);
