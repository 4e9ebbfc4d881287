#include "pkcs11/envelope.h"

#include "broker/base/json.h" /* utf8_valid */

#include <string.h>

#define FLAG_TOMBSTONE 0x01u

/* By suite. In suite 2 a block in front proves the key (payload.c), and padding is never nothing. */
static const struct envelope_form FORMS[] = {
    [1] = {.iv = 12, .tag = 16, .keys = 1, .block = 1, .empty = 0},
    [2] = {.iv = 16, .tag = 32, .keys = 2, .block = 16, .empty = 32},
    [3] = {.iv = 12, .tag = 16, .keys = 1, .block = 1, .empty = 0},
};
#define SUITE_NEWEST (sizeof FORMS / sizeof *FORMS - 1)

static const char MAGIC[4] = {'S', 'R', 'E', '1'};

/* Names become C strings and labels further on, so a NUL would cut one into another. */
static bool name_valid(struct span name)
{
    return name.len >= 1 && name.len <= NAME_MAX_BYTES && !memchr(name.data, 0, name.len) &&
           utf8_valid(name);
}

static bool attribute_known(uint16_t type)
{
    return type == ENVELOPE_CONTENT_TYPE || type == ENVELOPE_NOT_AFTER || type == ENVELOPE_ORIGIN;
}

const struct envelope_form *envelope_form(uint8_t suite)
{
    return suite >= 1 && suite <= SUITE_NEWEST ? &FORMS[suite] : NULL;
}

static bool ciphertext_fits(const struct envelope_form *f, size_t len)
{
    return len >= f->empty && len <= VALUE_MAX + f->empty && len % f->block == 0;
}

/* ---- encoding --------------------------------------------------------------------------- */

static err_t check_attributes(const struct envelope_meta *m)
{
    if (m->attribute_count > ENVELOPE_MAX_ATTRIBUTES)
        FAIL(ERR_USAGE, "an envelope holds at most %u attributes", ENVELOPE_MAX_ATTRIBUTES);
    for (size_t i = 0; i < m->attribute_count; i++) {
        const struct envelope_attribute *a = &m->attributes[i];
        if (a->value.len > ENVELOPE_MAX_ATTRIBUTE)
            FAIL(ERR_USAGE, "attribute %#x is over %u bytes", a->type, ENVELOPE_MAX_ATTRIBUTE);
        if (i && m->attributes[i - 1].type >= a->type)
            FAIL(ERR_USAGE, "attributes must ascend by type: %#x after %#x", a->type,
                 m->attributes[i - 1].type);
        if ((a->type & ENVELOPE_CRITICAL) && !attribute_known(a->type))
            FAIL(ERR_USAGE, "critical attribute %#x is unknown, so nobody could read it back",
                 a->type);
    }
    return ERR_OK;
}

static err_t check_meta(const struct envelope_meta *m)
{
    if (!envelope_form(m->suite))
        FAIL(ERR_USAGE, "suite %u is unknown", m->suite);
    if (m->kind < ENVELOPE_RESOURCE || m->kind > ENVELOPE_MANIFEST)
        FAIL(ERR_USAGE, "envelope kind %d is unknown", (int) m->kind);
    if (m->version < 1) FAIL(ERR_USAGE, "object versions begin at 1");
    if (m->created < 0) FAIL(ERR_USAGE, "the clock is before 1970");
    if (!name_valid(m->name))
        FAIL(ERR_USAGE, "a name is 1 to %u bytes of UTF-8 without NUL", NAME_MAX_BYTES);
    return check_attributes(m);
}

