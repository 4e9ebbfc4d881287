#include "broker/base/outbound.h"

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/watchdog.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define LOWEST_TLS CURL_SSLVERSION_TLSv1_2
#define MS_NS UINT64_C(1000000)
#define WATCHDOG_PATIENCE_MS 500u /* libcurl's own time-out comes first, and says more */

/* A handle keeps its connection, and a warm one, which has answered before, makes no other: it would not
 * be told apart whether a request that fails was sent once or twice. Besides, with HTTP/2 and no TLS
 * libcurl 7.88 must be told of prior knowledge for a connection's first request, and must not be for
 * others. */
struct handle {
    CURL *curl;
    bool warm;
};

struct outbound {
    struct outbound_config config; /* its texts are ours */
    char *no_proxy;
    _Atomic uint64_t stop_at;      /* clock_mono_ns; 0: not yet */
    /* With HTTP/2 only: libcurl 7.88 reads frames as long as there are any, and forgets the time over a
     * peer that sends frames without end which mean nothing. */
    struct watchdog *watchdog;
    pthread_mutex_t lock;          /* guards the two below */
    struct handle *idle;
    unsigned idle_count;
};

/* ---- making ------------------------------------------------------------------------------- */

static err_t copy_path(const char *path, const char **ret)
{
    *ret = NULL;
    if (!path || !path[0]) return ERR_OK;
    if (access(path, R_OK) != 0) FAIL_ERRNO(ERR_USAGE, "cannot read %s", path);
    *ret = strdup(path);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t copy_config(struct outbound *o, const struct outbound_config *c)
{
    o->config = (struct outbound_config){
        .connect_ms = c->connect_ms ? c->connect_ms : OUTBOUND_CONNECT_MS,
        .total_ms = c->total_ms ? c->total_ms : OUTBOUND_TOTAL_MS,
        .answer_max = c->answer_max ? c->answer_max : OUTBOUND_ANSWER_MAX,
        .idle_max = c->idle_max ? c->idle_max : OUTBOUND_IDLE_MAX,
        .http2 = c->http2, .direct = c->direct,
    };
    if (!c->client_cert != !c->client_key)
        FAIL(ERR_USAGE, "a client certificate and its key go together; name both or neither");
    TRY(copy_path(c->ca_file, &o->config.ca_file));
    TRY(copy_path(c->client_cert, &o->config.client_cert));
    return copy_path(c->client_key, &o->config.client_key);
}

/* Of two names the small one goes first and an empty one is none, as libcurl has it, which takes * for all
 * hosts only where it stands alone. */
struct err outbound_no_proxy(char **ret)
{
    const char *more = getenv("no_proxy");
    if (!more || !*more) more = getenv("NO_PROXY");
    if (!more) more = "";
    int len = strcmp(more, "*") == 0
                  ? asprintf(ret, "*")
                  : asprintf(ret, "localhost,127.0.0.0/8,::1%s%s", *more ? "," : "", more);
    if (len < 0)
        FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

struct err outbound_new(const struct outbound_config *config, struct outbound **ret)
{
    _cleanup_(outbound_freep) struct outbound *o = calloc(1, sizeof *o);
    if (!o) FAIL(ERR_INTERNAL, "out of memory");
    pthread_mutex_init(&o->lock, NULL);
    TRY(copy_config(o, config));
    TRY(outbound_no_proxy(&o->no_proxy));
    o->idle = calloc(o->config.idle_max, sizeof *o->idle);
    if (!o->idle) FAIL(ERR_INTERNAL, "out of memory");
    if (config->http2) TRY(watchdog_new(&o->stop_at, &o->watchdog));
    *ret = TAKE_PTR(o);
    return ERR_OK;
}

void outbound_free(struct outbound *o)
{
    if (!o) return;
    watchdog_free(o->watchdog);
    for (unsigned i = 0; i < o->idle_count; i++) curl_easy_cleanup(o->idle[i].curl);
    free(o->idle);
    free(o->no_proxy);
    free((char *) o->config.ca_file);
    free((char *) o->config.client_cert);
    free((char *) o->config.client_key);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

void outbound_stop(struct outbound *o)
{
    outbound_stop_in(o, 0);
}

void outbound_stop_in(struct outbound *o, unsigned ms)
{
    atomic_store(&o->stop_at, clock_mono_ns() + ms * MS_NS);
}

static bool is_stopped(struct outbound *o)
{
    uint64_t at = atomic_load(&o->stop_at);
    return at && clock_mono_ns() >= at;
}

/* ---- handles ------------------------------------------------------------------------------ */

static curl_socket_t socket_of(CURL *curl)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    return curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK ? fd : CURL_SOCKET_BAD;
}

/* Closed by the peer while it lay idle. libcurl would notice too, and then open another one, but not
 * with the knowledge that it is HTTP/2. */
static bool is_dead(CURL *curl)
{
    struct pollfd p = {.fd = socket_of(curl), .events = POLLRDHUP};
    if (p.fd == CURL_SOCKET_BAD) return true;
    return poll(&p, 1, 0) != 0;
}

/* fresh: with a connection of its own. */
static err_t take(struct outbound *o, bool fresh, struct handle *ret)
{
    struct handle h = {0};
    if (!fresh) {
        SCOPED_LOCK(&o->lock);
        if (o->idle_count) h = o->idle[--o->idle_count];
    }
    if (h.curl && is_dead(h.curl)) {
        curl_easy_cleanup(h.curl);
        h = (struct handle){0};
    }
    if (!h.curl) h.curl = curl_easy_init();
    if (!h.curl) FAIL(ERR_INTERNAL, "out of memory");
    *ret = h;
    return ERR_OK;
}

/* The options of a request point into the caller's memory: they go, the connection stays. */
static void give_back(struct outbound *o, struct handle h, bool usable)
{
    curl_easy_reset(h.curl);
    h.warm = true;
    pthread_mutex_lock(&o->lock);
    bool kept = usable && o->idle_count < o->config.idle_max;
    if (kept) o->idle[o->idle_count++] = h;
    pthread_mutex_unlock(&o->lock);
    if (!kept) curl_easy_cleanup(h.curl);
}

/* ---- one request -------------------------------------------------------------------------- */

struct transfer {
    struct outbound *o;
    const struct outbound_request *request;
    uint64_t until;       /* clock_mono_ns */
    size_t header_bytes;
    bool heads_too_large;
    struct watched watched;
    struct buf body;
};

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    buf_add(&t->body, data, size * count);
    return t->body.failed ? 0 : size * count;
}

static struct span trim(struct span s)
{
    while (s.len && strchr(" \t\r\n", s.data[s.len - 1])) s.len--;
    while (s.len && strchr(" \t", s.data[0])) s.data++, s.len--;
    return s;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * count;
    t->header_bytes += len;
    t->heads_too_large = t->header_bytes > OUTBOUND_HEADERS_MAX;
    if (t->heads_too_large) return 0;
    const char *colon = memchr(line, ':', len);
    if (!colon || !t->request->on_header) return len;
    size_t name = (size_t) (colon - line);
    t->request->on_header(t->request->arg, span_of(line, name),
                          trim(span_of(colon + 1, len - name - 1)));
    return len;
}

static int on_progress(void *arg, curl_off_t total_down, curl_off_t down, curl_off_t total_up,
                       curl_off_t up)
{
    const struct transfer *t = arg;
    return is_stopped(t->o);
}

static int watch_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    struct transfer *t = arg;
    watchdog_socket(t->o->watchdog, &t->watched, fd);
    return CURL_SOCKOPT_OK;
}

