#include "pkcs11/p11_internal.h"

#include "broker/base/log.h"
#include "pkcs11/meter.h"
#include "pkcs11/softhsm_files.h"
#include "pkcs11/wall.h"
#include "pkcs11/watch.h"

#include <errno.h>
#include <p11-kit/p11-kit.h>
#include <string.h>
#include <sys/stat.h>

struct p11_module {
    CK_FUNCTION_LIST *fn;      /* the library's own, or stubs */
    CK_FUNCTION_LIST *metered; /* for everybody else */
    struct wall *wall; /* when it is in a helper: fn are stubs */
    char *path;
    char *init_args; /* or NULL */
    pid_t pid;  /* who called C_Initialize */
    bool owner; /* false: somebody else in this process had initialised it */
    unsigned refs;
    struct p11_module *next;
};

/* Modules of this process. C_Initialize is per process, not per opening, so two openings (a backup
 * from one token to another of the same module) share one entry. */
static pthread_mutex_t modules_lock = PTHREAD_MUTEX_INITIALIZER;
static struct p11_module *modules;

static void module_free(struct p11_module *m)
{
    if (m->fn) meter_unwrap(m->fn);
    if (m->fn && !m->wall) p11_kit_module_release(m->fn);
    wall_free(m->wall);
    free(m->path);
    free(m->init_args);
    free(m);
}
DEFINE_CLEANUP(struct p11_module, module_free);

/* dlopen's own text for a missing file reads as if the library were broken. */
struct err p11_module_check(const char *path)
{
    struct stat st = {0};
    if (path[0] != '/')
        FAIL(ERR_USAGE, "module %s: give the full path of the PKCS#11 library", path);
    if (stat(path, &st))
        FAIL_ERRNO(ERR_USAGE, "module %s: no such PKCS#11 library; check the path, or install it",
                   path);
    if (!S_ISREG(st.st_mode))
        FAIL(ERR_USAGE, "module %s is no file; give the path of the PKCS#11 library", path);
    return ERR_OK;
}

/* OS locking, no mutex callbacks: without this flag SoftHSM switches its mutexes off, and
 * libkmsp11 refuses (tokens.md 2.3, 1.10). */
CK_RV module_initialize(CK_FUNCTION_LIST *fn, const char *init_args)
{
    /* NSS wants a text where the standard has a reserved pointer, and another pointer behind it. */
    struct { CK_C_INITIALIZE_ARGS standard; void *reserved; } args = {
        .standard = {.flags = CKF_OS_LOCKING_OK, .pReserved = (void *) init_args},
    };
    return fn->C_Initialize(&args);
}

err_t module_functions(const char *path, CK_FUNCTION_LIST **ret)
{
    /* One module, by path: p11_kit_modules_load would load every vendor library on the host. */
    *ret = p11_kit_module_load(path, P11_KIT_MODULE_UNMANAGED);
    if (*ret) return ERR_OK;
    FAIL(ERR_USAGE, "module %s is no PKCS#11 library that can be loaded: %s", path,
         p11_kit_message() ? p11_kit_message() : "unknown reason");
}

static err_t module_new_locked(const struct p11_helper *helper, const char *path,
                               const char *init_args, struct p11_module **ret)
{
    TRY(p11_module_check(path));
    _cleanup_(module_freep) struct p11_module *m = calloc(1, sizeof *m);
    if (!m || !(m->path = strdup(path)) || (init_args && !(m->init_args = strdup(init_args))))
        FAIL(ERR_INTERNAL, "out of memory");
    if (helper) {
        struct p11_helper with_args = *helper;
        with_args.init_args = m->init_args; /* lives as long as the wall */
        TRY(wall_open(path, &with_args, &m->wall));
        m->fn = wall_fn(m->wall);
    } else {
        TRY(module_functions(path, &m->fn));
    }
    TRY(softhsm_check_objects(path));
    watch_begin(WATCH_LONG);
    CK_RV rv = module_initialize(m->fn, m->init_args);
    watch_end();
    if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
        FAIL_P11(ERR_TOKEN_DOWN, rv, "C_Initialize",
                 "module %s does not start; check its own configuration and rights%s", path,
                 init_args ? ", and token.init_args" : "");
    m->metered = meter_wrap(m->fn);
    m->owner = rv == CKR_OK;
    m->pid = getpid();
    m->refs = 1;
    m->next = modules;
    modules = m;
    *ret = TAKE_PTR(m);
    return ERR_OK;
}

