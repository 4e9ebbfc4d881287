#include "broker/config/config_keys.h"

#include "broker/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_config_keys__rows_are_complete(void **state)
{
    for (size_t i = 0; i < config_keys.count; i++) {
        const struct config_key *k = &config_keys.keys[i];
        if (!k->doc || !k->fallback || !strchr(k->path, '.')) fail_msg("%s", k->path);
        bool ranged = k->type == CONFIG_NUMBER || k->type == CONFIG_SIZE;
        bool named = k->type == CONFIG_CHOICE || k->type == CONFIG_WORD;
        bool path = k->type == CONFIG_PATH || k->type == CONFIG_PATHS;
        assert_int_equal(ranged, k->max > 0);
        if (k->type != CONFIG_NUMBER) assert_int_equal(named, k->choices != NULL);
        assert_int_equal(k->type == CONFIG_RECORDS, k->record != NULL);
        if (path && !k->check) fail_msg("%s is not checked", k->path);
        assert_true(k->offset + k->size <= sizeof(struct config));
        /* the largest value, times its unit, fits the field */
        uint64_t most = k->max * (k->unit ? k->unit : 1);
        if (ranged && k->size == 4) assert_true(most <= UINT32_MAX);
    }
}

static void test_config_keys__no_path_or_field_twice(void **state)
{
    for (size_t i = 0; i < config_keys.count; i++) {
        for (size_t j = i + 1; j < config_keys.count; j++) {
            assert_string_not_equal(config_keys.keys[i].path, config_keys.keys[j].path);
            assert_int_not_equal(config_keys.keys[i].offset, config_keys.keys[j].offset);
        }
    }
}

/* A key that exists must not be called absent as well. */
static void test_config_absent_key__never_a_key_of_ours(void **state)
{
    for (size_t i = 0; i < config_keys.count; i++) {
        const char *path = config_keys.keys[i].path;
        assert_null(config_absent_key(path, strrchr(path, '.') + 1));
    }
}

static void test_config_absent_key__table(void **state)
{
    static const struct { const char *path, *name, *sentence; } cases[] = {
        {"token.pin", "pin", "a PIN never stands in this file"},
        {"pin-value", "pin-value", "a PIN never stands in this file"},
        {"http_server.tls_ciphers", "tls_ciphers", "http_server.tls_profile"},
        {"admin.tls_ciphers", "tls_ciphers", NULL},
        {"plugins", "plugins", "on the token"},
        {"token.nonsense", "nonsense", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *got = config_absent_key(cases[i].path, cases[i].name);
        if (cases[i].sentence) assert_non_null(strstr(got, cases[i].sentence));
        else assert_null(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_keys__rows_are_complete),
        cmocka_unit_test(test_config_keys__no_path_or_field_twice),
        cmocka_unit_test(test_config_absent_key__never_a_key_of_ours),
        cmocka_unit_test(test_config_absent_key__table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
