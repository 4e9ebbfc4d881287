#include "broker/audit/audit.h"

#include "broker/audit/audit_file.h"
#include "broker/base/cleanup.h"
#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/base/rand.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RUN_BYTES 4

struct audit {
    enum audit_sync sync;
    char *path, *serial;
    char run[2 * RUN_BYTES + 1];
    bool off; /* no file: nothing is written */
    _Atomic uint64_t failures, unrecorded;
    _Atomic uint64_t lost; /* of failures: no record tells of them yet. Changed under the lock */

    pthread_mutex_t lock; /* over everything below, and over the order of lines in the file */
    struct audit_file file;
    struct buf line;      /* keeps its memory from record to record */
    uint64_t seq;         /* of the last whole record */
    uint64_t synced_ns;   /* monotonic; when fdatasync last returned */
    uint64_t strangers_ns; /* monotonic; until when strangers have used up their records */
    uint64_t told;        /* of unrecorded: so many stand in a summary */
    uint64_t summary_ns;  /* monotonic; no other summary before it */
};

bool audit_sync_from(const char *name, enum audit_sync *ret)
{
    static const char *const names[] = {
        [AUDIT_SYNC_NONE] = "none", [AUDIT_SYNC_BATCH] = "batch", [AUDIT_SYNC_EACH] = "each"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        *ret = (enum audit_sync) i;
        return true;
    }
    return false;
}

/* ---- one record -------------------------------------------------------------------------------- */

/* In UTF-8 text: DEL, and C1 controls, of which JSON escapes none and terminals obey some. */
static bool moves_terminals(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] == 0x7f || (text.data[i] == 0xc2 && text.data[i + 1] < 0xa0)) return true;
    return false;
}

/* A peer chooses some of these texts: what is too long, not UTF-8 or no text is escaped and cut, so that
 * every line stays one line of JSON. Empty members are left out. */
static void put_text(struct json_out *o, const char *name, const char *value)
{
    if (!value || !*value) return;
    struct span text = span_str(value);
    char escaped[AUDIT_MEMBER_MAX];
    if (text.len >= sizeof escaped || !utf8_valid(text) || moves_terminals(text))
        text = span_str(log_escape(escaped, sizeof escaped, text));
    json_member_span(o, name, text);
}

static void put_number(struct json_out *o, const char *name, uint64_t value)
{
    if (value) json_member_uint(o, name, value);
}

static void put_time(struct json_out *o)
{
    int64_t ms = clock_now_ms();
    char seconds[CLOCK_TEXT], text[CLOCK_TEXT + 4];
    clock_rfc3339(ms / 1000, seconds);
    snprintf(text, sizeof text, "%.19s.%03dZ", seconds, (int) (ms % 1000));
    json_member_str(o, "time", text);
}

static void format_record_locked(struct audit *a, const struct audit_event *e)
{
    struct json_out o = JSON_OUT(&a->line);
    buf_reset(&a->line);
    json_begin_object(&o);
    put_time(&o);
    json_member_str(&o, "run", a->run);
    json_member_uint(&o, "seq", a->seq + 1);
    put_text(&o, "action", e->action);
    put_text(&o, "decision", e->decision);
    put_number(&o, "request", e->request_id);
    put_text(&o, "principal", e->principal);
    put_text(&o, "certificate", e->certificate);
    put_text(&o, "peer", e->peer);
    put_text(&o, "resource", e->resource);
    put_number(&o, "version", e->version);
    put_text(&o, "reason", e->reason);
    put_text(&o, "policy", e->policy);
    put_number(&o, "rule", e->rule);
    put_number(&o, "suite", e->suite);
    put_text(&o, "tee", e->tee);
    put_number(&o, "duration_us", e->duration_us);
    put_text(&o, "token", a->serial);
    json_member_str(&o, "prev", a->file.last.hex);
    json_end_object(&o);
    buf_add_byte(&a->line, '\n');
}

static err_t append_locked(struct audit *a, const struct audit_event *e)
{
    format_record_locked(a, e);
    TRYC(buf_ok(&a->line), "format an audit record");
    TRY(audit_file_append(&a->file, a->path, buf_span(&a->line)));
    a->seq++;
    return ERR_OK;
}

