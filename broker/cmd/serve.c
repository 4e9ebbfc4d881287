/* strongroom serve */
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/daemon.h"

#include <stdio.h>
#include <unistd.h>

/* What can change without a restart today is the log level; everything else is read at start, and
 * the operator is told so. A file that does not load changes nothing. */
static void reload(void *arg)
{
    const char *file = arg;
    struct config *fresh = NULL;
    struct err e = config_load(file, &fresh);
    if (!err_ok(e)) {
        log_err(e, "reload.refused", LOG_S("effect", "the old configuration stays"));
        return;
    }
    log_set_level(fresh->log_level);
    log_info("reload.done", LOG_S("applied", "process.log_level"),
             LOG_S("other_changes", "need a restart"));
    config_free(fresh);
}

struct err cmd_serve(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT;
    bool check = false, defaults = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration (default " CONFIG_DEFAULT ")"},
        {"check-config", 0, OPT_FLAG, &check, NULL, "read the configuration, say if it is right, end"},
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
    if (check) {
        printf("%s is right\n", config_file);
        return ERR_OK;
    }
    log_set_level(config->log_level);
    char who[64];
    snprintf(who, sizeof who, "strongroom serve, pid %d", (int) getpid());
    struct daemon_hooks hooks = {.reload = reload, .arg = (void *) (uintptr_t) config_file};
    return daemon_run(config, who, &hooks);
}
