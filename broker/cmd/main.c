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
    {"resource", "put", "store a resource from a file or standard input", cmd_resource_put},
    {"resource", "get", "read a resource (operators, on this host)", cmd_resource_get},
    {"resource", "list", "the resources, without their values", cmd_resource_list},
    {"resource", "rm", "delete a resource", cmd_resource_rm},
    {"policy", "set", "set the release policy from a file", cmd_policy_set},
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

static const struct command *find(int argc, char **argv, int *ret_skip)
{
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &commands[i];
        *ret_skip = c->group ? 2 : 1;
        if (argc <= *ret_skip) continue;
        if (strcmp(argv[1], c->group ? c->group : c->name) != 0) continue;
        if (!c->group || strcmp(argv[2], c->name) == 0) return c;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int skip = 1;
    const char *first = argc > 1 ? argv[1] : "help";
    if (strcmp(first, "--version") == 0) {
        printf("strongroom %s\n", STRONGROOM_VERSION);
        return 0;
    }
    bool help = strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 ||
                strcmp(first, "-h") == 0;
    if (help && argc > 2) { /* help token init = token init --help */
        char *again[] = {argv[0], argv[2], argc > 3 ? argv[3] : NULL, NULL};
        const struct command *c = find(argc > 3 ? 3 + 1 : 2 + 1, again, &skip);
        char *ask[] = {argv[0], (char *) "--help", NULL};
        if (c) return err_exit_code(c->run(c, 2, ask).code);
    }
    const struct command *c = help ? NULL : find(argc + 1, argv, &skip);
    if (!c) {
        print_overview(help ? stdout : stderr);
        if (help) return 0;
        fprintf(stderr, "\nstrongroom: there is no command \"%s%s%s\"\n", first,
                argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
        return err_exit_code(ERR_USAGE);
    }
    struct err e = c->run(c, argc - skip, argv + skip);
    if (!err_ok(e)) fprintf(stderr, "strongroom: %s\n", err_text(e));
    return err_exit_code(e.code);
}
