/* strongroom audit: tail, verify. They read the file alone: no broker and no token is needed. */
#include "broker/audit/chain.h"
#include "broker/base/cleanup.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/cmd/cmd.h"
#include "broker/config/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERIFY_FILES 64u
#define TAIL_RECORDS 1000000u

/* ---- which file ---------------------------------------------------------------------------------- */

static err_t file_of(const char *operand, const char *config_file, char **ret)
{
    _cleanup_(config_freep) struct config *config = NULL;
    if (!operand) TRY(config_load(config_file, &config));
    const char *path = operand ? operand : config->audit_file;
    if (!*path) FAIL(ERR_USAGE, "%s names no audit.file; give the file", config_file);
    *ret = strdup(path);
    if (!*ret) FAIL(ERR_INTERNAL, "out of memory");
    return ERR_OK;
}

static err_t open_read(const char *path, FILE **ret)
{
    *ret = fopen(path, "re");
    if (!*ret && errno == ENOENT) FAIL(ERR_NOTFOUND, "there is no audit file %s", path);
    struct stat st;
    if (!*ret) FAIL_ERRNO(ERR_USAGE, "cannot read %s", path);
    if (fstat(fileno(*ret), &st) == 0 && S_ISDIR(st.st_mode)) FAIL(ERR_USAGE, "%s is a folder", path);
    return ERR_OK;
}

DEFINE_CLEANUP(FILE, fclose);

/* ---- verify -------------------------------------------------------------------------------------- */

struct teller { const char *path; uint64_t told; };

static void tell(void *arg, uint64_t line, const char *problem)
{
    struct teller *t = arg;
    if (t->told++ < AUDIT_PROBLEMS_MAX) printf("%s:%" PRIu64 ": %s\n", t->path, line, problem);
}

static err_t verify_file(const char *path, struct chain_report *report)
{
    _cleanup_(fclosep) FILE *f = NULL;
    TRY(open_read(path, &f));
    struct teller teller = {.path = path};
    bool follows = report->records > 0;
    TRYC(chain_verify(f, report, tell, &teller), "%s", path);
    if (teller.told > AUDIT_PROBLEMS_MAX)
        printf("%s: %" PRIu64 " more problems\n", path, teller.told - AUDIT_PROBLEMS_MAX);
    if (!follows && report->records && !chain_is_start(&report->before))
        printf("%s: the first record follows %s, which is in an older file\n", path,
               report->before.hex);
    return ERR_OK;
}

static err_t verify_all(const char *const *files, size_t count, const char *head)
{
    struct chain_report report = {0};
    for (size_t i = 0; i < count; i++) TRY(verify_file(files[i], &report));
    printf("%" PRIu64 " records of %" PRIu64 " runs, %s to %s\nhead %s\n", report.records,
           report.runs, report.records ? report.first : "-", report.records ? report.last : "-",
           report.head.hex);
    if (report.torn) printf("%" PRIu64 " torn lines\n", report.torn);
    if (head && strcmp(head, report.head.hex) != 0)
        FAIL(ERR_DAMAGED, "the head is another than %s: records at the end are missing, or were "
                          "added since", head);
    if (report.problems)
        FAIL(ERR_DAMAGED, "the chain is broken in %" PRIu64 " places", report.problems);
    return ERR_OK;
}

struct err cmd_audit_verify(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *head = NULL, *operands[VERIFY_FILES] = {NULL};
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration; its audit.file without FILE"},
        {"head", 0, OPT_TEXT, &head, "HASH", "what the last record must be, as the log told it"},
        {0},
    };
    TRY(opt_parse(self, table, "[FILE...]",
                  "Rotated files are given oldest first. Each record holds the hash of the one before\n"
                  "it: what was changed, removed or put in between shows. What was cut off the end\n"
                  "shows only against --head.", argc, argv, 0, VERIFY_FILES, operands));
    if (operands[0]) {
        size_t count = 0;
        while (count < VERIFY_FILES && operands[count]) count++;
        return verify_all(operands, count, head);
    }
    _cleanup_free_ char *path = NULL;
    TRY(file_of(NULL, config_file, &path));
    return verify_all((const char *const *) &path, 1, head);
}

