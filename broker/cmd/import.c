/* strongroom import: from an existing KBS onto the token */
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/cmd/import_batch.h"
#include "broker/cmd/import_report.h"
#include "broker/cmd/import_source.h"
#include "broker/cmd/import_target.h"

#include <stdio.h>
#include <string.h>

#define WHO "strongroom import"
#define ELSEWHERE "guests are not appraised here (attestation_service.verifier); set it where they are"

struct importing {
    const char *config_file;
    bool apply, replace;
    struct import_source *source;
    struct config *config;
    struct vault *vault;
    struct import_report report;
    struct import_batch batch;
};

/* ---- first walk: what there is ------------------------------------------------------------- */

/* Attestation policies and reference values are for whoever appraises. */
static bool has_no_use(const struct importing *im, const struct import_item *item)
{
    bool appraisal = item->kind == IMPORT_ATTESTATION_POLICY || item->kind == IMPORT_REFERENCE_VALUE;
    return appraisal && im->config->attestation_verifier != CONFIG_VERIFIER_SAMPLE;
}

static err_t survey(void *arg, const struct import_item *item)
{
    struct importing *im = arg;
    struct import_item seen = *item;
    if (!seen.skip && has_no_use(im, item)) seen.skip = ELSEWHERE;
    return import_report_add(&im->report, &seen);
}

/* ---- second walk: compare and write --------------------------------------------------------- */

/* What a store or policy says of one entry alone; the others may go on. */
static bool is_of_one(struct err e)
{
    return e.code == ERR_USAGE || e.code == ERR_TOOLARGE || e.code == ERR_DAMAGED ||
           e.code == ERR_CONFLICT || e.code == ERR_PRECONDITION;
}

static enum import_result result_of(struct err e)
{
    if (e.code == ERR_CONFLICT || e.code == ERR_PRECONDITION) return IMPORT_CLASHES;
    return e.code == ERR_DAMAGED ? IMPORT_FAILED : IMPORT_SKIPPED;
}

static err_t set(struct importing *im, struct import_line *line, enum import_result result)
{
    return import_report_set(&im->report, line, result, "");
}

/* What concerns one entry alone is told in its line. */
static err_t settle(struct importing *im, struct import_line *line, struct err e)
{
    if (!is_of_one(e)) return e;
    char reason[ERR_TEXT];
    snprintf(reason, sizeof reason, "%s", err_reason(e)); /* the next error would overwrite it */
    return import_report_set(&im->report, line, result_of(e), reason);
}

static err_t told(void *arg, const struct import_waiting *w, struct err e)
{
    struct importing *im = arg;
    return err_ok(e) ? set(im, w->line, w->result) : settle(im, w->line, e);
}

static err_t send_batch(struct importing *im)
{
    return import_batch_send(&im->batch, im->vault, told, im);
}

/* What stands in the way of a value; NULL: nothing does. */
static const char *obstacle(enum import_state state)
{
    static const char *const obstacles[] = {
        [IMPORT_DELETED] = "it was deleted here; --replace brings it back",
        [IMPORT_EXPIRED] = "it expired here; --replace brings it back, without an end",
        [IMPORT_DIFFERS] = "another value is here",
    };
    return obstacles[state];
}

static err_t take(struct importing *im, struct import_line *line, const struct import_item *item)
{
    struct import_found found = {0};
    TRY(import_look(im->vault, item, &found));
    const char *over = obstacle(found.state);
    if (found.state == IMPORT_SAME) return set(im, line, IMPORT_IS_SAME);
    TRY(import_check(item));
    if (over && !im->replace) return import_report_set(&im->report, line, IMPORT_CLASHES, over);
    if (!im->apply) return set(im, line, over ? IMPORT_WOULD_REPLACE : IMPORT_WOULD);
    enum import_result done = over ? IMPORT_REPLACED : IMPORT_TAKEN;
    if (import_batch_takes(item)) return import_batch_add(&im->batch, item, &found, line, done);
    TRY(import_write(im->vault, item, &found));
    return set(im, line, done);
}

static err_t act(void *arg, const struct import_item *item)
{
    struct importing *im = arg;
    struct import_line *line = import_report_find(&im->report, item);
    if (!line) return ERR_OK; /* told as skipped, or it came after the first look */
    if (item->skip) return import_report_set(&im->report, line, IMPORT_SKIPPED, item->skip);
    line->bytes = secret_len(item->value);
    /* Before, so that a failure of others is not told of this one. */
    if (import_batch_takes(item) && import_batch_is_full(&im->batch, item)) TRY(send_batch(im));
    return settle(im, line, take(im, line, item));
}

static err_t close_gaps(struct importing *im)
{
    for (struct import_line *l = im->report.first; l; l = l->next)
        if (l->result == IMPORT_PENDING)
            TRY(import_report_set(&im->report, l, IMPORT_SKIPPED, "it has gone meanwhile"));
    return ERR_OK;
}

/* ---- third walk: read back ------------------------------------------------------------------ */

static bool is_here(const struct import_line *l)
{
    return l->result == IMPORT_TAKEN || l->result == IMPORT_REPLACED || l->result == IMPORT_IS_SAME;
}

static err_t verify(void *arg, const struct import_item *item)
{
    struct importing *im = arg;
    struct import_found found = {0};
    struct import_line *line = import_report_find(&im->report, item);
    if (!line || !is_here(line) || item->skip) return ERR_OK;
    struct err e = import_look(im->vault, item, &found);
    if (!err_ok(e) && !is_of_one(e)) return e;
    line->verified = err_ok(e) && found.state == IMPORT_SAME;
    return ERR_OK;
}

