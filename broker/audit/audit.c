#include "broker/audit/audit.h"

#include "broker/base/cleanup.h"
#include "broker/base/clock.h"
#include "broker/base/file.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"
#include "broker/base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RUN_BYTES 4

struct audit {
    enum audit_sync sync;
    char *path, *serial;
    char run[2 * RUN_BYTES + 1];
    int fd; /* -1: no file */
    _Atomic uint64_t failures;

    pthread_mutex_t lock; /* over everything below, and over the order of lines in the file */
    struct buf line;      /* keeps its memory from record to record */
    uint64_t seq;         /* of the last whole record */
    uint64_t synced_ns;   /* monotonic; when fdatasync last returned */
    bool torn;            /* the file may end within a line */
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

/* ---- the file ---------------------------------------------------------------------------------- */

static err_t check_file(int fd, const char *path, bool *ret_torn)
{
    struct stat st;
    if (fstat(fd, &st) != 0) FAIL_ERRNO(ERR_INTERNAL, "cannot look at the audit file %s", path);
    if (!S_ISREG(st.st_mode))
        FAIL(ERR_USAGE, "the audit file %s is not a regular file; name one", path);
    if (st.st_uid != geteuid())
        FAIL(ERR_USAGE, "the audit file %s belongs to user %u; chown it to the user that runs the "
                        "broker", path, (unsigned) st.st_uid);
    if (st.st_mode & 022)
        FAIL(ERR_USAGE, "the audit file %s can be written by others (mode %04o); run: chmod 600 %s",
             path, (unsigned) st.st_mode & 07777, path);
    uint8_t last = '\n';
    if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1)
        FAIL_ERRNO(ERR_INTERNAL, "cannot read the end of the audit file %s", path);
    *ret_torn = last != '\n'; /* a power cut or a full disk ended the last process */
    return ERR_OK;
}

static err_t open_file(const char *path, int *ret_fd, bool *ret_torn)
{
    /* O_NONBLOCK so that a FIFO somebody put there is refused instead of waited for. */
    _cleanup_close_ int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK |
                                            O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT)
        FAIL(ERR_USAGE, "the folder of the audit file %s does not exist; create it, owned by the "
                        "user that runs the broker", path);
    if (fd < 0 && errno == ELOOP)
        FAIL(ERR_USAGE, "the audit file %s is a symbolic link; name the file itself", path);
    if (fd < 0) FAIL_ERRNO(ERR_USAGE, "cannot open the audit file %s", path);
    TRY(check_file(fd, path, ret_torn));
    *ret_fd = fd;
    fd = -1;
    return ERR_OK;
}

/* ---- one record -------------------------------------------------------------------------------- */

/* A peer chooses some of these texts: what is too long or not UTF-8 is escaped and cut, so that
 * every line stays one line of JSON. Empty members are left out. */
static void put_text(struct json_out *o, const char *name, const char *value)
{
    if (!value || !*value) return;
    struct span text = span_str(value);
    char escaped[AUDIT_MEMBER_MAX];
    if (text.len >= sizeof escaped || !utf8_valid(text))
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
    if (a->torn) buf_add_byte(&a->line, '\n'); /* the torn piece stays a line of its own */
    json_begin_object(&o);
    put_time(&o);
    json_member_str(&o, "run", a->run);
    json_member_uint(&o, "seq", a->seq + 1);
    put_text(&o, "action", e->action);
    put_text(&o, "decision", e->decision);
    put_number(&o, "request", e->request_id);
    put_text(&o, "principal", e->principal);
    put_text(&o, "peer", e->peer);
    put_text(&o, "resource", e->resource);
    put_number(&o, "version", e->version);
    put_text(&o, "reason", e->reason);
    put_text(&o, "policy", e->policy);
    put_text(&o, "tee", e->tee);
    put_text(&o, "token", a->serial);
    json_end_object(&o);
    buf_add_byte(&a->line, '\n');
}

/* One write(2): with O_APPEND the kernel keeps lines of several writers apart, and a short write is
 * a failure, never continued, since the rest could land behind somebody else's line. */
static err_t append_locked(struct audit *a)
{
    TRYC(buf_ok(&a->line), "format an audit record");
    ssize_t n = 0;
    do {
        n = write(a->fd, a->line.data, a->line.len);
    } while (n < 0 && errno == EINTR);
    if (n < 0) FAIL_ERRNO(ERR_INTERNAL, "cannot write to the audit file %s", a->path);
    if (n > 0) a->torn = a->line.data[n - 1] != '\n';
    if ((size_t) n < a->line.len)
        FAIL(ERR_INTERNAL, "the audit file %s took only %zd of %zu bytes; is the disk full?",
             a->path, n, a->line.len);
    a->seq++;
    return ERR_OK;
}

static err_t sync_locked(struct audit *a)
{
    if (fdatasync(a->fd) != 0)
        FAIL_ERRNO(ERR_INTERNAL, "cannot sync the audit file %s to disk", a->path);
    a->synced_ns = clock_mono_ns();
    return ERR_OK;
}

static bool sync_due_locked(const struct audit *a)
{
    return a->sync == AUDIT_SYNC_EACH ||
           (a->sync == AUDIT_SYNC_BATCH && clock_mono_ns() - a->synced_ns > CLOCK_SECOND_NS);
}

static err_t write_record(struct audit *a, const struct audit_event *e)
{
    SCOPED_LOCK(&a->lock);
    format_record_locked(a, e);
    TRY(append_locked(a));
    return sync_due_locked(a) ? sync_locked(a) : ERR_OK;
}

struct err audit_write(struct audit *a, const struct audit_event *e)
{
    if (a->fd < 0) return ERR_OK;
    struct err written = write_record(a, e);
    if (!err_ok(written)) a->failures++;
    return written;
}

uint64_t audit_failures(const struct audit *a)
{
    return a->failures;
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
    a->fd = -1;
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
        TRY(open_file(path, &a->fd, &a->torn));
        TRYC(audit_write(a, &start), "write the first audit record");
    }
    *ret = TAKE_PTR(a);
    return ERR_OK;
}

void audit_close(struct audit *a)
{
    if (!a) return;
    if (a->fd >= 0) {
        if (a->sync != AUDIT_SYNC_NONE) fdatasync(a->fd); /* nobody is left to tell */
        close(a->fd);
    }
    pthread_mutex_destroy(&a->lock);
    buf_free(&a->line);
    free(a->path);
    free(a->serial);
    free(a);
}
