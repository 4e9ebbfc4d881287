#include "tests/unit/pkcs11/token.h"

#include "pkcs11/object.h"

/* What lies beside the token: remembers what it was asked, and holds one object. The real one is tested in
 * tests/unit/store/test_directory.c, and with a store and a token in the stories. */
static struct {
    bool used, begun, full;
    char label[P11_LABEL_MAX], epoch[P11_EPOCH_TEXT];
    struct buf value;
    bool there;
} beside_it;

static err_t it_in_use(void *arg, bool *ret)
{
    *ret = beside_it.used;
    return ERR_OK;
}

static err_t it_begin(void *arg)
{
    beside_it.begun = true;
    return ERR_OK;
}

static err_t it_create(void *arg, const char *label, struct span value, uint64_t *ret)
{
    if (beside_it.full) FAIL(ERR_FULL, "no room");
    snprintf(beside_it.label, sizeof beside_it.label, "%s", label);
    buf_reset(&beside_it.value);
    buf_add_span(&beside_it.value, value);
    beside_it.there = true;
    *ret = 7;
    return ERR_OK;
}

static err_t it_read(void *arg, uint64_t handle, struct buf *ret)
{
    if (handle != 7 || !beside_it.there) FAIL(ERR_NOTFOUND, "not there");
    buf_add_span(ret, buf_span(&beside_it.value));
    return ERR_OK;
}

static err_t it_destroy(void *arg, uint64_t handle)
{
    if (handle != 7 || !beside_it.there) FAIL(ERR_NOTFOUND, "not there");
    beside_it.there = false;
    return ERR_OK;
}

static err_t it_scan(void *arg, bool with_values,
                     err_t (*visit)(void *visit_arg, const struct p11_seen *seen), void *visit_arg)
{
    struct p11_seen seen = {.object = {7, P11_EPOCH_BESIDE}, .label = beside_it.label,
                            .value = buf_span(&beside_it.value)};
    return beside_it.there ? visit(visit_arg, &seen) : ERR_OK;
}

static err_t it_find(void *arg, const char *label, uint64_t *ret, size_t max, size_t *ret_n)
{
    *ret_n = beside_it.there && strcmp(label, beside_it.label) == 0 && max;
    if (*ret_n) *ret = 7;
    return ERR_OK;
}

static err_t it_epoch_read(void *arg, char ret[P11_EPOCH_TEXT])
{
    if (!beside_it.epoch[0]) FAIL(ERR_NOTFOUND, "none");
    memcpy(ret, beside_it.epoch, P11_EPOCH_TEXT);
    return ERR_OK;
}

static err_t it_epoch_write(void *arg, const char *epoch)
{
    if (beside_it.full) FAIL(ERR_FULL, "no room");
    snprintf(beside_it.epoch, sizeof beside_it.epoch, "%s", epoch);
    return ERR_OK;
}

static const struct p11_beside BESIDE = {
    .text = "directory /beside", .in_use = it_in_use, .begin = it_begin, .create = it_create,
    .read = it_read, .destroy = it_destroy, .scan = it_scan, .find = it_find,
    .epoch_read = it_epoch_read, .epoch_write = it_epoch_write,
};

static int setup(void **state)
{
    buf_free(&beside_it.value);
    memset(&beside_it, 0, sizeof beside_it);
    return token_bare(state);
}

static int teardown(void **state)
{
    buf_free(&beside_it.value);
    return token_gone(state);
}

/* Opens anew with this wish. */
static struct err open_at(const char *module, enum p11_place place)
{
    struct p11_config config = {
        .module = module, .token_uri = hsm.uri, .pin_source = hsm.pin_file, .state_dir = hsm.state,
        .cek_cache = 64, .place = place, .beside = &BESIDE,
    };
    token_close();
    beside_it.begun = false;
    return p11_open(&config, &token);
}

static void put_on_token(void)
{
    struct p11_object o = {0};
    assert_ok(token_object_create(token, "a/b/c", SPAN_LIT("x"), &o));
}

