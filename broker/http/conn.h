/* The connections, each with its deadline; and the table of all of them.
 *
 * libmicrohttpd's time-out is idle time only (a byte a second held a 5 s connection for 16 s), so
 * every connection carries a state with a deadline, and the acceptor looks through the table four
 * times a second. States, and who may leave them:
 *
 *     HANDSHAKE -> IDLE                      (TLS only)
 *     IDLE -> HEAD -> BUSY <-> BODY          the connection's own event loop
 *                      BUSY -> SENDING -> IDLE
 *     all of them but BUSY -> CUT            whoever finds it late, or stops the server
 *
 * BUSY (the handler runs, or a job is pending) is never cut: a job has a deadline of its own.
 *
 * Locks: the table's before a connection's. A connection's lock is held for instructions, never
 * over a callback. */
#pragma once

#include "broker/base/buf.h"
#include "broker/http/server.h"

#include <stdatomic.h>

#include <pthread.h>

struct txn;
struct tls;

enum conn_state { CONN_IDLE, CONN_HANDSHAKE, CONN_HEAD, CONN_BODY, CONN_BUSY, CONN_SENDING, CONN_CUT };

struct conn {
    pthread_mutex_t lock; /* guards the next seven */
    enum conn_state state;
    int fd;               /* the event loop's; -1 before it has it and when it is about to close it */
    uint64_t since;       /* of IDLE and HANDSHAKE; from HEAD on when the request began (clock_mono_ns) */
    uint64_t body_since;  /* when the body was first waited for, 0 before */
    uint64_t forgiven;    /* ns of this request that a pending job took */
    bool hung_up;         /* the peer was seen to be gone in this state */
    struct txn *txn;      /* of the event loop; NULL when whoever cut the connection took it */

    /* fixed from conn_add on */
    char peer[64];
    bool local_admin;
    bool probe;      /* came with a probe */
    bool one_answer; /* ends after it: of a socket for probes alone. Set before the event loop has it */
    bool secure;     /* speaks TLS, so nobody but its event loop can write to it */
    unsigned loop;   /* index of its event loop */
    _Atomic uint64_t *loop_since; /* conn_table.loop_since of that loop */
    uint8_t ip[16];  /* mapped for IPv4 */

    struct tls *tls; /* the event loop's: our reference, released after conn_closing; or NULL */

    int handed_fd;           /* the socket, while the acceptor hands it over */
    struct conn *loop_next;  /* the event loop's: in its list of those, or of requests that wait for their turn */

    struct conn *next, **link; /* guarded by the table */
};

struct conn_limits {
    unsigned max, max_per_ip;  /* connections; max_per_ip 0: no limit */
    unsigned max_admin, max_probe; /* beside those */
    bool apart;            /* the last event loop is for the admin socket and probes alone */
    uint64_t head_ns, body_ns, idle_ns, request_ns;
    uint64_t probe_ns;     /* for each of these, where the connection is a probe's */
    uint64_t handshake_ns; /* 0: no TLS; else all speak it but those of the last event loop, which is apart */
};

#define CONN_BUCKETS 256u

struct conn_table {
    struct conn_limits limits;   /* fixed */
    pthread_mutex_t lock;        /* guards the rest */
    pthread_cond_t emptier;      /* signalled when a connection goes */
    struct conn *buckets[CONN_BUCKETS]; /* by address */
    unsigned count, admins, probes;
    unsigned *per_loop;          /* connections of each event loop */
    _Atomic uint64_t *loop_since; /* clock_mono_ns: since when each loop is in the handler; 0: it is not. The
                                   * loops' own, without the lock */
    unsigned loops;
};

err_t conn_table_init(struct conn_table *t, const struct conn_limits *limits, unsigned loops);
void conn_table_done(struct conn_table *t); /* frees what is left; closes no socket */
unsigned conn_table_count(struct conn_table *t);

/* Makes the entry of an accepted socket, on the event loop that has fewest of those that are not stuck in the
 * handler for HTTP_STUCK_MS. `address` is NULL for the admin socket; `probe`: it came with one, in plain HTTP
 * whatever the others speak. ERR_LIMIT when there are too many, in all or from that address (the connections of the
 * admin socket and probes are counted apart, so that they get through a flood). */
struct sockaddr;
err_t conn_add(struct conn_table *t, const struct sockaddr *address, const char *peer, bool probe,
               struct conn **ret);
/* Takes it out and frees it, but neither socket nor txn. Only its event loop calls, or the
 * acceptor before it had one. */
void conn_remove(struct conn_table *t, struct conn *c);

/* The event loop's steps. Those that give the txn give NULL when it was cut and taken: then the
 * callback ends the connection and touches nothing. */
void conn_opened(struct conn *c, int fd, struct txn *txn);
void conn_ready(struct conn *c, uint64_t now);          /* the TLS handshake is over: IDLE */
bool conn_shakes(struct conn *c);                       /* before that */
struct txn *conn_begin(struct conn *c, uint64_t now);   /* a request line came: HEAD */
struct txn *conn_enter(struct conn *c);                 /* BUSY, until conn_leave */
void conn_leave(struct conn *c, enum conn_state state); /* CONN_BODY or CONN_SENDING */
struct txn *conn_end(struct conn *c, uint64_t now, bool *ret_in_head); /* request over: IDLE */
/* The socket is about to be closed; *ret_ready false: in the middle of a TLS handshake. */
struct txn *conn_closing(struct conn *c, bool *ret_ready);

/* The time that a pending job took does not count against the request. */
void conn_forgive(struct conn *c, uint64_t ns);

/* A late body, taken from its connection: the caller answers 408, then shuts the socket down,
 * closes the duplicate and frees the txn. */
struct conn_late {
    struct txn *txn;
    int fd; /* a duplicate of the socket, so that the number cannot be somebody else's */
};

/* Where the last bytes and the end of the stream come together, libmicrohttpd reads the bytes and
 * does not see the end (edge-triggered epoll, a short read): so we look for it, now and then, and
 * twice, since bytes that were just read may be a whole request.
 *
 * A TLS connection is cut without an answer: only its event loop has the keys.
 *
 * Cuts whatever is over its deadline at `now`, and (with `idle`) every connection that waits for
 * a request; `all` cuts everything but BUSY, without answers. Late bodies beyond late_max get no
 * answer either. */
struct conn_sweep {
    uint64_t now;
    bool idle, all, hangups;
    struct conn_late *late;
    size_t late_max, late_count; /* late_count: out */
    unsigned timed_out;          /* out */
};
void conn_sweep(struct conn_table *t, struct conn_sweep *s);

/* Waits until a connection goes or about `ms` have passed; then says how many there are. */
unsigned conn_table_wait(struct conn_table *t, unsigned ms);
