/* An opened token for the tests of pkcs11's upper half: SoftHSM, through the fault module when a
 * test asks for it. One at a time, as the module is the process's. */
#pragma once

#include "pkcs11/seal.h"
#include "tests/lib/softhsm.h"
#include "tests/lib/test.h"

static struct softhsm hsm;
static struct p11 *token;

static inline struct err token_open_with(const char *module, unsigned sessions, unsigned cache)
{
    struct p11_config config = {
        .module = module, .token_uri = hsm.uri, .pin_source = hsm.pin_file,
        .state_dir = hsm.state, .max_sessions = sessions, .cek_cache = cache,
    };
    return p11_open(&config, &token);
}

static inline void token_open(unsigned sessions, unsigned cache)
{
    assert_ok(token_open_with(hsm.module, sessions, cache));
}

static inline void token_close(void)
{
    p11_close(token);
    token = NULL;
}

static inline void token_reopen(void)
{
    token_close();
    token_open(0, 64);
}

/* Setups and teardown of a test. */
static inline int token_bare(void **state)
{
    (void) state;
    if (softhsm_start(&hsm, "test")) return -1;
    struct err e = token_open_with(hsm.module, 0, 64);
    if (!err_ok(e)) fprintf(stderr, "p11_open: %s\n", err_text(e));
    return err_ok(e) ? 0 : -1;
}

static inline int token_with_kek(void **state)
{
    struct p11_kek_info kek;
    if (token_bare(state)) return -1;
    struct err e = p11_kek_create(token, false, &kek);
    if (!err_ok(e)) fprintf(stderr, "p11_kek_create: %s\n", err_text(e));
    return err_ok(e) ? 0 : -1;
}

static inline int token_gone(void **state)
{
    (void) state;
    token_close();
    return softhsm_stop(&hsm);
}

/* The same token through the fault module, with these rules. Skips without the module. */
static inline void token_through_faults(const char *rules)
{
    if (!softhsm_fault_module()) {
        print_message("STRONGROOM_FAULT_MODULE is not set\n");
        skip();
    }
    token_close();
    assert_int_equal(softhsm_fault(&hsm, rules), 0);
    assert_ok(token_open_with(softhsm_fault_module(), 0, 64));
}

/* How the token seals by itself. */
static inline const struct suite_way *way_now(void)
{
    const struct suite_way *way = NULL;
    struct seal_key key = {0};
    assert_ok(active_key(token, &key, &way));
    return way;
}

/* ---- envelopes -------------------------------------------------------------------------- */

static inline struct envelope_meta meta_of(const char *name, uint64_t version)
{
    return (struct envelope_meta){.kind = ENVELOPE_RESOURCE, .version = version,
                                  .created = 1700000000, .name = span_str(name)};
}

static inline struct buf sealed(const char *name, struct span plain)
{
    struct buf b = BUF_INIT;
    struct envelope_meta meta = meta_of(name, 1);
    assert_ok(p11_seal(token, &meta, plain, &b));
    return b;
}

static inline struct envelope decoded(const struct buf *b)
{
    struct envelope e;
    bool has_meta = false;
    assert_int_equal(envelope_decode(buf_span(b), &e, &has_meta), ENVELOPE_SOUND);
    return e;
}

/* Appends what follows the header of this envelope again. */
static inline void put_rest_of(struct buf *b, const struct envelope *e)
{
    struct envelope_rest rest = {e->recipients, e->recipient_count, e->iv, e->tag, e->ciphertext};
    assert_ok(envelope_put_rest(b, e->meta.suite, &rest));
}

static inline struct err unsealed(const struct buf *b, struct secret **ret)
{
    struct envelope e = decoded(b);
    return p11_unseal(token, &e, ret);
}

static inline void assert_opens(const struct buf *b, struct span plain)
{
    struct secret *s = NULL;
    assert_ok(unsealed(b, &s));
    assert_int_equal(secret_len(s), plain.len);
    assert_true(secret_equal(secret_span(s), plain));
    secret_free(s);
}
