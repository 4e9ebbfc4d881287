#include "broker/audit/audit.h"

#include "broker/audit/chain.h"
#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW 1795453200 /* 2026-11-23T17:00:00Z */

/* Stands before the C library's: counts, and fails when told to. */
static int syncs, sync_errno;
int fdatasync(int fd)
{
    syncs++;
    errno = sync_errno;
    return sync_errno ? -1 : 0;
}

static struct fixture {
    char dir[64], path[96];
    struct audit *audit;
    struct buf text;
    struct json_doc *doc;
} fx;

static int setup(void **state)
{
    syncs = sync_errno = 0;
    fx = (struct fixture){.dir = "/tmp/audit-test-XXXXXX"};
    if (!mkdtemp(fx.dir)) return -1;
    snprintf(fx.path, sizeof fx.path, "%s/audit.jsonl", fx.dir);
    clock_test_set(NOW);
    clock_test_mono(CLOCK_SECOND_NS); /* stands still */
    signal(SIGXFSZ, SIG_IGN); /* write fails with EFBIG instead, as on a full disk */
    return 0;
}

static void forget(void)
{
    audit_close(fx.audit);
    json_free(fx.doc);
    buf_free(&fx.text);
    fx.audit = NULL;
    fx.doc = NULL;
}

static int teardown(void **state)
{
    forget();
    unlink(fx.path);
    rmdir(fx.dir);
    clock_test_set(0);
    clock_test_mono(0);
    return 0;
}

static void open_audit(enum audit_sync sync)
{
    assert_ok(audit_open(fx.path, sync, "00112233", &fx.audit));
}

static void write_raw(const char *text)
{
    FILE *f = fopen(fx.path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(fx.path, 0600), 0);
}

/* Line n of the file, from 0, without its end; fails the test when there is none. */
static struct span line(size_t n)
{
    buf_free(&fx.text);
    assert_ok(file_read(fx.path, BUF_MAX_DEFAULT, &fx.text));
    const char *at = buf_str(&fx.text);
    for (;; n--) {
        const char *end = strchr(at, '\n');
        if (!end) fail_msg("the file has too few lines: %s", buf_str(&fx.text));
        if (n == 0) return span_of(at, (size_t) (end - at));
        at = end + 1;
    }
}

static struct json record(size_t n)
{
    json_free(fx.doc);
    fx.doc = NULL;
    assert_ok(json_parse(line(n), &fx.doc));
    return json_root(fx.doc);
}

static const char *hash_of_line(size_t n)
{
    static struct chain_link link;
    assert_ok(chain_hash(line(n), &link));
    return link.hex;
}

static const char *prev_of_line(size_t n)
{
    return json_string(json_get(record(n), "prev"));
}

static int64_t number(struct json o, const char *name)
{
    int64_t n = -1;
    return json_int(json_get(o, name), &n) ? n : -1;
}

static const struct audit_event release = {
    .action = "release", .decision = "allow", .request_id = 7, .principal = "guest:ab",
    .certificate = "CN=alice", .peer = "127.0.0.1:4711", .resource = "default/key/1",
    .version = 3, .reason = "policy", .policy = "cafe", .rule = 12, .suite = 1, .tee = "sample",
    .duration_us = 250};
static const struct audit_event small = {.action = "attest", .decision = "deny"};

/* ---- records ----------------------------------------------------------------------------------- */

static void test_open__writes_the_start_record(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    struct json r = record(0);
    assert_string_equal(json_string(json_get(r, "action")), "start");
    assert_string_equal(json_string(json_get(r, "time")), "2026-11-23T17:00:00.000Z");
    assert_int_equal(number(r, "seq"), 1);
    assert_int_equal(strspn(json_string(json_get(r, "run")), "0123456789abcdef"), 8);
    assert_int_equal(strlen(json_string(json_get(r, "run"))), 8);
}

static void test_write__all_members_in_order(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    assert_ok(audit_write(fx.audit, &release));
    char run[9], want[640];
    snprintf(run, sizeof run, "%s", json_string(json_get(record(0), "run")));
    snprintf(want, sizeof want,
             "{\"time\":\"2026-11-23T17:00:00.000Z\",\"run\":\"%s\",\"seq\":2,"
             "\"action\":\"release\",\"decision\":\"allow\",\"request\":7,"
             "\"principal\":\"guest:ab\",\"certificate\":\"CN=alice\",\"peer\":\"127.0.0.1:4711\","
             "\"resource\":\"default/key/1\",\"version\":3,\"reason\":\"policy\","
             "\"policy\":\"cafe\",\"rule\":12,\"suite\":1,\"tee\":\"sample\",\"duration_us\":250,"
             "\"token\":\"00112233\",\"prev\":\"%s\"}", run, hash_of_line(0));
    assert_span(line(1), want);
}

