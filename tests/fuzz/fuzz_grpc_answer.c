/* Target Functions: grpc_note grpc_message as_grpc.read as_read */
#include "broker/attest/as_call.h"
#include "broker/base/limits.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines "name:value" up to an empty one are headers and trailers. Gives what comes after them. */
static struct span note_lines(struct grpc_head *head, struct span text)
{
    while (text.len) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t) (end - text.data) : text.len;
        const uint8_t *colon = memchr(text.data, ':', len);
        if (colon)
            grpc_note(head, span_of(text.data, (size_t) (colon - text.data)),
                      span_of(colon + 1, len - (size_t) (colon + 1 - text.data)));
        text = span_of(text.data + len, text.len - len);
        if (text.len) text.data++, text.len--;
        if (len == 0) break;
    }
    return text;
}

/* The first byte says what was asked. The body is taken as it is and, framed rightly, as a message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct as_call call = {.op = data[0] % AS_OP_COUNT};
    struct as_answer answer = {.status = data[0] & 0x80 ? 500 : 200};
    struct span body = note_lines(&answer.head, span_of(data + 1, size - 1));
    struct buf framed = BUF_INIT;
    if (answer.head.message.len > AS_REASON_MAX) abort();
    buf_extend(&framed, GRPC_PREFIX);
    buf_add_span(&framed, body);
    grpc_frame(&framed, 0);
    for (int i = 0; i < 2; i++) {
        struct buf value = BUF_INIT, why = BUF_INIT;
        answer.body = i ? buf_span(&framed) : body;
        enum as_outcome outcome = as_read(&as_grpc, &call, &answer, &value, &why);
        if ((outcome == AS_DONE) == (why.len > 0)) abort(); /* whatever fails says why */
        if (outcome == AS_DONE && call.op == AS_EVALUATE && value.len > JOSE_MAX_TOKEN) abort();
        if (outcome == AS_DONE && call.op == AS_CHALLENGE && value.len == 0) abort();
        buf_free(&value);
        buf_free(&why);
    }
    buf_free(&framed);
    grpc_head_done(&answer.head);
    return 0;
}
