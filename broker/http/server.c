#include "broker/http/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define OTHER_FILES 256u /* open files beside connections: token, store, audit */

/* ---- TLS ------------------------------------------------------------------------------------ */

struct tls *server_tls(struct http_server *s)
{
    SCOPED_LOCK(&s->tls_lock);
    return s->tls ? tls_ref(s->tls) : NULL;
}

static err_t load_tls(struct http_server *s, const struct tls_settings *config)
{
    struct tls *fresh = NULL;
    char date[CLOCK_TEXT];
    if (MHD_is_feature_supported(MHD_FEATURE_HTTPS_CERT_CALLBACK2) != MHD_YES)
        FAIL(ERR_USAGE, "this libmicrohttpd was built without TLS: install one with it, or leave "
             "out http_server.certificate and private_key");
    TRY(tls_load(config, &fresh));
    log_info("tls.certificate", LOG_S("file", config->certificate),
             LOG_S("subject", tls_subject(fresh)),
             LOG_S("end", clock_rfc3339(tls_not_after(fresh), date)));
    SCOPED_LOCK(&s->tls_lock);
    tls_unref(s->tls);
    s->tls = fresh;
    s->tls_not_after = tls_not_after(fresh);
    s->tls_wants_clients = tls_wants_clients(fresh);
    return ERR_OK;
}

struct err http_tls_check(const struct tls_settings *config)
{
    _cleanup_(tls_unrefp) struct tls *t = NULL;
    return tls_load(config, &t);
}

struct err http_server_reload_tls(struct http_server *s, const struct tls_settings *config)
{
    bool was = s->conns.limits.handshake_ns != 0, is = config->certificate != NULL;
    if (was != is)
        FAIL(ERR_CONFLICT, "TLS cannot be switched %s while the server runs: restart it",
             is ? "on" : "off");
    return is ? load_tls(s, config) : ERR_OK;
}

/* ---- start ---------------------------------------------------------------------------------- */

static uint64_t seconds_or(unsigned configured, unsigned fallback)
{
    return (configured ? configured : fallback) * CLOCK_SECOND_NS;
}

/* The soft limit is often 1,024, for programs that use select(); we may take up to the hard one. */
static void raise_open_files(unsigned connections)
{
    rlim_t want = connections + OTHER_FILES;
    struct rlimit files = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= want) return;
    files.rlim_cur = files.rlim_max < want ? files.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur < want)
        log_warn("http.limits", LOG_U("max-connections", connections),
                 LOG_U("open-files", files.rlim_cur), LOG_S("hint", "raise LimitNOFILE"));
}

static err_t init_table(struct http_server *s, const struct http_config *c)
{
    struct conn_limits limits = {
        .max = c->max_connections ? c->max_connections : HTTP_MAX_CONNECTIONS,
        .max_per_ip = c->max_connections_per_ip,
        .max_admin = HTTP_ADMIN_CONNECTIONS,
        .max_probe = HTTP_PROBE_CONNECTIONS,
        .apart = true,
        .head_ns = seconds_or(c->head_seconds, HTTP_HEAD_SECONDS),
        .body_ns = seconds_or(c->body_seconds, HTTP_BODY_SECONDS),
        .idle_ns = seconds_or(c->idle_seconds, HTTP_IDLE_SECONDS),
        .request_ns = seconds_or(c->request_seconds, HTTP_REQUEST_SECONDS),
        .probe_ns = HTTP_PROBE_SECONDS * CLOCK_SECOND_NS,
        .handshake_ns = s->tls ? seconds_or(c->handshake_seconds, HTTP_HANDSHAKE_SECONDS) : 0,
    };
    s->head_bytes = c->head_bytes ? c->head_bytes : HTTP_HEAD_BYTES;
    raise_open_files(limits.max);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned loops = c->threads ? c->threads : cores > 0 ? (unsigned) cores : 1;
    return conn_table_init(&s->conns, &limits, loops + 1);
}

static void free_server(struct http_server *s)
{
    tls_unref(s->tls);
    pthread_mutex_destroy(&s->tls_lock);
    free(s->loops);
    free(s->listeners);
    free(s->admin_path);
    free(s);
}

static err_t bind_some(struct http_server *s, const char *const *sockets, size_t count, bool probes)
{
    for (size_t i = 0; i < count; i++) {
        struct http_listener *l = &s->listeners[s->listener_count];
        TRY(listen_tcp(sockets[i], &l->fd, l->address));
        s->listener_count++; /* from here on it is closed with the server */
        l->probes = probes;
        if (!s->tls || probes) listen_await_bytes(l->fd);
    }
    return ERR_OK;
}