static void test_write__empty_members_are_left_out(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    struct audit_event e = small;
    e.principal = "";
    assert_ok(audit_write(fx.audit, &e));
    assert_int_equal(json_count(record(1)), 7); /* time run seq action decision token prev */
}

/* ---- strangers --------------------------------------------------------------------------------- */

static void write_strangers(unsigned n)
{
    struct audit_event e = small;
    e.stranger = true;
    for (unsigned i = 0; i < n; i++) assert_ok(audit_write(fx.audit, &e));
}

static const char *text_of_line(size_t n, const char *name)
{
    return json_string(json_get(record(n), name));
}

#define BURST AUDIT_STRANGERS_BURST
#define MORE "refused before they showed who they are, beside those with a record: "

/* Else anybody could fill the disk. Whoever is known has a record, however many strangers there are. */
static void test_write__strangers_beyond_the_burst_are_counted(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    write_strangers(BURST);
    assert_string_equal(text_of_line(BURST, "action"), "attest");
    assert_int_equal(audit_unrecorded(fx.audit), 0);
    write_strangers(3);
    assert_ok(audit_write(fx.audit, &release));
    assert_int_equal(audit_unrecorded(fx.audit), 3);
    assert_string_equal(text_of_line(BURST + 1, "action"), "strangers");
    assert_string_equal(text_of_line(BURST + 1, "reason"), MORE "1");
    assert_string_equal(text_of_line(BURST + 2, "action"), "release");
    clock_test_mono(clock_mono_ns() + AUDIT_SUMMARY_SECONDS * CLOCK_SECOND_NS);
    write_strangers(AUDIT_SUMMARY_SECONDS * AUDIT_STRANGERS_PER_SECOND);
    assert_int_equal(audit_unrecorded(fx.audit), 3);
    assert_string_equal(text_of_line(BURST + 3, "action"), "strangers");
    assert_string_equal(text_of_line(BURST + 3, "reason"), MORE "2");
    assert_string_equal(text_of_line(BURST + 4, "action"), "attest");
    assert_string_equal(prev_of_line(BURST + 4), hash_of_line(BURST + 3));
}

static void test_close__tells_of_the_last_strangers(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    write_strangers(BURST + 5); /* the first beyond it is told at once */
    audit_close(TAKE_PTR(fx.audit));
    assert_string_equal(text_of_line(BURST + 2, "action"), "strangers");
    assert_string_equal(text_of_line(BURST + 2, "reason"), MORE "4");
}

static void test_write__text_of_a_peer_stays_one_line(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    struct audit_event e = small;
    e.resource = "a\nb\"\\\x01\xc3\xa9";
    e.principal = "x\xff\ny", e.peer = "\xc3\xa9\xc2\x9b[2J\x7f"; /* U+009B is ESC [ to some */
    assert_ok(audit_write(fx.audit, &e));
    struct json r = record(1);
    assert_string_equal(json_string(json_get(r, "resource")), "a\nb\"\\\x01\xc3\xa9");
    assert_string_equal(json_string(json_get(r, "principal")), "x\\xff\\x0ay");
    assert_string_equal(json_string(json_get(r, "peer")), "\xc3\xa9\\xc2\\x9b[2J\\x7f");
}

static void test_write__long_text_is_cut_at_the_limit(void **state)
{
    static char text[AUDIT_MEMBER_MAX + 1];
    open_audit(AUDIT_SYNC_NONE);
    struct audit_event e = small;
    e.resource = text;
    memset(text, 'a', AUDIT_MEMBER_MAX - 1);
    assert_ok(audit_write(fx.audit, &e));
    assert_int_equal(strlen(json_string(json_get(record(1), "resource"))), AUDIT_MEMBER_MAX - 1);
    text[AUDIT_MEMBER_MAX - 1] = 'a';
    assert_ok(audit_write(fx.audit, &e));
    const char *cut = json_string(json_get(record(2), "resource"));
    assert_true(strlen(cut) < AUDIT_MEMBER_MAX);
    assert_string_equal(cut + strlen(cut) - 3, "...");
}

