/* Asking others over HTTP(S): one client for each service that the broker asks (attestation service,
 * key sets). libcurl does the work; here are the bounds: on waiting, on the answer's size, on the
 * connections that are kept. Redirects are not followed, and only http and https are spoken. A proxy that
 * the environment names (https_proxy, no_proxy) is used, but never for this host.
 *
 * Thread-safe: each request takes a handle with its own connection, and leaves it for the next. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/cleanup.h"

struct outbound;

struct outbound_config {
    const char *ca_file;     /* PEM: who may have signed the peer's certificate; NULL: the system's */
    const char *client_cert; /* PEM, leaf first, and its key: shown to a peer that asks; or NULL */
    const char *client_key;
    unsigned connect_ms;     /* 0: OUTBOUND_CONNECT_MS */
    unsigned total_ms;       /* from the first byte to the last, however slowly; 0: OUTBOUND_TOTAL_MS */
    size_t answer_max;       /* bytes of a body; 0: OUTBOUND_ANSWER_MAX */
    unsigned idle_max;       /* connections kept between requests; 0: OUTBOUND_IDLE_MAX */
    bool http2;              /* HTTP/2 at once, also without TLS (gRPC) */
    bool direct;             /* by no proxy, whatever the environment says (http_proxy, ...) */
};

/* Copies the configuration. ERR_USAGE names a file that cannot be read. The caller frees. */
err_t outbound_new(const struct outbound_config *config, struct outbound **ret);
/* When no request is under way (outbound_stop). NULL-safe. */
void outbound_free(struct outbound *o);
DEFINE_CLEANUP(struct outbound, outbound_free);

/* Requests under way end soon, with ERR_BUSY, and later ones at once: for the end of the process. */
void outbound_stop(struct outbound *o);
/* The same after a while, for those who give requests under way some time to end by themselves. */
void outbound_stop_in(struct outbound *o, unsigned ms);

struct outbound_request {
    const char *method;          /* "GET", "POST" */
    const char *url;             /* absolute */
    const char *const *headers;  /* "Name: value", NULL at the end; or NULL */
    struct span body;            /* of a POST */
    unsigned total_ms;           /* instead of the client's; 0: that */
    bool repeatable;             /* asking twice does no harm; always so for a GET */
    /* Each header and trailer of the answer, without line end; or NULL. */
    void (*on_header)(void *arg, struct span name, struct span value);
    void *arg;
};

struct outbound_answer {
    long status;
    struct buf body;      /* the caller frees */
    bool maybe_seen;      /* set on failure too: the peer may have acted on the request */
};

/* Any status is an answer. ERR_BUSY: no connection, or none any more, or no HTTP/2 where it is wanted;
 * ERR_TIMEOUT; ERR_TOOLARGE: the body or the headers; ERR_CRYPTO: the peer's certificate; ERR_USAGE: the
 * URL. The text names scheme, host and reason, but never what was sent.
 * A kept connection that turns out to be closed is made anew, once and within the same time, if nothing
 * was sent yet or the request is repeatable; nothing else is tried again. */
err_t outbound_send(struct outbound *o, const struct outbound_request *request,
                    struct outbound_answer *ret);

/* The hosts for which no proxy of the environment is used, as CURLOPT_NOPROXY wants them: this one, since what
 * is asked here passes nobody, and those of no_proxy. The caller frees. */
err_t outbound_no_proxy(char **ret);

/* Whether a URL of the configuration can be asked: absolute, http or https, a host, no user part, no
 * fragment. ERR_USAGE says what is wrong. */
err_t outbound_check_url(const char *url);

/* The same for a URL whose answer is believed: https, or http to this host alone (127.0.0.0/8, ::1,
 * localhost), where nobody is in between. */
err_t outbound_check_believed_url(const char *url);
