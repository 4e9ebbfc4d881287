#include "tests/bench/load.h"

#include "broker/base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    pthread_t thread;
    const struct load *load;
    uint64_t end; /* clock_mono_ns */
    uint64_t answers;
    size_t body;
    bool failed;
};

static int connect_to(const char *address)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    struct sockaddr_in to = {.sin_family = AF_INET};
    snprintf(host, sizeof host, "%.*s", (int) (colon - address), address);
    to.sin_port = htons((uint16_t) strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof to) != 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Reads one answer with a Content-Length; false unless it is a complete 200. */
static bool read_answer(int fd, char *buffer, size_t size, size_t *ret_body)
{
    size_t have = 0, want = 0;
    while (want == 0 || have < want) {
        ssize_t n = read(fd, buffer + have, size - 1 - have);
        if (n <= 0) return false;
        have += (size_t) n;
        buffer[have] = '\0';
        char *end = want ? NULL : strstr(buffer, "\r\n\r\n");
        if (!end) continue;
        const char *length = strcasestr(buffer, "\r\ncontent-length:");
        if (strncmp(buffer, "HTTP/1.1 200", 12) != 0 || !length) return false;
        *ret_body = strtoul(length + 17, NULL, 10);
        want = (size_t) (end + 4 - buffer) + *ret_body;
    }
    return have == want;
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    static const size_t size = 256 << 10;
    char *buffer = malloc(size);
    int fd = connect_to(c->load->address);
    size_t len = strlen(c->load->request);
    c->failed = fd < 0 || !buffer;
    while (!c->failed && clock_mono_ns() < c->end) {
        c->failed = write(fd, c->load->request, len) != (ssize_t) len ||
                    !read_answer(fd, buffer, size, &c->body);
        c->answers++;
    }
    if (fd >= 0) close(fd);
    free(buffer);
    return NULL;
}

struct err load_run(const struct load *load, struct load_result *ret)
{
    struct client clients[64] = {0};
    ENSURE(load->connections <= 64);
    uint64_t begin = clock_mono_ns();
    uint64_t end = begin + (uint64_t) (load->seconds * (double) CLOCK_SECOND_NS);
    for (unsigned i = 0; i < load->connections; i++) {
        clients[i] = (struct client){.load = load, .end = end};
        ENSURE(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) == 0);
    }
    *ret = (struct load_result){0};
    bool failed = false;
    for (unsigned i = 0; i < load->connections; i++) {
        pthread_join(clients[i].thread, NULL);
        ret->answers += clients[i].answers;
        ret->body = clients[i].body;
        failed = failed || clients[i].failed;
    }
    ret->seconds = (double) (clock_mono_ns() - begin) / (double) CLOCK_SECOND_NS;
    if (failed) FAIL(ERR_INTERNAL, "a request under load was not answered with 200");
    return ERR_OK;
}
