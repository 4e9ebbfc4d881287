#include "broker/audit/chain.h"

#include "broker/base/cleanup.h"
#include "broker/base/digest.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <string.h>

bool chain_is_start(const struct chain_link *l)
{
    return strspn(l->hex, "0") == CHAIN_HEX;
}

struct err chain_hash(struct span line, struct chain_link *ret)
{
    struct digest d = {0};
    TRY(digest_compute(DIGEST_SHA256, line, &d));
    digest_hex(&d, CHAIN_HEX / 2, ret->hex);
    return ERR_OK;
}

struct err chain_next(struct chain_reader *r, bool *ret_more)
{
    r->line.max = AUDIT_LINE_MAX;
    buf_reset(&r->line);
    int c = EOF;
    while ((c = getc_unlocked(r->file)) != EOF && c != '\n') buf_add_byte(&r->line, (uint8_t) c);
    if (ferror(r->file)) FAIL_ERRNO(ERR_INTERNAL, "cannot read the audit file");
    r->whole = c == '\n';
    *ret_more = r->whole || r->line.len > 0;
    if (!*ret_more) return ERR_OK;
    r->number++;
    TRYC(buf_ok(&r->line), "line %ju", (uintmax_t) r->number);
    return ERR_OK;
}

/* ---- verifying ---------------------------------------------------------------------------------- */

struct check {
    struct chain_report *report;
    void (*tell)(void *arg, uint64_t line, const char *problem);
    void *arg;
    uint64_t line;
    uint64_t foreign; /* number of a line that is no record, until the record of it comes; or 0 */
};

static void problem(struct check *c, const char *text)
{
    c->report->problems++;
    c->tell(c->arg, c->line, text);
}

static void check_link(struct check *c, struct json record)
{
    const char *prev = json_string(json_get(record, "prev"));
    struct chain_report *r = c->report;
    if (!prev || strlen(prev) != CHAIN_HEX) {
        problem(c, "the record has no link to the line before it");
        return;
    }
    /* A file may begin in the middle of a chain, after an older one that is not at hand. */
    if (!r->records && !r->torn)
        snprintf(r->before.hex, sizeof r->before.hex, "%s", prev);
    else if (strcmp(prev, r->head.hex) != 0)
        problem(c, "the link does not fit: the line before it was changed, or lines are missing");
}

static void check_sequence(struct check *c, struct json record)
{
    const char *run = json_string(json_get(record, "run"));
    int64_t seq = 0;
    if (!run || !json_int(json_get(record, "seq"), &seq)) {
        problem(c, "the record has no run or no seq");
        return;
    }
    struct chain_report *r = c->report;
    bool same = strcmp(run, r->run) == 0;
    if (!same) r->runs++;
    if (same && seq != r->seq + 1) problem(c, "seq does not follow that of the record before it");
    if (!same && seq != 1 && r->records) problem(c, "a run begins with another seq than 1");
    snprintf(r->run, sizeof r->run, "%s", run);
    r->seq = seq;
}

static void check_record(struct check *c, struct json record)
{
    struct chain_report *r = c->report;
    check_link(c, record);
    check_sequence(c, record);
    const char *action = json_string(json_get(record, "action"));
    bool of_torn = action && strcmp(action, "torn") == 0;
    if (c->foreign && !of_torn) problem(c, "the line before it is no record");
    c->foreign = 0;
    const char *time = json_string(json_get(record, "time"));
    snprintf(r->last, sizeof r->last, "%s", time ? time : "");
    if (!r->records) memcpy(r->first, r->last, sizeof r->first);
    r->records++;
}

static err_t check_line(struct check *c, struct chain_reader *lines)
{
    c->line = lines->number;
    _cleanup_json_ struct json_doc *doc = NULL;
    struct span text = buf_span(&lines->line);
    bool parsed = lines->whole && err_ok(json_parse(text, &doc)) &&
                  json_type(json_root(doc)) == JSON_OBJECT;
    if (parsed) {
        check_record(c, json_root(doc));
    } else {
        if (c->foreign) problem(c, "the line before it is no record");
        c->foreign = lines->number;
        c->report->torn++;
    }
    return chain_hash(text, &c->report->head);
}

struct err chain_verify(FILE *f, struct chain_report *report,
                        void (*tell)(void *arg, uint64_t line, const char *problem), void *arg)
{
    struct check c = {.report = report, .tell = tell, .arg = arg};
    struct chain_reader lines = {.file = f};
    if (!report->head.hex[0]) report->before = report->head = CHAIN_START;
    bool more = false;
    struct err e = ERR_OK;
    do {
        e = chain_next(&lines, &more);
        if (err_ok(e) && more) e = check_line(&c, &lines);
    } while (err_ok(e) && more);
    if (err_ok(e) && c.foreign) {
        c.line = c.foreign;
        problem(&c, "the file ends in a line that is no whole record; the next start of the broker "
                    "records it");
    }
    buf_free(&lines.line);
    return e;
}
