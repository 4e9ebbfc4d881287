/* The token goes away in every way, and a keeper brings it back. */
#include "tests/unit/pkcs11/keeper.h"

#include <sys/stat.h>
#include <unistd.h>

#include "pkcs11/keypair.h"

/* ---- what a broker does ----------------------------------------------------------------- */

/* Seals and opens again: the token works from end to end. */
static struct err round_trip(void)
{
    _cleanup_buf_ struct buf b = BUF_INIT;
    _cleanup_secret_ struct secret *opened = NULL;
    struct envelope_meta meta = meta_of("a/b/c", 1);
    struct envelope e;
    bool has_meta = false;
    TRY(p11_seal(token, &meta, SPAN_LIT("plaintext"), &b));
    if (envelope_decode(buf_span(&b), &e, &has_meta) != ENVELOPE_SOUND)
        FAIL(ERR_DAMAGED, "what was sealed is no envelope");
    TRY(p11_unseal(token, &e, &opened));
    if (!span_eq_str(secret_span(opened), "plaintext")) FAIL(ERR_DAMAGED, "other plaintext");
    return ERR_OK;
}

/* As a daemon's restart or an idle time-out does it: all sessions, and the login with them. Between the
 * calls of others (serialize_all), for SoftHSM does not bear it beside them. */
static void drop_all(void)
{
    SCOPED_OBJECTS(token);
    token->fn->C_CloseAllSessions(token->slot);
}

static void hide(bool away)
{
    char other[400];
    snprintf(other, sizeof other, "%s.away", hsm.tokens);
    if (away) {
        assert_int_equal(rename(hsm.tokens, other), 0);
        assert_int_equal(mkdir(hsm.tokens, 0700), 0);
    } else {
        assert_int_equal(rmdir(hsm.tokens), 0);
        assert_int_equal(rename(other, hsm.tokens), 0);
    }
}

static void open_faults(void)
{
    token_through_faults("");
    softhsm_fault_clear_log(&hsm);
}

/* ---- all at once ------------------------------------------------------------------------ */

static void test_recover__after_the_module_lost_all(void **state)
{
    uint64_t epoch = p11_opening(token);
    drop_all();
    assert_false(err_ok(round_trip()));
    assert_ok(p11_recover(token));
    assert_true(p11_opening(token) > epoch);
    assert_ok(round_trip());
    assert_int_equal(status().taken[P11_STEP_LOGIN], 1);
    assert_int_equal(status().taken[P11_STEP_RESTART], 0);
}

static void test_recover__token_away_then_back(void **state)
{
    hide(true);
    assert_fails(p11_recover(token), ERR_TOKEN_DOWN);
    token->pool.wait_ms = 60000; /* a wait would be seen */
    assert_fails(round_trip(), ERR_TOKEN_DOWN);
    hide(false);
    assert_ok(p11_recover(token));
    assert_ok(round_trip());
    assert_int_equal(status().helped[P11_STEP_RESTART], 1);
}

static void test_recover__another_token_in_its_place(void **state)
{
    free(token->serial);
    token->serial = strdup("0000000000000000");
    assert_fails_with(p11_recover(token), ERR_HUMAN, "another serial");
}

/* The slot has another token by now: it must not see our PIN. */
static void test_recover__slots_were_renumbered(void **state)
{
    struct p11_token_info other = {0};
    open_faults();
    assert_int_equal(softhsm_add_token(&hsm, "other"), 0);
    assert_ok(p11_recover(token)); /* the module sees new tokens after a start */
    drop_all();
    assert_ok(module_restart(token->module, false));
    assert_ok(p11_info_by_uri(softhsm_fault_module(), NULL, "pkcs11:token=other", &other));
    token->slot = (CK_SLOT_ID) other.slot;
    softhsm_fault_clear_log(&hsm);
    assert_ok(p11_recover(token));
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
    assert_true(token->slot != other.slot);
    assert_ok(round_trip());
}

