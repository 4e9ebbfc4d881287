/* Three things that libmicrohttpd 0.x parses wrongly and does not tell, two of them found by where its
 * parser leaves the pieces of a line. From 1.0 on its parser is another one: then neither is looked for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether the library that runs is one of those. */
bool quirk_applies(void);

/* A continuation line (obs-fold) is glued to the header's *name*: "Content-Len: 5", " gth" is read
 * as Content-Length, and a Content-Length on two lines is none. Whoever stands before us reads a
 * body of another length. `name` and `value` as MHD gives them; true when they are not of one
 * line: of a whole line, MHD writes a NUL over the colon and passes over blanks. */
bool quirk_folded(const char *name, size_t name_len, const char *value);

/* A target ends at a NUL, but the version is sought from the end of the line. `url` and `version`
 * as MHD gives them to the first callback, `target_len` of the target before MHD cut it. */
bool quirk_nul_in_target(const char *url, const char *version, size_t target_len);

/* It keeps a record of each argument of the query, which we never ask for, and when its memory ends over
 * them the request is neither refused nor goes on. `target` is the parser's own text, before it looks for
 * arguments there; afterwards it finds none. */
void quirk_hide_arguments(char *target);
