/* Target Functions: json_parse json_get json_pointer json_int json_text json_put_canonical json_put_raw */
#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_doc *parsed(struct span text)
{
    struct json_doc *doc = NULL;
    if (!err_ok(json_parse(text, &doc))) abort();
    return doc;
}

/* Every value is where its text says, and is found again by its name. */
static void walk(struct json j, struct span whole, unsigned depth)
{
    struct span text = json_text(j);
    int64_t number;
    ENSURE(depth <= JSON_MAX_DEPTH);
    ENSURE(text.len > 0 && text.data >= whole.data && text.data + text.len <= whole.data + whole.len);
    enum json_type type = json_type(j);
    if (type == JSON_STRING) ENSURE(utf8_valid(span_str(json_string(j))));
    else ENSURE(!json_string(j));
    if (json_int(j, &number)) ENSURE(type == JSON_NUMBER);
    if (type != JSON_ARRAY && type != JSON_OBJECT) return;
    size_t count = 0;
    for (struct json c = json_first(j); json_present(c); c = json_next(c), count++) {
        if (type == JSON_OBJECT) ENSURE(json_get(j, json_name(c)).node == c.node);
        walk(c, text, depth + 1);
    }
    ENSURE(count == json_count(j));
}

/* Written canonically and read again it is written the same (RFC 8785); false when it holds
 * numbers that we do not canonicalise. */
static bool check_canonical(struct json root)
{
    _cleanup_buf_ struct buf once = BUF_INIT, twice = BUF_INIT;
    struct json_out o = JSON_OUT(&once), again = JSON_OUT(&twice);
    json_put_canonical(&o, root);
    if (!err_ok(buf_ok(&once))) return false;
    _cleanup_json_ struct json_doc *doc = parsed(buf_span(&once));
    ENSURE(json_type(json_root(doc)) == json_type(root));
    ENSURE(json_count(json_root(doc)) == json_count(root));
    json_put_canonical(&again, json_root(doc));
    ENSURE(err_ok(buf_ok(&twice)) && span_eq(buf_span(&once), buf_span(&twice)));
    return true;
}

/* What was read can be written as it is, inside something else. */
static void check_raw(struct json root)
{
    _cleanup_buf_ struct buf out = BUF_INIT;
    struct json_out o = JSON_OUT(&out);
    json_begin_object(&o);
    json_member_raw(&o, "evidence", json_text(root));
    json_member_str(&o, "after", "\x01\"\\\xc3\xa9");
    json_end_object(&o);
    struct json_doc *doc = NULL;
    /* One level and two values more than the text alone may be over a limit. */
    if (!err_ok(json_parse(buf_span(&out), &doc))) return;
    struct json evidence = json_pointer(json_root(doc), "/evidence");
    ENSURE(span_eq(json_text(evidence), json_text(root)));
    ENSURE(strcmp(json_string(json_get(json_root(doc), "after")), "\x01\"\\\xc3\xa9") == 0);
    json_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_doc *doc = NULL;
    if (!err_ok(json_parse(span_of(data, size), &doc))) {
        ENSURE(!doc);
        return 0;
    }
    ENSURE(size <= JSON_MAX_TEXT && utf8_valid(span_of(data, size)));
    struct json root = json_root(doc);
    walk(root, json_text(root), 0);
    check_canonical(root);
    check_raw(root);
    json_free(doc);
    return 0;
}
