/* Target Functions: envelope_decode envelope_put_bound envelope_put_rest envelope_flaw_text */
#include "pkcs11/envelope.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(bool holds)
{
    if (!holds) abort();
}

/* What decodes as sound is canonical: encoding it again gives the same bytes. */
static void encode_again(struct span bytes, const struct envelope *e)
{
    struct buf b = BUF_INIT;
    want(err_ok(envelope_put_bound(&b, &e->meta)));
    want(span_eq(buf_span(&b), e->bound));
    struct envelope_rest rest = {e->recipients, e->recipient_count, e->iv, e->tag, e->ciphertext};
    want(err_ok(envelope_put_rest(&b, e->meta.suite, &rest)));
    want(span_eq(buf_span(&b), bytes));
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope e;
    bool has_meta = false;
    struct span bytes = span_of(data, size);
    enum envelope_flaw flaw = envelope_decode(bytes, &e, &has_meta);
    want(strcmp(envelope_flaw_text(flaw), "unknown flaw") != 0);
    if (has_meta) want(e.meta.name.len >= 1 && e.meta.version >= 1 && e.bound.data == data);
    if (flaw != ENVELOPE_SOUND) return 0;
    want(has_meta);
    encode_again(bytes, &e);
    return 0;
}