/* Through another opening: nothing that the first one kept in memory can answer for the token. */
static err_t read_back(struct importing *im)
{
    vault_close(TAKE_PTR(im->vault));
    TRY(vault_open(im->config, WHO, &im->vault));
    const struct import_walk walk = {.values = true, .visit = verify, .arg = im};
    TRY(import_source_walk(im->source, &walk));
    for (struct import_line *l = im->report.first; l; l = l->next)
        if (is_here(l) && !l->verified)
            TRY(import_report_set(&im->report, l, IMPORT_FAILED,
                                  "what is read back is not what the KBS has; did one of them change "
                                  "meanwhile? Import again"));
    return ERR_OK;
}

/* ---- the command ---------------------------------------------------------------------------- */

static void importing_done(struct importing *im)
{
    import_batch_free(&im->batch);
    vault_close(im->vault);
    config_free(im->config);
    import_source_close(im->source);
    import_report_free(&im->report);
}

static err_t look_and_act(struct importing *im)
{
    const struct import_walk first = {.visit = survey, .arg = im};
    const struct import_walk second = {.values = true, .visit = act, .arg = im};
    TRY(import_source_walk(im->source, &first));
    TRY(import_source_walk(im->source, &second));
    TRY(send_batch(im));
    TRY(close_gaps(im));
    return im->apply ? read_back(im) : ERR_OK;
}

static err_t print(struct importing *im, bool json)
{
    _cleanup_buf_ struct buf out = {.max = 64u << 20};
    if (json) import_report_json(&im->report, im->apply, &out);
    else import_report_text(&im->report, &out);
    TRY(buf_ok(&out));
    return file_write_all(STDOUT_FILENO, buf_span(&out));
}

static void print_summary(const struct importing *im)
{
    const char *between = "";
    fprintf(stderr, "%s: ", im->apply ? "import" : "dry run");
    for (enum import_result i = IMPORT_PENDING; i < IMPORT_RESULTS; i++) {
        size_t n = import_report_count(&im->report, i);
        if (n) fprintf(stderr, "%s%zu %s", between, n, import_result_name(i));
        if (n) between = ", ";
    }
    fprintf(stderr, "%s%s\n", between[0] ? "" : "nothing to take",
            im->apply ? "" : "; nothing was written, --apply does it");
}

/* What was done is told in any case; what went wrong goes to main. */
static err_t run(struct importing *im, bool json)
{
    struct err_chain chain;
    struct err e = look_and_act(im);
    err_save(e, &chain);
    TRY(print(im, json));
    print_summary(im);
    if (!err_ok(e)) return err_load(&chain);
    return import_report_verdict(&im->report);
}

static const char more_help[] =
    "WHAT is a store of Trustee's KBS: its folder (LocalFs, LocalJson, nested <repository>/<type>/<tag>,\n"
    "or as Kubernetes mounts it), its configuration, which says where it is, or the URL of its\n"
    "PostgreSQL. Takes resources, the resource policy, attestation policies and reference values;\n"
    "changes nothing there. Without --apply it tells what would be done. With it, everything that was\n"
    "written or is there already is read back through a fresh opening and compared. It can be run\n"
    "again, and goes on where it was interrupted.\n"
    "Exit code 9: some entries cannot be taken; 5: some have another value here; 8: some were not read\n"
    "back as they should be.";

struct err cmd_import(const struct command *self, int argc, char **argv)
{
    const char *from = NULL, *policy = NULL, *format = "table";
    bool json = false, dry_run = false;
    _cleanup_(importing_done) struct importing im = {.config_file = CONFIG_DEFAULT};
    const struct opt table[] = {
        {"from-kbs", 0, OPT_TEXT, &from, "WHAT", "a folder, a KBS configuration or a postgresql:// URL"},
        {"policy", 0, OPT_TEXT, &policy, "FILE", "the resource policy of a KBS until v0.18"},
        {"config", 'c', OPT_TEXT, &im.config_file, "FILE", "configuration of ours"},
        {"apply", 0, OPT_FLAG, &im.apply, NULL, "do it"},
        {"dry-run", 0, OPT_FLAG, &dry_run, NULL, "only tell what would be done (the default)"},
        {"replace", 0, OPT_FLAG, &im.replace, NULL, "where another value is here, take the KBS's"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json"},
        {"json", 0, OPT_FLAG, &json, NULL, "the same as --format json"},
        {0},
    };
    TRY(opt_parse(self, table, "--from-kbs WHAT", more_help, argc, argv, 0, 0, NULL));
    if (!json) TRY(opt_format(format, &json));
    if (!from) FAIL(ERR_USAGE, "--from-kbs is missing: which store? see --help");
    if (im.apply && dry_run) FAIL(ERR_USAGE, "--apply and --dry-run exclude each other");
    TRY(config_load(im.config_file, &im.config));
    TRY(import_source_open(from, policy, &im.source));
    fprintf(stderr, "%s", import_source_notes(im.source));
    /* As a broker of our own would have it: beside a value of full size one that is read back. */
    TRY(secret_init(im.config->memory_locked_bytes, im.config->memory_best_effort, false));
    TRY(vault_open(im.config, WHO, &im.vault));
    return run(&im, json);
}
