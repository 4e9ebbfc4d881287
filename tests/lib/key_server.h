/* A server of a few pages on loopback, for tests of those who fetch keys. */
#pragma once

#include "broker/base/cleanup.h"
#include "tests/lib/test.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define KEY_SERVER_PAGES 8

struct key_server {
    int listener;
    char url[64]; /* "http://127.0.0.1:PORT" */
    pthread_t thread;
    pthread_mutex_t lock; /* guards pages */
    struct {
        const char *path;
        char *answer; /* status line to the end of the body */
    } pages[KEY_SERVER_PAGES];
    size_t page_count;
    atomic_int requests;
};

/* What this path answers from now on: "200 OK", header lines that each end in \r\n, and a body. */
static inline void key_server_page(struct key_server *s, const char *path, const char *status,
                                   const char *headers, const char *body)
{
    char *answer = NULL;
    assert_true(asprintf(&answer, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s",
                         status, strlen(body), headers, body) > 0);
    SCOPED_LOCK(&s->lock);
    size_t i = 0;
    while (i < s->page_count && strcmp(s->pages[i].path, path) != 0) i++;
    if (i == s->page_count) s->page_count++;
    assert_true(i < KEY_SERVER_PAGES);
    free(s->pages[i].answer);
    s->pages[i].path = path;
    s->pages[i].answer = answer;
}

static inline char *key_server_answer(struct key_server *s, const char *request)
{
    SCOPED_LOCK(&s->lock);
    for (size_t i = 0; i < s->page_count; i++) {
        size_t len = strlen(s->pages[i].path);
        if (strncmp(request + 4, s->pages[i].path, len) == 0 && request[4 + len] == ' ')
            return strdup(s->pages[i].answer);
    }
    return strdup("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static inline void *key_server_run(void *arg)
{
    struct key_server *s = arg;
    char request[4096];
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; close(fd)) {
        size_t len = 0;
        ssize_t n = 1;
        request[0] = '\0';
        while (!strstr(request, "\r\n\r\n") && len < sizeof request - 1 &&
               (n = recv(fd, request + len, sizeof request - 1 - len, 0)) > 0)
            request[len += (size_t) n] = '\0';
        if (n <= 0) continue;
        atomic_fetch_add(&s->requests, 1);
        char *answer = key_server_answer(s, request);
        for (size_t at = 0, all = strlen(answer); at < all && n > 0; at += (size_t) n)
            n = send(fd, answer + at, all - at, MSG_NOSIGNAL);
        free(answer);
    }
    return NULL;
}

/* On this port, 0: any that is free. */
static inline void key_server_start(struct key_server *s, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int on = 1;
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(s->listener, (struct sockaddr *) &at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 16), 0);
    getsockname(s->listener, (struct sockaddr *) &at, &len);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&s->thread, NULL, key_server_run, s), 0);
}

static inline void key_server_stop(struct key_server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    for (size_t i = 0; i < s->page_count; i++) free(s->pages[i].answer);
    pthread_mutex_destroy(&s->lock);
}
