#include "tests/unit/pkcs11/token.h"

#include <pthread.h>

#include "pkcs11/cek_cache.h"

/* Wrapped content keys of the test's own, without envelopes around them. */
struct wrapped { uint8_t bytes[CEK_WRAPPED_MAX]; };

static struct wrapped wrap_new(void)
{
    struct wrapped w;
    struct p11_session s = {0};
    CK_OBJECT_HANDLE cek = 0;
    assert_ok(session_take(token, &s));
    struct cek_op op = {.fn = token->fn, .h = s.h};
    assert_int_equal(cek_generate(&op, CEK_GCM, &cek), CKR_OK);
    assert_int_equal(cek_wrap(&op, ENVELOPE_KW, token->active->handle, cek, w.bytes), CKR_OK);
    assert_int_equal(cek_destroy(&op, cek), CKR_OK);
    session_drop(&s);
    return w;
}

static struct cek_source source_of(const struct wrapped *w)
{
    size_t len = cek_wrapped_len(ENVELOPE_KW);
    return (struct cek_source){.kek = token->active->handle, .generation = 1,
                               .wrapped = {ENVELOPE_KW, CEK_GCM, span_of(w->bytes, len)}};
}

static CK_RV take_in(struct p11_session *s, const struct wrapped *w, struct cek_ref *ret)
{
    struct cek_op op = {.fn = token->fn, .h = s->h};
    struct cek_source from = source_of(w);
    return cek_cache_take(token, &op, &from, ret);
}

static void give_in(struct p11_session *s, struct cek_ref *ref, bool stale)
{
    struct cek_op op = {.fn = token->fn, .h = s->h};
    cek_cache_return(token, &op, ref, stale);
}

static struct cek_cache_stats stats(void)
{
    struct cek_cache_stats s;
    cek_cache_stats(token, &s);
    return s;
}

/* Whether the token still knows the handle as a key that decrypts. */
static bool usable(struct p11_session *s, CK_OBJECT_HANDLE h)
{
    CK_BBOOL decrypt = CK_FALSE;
    CK_ATTRIBUTE a = {CKA_DECRYPT, &decrypt, sizeof decrypt};
    return token->fn->C_GetAttributeValue(s->h, h, &a, 1) == CKR_OK && decrypt;
}

static void with_cache(unsigned max)
{
    token_close();
    token_open(2, max);
}

static void test_take__hit_gives_the_same_handle(void **state)
{
    struct p11_session s = {0};
    struct cek_ref a = {0}, b = {0};
    struct wrapped w = wrap_new();
    assert_ok(session_take(token, &s));
    assert_int_equal(take_in(&s, &w, &a), CKR_OK);
    CK_OBJECT_HANDLE first = a.handle;
    give_in(&s, &a, false);
    assert_int_equal(a.handle, 0);
    assert_int_equal(take_in(&s, &w, &b), CKR_OK);
    assert_int_equal(b.handle, first);
    assert_true(usable(&s, first));
    give_in(&s, &b, false);
    assert_int_equal(stats().hits, 1);
    assert_int_equal(stats().misses, 1);
    assert_int_equal(stats().held, 1);
    session_drop(&s);
}

static void test_take__keys_differ_by_bytes_generation_and_use(void **state)
{
    struct p11_session s = {0};
    struct cek_ref a = {0}, b = {0}, c = {0}, d = {0};
    struct wrapped v = wrap_new(), w = wrap_new();
    assert_ok(session_take(token, &s));
    struct cek_op op = {.fn = token->fn, .h = s.h};
    assert_int_equal(take_in(&s, &v, &a), CKR_OK);
    assert_int_equal(take_in(&s, &w, &b), CKR_OK);
    struct cek_source from = source_of(&v);
    from.generation = 2;
    assert_int_equal(cek_cache_take(token, &op, &from, &c), CKR_OK);
    /* A key for the host must not become the one that decrypts on the token, nor the other way. */
    from.generation = 1;
    from.wrapped.use = CEK_HOST;
    assert_int_equal(cek_cache_take(token, &op, &from, &d), CKR_OK);
    assert_int_not_equal(a.handle, b.handle);
    assert_int_not_equal(a.handle, c.handle);
    assert_int_not_equal(a.handle, d.handle);
    assert_int_equal(stats().held, 4);
    give_in(&s, &d, false);
    give_in(&s, &a, false);
    give_in(&s, &b, false);
    give_in(&s, &c, false);
    session_drop(&s);
}

