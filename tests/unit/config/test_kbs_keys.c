/* The table of a KBS's keys. */
#include "broker/config/kbs_convert_internal.h"

#include "tests/lib/test.h"

/* Each row copies, tells or has a way of its own, and only one of them. */
static void test_rows__are_complete(void **state)
{
    for (size_t i = 0; i < kbs_row_count; i++) {
        const struct kbs_row *r = &kbs_rows[i];
        int ways = (r->ours != NULL) + (r->sentence != NULL) + (r->handler != NULL);
        if (ways != 1) fail_msg("%s has %d ways", r->kbs, ways);
        if (r->harmless && !r->sentence) fail_msg("%s: only what is told is harmless", r->kbs);
        for (size_t k = 0; k < i; k++)
            if (strcmp(kbs_rows[k].kbs, r->kbs) == 0) fail_msg("%s stands twice", r->kbs);
    }
}

/* A row of a section is for all below it, so no row may stand there. */
static void test_rows__are_all_reached(void **state)
{
    for (size_t i = 0; i < kbs_row_count; i++)
        for (size_t k = 0; k < kbs_row_count; k++) {
            size_t len = strlen(kbs_rows[i].kbs);
            if (strncmp(kbs_rows[k].kbs, kbs_rows[i].kbs, len) == 0 && kbs_rows[k].kbs[len] == '.')
                fail_msg("%s is hidden by %s", kbs_rows[k].kbs, kbs_rows[i].kbs);
        }
}

static void test_scalars(void **state)
{
    static const struct {
        const char *text, *json;
        bool plain;
    } rows[] = {{"5", "5", true}, {"5", "\"5\"", false}, {"0", "0", true}, {"007", "\"007\"", true},
                {"true", "true", true}, {"true", "\"true\"", false}, {"a: b", "\"a: b\"", true},
                {"-1", "\"-1\"", true}, {"a\"b", "\"a\\\"b\"", false},
                {"99999999999999999999", "\"99999999999999999999\"", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = BUF_INIT;
        const struct yaml_node node = {.type = YAML_SCALAR, .text = rows[i].text, .plain = rows[i].plain};
        kbs_put_scalar(&out, &node);
        assert_string_equal(buf_str(&out), rows[i].json);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows__are_complete),
                                       cmocka_unit_test(test_rows__are_all_reached),
                                       cmocka_unit_test(test_scalars)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