static bool same_args(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

err_t module_load_in(const struct p11_helper *helper, const char *path, const char *init_args,
                     struct p11_module **ret)
{
    if (init_args && strlen(init_args) > MODULE_ARGS_MAX)
        FAIL(ERR_USAGE, "token.init_args is over %u bytes", MODULE_ARGS_MAX);
    SCOPED_LOCK(&modules_lock);
    for (struct p11_module *m = modules; m; m = m->next) {
        if (strcmp(m->path, path) || !m->wall != !helper) continue;
        module_guard(m);
        if (!same_args(m->init_args, init_args))
            FAIL(ERR_CONFLICT, "module %s was started with other arguments in this process", path);
        m->refs++;
        *ret = m;
        return ERR_OK;
    }
    return module_new_locked(helper, path, init_args, ret);
}

err_t module_load(const char *path, struct p11_module **ret)
{
    return module_load_in(NULL, path, NULL, ret);
}

void module_unref(struct p11_module *m)
{
    if (!m) return;
    SCOPED_LOCK(&modules_lock);
    if (--m->refs) return;
    for (struct p11_module **at = &modules; *at; at = &(*at)->next) {
        if (*at != m) continue;
        *at = m->next;
        break;
    }
    /* Whoever initialised the module before us still uses it; a forked child owns nothing. */
    if (m->owner && m->pid == getpid()) m->fn->C_Finalize(NULL);
    module_free(m);
}

/* Whoever uses it beside us may have called C_Finalize; then nobody has anything to lose. */
static bool is_finalized(const struct p11_module *m)
{
    CK_INFO info = {0};
    return m->fn->C_GetInfo(&info) == CKR_CRYPTOKI_NOT_INITIALIZED;
}

static err_t finalize_locked(struct p11_module *m)
{
    if (m->refs == 1 && m->owner) {
        CK_RV rv = m->fn->C_Finalize(NULL);
        if (rv != CKR_OK && rv != CKR_CRYPTOKI_NOT_INITIALIZED)
            FAIL_P11(ERR_CONFLICT, rv, "C_Finalize", "module %s does not stop", m->path);
    } else if (!is_finalized(m)) {
        FAIL(ERR_CONFLICT, "module %s is used elsewhere in this process, so it cannot be "
             "initialised again; restart the program", m->path);
    }
    return ERR_OK;
}

/* One that never returns must be seen: whoever restarts a module keeps all others from the token meanwhile.
 * Stubs come back by themselves. */
static void watch_restart(const struct p11_module *m)
{
    if (!m->wall) watch_begin(WATCH_LONG);
}

static void unwatch_restart(const struct p11_module *m)
{
    if (!m->wall) watch_end();
}

static err_t finalize_watched_locked(struct p11_module *m)
{
    watch_restart(m);
    struct err e = finalize_locked(m);
    unwatch_restart(m);
    return e;
}

static CK_RV initialize_watched(struct p11_module *m)
{
    watch_restart(m);
    CK_RV rv = module_initialize(m->fn, m->init_args);
    unwatch_restart(m);
    return rv;
}

/* As long as it runs it has what it read at its start. */
static err_t check_survives(const struct p11_module *m)
{
    struct err e = softhsm_check_objects(m->path);
    if (err_ok(e)) return e;
    log_err(e, "token.damaged-file", LOG_S("effect", "the module is not started again"));
    e.code = ERR_CONFLICT;
    return e;
}

err_t module_restart(struct p11_module *m, bool renew)
{
    module_guard(m);
    SCOPED_LOCK(&modules_lock);
    TRY(check_survives(m));
    struct err stopped = finalize_watched_locked(m);
    bool renewed = renew && m->wall && wall_renew(m->wall);
    if (!renewed) TRY(stopped);
    CK_RV rv = initialize_watched(m);
    if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
        FAIL_P11(ERR_TOKEN_DOWN, rv, "C_Initialize", "module %s does not start again", m->path);
    m->owner = rv == CKR_OK;
    return ERR_OK;
}

void module_guard(const struct p11_module *m)
{
    ENSURE(m->pid == getpid());
}

bool module_shared(const struct p11_module *m)
{
    SCOPED_LOCK(&modules_lock);
    return m->refs > 1;
}

CK_FUNCTION_LIST *module_fn(struct p11_module *m)
{
    return m->metered;
}

struct wall *module_wall(struct p11_module *m)
{
    return m->wall;
}

const char *module_path(const struct p11_module *m)
{
    return m->path;
}

err_t module_check_log_calls(void)
{
    _cleanup_free_ char *value = p11_kit_config_option(NULL, "log-calls");
    if (!value || strcmp(value, "yes")) return ERR_OK;
    FAIL(ERR_USAGE, "p11-kit is told to log calls, which would print the PIN; remove "
         "\"log-calls: yes\" from pkcs11.conf");
}