err_t envelope_put_bound(struct buf *out, const struct envelope_meta *m)
{
    TRY(check_meta(m));
    buf_add(out, MAGIC, sizeof MAGIC);
    buf_add_u8(out, ENVELOPE_FORMAT);
    buf_add_u8(out, m->suite);
    buf_add_u8(out, (uint8_t) m->kind);
    buf_add_u8(out, m->tombstone ? FLAG_TOMBSTONE : 0);
    buf_add_u64(out, m->version);
    buf_add_u64(out, (uint64_t) m->created);
    buf_add_u16(out, (uint16_t) m->name.len);
    buf_add_span(out, m->name);
    buf_add_u8(out, (uint8_t) m->attribute_count);
    for (size_t i = 0; i < m->attribute_count; i++) {
        buf_add_u16(out, m->attributes[i].type);
        buf_add_u16(out, (uint16_t) m->attributes[i].value.len);
        buf_add_span(out, m->attributes[i].value);
    }
    return buf_ok(out);
}

static err_t check_recipient(const struct envelope_recipient *r)
{
    if (r->mechanism == 0) FAIL(ERR_USAGE, "a recipient needs a mechanism");
    if (r->key_count < 1 || r->key_count > ENVELOPE_KEYS)
        FAIL(ERR_USAGE, "a recipient holds 1 or 2 wrapped keys, not %zu", r->key_count);
    for (size_t i = 0; i < r->key_count; i++)
        if (r->keys[i].len < 1 || r->keys[i].len > ENVELOPE_MAX_WRAPPED)
            FAIL(ERR_USAGE, "a wrapped key is 1 to %u bytes", ENVELOPE_MAX_WRAPPED);
    return ERR_OK;
}

static size_t recipient_size(const struct envelope_recipient *r)
{
    size_t size = ENVELOPE_KEK_ID + 4 + 1 + 1;
    for (size_t i = 0; i < r->key_count; i++) size += 2 + r->keys[i].len;
    return size;
}

static void put_recipient(struct buf *out, const struct envelope_recipient *r)
{
    buf_add(out, r->kek_id, ENVELOPE_KEK_ID);
    buf_add_u32(out, r->generation);
    buf_add_u8(out, r->mechanism);
    buf_add_u8(out, (uint8_t) r->key_count);
    for (size_t i = 0; i < r->key_count; i++) {
        buf_add_u16(out, (uint16_t) r->keys[i].len);
        buf_add_span(out, r->keys[i]);
    }
}

static err_t check_payload(const struct envelope_form *f, const struct envelope_rest *rest)
{
    if (rest->iv.len != f->iv || rest->tag.len != f->tag)
        FAIL(ERR_USAGE, "this suite has an IV of %zu and a tag of %zu bytes", f->iv, f->tag);
    if (!ciphertext_fits(f, rest->ciphertext.len))
        FAIL(ERR_USAGE, "a payload is at most %u bytes, in blocks of %zu", VALUE_MAX, f->block);
    return ERR_OK;
}

err_t envelope_put_rest(struct buf *out, uint8_t suite, const struct envelope_rest *rest)
{
    const struct envelope_form *form = envelope_form(suite);
    if (!form) FAIL(ERR_USAGE, "suite %u is unknown", suite);
    if (rest->count < 1 || rest->count > ENVELOPE_MAX_RECIPIENTS)
        FAIL(ERR_USAGE, "an envelope has 1 to %u recipients, not %zu", ENVELOPE_MAX_RECIPIENTS,
             rest->count);
    TRY(check_payload(form, rest));
    size_t size = 1;
    for (size_t i = 0; i < rest->count; i++) {
        TRY(check_recipient(&rest->recipients[i]));
        size += recipient_size(&rest->recipients[i]);
    }
    buf_add_u32(out, (uint32_t) size);
    buf_add_u8(out, (uint8_t) rest->count);
    for (size_t i = 0; i < rest->count; i++) put_recipient(out, &rest->recipients[i]);
    buf_add_u8(out, (uint8_t) rest->iv.len);
    buf_add_u8(out, (uint8_t) rest->tag.len);
    buf_add_span(out, rest->iv);
    buf_add_span(out, rest->tag);
    buf_add_u32(out, (uint32_t) rest->ciphertext.len);
    buf_add_span(out, rest->ciphertext);
    return buf_ok(out);
}

