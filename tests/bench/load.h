/* A load generator: threads that each keep one connection and ask again and again. */
#pragma once

#include "broker/base/err.h"

struct load {
    const char *address;  /* "127.0.0.1:8080" */
    const char *request;  /* complete text of one GET */
    unsigned connections;
    double seconds;
};

struct load_result {
    uint64_t answers;
    double seconds;       /* really taken */
    size_t body;          /* bytes of an answer's body */
};

/* ERR_INTERNAL when an answer is not 200 or a connection breaks. */
err_t load_run(const struct load *load, struct load_result *ret);
