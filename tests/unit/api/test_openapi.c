#include "tests/unit/api/kit.h"

#define TARGET "/strongroom/v1/openapi.json"

/* ---- the document and the table -------------------------------------------------------------- */

/* One operation of the document, and the row that serves it. */
struct operation {
    const char *path;
    char method[8];
    struct json text;
    const struct endpoint *row;
};

struct reading {
    struct json_doc *doc;
    struct operation operations[80];
    size_t count;
};

/* An example of a path: "x" for each parameter, but a number for a version. */
static void example_of(const char *path, char *out, size_t size)
{
    size_t at = 0;
    while (*path && at + 2 < size) {
        if (*path != '{') {
            out[at++] = *path++;
            continue;
        }
        out[at++] = strncmp(path, "{version}", 9) == 0 ? '1' : 'x';
        path += strcspn(path, "}") + 1;
    }
    out[at] = '\0';
}

/* Asks as a stranger by TCP, who changes nothing, and looks which row was found. */
static const struct endpoint *row_of(const struct operation *o)
{
    char target[200];
    example_of(o->path, target, sizeof target);
    ASK(o->method, target);
    const struct call *c = kit.visit.x.user;
    return c ? c->endpoint : NULL;
}

static bool is_method(const char *name)
{
    static const char *const names[] = {"get", "put", "post", "delete", "options", "head", "patch",
                                        "trace"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static void read_document(struct reading *r)
{
    assert_ok(json_parse(openapi_text(), &r->doc));
    for (struct json p = json_first(json_get(json_root(r->doc), "paths")); json_present(p);
         p = json_next(p))
        for (struct json m = json_first(p); json_present(m); m = json_next(m)) {
            if (!is_method(json_name(m))) continue;
            assert_true(r->count < COUNT(r->operations));
            struct operation *o = &r->operations[r->count++];
            *o = (struct operation){.path = json_name(p), .text = m};
            for (size_t i = 0; json_name(m)[i] && i + 1 < sizeof o->method; i++)
                o->method[i] = (char) (json_name(m)[i] - 'a' + 'A');
            o->row = row_of(o);
        }
}

static int setup(void **state)
{
    static struct reading r;
    r = (struct reading){0};
    kit_setup(state);
    read_document(&r);
    *state = &r;
    return 0;
}

static int teardown(void **state)
{
    json_free(((struct reading *) *state)->doc);
    return kit_teardown(state);
}

static void test_document__each_operation_has_a_row(void **state)
{
    struct reading *r = *state;
    assert_true(r->count > 0);
    for (size_t i = 0; i < r->count; i++) {
        const struct operation *o = &r->operations[i];
        char name[100];
        if (!o->row || o->row->method != kit_method(o->method))
            fail_msg("%s %s of the document is not in endpoints.c", o->method, o->path);
        snprintf(name, sizeof name, "%s%s", o->row->prefix, o->row->name);
        if (strncmp(o->path, name, strlen(name)) != 0 || !strchr("/", o->path[strlen(name)]))
            fail_msg("%s %s is served by the row %s", o->method, o->path, name);
    }
}

/* A method that is not there; its row is for the order of the answers. */
static bool refuses(const struct endpoint *e)
{
    return e->decide == resource_method_decide || e->decide == wrap_key_guest_method ||
           e->decide == wrap_key_admin_method;
}

static void test_document__each_row_has_an_operation(void **state)
{
    struct reading *r = *state;
    for (size_t i = 0; i < endpoint_count; i++) {
        const struct endpoint *e = &endpoints[i];
        size_t found = 0;
        for (size_t k = 0; k < r->count; k++) found += r->operations[k].row == e;
        if ((found > 0) == refuses(e))
            fail_msg("row %s%s of endpoints.c: %zu operations in openapi.json", e->prefix, e->name,
                     found);
    }
}

static bool wants(const struct operation *o, const char *scheme)
{
    for (struct json s = json_first(json_get(o->text, "security")); json_present(s);
         s = json_next(s))
        if (json_present(json_get(s, scheme))) return true;
    return false;
}

static void test_document__who_may(void **state)
{
    struct reading *r = *state;
    for (size_t i = 0; i < r->count; i++) {
        const struct operation *o = &r->operations[i];
        enum access access = o->row->access;
        bool admin = access == ACCESS_ADMIN_PLUGIN || access == ACCESS_ADMIN_BUILTIN, local = false;
        json_bool(json_get(o->text, "x-admin-socket"), &local);
        if (json_type(json_get(o->text, "security")) != JSON_ARRAY ||
            wants(o, "operatorToken") != admin ||
            wants(o, "attestationToken") != (access == ACCESS_GUEST) ||
            local != (access == ACCESS_LOCAL))
            fail_msg("%s %s: security is not that of its row", o->method, o->path);
    }
}

static void test_document__body_limits(void **state)
{
    struct reading *r = *state;
    for (size_t i = 0; i < r->count; i++) {
        const struct operation *o = &r->operations[i];
        int64_t limit = BODY_IGNORED;
        size_t want = o->row->body_limit == BODY_VALUE ? VALUE_MAX : o->row->body_limit;
        if (json_present(json_get(o->text, "requestBody")))
            assert_true(json_int(json_get(json_get(o->text, "requestBody"), "x-max-bytes"), &limit));
        if (limit != (int64_t) want)
            fail_msg("%s %s: x-max-bytes is %jd, the row's limit %zu", o->method, o->path,
                     (intmax_t) limit, want);
    }
}

/* A body may come too late and be too large, whatever it is. */
static void test_document__bodies_may_be_refused(void **state)
{
    struct reading *r = *state;
    for (size_t i = 0; i < r->count; i++) {
        const struct operation *o = &r->operations[i];
        struct json responses = json_get(o->text, "responses");
        if (json_present(json_get(o->text, "requestBody")) &&
            (!json_present(json_get(responses, "408")) || !json_present(json_get(responses, "413"))))
            fail_msg("%s %s has a body, and no 408 or no 413", o->method, o->path);
    }
}

static void test_document__version(void **state)
{
    struct reading *r = *state;
    struct json info = json_get(json_root(r->doc), "info");
    assert_string_equal(json_string(json_get(info, "version")), STRONGROOM_VERSION);
}

/* ---- serving it ------------------------------------------------------------------------------ */

static void check_served(void)
{
    struct span text = openapi_text();
    assert_int_equal(response()->status, 200);
    assert_string_equal(response()->content_type, "application/json");
    assert_string_equal(header("Cache-Control"), "no-cache");
    assert_int_equal(response()->body.len, text.len);
    assert_memory_equal(response()->body.data, text.data, text.len);
}

static void test_read__by_anybody(void **state)
{
    for (int reference = 0; reference < 2; reference++) {
        kit_open((struct kit_options){.reference = reference});
        ASK("GET", TARGET);
        check_served();
        assert_int_equal(strlen(header("ETag")), 18);
        ASK("GET", TARGET "/x");
        check_error(404, "InvalidRequestPath", NULL);
    }
}

static void test_read__not_modified(void **state)
{
    static const struct { const char *before, *after; int status; } rows[] = {
        {"", "", 304}, {"W/", "", 304}, {"\"a\", ", ", \"b\"", 304},
        {"\"x", "", 200}, {"", "x\"", 200},
    };
    char etag[32], line[100];
    ASK("GET", TARGET);
    snprintf(etag, sizeof etag, "%s", header("ETag"));
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool whole = rows[i].status == 304;
        snprintf(line, sizeof line, "If-None-Match: %s%.*s%s", rows[i].before, whole ? 18 : 16,
                 etag + !whole, rows[i].after);
        if (ASK("GET", TARGET, HEADERS(line)) != rows[i].status)
            fail_msg("%s: %d", line, response()->status);
        assert_string_equal(header("ETag"), etag);
    }
    assert_int_equal(ASK("GET", TARGET, HEADERS("If-None-Match: *")), 304);
    assert_int_equal(response()->body.len, 0);
    assert_null(response()->content_type);
    assert_string_equal(header("Cache-Control"), "no-cache");
}

#define DOCUMENT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOCUMENT_TEST(test_document__each_operation_has_a_row),
        DOCUMENT_TEST(test_document__each_row_has_an_operation),
        DOCUMENT_TEST(test_document__who_may),
        DOCUMENT_TEST(test_document__body_limits),
        DOCUMENT_TEST(test_document__bodies_may_be_refused),
        DOCUMENT_TEST(test_document__version),
        KIT_TEST(test_read__by_anybody),
        KIT_TEST(test_read__not_modified),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}
