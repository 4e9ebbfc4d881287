/* The words of TOML: cursor, strings, numbers, dates. Inside base/toml*.c only. */
#pragma once

#include "broker/base/buf.h"

struct toml_cursor {
    struct span text; /* checked: UTF-8, no control character but tab, LF and CRLF */
    size_t pos;
};

/* Line and column (in characters) of a position, both from 1. Linear: for errors only. */
struct toml_place {
    size_t line, column;
};
struct toml_place toml_place(const struct toml_cursor *c, size_t pos);

#define TOML_FAIL(c, pos, fmt, ...)                                              \
    do {                                                                         \
        struct toml_place place_ = toml_place((c), (pos));                       \
        FAIL(ERR_USAGE, "TOML line %zu, column %zu: " fmt, place_.line,          \
             place_.column __VA_OPT__(, ) __VA_ARGS__);                          \
    } while (0)

/* ERR_USAGE when the text is not what the cursor promises, ERR_TOOLARGE over TOML_MAX_TEXT. */
err_t toml_check_text(struct span text);

int toml_digit(char c);                                          /* 0 to 15; 99 for others */
int toml_peek(const struct toml_cursor *c);                      /* -1 at the end */
bool toml_take(struct toml_cursor *c, const char *word);         /* takes it when it is next */
void toml_skip_blanks(struct toml_cursor *c);                    /* space and tab */
void toml_skip_lines(struct toml_cursor *c);                     /* and comments and newlines */
err_t toml_end_line(struct toml_cursor *c, const char *after);   /* blanks, comment, newline */

/* A string at the cursor, any of the four kinds (multi_line allows two of them), decoded into
 * *ret. U+0000 is refused, since neither our JSON nor a C string can carry it. */
err_t toml_string(struct toml_cursor *c, bool multi_line, struct buf *ret);

/* A number, boolean or date at the cursor. *ret_json: number or boolean as JSON in *ret;
 * otherwise *ret is a date or time as written. */
err_t toml_scalar(struct toml_cursor *c, struct buf *ret, bool *ret_json);

/* The whole of text is a date-time, date or time that exists (RFC 3339 and its local parts). */
bool toml_is_date(const char *text, size_t len);
