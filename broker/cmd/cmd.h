/* The commands: one file each, one table (main.c). The only folder that joins http and api.
 *
 * Data goes to stdout, the log and errors to stderr. Exit codes (err.c): 0 done, 1 internal,
 * 2 usage, 3 not found, 4 not allowed, 5 conflict or lock, 6 token or broker unavailable,
 * 7 a person must act (PIN), 8 stored data damaged, 9 done, but something was left out. */
#pragma once

#include "broker/base/err.h"

#define CONFIG_DEFAULT "/etc/strongroom/strongroom.yaml"

struct command {
    const char *group;    /* "token", "token keypair", or NULL for a command of its own */
    const char *name;
    const char *summary;  /* one line; NULL: not listed */
    err_t (*run)(const struct command *self, int argc, char **argv);
};

extern const struct command commands[];
extern const size_t command_count;

/* ---- options ------------------------------------------------------------------------------ */

enum opt_kind { OPT_FLAG, OPT_TEXT, OPT_NUMBER, OPT_LIST };

#define OPT_LIST_MAX 16

/* What an option that may be repeated was given, in that order. */
struct opt_list {
    const char *at[OPT_LIST_MAX];
    size_t count;
};

/* One row an option; NULL name ends the table. target: bool *, const char **, unsigned * or struct
 * opt_list *. */
struct opt {
    const char *name;
    char letter;          /* 0: none */
    enum opt_kind kind;
    void *target;
    const char *arg;      /* what help calls the argument */
    const char *help;
};

/* Parses argv by the table; operands land in ret_operands (at most max of them, at least min).
 * --help prints usage and exits 0. ERR_USAGE names the mistake. `operands` is for the usage line,
 * "NAME [FILE]". */
err_t opt_parse(const struct command *self, const struct opt *table, const char *operands,
                const char *more_help, int argc, char **argv, size_t min, size_t max,
                const char **ret_operands);

/* A version as an operator writes it: a number from 1 on. ERR_USAGE, with the command that shows them. */
err_t opt_version(const char *text, const char *shown_by, uint64_t *ret);

/* The header of --if-match: a version as ETag gives it, "3" in quotes or bare, 0 for none. text NULL:
 * the option was not given, and *ret_header is empty. ERR_USAGE for anything else: a condition that is
 * not understood must not pass for none. */
#define IF_MATCH_SIZE 40
err_t opt_if_match(const char *text, char ret_header[IF_MATCH_SIZE]);

/* Whether --format says json; ERR_USAGE for anything but table and json. */
err_t opt_format(const char *format, bool *ret_json);

/* The exit code of a command that ends with `code`, after what it printed is written. If that fails, which
 * is said on stderr, it is that of an internal error where code is 0. */
int finish_output(int code);

/* The commands */
err_t cmd_serve(const struct command *self, int argc, char **argv);
err_t cmd_dev(const struct command *self, int argc, char **argv);
err_t cmd_status(const struct command *self, int argc, char **argv);
err_t cmd_token_init(const struct command *self, int argc, char **argv);
err_t cmd_token_status(const struct command *self, int argc, char **argv);
err_t cmd_token_verify(const struct command *self, int argc, char **argv);
err_t cmd_keypair_create(const struct command *self, int argc, char **argv);
err_t cmd_keypair_list(const struct command *self, int argc, char **argv);
err_t cmd_kek_create(const struct command *self, int argc, char **argv);
err_t cmd_kek_list(const struct command *self, int argc, char **argv);
err_t cmd_kek_rotate(const struct command *self, int argc, char **argv);
err_t cmd_kek_rm(const struct command *self, int argc, char **argv);
err_t cmd_resource_put(const struct command *self, int argc, char **argv);
err_t cmd_resource_get(const struct command *self, int argc, char **argv);
err_t cmd_resource_list(const struct command *self, int argc, char **argv);
err_t cmd_resource_rm(const struct command *self, int argc, char **argv);
err_t cmd_resource_versions(const struct command *self, int argc, char **argv);
err_t cmd_resource_restore(const struct command *self, int argc, char **argv);
err_t cmd_resource_purge(const struct command *self, int argc, char **argv);
err_t cmd_policy_set(const struct command *self, int argc, char **argv);
err_t cmd_policy_get(const struct command *self, int argc, char **argv);
err_t cmd_policy_list(const struct command *self, int argc, char **argv);
err_t cmd_policy_rollback(const struct command *self, int argc, char **argv);
err_t cmd_policy_diff(const struct command *self, int argc, char **argv);
err_t cmd_policy_dry_run(const struct command *self, int argc, char **argv);
err_t cmd_policy_check(const struct command *self, int argc, char **argv);
err_t cmd_policy_eval(const struct command *self, int argc, char **argv);
err_t cmd_policy_explain(const struct command *self, int argc, char **argv);
err_t cmd_policy_test(const struct command *self, int argc, char **argv);
err_t cmd_policy_fmt(const struct command *self, int argc, char **argv);
err_t cmd_policy_bench(const struct command *self, int argc, char **argv);
err_t cmd_reference_value_set(const struct command *self, int argc, char **argv);
err_t cmd_reference_value_get(const struct command *self, int argc, char **argv);
err_t cmd_reference_value_list(const struct command *self, int argc, char **argv);
err_t cmd_reference_value_rm(const struct command *self, int argc, char **argv);
err_t cmd_audit_tail(const struct command *self, int argc, char **argv);
err_t cmd_audit_verify(const struct command *self, int argc, char **argv);
err_t cmd_admin_keygen(const struct command *self, int argc, char **argv);
err_t cmd_admin_token(const struct command *self, int argc, char **argv);
err_t cmd_import(const struct command *self, int argc, char **argv);
err_t cmd_config_convert(const struct command *self, int argc, char **argv);
err_t cmd_token_helper(const struct command *self, int argc, char **argv);
err_t cmd_fetch(const struct command *self, int argc, char **argv);
