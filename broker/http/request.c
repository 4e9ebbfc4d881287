/* One request, from libmicrohttpd's callbacks to the handler and back. All of it runs on the event
 * loop of the connection, except resume() and request_late_take(). */
#include "broker/http/guard.h"
#include "broker/http/internal.h"
#include "broker/http/quirk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* Which callback comes next. */
enum step { STEP_HEAD, STEP_BODY, STEP_PENDING };

/* Who is first, the event loop that suspends or the thread that resumes? */
enum phase { PHASE_SERVING, PHASE_SUSPENDED, PHASE_RESUMED };

/* One for a connection, used again for each request on it. */
struct txn {
    struct exchange x;
    struct http_server *server;
    struct conn *conn;
    struct MHD_Connection *connection; /* NULL once the connection was cut */
    struct buf target;                 /* the raw target, as received */
    struct secret_buf body;
    uint64_t began, pending_since;     /* clock_mono_ns */
    enum step step;
    _Atomic enum phase phase;
    bool has_body;
    bool keep;                         /* the body is wanted, not only read past */
    size_t limit, got;                 /* bytes of body */
    size_t public_held;                /* bytes of it that server->public_bytes counts */
    struct tls *judge;                 /* by whose CAs `shown` was judged, our reference; or NULL */
    bool shows;                        /* the client has shown a certificate */
    struct tls_verdict shown;
    int refusal;                       /* status to refuse with at the end of the body, or 0 */
    int status;                        /* answered with, for the log */
};

/* Seconds that never pass. MHD looks at a connection that has a time-out of its own before it reads from any: so a
 * resumed one is answered first. It would be read from otherwise, and closed without its answer where the peer has
 * ended its sending side. */
#define OWN_TIMEOUT 86400u

#define TARGET_KEEP 4096u /* bytes of target buffer that stay with a connection */

/* ---- life ----------------------------------------------------------------------------------- */

static struct txn *txn_new(struct http_server *s, struct conn *c, struct MHD_Connection *connection)
{
    struct txn *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->server = s;
    t->conn = c;
    t->connection = connection;
    t->target.max = HTTP_HEAD_MAX;
    return t;
}

/* What there is of the body, wherever it is. */
static void drop_body(struct txn *t)
{
    secret_free(TAKE_PTR(t->x.req.body));
    secret_buf_free(&t->body);
    buf_free(&t->x.req.public_body);
    t->server->public_bytes -= t->public_held;
    t->public_held = 0;
}

/* Ends the request, and makes the txn ready for the next. */
static void txn_reset(struct txn *t)
{
    if (t->x.user_free) t->x.user_free(t->x.user);
    drop_body(t);
    response_reset(&t->x.resp);
    t->x = (struct exchange){0};
    if (t->target.cap > TARGET_KEEP) buf_free(&t->target);
    buf_reset(&t->target);
    t->step = STEP_HEAD;
    t->has_body = t->keep = false;
    t->limit = t->got = 0;
    t->refusal = t->status = 0;
}

static void txn_free(struct txn *t)
{
    txn_reset(t);
    buf_free(&t->target);
    tls_unref(t->judge);
    free(t);
}

static struct conn *conn_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static struct http_loop *loop_of(const struct txn *t)
{
    return &t->server->loops[t->conn->loop];
}

static int fd_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

/* NULL for a plain connection. */
static gnutls_session_t session_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

/* GnuTLS reads with this. In the midst of a handshake libmicrohttpd takes a connection for readable whatever the system
 * says, and would look at it turn after turn: it is suspended until there is something. */
static ssize_t pull(gnutls_transport_ptr_t txn, void *data, size_t len)
{
    struct txn *t = txn;
    int fd = fd_of(t->connection);
    ssize_t n = recv(fd, data, len, 0);
    if (n > 0) loop_progress(loop_of(t));
    if (n < 0 && errno == EAGAIN && conn_shakes(t->conn)) {
        loop_await_bytes(loop_of(t), t->connection, fd);
        errno = EAGAIN;
    }
    return n;
}

