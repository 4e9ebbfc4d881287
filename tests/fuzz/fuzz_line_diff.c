/* Target Functions: line_diff */
#include "broker/base/line_diff.h"
#include "tests/lib/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two texts with a zero byte between. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = BUF_INIT;
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    if (!zero) return 0;
    struct span a = span_of(data, (size_t) (zero - data)), b = span_of(zero + 1, size - a.len - 1);
    struct err e = line_diff(a, "a", b, "b", &out);
    if (err_ok(e) && (out.len == 0) != span_eq(a, b)) abort();
    struct buf made = BUF_INIT;
    size_t edits = 0;
    if (err_ok(e) && (!patch_apply(a, buf_span(&out), &made, &edits) || !span_eq(buf_span(&made), b)))
        abort();
    buf_free(&made);
    buf_free(&out);
    return 0;
}