/* Every row: what is where, what is wished, what comes of it. */
static void test_choose__table(void **state)
{
    static const struct {
        bool on_token, used;
        enum p11_place place;
        const char *where; /* p11_place_text, or what the refusal says */
        bool fails;
    } ROWS[] = {
        {false, false, P11_PLACE_AUTO, "token", false},
        {false, false, P11_PLACE_TOKEN, "token", false},
        {false, false, P11_PLACE_BESIDE, "directory /beside", false},
        {false, true, P11_PLACE_AUTO, "directory /beside", false},
        {false, true, P11_PLACE_TOKEN, "storage.place: directory", true},
        {false, true, P11_PLACE_BESIDE, "directory /beside", false},
        {true, false, P11_PLACE_AUTO, "token", false},
        {true, false, P11_PLACE_TOKEN, "token", false},
        {true, false, P11_PLACE_BESIDE, "storage.place: token", true},
        {true, true, P11_PLACE_AUTO, "say which one is meant", true},
        {true, true, P11_PLACE_TOKEN, "token", false},
        {true, true, P11_PLACE_BESIDE, "directory /beside", false},
    };
    bool filled = false;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        if (!token) token_open(0, 0);
        if (ROWS[i].on_token && !filled) put_on_token();
        filled |= ROWS[i].on_token;
        beside_it.used = ROWS[i].used;
        struct err e = open_at(hsm.module, ROWS[i].place);
        if (ROWS[i].fails) {
            assert_fails_with(e, ERR_USAGE, ROWS[i].where);
            continue;
        }
        assert_ok(e);
        assert_string_equal(p11_place_text(token), ROWS[i].where);
        assert_int_equal(beside_it.begun, strcmp(ROWS[i].where, "token") != 0);
    }
}

/* Found by trying, never by what the token says of itself; and nothing is left of the trial. */
static void test_choose__a_token_without_data_objects(void **state)
{
    bool any = true;
    token_through_faults("objects no_data");
    assert_ok(open_at(softhsm_fault_module(), P11_PLACE_AUTO));
    assert_string_equal(p11_place_text(token), "directory /beside");
    /* NetHSM says so (tokens.md 1.1) */
    softhsm_fault(&hsm, "objects no_data rv=0x31");
    assert_ok(open_at(softhsm_fault_module(), P11_PLACE_AUTO));
    assert_string_equal(p11_place_text(token), "directory /beside");
    softhsm_fault(&hsm, "");
    assert_ok(open_at(softhsm_fault_module(), P11_PLACE_AUTO));
    assert_string_equal(p11_place_text(token), "token");
    assert_ok(token_epoch_find(token, &any));
    assert_false(any);
}

/* A token that is full, or takes no more: where its envelopes are is where they are looked for. */
static void test_choose__a_token_that_takes_no_more(void **state)
{
    token_through_faults("objects no_data rv=0x31");
    assert_ok(open_at(softhsm_fault_module(), P11_PLACE_TOKEN));
    assert_string_equal(p11_place_text(token), "token");
    softhsm_fault(&hsm, "");
    put_on_token();
    softhsm_fault(&hsm, "objects no_data rv=0x31");
    assert_ok(open_at(softhsm_fault_module(), P11_PLACE_AUTO));
    assert_string_equal(p11_place_text(token), "token");
    assert_false(beside_it.begun);
}

/* A token that fails just then does not become one without data objects. */
static void test_choose__a_bad_moment_decides_nothing(void **state)
{
    static const char *const RULES[] = {"C_CreateObject rv=0x30", "C_CreateObject rv=0x5",
                                        "C_CreateObject rv=0xe2", "C_FindObjects rv=0x5"};
    token_through_faults("");
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        softhsm_fault(&hsm, RULES[i]);
        assert_false(err_ok(open_at(softhsm_fault_module(), P11_PLACE_AUTO)));
        assert_false(beside_it.begun);
    }
    softhsm_fault(&hsm, "");
}

static err_t count_it(void *arg, const struct p11_seen *seen)
{
    ++*(int *) arg;
    return ERR_OK;
}

