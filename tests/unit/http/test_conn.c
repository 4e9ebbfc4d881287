/* The table and its deadlines, on socket pairs, with a time of the test's own. */
#include "peer.h"

#include <sys/resource.h>

#include "broker/http/conn.h"

#define S CLOCK_SECOND_NS

static struct conn_table table;
static int pair[2];
static struct txn *const txn = (struct txn *) &table; /* never looked into by conn.c */

static const struct conn_limits limits = {.max = 4, .max_per_ip = 2, .max_admin = 1, .max_probe = 1, .probe_ns = 2 * S,
                                          .head_ns = 10 * S, .body_ns = 30 * S,
                                          .idle_ns = 20 * S, .request_ns = 60 * S};

static int set_up(void **state)
{
    assert_true(err_ok(conn_table_init(&table, &limits, 2)));
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int tear_down(void **state)
{
    conn_table_done(&table);
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static struct err add(unsigned last_byte, struct conn **ret)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(0x0a000000 + last_byte)};
    return conn_add(&table, (struct sockaddr *) &from, "peer", false, ret);
}

static struct conn *add_open(uint64_t *ret_now)
{
    struct conn *c = NULL;
    assert_true(err_ok(add(1, &c)));
    conn_opened(c, pair[0], txn);
    *ret_now = clock_mono_ns();
    return c;
}

static struct txn *close_of(struct conn *c)
{
    bool ready = false;
    struct txn *t = conn_closing(c, &ready);
    assert_true(ready);
    return t;
}

static struct conn_late late[1];
static struct conn_sweep sweep_at(uint64_t now)
{
    struct conn_sweep s = {.now = now, .late = late, .late_max = 1};
    conn_sweep(&table, &s);
    return s;
}

static bool ended(void)
{
    struct pollfd p = {.fd = pair[1], .events = POLLRDHUP};
    return poll(&p, 1, 0) == 1;
}

static void test_conn_add__limits(void **state)
{
    struct conn *c[5] = {0}, *none = NULL;
    assert_true(err_ok(add(1, &c[0])));
    assert_true(err_ok(add(1, &c[1])));
    assert_int_equal(add(1, &none).code, ERR_LIMIT);
    assert_true(err_ok(add(2, &c[2])));
    assert_true(err_ok(add(3, &c[3])));
    assert_int_equal(add(4, &none).code, ERR_LIMIT);
    /* the admin socket has a count of its own */
    assert_true(err_ok(conn_add(&table, NULL, "unix:uid=0", false, &c[4])));
    assert_true(c[4]->local_admin);
    assert_int_equal(conn_add(&table, NULL, "unix:uid=0", false, &none).code, ERR_LIMIT);
    assert_int_equal(conn_table_count(&table), 5);
    conn_remove(&table, c[0]);
    assert_true(err_ok(add(1, &c[0])));
    for (size_t i = 0; i < 5; i++) conn_remove(&table, c[i]);
    assert_int_equal(conn_table_count(&table), 0);
    assert_int_equal(conn_table_wait(&table, 10000), 0);
}

static void test_conn_add__ipv6_counts_by_address(void **state)
{
    struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_addr = {{{[15] = 1}}}};
    struct conn *c = NULL;
    for (int i = 0; i < 2; i++)
        assert_true(err_ok(conn_add(&table, (struct sockaddr *) &from, "p", false, &c)));
    assert_int_equal(conn_add(&table, (struct sockaddr *) &from, "p", false, &c).code, ERR_LIMIT);
    from.sin6_addr.s6_addr[0] = 1;
    assert_true(err_ok(conn_add(&table, (struct sockaddr *) &from, "p", false, &c)));
}

