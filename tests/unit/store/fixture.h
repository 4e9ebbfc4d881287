/* A real SoftHSM token with a KEK, and stores on it. Each test program has its own. */
#pragma once

#include "broker/base/clock.h"
#include "broker/store/directory.h"
#include "broker/store/store_internal.h"
#include "tests/lib/softhsm.h"
#include "tests/lib/test.h"

#define UNUSED_OK __attribute__((unused)) static

/* $STRONGROOM_TEST_DIRECTORY: the same tests with the envelopes as files, for those programs that do not
 * look at the token's objects themselves (Makefile: run-directory). */
UNUSED_OK bool fx_in_directory(void)
{
    return getenv("STRONGROOM_TEST_DIRECTORY") != NULL;
}

static struct {
    struct softhsm hsm;
    struct p11 *token;
    struct store *store;
    struct secret *value;
    struct store_entry entry;
    struct directory *directory;
} fx;

UNUSED_OK void fx_open_token(const char *uri, struct p11 **ret)
{
    struct p11_config config = {.module = fx.hsm.module, .token_uri = uri,
                                .pin_source = fx.hsm.pin_file, .state_dir = fx.hsm.state,
                                .cek_cache = 64};
    if (fx_in_directory() && !fx.directory) {
        char path[512];
        snprintf(path, sizeof path, "%s/envelopes", fx.hsm.state);
        struct directory_config beside = {.path = path, .writable = true};
        assert_ok(directory_new(&beside, &fx.directory));
    }
    if (fx_in_directory()) config.beside = directory_beside(fx.directory);
    config.place = P11_PLACE_BESIDE;
    assert_ok(p11_open(&config, ret));
}

UNUSED_OK struct store_config fx_config(void)
{
    return (struct store_config){.token = fx.token, .keep_versions = 1,
                                 .cache_bytes = STORE_CACHE_DEFAULT, .writable = true};
}

UNUSED_OK void fx_open_store(struct store_config config)
{
    store_close(TAKE_PTR(fx.store));
    assert_ok(store_open(&config, &fx.store));
}

/* Token and store are closed and opened again, as after a restart of the broker. */
UNUSED_OK void fx_restart(struct store_config config)
{
    store_close(TAKE_PTR(fx.store));
    p11_close(TAKE_PTR(fx.token));
    fx_open_token(fx.hsm.uri, &fx.token);
    config.token = fx.token;
    fx_open_store(config);
}

static int setup_token(void **state)
{
    struct p11_kek_info kek;
    if (softhsm_start(&fx.hsm, "store") != 0) return -1;
    fx_open_token(fx.hsm.uri, &fx.token);
    if (p11_has_kek(fx.token)) return 0;
    assert_ok(p11_kek_create(fx.token, false, &kek));
    return 0;
}

static int teardown_token(void **state)
{
    secret_free(TAKE_PTR(fx.value));
    store_close(TAKE_PTR(fx.store));
    p11_close(TAKE_PTR(fx.token));
    directory_free(TAKE_PTR(fx.directory));
    return softhsm_stop(&fx.hsm);
}

static err_t destroy_one(void *arg, const struct p11_seen *seen)
{
    enum envelope_kind kind;
    const char *name;
    bool manifest = strcmp(seen->label, LABEL_MANIFEST) == 0;
    if (!manifest && label_read(seen->label, &kind, &name) == LABEL_RESERVED) return ERR_OK;
    return p11_object_destroy(fx.token, seen->object);
}

/* Between tests: nothing of the store's on the token, a new store, the usual configuration. */
static int setup_store(void **state)
{
    clock_test_set(0);
    secret_free(TAKE_PTR(fx.value));
    store_close(TAKE_PTR(fx.store));
    assert_ok(p11_object_scan(fx.token, false, destroy_one, NULL));
    fx_open_store(fx_config());
    return 0;
}

/* The same through the fault module, where it is there. */
static inline int setup_store_faults(void **state)
{
    if (setup_token(state)) return -1;
    p11_close(TAKE_PTR(fx.token));
    struct p11_config config = {.module = fx.hsm.module, .token_uri = fx.hsm.uri, .cek_cache = 64,
                                .pin_source = fx.hsm.pin_file, .state_dir = fx.hsm.state};
    if (softhsm_fault_module()) {
        assert_int_equal(softhsm_fault(&fx.hsm, ""), 0);
        config.module = softhsm_fault_module();
    }
    assert_ok(p11_open(&config, &fx.token));
    return setup_store(state);
}

/* ---- acting and asserting ---------------------------------------------------------------- */

UNUSED_OK err_t fx_try_put(struct store *s, const char *name, const char *value, uint64_t *ret)
{
    struct store_put put = {.kind = ENVELOPE_RESOURCE, .name = name, .value = span_str(value)};
    return store_put(s, &put, ret);
}

UNUSED_OK uint64_t fx_put(const char *name, const char *value)
{
    uint64_t version = 0;
    assert_ok(fx_try_put(fx.store, name, value, &version));
    return version;
}

UNUSED_OK err_t fx_try_get(struct store *s, const char *name)
{
    secret_free(TAKE_PTR(fx.value));
    return store_get(s, ENVELOPE_RESOURCE, name, &fx.value, &fx.entry);
}

#define assert_value(name, expected)                                             \
    do {                                                                         \
        assert_ok(fx_try_get(fx.store, (name)));                                 \
        assert_span(secret_span(fx.value), (expected));                          \
    } while (0)

UNUSED_OK uint64_t fx_delete(const char *name)
{
    uint64_t version = 0;
    assert_ok(store_delete(fx.store, ENVELOPE_RESOURCE, name, false, 0, &version));
    return version;
}

/* How many objects have this label. */
UNUSED_OK size_t fx_objects(const char *label)
{
    struct p11_object found[32];
    size_t n = 0;
    assert_ok(p11_object_find(fx.token, label, found, 32, &n));
    return n;
}

UNUSED_OK struct store_stats fx_stats(void)
{
    struct store_stats stats;
    store_stats(fx.store, &stats);
    return stats;
}

/* As if so many objects of others lay there that `room` are left until STORE_MAX_OBJECTS and `spare`: until the next
 * scan. */
UNUSED_OK void fx_leave_room(size_t room, size_t spare)
{
    struct catalog *c = fx.store->catalog;
    c->odd.foreign = STORE_MAX_OBJECTS + spare - room - c->objects;
}

/* ---- objects that the store would not write ---------------------------------------------- */

/* A sound envelope, to be spoilt by the caller. */
UNUSED_OK void fx_seal(struct p11 *token, const char *name, uint64_t version, const char *value,
                       struct buf *ret)
{
    struct envelope_meta meta = {.kind = ENVELOPE_RESOURCE, .version = version, .created = 1000,
                                 .name = span_str(name)};
    buf_reset(ret);
    assert_ok(p11_seal(token, &meta, span_str(value), ret));
}

UNUSED_OK struct p11_object fx_place(const char *label, struct span bytes)
{
    struct p11_object o = {0};
    assert_ok(p11_object_create(fx.token, label, bytes, &o));
    return o;
}
