/* release.c is compiled into this program with a spy before policy_decide, so that what a policy is
 * given can be seen as it is given. */
#include "policy/policy.h"

static void spy_decide(const struct policy *p, struct policy_run *run,
                       const struct policy_request *request, struct policy_decision *ret);
#define policy_decide spy_decide
#include "broker/api/release.c"
#undef policy_decide
#include "broker/api/stored.c"

#include "policy/value.h"
#include "tests/unit/api/kit.h"

#include <sched.h>

static struct {
    char plugin[32], path[300], query[300];
    const struct policy_claims *claims;
    int64_t now_ns;
    struct release_policy *policy, *other;
    struct rego_errors errors;
    struct policy_decision decision;
    struct store *second;
    struct secret *blocks[4096];
    size_t block_count;
} spy;

static _Thread_local bool unwatched; /* there is one spy, and many threads in one test */

static void spy_decide(const struct policy *p, struct policy_run *run,
                       const struct policy_request *request, struct policy_decision *ret)
{
    size_t n = 0;
    policy_decide(p, run, request, ret);
    if (unwatched) return;
    snprintf(spy.plugin, sizeof spy.plugin, "%s", request->plugin);
    spy.path[0] = spy.query[0] = '\0';
    for (size_t i = 0; i < request->path_count; i++)
        n += (size_t) snprintf(spy.path + n, sizeof spy.path - n, "%s|", request->path[i]);
    n = 0;
    for (size_t i = 0; i < request->query_count; i++)
        n += (size_t) snprintf(spy.query + n, sizeof spy.query - n, "%s=%s|",
                               request->query[i].name, request->query[i].value);
    spy.claims = request->claims;
    spy.now_ns = request->now_ns;
}

static int teardown(void **state)
{
    while (spy.block_count) secret_free(spy.blocks[--spy.block_count]);
    release_policy_unref(TAKE_PTR(spy.policy));
    release_policy_unref(TAKE_PTR(spy.other));
    store_close(TAKE_PTR(spy.second));
    return kit_teardown(state);
}

#define POLICY_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, teardown)

/* ---- compiling ---------------------------------------------------------------------------- */

static err_t compile(const char *text, struct release_policy **ret)
{
    release_policy_unref(TAKE_PTR(*ret));
    return release_compile(span_str(text), &spy.errors, ret);
}

/* What it says to a guest without claims; the reason is in spy.decision. */
static bool allows(const struct release_policy *p)
{
    static const struct policy_request request = {.plugin = "resource"};
    memset(&spy.decision, 0xAA, sizeof spy.decision);
    release_decide(kit.api->release, p, &request, &spy.decision);
    return spy.decision.allow;
}

static void test_compile__refusals(void **state)
{
    assert_fails_with(compile("package policy\n\nallow if nosuch(1)\n", &spy.policy), ERR_USAGE,
                      "policy.rego:3:10: rego_type_error: undefined function nosuch");
    assert_int_equal(spy.errors.count, 1);
    assert_fails_with(compile("package policy\n# \xff\n", &spy.policy), ERR_USAGE, "UTF-8");
    assert_fails(compile("", &spy.policy), ERR_USAGE);
    assert_null(spy.policy);
}

static void test_compile__digest(void **state)
{
    assert_ok(compile(POLICY_ALLOW_ALL_TEXT, &spy.policy));
    assert_int_equal(spy.errors.count, 0);
    assert_string_equal(release_state(spy.policy), "set");
    /* What sha256sum says of the text. */
    assert_string_equal(release_digest(spy.policy), "25acb27c77924ba2");
    assert_int_equal(release_version(spy.policy), 0); /* it lies nowhere yet */
    assert_true(allows(spy.policy));
    assert_ok(compile(POLICY_DENY_ALL_TEXT, &spy.other));
    assert_string_not_equal(release_digest(spy.other), release_digest(spy.policy));
    assert_false(allows(spy.other));
    assert_string_equal(spy.decision.reason, "allow is false");
    assert_string_equal(release_digest(NULL), "");
}

