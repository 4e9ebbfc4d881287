#include "broker/http/internal.h"

#include <sys/socket.h>

static void free_secret(void *secret)
{
    secret_free(secret);
}

static struct MHD_Response *make(struct response *r)
{
    if (r->secret_body) {
        struct secret *s = TAKE_PTR(r->secret_body);
        struct MHD_Response *made = MHD_create_response_from_buffer_with_free_callback_cls(
            secret_len(s), secret_data(s), free_secret, s);
        if (!made) secret_free(s);
        return made;
    }
    size_t len = 0;
    uint8_t *data = buf_steal(&r->body, &len);
    struct MHD_Response *made =
        MHD_create_response_from_buffer_with_free_callback(len, data ? data : (void *) "",
                                                           data ? free : NULL);
    if (!made) free(data);
    return made;
}

bool answer_queue(struct MHD_Connection *connection, struct response *r)
{
    struct MHD_Response *made = make(r);
    if (!made) return false;
    bool ok = true;
    if (r->content_type)
        ok &= MHD_add_response_header(made, "Content-Type", r->content_type) == MHD_YES;
    for (size_t i = 0; i < r->header_count; i++)
        ok &= MHD_add_response_header(made, r->headers[i].name, r->headers[i].value) == MHD_YES;
    if (r->close) ok &= MHD_add_response_header(made, "Connection", "close") == MHD_YES;
    ok = ok && MHD_queue_response(connection, (unsigned) r->status, made) == MHD_YES;
    MHD_destroy_response(made);
    return ok;
}

/* Not waiting, as MHD has made the session non-blocking. */
static void send_tls(gnutls_session_t session, struct span data)
{
    while (data.len) {
        ssize_t n = gnutls_record_send(session, data.data, data.len);
        if (n <= 0) return;
        data = span_of(data.data + n, data.len - (size_t) n);
    }
}

void answer_raw(int fd, gnutls_session_t session, const struct response *r)
{
    _cleanup_buf_ struct buf head = BUF_INIT;
    struct span body = r->secret_body ? secret_span(r->secret_body) : buf_span(&r->body);
    buf_addf(&head, "HTTP/1.1 %d %s\r\n", r->status,
             MHD_get_reason_phrase_for((unsigned) r->status));
    if (r->content_type) buf_addf(&head, "Content-Type: %s\r\n", r->content_type);
    for (size_t i = 0; i < r->header_count; i++)
        buf_addf(&head, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
    buf_addf(&head, "Content-Length: %zu\r\nConnection: close\r\n\r\n", body.len);
    if (!err_ok(buf_ok(&head))) return;
    if (session) {
        send_tls(session, buf_span(&head));
        send_tls(session, body);
        return;
    }
    struct iovec parts[] = {{head.data, head.len}, {(void *) (uintptr_t) body.data, body.len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t ignored = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void) ignored; /* the connection ends either way */
}
