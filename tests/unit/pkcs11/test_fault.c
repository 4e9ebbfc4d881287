/* The fault module's rules and powers, each seen to work on a real SoftHSM token. */
#include "tests/unit/pkcs11/faulty.h"

#include <pthread.h>
#include <unistd.h>

/* ---- rules -------------------------------------------------------------------------------- */

static CK_RV ask(void)
{
    CK_SESSION_INFO info;
    return fn->C_GetSessionInfo(session, &info);
}

static void test_rv__for_the_calls_that_it_names(void **state)
{
    rules("C_GetSessionInfo rv=0x30 after=2 count=1");
    static const CK_RV WANT[] = {CKR_OK, CKR_OK, CKR_DEVICE_ERROR, CKR_OK, CKR_OK};
    for (size_t i = 0; i < COUNT_OF(WANT); i++) assert_rv(ask(), WANT[i]);
    rules("C_GetSessionInfo rv=0x5\nC_GetSessionInfo rv=0x6"); /* the first has the word */
    for (int i = 0; i < 3; i++) assert_rv(ask(), CKR_GENERAL_ERROR);
    rules("* rv=0x54 count=2");
    assert_rv(ask(), CKR_FUNCTION_NOT_SUPPORTED);
    assert_rv(fn->C_FindObjectsFinal(session), CKR_FUNCTION_NOT_SUPPORTED);
    assert_rv(ask(), CKR_OK);
}