/* What policy/ leaves to the broker: hashes, time zones, certificates, tokens. */
static void test_compile__with_the_brokers_functions(void **state)
{
    assert_ok(compile("package policy\n\nallow if {\n"
                      "\tcrypto.sha256(\"abc\") == \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9c"
                      "b410ff61f20015ad\"\n"
                      "\ttime.clock([0, \"Europe/Berlin\"]) == [1, 0, 0]\n"
                      "\tnot io.jwt.decode(\"x\")[0]\n}\n", &spy.policy));
    assert_false(allows(spy.policy));
    assert_string_equal(spy.decision.reason, "the policy failed: eval_builtin_error policy.rego:6");
    assert_ok(compile("package policy\n\nallow if {\n"
                      "\tcrypto.sha256(\"abc\") == \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9c"
                      "b410ff61f20015ad\"\n"
                      "\ttime.clock([0, \"Europe/Berlin\"]) == [1, 0, 0]\n}\n", &spy.policy));
    assert_true(allows(spy.policy));
}

/* ---- what is in force --------------------------------------------------------------------- */

static void check_in_force(const char *name, const char *reason)
{
    release_policy_unref(TAKE_PTR(spy.policy));
    spy.policy = release_current(kit.api->release);
    assert_string_equal(release_state(spy.policy), name);
    assert_int_equal(allows(spy.policy), strcmp(reason, "allow is true") == 0);
    assert_string_equal(spy.decision.reason, reason);
    assert_int_equal(spy.decision.error_code == NULL, true);
}

static void test_current__none_denies_all(void **state)
{
    check_in_force("none", "no policy is set");
    assert_string_equal(release_digest(spy.policy), "");
    assert_int_equal(spy.decision.outcome, POLICY_FAILED);
}

static void test_current__survives_a_restart(void **state)
{
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT "# again\n"), 200);
    check_in_force("set", "allow is true");
    assert_int_equal(release_version(spy.policy), 2);
    kit_open((struct kit_options){0});
    check_in_force("set", "allow is true");
    assert_int_equal(release_version(spy.policy), 2);
}

static void test_current__a_reference_outlives_the_change(void **state)
{
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    check_in_force("set", "allow is true");
    assert_int_equal(set_policy(POLICY_DENY_ALL_TEXT), 200);
    assert_true(allows(spy.policy));
    check_in_force("set", "allow is false");
}

/* Two who set it at once: stored as 1 and 2, put in force as 2 and 1. */
static void test_set__the_later_version_stays(void **state)
{
    assert_ok(compile(POLICY_ALLOW_ALL_TEXT, &spy.policy));
    assert_ok(compile(POLICY_DENY_ALL_TEXT, &spy.other));
    release_set_take(kit.api->release, TAKE_PTR(spy.other), 2);
    release_set_take(kit.api->release, TAKE_PTR(spy.policy), 1);
    check_in_force("set", "allow is false");
    assert_ok(compile(POLICY_ALLOW_ALL_TEXT, &spy.other));
    release_set_take(kit.api->release, TAKE_PTR(spy.other), 3);
    check_in_force("set", "allow is true");
}

/* ---- other writers ------------------------------------------------------------------------ */

static void write_elsewhere(enum envelope_kind kind, const char *name, const char *text)
{
    struct store_config config = {.token = kit.token, .keep_versions = 1, .writable = true};
    uint64_t version = 0;
    if (!spy.second) assert_ok(store_open(&config, &spy.second));
    struct store_put put = {.kind = kind, .name = name, .value = span_str(text)};
    assert_ok(store_put(spy.second, &put, &version));
}

static void test_current__follows_another_writer(void **state)
{
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    write_elsewhere(ENVELOPE_POLICY, RELEASE_POLICY_NAME, POLICY_DENY_ALL_TEXT);
    assert_ok(store_refresh(kit.store));
    check_in_force("set", "allow is false");
}

/* Another writer's resource makes it look again, but not compile again. */
static void test_current__the_same_text_stays_compiled(void **state)
{
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    kit_open((struct kit_options){0});
    spy.policy = release_current(kit.api->release);
    write_elsewhere(ENVELOPE_RESOURCE, "a/b/c", "x");
    assert_ok(store_refresh(kit.store));
    spy.other = release_current(kit.api->release);
    assert_ptr_equal(spy.other, spy.policy);
    assert_int_equal(kit.api->release->stored->seen, store_rescans(kit.store));
    write_elsewhere(ENVELOPE_POLICY, RELEASE_POLICY_NAME, POLICY_ALLOW_ALL_TEXT); /* version 2 */
    assert_ok(store_refresh(kit.store));
    check_in_force("set", "allow is true");
    assert_int_equal(release_version(spy.policy), 2);
}