static void test_conn_add__spreads_evenly(void **state)
{
    struct conn *c[4] = {0};
    unsigned per[2] = {0};
    for (unsigned i = 0; i < 4; i++) {
        assert_true(err_ok(add(i, &c[i])));
        per[c[i]->loop]++;
    }
    assert_int_equal(per[0], 2);
    assert_int_equal(per[1], 2);
    for (unsigned i = 4; i-- > 0;) { /* where one has left there is room, whichever loop it is */
        unsigned free_one = c[i]->loop;
        conn_remove(&table, c[i]);
        assert_true(err_ok(add(9 + i, &c[i])));
        assert_int_equal(c[i]->loop, free_one);
    }
}

static void test_conn_add__any_number_of_one_address(void **state)
{
    struct conn_limits open = limits;
    struct conn *c = NULL;
    open.max_per_ip = 0;
    conn_table_done(&table);
    assert_true(err_ok(conn_table_init(&table, &open, 2)));
    for (unsigned i = 0; i < limits.max; i++) assert_true(err_ok(add(1, &c)));
    assert_int_equal(add(1, &c).code, ERR_LIMIT);
}

/* Each state is left alone just before its deadline and cut just after. */
static void test_conn_sweep__deadlines(void **state)
{
    static const struct {
        enum conn_state state;
        uint64_t seconds;
        bool handed_over;
    } rows[] = {{CONN_IDLE, 20, false}, {CONN_HEAD, 10, false}, {CONN_BODY, 30, true},
                {CONN_SENDING, 60, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t now = 0;
        struct conn *c = add_open(&now);
        if (rows[i].state != CONN_IDLE) assert_ptr_equal(conn_begin(c, now), txn);
        if (rows[i].state == CONN_BODY || rows[i].state == CONN_SENDING) {
            assert_ptr_equal(conn_enter(c), txn);
            conn_leave(c, rows[i].state);
        }
        assert_int_equal(sweep_at(now + (rows[i].seconds - 1) * S).timed_out, 0);
        assert_false(ended());
        struct conn_sweep s = sweep_at(now + (rows[i].seconds + 1) * S);
        assert_int_equal(s.timed_out, 1);
        assert_int_equal(s.late_count, rows[i].handed_over);
        assert_int_equal(ended(), !rows[i].handed_over);
        assert_null(conn_enter(c)); /* the event loop learns that it was cut */
        assert_null(conn_begin(c, now));
        if (rows[i].handed_over) {
            assert_ptr_equal(late[0].txn, txn);
            close(late[0].fd);
        }
        bool in_head = false;
        assert_ptr_equal(conn_end(c, now, &in_head), rows[i].handed_over ? NULL : txn);
        assert_int_equal(sweep_at(now + 1000 * S).timed_out, 0); /* once */
        assert_ptr_equal(close_of(c), rows[i].handed_over ? NULL : txn);
        conn_remove(&table, c);
        tear_down(NULL);
        set_up(NULL);
    }
}

static void init_secure(void)
{
    struct conn_limits secure = limits;
    secure.handshake_ns = 5 * S;
    secure.apart = true;
    conn_table_done(&table);
    assert_true(err_ok(conn_table_init(&table, &secure, 3)));
}

/* Only its event loop can write to a TLS connection, so nobody else answers or takes the txn. */
static void test_conn_sweep__tls(void **state)
{
    static const struct {
        enum conn_state state;
        uint64_t seconds;
    } rows[] = {{CONN_HANDSHAKE, 5}, {CONN_IDLE, 20}, {CONN_HEAD, 10}, {CONN_BODY, 30}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t now = 0;
        char byte;
        init_secure();
        struct conn *c = add_open(&now);
        assert_int_equal(c->state, CONN_HANDSHAKE);
        if (rows[i].state != CONN_HANDSHAKE) conn_ready(c, now);
        if (rows[i].state == CONN_HEAD) conn_begin(c, now);
        if (rows[i].state == CONN_BODY) {
            conn_begin(c, now);
            conn_enter(c);
            conn_leave(c, CONN_BODY);
        }
        assert_int_equal(c->state, rows[i].state);
        assert_int_equal(sweep_at(now + (rows[i].seconds - 1) * S).timed_out, 0);
        struct conn_sweep s = sweep_at(now + (rows[i].seconds + 1) * S);
        assert_int_equal(s.timed_out, 1);
        assert_int_equal(s.late_count, 0);
        assert_int_equal(get_some(pair[1], &byte, 1), 0); /* the end, and nothing before it */
        assert_ptr_equal(close_of(c), txn);
        tear_down(NULL);
        set_up(NULL);
    }
}

static void test_conn_closing__in_a_handshake(void **state)
{
    uint64_t now = 0;
    bool ready = true;
    init_secure();
    assert_ptr_equal(conn_closing(add_open(&now), &ready), txn);
    assert_false(ready);
    struct conn *c = add_open(&now);
    conn_ready(c, now);
    conn_begin(c, now);
    conn_ready(c, now + 5 * S); /* a second one changes nothing */
    assert_int_equal(c->state, CONN_HEAD);
    assert_ptr_equal(close_of(c), txn);
}

static void test_conn_add__passes_a_loop_that_is_stuck(void **state)
{
    struct conn *c[3] = {0};
    uint64_t now = clock_mono_ns();
    atomic_store(&table.loop_since[0], now + 60 * S); /* busy, and not for long */
    for (unsigned i = 0; i < 2; i++) assert_true(err_ok(add(i + 1, &c[i])));
    assert_int_equal(c[0]->loop, 0);
    assert_int_equal(c[1]->loop, 1);
    conn_remove(&table, c[0]);
    atomic_store(&table.loop_since[0], now - HTTP_STUCK_MS * UINT64_C(1000000) - 1);
    assert_true(err_ok(add(3, &c[2])));
    assert_int_equal(c[2]->loop, 1); /* though it has more */
    conn_remove(&table, c[2]);
    atomic_store(&table.loop_since[1], 1); /* now both: it makes no difference */
    assert_true(err_ok(add(3, &c[2])));
    assert_int_equal(c[2]->loop, 0);
    conn_remove(&table, c[1]);
    conn_remove(&table, c[2]);
}

static void test_conn_add__admins_have_the_last_loop_of_a_tls_server(void **state)
{
    struct conn *c = NULL;
    init_secure();
    for (unsigned i = 0; i < 4; i++) {
        assert_true(err_ok(add(i, &c)));
        assert_int_equal(c->loop, i % 2);
        assert_true(c->secure);
    }
    assert_true(err_ok(conn_add(&table, NULL, "unix", false, &c)));
    assert_int_equal(c->loop, 2);
    assert_false(c->secure);
    conn_opened(c, pair[0], txn);
    assert_int_equal(c->state, CONN_IDLE);
}

static struct err add_probe(struct conn **ret)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};
    return conn_add(&table, (struct sockaddr *) &from, "probe", true, ret);
}

