/* strongroom: picks the command and turns its error into one line and an exit code. */
#include "broker/cmd/cmd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_WORDS 3 /* at most, in a command's name */

const struct command commands[] = {
    {NULL, "serve", "run the broker", cmd_serve},
    {NULL, "dev", "run a throw-away broker on SoftHSM, for trying things out", cmd_dev},
    {NULL, "status", "how the running broker's token is, and what comes next", cmd_status},
    {"token", "init", "initialise a token and set its PINs", cmd_token_init},
    {"token", "status", "what the token says of itself", cmd_token_status},
    {"token", "verify", "open every object, and look whether anything is missing", cmd_token_verify},
    {"token keypair", "create", "make a key pair on the token, for wrap-key or for signing",
     cmd_keypair_create},
    {"token keypair", "list", "the key pairs on the token and their attributes", cmd_keypair_list},
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
    {NULL, "import", "take over the store of an existing KBS", cmd_import},
    {"config", "convert", "make a configuration from that of an existing KBS", cmd_config_convert},
    {NULL, "fetch", "be a guest: attest with sample evidence and fetch a resource", cmd_fetch},
    {NULL, "token-helper", NULL, cmd_token_helper}, /* for the broker alone */
};
const size_t command_count = sizeof commands / sizeof *commands;

static void print_command(const struct command *c, FILE *out)
{
    char name[40];
    if (!c->summary) return;
    snprintf(name, sizeof name, "%s%s%s", c->group ? c->group : "", c->group ? " " : "", c->name);
    fprintf(out, "  %-21s %s\n", name, c->summary);
}

static void print_overview(FILE *out)
{
    fprintf(out, "strongroom %s: secrets from a PKCS#11 token to attested workloads\n\n"
                 "usage: strongroom COMMAND [options]\n\ncommands:\n", STRONGROOM_VERSION);
    for (size_t i = 0; i < command_count; i++) print_command(&commands[i], out);
    fprintf(out, "\n`strongroom COMMAND --help` explains one; --version prints the version.\n"
                 "exit codes: 0 done, 1 internal error, 2 usage, 3 not found, 4 not allowed,\n"
                 "5 conflict or taken lock, 6 token or broker unavailable, 7 a person must act,\n"
                 "8 stored data damaged, 9 done, but something was left out\n");
}

/* How many of the words (NULL-ended) this name is, with blanks between its parts; 0: it is not. */
static int match(const char *name, char *const *words)
{
    for (int n = 0; words[n]; name++) {
        size_t len = strcspn(name, " ");
        if (strlen(words[n]) != len || strncmp(name, words[n], len) != 0) return 0;
        n++;
        name += len;
        if (!*name) return n;
    }
    return 0;
}

/* The command that these words begin with; *ret_words says how many of them. */
static const struct command *find(char *const *words, int *ret_words)
{
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &commands[i];
        int group = c->group ? match(c->group, words) : 0;
        if (c->group && !group) continue;
        int name = match(c->name, words + group);
        *ret_words = group + name;
        if (name) return c;
    }
    return NULL;
}

#define NAME_TEXT 120 /* bytes; what is longer is cut */

/* These words up to an option, with blanks between. */
static const char *join(char *const *words, char out[NAME_TEXT])
{
    size_t len = 0;
    out[0] = '\0';
    for (int n = 0; words[n] && n < COMMAND_WORDS && words[n][0] != '-' && len < NAME_TEXT; n++)
        len += (size_t) snprintf(out + len, NAME_TEXT - len, "%s%s", n ? " " : "", words[n]);
    return out;
}

/* The commands whose names begin so; whether there are any. */
static bool print_group(const char *word, FILE *out)
{
    size_t len = strlen(word);
    bool any = false;
    for (size_t i = 0; i < command_count; i++) {
        const char *group = commands[i].group;
        if (!group || strncmp(group, word, len) != 0 || (group[len] && group[len] != ' ')) continue;
        print_command(&commands[i], out);
        any = true;
    }
    return any;
}

static int unknown(char *const *words)
{
    char name[NAME_TEXT];
    if (!print_group(words[0], stderr)) print_overview(stderr);
    fprintf(stderr, "\nstrongroom: there is no command \"%s\"\n", join(words, name));
    return err_exit_code(ERR_USAGE);
}

/* `help`, `help token init`, `--help`. The latter two forms are `token init --help`. */
static int help(int argc, char **argv)
{
    static char option[] = "--help";
    char *ask[] = {argv[0], option, NULL}, name[NAME_TEXT];
    int words = 0;
    if (argc < 3) {
        print_overview(stdout);
        return 0;
    }
    const struct command *c = find(argv + 2, &words);
    if (!c) return print_group(join(argv + 2, name), stdout) ? 0 : unknown(argv + 2);
    return err_exit_code(c->run(c, 2, ask).code);
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int run(int argc, char **argv)
{
    int words = 0;
    char name[NAME_TEXT];
    const char *first = argc > 1 ? argv[1] : "help";
    if (strcmp(first, "--version") == 0) {
        printf("strongroom %s\n", STRONGROOM_VERSION);
        return 0;
    }
    if (strcmp(first, "help") == 0 || asks_for_help(first)) return help(argc, argv);
    const struct command *c = find(argv + 1, &words);
    if (!c && asks_for_help(argv[argc - 1]) && print_group(join(argv + 1, name), stdout)) return 0;
    if (!c) return unknown(argv + 1);
    struct err e = c->run(c, argc - words, argv + words);
    if (!err_ok(e)) fprintf(stderr, "strongroom: %s\n", err_text(e));
    return err_exit_code(e.code);
}

/* Whoever started us without them has them stay of no use: the first file or connection would be in their place, and
 * get what is printed and logged. */
static bool hold_standard_descriptors(void)
{
    int fd = STDIN_FILENO;
    for (; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) break;
    return fd > STDERR_FILENO;
}

int main(int argc, char **argv)
{
    if (!hold_standard_descriptors()) return err_exit_code(ERR_INTERNAL);
    return finish_output(run(argc, argv));
}