static void test_current__what_another_wrote_does_not_compile(void **state)
{
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    write_elsewhere(ENVELOPE_POLICY, RELEASE_POLICY_NAME, "package policy\nallow if nosuch(1)\n");
    assert_ok(store_refresh(kit.store));
    check_in_force("refused", "the policy does not compile");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    check_in_force("set", "allow is true");
}

static void spend_secret_memory(void)
{
    struct secret *s = NULL;
    for (size_t size = 65536; size >= 16; size /= 4)
        while (spy.block_count < COUNT(spy.blocks) && err_ok(secret_new(size, &s)))
            spy.blocks[spy.block_count++] = s;
    assert_true(spy.block_count < COUNT(spy.blocks));
}

/* A moment's trouble releases nothing, is no denial, and ends when it does. */
static void test_current__unreadable_for_a_moment(void **state)
{
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
    write_elsewhere(ENVELOPE_RESOURCE, "a/b/c", "x");
    assert_ok(store_refresh(kit.store));
    spend_secret_memory();
    check_in_force("unreadable", "the policy cannot be read");
    check_in_force("unreadable", "the policy cannot be read");
    assert_true(release_unread(spy.policy));
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(503, "Unavailable", NULL);
    check_record("release", "error", "the policy cannot be read");
    while (spy.block_count) secret_free(spy.blocks[--spy.block_count]);
    check_in_force("set", "allow is true");
}

/* Flips the last byte of the stored policy. */
static void damage_policy(void)
{
    char label[P11_LABEL_MAX + 1];
    struct buf bytes = BUF_INIT;
    struct p11_object o;
    size_t n = 0;
    label_make(ENVELOPE_POLICY, RELEASE_POLICY_NAME, label);
    assert_ok(p11_object_find(kit.token, label, &o, 1, &n));
    assert_int_equal(n, 1);
    assert_ok(p11_object_read(kit.token, o, &bytes));
    bytes.data[bytes.len - 1] ^= 1;
    assert_ok(p11_object_destroy(kit.token, o));
    assert_ok(p11_object_create(kit.token, label, buf_span(&bytes), &o));
    buf_free(&bytes);
}

static void test_new__damaged_denies_all(void **state)
{
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    damage_policy();
    kit_open((struct kit_options){0});
    check_in_force("damaged", "the policy is damaged");
    assert_true(release_broken(spy.policy));
    put("a/b/c", "value");
    guest_attest();
    guest_get("/kbs/v0/resource/a/b/c");
    check_error(403, "PolicyDeny", "Access denied by policy");
    check_record("release", "deny", "the policy is damaged");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_get("/kbs/v0/resource/a/b/c");
    check_released("value");
}

/* ---- what a policy is given (kbs-api.md 7.1) ---------------------------------------------- */

static void test_decide__input(void **state)
{
    static const struct { const char *target, *plugin, *path, *query; } rows[] = {
        {"/kbs/v0/resource/a/b/c", "resource", "a|b|c|", ""},
        {"/kbs/v0/resource//a/b/c", "resource", "a|b|c|", ""},
        {"/kbs/v0/%72esource/a%2Fb/%63", "resource", "a|b|c|", ""},
        {"/kbs/v0/resource/a/b%252Fc", "resource", "a|b%2Fc|", ""},
        {"/kbs/v0/resource/a/../c", "resource", "a|..|c|", ""},
        {"/kbs/v0/resource///a/b/c", "resource", "||a|b|c|", ""},
        {"/kbs/v0/resource", "resource", "", ""},
        {"/kbs/v0/resource/", "resource", "|", ""},
        {"/kbs/v0/resource/a/b/c?k=v", "resource", "a|b|c|", "k=v|"},
        {"/kbs/v0/resource/a/b/c?k=1&x&k=%32+%26", "resource", "a|b|c|", "k=2 &|x=|"},
        {"/kbs/v0/pkcs11/resource/a/b/c", "pkcs11", "resource|a|b|c|", ""},
        {"/kbs/v0/pkcs11/resource//a/b/c", "pkcs11", "resource||a|b|c|", ""},
        {"/kbs/v0/pkcs11/a/b/c", "pkcs11", "a|b|c|", ""},
        {"/kbs/v0/pkcs11//a/b/c", "pkcs11", "|a|b|c|", ""},
        {"/kbs/v0/pkcs11/resource%2Fa/b/c?k", "pkcs11", "resource|a|b|c|", "k=|"},
        {"/kbs/v0/pkcs11", "pkcs11", "", ""},
    };
    put("a/b/c", "value");
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    guest_attest();
    for (size_t i = 0; i < COUNT(rows); i++) {
        spy.plugin[0] = '\0';
        int64_t before = clock_now_ns();
        guest_get(rows[i].target);
        assert_string_equal(spy.plugin, rows[i].plugin);
        assert_string_equal(spy.path, rows[i].path);
        assert_string_equal(spy.query, rows[i].query);
        assert_non_null(object_get_z(policy_claims_value(spy.claims), "submods"));
        assert_in_range(spy.now_ns, before, clock_now_ns());
    }
}

