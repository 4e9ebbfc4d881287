/* A load generator: each thread keeps some connections and waits for all of them at once, so that it
 * takes as little of the cores as it can. A connection asks, hears the whole answer, asks again;
 * there is never more than one request of it under way. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/cleanup.h"

#define LOAD_CONNECTIONS_MAX 64u

struct load {
    const char *address;  /* "127.0.0.1:8080" */
    unsigned connections; /* at most LOAD_CONNECTIONS_MAX, spread over the threads */
    unsigned threads;
    double seconds;       /* how long; 0: until there are so many answers */
    uint64_t answers;
    /* What a connection (counted from 0) says: replaces *request. False ends the run as failed. */
    bool (*ask)(void *context, unsigned connection, struct buf *request);
    /* Its answer, which lies behind its head. NULL: a 200 is enough. False ends the run as failed. */
    bool (*hear)(void *context, unsigned connection, struct span head, struct span body);
    /* Both are called on the thread of the connection. */
    void *context;
};

struct load_result {
    uint64_t answers;
    double seconds;        /* really taken */
    double client_seconds; /* of core time that the generator's threads took */
    double server_seconds; /* of core time that all other threads of this process took meanwhile */
    size_t body;           /* bytes of the last answer's body */
};

/* ERR_INTERNAL when an answer is not 200, a connection breaks or a script says false; the text has
 * what was answered. */
err_t load_run(const struct load *load, struct load_result *ret);

/* False when this is no "127.0.0.1:8080". */
struct sockaddr_in;
bool load_address(const char *address, struct sockaddr_in *ret);

/* A connected socket, or -1. */
int load_connect(const char *address);

/* For ask: the same request each time; context is the text. */
bool load_ask_same(void *context, unsigned connection, struct buf *request);