/* A piece of a line, left by a full disk or a power cut, gets a line end and a record of its own. */
static err_t mend_locked(struct audit *a)
{
    size_t torn = a->file.torn;
    if (!torn) return ERR_OK;
    TRY(audit_file_end_torn(&a->file, a->path));
    char reason[64];
    snprintf(reason, sizeof reason, "the line before has %zu bytes and no end", torn);
    struct audit_event event = {.action = "torn", .decision = "done", .reason = reason};
    log_warn("audit.torn", LOG_S("file", a->path), LOG_U("bytes", torn));
    struct err e = append_locked(a, &event);
    if (!err_ok(e)) a->file.torn = torn; /* it still wants its record */
    return e;
}

static err_t sync_locked(struct audit *a)
{
    if (fdatasync(a->file.fd) != 0)
        FAIL_ERRNO(ERR_INTERNAL, "cannot sync the audit file %s to disk", a->path);
    a->synced_ns = clock_mono_ns();
    return ERR_OK;
}

static bool sync_due_locked(const struct audit *a)
{
    return a->sync == AUDIT_SYNC_EACH ||
           (a->sync == AUDIT_SYNC_BATCH && clock_mono_ns() - a->synced_ns > CLOCK_SECOND_NS);
}

/* ---- rotation ----------------------------------------------------------------------------------- */

/* The new file begins with a record that links to the last line of the old one: one chain. A file
 * that has lines already goes on with its own, and says where we come from. */
static err_t change_file_locked(struct audit *a, struct audit_file *fresh)
{
    struct audit_file old = a->file;
    uint64_t seq = a->seq;
    char reason[sizeof "after " + CHAIN_HEX];
    snprintf(reason, sizeof reason, "after %s", old.last.hex);
    struct audit_event event = {.action = "rotate", .decision = "done", .reason = reason};
    a->file = *fresh;
    if (chain_is_start(&fresh->last)) a->file.last = old.last;
    struct err e = mend_locked(a);
    if (err_ok(e)) e = append_locked(a, &event);
    if (!err_ok(e)) {
        *fresh = a->file;
        a->file = old;
        a->seq = seq;
        return e;
    }
    if (a->sync != AUDIT_SYNC_NONE) fdatasync(old.fd); /* nobody waits for these any more */
    *fresh = old;
    return ERR_OK;
}

static err_t reopen_locked(struct audit *a)
{
    err_ignore(mend_locked(a)); /* where the old disk is full, the new file links to the piece */
    struct audit_file fresh;
    TRY(audit_file_open(a->path, &fresh));
    struct err e = change_file_locked(a, &fresh);
    audit_file_close(&fresh); /* the old one, or the one that took no record */
    if (err_ok(e)) log_info("audit.rotated", LOG_S("file", a->path), LOG_S("head", a->file.last.hex));
    return e;
}

struct err audit_reopen(struct audit *a, bool *ret_changed)
{
    *ret_changed = false;
    if (a->off) return ERR_OK;
    SCOPED_LOCK(&a->lock);
    if (audit_file_same(&a->file, a->path)) return ERR_OK;
    TRY(reopen_locked(a));
    *ret_changed = true;
    return ERR_OK;
}

/* A file that was removed, not renamed, takes records that nobody can read. */
static err_t replace_removed_locked(struct audit *a)
{
    if (!audit_file_removed(&a->file)) return ERR_OK;
    TRYC(reopen_locked(a), "the audit file %s was removed", a->path);
    log_error("audit.removed", LOG_S("file", a->path), LOG_S("effect", "its records are lost; a new file is begun"));
    return ERR_OK;
}

/* ---- strangers --------------------------------------------------------------------------------- */

