#include "broker/base/log.h"

#include "broker/base/clock.h"
#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define VALUE_MAX_BYTES 1024

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static _Atomic int threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level) { threshold = (int) level; }
bool log_enabled(enum log_level level) { return (int) level <= threshold; }

bool log_level_from(const char *name, enum log_level *ret)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *ret = (enum log_level) i;
            return true;
        }
    return false;
}

/* How many bytes at the front of text stay as they are; 0 when the first must be escaped. */
static size_t plain_bytes(struct span text, bool utf8, bool quoted)
{
    uint8_t c = text.data[0];
    if (c < 0x80) return c >= 0x20 && c < 0x7f && c != '\\' && !(quoted && c == '"');
    /* C1 controls are two bytes in UTF-8 and move some terminals: 0xc2 0x80..0x9f. Once their
     * first byte is escaped, the second one comes here as a continuation byte alone. */
    if (!utf8 || c < 0xc2 || (c == 0xc2 && text.data[1] < 0xa0)) return 0;
    return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
}

/* \" or \xNN; a backslash is always \x5c, so that both are unambiguous. Returns the length. */
static size_t put_escaped(char out[4], uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    out[0] = '\\';
    out[1] = c == '"' ? '"' : 'x';
    if (c == '"') return 2;
    out[2] = digits[c >> 4];
    out[3] = digits[c & 15];
    return 4;
}

static const char *escape(char *out, size_t size, struct span text, bool quoted)
{
    bool utf8 = utf8_valid(text);
    size_t at = 0;
    for (size_t i = 0; i < text.len;) {
        size_t plain = plain_bytes((struct span){text.data + i, text.len - i}, utf8, quoted);
        if (at + (plain ? plain : 4) + 4 > size) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        if (plain) memcpy(out + at, text.data + i, plain);
        at += plain ? plain : put_escaped(out + at, text.data[i]);
        i += plain ? plain : 1;
    }
    out[at] = '\0';
    return out;
}

const char *log_escape(char *out, size_t size, struct span text)
{
    return escape(out, size, text, false);
}

static void add_value(char *line, size_t *at, const char *text)
{
    char value[VALUE_MAX_BYTES];
    size_t room = LINE_MAX_BYTES - *at;
    if (room < 16) return; /* full: what is there stays whole */
    room -= 3;             /* two quotes, and the end of the line */
    escape(value, room < sizeof value ? room : sizeof value, span_str(text ? text : ""), true);
    bool quote = value[0] == '\0' || strpbrk(value, " =\"") != NULL;
    int n = snprintf(line + *at, LINE_MAX_BYTES - *at, quote ? "\"%s\"" : "%s", value);
    if (n > 0) *at += (size_t) n;
}

static void add_text(char *line, size_t *at, const char *a, const char *b)
{
    int n = snprintf(line + *at, LINE_MAX_BYTES - *at, "%s%s", a, b);
    if (n > 0) *at += (size_t) n;
    if (*at >= LINE_MAX_BYTES - 2) *at = LINE_MAX_BYTES - 2;
}

/* ---- floods ---------------------------------------------------------------------------------- */

/* Many lines are caused by whoever sends a request, and must not fill a disk, nor put each other out. So each
 * event has a share of its own. */
struct share {
    const char *event;
    uint64_t used_ns;  /* monotonic; until when the event has used up its lines */
    uint64_t left_out; /* lines since the last that was written */
};

static pthread_mutex_t shares_lock = PTHREAD_MUTEX_INITIALIZER;
static struct share shares[LOG_EVENTS_MAX]; /* those after the last one there is room for have it together */
static _Atomic uint64_t left_out_total;

static struct share *share_locked(const char *event)
{
    size_t i = 0;
    while (i < LOG_EVENTS_MAX - 1 && shares[i].event && strcmp(shares[i].event, event) != 0) i++;
    if (!shares[i].event) shares[i].event = event;
    return &shares[i];
}

/* False: it is counted only. */
static bool has_room(const char *event, uint64_t *ret_left_out)
{
    SCOPED_LOCK(&shares_lock);
    struct share *s = share_locked(event);
    if (!clock_take_share(&s->used_ns, LOG_LINES_PER_SECOND, LOG_LINES_BURST)) {
        s->left_out++;
        left_out_total++;
        return false;
    }
    *ret_left_out = s->left_out;
    s->left_out = 0;
    return true;
}

uint64_t log_left_out(void) { return left_out_total; }

/* ---- lines ----------------------------------------------------------------------------------- */

void log_write(enum log_level level, struct err e, const char *event,
               const struct log_field *fields)
{
    uint64_t left_out = 0;
    if (!log_enabled(level) || (level != LOG_LEVEL_DEBUG && !has_room(event, &left_out))) return;
    char line[LINE_MAX_BYTES], number[32];
    size_t at = 0;
    add_text(line, &at, level_names[level], " ");
    add_text(line, &at, event, "");
    if (left_out) {
        snprintf(number, sizeof number, "%ju", (uintmax_t) left_out);
        add_text(line, &at, " left_out=", number);
    }
    for (const struct log_field *f = fields; f->key; f++) {
        add_text(line, &at, " ", f->key);
        add_text(line, &at, "=", "");
        if (f->type == 's') add_value(line, &at, f->s);
        else {
            if (f->type == 'u') snprintf(number, sizeof number, "%ju", (uintmax_t) f->u);
            else snprintf(number, sizeof number, "%jd", (intmax_t) f->d);
            add_text(line, &at, number, "");
        }
    }
    if (!err_ok(e)) {
        add_text(line, &at, " error=", "");
        add_value(line, &at, err_text(e));
        if (log_enabled(LOG_LEVEL_DEBUG)) add_text(line, &at, " at=", err_where(e));
    }
    line[at++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, at); /* a lost log line stops nothing */
    (void) ignored;
}
