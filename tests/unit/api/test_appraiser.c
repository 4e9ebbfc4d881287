#include "broker/api/appraiser.h"
#include "broker/attest/default_policy.h"
#include "tests/unit/api/kit.h"

#define HEAD "package policy\n\nimport rego.v1\n\n"
#define SAMPLE                                                                                 \
    "{\"sample\":{\"debug\":false,\"launch_digest\":\"abcde\",\"platform_version\":"           \
    "{\"major\":1,\"minor\":4},\"svn\":\"1\"}}"

static struct {
    struct ear_verdict verdict;
    struct buf text;
    struct store *second;
    struct rego_errors errors, warnings;
    bool unusable;
    int stderr_fd, said_fd;
} t;

static int teardown(void **state)
{
    ear_verdict_done(&t.verdict);
    buf_free(&t.text);
    store_close(TAKE_PTR(t.second));
    memset(&t, 0, sizeof t);
    return kit_teardown(state);
}

#define APPRAISER_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, teardown)

static struct err appraise(const char *device, const char *evidence)
{
    struct attest_appraiser a = appraiser_of(kit.api->appraiser);
    ear_verdict_done(&t.verdict);
    memset(&t.verdict, 0, sizeof t.verdict);
    return a.appraise(a.context, device, span_str(evidence), &t.verdict);
}

static int claim(enum ear_claim c) { return t.verdict.vector.value[c]; }

static struct err set(const char *id, const char *text)
{
    struct attest_upkeep u = appraiser_upkeep(kit.api->appraiser);
    uint64_t version = 0;
    struct attest_policy policy = {.id = id, .text = span_str(text)};
    return u.set_policy(u.context, &policy, &version);
}

static struct err register_values(const char *payload)
{
    struct attest_upkeep u = appraiser_upkeep(kit.api->appraiser);
    struct buf encoded = BUF_INIT;
    b64_add(&encoded, span_str(payload));
    buf_reset(&t.text);
    buf_addf(&t.text, "{\"version\":\"0.1.0\",\"type\":\"sample\",\"payload\":\"%s\"}", buf_str(&encoded));
    buf_free(&encoded);
    return u.register_values(u.context, buf_span(&t.text));
}

/* ---- the policies of ours ------------------------------------------------------------------ */

#define KNOWN                                                                                  \
    "{\"svn\":[\"0\",\"1\"],\"launch_digest\":[\"abcde\"],\"major_version\":1,"                \
    "\"minimum_minor_version\":1}"