void request_read_on(struct txn *t)
{
    loop_await_bytes(loop_of(t), t->connection, fd_of(t->connection));
}

/* And sends with this. */
static ssize_t push(gnutls_transport_ptr_t txn, const giovec_t *parts, int count)
{
    struct txn *t = txn;
    struct msghdr message = {.msg_iov = (struct iovec *) (uintptr_t) parts, .msg_iovlen = (size_t) count};
    ssize_t n = sendmsg(fd_of(t->connection), &message, MSG_NOSIGNAL);
    if (n > 0) loop_progress(loop_of(t));
    return n;
}

static bool begin_tls(struct txn *t)
{
    gnutls_session_t session = session_of(t->connection);
    gnutls_transport_set_ptr(session, t);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_vec_push_function(session, push);
    return tls_begin(session, t->conn);
}

static void opened(struct http_server *s, struct MHD_Connection *connection, void **context)
{
    struct conn_carrier carrier;
    memcpy(&carrier,
           MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
           sizeof carrier);
    *carrier.began = true;
    int fd = fd_of(connection);
    struct txn *t = txn_new(s, carrier.conn, connection);
    *context = carrier.conn;
    if (carrier.conn->secure) {
        carrier.conn->tls = server_tls(s);
        /* a session that could not be prepared has no certificate to give, and fails */
        if (!t || !begin_tls(t)) shutdown(fd, SHUT_RDWR);
    }
    conn_opened(carrier.conn, fd, t);
}

void request_notify_connection(void *cls, struct MHD_Connection *connection, void **context,
                               enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        opened(s, connection, context);
        return;
    }
    struct conn *c = *context;
    bool shook_hands = true;
    struct txn *t = conn_closing(c, &shook_hands);
    if (!shook_hands) s->handshakes_failed++;
    if (t) txn_free(t);
    tls_unref(c->tls);
    conn_remove(&s->conns, c);
}

static void log_request(const struct txn *t, uint64_t now)
{
    if (t->status && log_enabled(LOG_LEVEL_DEBUG))
        log_debug("http.request", LOG_U("id", t->x.req.id), LOG_S("peer", t->conn->peer),
                  LOG_S("method", t->x.req.method_name), LOG_D("status", t->status),
                  LOG_U("us", (now - t->began) / 1000));
}

void request_completed(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code)
{
    struct http_server *s = cls;
    uint64_t now = clock_mono_ns();
    bool in_head = false;
    struct txn *t = conn_end(conn_of(connection), now, &in_head);
    /* libmicrohttpd refused the head by itself */
    if (in_head && (code == MHD_REQUEST_TERMINATED_COMPLETED_OK ||
                    code == MHD_REQUEST_TERMINATED_WITH_ERROR))
        s->refused_malformed++;
    if (code == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED) s->timed_out++;
    if (!t) return;
    log_request(t, now);
    txn_reset(t);
}

/* ---- answering ------------------------------------------------------------------------------ */

static enum MHD_Result answer(struct txn *t)
{
    struct response *r = &t->x.resp;
    drop_body(t);
    if (t->server->stopping || t->conn->one_answer) r->close = true;
    t->status = r->status;
    if (!answer_queue(t->connection, r)) return MHD_NO;
    conn_leave(t->conn, CONN_SENDING);
    return MHD_YES;
}

static enum MHD_Result answer_and_close(struct txn *t)
{
    t->x.resp.close = true;
    return answer(t);
}

/* Lets the handler fill a refusal; what it should not forget is added. */
static void ask_refusal(struct txn *t, int status)
{
    const struct exchange_handler *h = t->server->handler;
    response_reset(&t->x.resp);
    h->refuse(h->ctx, &t->x, status);
    if (t->x.resp.status == 0) t->x.resp.status = status;
    bool retry = false;
    for (size_t i = 0; i < t->x.resp.header_count; i++)
        retry |= strcasecmp(t->x.resp.headers[i].name, "Retry-After") == 0;
    if (status == 503 && !retry && t->x.resp.header_count < RESPONSE_HEADERS)
        response_header(&t->x.resp, "Retry-After", "1");
}

