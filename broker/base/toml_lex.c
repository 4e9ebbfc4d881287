#include "broker/base/toml_lex.h"

#include "broker/base/json.h"
#include "broker/base/limits.h"

#include <string.h>

static size_t newline_at(struct span text, size_t pos)
{
    if (pos < text.len && text.data[pos] == '\n') return 1;
    if (pos + 1 < text.len && text.data[pos] == '\r' && text.data[pos + 1] == '\n') return 2;
    return 0;
}

struct toml_place toml_place(const struct toml_cursor *c, size_t pos)
{
    struct toml_place place = {1, 1};
    for (size_t i = 0; i < pos && i < c->text.len; i++) {
        bool continuation = (c->text.data[i] & 0xc0) == 0x80;
        if (c->text.data[i] == '\n') place = (struct toml_place){place.line + 1, 1};
        else if (!continuation) place.column++;
    }
    return place;
}

/* Control characters are forbidden in comments, strings and everywhere else alike, so they are
 * refused once, here, and the rest need not think of them. */
err_t toml_check_text(struct span text)
{
    if (text.len > TOML_MAX_TEXT)
        FAIL(ERR_TOOLARGE, "TOML text of %zu bytes, the limit is %u", text.len, TOML_MAX_TEXT);
    if (!utf8_valid(text)) FAIL(ERR_USAGE, "TOML text is not UTF-8");
    const struct toml_cursor c = {.text = text};
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        bool fine = (byte >= 0x20 && byte != 0x7f) || byte == '\t' || newline_at(text, i) != 0;
        if (!fine) TOML_FAIL(&c, i, "control character 0x%02x is not allowed", byte);
    }
    return ERR_OK;
}

int toml_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

int toml_peek(const struct toml_cursor *c)
{
    return c->pos < c->text.len ? c->text.data[c->pos] : -1;
}

bool toml_take(struct toml_cursor *c, const char *word)
{
    struct span rest = {c->text.data + c->pos, c->text.len - c->pos};
    if (!span_starts(rest, word)) return false;
    c->pos += strlen(word);
    return true;
}

static bool take_newline(struct toml_cursor *c)
{
    size_t len = newline_at(c->text, c->pos);
    c->pos += len;
    return len != 0;
}

void toml_skip_blanks(struct toml_cursor *c)
{
    while (toml_peek(c) == ' ' || toml_peek(c) == '\t') c->pos++;
}

static void skip_comment(struct toml_cursor *c)
{
    if (toml_peek(c) != '#') return;
    while (c->pos < c->text.len && !newline_at(c->text, c->pos)) c->pos++;
}

void toml_skip_lines(struct toml_cursor *c)
{
    do {
        toml_skip_blanks(c);
        skip_comment(c);
    } while (take_newline(c));
}

err_t toml_end_line(struct toml_cursor *c, const char *after)
{
    toml_skip_blanks(c);
    skip_comment(c);
    if (c->pos < c->text.len && !take_newline(c))
        TOML_FAIL(c, c->pos, "expected the end of the line after %s", after);
    return ERR_OK;
}

/* ---- strings ------------------------------------------------------------------------------ */

static void add_utf8(struct buf *out, uint32_t point)
{
    if (point < 0x80) {
        buf_add_u8(out, (uint8_t) point);
        return;
    }
    unsigned more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    buf_add_u8(out, (uint8_t) (lead[more] | (point >> (6 * more))));
    while (more-- > 0) buf_add_u8(out, (uint8_t) (0x80 | ((point >> (6 * more)) & 0x3f)));
}

static err_t unicode_escape(struct toml_cursor *c, size_t digits, struct buf *out)
{
    uint32_t point = 0;
    for (size_t i = 0; i < digits; i++) {
        int next = c->pos + i < c->text.len ? c->text.data[c->pos + i] : 0;
        if (toml_digit((char) next) >= 16)
            TOML_FAIL(c, c->pos, "expected %zu hexadecimal digits", digits);
        point = point << 4 | (uint32_t) toml_digit((char) next);
    }
    if (point == 0) TOML_FAIL(c, c->pos, "U+0000 is not accepted in a string");
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        TOML_FAIL(c, c->pos, "U+%04X is no Unicode character", point);
    c->pos += digits;
    add_utf8(out, point);
    return ERR_OK;
}