/* ---- tail ---------------------------------------------------------------------------------------- */

struct filter {
    const char *action, *decision, *resource; /* NULL: any */
    bool json;
};

static const char *member(struct json record, const char *name)
{
    const char *text = json_string(json_get(record, name));
    return text ? text : "";
}

static bool wanted(const struct filter *f, struct json record)
{
    if (f->action && strcmp(f->action, member(record, "action")) != 0) return false;
    if (f->decision && strcmp(f->decision, member(record, "decision")) != 0) return false;
    return !f->resource || strstr(member(record, "resource"), f->resource);
}

static void print_text(struct json record, const char *name, int width)
{
    char safe[AUDIT_MEMBER_MAX];
    printf("  %-*s", width, log_escape(safe, sizeof safe, span_str(member(record, name))));
}

static bool passes(const struct filter *f, struct span line)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    return err_ok(json_parse(line, &doc)) && wanted(f, json_root(doc));
}

static void show(const struct filter *f, struct span line)
{
    _cleanup_json_ struct json_doc *doc = NULL;
    if (!err_ok(json_parse(line, &doc))) return; /* `verify` speaks of those */
    struct json record = json_root(doc);
    if (!wanted(f, record)) return;
    if (f->json) {
        printf("%.*s\n", (int) line.len, (const char *) line.data);
        return;
    }
    printf("%-24s", member(record, "time"));
    print_text(record, "action", 12);
    print_text(record, "decision", 7);
    print_text(record, "principal", 24);
    print_text(record, "resource", 28);
    print_text(record, "reason", 0);
    putchar('\n');
}

/* The place from which `count` whole lines are left: read from the end in blocks. */
static err_t seek_last(FILE *f, unsigned count)
{
    if (fseeko(f, 0, SEEK_END) != 0) FAIL_ERRNO(ERR_USAGE, "cannot read the audit file backwards");
    off_t at = ftello(f);
    char block[4096];
    unsigned seen = 0;
    while (at > 0) {
        off_t len = at < (off_t) sizeof block ? at : (off_t) sizeof block;
        at -= len;
        if (fseeko(f, at, SEEK_SET) != 0 || fread(block, 1, (size_t) len, f) != (size_t) len)
            FAIL_ERRNO(ERR_INTERNAL, "cannot read the audit file");
        for (off_t i = len; i-- > 0;)
            if (block[i] == '\n' && seen++ == count) return fseeko(f, at + i + 1, SEEK_SET) == 0
                ? ERR_OK : ERR_MAKE(ERR_INTERNAL, "cannot read the audit file");
    }
    rewind(f);
    return ERR_OK;
}

/* Likewise, of those that the filter lets through: the file is read from its beginning. */
static err_t seek_last_wanted(FILE *f, const struct filter *filter, unsigned count)
{
    _cleanup_free_ off_t *starts = calloc(count + 1u, sizeof *starts); /* of the last `count`, in a ring */
    struct chain_reader lines = {.file = f};
    uint64_t seen = 0;
    bool more = false;
    if (!starts) FAIL(ERR_INTERNAL, "out of memory");
    struct err e = ERR_OK;
    off_t at = 0;
    for (; err_ok(e = chain_next(&lines, &more)) && more && lines.whole; at = ftello(f))
        if (count && passes(filter, buf_span(&lines.line))) starts[seen++ % count] = at;
    buf_free(&lines.line);
    TRY(e);
    off_t from = !seen ? at : starts[seen > count ? seen % count : 0];
    return fseeko(f, from, SEEK_SET) == 0 ? ERR_OK : ERR_MAKE(ERR_INTERNAL, "cannot read the audit file");
}