/* ---- the PIN ---------------------------------------------------------------------------- */

/* The PIN was changed while the token was away: it is sent once, and never again. */
static void test_recover__pin_no_longer_right(void **state)
{
    open_faults();
    softhsm_fault(&hsm, "C_Login rv=0xa0");
    for (int i = 0; i < 3; i++) assert_fails(p11_recover(token), ERR_HUMAN);
    p11_hurry(token); /* not even then */
    assert_fails(p11_recover(token), ERR_HUMAN);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
}

static void test_recover__a_corrected_pin_is_read(void **state)
{
    char path[300];
    open_faults();
    softhsm_write(&hsm, "pin", "another", 0600, path, sizeof path);
    drop_all();
    assert_fails(p11_recover(token), ERR_HUMAN);
    assert_fails(p11_recover(token), ERR_HUMAN);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
    softhsm_write(&hsm, "pin", SOFTHSM_PIN, 0600, path, sizeof path);
    assert_ok(p11_recover(token));
    assert_ok(round_trip());
}

/* A token whose flags do not show the lock is asked once; a person may have it asked again. */
static void test_recover__locked_token_is_asked_once(void **state)
{
    open_faults();
    softhsm_fault(&hsm, "C_Login rv=0xa4");
    for (int i = 0; i < 3; i++) assert_fails(p11_recover(token), ERR_HUMAN);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
    softhsm_fault(&hsm, "");
    assert_fails_with(p11_recover(token), ERR_HUMAN, "SIGHUP");
    p11_hurry(token);
    assert_ok(p11_recover(token));
    assert_ok(round_trip());
}

/* What it says of its PIN is what a person needs to know then. */
static void test_recover__tells_what_the_token_says(void **state)
{
    struct p11_token_info info = {0};
    open_faults();
    softhsm_fault(&hsm, "tokeninfo set=0x40000"); /* CKF_USER_PIN_LOCKED */
    assert_fails(p11_recover(token), ERR_HUMAN);
    p11_last_info(token, &info);
    assert_true(info.pin_locked);
    softhsm_fault(&hsm, "");
    assert_ok(p11_recover(token));
    p11_last_info(token, &info);
    assert_false(info.pin_locked);
    keeper_start();
    softhsm_fault(&hsm, "tokeninfo set=0x10000"); /* CKF_USER_PIN_COUNT_LOW, which a look sees */
    for (p11_hurry(token); !info.pin_count_low; sched_yield()) p11_last_info(token, &info);
}

/* ---- kept ------------------------------------------------------------------------------- */

/* Nobody notices: the request waits for the login and is repeated. */
static void test_keeper__lost_login(void **state)
{
    open_faults();
    keeper_start();
    for (int i = 0; i < 3; i++) {
        drop_all();
        assert_ok(round_trip());
        await_state(P11_UP);
    }
    assert_int_equal(softhsm_fault_count(&hsm, "C_Initialize"), 0);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 3);
    assert_int_equal(kept.entered[P11_RECOVERING], 3);
    assert_int_equal(kept.entered[P11_UP], 3);
    assert_int_equal(kept.came_back, 3);
}

/* It goes down each time, whether something is done about it at once or after a pause. */
static void test_keeper__relapses(void **state)
{
    enum { ROUNDS = TOKEN_RELAPSES + 1 };
    open_faults();
    keeper_start();
    for (int i = 0; i < ROUNDS; i++) {
        drop_all();
        assert_ok(round_trip());
        while (kept.entered[P11_UP] <= i) sched_yield();
    }
    drop_all();
    assert_fails(round_trip(), ERR_TOKEN_DOWN);
    while (!kept.entered[P11_WAITING]) sched_yield();
    assert_int_equal(kept.entered[P11_RECOVERING], ROUNDS + 1);
    p11_hurry(token);
    while (kept.entered[P11_UP] <= ROUNDS) sched_yield();
    assert_ok(round_trip());
    assert_int_equal(kept.entered[P11_RECOVERING], ROUNDS + 1);
    assert_int_equal(kept.entered[P11_WAITING], 1);
}

