#include "tests/unit/builtins/host_bench.h"

#include <dirent.h>
#include <pthread.h>

static bool at(const char *name, int64_t seconds, struct builtin_zone *ret)
{
    const struct builtin_host *host = builtins_host();
    return host->zone_at(NULL, name, strlen(name), seconds, ret);
}

static void test_zones__known_offsets(void **state)
{
    static const struct { const char *name; int64_t seconds; int32_t offset; const char *word; } rows[] = {
        {"Europe/Berlin", 1705320000, 3600, "CET"},   /* 2024-01-15T12:00:00Z */
        {"Europe/Berlin", 1721044800, 7200, "CEST"},  /* 2024-07-15T12:00:00Z */
        {"Asia/Kolkata", 1705320000, 19800, "IST"},
        {"America/New_York", 1705320000, -18000, "EST"},
        {"America/Argentina/Buenos_Aires", 1705320000, -10800, "-03"},
        {"Etc/GMT+5", 1705320000, -18000, "-05"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct builtin_zone z = {0};
        if (!at(rows[i].name, rows[i].seconds, &z)) fail_msg("%s is unknown", rows[i].name);
        assert_int_equal(z.offset, rows[i].offset);
        assert_string_equal(z.abbreviation, rows[i].word);
    }
}

static void test_zones__no_name_leads_out_of_the_folder(void **state)
{
    static const char *const names[] = {
        "", "/", "/etc/passwd", "../../../etc/passwd", "Europe/../../../../etc/passwd", "Europe/",
        "Europe//Berlin", ".", "Europe", "Europe/Berlin ", "Europe\\Berlin", "zone.tab",
        "A234567890123456789012345678901234567890123456789012345678901234", /* 64 bytes */
        "A23456789012345678901234567890123456789012345678901234567890123",  /* 63: merely unknown */
    };
    struct builtin_zone z;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (at(names[i], 0, &z)) fail_msg("\"%s\" is a zone", names[i]);
    assert_false(builtins_host()->zone_at(NULL, "Europe/Berlin\0x", 15, 0, &z));
}

/* Twice as many zones as are kept in memory, each asked twice: the answers stay the same. */
static void test_zones__more_than_are_kept(void **state)
{
    struct builtin_zone z, first[128];
    size_t count = 0;
    for (int round = 0; round < 2; round++) {
        DIR *folder = opendir("/usr/share/zoneinfo/America");
        assert_non_null(folder);
        count = 0;
        for (struct dirent *e; count < 128 && (e = readdir(folder));) {
            char name[300];
            snprintf(name, sizeof name, "America/%s", e->d_name);
            if (!at(name, 1705320000, &z)) continue; /* a folder */
            if (round == 0) first[count] = z;
            if (first[count].offset != z.offset || strcmp(first[count].abbreviation, z.abbreviation) != 0)
                fail_msg("%s changed", name);
            count++;
        }
        closedir(folder);
    }
    assert_int_equal(count, 128);
    assert_true(at("Europe/Paris", 0, &z)); /* not kept, read each time */
}

static void test_zones__names_that_do_not_exist_take_no_room(void **state)
{
    struct builtin_zone z;
    char name[24];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "No/Such_%d", i);
        assert_false(at(name, 0, &z));
    }
    assert_true(at("Europe/Paris", 0, &z));
}

static void *ask(void *arg)
{
    static const char *const names[] = {"Asia/Tokyo", "Europe/Rome", "Africa/Cairo", "Asia/Dubai"};
    uintptr_t wrong = 0;
    for (unsigned i = 0; i < 400; i++) {
        struct builtin_zone z = {0};
        if (!at(names[i % 4], 1705320000, &z) || (i % 4 == 0 && z.offset != 32400)) wrong++;
    }
    return (void *) wrong;
}

static void test_zones__many_threads(void **state)
{
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
    for (size_t i = 0; i < 8; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

static void test_zones__reach_the_time_functions(void **state)
{
    static const struct builtin_case cases[] = {
        {"time.clock", "[[1705320000000000000, \"Europe/Berlin\"]]", "[13, 0, 0]", NULL},
        {"time.clock", "[[1705320000000000000, \"Nowhere/Land\"]]", NULL, "unknown time zone Nowhere/Land"},
    };
    HOST_TABLE(cases);
}

static void test_zones__are_paid_for(void **state)
{
    struct builtin_bench b;
    host_open(&b);
    budget_init(&b.budget, 150);
    const struct value *operands = bench_json(&b, "[[0, \"Europe/Berlin\"]]");
    assert_non_null(bench_call(&b, "time.clock", operands));
    assert_null(bench_call(&b, "time.clock", operands));
    assert_int_equal(b.call.problem, BUILTIN_HALT);
    arena_free(b.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zones__many_threads), /* first: the threads fill what is kept */
        cmocka_unit_test(test_zones__known_offsets),
        cmocka_unit_test(test_zones__no_name_leads_out_of_the_folder),
        cmocka_unit_test(test_zones__more_than_are_kept),
        cmocka_unit_test(test_zones__names_that_do_not_exist_take_no_room),
        cmocka_unit_test(test_zones__are_paid_for),
        cmocka_unit_test(test_zones__reach_the_time_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
