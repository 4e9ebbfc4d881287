/* strongroom: picks the command and turns its error into one line and an exit code. */
#include "broker/cmd/cmd.h"

#include <stdio.h>
#include <string.h>

const struct command commands[] = {
    {NULL, "serve", "run the broker", cmd_serve},
    {NULL, "dev", "run a throw-away broker on SoftHSM, for trying things out", cmd_dev},
    {"token", "init", "initialise a token and set its PINs", cmd_token_init},
    {"token", "status", "what the token says of itself", cmd_token_status},
    {"kek", "create", "make the key-encryption key, or its next generation", cmd_kek_create},
    {"kek", "list", "the key-encryption keys and their attributes", cmd_kek_list},
    {"kek", "rotate", "make the next generation and move everything to it", cmd_kek_rotate},
    {"kek", "rm", "remove an old generation that nothing is under", cmd_kek_rm},
    {"resource", "put", "store a resource from a file or standard input", cmd_resource_put},
    {"resource", "get", "read a resource (operators, on this host)", cmd_resource_get},
    {"resource", "list", "the resources, without their values", cmd_resource_list},
    {"resource", "rm", "delete a resource", cmd_resource_rm},
    {"resource", "versions", "the versions of a resource that are kept", cmd_resource_versions},
    {"resource", "restore", "bring an older version back, or a deleted resource",
     cmd_resource_restore},
    {"resource", "purge", "take deleted and expired resources off the token", cmd_resource_purge},
    {"policy", "set", "set the release policy from a file", cmd_policy_set},
    {"policy", "get", "the text of the policy, or of an older version", cmd_policy_get},
    {"policy", "list", "the versions of the policy that are kept", cmd_policy_list},
    {"policy", "diff", "what differs between versions and files", cmd_policy_diff},
    {"policy", "dry-run", "what a policy would decide on recent requests, setting nothing",
     cmd_policy_dry_run},
    {"policy", "rollback", "put an older version of the policy in force again",
     cmd_policy_rollback},
    {"policy", "check", "compile policies and tell everything that is wrong", cmd_policy_check},
    {"policy", "fmt", "lay policies out, comments kept", cmd_policy_fmt},
    {"policy", "eval", "decide by a policy file, without a broker", cmd_policy_eval},
    {"policy", "explain", "why a policy decides as it does, with values", cmd_policy_explain},
    {"policy", "test", "run the tests of policies, with coverage", cmd_policy_test},
    {"policy", "bench", "time an evaluation", cmd_policy_bench},
    {"reference-value", "set", "what attestation policies compare evidence with",
     cmd_reference_value_set},
    {"reference-value", "get", "one of them", cmd_reference_value_get},
    {"reference-value", "list", "all of them", cmd_reference_value_list},
    {"reference-value", "rm", "remove one", cmd_reference_value_rm},
    {"audit", "tail", "the last records of the audit file, and new ones as they come", cmd_audit_tail},
    {"audit", "verify", "check the chain of the audit file", cmd_audit_verify},
    {"admin", "keygen", "make an operator's key pair", cmd_admin_keygen},
    {"admin", "token", "sign an operator's token", cmd_admin_token},
    {NULL, "fetch", "be a guest: attest with sample evidence and fetch a resource", cmd_fetch},
};
const size_t command_count = sizeof commands / sizeof *commands;

static void print_overview(FILE *out)
{
    fprintf(out, "strongroom %s: secrets from a PKCS#11 token to attested workloads\n\n"
                 "usage: strongroom COMMAND [options]\n\ncommands:\n", STRONGROOM_VERSION);
    for (size_t i = 0; i < command_count; i++) {
        char name[40];
        snprintf(name, sizeof name, "%s%s%s", commands[i].group ? commands[i].group : "",
                 commands[i].group ? " " : "", commands[i].name);
        fprintf(out, "  %-16s %s\n", name, commands[i].summary);
    }
    fprintf(out, "\n`strongroom COMMAND --help` explains one; --version prints the version.\n"
                 "exit codes: 0 done, 1 internal error, 2 usage, 3 not found, 4 not allowed,\n"
                 "5 conflict or taken lock, 6 token or broker unavailable, 7 a person must act,\n"
                 "8 stored data damaged\n");
}

/* By one word, or by two for a command of a group; *ret_words says how many were used. */
static const struct command *find(const char *first, const char *second, int *ret_words)
{
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &commands[i];
        *ret_words = c->group ? 2 : 1;
        if (!c->group && strcmp(first, c->name) == 0) return c;
        if (c->group && strcmp(first, c->group) == 0 && second && strcmp(second, c->name) == 0)
            return c;
    }
    return NULL;
}

static int unknown(const char *first, const char *second)
{
    print_overview(stderr);
    fprintf(stderr, "\nstrongroom: there is no command \"%s%s%s\"\n", first, second ? " " : "",
            second ? second : "");
    return err_exit_code(ERR_USAGE);
}

/* `help`, `help token init`, `--help`. The latter two forms are `token init --help`. */
static int help(int argc, char **argv)
{
    static char option[] = "--help";
    char *ask[] = {argv[0], option, NULL};
    int words = 0;
    if (argc < 3) {
        print_overview(stdout);
        return 0;
    }
    const struct command *c = find(argv[2], argc > 3 ? argv[3] : NULL, &words);
    if (!c) return unknown(argv[2], argc > 3 ? argv[3] : NULL);
    return err_exit_code(c->run(c, 2, ask).code);
}

int main(int argc, char **argv)
{
    int words = 0;
    const char *first = argc > 1 ? argv[1] : "help", *second = argc > 2 ? argv[2] : NULL;
    if (strcmp(first, "--version") == 0) {
        printf("strongroom %s\n", STRONGROOM_VERSION);
        return 0;
    }
    if (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return help(argc, argv);
    const struct command *c = find(first, second, &words);
    if (!c) return unknown(first, second);
    struct err e = c->run(c, argc - words, argv + words);
    if (!err_ok(e)) fprintf(stderr, "strongroom: %s\n", err_text(e));
    return err_exit_code(e.code);
}