/* One session: there is no need of a keeper. */
static void test_session__expired_one_is_replaced(void **state)
{
    open_faults();
    assert_ok(round_trip());
    assert_int_equal(token->pool.idle_n, 1);
    token->fn->C_CloseSession(token->pool.idle[0]);
    assert_ok(round_trip());
    assert_int_equal(status().helped[P11_STEP_SESSION], 1);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 0);
}

/* Those that idle beside a session that the token forgot are as old as it. */
static void test_pool__forgotten_sessions_go_together(void **state)
{
    CK_SESSION_HANDLE h[4];
    for (int i = 0; i < 4; i++) assert_ok(session_get(token, &h[i]));
    for (int i = 0; i < 4; i++) session_put(token, h[i], CKR_OK);
    for (int i = 0; i < 4; i++) token->fn->C_CloseSession(h[i]);
    assert_ok(round_trip());
    assert_int_equal(token->pool.open_n, 1);
}

static void test_keeper__finalized_by_another(void **state)
{
    open_faults();
    keeper_start();
    {
        SCOPED_OBJECTS(token);
        token->fn->C_Finalize(NULL);
    }
    assert_ok(round_trip());
    await_state(P11_UP);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Initialize"), 1);
    assert_int_equal(status().helped[P11_STEP_RESTART], 1);
}

static void test_keeper__unplugged(void **state)
{
    keeper_start();
    hide(true);
    while (err_ok(round_trip())) sched_yield();
    await_state(P11_WAITING);
    struct p11_status s = status();
    assert_int_equal(s.next, P11_STEP_RESTART);
    assert_int_equal(s.why, ERR_TOKEN_DOWN);
    assert_true(s.tries > 0);
    token->pool.wait_ms = 60000; /* a wait would be seen */
    assert_fails(round_trip(), ERR_TOKEN_DOWN);
    hide(false);
    p11_hurry(token);
    await_state(P11_UP);
    assert_ok(round_trip());
    assert_int_equal(kept.entered[P11_RECOVERING], 1);
    assert_int_equal(kept.entered[P11_WAITING], 1);
    assert_int_equal(kept.entered[P11_HUMAN], 0);
    assert_int_equal(kept.came_back, 1);
}

static void test_keeper__stops_for_a_person(void **state)
{
    char path[300];
    open_faults();
    keeper_start();
    softhsm_write(&hsm, "pin", "another", 0600, path, sizeof path);
    drop_all();
    assert_false(err_ok(round_trip()));
    await_state(P11_HUMAN);
    assert_fails(round_trip(), ERR_HUMAN);
    for (unsigned i = 1; i < 4; i++) {
        p11_hurry(token);
        while (status().tries <= i) sched_yield();
    }
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 1);
    assert_int_equal(kept.entered[P11_HUMAN], 1);
    softhsm_write(&hsm, "pin", SOFTHSM_PIN, 0600, path, sizeof path);
    p11_hurry(token);
    await_state(P11_UP);
    assert_ok(round_trip());
}

/* One bad item is no reason to start anything anew, however often it is asked for. */
static void test_keeper__tampered_item(void **state)
{
    open_faults();
    struct buf b = sealed("a/b/c", SPAN_LIT("x"));
    b.data[b.len - 1] ^= 1;
    keeper_start();
    for (int i = 0; i < 20; i++) {
        struct secret *opened = NULL;
        assert_fails(unsealed(&b, &opened), ERR_DAMAGED);
    }
    assert_int_equal(softhsm_fault_count(&hsm, "C_Initialize"), 0);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Login"), 0);
    assert_int_equal(status().state, P11_UP);
    assert_int_equal(kept.entered[P11_RECOVERING], 0);
    buf_free(&b);
}

