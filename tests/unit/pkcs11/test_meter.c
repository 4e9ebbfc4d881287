#include "tests/lib/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "pkcs11/meter.h"
#include "pkcs11/pace.h"
#include "pkcs11/watch.h"

/* Two modules that do nothing but answer. */
static CK_RV first_decrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_n, CK_BYTE *out, CK_ULONG *out_n)
{
    return s == 7 && in_n == 3 && *out_n == 5 ? CKR_OK : CKR_ARGUMENTS_BAD;
}
static CK_RV second_decrypt(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_n, CK_BYTE *out, CK_ULONG *out_n)
{
    return CKR_DATA_INVALID;
}
static CK_RV find(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *o, CK_ULONG max, CK_ULONG *n)
{
    return CKR_DEVICE_ERROR;
}
static CK_RV info(CK_INFO *i)
{
    return CKR_GENERAL_ERROR;
}

static CK_FUNCTION_LIST first = {.version = {2, 40}, .C_Decrypt = first_decrypt, .C_FindObjects = find,
                                 .C_GetInfo = info};
static CK_FUNCTION_LIST second = {.version = {2, 40}, .C_Decrypt = second_decrypt};

static uint64_t calls(enum watch_kind kind)
{
    struct watch_stats stats;
    uint64_t n = 0;
    watch_stats(&stats);
    for (unsigned i = 0; i < WATCH_BUCKETS; i++) n += stats.took[kind].buckets[i];
    return n;
}

static CK_RV decrypt(CK_FUNCTION_LIST *fn)
{
    CK_BYTE in[3] = {0}, out[5];
    CK_ULONG n = sizeof out;
    return fn->C_Decrypt(7, in, sizeof in, out, &n);
}

static void test_meter_wrap__forwards_and_counts(void **state)
{
    CK_FUNCTION_LIST *fn = meter_wrap(&first);
    uint64_t crypto = calls(WATCH_CRYPTO), object = calls(WATCH_OBJECT);
    unsigned paced = token_pace.count;
    assert_ptr_not_equal(fn, &first);
    assert_int_equal(fn->version.minor, 40);
    assert_int_equal(decrypt(fn), CKR_OK);
    assert_int_equal(calls(WATCH_CRYPTO), crypto + 1);
    assert_int_equal(token_pace.count, paced + 1);
    assert_int_equal(fn->C_FindObjects(1, NULL, 0, NULL), CKR_DEVICE_ERROR);
    assert_int_equal(calls(WATCH_OBJECT), object + 1);
    assert_int_equal(token_pace.count, paced + 1); /* cryptography alone tells the pace */
    assert_int_equal(fn->C_GetInfo(NULL), CKR_GENERAL_ERROR);
    assert_int_equal(calls(WATCH_OBJECT), object + 2);
    assert_ptr_equal(meter_wrap(&first), fn);
    meter_unwrap(&first);
}

static void test_meter_wrap__a_second_module_goes_straight(void **state)
{
    CK_FUNCTION_LIST *fn = meter_wrap(&first);
    assert_ptr_equal(meter_wrap(&second), &second);
    meter_unwrap(&second); /* was not metered: nothing ends */
    assert_ptr_equal(meter_wrap(&first), fn);
    meter_unwrap(&first);
    fn = meter_wrap(&second); /* now it is the only one */
    assert_ptr_not_equal(fn, &second);
    assert_int_equal(decrypt(fn), CKR_DATA_INVALID);
    meter_unwrap(&second);
}

/* ---- one at a time ---------------------------------------------------------------------- */

static atomic_int inside, most;

/* Stays until another is in it too, or for a while: nobody comes when calls exclude each other. */
static CK_RV crowded(CK_SESSION_HANDLE s, CK_BYTE *in, CK_ULONG in_n, CK_BYTE *out, CK_ULONG *out_n)
{
    int n = ++inside;
    for (int i = 0; i < 1000 || !s; i++) {
        if (n > most) most = n;
        if (most > 1) break;
        sched_yield();
    }
    inside--;
    return CKR_OK;
}

static CK_RV crowded_close(CK_SESSION_HANDLE s)
{
    return crowded(s, NULL, 0, NULL, NULL);
}

static CK_FUNCTION_LIST third = {.version = {2, 40}, .C_Decrypt = crowded, .C_CloseSession = crowded_close};
static CK_SESSION_HANDLE patient; /* 0: stays until another comes */

static void *decrypt_on(void *fn)
{
    CK_ULONG n = 0;
    for (int i = 0; i < 50; i++) ((CK_FUNCTION_LIST *) fn)->C_Decrypt(patient, NULL, 0, NULL, &n);
    return NULL;
}

static int most_together(CK_FUNCTION_LIST *fn)
{
    pthread_t other;
    most = 0;
    assert_int_equal(pthread_create(&other, NULL, decrypt_on, fn), 0);
    for (int i = 0; i < 50; i++) fn->C_CloseSession(patient);
    pthread_join(other, NULL);
    return most;
}

static void test_meter_serialize__until_unwrapped(void **state)
{
    CK_FUNCTION_LIST *fn = meter_wrap(&third);
    meter_serialize();
    patient = 1;
    assert_int_equal(most_together(fn), 1);
    meter_unwrap(&third);
    fn = meter_wrap(&third);
    patient = 0;
    assert_int_equal(most_together(fn), 2);
    meter_unwrap(&third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meter_wrap__forwards_and_counts),
        cmocka_unit_test(test_meter_wrap__a_second_module_goes_straight),
        cmocka_unit_test(test_meter_serialize__until_unwrapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
