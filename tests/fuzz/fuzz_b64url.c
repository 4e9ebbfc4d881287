/* Target Functions: b64url_add b64_add b64url_decode b64_decode b64url_decode_secret */
#include "broker/jose/b64url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decodes has exactly one text: encoding gives back what was read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_buf_ struct buf bytes = BUF_INIT;
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct span in = span_of(data, size);
    bool url = err_ok(b64url_decode(in, &bytes));
    if (url) {
        b64url_add(&text, buf_span(&bytes));
        ENSURE(span_eq(buf_span(&text), in));
    }
    _cleanup_secret_ struct secret *secret = NULL;
    if (size < 65536) ENSURE(err_ok(b64url_decode_secret(in, &secret)) == url);
    buf_reset(&bytes);
    buf_reset(&text);
    if (err_ok(b64_decode(in, &bytes))) {
        b64_add(&text, buf_span(&bytes));
        ENSURE(span_eq(buf_span(&text), in));
    }
    return 0;
}
