#include "pkcs11/p11_internal.h"
#include "pkcs11/meter.h"
#include "pkcs11/wall.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "broker/base/log.h"

static atomic_uint_fast64_t last_epoch;

uint64_t next_epoch(void)
{
    return atomic_fetch_add(&last_epoch, 1) + 1;
}

static err_t copy_text(const char *from, char **ret)
{
    char *copy = strdup(from);
    if (!copy) FAIL(ERR_INTERNAL, "out of memory");
    free(*ret);
    *ret = copy;
    return ERR_OK;
}

/* The two of the configuration that say which library, and how it is started. */
struct library { const char *path, *init_args; };

static err_t load_module(const struct library *l, const struct p11_uri *uri,
                         const struct p11_helper *helper, struct p11_module **ret)
{
    const char *path = l->path ? l->path : uri->module_path;
    if (!path)
        FAIL(ERR_USAGE, "no PKCS#11 module; name the library by its path, or by module-path in the "
             "token URI");
    return module_load_in(helper, path, l->init_args, ret);
}

bool p11_uses_softhsm(const char *module, const char *token_uri)
{
    struct p11_uri uri _cleanup_uri_ = {0};
    if (!module && err_ok(uri_parse(token_uri, &uri))) module = uri.module_path;
    const char *slash = module ? strrchr(module, '/') : NULL;
    return slash && strncmp(slash + 1, "libsofthsm", strlen("libsofthsm")) == 0;
}

/* SoftHSM counts its handles up, those of sessions and objects together. openCryptoki gives freed ones again;
 * of others we do not know. */
bool p11_handles_unique(const struct p11_token_info *info)
{
    return strcmp(info->module_manufacturer, "SoftHSM") == 0;
}

/* ---- connecting: what opening and recovery share ---------------------------------------- */

err_t own_sessions_open(struct p11 *p)
{
    struct wall *wall = module_wall(p->module);
    bool spent = atomic_load(&p->pin_spent), sent = false;
    TRY(session_open(p->fn, p->slot, &p->idle_session));
    if (spent && !wall) FAIL(ERR_HUMAN, PIN_SPENT, p->label);
    struct wall_login login = {.slot = p->slot, .session = p->idle_session, .spent = spent,
                               .pin_source = p->pin_source, .state_dir = p->state_dir};
    struct err e = wall ? wall_login(wall, &login, &sent)
                        : login_gate(p->fn, p->slot, p->idle_session, p->pin, p->state_dir, &sent);
    /* A PIN that was not sent for being spent stays so. */
    atomic_store(&p->pin_spent, (spent || sent) && e.code == ERR_HUMAN);
    TRY(e);
    return session_open(p->fn, p->slot, &p->key_session);
}

static void close_own(struct p11 *p, CK_SESSION_HANDLE *h)
{
    if (*h != CK_INVALID_HANDLE) p->fn->C_CloseSession(*h);
    *h = CK_INVALID_HANDLE;
}

void own_sessions_close(struct p11 *p)
{
    close_own(p, &p->key_session);
    close_own(p, &p->idle_session);
}

err_t upper_half_load(struct p11 *p)
{
    TRYC(suite_negotiate(p), "token %s", p->label);
    TRYC(keys_load(p), "token %s", p->label);
    return cek_cache_new(p, p->cek_cache_max);
}

/* ---- opening ---------------------------------------------------------------------------- */

