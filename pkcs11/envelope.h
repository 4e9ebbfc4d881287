/* The envelope: one resource version as bytes, the same on a token, in a directory, in a database
 * (DESIGN 3). This file knows the layout and no cryptography.
 *
 *   bound header (the AAD of the payload)
 *      0  magic "SRE1"            4 bytes
 *      4  format version          u8   1
 *      5  suite                   u8   1 = AES-256-GCM on the token, 2 = AES-256-CBC with HMAC-SHA-256
 *                                      on the token, 3 = AES-256-GCM on the host (payload.h)
 *      6  kind                    u8   enum envelope_kind
 *      7  flags                   u8   bit 0: tombstone; others must be 0
 *      8  object version          u64  from 1
 *     16  created                 u64  Unix seconds
 *     24  name length             u16  1..NAME_MAX_BYTES
 *     26  name                    bytes, UTF-8
 *      .  attribute count         u8   0..ENVELOPE_MAX_ATTRIBUTES
 *      .  attributes: type u16 (bit 15: critical), length u16, value; types ascending
 *   recipients (not bound; a wrong one cannot open)
 *      .  recipients length       u32  of all that follows up to the payload
 *      .  recipient count         u8   1..ENVELOPE_MAX_RECIPIENTS
 *      .  recipients: KEK id 16 bytes, generation u32, mechanism u8, key count u8 (1..2),
 *         then per key: length u16, wrapped content key
 *   payload
 *      .  IV length u8, tag length u8 (fixed by the suite: 12 and 16; 16 and 32 in suite 2)
 *      .  IV, tag
 *      .  ciphertext length       u32
 *      .  ciphertext              to the very end of the envelope; in suite 2 whole blocks of 16, and
 *                                 never less than two
 *
 * Integers are big-endian. Reading format version 1 stays possible for ever. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/limits.h"

#define ENVELOPE_KEK_ID 16
#define ENVELOPE_FORMAT 1
#define ENVELOPE_KEYS 2 /* content keys of one envelope, at most */
#define ENVELOPE_IV_MAX 16
#define ENVELOPE_TAG_MAX 32

enum envelope_kind {
    ENVELOPE_RESOURCE = 1,
    ENVELOPE_POLICY = 2,
    ENVELOPE_REFERENCE_VALUE = 3,
    ENVELOPE_CANARY = 4,
    ENVELOPE_MANIFEST = 5,
};

enum envelope_mechanism { /* numbers of our own; they are stored */
    ENVELOPE_KW = 1, ENVELOPE_KWP = 2, ENVELOPE_CBC_PAD = 3, ENVELOPE_OAEP_SHA256 = 4,
    ENVELOPE_OAEP_SHA1 = 5,
};

#define ENVELOPE_CRITICAL 0x8000u
enum envelope_attribute_type {
    ENVELOPE_CONTENT_TYPE = 1, ENVELOPE_NOT_AFTER = 2 | ENVELOPE_CRITICAL, ENVELOPE_ORIGIN = 3,
};

struct envelope_attribute { uint16_t type; struct span value; };

/* The bound header. Spans point into the envelope's bytes (decoded) or the caller's (encoding). */
struct envelope_meta {
    uint8_t suite;
    enum envelope_kind kind;
    bool tombstone;
    uint64_t version;
    int64_t created;
    struct span name;
    struct envelope_attribute attributes[ENVELOPE_MAX_ATTRIBUTES];
    size_t attribute_count;
};

struct envelope_recipient {
    uint8_t kek_id[ENVELOPE_KEK_ID];
    uint32_t generation;
    uint8_t mechanism;
    struct span keys[ENVELOPE_KEYS];
    size_t key_count;
};

struct envelope {
    struct envelope_meta meta;
    struct envelope_recipient recipients[ENVELOPE_MAX_RECIPIENTS];
    size_t recipient_count;
    struct span bound;      /* the AAD: header bytes exactly as stored */
    struct span iv, tag, ciphertext;
};

/* What a suite fixes of the layout. */
struct envelope_form {
    size_t iv, tag; /* bytes */
    size_t keys;    /* content keys, and so wrapped ones a recipient */
    size_t block;   /* the ciphertext is a multiple of this */
    size_t empty;   /* bytes of ciphertext of an empty value */
};
/* NULL: a suite that we do not know. */
const struct envelope_form *envelope_form(uint8_t suite);

/* Appends the bound header. ERR_USAGE for what the layout cannot hold. */
err_t envelope_put_bound(struct buf *out, const struct envelope_meta *meta);
/* What follows the bound header; nothing in it is copied before it is put. */
struct envelope_rest {
    const struct envelope_recipient *recipients;
    size_t count;
    struct span iv, tag, ciphertext;
};
/* Appends recipients and payload of this suite after a bound header. ERR_USAGE as above. */
err_t envelope_put_rest(struct buf *out, uint8_t suite, const struct envelope_rest *rest);

/* What is wrong with bytes that are no sound envelope. */
enum envelope_flaw {
    ENVELOPE_SOUND,
    ENVELOPE_FOREIGN_BYTES,   /* not ours at all: magic */
    ENVELOPE_NEWER,           /* a format or suite of the future, or an unknown critical attribute */
    ENVELOPE_TORN,            /* shorter than its lengths */
    ENVELOPE_MALFORMED,       /* lengths and values that the layout forbids */
};

/* Views into `bytes`, which must outlive *ret. Bounded, no allocation. On a flaw other than
 * ENVELOPE_SOUND *ret is undefined, except ret->meta when the bound header is complete and well-
 * formed (*ret_has_meta): the flaw is behind it, or it is of a newer suite or kind. Bytes that end
 * within the magic (none at all, too) are ENVELOPE_TORN. */
enum envelope_flaw envelope_decode(struct span bytes, struct envelope *ret, bool *ret_has_meta);
const char *envelope_flaw_text(enum envelope_flaw flaw);
const struct envelope_attribute *envelope_attribute(const struct envelope_meta *m, uint16_t type);
