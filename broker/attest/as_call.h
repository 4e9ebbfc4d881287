/* One question to an attestation service, and the two ways to put it: gRPC and REST (kbs-api.md 10).
 * Pure but for memory; thread-safe. */
#pragma once

#include "broker/attest/grpc.h"

/* ALIVE is a challenge too, but whatever comes is good: it is asked to see whether somebody answers. */
enum as_op { AS_EVALUATE, AS_CHALLENGE, AS_SET_POLICY, AS_REGISTER, AS_QUERY, AS_ALIVE, AS_OP_COUNT };

/* One piece of evidence and what it must be bound to. */
struct as_piece {
    const char *tee;            /* canonical */
    struct span evidence;       /* JSON text as received */
    struct span runtime;        /* JSON text of the object whose hash binds it */
    const char *hash;           /* "sha384" */
    const char *init_data;      /* TOML text, or NULL */
};

struct as_call {
    enum as_op op;
    const struct as_piece *pieces; /* EVALUATE */
    size_t piece_count;
    const char *id;             /* CHALLENGE, ALIVE: the tee; SET_POLICY, QUERY: what is meant */
    struct span text;           /* its parameters; SET_POLICY: Rego; REGISTER: the message */
};

enum as_outcome {
    AS_DONE,
    AS_REFUSED, /* the service looked at what was asked, and says no */
    AS_UNABLE,  /* it is there, and cannot now, or not for us */
    AS_TOO_LONG, /* a token or challenge, but longer than is taken: what was asked may have made it so */
    AS_CUT,     /* an answer that ends before its status: libcurl says so little when a connection goes away
                 * with the last bytes, as those do that a service has aged out */
    AS_DOWN,    /* as good as not there: somebody before it, or an answer that is none */
};

/* Of an answer by HTTP. */
struct as_answer {
    long status;
    struct span body;
    struct grpc_head head; /* empty with REST */
};

struct as_protocol {
    const char *name;
    bool http2;
    const char *paths[AS_OP_COUNT];      /* below the address; NULL: it has nothing for that */
    const char *content_type;            /* a whole header line */
    /* Appends the body of the request. ERR_TOOLARGE beyond AS_REQUEST_MAX. */
    err_t (*write)(const struct as_call *call, struct buf *ret);
    /* AS_DONE: appends the token, the challenge, the value (nothing: it is unknown). Otherwise why says
     * what came, for the log, AS_REASON_MAX bytes at most. */
    enum as_outcome (*read)(const struct as_call *call, const struct as_answer *answer,
                            struct buf *ret, struct buf *why);
};

extern const struct as_protocol as_grpc, as_rest;

/* protocol->read, and whether what came is a thing of that kind: a token, a challenge within AS_CHALLENGE_MAX,
 * JSON. A token's limit is JOSE_MAX_TOKEN. *ret was empty before, and means nothing unless AS_DONE. */
enum as_outcome as_read(const struct as_protocol *p, const struct as_call *call,
                        const struct as_answer *answer, struct buf *ret, struct buf *why);

/* Adds at most AS_REASON_MAX bytes of a text from outside. */
void as_reason(struct buf *why, struct span text);
