#include "broker/attest/grpc.h"

#include "broker/base/limits.h"

#include <string.h>
#include <strings.h>

void grpc_head_done(struct grpc_head *head)
{
    buf_free(&head->message);
}

static bool is(struct span name, const char *wanted)
{
    return name.len == strlen(wanted) &&
           strncasecmp((const char *) name.data, wanted, name.len) == 0;
}

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is no escape stays as it is: it is for people to read. */
static void decode(struct span s, struct buf *ret)
{
    buf_reset(ret);
    for (size_t i = 0; i < s.len && ret->len < AS_REASON_MAX; i++) {
        int high = s.data[i] == '%' && s.len - i > 2 ? hex(s.data[i + 1]) : -1;
        int low = high >= 0 ? hex(s.data[i + 2]) : -1;
        buf_add_byte(ret, (uint8_t) (low >= 0 ? high << 4 | low : s.data[i]));
        if (low >= 0) i += 2;
    }
}

static void read_status(struct grpc_head *head, struct span s)
{
    unsigned n = 0;
    head->has_status = true;
    head->bad_status = s.len == 0 || s.len > 3;
    for (size_t i = 0; i < s.len && !head->bad_status; i++) {
        head->bad_status = s.data[i] < '0' || s.data[i] > '9';
        n = n * 10 + (s.data[i] - (unsigned) '0');
    }
    head->status = n;
}

void grpc_note(struct grpc_head *head, struct span name, struct span value)
{
    static const char type[] = "application/grpc";
    const size_t len = sizeof type - 1;
    if (is(name, "grpc-status")) read_status(head, value);
    else if (is(name, "grpc-message")) decode(value, &head->message);
    else if (is(name, "content-type"))
        head->content = value.len >= len && strncasecmp((const char *) value.data, type, len) == 0 &&
                        (value.len == len || value.data[len] == '+' || value.data[len] == ';');
}

void grpc_frame(struct buf *b, size_t start)
{
    size_t len = b->len - start - GRPC_PREFIX;
    if (b->failed) return;
    uint8_t *p = b->data + start;
    *p++ = 0; /* not compressed */
    for (int shift = 24; shift >= 0; shift -= 8) *p++ = (uint8_t) (len >> shift);
}

bool grpc_message(struct span body, struct span *ret, const char **ret_why)
{
    struct reader r = {.rest = body};
    uint8_t compressed = read_u8(&r);
    uint32_t len = read_u32(&r);
    *ret_why = NULL;
    if (r.failed) *ret_why = "no message";
    else if (compressed) *ret_why = "a message that is compressed, though nobody asked for that";
    else if (len > r.rest.len) *ret_why = "a message that is shorter than it says";
    else if (len < r.rest.len) *ret_why = "more than one message";
    else *ret = r.rest;
    return !*ret_why;
}
