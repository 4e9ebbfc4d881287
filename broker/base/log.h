/* The log: one line an event on stderr, `level event key=value ...`; the service manager adds the
 * time. Values are escaped, so text from outside cannot forge a line. Never secrets.
 *
 * Nor can it fill the disk: of one event LOG_LINES_BURST lines are written at once and LOG_LINES_PER_SECOND a
 * second; the next one says how many before it were left out (left_out=N). Those of level debug all are written.
 *
 *     log_info("token.login", LOG_S("label", label), LOG_U("sessions", n));
 */
#pragma once

#include "broker/base/buf.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_field {
    const char *key; /* NULL ends the list */
    char type;       /* 's' string, 'u' unsigned, 'd' signed */
    const char *s;
    uint64_t u;
    int64_t d;
};

#define LOG_S(k, v) ((struct log_field){.key = (k), .type = 's', .s = (v)})
#define LOG_U(k, v) ((struct log_field){.key = (k), .type = 'u', .u = (uint64_t) (v)})
#define LOG_D(k, v) ((struct log_field){.key = (k), .type = 'd', .d = (int64_t) (v)})

/* Thread-safe: one write(2) a line. event: static text. `e` may be ERR_OK; otherwise its chain is appended. */
void log_write(enum log_level level, struct err e, const char *event,
               const struct log_field *fields);

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(,)(struct log_field){0}})
#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, ERR_OK, event, LOG_FIELDS(__VA_ARGS__))
#define log_warn(event, ...) log_write(LOG_LEVEL_WARN, ERR_OK, event, LOG_FIELDS(__VA_ARGS__))
#define log_info(event, ...) log_write(LOG_LEVEL_INFO, ERR_OK, event, LOG_FIELDS(__VA_ARGS__))
#define log_debug(event, ...) log_write(LOG_LEVEL_DEBUG, ERR_OK, event, LOG_FIELDS(__VA_ARGS__))
/* With the chain of an error: once, at the edge. */
#define log_err(e, event, ...) log_write(LOG_LEVEL_ERROR, e, event, LOG_FIELDS(__VA_ARGS__))
#define log_warn_err(e, event, ...) log_write(LOG_LEVEL_WARN, e, event, LOG_FIELDS(__VA_ARGS__))
#define log_debug_err(e, event, ...) log_write(LOG_LEVEL_DEBUG, e, event, LOG_FIELDS(__VA_ARGS__))

void log_set_level(enum log_level level);
bool log_level_from(const char *name, enum log_level *ret); /* "error" ... "debug" */
bool log_enabled(enum log_level level);
uint64_t log_left_out(void); /* lines that were only counted, since the start */

/* Escapes text for one line of log or terminal: printable ASCII and well-formed UTF-8 stay,
 * the rest becomes \xNN; cut with "..." to fit. Returns out. */
const char *log_escape(char *out, size_t size, struct span text);
