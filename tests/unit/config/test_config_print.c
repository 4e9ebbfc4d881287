#include "broker/config/config_keys.h"

#include "broker/base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct buf text;
    char *printed;
    size_t len;
    struct config *empty, *full;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct world));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    buf_free(&w->text);
    free(w->printed);
    config_free(w->empty);
    config_free(w->full);
    free(w);
    return 0;
}

static void assert_same_field(const struct config_key *key, const void *a, const void *b)
{
    const char *text_a = NULL, *text_b = NULL;
    const void *field_a = (const uint8_t *) a + key->offset;
    const void *field_b = (const uint8_t *) b + key->offset;
    bool text = key->type == CONFIG_TEXT || key->type == CONFIG_PATH || key->type == CONFIG_WORD;
    bool list = key->count_offset != 0;
    if (list) {
        const uint8_t *count_a = (const uint8_t *) a + key->count_offset;
        assert_memory_equal(count_a, (const uint8_t *) b + key->count_offset, sizeof(size_t));
        return;
    }
    if (!text) {
        assert_memory_equal(field_a, field_b, key->size);
        return;
    }
    memcpy(&text_a, field_a, sizeof(text_a));
    memcpy(&text_b, field_b, sizeof(text_b));
    if (text_a && text_b) assert_string_equal(text_a, text_b);
    else assert_ptr_equal(text_a, text_b);
}

static void test_config_print_defaults__reads_back_as_an_empty_file(void **state)
{
    struct world *w = *state;
    FILE *out = open_memstream(&w->printed, &w->len);
    config_print_defaults(out);
    fclose(out);
    struct err e = config_parse(span_of(w->printed, w->len), "defaults", &w->full);
    if (!err_ok(e)) fail_msg("%s", err_text(e));
    assert_true(err_ok(config_parse(span_str(""), "empty", &w->empty)));
    for (size_t i = 0; i < config_keys.count; i++)
        assert_same_field(&config_keys.keys[i], w->empty, w->full);
    assert_int_equal(w->full->http_socket_count, 1);
    assert_string_equal(w->full->http_sockets[0], w->empty->http_sockets[0]);
}

static void test_config_defaults__names_every_key_with_its_words(void **state)
{
    struct world *w = *state;
    assert_true(err_ok(config_defaults(&w->text)));
    const char *at = buf_str(&w->text);
    for (size_t i = 0; i < config_keys.count; i++) {
        char line[256];
        const struct config_key *key = &config_keys.keys[i];
        snprintf(line, sizeof(line), "  %s: %s\n", strrchr(key->path, '.') + 1, key->fallback);
        const char *found = strstr(at, line); /* in the table's order */
        if (!found) fail_msg("%s is missing", key->path);
        at = found + 1;
    }
}

static void test_config_defaults__lines_fit(void **state)
{
    struct world *w = *state;
    assert_true(err_ok(config_defaults(&w->text)));
    for (const char *line = buf_str(&w->text), *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        if (end - line > 96) fail_msg("%.*s", (int) (end - line), line);
        assert_true(end == line || end[-1] != ' ');
    }
}

static void test_config_defaults__each_section_once(void **state)
{
    struct world *w = *state;
    assert_true(err_ok(config_defaults(&w->text)));
    static const char *const lines[] = {"\nhttp_server:\n", "\ntoken:\n", "    signer:\n",
                                        "  attestation_token_broker:\n", "    bearer_jwt:\n"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const char *first = strstr(buf_str(&w->text), lines[i]);
        assert_non_null(first);
        assert_null(strstr(first + 1, lines[i]));
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config_print_defaults__reads_back_as_an_empty_file),
        TEST(test_config_defaults__names_every_key_with_its_words),
        TEST(test_config_defaults__lines_fit),
        TEST(test_config_defaults__each_section_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
