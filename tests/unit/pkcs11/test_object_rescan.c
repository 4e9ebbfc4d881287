/* Scanning again for who knows most of what is there. */
#include "tests/unit/pkcs11/token.h"

#include "pkcs11/object.h"

#include <sys/wait.h>
#include <unistd.h>

static struct p11_object create(const char *label)
{
    struct p11_object o = {0};
    assert_ok(p11_object_create(token, label, span_str(label), &o));
    return o;
}

/* ---- who knows ----------------------------------------------------------------------------- */

static struct knowing {
    struct p11_object known[4];
    size_t known_n, asked, met, visited;
    char label[P11_LABEL_MAX]; /* of the last one visited, that is not reserved */
    bool recovers; /* at the last one that is known */
    bool fails;
} k;

static err_t knows(void *arg, struct p11_object o, bool *ret)
{
    k.asked++;
    for (size_t i = 0; i < k.known_n; i++) *ret |= k.known[i].handle == o.handle && k.known[i].epoch == o.epoch;
    if (*ret && ++k.met == k.known_n && k.recovers) assert_ok(p11_recover(token));
    if (k.fails) FAIL(ERR_TOOLARGE, "enough");
    return ERR_OK;
}

static err_t visit(void *arg, const struct p11_seen *seen)
{
    if (strncmp(seen->label, "strongroom:", strlen("strongroom:")) == 0) return ERR_OK;
    assert_span(seen->value, seen->label);
    snprintf(k.label, sizeof k.label, "%s", seen->label);
    k.visited++;
    return ERR_OK;
}

static err_t rescan(void)
{
    const struct p11_rescan again = {.knows = knows, .visit = visit};
    k.asked = k.met = k.visited = 0;
    return p11_object_rescan(token, &again);
}

static void know(struct p11_object o)
{
    k.known[k.known_n++] = o;
}

static int forget(void **state)
{
    k = (struct knowing){0};
    return token_with_kek(state);
}

/* ---- what is read -------------------------------------------------------------------------- */

static void test_object_rescan__known_ones_are_not_read(void **state)
{
    token_through_faults("");
    know(create("a/b/1"));
    know(create("a/b/2"));
    create("a/b/3");
    softhsm_fault_clear_log(&hsm);
    assert_ok(rescan());
    assert_int_equal(k.asked, 4); /* the canary too */
    assert_int_equal(k.visited, 1);
    assert_string_equal(k.label, "a/b/3");
    assert_int_equal(softhsm_fault_count(&hsm, "C_GetAttributeValue"), 2);
}

static void test_object_rescan__one_that_went_is_not_asked_for(void **state)
{
    struct p11_object gone = create("a/b/1");
    know(gone);
    know(create("a/b/2"));
    assert_ok(p11_object_destroy(token, gone));
    assert_ok(rescan());
    assert_int_equal(k.asked, 2);
    assert_int_equal(k.met, 1);
}

static void test_object_rescan__handles_of_another_opening_are_nobodys(void **state)
{
    know(create("a/b/1"));
    assert_ok(p11_recover(token));
    assert_ok(rescan());
    assert_int_equal(k.met, 0);
    assert_int_equal(k.visited, 1);
}

/* A token that may give the number of an object that went to another one. */
static void test_object_rescan__all_are_read_where_handles_do_not_tell(void **state)
{
    know(create("a/b/1"));
    create("a/b/2");
    token->handles_unique = false;
    assert_ok(rescan());
    assert_int_equal(k.asked, 0);
    assert_int_equal(k.visited, 2);
}

static void test_open__handles_tell_of_softhsm_alone(void **state)
{
    static const char *const OTHERS[] = {"", "IBM", "softhsm", "SoftHSM of others", "Soft"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        struct p11_token_info info = {0};
        snprintf(info.module_manufacturer, sizeof info.module_manufacturer, "%s", OTHERS[i]);
        assert_false(p11_handles_unique(&info));
    }
    assert_true(token->handles_unique);
    assert_ok(p11_recover(token));
    assert_true(token->handles_unique);
    token_through_faults(""); /* whatever stands in front of it */
    assert_true(token->handles_unique);
}

/* ---- beside another writer ----------------------------------------------------------------- */

/* Of two labels: when the first is visited, the other's object is replaced as a write does it. */
struct replacing {
    struct p11_object now[2];
    unsigned visited[2], writes;
};

static err_t replace_other(void *arg, const struct p11_seen *seen)
{
    static const char *const LABELS[] = {"a/b/0", "a/b/1"};
    struct replacing *r = arg;
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(seen->label, LABELS[i]) != 0) continue;
        r->visited[i]++;
        if (r->writes == 0) continue;
        r->writes--;
        struct p11_object old = r->now[!i];
        r->now[!i] = create(LABELS[!i]);
        TRY(p11_object_destroy(token, old));
    }
    return ERR_OK;
}

