/* Target Functions: local_json_read */
#include "broker/cmd/local_json.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct feed {
    struct span rest;
    size_t piece;
};

static err_t feed(void *arg, uint8_t *into, size_t room, size_t *ret_len)
{
    struct feed *f = arg;
    size_t n = f->rest.len < f->piece ? f->rest.len : f->piece;
    if (n > room) n = room;
    if (n) memcpy(into, f->rest.data, n);
    f->rest = span_of(f->rest.data + n, f->rest.len - n);
    *ret_len = n;
    return ERR_OK;
}

/* Keys and values, each with its length, so that two readings can be compared. */
static err_t note(void *arg, struct local_json_entry *e)
{
    struct span value = e->value ? secret_span(*e->value) : span_of(NULL, 0);
    if (e->key.len > IMPORT_KEY_MAX + 1 || value.len > 64 || (e->flaw && e->value)) abort();
    buf_addf(arg, "%zu %zu %d ", e->key.len, value.len, e->flaw != NULL);
    buf_add_span(arg, e->key);
    buf_add_span(arg, value);
    return ERR_OK;
}

static struct err read_by(struct span text, size_t piece, bool values, struct buf *ret)
{
    struct feed f = {text, piece};
    const struct local_json_source source = {feed, &f};
    const struct local_json_visitor visitor = {.values = values, .max = 64, .visit = note, .arg = ret};
    return local_json_read(&source, &visitor);
}

/* The pieces it comes in change nothing, nor does it matter for the form whether values are wanted; and
 * what our strict reader takes as an object of texts, this one takes too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    _cleanup_buf_ struct buf whole = BUF_INIT, bits = BUF_INIT, names = BUF_INIT;
    _cleanup_json_ struct json_doc *doc = NULL;
    struct err a = read_by(text, SIZE_MAX, true, &whole);
    struct err b = read_by(text, size ? 1 + data[0] % 7 : 1, true, &bits);
    struct err c = read_by(text, SIZE_MAX, false, &names);
    if (a.code != b.code || a.code != c.code || !span_eq(buf_span(&whole), buf_span(&bits))) abort();
    if (err_ok(json_parse(text, &doc)) && json_type(json_root(doc)) == JSON_OBJECT && a.code == ERR_USAGE)
        abort();
    return 0;
}
