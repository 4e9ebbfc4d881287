/* Bytes that are not secret: a view (struct span) and a growing buffer (struct buf).
 *
 * A buf fails sticky: adding to it never reports, and buf_ok() asks once at the end. So a writer
 * reads straight down. It never holds plaintext, keys or PINs; those live in struct secret. */
#pragma once

#include "broker/base/err.h"

#include <stdarg.h>

struct span {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;          /* bytes */
};

/* A view of a string without its NUL, of a literal, or of pointer and length. */
struct span span_str(const char *s);
static inline struct span span_of(const void *data, size_t len)
{
    return (struct span){data, len};
}
#define SPAN_LIT(s) ((struct span){(const uint8_t *) ("" s), sizeof(s) - 1})

bool span_eq(struct span a, struct span b);        /* not constant time: never for secrets */
bool span_eq_str(struct span a, const char *s);
bool span_starts(struct span a, const char *prefix);

struct buf {
    uint8_t *data;
    size_t len, cap; /* bytes */
    size_t max;      /* named limit; 0 means BUF_MAX_DEFAULT (limits.h) */
    bool failed;     /* out of memory or over max */
};

#define BUF_INIT ((struct buf){0})

/* Owner frees with buf_free (NULL-safe, leaves an empty buffer). Not thread-safe. */
void buf_free(struct buf *b);
void buf_reset(struct buf *b); /* keeps the memory */

void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_span(struct buf *b, struct span s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_byte(struct buf *b, uint8_t byte);
void buf_add_hex(struct buf *b, struct span s); /* lower case */
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Big-endian integers (envelope layout). */
void buf_add_u8(struct buf *b, uint8_t v);
void buf_add_u16(struct buf *b, uint16_t v);
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);

/* Grows by len bytes and returns where they are (uninitialised), or NULL when failed. */
uint8_t *buf_extend(struct buf *b, size_t len);

static inline struct span buf_span(const struct buf *b)
{
    return (struct span){b->data, b->len};
}

/* ERR_TOOLARGE when over max, ERR_INTERNAL when out of memory. */
err_t buf_ok(const struct buf *b);

/* A NUL after the content (not counted in len), so that it can be read as text. "" if failed. */
const char *buf_str(struct buf *b);

/* Ownership of the content goes to the caller (free()); the buffer is empty afterwards. */
uint8_t *buf_steal(struct buf *b, size_t *ret_len);

/* A cursor over received bytes. Reading beyond the end sets failed and gives zeros. */
struct reader {
    struct span rest;
    bool failed;
};
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
struct span read_bytes(struct reader *r, size_t len);

/* 2 * s.len lower-case digits and a NUL. */
void hex_encode(struct span s, char *ret);
/* Exactly len bytes from 2*len hex digits (either case); false otherwise. */
bool hex_decode(const char *text, uint8_t *ret, size_t len);