static enum MHD_Result refuse(struct txn *t, int status)
{
    ask_refusal(t, status);
    return answer_and_close(t);
}

static enum MHD_Result refuse_malformed(struct txn *t, struct guard_refusal why)
{
    t->server->refused_malformed++;
    t->x.resp.status = why.status;
    t->x.resp.content_type = "text/plain; charset=utf-8";
    buf_addf(&t->x.resp.body, "%s\n", why.text);
    return answer_and_close(t);
}

void request_late_take(struct http_server *s, struct txn *t, int fd)
{
    t->connection = NULL; /* the event loop may be closing it right now */
    ask_refusal(t, 408);
    answer_raw(fd, NULL, &t->x.resp);
    txn_free(t);
}

/* ---- head ----------------------------------------------------------------------------------- */

void *request_line(void *cls, const char *target, struct MHD_Connection *connection)
{
    uint64_t now = clock_mono_ns();
    struct txn *t = conn_begin(conn_of(connection), now);
    if (!t) return NULL;
    t->began = now;
    /* a copy, since MHD cuts its own into arguments */
    buf_add_str(&t->target, target);
    if (quirk_applies()) quirk_hide_arguments((char *) (uintptr_t) target);
    return t;
}

struct header_visit {
    const char *name;
    size_t name_len;
    bool (*visit)(void *arg, const char *value);
    void *arg;
};

static enum MHD_Result visit_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                    size_t key_len, const char *value, size_t value_len)
{
    const struct header_visit *v = cls;
    if (key_len != v->name_len || strncasecmp(key, v->name, key_len) != 0) return MHD_YES;
    /* Blanks around a value are none of it (RFC 9110 5.5); those behind it MHD leaves, in its own memory. */
    char *text = (char *) (uintptr_t) value;
    for (size_t n = text ? strlen(text) : 0; n && strchr(" \t", text[n - 1]); n--) text[n - 1] = '\0';
    return v->visit(v->arg, text ? text : "") ? MHD_YES : MHD_NO;
}

static void each_header(const struct request *r, const char *name,
                        bool (*visit)(void *arg, const char *value), void *arg)
{
    const struct txn *t = r->transport;
    struct header_visit v = {name, strlen(name), visit, arg};
    if (t->connection)
        MHD_get_connection_values_n(t->connection, MHD_HEADER_KIND, visit_header, &v);
}

static enum MHD_Result guard_line(void *cls, enum MHD_ValueKind kind, const char *key,
                                  size_t key_len, const char *value, size_t value_len)
{
    struct guard *g = cls;
    if (g->may_fold && quirk_folded(key, key_len, value))
        g->refusal = (struct guard_refusal){400, "a header on more than one line"};
    guard_header(g, span_of(key, key_len), span_of(value, value_len));
    return g->refusal.status ? MHD_NO : MHD_YES;
}

static enum http_method method_of(const char *name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } known[] = {{"GET", HTTP_GET}, {"HEAD", HTTP_HEAD}, {"POST", HTTP_POST},
                 {"PUT", HTTP_PUT}, {"DELETE", HTTP_DELETE}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) return known[i].method;
    return HTTP_OTHER;
}

static struct guard_refusal inspect(struct txn *t, const char *url, const char *version,
                                    struct guard *g)
{
    struct guard_target target = {0};
    bool old = false;
    struct guard_refusal why = guard_version(version, &old);
    if (!why.status) why = guard_target(buf_span(&t->target), &target);
    if (why.status) return why;
    g->may_fold = quirk_applies();
    if (g->may_fold && quirk_nul_in_target(url, version, t->target.len))
        return (struct guard_refusal){400, "a NUL in the request target"};
    MHD_get_connection_values_n(t->connection, MHD_HEADER_KIND, guard_line, g);
    t->x.req.path = target.path;
    t->x.req.query = target.query;
    t->x.req.has_query = target.has_query;
    return guard_verdict(g, old);
}