static err_t p11_new(const struct p11_config *config, struct p11 **ret)
{
    if (!config->token_uri) FAIL(ERR_USAGE, "no token URI (pkcs11:token=NAME)");
    if (!config->state_dir) FAIL(ERR_USAGE, "no state_dir, which keeps a wrong PIN from being "
                                 "sent twice");
    _cleanup_p11_ struct p11 *p = calloc(1, sizeof *p);
    if (!p) FAIL(ERR_INTERNAL, "out of memory");
    pool_init(&p->pool, 1);
    life_init(&p->life);
    pthread_mutex_init(&p->object_lock, NULL);
    pthread_mutex_init(&p->key_lock, NULL);
    pthread_mutex_init(&p->kek_lock, NULL);
    pthread_mutex_init(&p->keys_lock, NULL);
    p->epoch = next_epoch();
    p->max_sessions = config->max_sessions;
    p->cek_cache_max = config->cek_cache;
    p->serialize_all = config->serialize_all;
    TRY(copy_text(config->state_dir, &p->state_dir));
    TRY(uri_parse(config->token_uri, &p->uri));
    *ret = TAKE_PTR(p);
    return ERR_OK;
}

err_t p11_open(const struct p11_config *config, struct p11 **ret)
{
    _cleanup_p11_ struct p11 *p = NULL;
    struct p11_token_info info = {0};
    TRY(p11_new(config, &p));
    struct library library = {config->module, config->init_args};
    TRY(load_module(&library, &p->uri, config->helper, &p->module));
    p->fn = module_fn(p->module);
    if (p->serialize_all) meter_serialize();
    TRYC(slot_find(p->fn, &p->uri, &p->slot, &info), "%s", config->token_uri);
    TRY(copy_text(info.label, &p->label));
    TRY(copy_text(info.serial, &p->serial));
    const char *source = config->pin_source ? config->pin_source : p->uri.pin_source;
    if (source) TRY(copy_text(source, &p->pin_source));
    if (config->found) TRY(config->found(config->found_arg, p->serial));
    if (!config->helper) TRY(login_pin(p->fn, p->slot, source, &p->pin));
    p->pool.cap = p->pool.wanted = pool_cap(p->max_sessions, info.max_sessions);
    p->known = info;
    p->handles_unique = p11_handles_unique(&info);
    TRY(own_sessions_open(p));
    TRY(place_choose(p, config->place, config->beside));
    TRY(upper_half_load(p));
    *ret = TAKE_PTR(p);
    return ERR_OK;
}

void p11_close(struct p11 *p)
{
    if (!p) return;
    if (p->fn) {
        cek_cache_free(p);
        pool_close_idle(p);
        close_own(p, &p->key_session);
        /* Login is the process's: another opening may still need it. */
        bool last = !module_shared(p->module);
        if (last && p->idle_session != CK_INVALID_HANDLE) p->fn->C_Logout(p->idle_session);
        close_own(p, &p->idle_session);
    }
    module_unref(p->module);
    uri_done(&p->uri);
    pool_done(&p->pool);
    life_done(&p->life);
    pthread_mutex_destroy(&p->object_lock);
    pthread_mutex_destroy(&p->key_lock);
    pthread_mutex_destroy(&p->kek_lock);
    pthread_mutex_destroy(&p->keys_lock);
    secret_free(p->pin);
    free(p->label);
    free(p->serial);
    free(p->state_dir);
    free(p->pin_source);
    free(p);
}

/* ---- asking ----------------------------------------------------------------------------- */

err_t p11_info_by_uri(const char *module, const char *init_args, const char *token_uri,
                      struct p11_token_info *ret)
{
    struct p11_uri uri _cleanup_uri_ = {0};
    _cleanup_module_ struct p11_module *m = NULL;
    CK_SLOT_ID slot = 0;
    TRY(uri_parse(token_uri, &uri));
    struct library library = {module, init_args};
    TRY(load_module(&library, &uri, NULL, &m));
    TRYC(slot_find(module_fn(m), &uri, &slot, ret), "%s", token_uri);
    return ERR_OK;
}

const char *p11_serial(const struct p11 *p)
{
    return p->serial;
}

uint64_t p11_opening(struct p11 *p)
{
    SCOPED_LOCK(&p->kek_lock);
    return p->epoch;
}

const char *p11_label(const struct p11 *p)
{
    return p->label;
}
