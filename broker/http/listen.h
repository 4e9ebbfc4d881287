/* Listening sockets: TCP addresses and the Unix admin socket. All non-blocking, close-on-exec. */
#pragma once

#include "broker/base/err.h"

#define LISTEN_ADDRESS 80 /* bytes of "[v6]:port" */

/* Binds and listens on "127.0.0.1:8080" or "[::1]:8080" (a name is looked up once; port 0 lets the
 * kernel choose) and writes the address really bound. The caller closes *ret_fd. ERR_USAGE for
 * what is no address, ERR_CONFLICT when somebody else has it. */
err_t listen_tcp(const char *address, int *ret_fd, char ret_bound[LISTEN_ADDRESS]);

/* The same for a Unix socket, mode 0600. A socket file that nobody listens on any more is
 * replaced; a live one, or a file that is no socket, is ERR_CONFLICT. */
err_t listen_unix(const char *path, int *ret_fd);

/* Connections are handed over once their first bytes are there, or after HTTP_SILENT_SECONDS without any: so
 * who accepts can see what they begin with. */
void listen_await_bytes(int fd);

/* Closes the socket, and removes the file when it is still ours. */
void listen_unix_close(const char *path, int fd);

/* "127.0.0.1:4711" or "[::1]:4711"; "?" for other families. */
struct sockaddr;
void listen_text(const struct sockaddr *address, char *out, size_t size);