static curl_socket_t no_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    return CURL_SOCKET_BAD;
}

static long ms_left(const struct transfer *t)
{
    uint64_t now = clock_mono_ns();
    return t->until > now + MS_NS ? (long) ((t->until - now) / MS_NS) : 1; /* 0 would be: for ever */
}

static void set_peer(const struct transfer *t, const struct handle *h)
{
    const struct outbound_config *c = &t->o->config;
    CURL *curl = h->curl;
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long) c->connect_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ms_left(t));
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, LOWEST_TLS);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, t->o->no_proxy);
    if (c->direct) curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (c->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL); /* no others beside it */
    }
    if (c->client_cert) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, c->client_cert);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, c->client_key);
    }
    if (c->http2)
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                         h->warm ? CURL_HTTP_VERSION_2_0 : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
    if (h->warm) curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, no_socket);
}

static void set_request(CURL *curl, struct transfer *t, struct curl_slist *headers)
{
    const struct outbound_request *r = t->request;
    curl_easy_setopt(curl, CURLOPT_URL, r->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    if (strcmp(r->method, "GET") == 0) return;
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body.len ? (const char *) r->body.data : "");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) r->body.len);
}

static err_t list_headers(const struct outbound_request *r, struct curl_slist **ret)
{
    static const char *const none[] = {NULL};
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* no wait before a body */
    for (const char *const *h = r->headers ? r->headers : none; list && *h; h++) {
        struct curl_slist *longer = curl_slist_append(list, *h);
        if (!longer) curl_slist_free_all(list);
        list = longer;
    }
    if (!list) FAIL(ERR_INTERNAL, "out of memory");
    *ret = list;
    return ERR_OK;
}

