/* strongroom config convert */
#include "broker/config/config.h"

#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/base/secret.h"
#include "broker/cmd/cmd.h"
#include "broker/config/kbs_convert.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static err_t write_out(const char *file, struct span text)
{
    struct stat st;
    if (!file) return file_write_all(STDOUT_FILENO, text);
    if (lstat(file, &st) == 0)
        FAIL(ERR_CONFLICT, "%s exists; nothing is overwritten, choose another name", file);
    if (errno != ENOENT) FAIL_ERRNO(ERR_USAGE, "cannot write %s", file);
    return file_write_atomic(file, text, 0644);
}

static void tell(const struct kbs_conversion *c)
{
    for (const struct kbs_note *n = c->notes; n; n = n->next)
        fprintf(stderr, "%s: %s: %s\n", n->left ? "not carried over" : "note", n->path, n->sentence);
}

struct err cmd_config_convert(const struct command *self, int argc, char **argv)
{
    const char *output = NULL, *operands[1];
    const struct opt table[] = {
        {"output", 'o', OPT_TEXT, &output, "FILE", "where it goes (default: standard output)"},
        {0},
    };
    TRY(opt_parse(self, table, "KBS-CONFIG",
                  "KBS-CONFIG is the configuration of Trustee's KBS, in TOML, YAML or JSON by the end of\n"
                  "its name, also an old one. What cannot be carried over stands as a comment beside its\n"
                  "place and in a list on standard error; then the exit code is 9. PINs and passwords are\n"
                  "never carried over. Look at the result, then: strongroom serve -c FILE --check-config",
                  argc, argv, 1, 1, operands));
    TRY(secret_init(SECRET_BUDGET_COMMAND, true, false)); /* such files hold PINs: no core dumps */
    _cleanup_(bump_free) struct bump arena = {0};
    _cleanup_(kbs_conversion_done) struct kbs_conversion c = {0};
    struct yaml_node *root = NULL;
    TRY(kbs_config_read(operands[0], &arena, &root));
    TRY(kbs_convert(root, operands[0], &c));
    TRY(write_out(output, buf_span(&c.yaml)));
    tell(&c);
    if (c.left)
        FAIL(ERR_PARTIAL, "%zu things could not be carried over; they are named above and in the "
             "result", c.left);
    return ERR_OK;
}