static void test_write__the_largest_record_fits_its_limit(void **state)
{
    static char text[AUDIT_MEMBER_MAX];
    memset(text, 1, sizeof text - 1); /* six bytes each in JSON */
    open_audit(AUDIT_SYNC_NONE);
    struct audit_event e = {.action = text, .decision = text, .request_id = UINT64_MAX, .principal = text,
                            .certificate = text, .peer = text, .resource = text, .version = UINT64_MAX,
                            .reason = text, .policy = text, .rule = UINT32_MAX, .suite = UINT32_MAX,
                            .tee = text, .duration_us = UINT64_MAX};
    assert_ok(audit_write(fx.audit, &e));
    assert_true(line(1).len > 9 * 6 * (AUDIT_MEMBER_MAX - 1));
}

static void test_open__appends_with_a_new_run(void **state)
{
    open_audit(AUDIT_SYNC_BATCH);
    char run[9];
    snprintf(run, sizeof run, "%s", json_string(json_get(record(0), "run")));
    forget();
    open_audit(AUDIT_SYNC_EACH);
    struct json r = record(1);
    assert_int_equal(number(r, "seq"), 1);
    assert_string_not_equal(json_string(json_get(r, "run")), run);
}

static void test_open__without_a_file_writes_nothing(void **state)
{
    assert_ok(audit_open(NULL, AUDIT_SYNC_EACH, NULL, &fx.audit));
    assert_ok(audit_write(fx.audit, &release));
    assert_int_equal(audit_failures(fx.audit), 0);
}

static void test_sync_from__names(void **state)
{
    enum audit_sync s = AUDIT_SYNC_NONE;
    assert_true(audit_sync_from("each", &s) && s == AUDIT_SYNC_EACH);
    assert_true(audit_sync_from("batch", &s) && s == AUDIT_SYNC_BATCH);
    assert_true(audit_sync_from("none", &s) && s == AUDIT_SYNC_NONE);
    assert_false(audit_sync_from("Each", &s));
    assert_false(audit_sync_from("", &s));
}

/* ---- the file ---------------------------------------------------------------------------------- */