static void resume(struct exchange *x)
{
    struct txn *t = (struct txn *) ((char *) x - offsetof(struct txn, x));
    struct MHD_Connection *connection = t->connection;
    struct http_loop *loop = loop_of(t);
    /* After the exchange the txn is the event loop's again, unless the connection is suspended:
     * a suspended one waits for this resume and no other. */
    if (atomic_exchange(&t->phase, PHASE_RESUMED) == PHASE_SUSPENDED)
        loop_resume(loop, connection);
}

/* Judged once a connection, and again when the CAs changed or the verdict has run out. */
static void look_at_certificate(struct txn *t)
{
    struct tls *now = server_tls(t->server);
    if (t->judge != now || clock_now() > t->shown.until) {
        t->shows = tls_judge(now, session_of(t->connection), &t->shown);
        tls_unref(t->judge);
        t->judge = tls_ref(now);
    }
    t->x.req.certificate_wanted = tls_wants_clients(now);
    tls_unref(now);
    t->x.req.certificate = t->shows ? &t->shown.certificate : NULL;
}

static void fill_request(struct txn *t, const char *method)
{
    struct request *r = &t->x.req;
    r->id = ++t->server->next_id;
    r->method = method_of(method);
    r->method_name = method;
    memcpy(r->peer, t->conn->peer, sizeof r->peer);
    r->local_admin = t->conn->local_admin;
    r->server_not_after = t->server->tls_not_after;
    if (t->conn->secure && t->server->tls_wants_clients) look_at_certificate(t);
    r->each_header = each_header;
    r->transport = t;
    t->x.resume = resume;
}

/* The handler answered on the head alone. Answering before the body ends the connection, and a
 * client that still sends may lose the answer to a reset; so a short body is read past first. */
static enum MHD_Result answer_after_head(struct txn *t, const struct guard *g)
{
    if (g->codings || g->length > HTTP_DISCARD_MAX || (t->has_body && g->expect))
        return answer_and_close(t);
    t->limit = HTTP_DISCARD_MAX;
    t->step = STEP_BODY;
    conn_leave(t->conn, CONN_BODY);
    return MHD_YES;
}

static enum MHD_Result await_body(struct txn *t, const struct guard *g)
{
    t->keep = t->x.body_limit > 0;
    t->limit = t->keep ? t->x.body_limit : HTTP_DISCARD_MAX;
    t->body.max = t->x.req.public_body.max = t->limit;
    if (g->length > t->limit) return refuse(t, 413);
    bool locked = t->keep && !t->x.body_public;
    if (locked && g->length && !err_ok(secret_buf_reserve(&t->body, (size_t) g->length)))
        return refuse(t, 503);
    t->step = STEP_BODY;
    conn_leave(t->conn, CONN_BODY);
    return MHD_YES;
}

static enum MHD_Result on_head(struct txn *t, const char *url, const char *method,
                               const char *version)
{
    struct guard g = {0};
    fill_request(t, method);
    struct guard_refusal why = inspect(t, url, version, &g);
    if (why.status) return refuse_malformed(t, why);
    t->has_body = g.codings || g.length;
    const struct exchange_handler *h = t->server->handler;
    h->head(h->ctx, &t->x);
    return t->x.resp.status ? answer_after_head(t, &g) : await_body(t, &g);
}

/* ---- body ----------------------------------------------------------------------------------- */

/* No answer can be queued while a body comes in, so one that is refused is read past, within
 * limits; beyond them the answer goes out by hand and the connection ends. */
static enum MHD_Result read_past(struct txn *t)
{
    if (t->got - t->limit <= HTTP_DRAIN_MAX) return MHD_YES;
    int fd = fd_of(t->connection);
    ask_refusal(t, t->refusal);
    t->status = t->x.resp.status;
    answer_raw(fd, session_of(t->connection), &t->x.resp);
    return MHD_NO;
}