static void test_conn_add__probes_are_counted_apart(void **state)
{
    struct conn *c[4] = {0}, *probe = NULL, *none = NULL;
    for (unsigned i = 0; i < 4; i++) assert_true(err_ok(add(i, &c[i])));
    assert_int_equal(add(9, &none).code, ERR_LIMIT);
    assert_true(err_ok(add_probe(&probe)));
    assert_true(probe->probe);
    assert_int_equal(add_probe(&none).code, ERR_LIMIT);
    assert_int_equal(conn_table_count(&table), 5);
    conn_remove(&table, probe);
    assert_int_equal(conn_table_count(&table), 4);
    /* nor does it count against the guests of its address */
    conn_remove(&table, c[0]);
    assert_true(err_ok(add_probe(&probe)));
    assert_true(err_ok(add(1, &c[0])));
    assert_int_equal(add(9, &none).code, ERR_LIMIT);
}

static void test_conn_add__the_last_loop_is_not_for_guests(void **state)
{
    struct conn_limits apart = limits;
    struct conn *c = NULL;
    apart.apart = true;
    apart.max_probe = apart.max_admin = 2;
    conn_table_done(&table);
    assert_true(err_ok(conn_table_init(&table, &apart, 3)));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(err_ok(add(i, &c)));
        assert_int_equal(c->loop, i % 2);
    }
    assert_true(err_ok(add_probe(&c)));
    assert_int_equal(c->loop, 2);
    assert_true(err_ok(conn_add(&table, NULL, "unix", false, &c)));
    assert_int_equal(c->loop, 2);
    /* it is stuck in the handler */
    atomic_store(&table.loop_since[2], 1);
    assert_true(err_ok(add_probe(&c)));
    assert_int_equal(c->loop, 0);
    assert_true(err_ok(conn_add(&table, NULL, "unix", false, &c)));
    assert_int_equal(c->loop, 1);
}

