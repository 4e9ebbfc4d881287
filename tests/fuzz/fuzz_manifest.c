/* Target Functions: manifest_check manifest_begin manifest_next manifest_find manifest_compare manifest_open manifest_put manifest_close */
#include "broker/store/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(bool holds)
{
    if (!holds) abort();
}

/* What passes the check is read to its end, each name is found again, and writing it anew gives a
 * body that says the same. */
static void write_again(struct span body)
{
    struct buf b = BUF_INIT;
    struct manifest_writer w;
    struct manifest_reader r, again;
    struct manifest_record found;
    manifest_open(&w, &b);
    for (manifest_begin(&r, body); manifest_next(&r);) {
        want(manifest_find(body, r.record.kind, r.record.name, &found));
        want(found.version == r.record.version && found.tombstone == r.record.tombstone);
        want(manifest_put(&w, &r.record));
        if (w.count > 200) break; /* finding each is a walk */
    }
    want(!r.in.failed);
    want(err_ok(manifest_close(&w)) && err_ok(manifest_check(buf_span(&b))));
    manifest_begin(&r, body);
    for (manifest_begin(&again, buf_span(&b)); manifest_next(&again);) {
        want(manifest_next(&r));
        want(strcmp(r.record.name, again.record.name) == 0 && r.record.kind == again.record.kind);
        want(r.record.not_after == again.record.not_after);
    }
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = span_of(data, size);
    struct manifest_reader r;
    for (manifest_begin(&r, body); manifest_next(&r);) continue;
    if (err_ok(manifest_check(body))) write_again(body);
    return 0;
}
