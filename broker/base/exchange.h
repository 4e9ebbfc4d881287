/* A request and its response, between whoever reads sockets (broker/http) and whoever answers
 * (broker/api). Neither knows the other; tests build these by hand. */
#pragma once

#include "broker/base/secret.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OTHER };

/* What the client showed of itself in the TLS handshake, where it was asked to. Who showed a
 * certificate has proved to have its key; `verified`: it also chains to a CA of the configuration,
 * is good for clients, and in its time. */
#define PEER_SUBJECT_MAX 256
struct peer_certificate {
    bool verified;
    char subject[PEER_SUBJECT_MAX]; /* RFC 4514, printable; cut with "..." to fit */
};

struct request {
    uint64_t id;              /* unique in this process, for log and audit */
    enum http_method method;
    const char *method_name;  /* as received */
    struct span path;         /* raw, percent-encoded, begins with '/'; without query */
    struct span query;        /* raw text after '?', empty when none */
    bool has_query;
    struct secret *body;      /* complete body, or NULL when there is none (then length 0) */
    struct buf public_body;   /* instead of it, when head said body_public */
    char peer[64];            /* "127.0.0.1:4711", or "unix:uid=0" on the admin socket */
    bool local_admin;         /* came by the admin socket: the socket's mode is the authorisation */
    bool certificate_wanted;  /* operators over the network must show one that is verified */
    const struct peer_certificate *certificate; /* NULL: none was shown, or none is wanted */
    int64_t server_not_after; /* when the server's own certificate ends (Unix seconds); 0: no TLS */

    /* Header access: calls visit(arg, value) for each header of that name (case-insensitive), in
     * order, until it returns false. */
    void (*each_header)(const struct request *r, const char *name,
                        bool (*visit)(void *arg, const char *value), void *arg);
    void *transport; /* of whoever made the request */
};

/* The first header of that name, or NULL. Valid as long as the request. */
const char *request_header(const struct request *r, const char *name);
struct span request_body(const struct request *r);

#define RESPONSE_HEADERS 6
#define RESPONSE_HEADER_VALUE 192

struct response {
    int status;
    const char *content_type;    /* static text or NULL */
    struct {
        const char *name;        /* static text */
        char value[RESPONSE_HEADER_VALUE];
    } headers[RESPONSE_HEADERS];
    size_t header_count;
    struct buf body;             /* what is not secret (JWE, JSON) */
    struct secret *secret_body;  /* used instead of body when not NULL */
    bool close;                  /* end the connection after this response */
};

void response_header(struct response *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void response_reset(struct response *r); /* frees bodies, back to zero */

/* One request on its way. Life: `head` may answer at once (sets resp.status); otherwise the body
 * is read up to body_limit and `serve` is called. `serve` returns true when resp is complete; on
 * false somebody else completes resp and then calls resume(x), from any thread, exactly once. */
struct exchange {
    struct request req;
    struct response resp;
    size_t body_limit;                    /* bytes; set by head, 0 means no body is wanted */
    bool body_public;                     /* set by head: anybody may send it, and it is no secret;
                                           * so it takes none of the locked memory, which
                                           * strangers could spend */
    void *user;                           /* of the answering side */
    void (*user_free)(void *user);        /* called once, when the exchange ends */
    void (*resume)(struct exchange *x);   /* set by the transport */
};

struct exchange_handler {
    void *ctx;
    /* After the head, before the body. Fills x->resp (status != 0) to refuse, or x->body_limit. */
    void (*head)(void *ctx, struct exchange *x);
    /* After the body. True: x->resp is complete. */
    bool (*serve)(void *ctx, struct exchange *x);
    /* The body went over body_limit, or came too late: fill x->resp with an error body.
     * status is 413 or 408. */
    void (*refuse)(void *ctx, struct exchange *x, int status);
};