/* Of eight newcomers to a full cache one gets a place. */
static void test_take__bounded(void **state)
{
    enum { MAX = 4, N = MAX + 16 };
    struct p11_session s = {0};
    with_cache(MAX);
    struct wrapped w[N];
    CK_OBJECT_HANDLE handles[N];
    for (int i = 0; i < N; i++) w[i] = wrap_new();
    assert_ok(session_take(token, &s));
    for (int i = 0; i < N; i++) {
        struct cek_ref r = {0};
        assert_int_equal(take_in(&s, &w[i], &r), CKR_OK);
        assert_true(usable(&s, r.handle));
        assert_true(!r.entry == !(i < MAX || i == MAX + 7 || i == MAX + 15));
        handles[i] = r.handle;
        give_in(&s, &r, false);
        assert_true(stats().held <= MAX);
    }
    assert_int_equal(stats().held, MAX);
    assert_int_equal(stats().max, MAX);
    assert_int_equal(stats().evicted, 2);
    int alive = 0;
    for (int i = 0; i < N; i++) alive += usable(&s, handles[i]);
    assert_int_equal(alive, MAX); /* what was evicted is gone from the token */
    session_drop(&s);
}

/* Where each is asked for in its turn and not all fit, those that fit are found. */
static void test_take__more_in_turn_than_fit(void **state)
{
    enum { MAX = 4, N = 8, ROUNDS = 6 };
    struct p11_session s = {0};
    with_cache(MAX);
    struct wrapped w[N];
    struct cek_ref r = {0};
    for (int i = 0; i < N; i++) w[i] = wrap_new();
    assert_ok(session_take(token, &s));
    for (int i = 0; i < ROUNDS * N; i++) {
        assert_int_equal(take_in(&s, &w[i % N], &r), CKR_OK);
        give_in(&s, &r, false);
    }
    assert_int_equal(stats().hits + stats().misses, ROUNDS * N);
    assert_true(stats().hits >= (ROUNDS - 1) * (MAX - 1));
    session_drop(&s);
}

/* What is asked for again and again gets its place in a full cache of others. */
static void test_take__others_become_hot(void **state)
{
    enum { MAX = 4, ASKED = 8 };
    struct p11_session s = {0};
    with_cache(MAX);
    struct wrapped old[MAX], hot = wrap_new();
    struct cek_ref r = {0};
    for (int i = 0; i < MAX; i++) old[i] = wrap_new();
    assert_ok(session_take(token, &s));
    for (int i = 0; i < MAX; i++) {
        assert_int_equal(take_in(&s, &old[i], &r), CKR_OK);
        give_in(&s, &r, false);
    }
    for (int i = 0; i < ASKED; i++) {
        assert_int_equal(take_in(&s, &hot, &r), CKR_OK);
        assert_true(!r.entry == (i < ASKED - 1));
        give_in(&s, &r, false);
    }
    session_drop(&s);
}

static void test_take__used_ones_stay_longer(void **state)
{
    enum { MAX = 4, N = 20 };
    struct p11_session s = {0};
    with_cache(MAX);
    struct wrapped hot = wrap_new(), cold[N];
    struct cek_ref r = {0};
    for (int i = 0; i < N; i++) cold[i] = wrap_new();
    assert_ok(session_take(token, &s));
    for (int i = 0; i < N; i++) {
        assert_int_equal(take_in(&s, &hot, &r), CKR_OK);
        give_in(&s, &r, false);
        assert_int_equal(take_in(&s, &cold[i], &r), CKR_OK);
        give_in(&s, &r, false);
    }
    assert_int_equal(stats().hits, N - 1); /* never evicted */
    session_drop(&s);
}

static void test_take__everything_in_use(void **state)
{
    struct p11_session s = {0};
    with_cache(1);
    struct wrapped v = wrap_new(), w = wrap_new();
    struct cek_ref a = {0}, b = {0}, again = {0};
    assert_ok(session_take(token, &s));
    assert_int_equal(take_in(&s, &v, &a), CKR_OK);
    assert_int_equal(take_in(&s, &w, &b), CKR_OK);
    assert_non_null(a.entry);
    assert_null(b.entry); /* a key of the worker's own session */
    assert_true(usable(&s, a.handle) && usable(&s, b.handle));
    assert_int_equal(take_in(&s, &v, &again), CKR_OK);
    assert_int_equal(again.handle, a.handle);
    CK_OBJECT_HANDLE own = b.handle;
    give_in(&s, &b, false);
    assert_false(usable(&s, own));
    give_in(&s, &a, false);
    assert_true(usable(&s, again.handle));
    give_in(&s, &again, false);
    session_drop(&s);
}

