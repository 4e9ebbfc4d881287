/* A load generator that does not wait for answers: requests are due at a fixed rate, and what one takes is
 * counted from when it was due, also where every connection was busy then. So a server that stands still
 * for a moment is charged with all whom it kept waiting. One thread, many connections: kept ones, which had an
 * answer before the run, or a fresh one for each request, which comes from one of many addresses of this machine
 * and is closed after the answer. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/cleanup.h"

#include <sys/types.h>

struct open_load {
    const char *address;
    const char *request;    /* the same each time */
    unsigned connections;   /* that may be busy at once */
    bool fresh;             /* a connection for each request */
    double rate;            /* requests a second; 0: each connection asks as soon as it has its answer */
    double seconds;
    pid_t server;           /* the process whose core time counts */
};

struct latencies {
    uint64_t count;
    double median_ms, p99_ms, max_ms;
};

struct open_result {
    double seconds;
    double whole_seconds;      /* with what came after the end */
    double core_seconds;       /* the server's, of the whole */
    struct latencies good;     /* 200, from when they were due */
    struct latencies refused;  /* 503, from when they were sent, the connection included: how fast a refusal is */
    uint64_t late;             /* 200 that came after the end: not of the rate */
    uint64_t other;            /* neither, or a connection that ended without an answer */
    uint64_t unsent;           /* due, and no connection was free until the end */
};

err_t open_load_run(const struct open_load *load, struct open_result *ret);

/* Sorts them. */
void latencies_of(uint64_t *ns, size_t n, struct latencies *ret);