static err_t bind_all(struct http_server *s, const struct http_config *c)
{
    s->listeners = calloc(c->socket_count + c->probe_socket_count + 1, sizeof *s->listeners);
    if (!s->listeners) FAIL(ERR_INTERNAL, "out of memory");
    TRY(bind_some(s, c->sockets, c->socket_count, false));
    TRY(bind_some(s, c->probe_sockets, c->probe_socket_count, true));
    if (!c->admin_socket || !*c->admin_socket) return ERR_OK;
    s->admin_path = strdup(c->admin_socket);
    if (!s->admin_path) FAIL(ERR_INTERNAL, "out of memory");
    return listen_unix(s->admin_path, &s->admin_fd);
}

static err_t start_threads(struct http_server *s, const struct http_config *c)
{
    s->loops = calloc(s->conns.loops, sizeof *s->loops);
    if (!s->loops) FAIL(ERR_INTERNAL, "out of memory");
    while (s->loop_count < s->conns.loops) {
        struct http_loop *l = &s->loops[s->loop_count++]; /* from here on it is stopped with the server */
        TRY(loop_start(s, s->tls && s->loop_count < s->conns.loops, l));
    }
    int rc = pthread_create(&s->acceptor, NULL, acceptor_run, s);
    if (rc) FAIL(ERR_INTERNAL, "cannot start the acceptor: %s", strerror(rc));
    s->accepting = true;
    return ERR_OK;
}

static err_t start(struct http_server *s, const struct http_config *c)
{
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot make an eventfd");
    TRY(bind_all(s, c));
    return start_threads(s, c);
}

struct err http_server_start(const struct http_config *config,
                             const struct exchange_handler *handler, struct http_server **ret)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s) FAIL(ERR_INTERNAL, "out of memory");
    s->handler = handler;
    s->stop_ms = (config->stop_seconds ? config->stop_seconds : HTTP_STOP_SECONDS) * UINT64_C(1000);
    s->admin_fd = s->wake_fd = -1;
    pthread_mutex_init(&s->tls_lock, NULL);
    struct err e = config->tls.certificate ? load_tls(s, &config->tls) : ERR_OK;
    if (err_ok(e)) e = init_table(s, config);
    if (!err_ok(e)) {
        free_server(s);
        return e;
    }
    e = start(s, config);
    if (!err_ok(e)) {
        struct err_chain why = {0};
        err_save(e, &why); /* stopping may fail too, and would take its place */
        http_server_stop(s, 0);
        return err_load(&why);
    }
    *ret = s;
    return ERR_OK;
}

const char *http_server_address(const struct http_server *s, size_t index)
{
    return index < s->listener_count ? s->listeners[index].address : NULL;
}

void http_server_stats(const struct http_server *s, struct http_stats *ret)
{
    *ret = (struct http_stats){
        .accepted = s->accepted,
        .refused_busy = s->refused_busy,
        .refused_malformed = s->refused_malformed,
        .timed_out = s->timed_out,
        .handshakes_failed = s->handshakes_failed,
        /* a counter under a lock: the server is const to its caller, not to itself */
        .open = conn_table_count((struct conn_table *) (uintptr_t) &s->conns),
    };
}

/* ---- stop ----------------------------------------------------------------------------------- */

static void stop_accepting(struct http_server *s)
{
    s->stopping = true;
    if (s->accepting) {
        eventfd_write(s->wake_fd, 1);
        pthread_join(s->acceptor, NULL);
        s->accepting = false;
    }
    while (s->listener_count) close(s->listeners[--s->listener_count].fd);
    if (s->admin_fd >= 0) listen_unix_close(s->admin_path, s->admin_fd);
    s->admin_fd = -1;
}

/* True when no connection is left. With `all`, only those that are BUSY are waited for. */
static bool drain(struct http_server *s, uint64_t ms, bool all)
{
    uint64_t until = clock_mono_ns() + ms * UINT64_C(1000000);
    for (;;) {
        acceptor_sweep(s, (struct conn_sweep){.idle = true, .all = all});
        if (conn_table_wait(&s->conns, 20) == 0) return true;
        if (clock_mono_ns() >= until) return false;
    }
}

bool http_server_stop(struct http_server *s, unsigned grace_ms)
{
    if (!s) return true;
    stop_accepting(s);
    /* A suspended connection makes MHD_stop_daemon abort, and its exchange is in the hands of
     * whoever will resume it, within the deadline of a job. */
    if (!drain(s, grace_ms, false) && !drain(s, s->stop_ms, true)) {
        log_error("http.stop", LOG_U("connections", conn_table_count(&s->conns)),
                  LOG_S("why", "requests that do not end; their memory is left as it is"));
        return false;
    }
    for (unsigned i = 0; i < s->loop_count; i++) loop_stop(&s->loops[i]);
    if (s->wake_fd >= 0) close(s->wake_fd);
    conn_table_done(&s->conns);
    free_server(s);
    return true;
}