/* Scheme, host and port: a path or query may say more than a log should. */
static void peer_text(const char *url, char ret[128])
{
    const char *host = strstr(url, "://");
    size_t len = host ? (size_t) (host - url) + 3 + strcspn(host + 3, "/?#") : strlen(url);
    if (len > 127) len = 127;
    memcpy(ret, url, len);
    ret[len] = '\0';
}

static err_t transfer_error(const struct transfer *t, CURLcode code)
{
    static const struct { CURLcode code; enum err_class class_; } rows[] = {
        {CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT},
        {CURLE_PEER_FAILED_VERIFICATION, ERR_CRYPTO},
        {CURLE_URL_MALFORMAT, ERR_USAGE}, {CURLE_UNSUPPORTED_PROTOCOL, ERR_USAGE},
        {CURLE_OUT_OF_MEMORY, ERR_INTERNAL},
    };
    char peer[128];
    peer_text(t->request->url, peer);
    if (t->body.failed)
        FAIL(ERR_TOOLARGE, "the answer of %s is larger than %zu bytes", peer, t->body.max);
    if (t->heads_too_large)
        FAIL(ERR_TOOLARGE, "the headers of %s are larger than %u bytes", peer, OUTBOUND_HEADERS_MAX);
    if (is_stopped(t->o)) FAIL(ERR_BUSY, "stopping");
    enum err_class class_ = clock_mono_ns() >= t->until ? ERR_TIMEOUT : ERR_BUSY;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code) class_ = rows[i].class_;
    FAIL(class_, "no answer from %s: %s", peer, curl_easy_strerror(code));
}

/* Whether any byte of the request may have left. */
static bool may_be_seen(CURL *curl)
{
    curl_off_t ready = 0;
    curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &ready);
    return ready > 0;
}

/* Who wants HTTP/2 is not served by an upgrade that the peer did not take. */
static err_t check_version(const struct transfer *t, CURL *curl)
{
    long version = 0;
    char peer[128];
    curl_easy_getinfo(curl, CURLINFO_HTTP_VERSION, &version);
    if (!t->o->config.http2 || version == CURL_HTTP_VERSION_2_0) return ERR_OK;
    peer_text(t->request->url, peer);
    FAIL(ERR_BUSY, "%s does not speak HTTP/2", peer);
}

static CURLcode perform(struct transfer *t, const struct handle *h)
{
    struct watchdog *w = t->o->watchdog;
    if (!w) return curl_easy_perform(h->curl);
    watchdog_start(w, &t->watched, t->until + WATCHDOG_PATIENCE_MS * MS_NS);
    if (h->warm) watchdog_socket(w, &t->watched, socket_of(h->curl));
    curl_easy_setopt(h->curl, CURLOPT_SOCKOPTFUNCTION, watch_socket);
    curl_easy_setopt(h->curl, CURLOPT_SOCKOPTDATA, t);
    CURLcode code = curl_easy_perform(h->curl);
    watchdog_end(w, &t->watched);
    return code;
}

