/* strongroom policy diff */
#include "broker/base/file.h"
#include "broker/base/limits.h"
#include "broker/base/line_diff.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/policy_history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One of the two: a version that is stored, or a file. */
struct side {
    const char *file;   /* NULL: a version */
    uint64_t version;   /* 0: the one in force */
    char name[200];     /* in the head of the diff */
    struct buf text;
};

static void side_done(struct side *s) { buf_free(&s->text); }

/* Digits are a version; a file of such a name is written ./3. */
static bool is_file(const char *operand)
{
    return operand && (!operand[0] || operand[strspn(operand, "0123456789")] != '\0');
}

static err_t side_of(const char *operand, struct side *ret)
{
    if (!is_file(operand)) return opt_version(operand, "strongroom policy list", &ret->version);
    ret->file = operand;
    return ERR_OK;
}

static err_t read_side(struct vault *vault, struct side *s)
{
    s->text.max = POLICY_MAX;
    if (s->file) {
        log_escape(s->name, sizeof s->name, span_str(s->file));
        return file_read(s->file, POLICY_MAX, &s->text);
    }
    _cleanup_(http_answer_free) struct http_answer answer = {0};
    TRY(policy_fetch(vault, NULL, s->version, &answer));
    snprintf(s->name, sizeof s->name, "policy version %s", answer.etag);
    buf_add_span(&s->text, secret_span(answer.body));
    return buf_ok(&s->text);
}

/* Without operands what the last change did; with one what lies between that and what is in force: a
 * version is older than it, a file may be to come. */
static err_t choose(struct vault *vault, const char *const operands[2], struct side *a,
                    struct side *b)
{
    char seen[32];
    if (operands[1]) {
        TRY(side_of(operands[0], a));
        return side_of(operands[1], b);
    }
    if (!operands[0]) return policy_find_previous(vault, NULL, &a->version, seen);
    TRY(side_of(operands[0], a));
    if (!a->file) return ERR_OK;
    *b = *a;
    *a = (struct side){0};
    return ERR_OK;
}

static err_t print_diff(const char *config_file, const char *const operands[2], bool *ret_differ)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_(vault_closep) struct vault *vault = NULL;
    _cleanup_(side_done) struct side a = {0}, b = {0};
    _cleanup_buf_ struct buf out = BUF_INIT;
    if (!is_file(operands[0]) || !is_file(operands[1])) /* two files need no vault */
        TRY(vault_open_file(config_file, "strongroom policy diff", &config, &vault));
    TRY(choose(vault, operands, &a, &b));
    TRY(read_side(vault, &a));
    TRY(read_side(vault, &b));
    TRY(line_diff(buf_span(&a.text), a.name, buf_span(&b.text), b.name, &out));
    *ret_differ = out.len > 0;
    return file_write_all(STDOUT_FILENO, buf_span(&out));
}

struct err cmd_policy_diff(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *operands[2];
    bool differ = false;
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration"},
        {0},
    };
    TRY(opt_parse(self, table, "[VERSION|FILE [VERSION|FILE]]",
                  "The differences as a unified diff. Without operands from the newest version that\n"
                  "says something else to the one in force; with one from VERSION to that in force,\n"
                  "or from that to FILE; with two from the first to the second. Digits are a\n"
                  "version; a file of such a name is ./3. Exits with 0 when there are none and with\n"
                  "1 when there are some.", argc, argv, 0, 2, operands));
    TRY(print_diff(config_file, operands, &differ));
    if (differ) exit(1); /* as diff(1); all is closed by now */
    return ERR_OK;
}
