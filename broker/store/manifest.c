#include "broker/store/manifest.h"

#include "broker/store/label.h"

#include <string.h>

#define LAYOUT 1u
#define FLAG_TOMBSTONE 0x01u
#define FLAG_NOT_AFTER 0x02u
#define RECORD_MAX (3u + NAME_MAX_BYTES + 1u + 8u + 8u) /* bytes of one */

/* ---- reading ----------------------------------------------------------------------------- */

void manifest_begin(struct manifest_reader *r, struct span body)
{
    *r = (struct manifest_reader){.in = {body, false}};
    if (body.len == 0) return;
    r->in.failed = read_u8(&r->in) != LAYOUT;
    r->left = read_u32(&r->in);
}

static bool read_name(struct manifest_reader *r, size_t shared)
{
    size_t rest = read_u8(&r->in);
    if (shared > strlen(r->record.name) || shared + rest > NAME_MAX_BYTES) return false;
    struct span text = read_bytes(&r->in, rest);
    if (r->in.failed || memchr(text.data, 0, text.len)) return false;
    memcpy(r->record.name + shared, text.data, text.len);
    r->record.name[shared + text.len] = '\0';
    return true;
}

bool manifest_next(struct manifest_reader *r)
{
    if (r->in.failed || r->left == 0) return false;
    r->left--;
    r->record.kind = (enum envelope_kind) read_u8(&r->in);
    r->in.failed |= !read_name(r, read_u8(&r->in));
    if (r->in.failed) return false;
    uint8_t flags = read_u8(&r->in);
    uint64_t not_after = 0;
    r->record.version = read_u64(&r->in);
    if (flags & FLAG_NOT_AFTER) not_after = read_u64(&r->in);
    if (flags & ~(FLAG_TOMBSTONE | FLAG_NOT_AFTER) || not_after > INT64_MAX) r->in.failed = true;
    r->record.tombstone = flags & FLAG_TOMBSTONE;
    r->record.not_after = (int64_t) not_after;
    return !r->in.failed;
}

int manifest_compare(enum envelope_kind a_kind, const char *a, enum envelope_kind b_kind,
                     const char *b)
{
    if (a_kind != b_kind) return a_kind < b_kind ? -1 : 1;
    return strcmp(a, b);
}

struct err manifest_check(struct span body)
{
    struct manifest_reader r;
    struct manifest_record before = {0};
    if (body.len == 0) FAIL(ERR_DAMAGED, "the manifest is empty");
    for (manifest_begin(&r, body); manifest_next(&r); before = r.record)
        if (!err_ok(name_check(r.record.kind, r.record.name)) || r.record.version == 0 ||
            manifest_compare(before.kind, before.name, r.record.kind, r.record.name) >= 0)
            FAIL(ERR_DAMAGED, "the manifest holds what it cannot hold");
    if (r.in.failed || r.in.rest.len)
        FAIL(ERR_DAMAGED, "the manifest is no manifest, or of a newer version of this program");
    return ERR_OK;
}

bool manifest_find(struct span body, enum envelope_kind kind, const char *name,
                   struct manifest_record *ret)
{
    struct manifest_reader r;
    manifest_begin(&r, body);
    while (manifest_next(&r)) {
        int order = manifest_compare(r.record.kind, r.record.name, kind, name);
        if (order > 0) return false;
        if (order < 0) continue;
        *ret = r.record;
        return true;
    }
    return false;
}

/* ---- writing ----------------------------------------------------------------------------- */

void manifest_open(struct manifest_writer *w, struct buf *out)
{
    *w = (struct manifest_writer){.out = out};
    buf_add_u8(out, LAYOUT);
    buf_add_u32(out, 0);
}

bool manifest_put(struct manifest_writer *w, const struct manifest_record *r)
{
    size_t shared = 0, len = strlen(r->name);
    if (w->out->len + RECORD_MAX > STORE_MANIFEST_MAX) return false;
    while (w->last.name[shared] && w->last.name[shared] == r->name[shared]) shared++;
    buf_add_u8(w->out, (uint8_t) r->kind);
    buf_add_u8(w->out, (uint8_t) shared);
    buf_add_u8(w->out, (uint8_t) (len - shared));
    buf_add(w->out, r->name + shared, len - shared);
    buf_add_u8(w->out, (uint8_t) ((r->tombstone ? FLAG_TOMBSTONE : 0) |
                                  (r->not_after ? FLAG_NOT_AFTER : 0)));
    buf_add_u64(w->out, r->version);
    if (r->not_after) buf_add_u64(w->out, (uint64_t) r->not_after);
    w->last = *r;
    w->count++;
    return true;
}

struct err manifest_close(struct manifest_writer *w)
{
    TRY(buf_ok(w->out));
    for (unsigned i = 0; i < 4; i++) w->out->data[1 + i] = (uint8_t) (w->count >> (8 * (3 - i)));
    return ERR_OK;
}