static void test_keeper__without_a_key(void **state)
{
    token_through_faults("");
    assert_false(p11_has_kek(token));
    keeper_start();
    drop_all();
    p11_hurry(token);
    while (kept.came_back == 0) sched_yield();
    CK_SESSION_HANDLE h = CK_INVALID_HANDLE; /* the login goes, and no session with it */
    assert_ok(session_get(token, &h));
    assert_int_equal(token->fn->C_Logout(h), CKR_OK);
    session_put(token, h, CKR_OK);
    p11_hurry(token);
    while (kept.came_back == 1) sched_yield();
    await_state(P11_UP);
    struct p11_kek_info kek;
    assert_ok(p11_kek_create(token, false, &kek));
    assert_ok(round_trip());
}

/* Reading goes on under a key whose canary was changed; so it comes back, too. */
static void test_keeper__without_a_canary_that_opens(void **state)
{
    struct p11_object o = {0};
    size_t n = 0;
    struct buf old = sealed("a/b/c", SPAN_LIT("old"));
    assert_ok(p11_object_find(token, "strongroom:canary:1", &o, 1, &n));
    assert_ok(p11_object_destroy(token, o));
    assert_ok(p11_object_create(token, "strongroom:canary:1", SPAN_LIT("no envelope"), &o));
    open_faults();
    assert_int_equal(p11_active_generation(token), 0);
    keeper_start();
    drop_all();
    assert_opens(&old, SPAN_LIT("old"));
    await_state(P11_UP);
    assert_int_equal(kept.entered[P11_HUMAN], 0);
    assert_ok(p11_check(token));
    buf_free(&old);
}

static void test_keeper__key_pairs_come_back(void **state)
{
    _cleanup_pair_info_ struct p11_pair_info info = {0};
    uint8_t digest[P11_PAIR_DIGEST] = {1}, signature[P11_PAIR_SIGNATURE];
    struct p11_pair_config config = {.label = "s", .type = P11_PAIR_EC_P256};
    struct p11_pair *pair = NULL;
    assert_ok(p11_pair_create(token, "s", P11_PAIR_EC_P256, 0, &info));
    assert_ok(p11_pair_new(token, &config, &pair));
    keeper_start();
    assert_ok(p11_pair_sign(pair, digest, signature));
    drop_all();
    struct err e = p11_pair_sign(pair, digest, signature);
    p11_pair_free(pair);
    assert_ok(e);
}

/* ---- objects ---------------------------------------------------------------------------- */

/* Read back in vain, and not removed either: it lies there, and must not lie there twice. */
static void test_create__looks_before_it_repeats(void **state)
{
    struct p11_object o = {0}, found[4];
    size_t n = 0;
    open_faults();
    keeper_start();
    softhsm_fault(&hsm, "C_FindObjectsInit rv=0xb3 count=1\nC_DestroyObject rv=0xb3 count=1");
    assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("value"), &o));
    softhsm_fault(&hsm, "");
    assert_ok(p11_object_find(token, "a/b/c", found, 4, &n));
    assert_int_equal(n, 1);
    assert_int_equal(found[0].handle, o.handle);
    softhsm_fault(&hsm, "C_CreateObject rv=0xb3 count=1"); /* this one never began */
    assert_ok(p11_object_create(token, "d/e/f", SPAN_LIT("value"), &o));
    assert_ok(p11_object_find(token, "d/e/f", found, 4, &n));
    assert_int_equal(n, 1);
}

