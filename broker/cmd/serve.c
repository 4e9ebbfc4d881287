/* strongroom serve */
#include "broker/admin/acl.h"
#include "broker/base/log.h"
#include "broker/cmd/broker.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/daemon.h"
#include "broker/config/config_diff.h"
#include "broker/http/server.h"

#include <stdio.h>

struct serving {
    const char *file;
    const struct config *config; /* as of the start */
};

static void tell(const struct serving *serving, const struct config *fresh)
{
    _cleanup_buf_ struct buf applied = BUF_INIT, keys = BUF_INIT;
    config_reloaded_keys(&applied);
    log_info("reload.done", LOG_S("applied", buf_str(&applied)), LOG_S("keys", "are read again"));
    config_restart_keys(serving->config, fresh, &keys);
    if (keys.len)
        log_warn("reload.restart-needed", LOG_S("keys", buf_str(&keys)),
                 LOG_S("effect", "their values of the start stay in force until a restart"));
}

/* What can change without a restart are the keys that the table marks (CONFIG_RELOADED), and what lies where keys
 * are read from, which the daemon sees to. Everything else is read at start, and the operator is told what waits.
 * What does not load changes nothing. */
static err_t load_again(const struct serving *serving, struct http_server *server)
{
    _cleanup_(config_freep) struct config *fresh = NULL;
    TRY(config_load(serving->file, &fresh));
    TRY(http_server_reload_tls(server, &fresh->http_tls));
    log_set_level(fresh->log_level);
    tell(serving, fresh);
    return ERR_OK;
}

static void reload(void *arg, struct http_server *server)
{
    struct err e = load_again(arg, server);
    if (!err_ok(e))
        log_err(e, "reload.refused",
                LOG_S("effect", "the old configuration stays"));
}

/* All that can be told without the token, which is asked nothing: its PIN has few tries. */
static err_t check(const char *file, const struct config *c)
{
    _cleanup_(acl_freep) struct acl *acl = NULL;
    TRY(acl_new(c->admin_acls, c->admin_acl_count, &acl));
    if (c->http_tls.certificate) TRY(http_tls_check(&c->http_tls));
    log_set_level(LOG_LEVEL_WARN);
    TRY(broker_check(c));
    daemon_warn_of_plain(c);
    printf("%s is right; %s looked at by a start\n", file,
           c->attestation_signer_uri ? "the token, the signing key on it and whose tokens are believed are"
                                     : "the token is");
    return ERR_OK;
}

struct err cmd_serve(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT;
    bool only_check = false, defaults = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration (default " CONFIG_DEFAULT ")"},
        {"check-config", 0, OPT_FLAG, &only_check, NULL,
         "say if the configuration, and the files that it names, are right; end"},
        {"print-defaults", 0, OPT_FLAG, &defaults, NULL, "print every key with its default, end"},
        {0},
    };
    TRY(opt_parse(self, table, "", NULL, argc, argv, 0, 0, NULL));
    if (defaults) {
        config_print_defaults(stdout);
        return ERR_OK;
    }
    _cleanup_(config_freep) struct config *config = NULL;
    TRY(config_load(config_file, &config));
    if (only_check) return check(config_file, config);
    log_set_level(config->log_level);
    struct serving serving = {.file = config_file, .config = config};
    struct daemon_hooks hooks = {.reload = reload, .arg = &serving};
    return daemon_run(config, "strongroom serve", &hooks);
}