static void test_conn_sweep__a_probe_is_cut_early(void **state)
{
    struct conn *c = NULL;
    assert_true(err_ok(add_probe(&c)));
    conn_opened(c, pair[0], txn);
    uint64_t now = clock_mono_ns();
    assert_int_equal(sweep_at(c->since + 2 * S - 1).timed_out, 0);
    assert_ptr_equal(conn_begin(c, now), txn);
    assert_ptr_equal(conn_enter(c), txn);
    assert_int_equal(sweep_at(now + 60 * S).timed_out, 0); /* the handler has it */
    conn_leave(c, CONN_BODY);
    assert_int_equal(sweep_at(now + 2 * S - 1).timed_out, 0);
    assert_int_equal(sweep_at(now + 2 * S).timed_out, 1);
    close(late[0].fd);
}

/* Somebody's requests, behind a probe on one connection: they may have to wait for a token as well. */
static void test_conn_sweep__a_probe_is_forgiven_too(void **state)
{
    struct conn *c = NULL;
    bool in_head = false;
    assert_true(err_ok(add_probe(&c)));
    conn_opened(c, pair[0], txn);
    uint64_t now = clock_mono_ns();
    assert_ptr_equal(conn_begin(c, now), txn);
    assert_ptr_equal(conn_enter(c), txn);
    conn_forgive(c, 8 * S);
    conn_leave(c, CONN_SENDING);
    assert_int_equal(sweep_at(now + 10 * S - 1).timed_out, 0);
    assert_ptr_equal(conn_end(c, now + 9 * S, &in_head), txn); /* and the next one begins anew */
    assert_int_equal(sweep_at(now + 11 * S - 1).timed_out, 0);
    assert_int_equal(sweep_at(now + 11 * S).timed_out, 1);
}

/* A byte now and then does not move the deadline of a body. */
static void test_conn_sweep__pieces_do_not_help(void **state)
{
    uint64_t now = 0;
    struct conn *c = add_open(&now);
    conn_begin(c, now);
    uint64_t since = 0;
    for (int i = 0; i < 5; i++) {
        assert_ptr_equal(conn_enter(c), txn);
        conn_leave(c, CONN_BODY);
        if (i == 0) since = c->body_since;
    }
    assert_true(since >= now && c->body_since == since);
    assert_int_equal(sweep_at(since + 30 * S).late_count, 1);
    close(late[0].fd);
}

static void test_conn_sweep__busy_is_never_cut_and_forgiven(void **state)
{
    uint64_t now = 0;
    struct conn *c = add_open(&now);
    conn_begin(c, now);
    conn_enter(c);
    assert_int_equal(sweep_at(now + 100000 * S).timed_out, 0);
    struct conn_sweep all = {.now = now, .all = true, .idle = true};
    conn_sweep(&table, &all);
    assert_false(ended());
    conn_forgive(c, 100 * S);
    conn_leave(c, CONN_SENDING);
    assert_int_equal(sweep_at(now + 159 * S).timed_out, 0);
    assert_int_equal(sweep_at(now + 161 * S).timed_out, 1);
    assert_true(ended());
}

static void test_conn_sweep__late_bodies_beyond_the_batch(void **state)
{
    uint64_t now = 0;
    struct conn *c = add_open(&now);
    conn_begin(c, now);
    conn_enter(c);
    conn_leave(c, CONN_BODY);
    struct conn_sweep s = {.now = now + 100 * S};
    conn_sweep(&table, &s);
    assert_int_equal(s.late_count, 0);
    assert_true(ended()); /* without an answer, but it ends */
    assert_ptr_equal(close_of(c), txn);
}

