/* HTTP as a client, over TCP or the admin socket (libcurl). For commands only. */
#pragma once

#include "broker/base/secret.h"

struct http_client;

/* base: "http://127.0.0.1:8080", or NULL with a Unix socket's path. cacert: PEM file or NULL. */
err_t http_client_new(const char *base, const char *unix_socket, const char *cacert,
                      struct http_client **ret);
void http_client_free(struct http_client *c);
DEFINE_CLEANUP(struct http_client, http_client_free);

struct http_answer {
    long status;
    struct secret *body; /* of the caller; secret because it may be one */
    char etag[32];
};
void http_answer_free(struct http_answer *a);

/* One request; cookies are kept between requests. headers: NULL-ended "Name: value" lines or NULL.
 * ERR_TOKEN_DOWN when nobody answers. Not thread-safe. */
err_t http_client_send(struct http_client *c, const char *method, const char *path,
                       const char *const *headers, struct span body, struct http_answer *ret);

/* The body and a line end to standard output, for --format json. */
err_t http_answer_print(const struct http_answer *a);

/* {"type","detail"} of an answer that is not 200, as an error of the class that its member "class"
 * names or, without one, that fits the status. */
err_t http_answer_error(const struct http_answer *a, const char *what);
