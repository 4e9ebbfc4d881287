/* gRPC as far as one question and one answer need it: the frame around a message, and the status that
 * comes in headers or trailers. Pure, thread-safe. */
#pragma once

#include "broker/base/buf.h"

/* What headers and trailers say. Zero it before the first. */
struct grpc_head {
    bool content;     /* the content type is gRPC's */
    bool has_status, bad_status;
    unsigned status;  /* the last one counts, as trailers come last */
    struct buf message; /* percent-decoded, AS_REASON_MAX bytes at most */
};
void grpc_head_done(struct grpc_head *head);

/* Takes a header or trailer; those that mean nothing here are skipped. */
void grpc_note(struct grpc_head *head, struct span name, struct span value);

/* Frames what was added to *b since it had `start` bytes: 5 of them must have been left for that. */
#define GRPC_PREFIX 5u
void grpc_frame(struct buf *b, size_t start);

/* The one message of an answer's body. False: *ret_why says what is wrong; static. */
bool grpc_message(struct span body, struct span *ret, const char **ret_why);