/* One attempt. *ret_again: the connection was a kept one, and closed before anything came back. */
static err_t attempt(struct transfer *t, struct curl_slist *headers, bool fresh,
                     struct outbound_answer *ret, bool *ret_again)
{
    struct handle h = {0};
    TRY(take(t->o, fresh, &h));
    set_peer(t, &h);
    set_request(h.curl, t, headers);
    CURLcode code = perform(t, &h);
    struct err e = code == CURLE_OK ? check_version(t, h.curl) : transfer_error(t, code);
    ret->maybe_seen |= may_be_seen(h.curl);
    curl_easy_getinfo(h.curl, CURLINFO_RESPONSE_CODE, &ret->status);
    *ret_again = h.warm && e.code == ERR_BUSY && t->header_bytes == 0 && !is_stopped(t->o);
    give_back(t->o, h, err_ok(e));
    return e;
}

struct err outbound_send(struct outbound *o, const struct outbound_request *request,
                         struct outbound_answer *ret)
{
    unsigned ms = request->total_ms ? request->total_ms : o->config.total_ms;
    struct transfer t = {.o = o, .request = request, .body = {.max = o->config.answer_max},
                         .until = clock_mono_ns() + ms * MS_NS};
    struct curl_slist *headers = NULL;
    bool again = false;
    ret->maybe_seen = false;
    if (is_stopped(o)) FAIL(ERR_BUSY, "stopping");
    TRY(list_headers(request, &headers));
    struct err e = attempt(&t, headers, false, ret, &again);
    bool harmless = request->repeatable || strcmp(request->method, "GET") == 0;
    if (again && (harmless || !ret->maybe_seen)) e = attempt(&t, headers, true, ret, &again);
    curl_slist_free_all(headers);
    if (err_ok(e)) ret->body = t.body;
    else buf_free(&t.body);
    return e;
}

/* ---- URLs of the configuration ------------------------------------------------------------ */

struct err outbound_check_url(const char *url)
{
    static const struct { CURLUPart part; bool wanted; const char *sentence; } rules[] = {
        {CURLUPART_HOST, true, "has no host"},
        {CURLUPART_USER, false, "has a user part; credentials do not go into URLs"},
        {CURLUPART_PASSWORD, false, "has a password; credentials do not go into URLs"},
        {CURLUPART_FRAGMENT, false, "has a fragment (#...)"},
    };
    const char *wrong = NULL;
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        FAIL(ERR_USAGE, "%.120s is no http:// or https:// URL", url);
    CURLU *u = curl_url();
    if (!u) FAIL(ERR_INTERNAL, "out of memory");
    if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK) wrong = "cannot be read as a URL";
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !wrong; i++) {
        char *text = NULL;
        bool there = curl_url_get(u, rules[i].part, &text, 0) == CURLUE_OK && text[0];
        curl_free(text);
        if (there != rules[i].wanted) wrong = rules[i].sentence;
    }
    curl_url_cleanup(u);
    /* The user part, which may be a secret, is not repeated. */
    if (wrong) FAIL(ERR_USAGE, "the URL %s", wrong);
    return ERR_OK;
}

/* Of a URL that outbound_check_url took. libcurl writes numeric addresses in their usual form. */
static err_t is_loopback(const char *url, bool *ret)
{
    struct in_addr v4;
    char *host = NULL;
    CURLU *u = curl_url();
    if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        curl_url_cleanup(u);
        FAIL(ERR_INTERNAL, "out of memory");
    }
    *ret = strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
    curl_free(host);
    curl_url_cleanup(u);
    return ERR_OK;
}

struct err outbound_check_believed_url(const char *url)
{
    bool loopback = false;
    TRY(outbound_check_url(url));
    if (strncasecmp(url, "https://", 8) == 0) return ERR_OK;
    TRY(is_loopback(url, &loopback));
    if (!loopback)
        FAIL(ERR_USAGE, "plain http is taken from this host only (127.0.0.1, [::1], localhost), since "
             "anybody on the way could change the answer; say https");
    return ERR_OK;
}
