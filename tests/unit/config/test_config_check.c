#include "broker/config/config_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef const char *(*check_fn)(const char *);

struct check_case {
    const char *text;
    const char *sentence; /* a part of it; NULL: the text will do */
};

static void run(check_fn check, const struct check_case *cases)
{
    for (; cases->text; cases++) {
        const char *got = check(cases->text);
        bool fine = cases->sentence ? got && strstr(got, cases->sentence) : !got;
        if (!fine) fail_msg("%s -> %s", cases->text, got ? got : "accepted");
    }
}

static void test_config_check_socket__table(void **state)
{
    static const struct check_case cases[] = {
        {"127.0.0.1:8080", NULL}, {"0.0.0.0:0", NULL}, {"[::1]:8080", NULL}, {"[::]:65535", NULL},
        {"127.0.0.1", "address and a port"}, {"127.0.0.1:", "address"}, {":8080", "address"},
        {"127.0.0.1:65536", "address"}, {"127.0.0.1:080x", "address"}, {"::1:8080", "address"},
        {"[127.0.0.1]:1", "address"}, {"localhost:8080", "names are not looked up"},
        {"[]:1", "address"}, {"127.0.0.1:123456", "address"}, {"8080", "address"},
        {"1111111111111111111111111111111111111111111111111111111111111111111111:1", "address"},
        {0}};
    run(config_check_socket, cases);
}

static void test_config_is_loopback__table(void **state)
{
    static const struct {
        const char *socket;
        bool local;
    } rows[] = {
        {"127.0.0.1:8080", true}, {"127.9.9.9:1", true}, {"[::1]:8080", true},
        {"0.0.0.0:8080", false}, {"[::]:8080", false}, {"192.168.127.1:80", false},
        {"[::11]:80", false}, {"128.0.0.1:80", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (config_is_loopback(rows[i].socket) != rows[i].local) fail_msg("%s", rows[i].socket);
}

static void test_config_check_token_uri__table(void **state)
{
    static const struct check_case cases[] = {
        {"pkcs11:token=strongroom", NULL}, {"pkcs11:serial=1234;token=x", NULL},
        {"pkcs11:token=a?pin-source=file:/x&module-path=/y", NULL},
        {"token=x", "RFC 7512"}, {"pkcs11:", "token="}, {"pkcs11:object=x", "token="},
        {"pkcs11:slot-id=1", "names a slot"},
        {"pkcs11:token=x?pin-value=1234", "a PIN never stands in this file"},
        {"pkcs11:token=x?PIN-VALUE=1234", "a PIN never stands in this file"},
        {0}};
    run(config_check_token_uri, cases);
    assert_null(strstr(config_check_token_uri("pkcs11:token=x?pin-value=9876"), "9876"));
}

static void test_config_check_key_uri__table(void **state)
{
    static const struct check_case cases[] = {
        {"pkcs11:object=signer;type=private", NULL}, {"pkcs11:token=t;object=signer", NULL},
        {"pkcs11:token=t", "object=NAME"}, {"/etc/key.pem", "RFC 7512"}, {"object=x", "RFC 7512"},
        {"pkcs11:object=x?pin-value=1", "never stands"}, {0}};
    run(config_check_key_uri, cases);
}

static void test_config_check_pin_source__table(void **state)
{
    static const struct check_case cases[] = {
        {"file:/etc/pin", NULL}, {"/etc/pin", NULL}, {"credential:pin", NULL}, {"prompt", NULL},
        {"12345678", "never stands in this file"}, {"file:pin", "file:/path"},
        {"credential:", "credential:NAME"}, {"credential:../pin", "credential:NAME"},
        {"env:PIN", "takes file:/path"}, {"prompt ", "prompt"}, {0}};
    run(config_check_pin_source, cases);
}

static void test_config_check_path__table(void **state)
{
    static const struct check_case cases[] = {
        {"/a", NULL}, {"a", "absolute"}, {"./a", "absolute"},
        {"https://idp/key.pem", "files only"}, {"http://idp/key.pem", "files only"}, {0}};
    run(config_check_path, cases);
}

static void test_config_check_place__table(void **state)
{
    static const struct check_case cases[] = {
        {"/a", NULL}, {"https://idp/keys", NULL}, {"HTTPS://idp:8443", NULL},
        {"http://127.0.0.1:8080/keys", NULL}, {"http://[::1]/keys", NULL},
        {"http://localhost/keys", NULL}, {"a", "absolute path"}, {"", "absolute path"},
        {"ftp://idp/keys", "absolute path"}, {"http://idp/keys", "must be https"},
        {"http://127.0.0.1.idp/keys", "must be https"}, {"https://", "no URL"},
        {"https://user@idp/keys", "no URL"}, {"https://idp/keys#one", "no URL"}, {0}};
    run(config_check_place, cases);
}

static void test_config_check_pointer__table(void **state)
{
    static const struct check_case cases[] = {{"/a/b", NULL}, {"a/b", "RFC 6901"}, {0}};
    run(config_check_pointer, cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_check_socket__table),
        cmocka_unit_test(test_config_is_loopback__table),
        cmocka_unit_test(test_config_check_token_uri__table),
        cmocka_unit_test(test_config_check_key_uri__table),
        cmocka_unit_test(test_config_check_pin_source__table),
        cmocka_unit_test(test_config_check_path__table),
        cmocka_unit_test(test_config_check_place__table),
        cmocka_unit_test(test_config_check_pointer__table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