/* Made, and then the login goes: that a fresh session does not show it then does not mean a full token. */
static void test_create__unseen_is_not_full(void **state)
{
    static const char *const RULES[] = {"C_OpenSession drop_all count=1", "C_FindObjectsInit forget count=1"};
    struct p11_object o = {0}, found[4];
    size_t n = 0;
    open_faults();
    for (size_t i = 0; i < 2; i++) {
        assert_ok(p11_object_create(token, "d/e/f", SPAN_LIT("value"), &o)); /* the pool has a session */
        softhsm_fault(&hsm, RULES[i]);
        assert_fails(p11_object_create(token, "a/b/c", SPAN_LIT("value"), &o), ERR_TOKEN_DOWN);
        softhsm_fault(&hsm, "");
        assert_ok(p11_recover(token));
    }
    keeper_start();
    for (size_t i = 0; i < 2; i++) {
        const char *label = i ? "g/h/i" : "j/k/l";
        assert_ok(p11_object_create(token, "d/e/f", SPAN_LIT("value"), &o));
        softhsm_fault(&hsm, RULES[i]);
        assert_ok(p11_object_create(token, label, SPAN_LIT("value"), &o));
        softhsm_fault(&hsm, "");
        assert_ok(p11_object_find(token, label, found, 4, &n));
        assert_int_equal(n, 1);
        assert_int_equal(found[0].handle, o.handle);
    }
}

/* Without the login nothing is seen; that is not "gone". */
static void test_destroy__unseen_is_not_gone(void **state)
{
    struct p11_object o = {0}, found[2];
    size_t n = 0;
    assert_ok(p11_object_create(token, "a/b/c", SPAN_LIT("value"), &o));
    drop_all();
    assert_fails(p11_object_destroy(token, o), ERR_TOKEN_DOWN);
    assert_ok(p11_recover(token));
    assert_ok(p11_object_find(token, "a/b/c", found, 2, &n));
    assert_int_equal(n, 1);
    assert_ok(p11_object_destroy(token, found[0]));
    assert_fails(p11_object_destroy(token, found[0]), ERR_NOTFOUND);
}

static struct err drop_in_mid_scan(void *arg, const struct p11_seen *seen)
{
    int *left = arg;
    if (--*left == 0) drop_all();
    return ERR_OK;
}

/* A scan that did not see all must not pass for one that did: what is missing would be 404. */
static void test_scan__login_lost_in_mid_scan(void **state)
{
    struct p11_object o = {0};
    char label[16];
    for (int i = 0; i < 6; i++) {
        snprintf(label, sizeof label, "a/b/%d", i);
        assert_ok(p11_object_create(token, label, SPAN_LIT("value"), &o));
    }
    for (int kept_up = 0; kept_up < 2; kept_up++) {
        int left = 3;
        if (kept_up) keeper_start();
        assert_fails(p11_object_scan(token, true, drop_in_mid_scan, &left), ERR_TOKEN_DOWN);
        if (!kept_up) assert_ok(p11_recover(token));
    }
    while (kept.came_back == 0) sched_yield();
    int left = 100;
    assert_ok(p11_object_scan(token, true, drop_in_mid_scan, &left));
}

static void test_epoch__comes_back(void **state)
{
    char epoch[P11_EPOCH_TEXT], again[P11_EPOCH_TEXT];
    assert_ok(p11_epoch_touch(token, epoch));
    keeper_start();
    drop_all();
    assert_ok(p11_epoch_read(token, again));
    assert_string_equal(epoch, again);
    drop_all();
    assert_ok(p11_epoch_touch(token, again));
    assert_string_not_equal(epoch, again);
}

/* ---- many threads ----------------------------------------------------------------------- */

#define WORKERS 8

static atomic_bool stop_working;
static atomic_int worked, refused;
static char complaints[WORKERS][ERR_TEXT];

static void *work(void *arg)
{
    char *complaint = arg;
    while (!stop_working) {
        struct err e = round_trip();
        if (err_ok(e)) worked++;
        else refused++;
        /* While the token comes back a refusal is right; damage never is. */
        if (err_ok(e) || e.code == ERR_TOKEN_DOWN || e.code == ERR_BUSY) continue;
        snprintf(complaint, ERR_TEXT, "%s", err_text(e));
        return complaint;
    }
    return NULL;
}

static void workers_start(pthread_t threads[WORKERS])
{
    stop_working = false;
    worked = refused = 0;
    for (int i = 0; i < WORKERS; i++) pthread_create(&threads[i], NULL, work, complaints[i]);
}

