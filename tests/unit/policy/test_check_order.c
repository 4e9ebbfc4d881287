/* The order of bodies, against asking everybody again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/check_order.h"

#define EXPRS_MAX 40
#define LOCALS 48

static const struct compile_options no_options;

static struct compile *compilation(struct arena *a)
{
    struct compile *c = arena_alloc(a, sizeof *c);
    *c = (struct compile) { .arena = a, .options = &no_options, .errors = arena_alloc(a, sizeof *c->errors),
                            .steps_left = COMPILE_STEPS_MAX };
    return c;
}

static struct checked_term *local(struct arena *a, uint32_t number)
{
    struct checked_term *t = arena_alloc(a, sizeof *t);
    t->kind = CHECKED_LOCAL;
    t->local.number = number;
    return t;
}

/* A call that needs some locals and gives one. */
static struct checked_expr *call(struct arena *a, const uint32_t *needs, size_t count, uint32_t gives)
{
    struct checked_expr *e = arena_alloc(a, sizeof *e);
    struct checked_term **args = arena_alloc_array(a, count, sizeof *args);
    for (size_t i = 0; i < count; i++) args[i] = local(a, needs[i]);
    e->kind = CHECKED_CALL;
    e->call.args = args;
    e->call.count = count;
    e->call.output = local(a, gives);
    return e;
}

/* x = y: whichever is bound gives the other. */
static struct checked_expr *unify(struct arena *a, uint32_t left, uint32_t right)
{
    struct checked_expr *e = arena_alloc(a, sizeof *e);
    e->kind = CHECKED_UNIFY;
    e->unify.left = local(a, left);
    e->unify.right = local(a, right);
    return e;
}

static struct checked_expr *with(struct arena *a, struct checked_expr **body, size_t count)
{
    struct checked_expr *e = arena_alloc(a, sizeof *e);
    e->kind = CHECKED_WITH;
    e->with.body = (struct checked_body) { .at = body, .count = count };
    return e;
}

struct chosen { struct checked_expr *at[EXPRS_MAX]; size_t count; };

static void note(struct checked_expr *e, struct bound *b, void *context)
{
    struct chosen *c = context;
    c->at[c->count++] = e;
}

static bool ready_by_asking(const struct checked_expr *e, struct bound *b)
{
    if (e->kind != CHECKED_WITH) return expr_ready(e, b, NULL);
    size_t before = b->count, done = 0, last;
    bool taken[EXPRS_MAX] = { false };
    do {
        last = done;
        for (size_t i = 0; i < e->with.body.count; i++) {
            if (taken[i] || !ready_by_asking(e->with.body.at[i], b)) continue;
            bind_expr(e->with.body.at[i], b);
            taken[i] = true;
            done++;
        }
    } while (done > last);
    bound_undo(b, before);
    return done == e->with.body.count;
}

static void choose_by_asking(struct checked_expr *const *exprs, size_t count, struct bound *b, struct chosen *ret)
{
    bool taken[EXPRS_MAX] = { false };
    size_t last;
    do {
        last = ret->count;
        for (size_t i = 0; i < count; i++) {
            if (taken[i] || !ready_by_asking(exprs[i], b)) continue;
            ret->at[ret->count++] = exprs[i];
            bind_expr(exprs[i], b);
            taken[i] = true;
        }
    } while (ret->count > last);
}

static uint32_t next(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % below;
}

static struct checked_expr *any(struct arena *a, uint32_t *seed, bool inner)
{
    uint32_t needs[3], kind = next(seed, inner ? 9 : 10);
    size_t count = next(seed, 4);
    if (kind < 4) return unify(a, next(seed, LOCALS), next(seed, LOCALS));
    if (kind == 9) {
        struct checked_expr **body = arena_alloc_array(a, count + 1, sizeof *body);
        for (size_t i = 0; i <= count; i++) body[i] = any(a, seed, true);
        return with(a, body, count + 1);
    }
    for (size_t i = 0; i < count; i++) needs[i] = next(seed, LOCALS);
    return call(a, needs, count, next(seed, LOCALS));
}

static void test_order_choose__as_by_asking_again(void **state)
{
    for (uint32_t round = 0, seed = 1; round < 2000; round++) {
        struct arena *a = arena_new(1 << 20);
        struct compile *c = compilation(a);
        struct checked_expr *exprs[EXPRS_MAX];
        size_t count = next(&seed, EXPRS_MAX + 1);
        struct bound b, naive;
        struct chosen got = { .count = 0 }, want = { .count = 0 };
        for (size_t i = 0; i < count; i++) exprs[i] = any(a, &seed, false);
        assert_true(bound_new(c, LOCALS, &b) && bound_new(c, LOCALS, &naive));
        choose_by_asking(exprs, count, &naive, &want);
        struct checked_body body = { .at = exprs, .count = count };
        struct checked_expr **left = order_list(c, &body);
        assert_int_equal(order_choose(left, count, &b, note, &got), want.count);
        assert_int_equal(got.count, want.count);
        for (size_t i = 0; i < want.count; i++) assert_ptr_equal(got.at[i], want.at[i]);
        assert_memory_equal(b.bits, naive.bits, b.words * sizeof *b.bits);
        arena_free(a);
    }
}

/* Each needs the one behind it: as many rounds as expressions, in linear work all the same. */
static void test_order_choose__backwards(void **state)
{
    enum { COUNT = 20000 };
    struct arena *a = arena_new(64 << 20);
    struct compile *c = compilation(a);
    struct checked_expr **exprs = arena_alloc_array(a, COUNT, sizeof *exprs);
    struct bound b;
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t behind = i + 1;
        exprs[i] = call(a, &behind, i + 1 < COUNT, i);
    }
    assert_true(bound_new(c, COUNT, &b));
    assert_int_equal(order_choose(exprs, COUNT, &b, NULL, NULL), COUNT);
    assert_true(COMPILE_STEPS_MAX - c->steps_left < COUNT * 400u);
    arena_free(a);
}

static void test_bound_undo__forgets(void **state)
{
    struct arena *a = arena_new(1 << 20);
    struct bound b;
    assert_true(bound_new(compilation(a), 200, &b));
    bound_add(&b, 3);
    size_t mark = b.count;
    bound_add(&b, 199);
    bound_add(&b, 3);
    assert_true(bound_has(&b, 199));
    bound_undo(&b, mark);
    assert_false(bound_has(&b, 199));
    assert_true(bound_has(&b, 3));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_choose__as_by_asking_again),
        cmocka_unit_test(test_order_choose__backwards),
        cmocka_unit_test(test_bound_undo__forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