static void test_object_scan__what_is_replaced_meanwhile_is_met(void **state)
{
    for (unsigned writes = 1; writes <= 2; writes++) {
        struct replacing r = {.now = {create("a/b/0"), create("a/b/1")}, .writes = writes};
        assert_ok(p11_object_scan(token, true, replace_other, &r));
        assert_int_equal(r.writes, 0);
        assert_true(r.visited[0] && r.visited[1]);
        assert_ok(p11_object_destroy(token, r.now[0]));
        assert_ok(p11_object_destroy(token, r.now[1]));
    }
}

/* ---- what fails ---------------------------------------------------------------------------- */

static void test_object_rescan__error_of_who_knows(void **state)
{
    know(create("a/b/1"));
    k.fails = true;
    assert_fails(rescan(), ERR_TOOLARGE);
    assert_int_equal(k.asked, 1);
}

/* All that is shown without the login is known: no object is read, and none tells. */
static void test_object_rescan__without_the_login_nothing_is_believed(void **state)
{
    token_through_faults("objects no_private");
    know(create("public"));
    softhsm_fault(&hsm, "");
    token_close();
    assert_ok(token_open_with(softhsm_fault_module(), 0, 64));
    create("a/b/1");
    assert_ok(rescan());
    assert_int_equal(k.visited, 2);
    softhsm_fault(&hsm, "C_FindObjectsInit forget count=1");
    assert_fails(rescan(), ERR_TOKEN_DOWN);
    softhsm_fault(&hsm, "");
}

static void test_object_rescan__opened_again_meanwhile(void **state)
{
    know(create("a/b/1"));
    know(create("a/b/2"));
    k.recovers = true;
    assert_fails(rescan(), ERR_TOKEN_DOWN);
    k.recovers = false;
    assert_ok(rescan());
    assert_int_equal(k.visited, 2);
}

/* ---- what SoftHSM's handles are ------------------------------------------------------------ */

#define TURNS 8u

/* In another process: what has this label is removed, and as much is put in its place. */
static int replace(const char *uri, const char *pin, const char *state_dir)
{
    struct p11_config config = {.module = getenv("REPLACE_MODULE"), .token_uri = uri, .pin_source = pin,
                                .state_dir = state_dir};
    struct p11_object found[TURNS];
    size_t n = 0;
    struct err e = p11_open(&config, &token);
    if (err_ok(e)) e = p11_object_find(token, "a/b/c", found, TURNS, &n);
    for (size_t i = 0; err_ok(e) && i < n; i++) e = p11_object_destroy(token, found[i]);
    for (size_t i = 0; err_ok(e) && i < n; i++) e = p11_object_create(token, "a/b/c", SPAN_LIT("new"), &found[i]);
    token_close();
    if (!err_ok(e)) fprintf(stderr, "replace: %s\n", err_text(e));
    return err_ok(e) ? 0 : 1;
}

static void replace_elsewhere(void)
{
    int status = 0;
    setenv("REPLACE_MODULE", hsm.module, 1);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "test_object_rescan", hsm.uri, hsm.pin_file, hsm.state, (char *) NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool is_new(const struct p11_object *seen, size_t n, struct p11_object o)
{
    for (size_t i = 0; i < n; i++)
        if (seen[i].handle == o.handle) return false;
    return true;
}

/* What a rescan relies on: whoever removes and makes objects, a number is not given twice. */
static void test_object__softhsm_gives_no_handle_twice(void **state)
{
    struct p11_object seen[2 * TURNS + 1], found[TURNS];
    size_t n = 0, found_n = 0;
    for (unsigned i = 0; i < TURNS; i++) {
        struct p11_object o = create("a/b/c");
        assert_true(is_new(seen, n, o));
        seen[n++] = o;
        if (i % 2) assert_ok(p11_object_destroy(token, o));
    }
    replace_elsewhere();
    assert_ok(p11_object_find(token, "a/b/c", found, TURNS, &found_n));
    assert_int_equal(found_n, TURNS / 2);
    for (size_t i = 0; i < found_n; i++) {
        assert_true(is_new(seen, n, found[i]));
        seen[n++] = found[i];
    }
    assert_true(is_new(seen, n, create("a/b/c")));
}

int main(int argc, char **argv)
{
    if (argc == 4) return replace(argv[1], argv[2], argv[3]);
#define TEST(test) cmocka_unit_test_setup_teardown(test, forget, token_gone)
    const struct CMUnitTest tests[] = {
        TEST(test_object_rescan__known_ones_are_not_read),
        TEST(test_object_rescan__one_that_went_is_not_asked_for),
        TEST(test_object_rescan__handles_of_another_opening_are_nobodys),
        TEST(test_object_rescan__all_are_read_where_handles_do_not_tell),
        TEST(test_open__handles_tell_of_softhsm_alone),
        TEST(test_object_scan__what_is_replaced_meanwhile_is_met),
        TEST(test_object_rescan__error_of_who_knows),
        TEST(test_object_rescan__without_the_login_nothing_is_believed),
        TEST(test_object_rescan__opened_again_meanwhile),
        TEST(test_object__softhsm_gives_no_handle_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
