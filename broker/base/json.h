/* Strict JSON over cJSON (RFC 8259), and a writer.
 *
 * The text is checked before cJSON sees it: length, UTF-8, depth, count of values, no duplicate
 * members, no \u0000, no lone surrogates, nothing after the value. Each value keeps the span of
 * text it came from, so numbers are read as text and evidence is forwarded as received. This file
 * is the only one that calls cJSON. */
#pragma once

#include "broker/base/cleanup.h"

struct cJSON;
struct json_doc;

/* A value inside a document; valid as long as the document. node NULL means "absent", and every
 * function below accepts that. */
struct json {
    const struct json_doc *doc;
    const struct cJSON *node;
};

enum json_type { JSON_ABSENT, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY,
                 JSON_OBJECT };

/* Copies the text. ERR_USAGE with offset and reason when it is not strict JSON; limits
 * JSON_MAX_DEPTH, JSON_MAX_VALUES, JSON_MAX_TEXT (limits.h). The caller frees the document.
 * A document is immutable and may be read from several threads. */
err_t json_parse(struct span text, struct json_doc **ret);
void json_free(struct json_doc *doc);
DEFINE_CLEANUP(struct json_doc, json_free);
#define _cleanup_json_ _cleanup_(json_freep)

struct json json_root(const struct json_doc *doc);
enum json_type json_type(struct json j);
static inline bool json_present(struct json j) { return j.node != NULL; }

struct json json_get(struct json object, const char *name);        /* case-sensitive */
struct json json_pointer(struct json root, const char *pointer);   /* RFC 6901 */
struct json json_first(struct json container);                     /* child of array or object */
struct json json_next(struct json child);
const char *json_name(struct json child);                          /* member name, or NULL */
size_t json_count(struct json container);

const char *json_string(struct json j);       /* NULL unless a string; no NUL inside */
bool json_int(struct json j, int64_t *ret);   /* only -?digits that fit; no fraction, no exponent */
bool json_bool(struct json j, bool *ret);
struct span json_text(struct json j);         /* the value's text as received */

/* Convenience for required members: ERR_USAGE that names the member and `what` it belongs to. */
err_t json_need_string(struct json object, const char *name, const char *what, const char **ret);
err_t json_need(struct json object, const char *name, enum json_type type, const char *what,
                struct json *ret);

/* ---- writing ---------------------------------------------------------------------------- */

/* Compact text into a buf (sticky failure, ask buf_ok at the end). Strings are escaped minimally,
 * as RFC 8785 wants: so a text written with members in sorted order is canonical. Bytes of a string
 * that are no UTF-8 become U+FFFD each: what is written is JSON whatever it is made from. */
struct json_out {
    struct buf *buf;
    bool need_comma;
};
#define JSON_OUT(b) ((struct json_out){.buf = (b)})

void json_begin_object(struct json_out *o);
void json_end_object(struct json_out *o);
void json_begin_array(struct json_out *o);
void json_end_array(struct json_out *o);
void json_key(struct json_out *o, const char *name);
void json_put_str(struct json_out *o, const char *value);
void json_put_span(struct json_out *o, struct span value); /* UTF-8 text */
void json_put_int(struct json_out *o, int64_t value);
void json_put_uint(struct json_out *o, uint64_t value);
void json_put_bool(struct json_out *o, bool value);
void json_put_null(struct json_out *o);
void json_put_raw(struct json_out *o, struct span json_text); /* valid JSON, as it is */

/* key and value in one */
void json_member_str(struct json_out *o, const char *name, const char *value);
void json_member_span(struct json_out *o, const char *name, struct span value);
void json_member_int(struct json_out *o, const char *name, int64_t value);
void json_member_uint(struct json_out *o, const char *name, uint64_t value);
void json_member_bool(struct json_out *o, const char *name, bool value);
void json_member_raw(struct json_out *o, const char *name, struct span json_text);

/* RFC 8785: a parsed value in canonical form. Numbers must be integers; any other fails the buf. */
void json_put_canonical(struct json_out *o, struct json value);

/* Bytes of the character that `text`, which is not empty, begins with; 0 when that is not well-formed
 * UTF-8 (RFC 3629). */
size_t utf8_length(struct span text);
/* True when text is well-formed UTF-8. */
bool utf8_valid(struct span text);
