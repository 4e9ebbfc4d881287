/* Inside broker/http: the server, and one request on its connection. */
#pragma once

#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/http/conn.h"
#include "broker/http/listen.h"
#include "broker/http/tls.h"

#include <microhttpd.h>
#include <stdatomic.h>

struct http_listener {
    int fd;
    bool probes; /* and nothing else */
    char address[LISTEN_ADDRESS];
};

struct conn_list { /* by conn.loop_next */
    struct conn *first, **end;
};

struct http_loop {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    int epoll_fd;             /* of the daemon, which closes it: readable when it has something to do */
    int wake_fd;              /* an eventfd: a connection was handed over or resumed, or the end */
    pthread_mutex_t lock;     /* guards the next two */
    struct conn_list handed;  /* by the acceptor, for the thread to take over */
    bool stop;
    int shaking_fd;           /* an epoll: of connections that loop_await_bytes suspended */
    unsigned shaking_count;   /* the thread's: of these */
    unsigned eager_turns;     /* the thread's: since there was news, after which MHD wanted to go on */
    struct conn_list waiting; /* the thread's: whose requests are read and not served yet */
    unsigned waiting_count;
    pthread_t thread;
    bool runs;                /* the thread */
};

struct http_server {
    const struct exchange_handler *handler;
    struct conn_table conns;
    size_t head_bytes;           /* of memory, for each connection */
    struct http_loop *loops;     /* conns.loops of them */
    unsigned loop_count;         /* of those, that were begun to start */
    struct http_listener *listeners;
    size_t listener_count;
    int admin_fd;                /* -1: none */
    char *admin_path;
    int wake_fd;                 /* ends the acceptor's poll */
    pthread_t acceptor;
    bool accepting;              /* the acceptor runs */
    pthread_mutex_t tls_lock;    /* guards the next */
    struct tls *tls;             /* the snapshot in force; NULL: plain HTTP */
    atomic_int_fast64_t tls_not_after; /* of it, 0 without */
    atomic_bool tls_wants_clients;
    atomic_bool stopping;
    uint64_t stop_ms;           /* for what does not end by itself, beyond the grace */
    atomic_size_t public_bytes; /* of bodies that anybody may send, beyond HTTP_PUBLIC_BODY_OWN of each */
    atomic_uint_fast64_t next_id, accepted, refused_busy, refused_malformed, timed_out,
        handshakes_failed;
};

/* server.c: a reference to the TLS snapshot in force, or NULL. */
struct tls *server_tls(struct http_server *s);

/* acceptor.c: the thread that accepts and looks after deadlines. */
void *acceptor_run(void *server);
/* One look through the connections; answers late bodies. `sweep` says what for. */
void acceptor_sweep(struct http_server *s, struct conn_sweep sweep);

/* loop.c: on error too, loop_stop frees what there is. `secure`: its connections speak TLS. */
err_t loop_start(struct http_server *s, bool secure, struct http_loop *l);
/* Takes the socket, and gives it to the loop's thread with its entry. Of any thread. */
void loop_hand_take(struct http_loop *l, int fd, struct conn *c);
/* The loop goes on with a connection that was suspended; of any thread. The connection may be gone on return. */
void loop_resume(struct http_loop *l, struct MHD_Connection *connection);
/* The request of a connection that is suspended waits for its turn; of the loop's thread. */
void loop_queue(struct http_loop *l, struct conn *c);
/* Suspends the connection of this socket until there is something to read; of the loop's thread. */
void loop_await_bytes(struct http_loop *l, struct MHD_Connection *connection, int fd);
/* A request went on, or bytes came or went, so the loop does not rest although no event told of it; of the loop's
 * thread. */
void loop_progress(struct http_loop *l);
/* No connection may be suspended: MHD aborts. */
void loop_stop(struct http_loop *l);

/* What MHD carries for us in place of the peer's address, to the callback that a connection began. */
struct conn_carrier {
    sa_family_t family; /* AF_UNSPEC: MHD looks no further */
    struct conn *conn;
    bool *began; /* set then: from there on its end is told too, and the callback of that removes the entry */
};

/* request.c: libmicrohttpd's callbacks; `cls` is the server. */
void request_notify_connection(void *cls, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode code);
void *request_line(void *cls, const char *target, struct MHD_Connection *connection);
enum MHD_Result request_access(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *data_len, void **context);
void request_completed(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code);
/* The client changed its key: what came behind that is read too, though GnuTLS says that there is nothing and no event
 * will tell of it. In the midst of reading. */
void request_read_on(struct txn *t);
/* Has the request of a suspended connection served, now or later, which resumes it; of its loop's thread. The bytes
 * of the answer, 0: later. */
size_t request_serve(struct conn *c);
/* Answers a body that came too late, on `fd`, and frees the txn. */
void request_late_take(struct http_server *s, struct txn *txn, int fd);

/* answer.c: hands the response to MHD, which frees (and, where secret, wipes) the body after
 * sending. False: out of memory, or MHD takes no response now. */
bool answer_queue(struct MHD_Connection *connection, struct response *r);
/* The same past MHD, for a connection that reads a body: not waiting for a slow peer. The session is
 * that of a TLS connection, on its event loop; or NULL. */
void answer_raw(int fd, gnutls_session_t session, const struct response *r);
