#include "broker/config/config_diff.h"
#include "tests/lib/test.h"

#include <stdio.h>

#define NEEDED \
    "token: {module: /m.so, uri: 'pkcs11:token=t', pin_source: 'file:/p'}\n" \
    "attestation_service: {verifier: none}\n"

#define ACLS "admin.authorization.regex_acl.acls"

static struct config *parsed(const char *more)
{
    char text[2048];
    struct config *c = NULL;
    snprintf(text, sizeof text, "%s%s", NEEDED, more);
    assert_ok(config_parse(span_str(text), "test", &c));
    return c;
}

static void expect(const char *before, const char *after, const char *keys)
{
    _cleanup_(config_freep) struct config *a = parsed(before), *b = parsed(after);
    _cleanup_buf_ struct buf changed = BUF_INIT, back = BUF_INIT, none = BUF_INIT;
    config_restart_keys(a, b, &changed);
    config_restart_keys(b, a, &back);
    config_restart_keys(b, b, &none);
    assert_string_equal(buf_str(&changed), keys);
    assert_string_equal(buf_str(&back), keys);
    assert_int_equal(none.len, 0);
}

static void test_restart__what_needs_one(void **state)
{
    static const struct {
        const char *before, *after, *keys;
    } cases[] = {
        {"", "", ""},
        {"", "audit: {file: /x/a}\n", "audit.file"},
        {"audit: {sync: none}\n", "audit: {sync: each}\n", "audit.sync"},
        {"", "storage: {cache: 7MiB}\n", "storage.cache"},
        {"", "policy: {keep_versions: 3}\n", "policy.keep_versions"},
        {"", "http_server: {insecure_http: true}\n", "http_server.insecure_http"},
        {"", "http_server: {statuses: reference}\n", "http_server.statuses"},
        {"http_server: {sockets: ['127.0.0.1:1', '127.0.0.1:2']}\n", "http_server: {sockets: ['127.0.0.1:1']}\n",
         "http_server.sockets"},
        {"http_server: {sockets: ['127.0.0.1:1', '127.0.0.1:2']}\n",
         "http_server: {sockets: ['127.0.0.1:1', '127.0.0.1:3']}\n", "http_server.sockets"},
        {"", "audit: {file: /x/a}\nstorage: {cache: 7MiB}\n", "storage.cache audit.file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect(cases[i].before, cases[i].after, cases[i].keys);
}

static void test_restart__records(void **state)
{
    static const char one[] = "admin: {authorization: {regex_acl: {acls: [%s]}}}\n";
    static const struct {
        const char *before, *after, *keys;
    } cases[] = {
        {"{role: a, allowed_endpoints: '^/x$'}", "{role: a, allowed_endpoints: '^/x$'}", ""},
        {"{role: a, allowed_endpoints: '^/x$'}", "{role: a, allowed_endpoints: '^/y$'}", ACLS},
        {"{role: a, allowed_endpoints: '^/x$'}", "{role: b, allowed_endpoints: '^/x$'}", ACLS},
        {"{role: a, allowed_endpoints: '^/x$'}",
         "{role: a, allowed_endpoints: '^/x$'}, {role: b, allowed_endpoints: '^/x$'}", ACLS},
        {"{role: a, allowed_endpoints: '^/x$'}, {role: b, allowed_endpoints: '^/x$'}",
         "{role: a, allowed_endpoints: '^/x$'}, {role: b, allowed_endpoints: '^/x$', methods: GET}", ACLS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char before[512], after[512];
        snprintf(before, sizeof before, one, cases[i].before);
        snprintf(after, sizeof after, one, cases[i].after);
        expect(before, after, cases[i].keys);
    }
}

static void test_restart__what_a_reload_applies(void **state)
{
    _cleanup_buf_ struct buf keys = BUF_INIT;
    config_reloaded_keys(&keys);
    assert_string_equal(buf_str(&keys),
                        "http_server.certificate http_server.private_key http_server.admin_client_ca "
                        "http_server.tls_profile http_server.tls_priority http_server.tls_min_version "
                        "http_server.tls_max_version process.log_level");
    expect("", "process: {log_level: debug}\n", "");
    expect("http_server: {certificate: /c, private_key: /k}\n",
           "http_server: {certificate: /d, private_key: /l, tls_profile: modern, admin_client_ca: [/ca]}\n", "");
    expect("", "process: {log_level: debug, memory_lock: best-effort}\n", "process.memory_lock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart__what_needs_one),
        cmocka_unit_test(test_restart__records),
        cmocka_unit_test(test_restart__what_a_reload_applies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
