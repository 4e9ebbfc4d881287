/* strongroom policy check */
#include "broker/api/appraiser.h"
#include "broker/api/diagnostics.h"
#include "broker/api/policy_lint.h"
#include "broker/base/file.h"
#include "broker/builtins/builtins.h"
#include "broker/cmd/policy_case.h"
#include "broker/cmd/policy_report.h"

#include <stdio.h>
#include <unistd.h>

/* What is known of one file. */
struct checking {
    const char *file;
    struct rego_errors errors, warnings;
    bool refused;
};

/* ---- one file ----------------------------------------------------------------------------------- */

static err_t check_attestation(struct span text, bool strict, struct checking *ret)
{
    bool unusable = false;
    struct err e = appraiser_check_text(text, &ret->errors, &ret->warnings, &unusable);
    if (!err_ok(e) && e.code != ERR_USAGE) return e;
    ret->refused = !err_ok(e) || unusable || (strict && ret->warnings.count);
    return ERR_OK;
}

static err_t check(const char *file, bool attestation, bool strict, struct checking *ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    *ret = (struct checking) {.file = file};
    TRY(policy_case_read(file, &text));
    if (attestation) return check_attestation(buf_span(&text), strict, ret);
    const struct rego_module module = {POLICY_MODULE, (const char *) text.data, text.len};
    struct policy *policy = policy_compile(module.text, module.len, builtins_host(), &ret->errors);
    if (policy) policy_lint(&module, &ret->warnings);
    ret->refused = !policy || (strict && ret->warnings.count);
    policy_free(policy);
    return ERR_OK;
}

static void print(const struct checking *c, bool strict)
{
    policy_report(stderr, c->file, POLICY_ERROR, &c->errors);
    policy_report(stderr, c->file, strict ? POLICY_ERROR : POLICY_WARNING, &c->warnings);
    if (!c->refused) printf("%s: ok\n", c->file);
}

static void print_json(const struct checking *c, struct json_out *o)
{
    json_begin_object(o);
    json_member_str(o, "file", c->file);
    json_member_bool(o, "ok", !c->refused);
    diagnostics_members(&c->errors, o);
    diagnostics_list("warnings", &c->warnings, o);
    json_end_object(o);
}

/* ---- the command -------------------------------------------------------------------------------- */

struct wanted {
    bool attestation, strict, json;
};

static err_t check_all(const char *const *files, size_t count, struct wanted w, size_t *ret_refused)
{
    _cleanup_buf_ struct buf text = BUF_INIT;
    struct json_out o = JSON_OUT(&text);
    json_begin_object(&o);
    json_key(&o, "files");
    json_begin_array(&o);
    for (size_t i = 0; i < count; i++) {
        struct checking c;
        TRY(check(files[i], w.attestation, w.strict, &c));
        *ret_refused += c.refused;
        if (w.json) print_json(&c, &o);
        else print(&c, w.strict);
    }
    json_end_array(&o);
    json_end_object(&o);
    buf_add_str(&text, "\n");
    TRY(buf_ok(&text));
    return w.json ? file_write_all(STDOUT_FILENO, buf_span(&text)) : ERR_OK;
}

struct err cmd_policy_check(const struct command *self, int argc, char **argv)
{
    const char *operands[POLICY_FILES_MAX], *format = "table";
    struct wanted w = {0};
    const struct opt table[] = {
        {"attestation", 0, OPT_FLAG, &w.attestation, NULL, "they are attestation policies"},
        {"strict", 0, OPT_FLAG, &w.strict, NULL, "warnings refuse too"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {0},
    };
    TRY(opt_parse(self, table, "FILE...",
                  "Compiles each file as a release policy, all of it: every error at once, with its line.\n"
                  "Exit code 2 when one is refused.",
                  argc, argv, 1, POLICY_FILES_MAX, operands));
    TRY(opt_format(format, &w.json));
    size_t count = 0, refused = 0;
    while (count < POLICY_FILES_MAX && operands[count]) count++;
    TRY(check_all(operands, count, w, &refused));
    if (refused) FAIL(ERR_USAGE, "%zu of %zu policies refused", refused, count);
    return ERR_OK;
}