static void test_return__stale_is_dropped_when_nobody_uses_it(void **state)
{
    struct p11_session s = {0};
    struct wrapped w = wrap_new();
    struct cek_ref a = {0}, b = {0}, c = {0};
    assert_ok(session_take(token, &s));
    assert_int_equal(take_in(&s, &w, &a), CKR_OK);
    assert_int_equal(take_in(&s, &w, &b), CKR_OK);
    CK_OBJECT_HANDLE old = a.handle;
    give_in(&s, &a, true);
    assert_int_equal(stats().held, 0);
    assert_true(usable(&s, old)); /* b still has it */
    assert_int_equal(take_in(&s, &w, &c), CKR_OK);
    assert_int_not_equal(c.handle, old);
    give_in(&s, &b, true); /* both users found it stale */
    assert_false(usable(&s, old));
    assert_int_equal(stats().held, 1);
    give_in(&s, &c, false);
    session_drop(&s);
}

/* Its place is another's then. */
static void test_return__stale_ones_do_not_use_the_cache_up(void **state)
{
    struct p11_session s = {0};
    with_cache(1);
    struct wrapped w = wrap_new();
    assert_ok(session_take(token, &s));
    for (int i = 0; i < 3; i++) {
        struct cek_ref r = {0};
        assert_int_equal(take_in(&s, &w, &r), CKR_OK);
        assert_non_null(r.entry);
        give_in(&s, &r, true);
    }
    session_drop(&s);
}

static void test_take__without_a_cache(void **state)
{
    struct p11_session s = {0};
    with_cache(0);
    struct wrapped w = wrap_new();
    struct cek_ref a = {0};
    assert_null(token->cek_cache);
    assert_ok(session_take(token, &s));
    assert_int_equal(take_in(&s, &w, &a), CKR_OK);
    assert_null(a.entry);
    CK_OBJECT_HANDLE h = a.handle;
    give_in(&s, &a, false);
    assert_false(usable(&s, h));
    assert_int_equal(stats().max, 0);
    session_drop(&s);
}

static void test_take__bad_key_is_not_kept(void **state)
{
    struct p11_session s = {0};
    struct wrapped w = wrap_new();
    struct cek_ref a = {0};
    w.bytes[5] ^= 1;
    assert_ok(session_take(token, &s));
    assert_int_not_equal(take_in(&s, &w, &a), CKR_OK);
    assert_int_equal(a.handle, 0);
    assert_int_equal(stats().held, 0);
    session_drop(&s);
}

/* Somebody (the token) closed the session that holds the keys. */
static void test_take__key_session_closed(void **state)
{
    struct buf a = sealed("a/b/c", SPAN_LIT("first")), b = sealed("a/b/c", SPAN_LIT("second"));
    assert_opens(&a, SPAN_LIT("first"));
    assert_int_equal(stats().held, 1);
    assert_int_equal(token->fn->C_CloseSession(token->key_session), CKR_OK);
    assert_opens(&a, SPAN_LIT("first"));  /* its handle is stale: unwrapped again */
    assert_opens(&b, SPAN_LIT("second")); /* and a new session was opened */
    assert_int_equal(stats().held, 2);
    buf_free(&a);
    buf_free(&b);
}

static CK_FUNCTION_LIST spied; /* the token's, with one function of ours in front */
static CK_RV (*real_destroy)(CK_SESSION_HANDLE, CK_OBJECT_HANDLE);
static CK_OBJECT_HANDLE destroyed[8];
static size_t destroyed_count;

static CK_RV destroy_and_tell(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE object)
{
    destroyed[destroyed_count++ % 8] = object;
    return real_destroy(h, object);
}

/* The session of the keys is closed, and its handles with it: a token may give them to other objects at once, even
 * to those that are stored. So a key that was in use meanwhile is destroyed by nobody. */