/* ---- decoding: sequential, so what is cut off is torn and what is wrong before it is not ---- */

/* Bytes that end within the magic are torn: SoftHSM on a full disk leaves an empty file behind a
 * CKR_OK (tokens.md 2.2). */
static enum envelope_flaw read_magic(struct reader *r)
{
    size_t there = r->rest.len < sizeof MAGIC ? r->rest.len : sizeof MAGIC;
    if (there && memcmp(r->rest.data, MAGIC, there) != 0) return ENVELOPE_FOREIGN_BYTES;
    read_bytes(r, sizeof MAGIC);
    uint8_t format = read_u8(r);
    if (r->failed) return ENVELOPE_TORN;
    if (format > ENVELOPE_FORMAT) return ENVELOPE_NEWER;
    return format < 1 ? ENVELOPE_MALFORMED : ENVELOPE_SOUND;
}

static enum envelope_flaw read_fixed(struct reader *r, struct envelope_meta *m)
{
    m->suite = read_u8(r);
    uint8_t kind = read_u8(r), flags = read_u8(r);
    m->version = read_u64(r);
    uint64_t created = read_u64(r);
    uint16_t name_len = read_u16(r);
    if (!r->failed && name_len > NAME_MAX_BYTES) return ENVELOPE_MALFORMED;
    m->name = read_bytes(r, name_len);
    if (r->failed) return ENVELOPE_TORN;
    m->kind = kind;
    m->tombstone = flags & FLAG_TOMBSTONE;
    m->created = (int64_t) created;
    bool sound = m->suite && kind && !(flags & ~FLAG_TOMBSTONE) && m->version &&
                 created <= INT64_MAX && name_valid(m->name);
    return sound ? ENVELOPE_SOUND : ENVELOPE_MALFORMED;
}

static enum envelope_flaw read_attributes(struct reader *r, struct envelope_meta *m)
{
    m->attribute_count = read_u8(r);
    if (r->failed) return ENVELOPE_TORN;
    if (m->attribute_count > ENVELOPE_MAX_ATTRIBUTES) return ENVELOPE_MALFORMED;
    for (size_t i = 0; i < m->attribute_count; i++) {
        struct envelope_attribute *a = &m->attributes[i];
        a->type = read_u16(r);
        uint16_t len = read_u16(r);
        if (r->failed) return ENVELOPE_TORN;
        if (len > ENVELOPE_MAX_ATTRIBUTE) return ENVELOPE_MALFORMED;
        if (i && a[-1].type >= a->type) return ENVELOPE_MALFORMED;
        a->value = read_bytes(r, len);
        if (r->failed) return ENVELOPE_TORN;
    }
    return ENVELOPE_SOUND;
}

/* What a later Strongroom wrote; asked only of a header that is complete and well-formed. */
static bool from_the_future(const struct envelope_meta *m)
{
    if (!envelope_form(m->suite) || m->kind > ENVELOPE_MANIFEST) return true;
    for (size_t i = 0; i < m->attribute_count; i++)
        if ((m->attributes[i].type & ENVELOPE_CRITICAL) && !attribute_known(m->attributes[i].type))
            return true;
    return false;
}

static bool read_recipient(struct reader *r, struct envelope_recipient *ret)
{
    struct span id = read_bytes(r, ENVELOPE_KEK_ID);
    if (r->failed) return false;
    memcpy(ret->kek_id, id.data, ENVELOPE_KEK_ID);
    ret->generation = read_u32(r);
    ret->mechanism = read_u8(r);
    ret->key_count = read_u8(r);
    if (r->failed || ret->mechanism == 0 || ret->key_count < 1 || ret->key_count > ENVELOPE_KEYS)
        return false;
    for (size_t i = 0; i < ret->key_count; i++) {
        uint16_t len = read_u16(r);
        if (len < 1 || len > ENVELOPE_MAX_WRAPPED) return false;
        ret->keys[i] = read_bytes(r, len);
    }
    return !r->failed;
}