/* "\" at the end of a line, in multi-line basic strings: blanks and newlines up to the next
 * character are trimmed. False when something else follows the backslash. */
static bool line_ending_backslash(struct toml_cursor *c)
{
    struct toml_cursor ahead = *c;
    toml_skip_blanks(&ahead);
    if (!take_newline(&ahead)) return false;
    do toml_skip_blanks(&ahead);
    while (take_newline(&ahead));
    *c = ahead;
    return true;
}

static err_t escape(struct toml_cursor *c, bool multi_line, struct buf *out)
{
    static const char letters[] = "btnfr\"\\";
    static const char meanings[] = "\b\t\n\f\r\"\\";
    size_t start = c->pos++;
    int letter = toml_peek(c);
    const char *known = letter > 0 ? strchr(letters, letter) : NULL;
    if (known) {
        c->pos++;
        buf_add_byte(out, (uint8_t) meanings[known - letters]);
        return ERR_OK;
    }
    if (toml_take(c, "u")) return unicode_escape(c, 4, out);
    if (toml_take(c, "U")) return unicode_escape(c, 8, out);
    if (multi_line && line_ending_backslash(c)) return ERR_OK;
    TOML_FAIL(c, start,
              "unknown escape; \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX are known");
}

static err_t single_line(struct toml_cursor *c, int quote, struct buf *out)
{
    size_t start = c->pos++;
    while (toml_peek(c) != quote) {
        if (toml_peek(c) < 0 || newline_at(c->text, c->pos))
            TOML_FAIL(c, start, "the string that begins here does not end on its line");
        if (toml_peek(c) == '\\' && quote == '"') TRY(escape(c, false, out));
        else buf_add_byte(out, c->text.data[c->pos++]);
    }
    c->pos++;
    return ERR_OK;
}

/* A run of quotes: three close the string, and up to two more before them belong to it. */
static err_t quotes(struct toml_cursor *c, int quote, struct buf *out, bool *ret_end)
{
    size_t start = c->pos, run = 0;
    while (toml_peek(c) == quote) {
        c->pos++;
        run++;
    }
    if (run > 5) TOML_FAIL(c, start, "more than two quotes before the closing three");
    *ret_end = run >= 3;
    for (size_t own = run >= 3 ? run - 3 : run; own > 0; own--)
        buf_add_byte(out, (uint8_t) quote);
    return ERR_OK;
}

static err_t multi_line_text(struct toml_cursor *c, int quote, struct buf *out)
{
    size_t start = c->pos - 3;
    take_newline(c); /* one right after the opening quotes is trimmed */
    for (bool end = false; !end;) {
        int next = toml_peek(c);
        if (next < 0) TOML_FAIL(c, start, "the multi-line string that begins here does not end");
        if (next == quote) TRY(quotes(c, quote, out, &end));
        else if (next == '\\' && quote == '"') TRY(escape(c, true, out));
        else if (take_newline(c)) buf_add_byte(out, '\n'); /* CRLF too, as other readers do */
        else buf_add_byte(out, c->text.data[c->pos++]);
    }
    return ERR_OK;
}

err_t toml_string(struct toml_cursor *c, bool multi_line, struct buf *ret)
{
    int quote = toml_peek(c);
    size_t start = c->pos;
    if (toml_take(c, "\"\"\"") || toml_take(c, "'''")) {
        if (!multi_line) TOML_FAIL(c, start, "a key cannot be a multi-line string");
        TRY(multi_line_text(c, quote, ret));
    } else {
        TRY(single_line(c, quote, ret));
    }
    return buf_ok(ret);
}
