/* The scanner behind json_parse: strict RFC 8259, and where each value lies. Internal to json. */
#pragma once

#include "broker/base/buf.h"

/* Positions of all values in document order (an object's members by their values). */
struct json_spans {
    struct span *at;
    size_t count, cap;
};

/* Checks the whole text; fills spans (the caller frees spans->at, also on failure). */
err_t json_check(struct span text, struct json_spans *spans);