static void test_return__handle_of_a_closed_session(void **state)
{
    struct p11_session s = {0};
    struct wrapped v = wrap_new(), w = wrap_new();
    struct cek_ref used = {0}, twice = {0}, next = {0};
    assert_ok(session_take(token, &s));
    struct cek_op op = {.fn = token->fn, .h = s.h};
    assert_int_equal(take_in(&s, &v, &used), CKR_OK);
    assert_int_equal(take_in(&s, &v, &twice), CKR_OK);
    CK_OBJECT_HANDLE old = used.handle;
    assert_int_equal(token->fn->C_CloseSession(token->key_session), CKR_OK);
    assert_int_equal(take_in(&s, &w, &next), CKR_OK); /* opens another one */
    CK_FUNCTION_LIST *real = token->fn;
    spied = *real;
    real_destroy = real->C_DestroyObject;
    spied.C_DestroyObject = destroy_and_tell;
    destroyed_count = 0;
    token->fn = &spied;
    bool there = cek_cache_return(token, &op, &used, false) | cek_cache_return(token, &op, &twice, true);
    bool next_there = cek_cache_return(token, &op, &next, true);
    token->fn = real;
    assert_false(there);
    assert_true(next_there);
    assert_int_equal(destroyed_count, 1); /* the next one, stale as it was said to be */
    assert_int_not_equal(destroyed[0], old);
    assert_int_equal(stats().held, 0);
    session_drop(&s);
}

/* Nor is one that nobody used then; and a slow token is not asked for each of thousands. */
static void test_take__keys_of_a_closed_session(void **state)
{
    enum { N = 8 };
    struct p11_session s = {0};
    struct wrapped w = wrap_new();
    assert_ok(session_take(token, &s));
    for (int i = 0; i < N; i++) {
        struct wrapped v = wrap_new();
        struct cek_ref r = {0};
        assert_int_equal(take_in(&s, &v, &r), CKR_OK);
        give_in(&s, &r, false);
    }
    assert_int_equal(stats().held, N);
    assert_int_equal(token->fn->C_CloseSession(token->key_session), CKR_OK);
    CK_FUNCTION_LIST *real = token->fn;
    struct cek_ref next = {0};
    spied = *real;
    real_destroy = real->C_DestroyObject;
    spied.C_DestroyObject = destroy_and_tell;
    destroyed_count = 0;
    token->fn = &spied;
    CK_RV rv = take_in(&s, &w, &next); /* opens another one */
    token->fn = real;
    assert_int_equal(rv, CKR_OK);
    assert_int_equal(destroyed_count, 0);
    assert_int_equal(stats().held, 1);
    give_in(&s, &next, false);
    session_drop(&s);
}

static CK_RV (*real_unwrap)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE, CK_BYTE *, CK_ULONG, CK_ATTRIBUTE *,
                            CK_ULONG, CK_OBJECT_HANDLE *);
static size_t room; /* for session keys */

static CK_RV unwrap_where_there_is_room(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE kek, CK_BYTE *wrapped,
                                        CK_ULONG len, CK_ATTRIBUTE *a, CK_ULONG n, CK_OBJECT_HANDLE *key)
{
    return stats().held < room ? real_unwrap(h, m, kek, wrapped, len, a, n, key) : CKR_DEVICE_MEMORY;
}

/* A token that has no room for another key: half of them go, or all of them, before anybody is refused. */
static void test_take__no_room_on_the_token(void **state)
{
    static const struct { size_t room, held; } ROWS[] = {{8, 4}, {5, 4}, {2, 1}};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct p11_session s = {0};
        struct cek_ref r = {0};
        with_cache(16);
        assert_ok(session_take(token, &s));
        for (int k = 0; k < 8; k++) {
            struct wrapped w = wrap_new();
            assert_int_equal(take_in(&s, &w, &r), CKR_OK);
            give_in(&s, &r, false);
        }
        struct wrapped next = wrap_new();
        CK_FUNCTION_LIST *real = token->fn;
        spied = *real;
        real_unwrap = real->C_UnwrapKey;
        spied.C_UnwrapKey = unwrap_where_there_is_room;
        room = ROWS[i].room;
        token->fn = &spied;
        CK_RV rv = take_in(&s, &next, &r);
        token->fn = real;
        assert_int_equal(rv, CKR_OK);
        assert_true(usable(&s, r.handle));
        assert_int_equal(stats().held, ROWS[i].held);
        assert_true(stats().max <= 4);
        give_in(&s, &r, false);
        session_drop(&s);
    }
}

