/* The HTTP server: sockets to requests, responses to sockets; knows nothing of KBS.
 *
 * libmicrohttpd does the parsing: one epoll daemon a thread without a listening socket, and an
 * acceptor of ours that spreads connections evenly (MHD_add_connection). What MHD lets through and
 * we refuse is in http/guard.c; deadlines for head, body and whole request are ours. */
#pragma once

#include "broker/base/exchange.h"
#include "broker/base/limits.h"
#include "broker/base/tls_settings.h"

struct http_server;

struct http_config {
    const char *const *sockets;  /* "127.0.0.1:8080", "[::1]:8080" */
    size_t socket_count;
    const char *const *probe_sockets; /* the same, for GET of /healthz, /readyz and /metrics alone; plain */
    size_t probe_socket_count;
    const char *admin_socket;    /* Unix socket, mode 0600; NULL or "": none */
    unsigned threads;            /* 0: one a core */
    unsigned max_connections, max_connections_per_ip; /* 0: default, 0: none */
    unsigned head_seconds, body_seconds, idle_seconds, request_seconds; /* 0: limits.h */
    unsigned handshake_seconds, stop_seconds;
    size_t head_bytes;           /* HTTP_HEAD_MIN to HTTP_HEAD_MAX; 0: HTTP_HEAD_BYTES */
    struct tls_settings tls;  /* for `sockets`; the others are always plain */
};

/* Binds and starts serving. ERR_CONFLICT "address in use: ..." names the socket and the way out;
 * ERR_USAGE for an address that is none, and for files of TLS that do not do (http_tls_check). The
 * handler must outlive the server. */
err_t http_server_start(const struct http_config *config, const struct exchange_handler *handler,
                        struct http_server **ret);

/* The address really bound (port 0 chosen by the kernel), "127.0.0.1:41234"; index into sockets, and
 * then probe_sockets. */
const char *http_server_address(const struct http_server *s, size_t index);

/* Whether these files and settings would do; the error names the file and the way out. */
err_t http_tls_check(const struct tls_settings *config);

/* Reads the files again: new connections get the new certificate, versions and CAs, those that are
 * there keep theirs. On an error everything stays as it is. ERR_CONFLICT: TLS would be switched on or
 * off, which needs a restart. Thread-safe. */
err_t http_server_reload_tls(struct http_server *s, const struct tls_settings *config);

struct http_stats {
    uint64_t accepted, refused_busy, refused_malformed, timed_out;
    uint64_t handshakes_failed; /* TLS: ended without a handshake */
    unsigned open;
};
void http_server_stats(const struct http_server *s, struct http_stats *ret);

/* Graceful: accepts no more, lets requests that are under way end (up to grace_ms), waits for what is
 * suspended or still in the handler (up to stop_seconds more), then closes and frees. False: some of
 * that has not ended. The event loops run on, so neither the server nor anything that the handler uses
 * may be freed; try again, or end the process. */
bool http_server_stop(struct http_server *s, unsigned grace_ms);