static err_t summarize_locked(struct audit *a)
{
    char reason[96];
    uint64_t more = a->unrecorded - a->told;
    if (!more) return ERR_OK;
    snprintf(reason, sizeof reason, "refused before they showed who they are, beside those with a record: %ju",
             (uintmax_t) more);
    struct audit_event event = {.action = "strangers", .decision = "deny", .reason = reason};
    TRY(append_locked(a, &event));
    a->told += more;
    a->summary_ns = clock_mono_ns() + AUDIT_SUMMARY_SECONDS * CLOCK_SECOND_NS;
    return ERR_OK;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static err_t tell_of_lost_locked(struct audit *a)
{
    char reason[48];
    uint64_t lost = a->lost;
    if (!lost) return ERR_OK;
    snprintf(reason, sizeof reason, "records missing: %ju", (uintmax_t) lost);
    const struct audit_event event = {.action = "audit-back", .decision = "done", .reason = reason};
    TRY(append_locked(a, &event));
    a->lost = 0;
    log_info("audit.back", LOG_S("file", a->path), LOG_U("lost", lost));
    return ERR_OK;
}

/* The event, behind all records that are owed; NULL: those alone. */
static err_t write_all_locked(struct audit *a, const struct audit_event *e)
{
    bool counted = e && e->stranger &&
                   !clock_take_share(&a->strangers_ns, AUDIT_STRANGERS_PER_SECOND, AUDIT_STRANGERS_BURST);
    TRY(replace_removed_locked(a));
    TRY(mend_locked(a));
    TRY(tell_of_lost_locked(a));
    if (counted) a->unrecorded++;
    if (clock_mono_ns() >= a->summary_ns) TRY(summarize_locked(a));
    if (e && !counted) TRY(append_locked(a, e));
    return sync_due_locked(a) ? sync_locked(a) : ERR_OK;
}

static err_t write_locked(struct audit *a, const struct audit_event *e)
{
    uint64_t lost = a->lost;
    struct err written = write_all_locked(a, e);
    if (!err_ok(written)) a->lost = lost + (e ? 1 : 0); /* what tells of them may not be on the disk either */
    return written;
}

struct err audit_write(struct audit *a, const struct audit_event *e)
{
    if (a->off) return ERR_OK;
    SCOPED_LOCK(&a->lock);
    struct err written = write_locked(a, e);
    if (!err_ok(written)) a->failures++;
    return written;
}

bool audit_works(struct audit *a)
{
    if (!a->lost) return true;
    SCOPED_LOCK(&a->lock);
    return err_ok(write_locked(a, NULL));
}

uint64_t audit_failures(const struct audit *a)
{
    return a->failures;
}

uint64_t audit_unrecorded(const struct audit *a)
{
    return a->unrecorded;
}

/* ---- life -------------------------------------------------------------------------------------- */

DEFINE_CLEANUP(struct audit, audit_close);

static err_t new_audit(const char *path, enum audit_sync sync, const char *token_serial,
                       struct audit **ret)
{
    uint8_t run[RUN_BYTES];
    TRY(rand_bytes(run, sizeof run));
    _cleanup_(audit_closep) struct audit *a = calloc(1, sizeof *a);
    if (!a) FAIL(ERR_INTERNAL, "out of memory");
    a->file.fd = -1;
    a->off = !path;
    a->sync = sync;
    a->synced_ns = clock_mono_ns();
    a->line.max = AUDIT_LINE_MAX;
    pthread_mutex_init(&a->lock, NULL);
    snprintf(a->run, sizeof a->run, "%02x%02x%02x%02x", run[0], run[1], run[2], run[3]);
    a->path = strdup(path ? path : "");
    a->serial = strdup(token_serial ? token_serial : "");
    if (!a->path || !a->serial) FAIL(ERR_INTERNAL, "out of memory");
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

struct err audit_open(const char *path, enum audit_sync sync, const char *token_serial,
                      struct audit **ret)
{
    static const struct audit_event start = {.action = "start", .decision = "done"};
    _cleanup_(audit_closep) struct audit *a = NULL;
    TRY(new_audit(path, sync, token_serial, &a));
    if (path) {
        TRY(audit_file_open(path, &a->file));
        TRYC(audit_write(a, &start), "write the first audit record");
    }
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

void audit_close(struct audit *a)
{
    if (!a) return;
    if (a->file.fd >= 0) {
        struct err e = mend_locked(a); /* nobody else has it any more */
        if (err_ok(e)) e = tell_of_lost_locked(a);
        if (err_ok(e)) err_ignore(summarize_locked(a));
        if (a->sync != AUDIT_SYNC_NONE) fdatasync(a->file.fd); /* nobody is left to tell */
        if (a->seq) log_info("audit.closed", LOG_S("file", a->path), LOG_S("head", a->file.last.hex));
        audit_file_close(&a->file);
    }
    pthread_mutex_destroy(&a->lock);
    buf_free(&a->line);
    free(a->path);
    free(a->serial);
    free(a);
}