static enum envelope_flaw read_recipients(struct reader *r, struct envelope *e)
{
    uint32_t size = read_u32(r);
    struct reader inner = {.rest = read_bytes(r, size)};
    if (r->failed) return ENVELOPE_TORN;
    /* From here on everything must lie within its own length: short is wrong, not torn. */
    e->recipient_count = read_u8(&inner);
    if (inner.failed || e->recipient_count < 1 || e->recipient_count > ENVELOPE_MAX_RECIPIENTS)
        return ENVELOPE_MALFORMED;
    for (size_t i = 0; i < e->recipient_count; i++)
        if (!read_recipient(&inner, &e->recipients[i])) return ENVELOPE_MALFORMED;
    return inner.rest.len ? ENVELOPE_MALFORMED : ENVELOPE_SOUND;
}

static enum envelope_flaw read_payload(struct reader *r, struct envelope *e)
{
    const struct envelope_form *form = envelope_form(e->meta.suite); /* known: from_the_future */
    uint8_t iv_len = read_u8(r), tag_len = read_u8(r);
    if (r->failed) return ENVELOPE_TORN;
    if (iv_len != form->iv || tag_len != form->tag) return ENVELOPE_MALFORMED;
    e->iv = read_bytes(r, iv_len);
    e->tag = read_bytes(r, tag_len);
    uint32_t len = read_u32(r);
    if (r->failed) return ENVELOPE_TORN;
    if (!ciphertext_fits(form, len)) return ENVELOPE_MALFORMED;
    if (e->meta.tombstone && len != form->empty) return ENVELOPE_MALFORMED;
    e->ciphertext = read_bytes(r, len);
    if (r->failed) return ENVELOPE_TORN;
    return r->rest.len ? ENVELOPE_MALFORMED : ENVELOPE_SOUND;
}

#define TRY_FLAW(expr)                                                           \
    do {                                                                         \
        enum envelope_flaw flaw_ = (expr);                                       \
        if (flaw_ != ENVELOPE_SOUND) return flaw_;                               \
    } while (0)

enum envelope_flaw envelope_decode(struct span bytes, struct envelope *ret, bool *ret_has_meta)
{
    *ret = (struct envelope){0};
    *ret_has_meta = false;
    struct reader r = {.rest = bytes};
    TRY_FLAW(read_magic(&r));
    TRY_FLAW(read_fixed(&r, &ret->meta));
    TRY_FLAW(read_attributes(&r, &ret->meta));
    *ret_has_meta = true;
    ret->bound = span_of(bytes.data, bytes.len - r.rest.len);
    if (from_the_future(&ret->meta)) return ENVELOPE_NEWER;
    TRY_FLAW(read_recipients(&r, ret));
    return read_payload(&r, ret);
}

/* ---- words ------------------------------------------------------------------------------ */

const char *envelope_flaw_text(enum envelope_flaw flaw)
{
    static const char *const TEXT[] = {
        [ENVELOPE_SOUND] = "sound",
        [ENVELOPE_FOREIGN_BYTES] = "not an envelope of Strongroom",
        [ENVELOPE_NEWER] = "written by a newer Strongroom",
        [ENVELOPE_TORN] = "shorter than its lengths (a write that did not end)",
        [ENVELOPE_MALFORMED] = "damaged: a length or value that the layout forbids",
    };
    return (size_t) flaw < sizeof TEXT / sizeof *TEXT ? TEXT[flaw] : "unknown flaw";
}

const struct envelope_attribute *envelope_attribute(const struct envelope_meta *m, uint16_t type)
{
    for (size_t i = 0; i < m->attribute_count; i++)
        if (m->attributes[i].type == type) return &m->attributes[i];
    return NULL;
}