static void test_open__creates_for_the_owner_only(void **state)
{
    mode_t before = umask(0);
    open_audit(AUDIT_SYNC_NONE);
    umask(before);
    struct stat st;
    assert_int_equal(stat(fx.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_open__refuses_a_device_a_folder_and_a_fifo(void **state)
{
    assert_fails_with(audit_open("/dev/full", AUDIT_SYNC_NONE, "", &fx.audit), ERR_USAGE,
                      "not a regular file");
    assert_fails(audit_open(fx.dir, AUDIT_SYNC_NONE, "", &fx.audit), ERR_USAGE);
    assert_int_equal(mkfifo(fx.path, 0600), 0);
    assert_fails_with(audit_open(fx.path, AUDIT_SYNC_NONE, "", &fx.audit), ERR_USAGE,
                      "not a regular file");
    assert_null(fx.audit);
}

static void test_open__refuses_a_link(void **state)
{
    assert_int_equal(symlink("elsewhere", fx.path), 0);
    assert_fails_with(audit_open(fx.path, AUDIT_SYNC_NONE, "", &fx.audit), ERR_USAGE,
                      "symbolic link");
}

static void test_open__names_the_missing_folder(void **state)
{
    char path[128];
    snprintf(path, sizeof path, "%s/none/audit.jsonl", fx.dir);
    assert_fails_with(audit_open(path, AUDIT_SYNC_NONE, "", &fx.audit), ERR_USAGE,
                      "does not exist; create it");
}

static void test_open__refuses_what_others_can_write(void **state)
{
    write_raw("");
    assert_int_equal(chmod(fx.path, 0620), 0);
    assert_fails_with(audit_open(fx.path, AUDIT_SYNC_NONE, "", &fx.audit), ERR_USAGE, "chmod 600");
    assert_int_equal(chmod(fx.path, 0640), 0); /* a group may read it */
    open_audit(AUDIT_SYNC_NONE);
}

static void test_open__refuses_a_stranger_s_file(void **state)
{
    if (geteuid() != 0) skip();
    write_raw("");
    assert_int_equal(chown(fx.path, 65534, 65534), 0);
    assert_fails_with(audit_open(fx.path, AUDIT_SYNC_NONE, "", &fx.audit), ERR_USAGE, "chown");
}

static void test_open__a_torn_line_stays_apart(void **state)
{
    write_raw("{\"seq\":1}\n{\"se");
    open_audit(AUDIT_SYNC_NONE);
    assert_span(line(1), "{\"se");
    struct json torn = record(2);
    assert_string_equal(json_string(json_get(torn, "action")), "torn");
    assert_string_equal(json_string(json_get(torn, "reason")),
                        "the line before has 4 bytes and no end");
    assert_int_equal(number(torn, "seq"), 1);
    assert_string_equal(prev_of_line(2), hash_of_line(1));
    assert_string_equal(json_string(json_get(record(3), "action")), "start");
}

static void test_open__links_to_the_last_line(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    assert_string_equal(prev_of_line(0), CHAIN_START.hex);
    forget();
    open_audit(AUDIT_SYNC_NONE);
    assert_string_equal(prev_of_line(1), hash_of_line(0));
}

static void test_open__refuses_a_file_that_is_written_by_another(void **state)
{
    struct audit *second = NULL;
    open_audit(AUDIT_SYNC_NONE);
    assert_fails_with(audit_open(fx.path, AUDIT_SYNC_NONE, "", &second), ERR_CONFLICT,
                      "another process writes");
    forget();
    open_audit(AUDIT_SYNC_NONE);
}

/* ---- rotation ----------------------------------------------------------------------------------- */

static void rename_file(char old[128])
{
    snprintf(old, 128, "%s.1", fx.path);
    assert_int_equal(rename(fx.path, old), 0);
}

static void test_reopen__begins_a_file_that_links_to_the_old_one(void **state)
{
    char old[128];
    bool changed = false;
    open_audit(AUDIT_SYNC_BATCH);
    char hash[CHAIN_HEX + 1];
    snprintf(hash, sizeof hash, "%s", hash_of_line(0));
    rename_file(old);
    assert_ok(audit_write(fx.audit, &small)); /* to the old file, which is still ours */
    assert_int_not_equal(access(fx.path, F_OK), 0);
    assert_ok(audit_reopen(fx.audit, &changed));
    assert_true(changed);
    struct json first = record(0);
    assert_string_equal(json_string(json_get(first, "action")), "rotate");
    assert_int_equal(number(first, "seq"), 3);
    assert_string_not_equal(prev_of_line(0), hash);
    assert_int_equal(unlink(old), 0);
}

static void test_reopen__without_a_new_name_changes_nothing(void **state)
{
    bool changed = true;
    open_audit(AUDIT_SYNC_NONE);
    assert_ok(audit_reopen(fx.audit, &changed));
    assert_false(changed);
    assert_ok(audit_write(fx.audit, &small));
    assert_int_equal(number(record(1), "seq"), 2);
}

static void test_reopen__keeps_the_old_file_when_it_cannot(void **state)
{
    char old[128];
    bool changed = true;
    open_audit(AUDIT_SYNC_NONE);
    rename_file(old);
    assert_int_equal(mkdir(fx.path, 0700), 0);
    assert_fails(audit_reopen(fx.audit, &changed), ERR_USAGE);
    assert_false(changed);
    assert_int_equal(rmdir(fx.path), 0);
    assert_ok(audit_write(fx.audit, &small));
    assert_int_equal(rename(old, fx.path), 0);
    assert_int_equal(number(record(1), "seq"), 2);
    assert_string_equal(prev_of_line(1), hash_of_line(0));
}

/* ---- failures ---------------------------------------------------------------------------------- */

/* Files of this process may grow to `size` bytes, or without limit again. The limit is soft and
 * off again before anything is printed. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size == RLIM_INFINITY ? limit.rlim_max : size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static struct err write_with_room_for(size_t bytes)
{
    limit_files(fx.text.len + bytes);
    struct err e = audit_write(fx.audit, &small);
    limit_files(RLIM_INFINITY);
    return e;
}

/* The record of that line says that the file can be written again, after so many that it missed. */
static void expect_back(size_t at, unsigned lost)
{
    char reason[48];
    snprintf(reason, sizeof reason, "records missing: %u", lost);
    assert_string_equal(json_string(json_get(record(at), "action")), "audit-back");
    assert_string_equal(json_string(json_get(record(at), "reason")), reason);
    assert_int_equal(number(record(at), "seq"), at + 1);
}

static void test_write__full_disk(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    size_t first = line(0).len;
    assert_fails_with(write_with_room_for(0), ERR_INTERNAL, fx.path);
    assert_int_equal(audit_failures(fx.audit), 1);
    assert_int_equal(line(0).len, first);
    assert_int_equal(fx.text.len, first + 1);

    /* A piece of the line fits: a failure too, and the piece is cut off again. */
    assert_fails_with(write_with_room_for(5), ERR_INTERNAL, "took only 5 of");
    assert_int_equal(audit_failures(fx.audit), 2);
    line(0);
    assert_int_equal(fx.text.len, first + 1);
    assert_ok(audit_write(fx.audit, &small));
    expect_back(1, 2); /* what failed took no number */
    assert_string_equal(prev_of_line(1), hash_of_line(0));
    assert_int_equal(number(record(2), "seq"), 3);
    assert_int_equal(audit_failures(fx.audit), 2);
    assert_ok(audit_write(fx.audit, &small));
    assert_string_equal(json_string(json_get(record(3), "action")), small.action); /* told once */
}

static void test_write__sync_each(void **state)
{
    open_audit(AUDIT_SYNC_EACH);
    assert_int_equal(syncs, 1); /* the start record */
    assert_ok(audit_write(fx.audit, &small));
    assert_int_equal(syncs, 2);
    sync_errno = EIO;
    assert_fails_with(audit_write(fx.audit, &small), ERR_INTERNAL, "cannot sync");
    assert_int_equal(audit_failures(fx.audit), 1);
    assert_false(audit_works(fx.audit));
    sync_errno = 0;
    assert_ok(audit_write(fx.audit, &small));
    assert_int_equal(number(record(2), "seq"), 3); /* the record is there, only not known safe */
    expect_back(3, 1);
    expect_back(4, 1); /* likewise the one before */
}

static void test_write__sync_none_and_batch(void **state)
{
    open_audit(AUDIT_SYNC_NONE);
    assert_ok(audit_write(fx.audit, &small));
    forget();
    assert_int_equal(syncs, 0);
    open_audit(AUDIT_SYNC_BATCH);
    forget();
    assert_int_equal(syncs, 1); /* within a second nothing; the end of the process syncs */
}

/* ---- threads ----------------------------------------------------------------------------------- */

#define THREADS 8
#define EACH 200

static void *writer(void *arg)
{
    uintptr_t failed = 0;
    for (unsigned i = 0; i < EACH; i++) {
        struct audit_event e = release;
        e.request_id = i + 1;
        if (!err_ok(audit_write(fx.audit, &e))) failed++;
    }
    return (void *) failed; /* asserting is for the main thread */
}

static void test_write__threads_write_whole_lines_in_order(void **state)
{
    open_audit(AUDIT_SYNC_BATCH);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, writer, NULL), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    line(0);
    char *at = (char *) fx.text.data;
    for (int64_t seq = 1; seq <= 1 + THREADS * EACH; seq++) {
        char *end = strchr(at, '\n');
        assert_non_null(end);
        json_free(fx.doc);
        fx.doc = NULL;
        assert_ok(json_parse(span_of(at, (size_t) (end - at)), &fx.doc));
        assert_int_equal(number(json_root(fx.doc), "seq"), seq);
        at = end + 1;
    }
    assert_int_equal(*at, '\0');
}

static void test_close__null(void **state)
{
    audit_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_open__writes_the_start_record),
        TEST(test_write__all_members_in_order),
        TEST(test_write__empty_members_are_left_out),
        TEST(test_write__strangers_beyond_the_burst_are_counted),
        TEST(test_close__tells_of_the_last_strangers),
        TEST(test_write__text_of_a_peer_stays_one_line),
        TEST(test_write__long_text_is_cut_at_the_limit),
        TEST(test_write__the_largest_record_fits_its_limit),
        TEST(test_open__appends_with_a_new_run),
        TEST(test_open__without_a_file_writes_nothing),
        TEST(test_sync_from__names),
        TEST(test_open__creates_for_the_owner_only),
        TEST(test_open__refuses_a_device_a_folder_and_a_fifo),
        TEST(test_open__refuses_a_link),
        TEST(test_open__names_the_missing_folder),
        TEST(test_open__refuses_what_others_can_write),
        TEST(test_open__refuses_a_stranger_s_file),
        TEST(test_open__a_torn_line_stays_apart),
        TEST(test_write__full_disk),
        TEST(test_open__links_to_the_last_line),
        TEST(test_open__refuses_a_file_that_is_written_by_another),
        TEST(test_reopen__begins_a_file_that_links_to_the_old_one),
        TEST(test_reopen__without_a_new_name_changes_nothing),
        TEST(test_reopen__keeps_the_old_file_when_it_cannot),
        TEST(test_write__sync_each),
        TEST(test_write__sync_none_and_batch),
        TEST(test_write__threads_write_whole_lines_in_order),
        cmocka_unit_test(test_close__null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