/* It is asked for guests' calls alone, and only once they are known. */
static void test_decide__not_for_others(void **state)
{
    spy.plugin[0] = '\0';
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    put("a/b/c", "value");
    ASK("GET", "/kbs/v0/resource/a/b/c");
    ASK("GET", "/strongroom/v1/resource/a/b/c", .local = true);
    assert_string_equal(spy.plugin, "");
}

/* ---- many threads --------------------------------------------------------------------------- */

static struct crowd {
    pthread_t threads[3];
    _Atomic bool stop;
    _Atomic unsigned decided, wrong;
} crowd;

/* Whatever is in force at the moment, it decides as its own digest says. */
static void *decide_often(void *arg)
{
    static const struct policy_request request = {.plugin = "resource"};
    struct policy_decision d;
    unwatched = true;
    while (!crowd.stop) {
        struct release_policy *p = release_current(kit.api->release);
        release_decide(kit.api->release, p, &request, &d);
        bool allow_all = strcmp(release_digest(p), "25acb27c77924ba2") == 0;
        crowd.wrong += d.allow != allow_all || strcmp(release_state(p), "set") != 0;
        crowd.decided++;
        release_policy_unref(p);
    }
    return NULL;
}

static void test_decide__while_policies_change(void **state)
{
    struct release *r = kit.api->release;
    assert_int_equal(set_policy(POLICY_ALLOW_ALL_TEXT), 200);
    for (size_t i = 0; i < COUNT(crowd.threads); i++)
        assert_int_equal(pthread_create(&crowd.threads[i], NULL, decide_often, NULL), 0);
    unsigned failed = 0;
    for (uint64_t version = 2; version < 200; version++) {
        const char *text = version % 2 ? POLICY_ALLOW_ALL_TEXT : POLICY_DENY_ALL_TEXT;
        failed += !err_ok(compile(text, &spy.policy));
        release_set_take(r, TAKE_PTR(spy.policy), version);
        pthread_mutex_lock(&r->stored->lock);
        r->stored->certain = version % 8 != 0; /* now and then it is read from the store again */
        pthread_mutex_unlock(&r->stored->lock);
        for (unsigned seen = crowd.decided; crowd.decided < seen + 10;) sched_yield();
    }
    crowd.stop = true;
    for (size_t i = 0; i < COUNT(crowd.threads); i++) pthread_join(crowd.threads[i], NULL);
    assert_int_equal(failed, 0);
    assert_int_equal(crowd.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLICY_TEST(test_compile__refusals),
        POLICY_TEST(test_compile__digest),
        POLICY_TEST(test_compile__with_the_brokers_functions),
        POLICY_TEST(test_current__none_denies_all),
        POLICY_TEST(test_current__survives_a_restart),
        POLICY_TEST(test_current__a_reference_outlives_the_change),
        POLICY_TEST(test_set__the_later_version_stays),
        POLICY_TEST(test_current__follows_another_writer),
        POLICY_TEST(test_current__the_same_text_stays_compiled),
        POLICY_TEST(test_current__what_another_wrote_does_not_compile),
        POLICY_TEST(test_current__unreadable_for_a_moment),
        POLICY_TEST(test_new__damaged_denies_all),
        POLICY_TEST(test_decide__input),
        POLICY_TEST(test_decide__not_for_others),
        POLICY_TEST(test_decide__while_policies_change),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}