static void test_objects__go_where_they_belong(void **state)
{
    struct p11_object o = {0}, found[2];
    struct buf bytes = BUF_INIT;
    char epoch[P11_EPOCH_TEXT], again[P11_EPOCH_TEXT];
    size_t n = 0;
    int seen = 0;
    bool any = true;
    assert_ok(open_at(hsm.module, P11_PLACE_BESIDE));
    assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("value"), &o));
    assert_ok(p11_object_read(token, o, &bytes));
    assert_span(buf_span(&bytes), "value");
    assert_ok(p11_object_find(token, "a/b/c", found, 2, &n));
    assert_true(n == 1 && found[0].handle == o.handle && found[0].epoch == o.epoch);
    assert_ok(p11_object_scan(token, true, count_it, &seen));
    assert_int_equal(seen, 1);
    assert_fails(p11_epoch_read(token, epoch), ERR_NOTFOUND);
    assert_ok(p11_epoch_touch(token, epoch));
    assert_ok(p11_epoch_read(token, again));
    assert_string_equal(epoch, again);
    assert_ok(p11_epoch_touch(token, again));
    assert_string_not_equal(epoch, again);
    beside_it.full = true;
    assert_fails(p11_epoch_touch(token, epoch), ERR_FULL);
    assert_fails(p11_object_destroy(token, (struct p11_object){o.handle, 1}), ERR_NOTFOUND);
    assert_fails(p11_object_read(token, (struct p11_object){o.handle, 1}, &bytes), ERR_NOTFOUND);
    assert_ok(p11_object_destroy(token, o));
    assert_fails(p11_object_destroy(token, o), ERR_NOTFOUND);
    assert_ok(token_epoch_find(token, &any));
    assert_false(any);
    buf_free(&bytes);
}

static err_t knows_none(void *arg, struct p11_object object, bool *ret)
{
    *ret = false;
    return ERR_OK;
}

/* Several at once, and a scan again. */
static void test_objects__together_beside(void **state)
{
    struct p11_draft drafts[] = {{.label = "a/b/c", .value = SPAN_LIT("one")},
                                 {.label = "a/b/c", .value = SPAN_LIT("two")}};
    struct p11_draft *last = malloc(sizeof *last); /* nothing lies behind it */
    struct buf bytes = BUF_INIT;
    int seen = 0;
    const struct p11_rescan again = {knows_none, count_it, &seen};
    *last = drafts[1];
    assert_ok(open_at(hsm.module, P11_PLACE_BESIDE));
    beside_it.full = true;
    p11_objects_create(token, drafts, 2);
    for (size_t i = 0; i < 2; i++) assert_fails(err_load(&drafts[i].outcome), ERR_FULL);
    beside_it.full = false;
    p11_objects_create(token, drafts, 1);
    p11_objects_create(token, last, 1);
    assert_ok(err_load(&last->outcome));
    assert_ok(p11_object_read(token, last->object, &bytes));
    assert_span(buf_span(&bytes), "two");
    assert_ok(p11_object_rescan(token, &again));
    assert_int_equal(seen, 1);
    buf_free(&bytes);
    free(last);
}

static void test_objects__limits(void **state)
{
    static uint8_t big[ENVELOPE_MAX + 1];
    char label[P11_LABEL_MAX + 1];
    struct p11_object o = {0};
    memset(label, 'x', sizeof label - 1);
    label[P11_LABEL_MAX] = '\0';
    for (int beside = 0; beside < 2; beside++) {
        assert_ok(open_at(hsm.module, beside ? P11_PLACE_BESIDE : P11_PLACE_TOKEN));
        assert_fails(p11_object_create(token, label, SPAN_LIT("x"), &o), ERR_TOOLARGE);
        assert_fails(p11_object_create(token, "a", span_of(big, sizeof big), &o), ERR_TOOLARGE);
    }
    assert_ok(p11_object_create(token, label + 1, span_of(big, sizeof big - 1), &o));
}

/* The canary, too, lies beside a token that keeps none. */
static void test_canary__beside(void **state)
{
    struct p11_kek_info kek;
    assert_ok(open_at(hsm.module, P11_PLACE_BESIDE));
    assert_ok(p11_kek_create(token, false, &kek));
    assert_true(kek.canary_ok);
    assert_string_equal(beside_it.label, "strongroom:canary:1");
    beside_it.used = true;
    assert_ok(open_at(hsm.module, P11_PLACE_AUTO));
    assert_ok(p11_check(token));
}

#define PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE(test_choose__table),
        PLACE(test_choose__a_token_without_data_objects),
        PLACE(test_choose__a_token_that_takes_no_more),
        PLACE(test_choose__a_bad_moment_decides_nothing),
        PLACE(test_objects__go_where_they_belong),
        PLACE(test_objects__together_beside),
        PLACE(test_objects__limits),
        PLACE(test_canary__beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
