/* Target Functions: as_rest.read as_read */
#include "broker/attest/as_call.h"
#include "broker/base/limits.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two bytes of status and what was asked, then the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum as_op ops[] = {AS_EVALUATE, AS_CHALLENGE, AS_SET_POLICY, AS_QUERY};
    if (size < 2) return 0;
    struct as_call call = {.op = ops[data[0] % 4]};
    struct as_answer answer = {.status = data[1] < 128 ? 200 : 2 * data[1] + 100,
                               .body = span_of(data + 2, size - 2)};
    struct buf value = BUF_INIT, why = BUF_INIT;
    enum as_outcome outcome = as_read(&as_rest, &call, &answer, &value, &why);
    if ((outcome == AS_DONE) == (why.len > 0)) abort(); /* whatever fails says why */
    if (outcome == AS_DONE && answer.status != 200) abort();
    if (outcome == AS_DONE && call.op == AS_EVALUATE && memchr(value.data, '\n', value.len)) abort();
    if (why.len > AS_REASON_MAX + 100) abort();
    buf_free(&value);
    buf_free(&why);
    return 0;
}