static const char *workers_stop(pthread_t threads[WORKERS])
{
    const char *complaint = NULL;
    stop_working = true;
    for (int i = 0; i < WORKERS; i++) {
        void *heard = NULL;
        pthread_join(threads[i], &heard);
        if (heard) complaint = heard;
    }
    return complaint;
}

static void await_work(int more)
{
    int before = worked;
    while (worked < before + more) sched_yield();
}

static void test_threads__sessions_dropped_again_and_again(void **state)
{
    pthread_t threads[WORKERS];
    open_faults();
    keeper_start();
    workers_start(threads);
    for (int i = 0; i < 6; i++) {
        await_work(3 * WORKERS);
        drop_all();
    }
    await_work(3 * WORKERS);
    const char *complaint = workers_stop(threads);
    if (complaint) fail_msg("%s", complaint);
    await_state(P11_UP);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Initialize"), 0);
    assert_true((uint64_t) softhsm_fault_count(&hsm, "C_Login") == status().taken[P11_STEP_LOGIN]);
    assert_in_range(status().taken[P11_STEP_LOGIN], 1, 6);
}

/* Whoever meets it, it is initialised again once a round. */
static void test_threads__one_restart_for_all(void **state)
{
    pthread_t threads[WORKERS];
    open_faults();
    keeper_start();
    workers_start(threads);
    await_work(WORKERS);
    softhsm_fault(&hsm, "C_Decrypt rv=0x190\nC_UnwrapKey rv=0x190");
    await_state(P11_WAITING);
    int before = refused;
    while (refused < before + WORKERS) sched_yield();
    softhsm_fault(&hsm, "");
    p11_hurry(token);
    await_work(WORKERS);
    const char *complaint = workers_stop(threads);
    if (complaint) fail_msg("%s", complaint);
    await_state(P11_UP);
    assert_int_equal(softhsm_fault_count(&hsm, "C_Initialize"), status().taken[P11_STEP_RESTART]);
    assert_in_range(status().taken[P11_STEP_RESTART], 2, 3);
    assert_int_equal(kept.entered[P11_RECOVERING], 1);
}

static void test_threads__recovery_under_load(void **state)
{
    pthread_t threads[WORKERS];
    const char *complaint = NULL;
    workers_start(threads);
    for (int i = 0; i < 5; i++) {
        await_work(10);
        if (!err_ok(p11_recover(token))) complaint = "recovery failed";
    }
    const char *heard = workers_stop(threads);
    if (complaint || heard) fail_msg("%s", complaint ? complaint : heard);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, token_with_kek, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_recover__after_the_module_lost_all),
        CASE(test_recover__token_away_then_back),
        CASE(test_recover__another_token_in_its_place),
        CASE(test_recover__slots_were_renumbered),
        CASE(test_recover__pin_no_longer_right),
        CASE(test_recover__a_corrected_pin_is_read),
        CASE(test_recover__locked_token_is_asked_once),
        CASE(test_recover__tells_what_the_token_says),
        CASE(test_keeper__lost_login),
        CASE(test_keeper__relapses),
        CASE(test_session__expired_one_is_replaced),
        CASE(test_pool__forgotten_sessions_go_together),
        CASE(test_keeper__finalized_by_another),
        CASE(test_keeper__unplugged),
        CASE(test_keeper__stops_for_a_person),
        CASE(test_keeper__tampered_item),
        cmocka_unit_test_setup_teardown(test_keeper__without_a_key, token_bare, end),
        CASE(test_keeper__without_a_canary_that_opens),
        CASE(test_keeper__key_pairs_come_back),
        CASE(test_create__looks_before_it_repeats),
        CASE(test_create__unseen_is_not_full),
        CASE(test_destroy__unseen_is_not_gone),
        CASE(test_scan__login_lost_in_mid_scan),
        CASE(test_epoch__comes_back),
        CASE(test_threads__sessions_dropped_again_and_again),
        CASE(test_threads__one_restart_for_all),
        CASE(test_threads__recovery_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