/* In a process that has no descriptor left, which this one gives back. */
static void test_conn_sweep__late_body_without_a_descriptor(void **state)
{
    struct rlimit before, none = {0};
    uint64_t now = 0;
    struct conn *c = add_open(&now);
    conn_begin(c, now);
    conn_enter(c);
    conn_leave(c, CONN_BODY);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct conn_sweep s = sweep_at(now + 100 * S);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(s.late_count, 0);
    assert_true(ended());
    assert_ptr_equal(close_of(c), txn);
}

static void test_conn_sweep__idle_only(void **state)
{
    uint64_t now = 0;
    struct conn *c = add_open(&now);
    conn_begin(c, now);
    struct conn_sweep s = {.now = now, .idle = true};
    conn_sweep(&table, &s);
    assert_false(ended());
    bool in_head = false;
    conn_end(c, now, &in_head);
    assert_true(in_head);
    conn_sweep(&table, &s);
    assert_true(ended());
}

static void test_conn_sweep__never_touches_a_closed_socket(void **state)
{
    struct conn *c = NULL;
    assert_true(err_ok(add(1, &c))); /* its event loop does not have it yet */
    struct conn_sweep all = {.now = UINT64_MAX / 2, .all = true, .idle = true, .hangups = true};
    conn_sweep(&table, &all);
    conn_opened(c, pair[0], txn);
    assert_ptr_equal(close_of(c), txn);
    conn_sweep(&table, &all);
    assert_int_equal(all.timed_out, 0);
    assert_false(ended());
}

static void test_conn_sweep__hang_up_is_seen_twice(void **state)
{
    uint64_t now = 0;
    struct conn *c = add_open(&now);
    struct conn_sweep s = {.now = now, .hangups = true};
    put_text(pair[1], "x");
    shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < 3; i++) conn_sweep(&table, &s); /* unread bytes go first */
    assert_false(c->hung_up);
    char byte;
    assert_int_equal(get_some(pair[0], &byte, 1), 1);
    conn_sweep(&table, &s);
    assert_true(c->hung_up);
    conn_begin(c, now); /* they were a request */
    conn_enter(c);
    conn_leave(c, CONN_SENDING);
    for (int i = 0; i < 3; i++) conn_sweep(&table, &s);
    assert_int_equal(c->state, CONN_SENDING);
    bool in_head = false;
    conn_end(c, now, &in_head);
    for (int i = 0; i < 2; i++) conn_sweep(&table, &s);
    assert_int_equal(c->state, CONN_CUT);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_conn_add__limits),
        TEST(test_conn_add__ipv6_counts_by_address),
        TEST(test_conn_add__spreads_evenly),
        TEST(test_conn_add__any_number_of_one_address),
        TEST(test_conn_sweep__deadlines),
        TEST(test_conn_sweep__tls),
        TEST(test_conn_closing__in_a_handshake),
        TEST(test_conn_add__passes_a_loop_that_is_stuck),
        TEST(test_conn_add__admins_have_the_last_loop_of_a_tls_server),
        TEST(test_conn_sweep__pieces_do_not_help),
        TEST(test_conn_add__probes_are_counted_apart),
        TEST(test_conn_add__the_last_loop_is_not_for_guests),
        TEST(test_conn_sweep__a_probe_is_cut_early),
        TEST(test_conn_sweep__a_probe_is_forgiven_too),
        TEST(test_conn_sweep__busy_is_never_cut_and_forgiven),
        TEST(test_conn_sweep__late_bodies_beyond_the_batch),
        TEST(test_conn_sweep__late_body_without_a_descriptor),
        TEST(test_conn_sweep__idle_only),
        TEST(test_conn_sweep__never_touches_a_closed_socket),
        TEST(test_conn_sweep__hang_up_is_seen_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
