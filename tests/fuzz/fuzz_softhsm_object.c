/* Target Functions: softhsm_object_judge */
#include "pkcs11/softhsm_files.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file that is whole stays so with one more truth value at its end, unless it ends in what we do
 * not know. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b = BUF_INIT;
    if (softhsm_object_judge(span_of(data, size)) != SOFTHSM_WHOLE) return 0;
    buf_add(&b, data, size);
    buf_add_u64(&b, 1);
    buf_add_u64(&b, 1);
    buf_add_u8(&b, 0xff);
    if (softhsm_object_judge(buf_span(&b)) != SOFTHSM_WHOLE) abort();
    buf_free(&b);
    return 0;
}