static void test_default_cpu__unknown_and_known(void **state)
{
    static const struct { const char *values; int configuration, executables, hardware; const char *status; } rows[] = {
        {"{}", 2, 33, 97, "contraindicated"},
        {KNOWN, 2, 3, 2, "affirming"},
        {"{\"svn\":[\"2\"]}", 2, 3, 97, "contraindicated"},
        {"{\"svn\":[\"1\"],\"minimum_minor_version\":5}", 2, 3, 97, "contraindicated"},
        {"{\"minimum_minor_version\":4,\"launch_digest\":[]}", 2, 33, 2, "warning"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_ok(register_values(rows[i].values));
        assert_ok(appraise("cpu", SAMPLE));
        assert_int_equal(claim(EAR_CONFIGURATION), rows[i].configuration);
        assert_int_equal(claim(EAR_EXECUTABLES), rows[i].executables);
        assert_int_equal(claim(EAR_HARDWARE), rows[i].hardware);
        assert_string_equal(ear_status(&t.verdict.vector), rows[i].status);
    }
    assert_ok(appraise("cpu", "{\"snp\":{}}"));
    assert_int_equal(claim(EAR_CONFIGURATION), 36);
    assert_int_equal(claim(EAR_EXECUTABLES), 33);
    assert_int_equal(claim(EAR_HARDWARE), 97);
    assert_ok(appraise("cpu", "{\"sample\":{\"debug\":true}}"));
    assert_int_equal(claim(EAR_CONFIGURATION), 36);
}

static void test_default_cpu__identifiers(void **state)
{
    assert_ok(appraise("cpu", SAMPLE));
    assert_string_equal(buf_str(&t.verdict.extensions), "\"ear.trustee.identifiers\":{\"validated\":{}}");
    assert_ok(appraise("cpu", "{\"init_data_claims\":{\"agent_policy_claims\":{\"containers\":["
                       "{\"OCI\":{\"Annotations\":{\"io.kubernetes.cri.image-name\":\"a\"}}},"
                       "{\"OCI\":{\"Process\":{\"User\":{\"UID\":7}}}}]}}}"));
    assert_string_equal(buf_str(&t.verdict.extensions), "\"ear.trustee.identifiers\":{\"validated\":"
                        "{\"container_images\":[\"a\"],\"container_uids\":[7]}}");
}

static void test_default_gpu__never_affirming(void **state)
{
    assert_ok(appraise("gpu", "{\"sampledevice\":{\"svn\":\"2\"}}"));
    assert_string_equal(ear_status(&t.verdict.vector), "contraindicated");
    assert_ok(register_values("{\"device_svn\":[\"2\"]}"));
    assert_ok(appraise("gpu", "{\"sampledevice\":{\"svn\":\"2\"}}"));
    assert_int_equal(claim(EAR_HARDWARE), 2);
    assert_string_equal(ear_status(&t.verdict.vector), "warning");
    assert_fails_with(appraise("switch", "{}"), ERR_USAGE, "no attestation policy for a switch");
}

/* ---- what operators write ------------------------------------------------------------------ */

/* The constructs that policies in use are made of: `in`, chains of else with bodies far apart,
 * union_n of parts that may be empty, and a name that no value has. */
static void test_appraise__constructs_in_use(void **state)
{
    assert_ok(register_values("{\"measurements\":[\"m1\",\"m2\"],\"smt\":true,\"abi\":1}"));
    assert_ok(set("default_cpu", HEAD
        "default configuration := 36\n\ndefault executables := 33\n\n"
        "trust_claims := {\"configuration\": configuration, \"executables\": executables}\n\n"
        "executables := 3 if {\n\tinput.snp\n"
        "\tinput.snp.measurement in query_reference_value(\"measurements\")\n}\n\n"
        "configuration := 2 if {\n\tinput.snp\n\tinput.snp.smt == query_reference_value(\"smt\")\n"
        "\tinput.snp.abi == query_reference_value(\"abi\")\n}\n\n"
        "# a comment between\nelse := 3 if {\n\tinput.snp\n\tinput.snp.debug == false\n}\n\n"
        "extensions := [{\"name\": \"e\", \"key\": 1, \"value\": object.union_n([a, b])}]\n\n"
        "a := {\"n\": list} if {\n\tcount(list) > 0\n} else := {}\n\n"
        "list := [x | x := input.snp.list[_]]\n\n"
        "b := {\"none\": query_reference_value(\"nosuch\")}\n"));
    static const struct { const char *evidence; int configuration, executables; const char *extension; } rows[] = {
        {"{\"snp\":{\"measurement\":\"m2\",\"smt\":true,\"abi\":1,\"list\":[1]}}", 2, 3, "\"e\":{\"n\":[1],\"none\":null}"},
        {"{\"snp\":{\"measurement\":\"m3\",\"smt\":false,\"abi\":1,\"debug\":false}}", 3, 33, "\"e\":{\"none\":null}"},
        {"{\"sample\":{}}", 36, 33, "\"e\":{\"none\":null}"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_ok(appraise("cpu", rows[i].evidence));
        assert_int_equal(claim(EAR_CONFIGURATION), rows[i].configuration);
        assert_int_equal(claim(EAR_EXECUTABLES), rows[i].executables);
        assert_string_equal(buf_str(&t.verdict.extensions), rows[i].extension);
    }
}

static void test_appraise__at_the_clocks_time(void **state)
{
    assert_ok(set("default_cpu", HEAD "trust_claims := {\"hardware\": 2} if time.now_ns() == 1795521600000000000\n"));
    clock_test_set(NOON);
    assert_ok(appraise("cpu", "{}"));
    assert_int_equal(claim(EAR_HARDWARE), 2);
    assert_ok(register_values("{\"a\":1}"));
    assert_ok(set("default_cpu", HEAD "trust_claims := {\"hardware\": query_reference_value(\"a\")}\n"));
    assert_ok(appraise("cpu", "{}"));
    clock_test_set(NOON + 366 * 86400LL); /* expired: null is no claim */
    assert_fails_with(appraise("cpu", "{}"), ERR_USAGE, "no integer");
}

static void test_appraise__failures(void **state)
{
    assert_ok(set("default_cpu", HEAD "trust_claims := {\"hardware\": h}\n\nh := 1\n\nh := 2 if input.a\n"));
    assert_fails_with(appraise("cpu", "{\"a\":1}"), ERR_USAGE, "eval_conflict_error");
    assert_ok(appraise("cpu", "{}"));
    assert_fails_with(appraise("cpu", "[]"), ERR_USAGE, "the evidence");
    assert_ok(set("default_cpu", HEAD "trust_claims := {}\n"));
    assert_fails_with(appraise("cpu", "{}"), ERR_USAGE, "claims nothing");
    assert_ok(set("default_cpu", HEAD "other := 1\n"));
    assert_ok(appraise("cpu", "{}"));
    assert_string_equal(ear_status(&t.verdict.vector), "none");
}

/* ---- the store ----------------------------------------------------------------------------- */

static void test_set_policy__only_default_ids_are_asked(void **state)
{
    assert_true(appraiser_uses("default_cpu") && appraiser_uses("default_gpu"));
    assert_false(appraiser_uses("default") || appraiser_uses("other_cpu") || appraiser_uses(""));
    assert_ok(set("other_cpu", HEAD "trust_claims := {\"hardware\": 2}\n"));
    assert_ok(appraise("cpu", SAMPLE));
    assert_int_equal(claim(EAR_HARDWARE), 97);
    kit_open((struct kit_options){0});
    assert_ok(appraise("cpu", SAMPLE));
    assert_int_equal(claim(EAR_HARDWARE), 97);
}

static void test_set_policy__survives_a_restart(void **state)
{
    assert_ok(set("default_cpu", HEAD "trust_claims := {\"hardware\": 2}\n"));
    assert_ok(register_values("{\"a\":1}"));
    kit_open((struct kit_options){0});
    assert_ok(appraise("cpu", SAMPLE));
    assert_int_equal(claim(EAR_HARDWARE), 2);
    buf_reset(&t.text);
    assert_ok(appraiser_list_values(kit.api->appraiser, &t.text));
    assert_non_null(strstr(buf_str(&t.text), "\"name\":\"a\",\"value\":1"));
}

static void test_set_policy__number(void **state)
{
    char id[32];
    for (unsigned i = 0; i < ATTESTATION_POLICIES_MAX; i++) {
        snprintf(id, sizeof id, "p%u", i);
        assert_ok(set(id, HEAD));
    }
    assert_fails_with(set("default_cpu", HEAD), ERR_USAGE, "64 attestation policies already");
    assert_ok(set("p0", HEAD)); /* one of them again is no more */
}

static void test_check_id__rules(void **state)
{
    char id[ATTESTATION_POLICY_ID_MAX + 2];
    static const char *const good[] = {"default_cpu", "default", "a", "-.x"}, *const bad[] = {
        "", "../x", ".", ".a", "a/b", "a b", "\xc3\xa4", "a\n"};
    for (size_t i = 0; i < COUNT(good); i++) assert_ok(appraiser_check_id(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++) assert_fails(appraiser_check_id(bad[i]), ERR_USAGE);
    memset(id, 'i', sizeof id);
    id[ATTESTATION_POLICY_ID_MAX] = '\0';
    assert_ok(appraiser_check_id(id));
    id[ATTESTATION_POLICY_ID_MAX] = 'i';
    id[ATTESTATION_POLICY_ID_MAX + 1] = '\0';
    assert_fails_with(appraiser_check_id(id), ERR_USAGE, "1 to 64");
}

/* What another broker wrote counts as soon as the epoch is looked at. */
static void test_appraise__follows_another_writer(void **state)
{
    struct store_config config = {.token = kit.token, .keep_versions = 1, .keep_policies = 10,
                                  .cache_bytes = STORE_CACHE_DEFAULT, .writable = true};
    static const char policy[] = HEAD "trust_claims := {\"hardware\": query_reference_value(\"a\")}\n";
    uint64_t version = 0;
    assert_ok(register_values("{\"a\":3}"));
    assert_ok(store_open(&config, &t.second));
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = "attestation/default_cpu", .value = span_str(policy)};
    assert_ok(store_put(t.second, &put, &version));
    assert_ok(store_refresh(kit.store));
    assert_ok(appraise("cpu", SAMPLE));
    assert_int_equal(claim(EAR_HARDWARE), 3);
    put = (struct store_put){.kind = ENVELOPE_REFERENCE_VALUE, .name = "all",
                             .value = SPAN_LIT("{\"values\":{\"a\":{\"value\":4,\"expires\":0}}}")};
    assert_ok(store_put(t.second, &put, &version));
    assert_ok(store_refresh(kit.store));
    assert_ok(appraise("cpu", SAMPLE));
    assert_int_equal(claim(EAR_HARDWARE), 4);
    assert_ok(register_values("{\"b\":5}")); /* on top of theirs */
    assert_ok(appraise("cpu", SAMPLE));
    assert_int_equal(claim(EAR_HARDWARE), 4);
}

/* Stored, but of no use: nobody passes, until it is set again. */
static void test_appraise__unusable(void **state)
{
    uint64_t version = 0;
    struct store_put put = {.kind = ENVELOPE_POLICY, .name = "attestation/default_cpu",
                            .value = SPAN_LIT("garbage")};
    assert_ok(store_put(kit.store, &put, &version));
    kit_open((struct kit_options){0});
    assert_fails_with(appraise("cpu", SAMPLE), ERR_DAMAGED, "attestation policy attestation/default_cpu");
    assert_string_equal(appraiser_broken(kit.api->appraiser), "attestation-policy");
    assert_int_equal(ASK("GET", "/readyz"), 503);
    assert_non_null(strstr(response_text(), "attestation-policy-unusable"));
    assert_ok(appraise("gpu", SAMPLE));
    assert_ok(set("default_cpu", HEAD "trust_claims := {\"hardware\": 2}\n"));
    assert_ok(appraise("cpu", SAMPLE));

    put = (struct store_put){.kind = ENVELOPE_REFERENCE_VALUE, .name = "all", .value = SPAN_LIT("[]")};
    assert_ok(store_put(kit.store, &put, &version));
    kit_open((struct kit_options){0});
    assert_fails_with(appraise("cpu", SAMPLE), ERR_DAMAGED, "reference values");
    assert_string_equal(appraiser_broken(kit.api->appraiser), "reference-values");
    assert_fails(appraise("gpu", SAMPLE), ERR_DAMAGED);
    assert_fails(register_values("{\"a\":1}"), ERR_DAMAGED);
    struct attest_upkeep u = appraiser_upkeep(kit.api->appraiser);
    assert_ok(u.register_values(u.context, SPAN_LIT("{\"version\":\"0.1.0\",\"type\":\"sample\","
                                                    "\"payload\":\"e30=\",\"replace\":true}")));
    assert_ok(appraise("cpu", SAMPLE));
    assert_null(appraiser_broken(kit.api->appraiser));
}

/* What is said of it meanwhile, into a file in place of standard error. */
static void listen(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/said", kit.hsm.dir);
    fflush(stderr);
    t.stderr_fd = dup(STDERR_FILENO);
    t.said_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(t.stderr_fd >= 0 && t.said_fd >= 0);
    assert_true(dup2(t.said_fd, STDERR_FILENO) >= 0);
}

static void hush(void)
{
    char text[8192] = "";
    dup2(t.stderr_fd, STDERR_FILENO);
    close(t.stderr_fd);
    t.stderr_fd = 0;
    assert_true(pread(t.said_fd, text, sizeof text - 1, 0) >= 0);
    close(t.said_fd);
    buf_reset(&t.text);
    buf_add_str(&t.text, text);
}

static unsigned said(const char *words)
{
    unsigned n = 0;
    for (const char *at = buf_str(&t.text); (at = strstr(at, words)); at++) n++;
    return n;
}

/* A moment's trouble is nobody's fault, is told once, and ends when it does. */
static void test_appraise__unreadable_for_a_moment(void **state)
{
    struct secret *blocks[2048];
    size_t count = 0;
    assert_ok(set("default_cpu", HEAD "trust_claims := {\"hardware\": 2}\n"));
    assert_ok(register_values("{\"a\":1}"));
    struct store_config config = {.token = kit.token, .keep_versions = 1, .keep_policies = 10,
                                  .cache_bytes = STORE_CACHE_DEFAULT, .writable = true};
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = "a/b/c", .value = SPAN_LIT("x")};
    uint64_t version = 0;
    assert_ok(store_open(&config, &t.second));
    assert_ok(store_put(t.second, &put, &version));
    assert_ok(store_refresh(kit.store)); /* so that what was read is read again */
    listen();
    for (size_t size = 65536; size >= 16; size /= 4)
        while (count < COUNT(blocks) && err_ok(secret_new(size, &blocks[count]))) count++;
    struct err first = appraise("cpu", SAMPLE), again = appraise("cpu", SAMPLE);
    const char *broken = appraiser_broken(kit.api->appraiser);
    while (count) secret_free(blocks[--count]);
    struct err last = appraise("cpu", SAMPLE);
    hush();
    assert_int_equal(first.code, ERR_BUSY);
    assert_int_equal(again.code, ERR_BUSY);
    assert_null(broken);
    assert_int_equal(said("attestation-policy.unusable"), 1);
    assert_int_equal(said("until it is read"), 1);
    assert_ok(last);
    assert_int_equal(claim(EAR_HARDWARE), 2);
}

static void test_upkeep__not_by_a_reader(void **state)
{
    kit_open((struct kit_options){.read_only = true});
    assert_fails(set("default_cpu", HEAD), ERR_READONLY);
    assert_fails(register_values("{\"a\":1}"), ERR_READONLY);
    assert_ok(appraise("cpu", SAMPLE));
}

/* ---- before it is set ---------------------------------------------------------------------- */

static struct err check(const char *text)
{
    return appraiser_check_text(span_str(text), &t.errors, &t.warnings, &t.unusable);
}

static void test_check_text__warnings(void **state)
{
    assert_ok(check(HEAD "trust_claims := {\"hardware\": 2}\n"));
    assert_int_equal(t.warnings.count, 0);
    assert_ok(check(HEAD "trust_claims := {\"hardware\": 2} if input.sample\n")); /* it may be so */
    assert_int_equal(t.warnings.count, 0);
    assert_ok(check(HEAD "trust_claims := {\"nonsense\": 2}\n"));
    assert_int_equal(t.warnings.count, 1);
    assert_true(t.unusable);
    assert_non_null(strstr(t.warnings.items[0].text, "\"nonsense\", which is no claim"));
    assert_ok(check(default_policy("cpu")));
    assert_int_equal(t.warnings.count, 0);
    assert_ok(check(default_policy("gpu")));
    assert_int_equal(t.warnings.count, 0);
    assert_ok(check(HEAD "default allow := false\n")); /* a policy of the other kind */
    assert_false(t.unusable);
    assert_int_equal(t.warnings.count, 1);
    assert_string_equal(t.warnings.items[0].code, "lint_wrong_slot");
    assert_fails_with(check("garbage"), ERR_USAGE, "rego_parse_error");
    assert_true(t.errors.count > 0);
    assert_int_equal(t.warnings.count, 0);
}

/* ---- many at once -------------------------------------------------------------------------- */

static struct {
    pthread_t threads[3];
    _Atomic bool stop;
    _Atomic unsigned done, wrong;
} crowd;

/* Both claims come from one set, so they are always the same. */
static void *appraise_often(void *arg)
{
    struct attest_appraiser a = appraiser_of(kit.api->appraiser);
    while (!crowd.stop) {
        struct ear_verdict v = {0};
        struct err e = a.appraise(a.context, "cpu", SPAN_LIT(SAMPLE), &v);
        crowd.wrong += !err_ok(e) || v.vector.value[EAR_HARDWARE] != v.vector.value[EAR_EXECUTABLES];
        crowd.done++;
        ear_verdict_done(&v);
    }
    return NULL;
}

static void test_appraise__while_values_change(void **state)
{
    char payload[64];
    assert_ok(register_values("{\"a\":2,\"b\":2}"));
    assert_ok(set("default_cpu", HEAD "trust_claims := {\"hardware\": query_reference_value(\"a\"), "
                  "\"executables\": query_reference_value(\"b\")}\n"));
    for (size_t i = 0; i < COUNT(crowd.threads); i++)
        assert_int_equal(pthread_create(&crowd.threads[i], NULL, appraise_often, NULL), 0);
    unsigned failed = 0;
    for (int n = 3; n < 30; n++) {
        snprintf(payload, sizeof payload, "{\"a\":%d,\"b\":%d}", n, n);
        failed += !err_ok(register_values(payload));
    }
    crowd.stop = true;
    for (size_t i = 0; i < COUNT(crowd.threads); i++) pthread_join(crowd.threads[i], NULL);
    assert_int_equal(failed, 0);
    assert_int_equal(crowd.wrong, 0);
    assert_true(crowd.done > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        APPRAISER_TEST(test_default_cpu__unknown_and_known),
        APPRAISER_TEST(test_default_cpu__identifiers),
        APPRAISER_TEST(test_default_gpu__never_affirming),
        APPRAISER_TEST(test_appraise__constructs_in_use),
        APPRAISER_TEST(test_appraise__at_the_clocks_time),
        APPRAISER_TEST(test_appraise__failures),
        APPRAISER_TEST(test_set_policy__only_default_ids_are_asked),
        APPRAISER_TEST(test_set_policy__survives_a_restart),
        APPRAISER_TEST(test_set_policy__number),
        APPRAISER_TEST(test_check_id__rules),
        APPRAISER_TEST(test_appraise__follows_another_writer),
        APPRAISER_TEST(test_appraise__unusable),
        APPRAISER_TEST(test_appraise__unreadable_for_a_moment),
        APPRAISER_TEST(test_upkeep__not_by_a_reader),
        APPRAISER_TEST(test_check_text__warnings),
        APPRAISER_TEST(test_appraise__while_values_change),
    };
    return cmocka_run_group_tests(tests, kit_token, kit_token_end);
}
