#include "broker/base/log.h"

#include "broker/base/json.h"

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

const char *log_escape(char *out, size_t size, struct span text)
{
    static const char digits[] = "0123456789abcdef";
    bool utf8 = utf8_valid(text);
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        /* C1 controls are two bytes in UTF-8 and move some terminals: 0xc2 0x80..0x9f */
        bool c1 = c == 0xc2 && i + 1 < text.len && text.data[i + 1] < 0xa0;
        bool plain = (c >= 0x20 && c < 0x7f && c != '\\') || (c >= 0x80 && utf8 && !c1);
        if (at + (plain ? 1 : 4) + 4 > size) {
            memcpy(out + at, "...", 3);
            at += 3;
            break;
        }
        if (plain) out[at++] = (char) c;
        else {
            out[at++] = '\\';
            out[at++] = 'x';
            out[at++] = digits[c >> 4];
            out[at++] = digits[c & 15];
        }
    }
    out[at] = '\0';
    return out;
}

static void add_value(char *line, size_t *at, const char *text)
{
    char value[VALUE_MAX_BYTES];
    log_escape(value, sizeof value, span_str(text ? text : ""));
    bool quote = value[0] == '\0' || strpbrk(value, " =\"") != NULL;
    int n = snprintf(line + *at, LINE_MAX_BYTES - *at, quote ? "\"%s\"" : "%s", value);
    if (n > 0) *at += (size_t) n;
    if (*at >= LINE_MAX_BYTES - 2) *at = LINE_MAX_BYTES - 2;
}

static void add_text(char *line, size_t *at, const char *a, const char *b)
{
    int n = snprintf(line + *at, LINE_MAX_BYTES - *at, "%s%s", a, b);
    if (n > 0) *at += (size_t) n;
    if (*at >= LINE_MAX_BYTES - 2) *at = LINE_MAX_BYTES - 2;
}

void log_write(enum log_level level, struct err e, const char *event,
               const struct log_field *fields)
{
    if (!log_enabled(level)) return;
    char line[LINE_MAX_BYTES], number[32];
    size_t at = 0;
    add_text(line, &at, level_names[level], " ");
    add_text(line, &at, event, "");
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