/* Shows whole lines up to the end; a line still being written is left for the next time. */
static err_t show_rest(FILE *f, const struct filter *filter)
{
    struct chain_reader lines = {.file = f};
    struct err e = ERR_OK;
    for (;;) {
        off_t before = ftello(f);
        bool more = false;
        e = chain_next(&lines, &more);
        if (err_ok(e) && more && lines.whole) {
            show(filter, buf_span(&lines.line));
            continue;
        }
        clearerr(f);
        if (err_ok(e) && fseeko(f, before, SEEK_SET) != 0)
            e = ERR_MAKE(ERR_INTERNAL, "cannot read the audit file");
        break;
    }
    buf_free(&lines.line);
    fflush(stdout);
    return e;
}

/* Another file has the name, and records in it: as long as it is empty, the broker may still write into the
 * old one (a rotation makes the new file first and tells the broker after). */
static bool was_replaced(FILE *f, const char *path)
{
    struct stat held, named;
    return stat(path, &named) == 0 && named.st_size > 0 && fstat(fileno(f), &held) == 0 &&
           (held.st_ino != named.st_ino || held.st_dev != named.st_dev);
}

/* Waits for changes below the file's folder, so that a new file after a rotation is seen too. */
static err_t follow(FILE **f, const char *path, const struct filter *filter)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int) (slash - path + 1) : 1, slash ? path : ".");
    _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        FAIL_ERRNO(ERR_INTERNAL, "cannot watch %s", folder);
    for (;;) {
        TRY(show_rest(*f, filter));
        if (was_replaced(*f, path)) {
            TRY(show_rest(*f, filter)); /* what came between the end above and the change */
            fclose(*f);
            TRY(open_read(path, f));
            continue;
        }
        if (ferror(stdout)) return ERR_OK; /* nobody reads any more */
        char events[4096];
        if (read(fd, events, sizeof events) < 0 && errno != EINTR)
            FAIL_ERRNO(ERR_INTERNAL, "cannot watch %s", folder);
    }
}

#define DECISIONS "allow, deny, error, missing or done"

static err_t check_decision(const char *word)
{
    static const char *const known[] = {"allow", "deny", "error", "missing", "done"};
    for (size_t i = 0; word && i < sizeof known / sizeof *known; i++)
        if (strcmp(word, known[i]) == 0) return ERR_OK;
    if (word) FAIL(ERR_USAGE, "--decision is " DECISIONS);
    return ERR_OK;
}

struct err cmd_audit_tail(const struct command *self, int argc, char **argv)
{
    const char *config_file = CONFIG_DEFAULT, *format = "table", *operands[1];
    unsigned count = 10;
    bool keep = false;
    struct filter filter = {0};
    const struct opt table[] = {
        {"config", 'c', OPT_TEXT, &config_file, "FILE", "configuration; its audit.file without FILE"},
        {"lines", 'n', OPT_NUMBER, &count, "N", "how many of the last records that fit (10)"},
        {"follow", 'f', OPT_FLAG, &keep, NULL, "go on with new records, over rotations"},
        {"action", 0, OPT_TEXT, &filter.action, "WORD", "only this action: release, put, set-policy, ..."},
        {"decision", 0, OPT_TEXT, &filter.decision, "WORD", "only " DECISIONS},
        {"resource", 0, OPT_TEXT, &filter.resource, "TEXT", "only resources whose name contains this"},
        {"format", 0, OPT_TEXT, &format, "FORMAT", "table or json (the lines as they are)"},
        {0},
    };
    TRY(opt_parse(self, table, "[FILE]", NULL, argc, argv, 0, 1, operands));
    TRY(opt_format(format, &filter.json));
    TRY(check_decision(filter.decision));
    if (count > TAIL_RECORDS) FAIL(ERR_USAGE, "--lines is at most %u", TAIL_RECORDS);
    _cleanup_free_ char *path = NULL;
    TRY(file_of(operands[0], config_file, &path));
    _cleanup_(fclosep) FILE *f = NULL;
    TRY(open_read(path, &f));
    bool any = !filter.action && !filter.decision && !filter.resource;
    TRY(any ? seek_last(f, count) : seek_last_wanted(f, &filter, count));
    return keep ? follow(&f, path, &filter) : show_rest(f, &filter);
}