static void test_done__the_token_did_it_and_the_answer_was_lost(void **state)
{
    CK_OBJECT_HANDLE o[FOUND_MAX] = {0};
    CK_ULONG n = 0;
    rules("C_CreateObject rv=0x30");
    assert_rv(create_data("a", span_str("x"), yes, o), CKR_DEVICE_ERROR);
    assert_rv(find_data("a", o, &n), CKR_OK);
    assert_int_equal(n, 0);
    rules("C_CreateObject rv=0x30 done");
    assert_rv(create_data("a", span_str("x"), yes, o), CKR_DEVICE_ERROR);
    assert_rv(find_data("a", o, &n), CKR_OK);
    assert_int_equal(n, 1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

static void test_delay__takes_at_least_so_long(void **state)
{
    rules("C_GetSessionInfo delay_us=20000 count=1");
    uint64_t before = now_ns();
    assert_rv(ask(), CKR_OK);
    assert_true(now_ns() - before >= 20000000u);
}

static void *ask_and_tell(void *arg)
{
    *(CK_RV *) arg = ask();
    return NULL;
}

static void test_hang__until_the_rules_change(void **state)
{
    CK_RV rv = CKR_CANCEL;
    pthread_t thread;
    rules("C_GetSessionInfo hang");
    softhsm_fault_clear_log(&hsm);
    pthread_create(&thread, NULL, ask_and_tell, &rv);
    while (softhsm_fault_count(&hsm, "C_GetSessionInfo") < 1) sched_yield();
    assert_int_equal(pthread_tryjoin_np(thread, NULL), EBUSY);
    assert_rv(fn->C_FindObjectsFinal(session), CKR_OPERATION_NOT_INITIALIZED); /* others go on */
    rules("");
    pthread_join(thread, NULL);
    assert_rv(rv, CKR_OK);
}

/* A file that was replaced twice may have the inode of the one before. */
static void test_hang__until_other_rules_have_the_same_inode(void **state)
{
    CK_RV rv = CKR_CANCEL;
    pthread_t thread;
    rules("C_GetSessionInfo hang");
    softhsm_fault_clear_log(&hsm);
    pthread_create(&thread, NULL, ask_and_tell, &rv);
    while (softhsm_fault_count(&hsm, "C_GetSessionInfo") < 1) sched_yield();
    assert_int_equal(truncate(hsm.control, 0), 0); /* no rules */
    pthread_join(thread, NULL);
    assert_rv(rv, CKR_OK);
}

static void test_short__lengths_are_too_small(void **state)
{
    CK_OBJECT_HANDLE o = 0, found[FOUND_MAX];
    CK_ULONG n = 0;
    char value[8];
    assert_rv(create_data("short", span_str("12345678"), yes, &o), CKR_OK);
    CK_ATTRIBUTE t = {CKA_VALUE, value, sizeof value};
    rules("C_GetAttributeValue short=3 count=1\nC_FindObjects short=1 count=1");
    assert_rv(fn->C_GetAttributeValue(session, o, &t, 1), CKR_OK);
    assert_int_equal(t.ulValueLen, 5);
    assert_rv(find_data("short", found, &n), CKR_OK);
    assert_int_equal(n, 0);
    assert_rv(find_data("short", found, &n), CKR_OK);
    assert_int_equal(n, 1);
}

static void test_flip__attributes_read_back_otherwise(void **state)
{
    CK_BBOOL sensitive = no, private = no;
    CK_OBJECT_HANDLE key = make_key();
    CK_ATTRIBUTE t[] = {VALUE(CKA_SENSITIVE, sensitive), VALUE(CKA_PRIVATE, private)};
    rules("C_GetAttributeValue flip=0x103 count=1");
    assert_rv(fn->C_GetAttributeValue(session, key, t, 2), CKR_OK);
    assert_int_equal(sensitive, CK_FALSE);
    assert_int_equal(private, CK_TRUE);
    assert_rv(fn->C_GetAttributeValue(session, key, t, 2), CKR_OK);
    assert_int_equal(sensitive, CK_TRUE);
}

static void test_count__calls_by_function(void **state)
{
    char path[320], text[400], line[128];
    snprintf(path, sizeof path, "%s/counts of calls", hsm.dir);
    snprintf(text, sizeof text, "count %s", path);
    rules(text);
    for (int i = 0; i < 12; i++) ask();
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    int lines = 0, found = 0;
    for (; fgets(line, sizeof line, f); lines++) {
        char name[32];
        unsigned long n = 0;
        assert_int_equal(sscanf(line, "%31s %lu", name, &n), 2);
        bool sessions = strcmp(name, "sessions") == 0, asked = strcmp(name, "C_GetSessionInfo") == 0;
        bool together = strcmp(name, "together") == 0;
        assert_int_equal(n, asked ? 12 : sessions || together ? 1 : 0);
        found += asked + sessions;
    }
    fclose(f);
    assert_int_equal(found, 2);
    assert_int_equal(lines, 67 + 2); /* every function but C_GetFunctionList, sessions, together */
    assert_int_equal(softhsm_fault_count(&hsm, "C_GetSessionInfo"), 12); /* the log says the same */
}

/* ---- sessions and login ------------------------------------------------------------------- */

static void test_drop__the_session_of_the_nth_call(void **state)
{
    CK_SESSION_HANDLE other = 0;
    CK_SESSION_INFO info;
    assert_rv(open_session(&other), CKR_OK);
    rules("C_GetSessionInfo drop after=1 count=1");
    assert_rv(ask(), CKR_OK);
    assert_rv(ask(), CKR_SESSION_HANDLE_INVALID);
    assert_rv(fn->C_CloseSession(session), CKR_SESSION_HANDLE_INVALID);
    assert_rv(fn->C_GetSessionInfo(other, &info), CKR_OK);
    assert_int_equal(info.state, CKS_RW_USER_FUNCTIONS);
}

static void test_sessions_drop__all_at_once_and_the_login_too(void **state)
{
    CK_SESSION_INFO info;
    rules("sessions drop");
    assert_rv(ask(), CKR_SESSION_HANDLE_INVALID);
    assert_rv(open_session(&session), CKR_OK); /* once only */
    assert_rv(fn->C_GetSessionInfo(session, &info), CKR_OK);
    assert_int_equal(info.state, CKS_RW_PUBLIC_SESSION);
    assert_rv(login_with(SOFTHSM_PIN), CKR_OK);
    rules("C_GetSessionInfo drop_all");
    assert_rv(ask(), CKR_SESSION_HANDLE_INVALID);
}

static void test_login_forget__keys_go_and_a_login_brings_them_back(void **state)
{
    CK_MECHANISM m = {.mechanism = CKM_AES_KEY_GEN};
    CK_OBJECT_HANDLE key = make_key(), other = 0;
    CK_SESSION_INFO info;
    CK_ULONG size = 0;
    rules("login forget");
    assert_rv(fn->C_GetObjectSize(session, key, &size), CKR_OBJECT_HANDLE_INVALID);
    assert_rv(fn->C_GetSessionInfo(session, &info), CKR_OK);
    assert_int_equal(info.state, CKS_RW_PUBLIC_SESSION);
    assert_rv(login_with(SOFTHSM_PIN), CKR_OK);
    make_key();
    CK_ATTRIBUTE t[] = {VALUE(CKA_PRIVATE, yes), VALUE(CKA_TOKEN, no)};
    rules("C_GenerateKey forget count=1");
    assert_int_not_equal(fn->C_GenerateKey(session, &m, t, 2, &other), CKR_OK);
    assert_rv(login_with(SOFTHSM_PIN), CKR_OK);
    make_key();
}

static void test_sessions_max__counts_what_is_open(void **state)
{
    CK_SESSION_HANDLE more[3] = {0};
    CK_TOKEN_INFO info;
    rules("sessions max=3");
    assert_rv(open_session(&more[0]), CKR_OK);
    assert_rv(open_session(&more[1]), CKR_OK);
    assert_rv(open_session(&more[2]), CKR_SESSION_COUNT);
    assert_rv(fn->C_GetTokenInfo(slot, &info), CKR_OK);
    assert_int_equal(info.ulMaxSessionCount, 3);
    assert_rv(fn->C_CloseSession(more[0]), CKR_OK);
    assert_rv(open_session(&more[2]), CKR_OK);
    assert_rv(fn->C_CloseAllSessions(slot), CKR_OK);
    for (int i = 0; i < 3; i++) assert_rv(open_session(&more[i]), CKR_OK);
    assert_rv(open_session(&session), CKR_SESSION_COUNT);
}

/* ---- the token and its slot --------------------------------------------------------------- */

static void test_unplugged__and_plugged_in_again(void **state)
{
    CK_SLOT_ID list[8];
    CK_ULONG n = COUNT_OF(list);
    CK_TOKEN_INFO info;
    CK_SLOT_INFO slot_info;
    CK_SESSION_HANDLE s;
    rules("token unplugged");
    assert_rv(ask(), CKR_DEVICE_REMOVED);
    assert_rv(open_session(&s), CKR_TOKEN_NOT_PRESENT);
    assert_rv(fn->C_GetTokenInfo(slot, &info), CKR_TOKEN_NOT_PRESENT);
    assert_rv(fn->C_GetSlotInfo(slot, &slot_info), CKR_OK);
    assert_false(slot_info.flags & CKF_TOKEN_PRESENT);
    assert_rv(fn->C_GetSlotList(CK_TRUE, list, &n), CKR_OK);
    assert_int_equal(n, 0);
    rules("");
    assert_rv(ask(), CKR_SESSION_HANDLE_INVALID); /* it is another session that one must open */
    log_in();
    rules("C_GetSessionInfo unplug after=1");
    assert_rv(ask(), CKR_OK);
    assert_rv(ask(), CKR_DEVICE_REMOVED);
    assert_rv(fn->C_FindObjectsFinal(session), CKR_DEVICE_REMOVED);
}

static void test_stale__until_the_module_is_initialised_again(void **state)
{
    CK_SESSION_HANDLE s;
    rules("token stale=0x80000384");
    assert_rv(ask(), 0x80000384);
    assert_rv(open_session(&s), 0x80000384);
    assert_rv(fn->C_Finalize(NULL), CKR_OK);
    initialize();
    log_in();
    assert_rv(ask(), CKR_OK);
}

static void test_finalized__by_another_in_this_process(void **state)
{
    rules("token finalized");
    assert_rv(ask(), CKR_CRYPTOKI_NOT_INITIALIZED);
    initialize();
    log_in();
    rules("C_GetSessionInfo finalize");
    assert_rv(ask(), CKR_CRYPTOKI_NOT_INITIALIZED);
    initialize();
}

static void test_slots_xor__new_numbers(void **state)
{
    CK_SLOT_ID before = slot;
    CK_SESSION_INFO info;
    CK_SESSION_HANDLE s;
    rules("slots xor=0x10000000000");
    assert_rv(open_session(&s), CKR_SLOT_ID_INVALID);
    slot = find_slot();
    assert_int_equal(slot, before ^ 0x10000000000);
    assert_rv(open_session(&s), CKR_OK);
    assert_rv(fn->C_GetSessionInfo(s, &info), CKR_OK);
    assert_int_equal(info.slotID, slot);
}

static void test_slots_rotate__another_token_under_the_number(void **state)
{
    CK_SLOT_ID before = slot;
    CK_TOKEN_INFO info;
    rules("slots rotate=1");
    assert_rv(fn->C_GetTokenInfo(before, &info), CKR_OK);
    assert_false(info.flags & CKF_TOKEN_INITIALIZED);
    slot = find_slot();
    assert_int_not_equal(slot, before);
    assert_rv(open_session(&session), CKR_OK);
    make_key();
}

static void test_tokeninfo__says_what_it_is_told(void **state)
{
    CK_TOKEN_INFO info;
    rules("tokeninfo set=0x40000 clear=0x400 sessions=4");
    assert_rv(fn->C_GetTokenInfo(slot, &info), CKR_OK);
    assert_true(info.flags & CKF_USER_PIN_LOCKED);
    assert_false(info.flags & CKF_TOKEN_INITIALIZED);
    assert_int_equal(info.ulMaxRwSessionCount, 4);
}

/* ---- the PIN ------------------------------------------------------------------------------ */

static CK_FLAGS pin_state(void)
{
    CK_TOKEN_INFO info;
    assert_rv(fn->C_GetTokenInfo(slot, &info), CKR_OK);
    return info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
}

static void test_pin__locks_after_three_and_stays_so(void **state)
{
    rules("pin tries=3");
    assert_rv(fn->C_Logout(session), CKR_OK);
    assert_rv(login_with("wrong"), CKR_PIN_INCORRECT);
    assert_int_equal(pin_state(), CKF_USER_PIN_COUNT_LOW);
    assert_rv(login_with(SOFTHSM_PIN), CKR_OK); /* the right one counts anew */
    assert_int_equal(pin_state(), 0);
    assert_rv(fn->C_Logout(session), CKR_OK);
    assert_rv(login_with("wrong"), CKR_PIN_INCORRECT);
    assert_rv(login_with("wrong"), CKR_PIN_INCORRECT);
    assert_int_equal(pin_state(), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
    rules("pin tries=3 "); /* reading again is no pardon, as a new process is none */
    assert_rv(login_with("wrong"), CKR_PIN_LOCKED);
    assert_int_equal(pin_state(), CKF_USER_PIN_LOCKED);
    assert_rv(login_with(SOFTHSM_PIN), CKR_PIN_LOCKED);
}

static void test_pin__security_officer_unlocks(void **state)
{
    rules("pin tries=1");
    assert_rv(fn->C_Logout(session), CKR_OK);
    assert_rv(login_with("wrong"), CKR_PIN_LOCKED);
    assert_rv(fn->C_Login(session, CKU_SO, (CK_BYTE *) SOFTHSM_SO_PIN, strlen(SOFTHSM_SO_PIN)),
              CKR_OK);
    assert_rv(fn->C_InitPIN(session, (CK_BYTE *) "new pin", 7), CKR_OK);
    assert_rv(fn->C_Logout(session), CKR_OK);
    assert_int_equal(pin_state(), 0);
    assert_rv(login_with("new pin"), CKR_OK);
    assert_rv(fn->C_SetPIN(session, (CK_BYTE *) "wrong", 5, (CK_BYTE *) "12345", 5),
              CKR_PIN_LOCKED); /* a wrong old PIN is a wrong PIN */
}

/* ---- objects ------------------------------------------------------------------------------ */

static void test_objects__what_the_token_refuses(void **state)
{
    static const struct { const char *rule, *label, *value; CK_BBOOL private; CK_RV rv; } ROWS[] = {
        {"objects value_max=4", "a", "1234", CK_TRUE, CKR_OK},
        {"objects value_max=4", "a", "12345", CK_TRUE, CKR_ATTRIBUTE_VALUE_INVALID},
        {"objects value_max=4 rv=0x31", "a", "12345", CK_TRUE, CKR_DEVICE_MEMORY},
        {"objects label_max=2", "ab", "1", CK_TRUE, CKR_OK},
        {"objects label_max=2", "abc", "1", CK_TRUE, CKR_ATTRIBUTE_VALUE_INVALID},
        {"objects no_data", "a", "1", CK_TRUE, CKR_ATTRIBUTE_VALUE_INVALID},
        {"objects no_private", "a", "1", CK_TRUE, CKR_ATTRIBUTE_VALUE_INVALID},
        {"objects no_private", "a", "1", CK_FALSE, CKR_OK},
    };
    CK_OBJECT_HANDLE o = 0;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        rules(ROWS[i].rule);
        assert_rv(create_data(ROWS[i].label, span_str(ROWS[i].value), ROWS[i].private, &o),
                  ROWS[i].rv);
    }
    CK_ATTRIBUTE longer = TEXT(CKA_LABEL, "longer");
    rules("objects label_max=2");
    assert_rv(fn->C_SetAttributeValue(session, o, &longer, 1), CKR_ATTRIBUTE_VALUE_INVALID);
    assert_rv(fn->C_CopyObject(session, o, &longer, 1, &o), CKR_ATTRIBUTE_VALUE_INVALID);
    rules("");
    assert_rv(fn->C_SetAttributeValue(session, o, &longer, 1), CKR_OK);
}

/* ---- GCM ---------------------------------------------------------------------------------- */

#define GCM_TAG 16u
static const char PLAIN[] = "of whom is the IV?";

static CK_GCM_PARAMS gcm_params(CK_BYTE *iv, CK_ULONG len)
{
    static CK_BYTE aad[] = "header";
    return (CK_GCM_PARAMS){.pIv = iv, .ulIvLen = len, .ulIvBits = len * 8, .pAAD = aad,
                           .ulAADLen = sizeof aad, .ulTagBits = GCM_TAG * 8};
}

static CK_ULONG encrypt(CK_OBJECT_HANDLE key, CK_BYTE *iv, CK_ULONG iv_len, CK_BYTE out[128])
{
    CK_GCM_PARAMS params = gcm_params(iv, iv_len);
    CK_MECHANISM m = {CKM_AES_GCM, &params, sizeof params};
    CK_ULONG n = 0, len = 128;
    assert_rv(fn->C_EncryptInit(session, &m, key), CKR_OK);
    assert_rv(fn->C_Encrypt(session, (CK_BYTE *) PLAIN, sizeof PLAIN, NULL, &n), CKR_OK);
    assert_rv(fn->C_Encrypt(session, (CK_BYTE *) PLAIN, sizeof PLAIN, out, &len), CKR_OK);
    assert_int_equal(len, n);
    return len;
}

static CK_RV decrypt(CK_OBJECT_HANDLE key, CK_BYTE *iv, CK_ULONG iv_len, CK_BYTE *in, CK_ULONG n)
{
    CK_GCM_PARAMS params = gcm_params(iv, iv_len);
    CK_MECHANISM m = {CKM_AES_GCM, &params, sizeof params};
    CK_BYTE out[128];
    CK_ULONG len = sizeof out;
    assert_rv(fn->C_DecryptInit(session, &m, key), CKR_OK);
    CK_RV rv = fn->C_Decrypt(session, in, n, out, &len);
    if (rv != CKR_OK) return rv;
    assert_int_equal(len, sizeof PLAIN);
    assert_memory_equal(out, PLAIN, sizeof PLAIN);
    return CKR_OK;
}

static void test_gcm__in_place(void **state)
{
    CK_BYTE iv[12] = {0}, second_iv[12] = {0}, zero[12] = {0}, out[128], second[128];
    CK_OBJECT_HANDLE key = make_key();
    rules("gcm in-place");
    CK_ULONG n = encrypt(key, iv, sizeof iv, out);
    encrypt(key, second_iv, sizeof second_iv, second);
    assert_int_equal(n, sizeof PLAIN + GCM_TAG);
    assert_memory_not_equal(iv, zero, sizeof zero);
    assert_memory_not_equal(iv, second_iv, sizeof iv);
    assert_rv(decrypt(key, iv, sizeof iv, out, n), CKR_OK);
    assert_int_not_equal(decrypt(key, second_iv, sizeof iv, out, n), CKR_OK);
    CK_GCM_PARAMS params = gcm_params(iv, sizeof iv); /* not zeroed */
    CK_MECHANISM m = {CKM_AES_GCM, &params, sizeof params};
    assert_rv(fn->C_EncryptInit(session, &m, key), CKR_MECHANISM_PARAM_INVALID);
}

/* The IV is where the token puts it, and a plain SoftHSM opens with it. */
static void check_carried(const char *rule, CK_ULONG iv_len, bool behind)
{
    CK_BYTE ours[12] = "mine, unused", out[128], second[128];
    CK_OBJECT_HANDLE key = make_key();
    rules(rule);
    CK_ULONG n = encrypt(key, ours, sizeof ours, out);
    encrypt(key, ours, sizeof ours, second);
    assert_int_equal(n, sizeof PLAIN + GCM_TAG + iv_len);
    assert_memory_not_equal(out, second, n); /* two IVs, though we gave one */
    assert_rv(decrypt(key, ours, sizeof ours, out, n), CKR_OK);
    out[behind ? n - 1 : 0] ^= 1;
    assert_int_not_equal(decrypt(key, ours, sizeof ours, out, n), CKR_OK);
    out[behind ? n - 1 : 0] ^= 1;
    assert_rv(decrypt(key, ours, sizeof ours, out, iv_len), CKR_ENCRYPTED_DATA_LEN_RANGE);
    rules("");
    CK_BYTE *iv = behind ? out + n - iv_len : out, *sealed = behind ? out : out + iv_len;
    assert_rv(decrypt(key, iv, iv_len, sealed, n - iv_len), CKR_OK);
}

static void test_gcm__appended(void **state)
{
    check_carried("gcm appended", 16, true);
}

static void test_gcm__prepended(void **state)
{
    check_carried("gcm prepended", 12, false);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, faulty_start, faulty_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_rv__for_the_calls_that_it_names),
        CASE(test_done__the_token_did_it_and_the_answer_was_lost),
        CASE(test_delay__takes_at_least_so_long),
        CASE(test_hang__until_the_rules_change),
        CASE(test_hang__until_other_rules_have_the_same_inode),
        CASE(test_short__lengths_are_too_small),
        CASE(test_flip__attributes_read_back_otherwise),
        CASE(test_count__calls_by_function),
        CASE(test_drop__the_session_of_the_nth_call),
        CASE(test_sessions_drop__all_at_once_and_the_login_too),
        CASE(test_login_forget__keys_go_and_a_login_brings_them_back),
        CASE(test_sessions_max__counts_what_is_open),
        CASE(test_unplugged__and_plugged_in_again),
        CASE(test_stale__until_the_module_is_initialised_again),
        CASE(test_finalized__by_another_in_this_process),
        CASE(test_slots_xor__new_numbers),
        CASE(test_slots_rotate__another_token_under_the_number),
        CASE(test_tokeninfo__says_what_it_is_told),
        CASE(test_pin__locks_after_three_and_stays_so),
        CASE(test_pin__security_officer_unlocks),
        CASE(test_objects__what_the_token_refuses),
        CASE(test_gcm__in_place),
        CASE(test_gcm__appended),
        CASE(test_gcm__prepended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