/* Each connection has room for a small body of its own, so that large ones, which share what there is,
 * keep no small one out however many of them nobody finishes. False: what they share is spent. */
static bool share_room(struct txn *t)
{
    size_t shared = t->got > HTTP_PUBLIC_BODY_OWN ? t->got - HTTP_PUBLIC_BODY_OWN : 0;
    size_t more = shared - t->public_held;
    if (more == 0) return true;
    t->public_held = shared;
    return atomic_fetch_add(&t->server->public_bytes, more) + more <= HTTP_PUBLIC_BODIES_MAX;
}

/* False: no memory, or what strangers may take of it is spent. */
static bool keep_piece(struct txn *t, const char *data, size_t len)
{
    if (!t->x.body_public) return err_ok(secret_buf_add(&t->body, data, len));
    if (!share_room(t)) return false;
    buf_add(&t->x.req.public_body, data, len);
    return !t->x.req.public_body.failed;
}

static enum MHD_Result on_piece(struct txn *t, const char *data, size_t len)
{
    t->got += len;
    if (!t->refusal && t->got > t->limit) t->refusal = 413;
    if (!t->refusal && t->keep && !keep_piece(t, data, len)) t->refusal = 503;
    if (t->refusal) drop_body(t);
    if (t->got > t->limit && read_past(t) == MHD_NO) return MHD_NO;
    conn_leave(t->conn, CONN_BODY);
    return MHD_YES;
}

/* The line is the event loop's, and the request is served when all are read that came with it. */
static enum MHD_Result wait_in_line(struct txn *t)
{
    t->pending_since = clock_mono_ns();
    t->step = STEP_PENDING;
    MHD_suspend_connection(t->connection);
    MHD_set_connection_option(t->connection, MHD_CONNECTION_OPTION_TIMEOUT, OWN_TIMEOUT);
    loop_queue(loop_of(t), t->conn);
    return MHD_YES;
}

static size_t response_bytes(const struct response *r)
{
    return r->secret_body ? secret_span(r->secret_body).len : r->body.len;
}

size_t request_serve(struct conn *c)
{
    struct txn *t = c->txn; /* nobody takes it from one that is BUSY */
    const struct exchange_handler *h = t->server->handler;
    atomic_store(&t->phase, PHASE_SERVING);
    atomic_store_explicit(c->loop_since, clock_mono_ns(), memory_order_relaxed);
    bool complete = h->serve(h->ctx, &t->x);
    size_t bytes = complete ? response_bytes(&t->x.resp) : 0;
    atomic_store_explicit(c->loop_since, 0, memory_order_relaxed);
    /* until the CAS the other side may resume at any moment; whoever comes second acts */
    enum phase expected = PHASE_SERVING;
    if (complete || !atomic_compare_exchange_strong(&t->phase, &expected, PHASE_SUSPENDED))
        MHD_resume_connection(t->connection);
    return bytes;
}

static enum MHD_Result on_body_end(struct txn *t)
{
    if (t->x.resp.status) return answer(t);
    if (t->refusal) return refuse(t, t->refusal);
    if (t->keep && t->has_body && !t->x.body_public) {
        t->x.req.body = secret_buf_steal(&t->body);
        if (!t->x.req.body) return refuse(t, 503);
    }
    return wait_in_line(t);
}

static enum MHD_Result on_resumed(struct txn *t)
{
    MHD_set_connection_option(t->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    conn_forgive(t->conn, clock_mono_ns() - t->pending_since);
    return answer(t);
}

enum MHD_Result request_access(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *data_len, void **context)
{
    struct txn *t = conn_enter(conn_of(connection));
    if (!t) return MHD_NO;
    loop_progress(loop_of(t));
    size_t len = *data_len;
    *data_len = 0;
    switch (t->step) {
    case STEP_HEAD: return on_head(t, url, method, version);
    case STEP_BODY: return len ? on_piece(t, data, len) : on_body_end(t);
    case STEP_PENDING: return on_resumed(t);
    }
    return MHD_NO;
}