static CK_RV (*real_decrypt)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
static struct wrapped other_key;
static unsigned decrypts;

/* While the first one runs, the session of the keys is closed and opened anew by somebody else; what it finds under
 * its handle then is another key. */
static CK_RV decrypt_under_another(CK_SESSION_HANDLE h, CK_BYTE *in, CK_ULONG in_len, CK_BYTE *out, CK_ULONG *out_len)
{
    CK_RV rv = real_decrypt(h, in, in_len, out, out_len);
    if (decrypts++) return rv;
    struct p11_session s = {0};
    struct cek_ref r = {0};
    assert_int_equal(token->fn->C_CloseSession(token->key_session), CKR_OK);
    assert_ok(session_take(token, &s));
    assert_int_equal(take_in(&s, &other_key, &r), CKR_OK);
    give_in(&s, &r, false);
    session_drop(&s);
    return CKR_ENCRYPTED_DATA_INVALID;
}

static void test_take__key_goes_while_it_decrypts(void **state)
{
    with_cache(4);
    struct buf a = sealed("a/b/c", SPAN_LIT("value"));
    other_key = wrap_new();
    CK_FUNCTION_LIST *real = token->fn;
    spied = *real;
    real_decrypt = real->C_Decrypt;
    spied.C_Decrypt = decrypt_under_another;
    decrypts = 0;
    token->fn = &spied;
    assert_opens(&a, SPAN_LIT("value"));
    token->fn = real;
    assert_int_equal(decrypts, 2);
    buf_free(&a);
}

static void test_cache_new__limit(void **state)
{
    token_close();
    assert_fails(token_open_with(hsm.module, 0, CEK_CACHE_MAX + 1), ERR_USAGE);
    token_open(0, CEK_CACHE_MAX);
    assert_int_equal(stats().max, CEK_CACHE_MAX);
}

/* ---- threads ---------------------------------------------------------------------------- */

struct churn { const struct wrapped *w; unsigned n, seed; int failures; };

static void *churn(void *arg)
{
    struct churn *c = arg;
    struct p11_session s = {0};
    if (!err_ok(session_take(token, &s))) return NULL;
    for (unsigned i = 0; i < 400; i++) {
        struct cek_ref r = {0};
        c->seed = c->seed * 1103515245u + 12345u;
        if (take_in(&s, &c->w[(c->seed >> 16) % c->n], &r) != CKR_OK || !usable(&s, r.handle))
            c->failures++;
        give_in(&s, &r, i % 17 == 0);
    }
    session_drop(&s);
    return NULL;
}

static void test_take__threads_never_see_a_destroyed_key(void **state)
{
    enum { THREADS = 4, N = 9 };
    token_close();
    token_open(THREADS, 3);
    struct wrapped w[N];
    struct churn jobs[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < N; i++) w[i] = wrap_new();
    for (unsigned i = 0; i < THREADS; i++) {
        jobs[i] = (struct churn){.w = w, .n = N, .seed = i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, churn, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) assert_int_equal(jobs[i].failures, 0);
    assert_true(stats().held <= 3);
}

#define KEK(test) cmocka_unit_test_setup_teardown(test, token_with_kek, token_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEK(test_take__hit_gives_the_same_handle),
        KEK(test_take__keys_differ_by_bytes_generation_and_use),
        KEK(test_take__bounded),
        KEK(test_take__more_in_turn_than_fit),
        KEK(test_take__others_become_hot),
        KEK(test_take__used_ones_stay_longer),
        KEK(test_take__everything_in_use),
        KEK(test_return__stale_is_dropped_when_nobody_uses_it),
        KEK(test_return__stale_ones_do_not_use_the_cache_up),
        KEK(test_take__no_room_on_the_token),
        KEK(test_take__without_a_cache),
        KEK(test_take__bad_key_is_not_kept),
        KEK(test_take__key_session_closed),
        KEK(test_return__handle_of_a_closed_session),
        KEK(test_take__keys_of_a_closed_session),
        KEK(test_take__key_goes_while_it_decrypts),
        KEK(test_cache_new__limit),
        KEK(test_take__threads_never_see_a_destroyed_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
